//! The bytes: what was written once opens for ever, and two readers agree on what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hence_log::sim::{Dice, SimStorage};
use hence_log::{FORMAT_VERSION, Level, Log, Op, Options, check, check_on, salvage_on};
use proptest::prelude::*;

use crate::naive;

/// What the fixture of each format contains: two commits per round, a snapshot after the tenth.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const ROUNDS: u64 = 30;

fn body(round: u64) -> Vec<u8> {
    (0..round * 9).map(|at| (at * 7 + round) as u8).collect()
}

fn fixture(format: u32) -> PathBuf {
    Path::new(FIXTURES).join(format!("format-{format}"))
}

fn tiny() -> Options {
    Options::default().segment_bytes(4 << 10)
}

fn as_read(log: &Log) -> Vec<(u64, Vec<naive::Op>)> {
    let mut frames = log.frames(0);
    let mut all = Vec::new();
    while let Some(frame) = frames.next_frame().unwrap() {
        let ops = frame
            .ops()
            .map(|op| (op.kind, op.tag, op.position, op.body.to_vec()));
        all.push((frame.time(), ops.collect()));
    }
    all
}

fn write_fixture(dir: &Path) {
    let (mut writer, log, _) = Log::open(dir, tiny()).unwrap();
    for round in 0..ROUNDS {
        let body = body(round);
        let ops = [
            Op::append(round as u32 % 4, &body),
            Op::other(1, 0, b"settled"),
        ];
        writer.stage(1_700_000_000_000_000 + round, ops).unwrap();
        writer
            .stage(1_700_000_000_000_000 + round, [Op::append(9, b"")])
            .unwrap();
        writer
            .commit(if round == 7 {
                Level::Written
            } else {
                Level::Synced
            })
            .unwrap();
        if round == 10 {
            log.store_snapshot(log.durable_frame(), b"the state after round 10")
                .unwrap();
        }
    }
    writer.close().unwrap();
}

#[test]
fn a_log_of_every_format_opens_for_ever() {
    for format in 1..=FORMAT_VERSION {
        open_fixture(&fixture(format));
    }
}

fn open_fixture(fixture: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        files += 1;
    }
    assert!(files >= 5, "the fixture is not there");
    assert_eq!(check(dir.path()).unwrap().problems, []);
    let (mut writer, log, recovered) = Log::open(dir.path(), tiny()).unwrap();
    assert!(recovered.clean);
    let snapshot = recovered.snapshot.as_ref().unwrap();
    assert_eq!(
        (snapshot.frame, &*snapshot.bytes),
        (22, &b"the state after round 10"[..])
    );
    assert_eq!(recovered.first_frame(), 23);
    assert_eq!(log.watermark(), ROUNDS * 2);
    for round in 0..ROUNDS {
        let record = log.read(round * 2 + 1).unwrap().unwrap();
        assert_eq!(
            (record.tag, record.body.to_vec()),
            (round as u32 % 4, body(round))
        );
        assert_eq!(record.time, 1_700_000_000_000_000 + round);
        assert_eq!(log.read(round * 2 + 2).unwrap().unwrap().body, "");
    }
    let staged = writer.stage(1, [Op::append(0, b"today")]).unwrap();
    assert_eq!(staged.first_position, ROUNDS * 2 + 1);
    writer.commit(Level::Synced).unwrap();
    // What is added to an older log is of this format, and reads on without a seam.
    assert_eq!(as_read(&log).len() as u64, ROUNDS * 2 + 1);
    writer.close().unwrap();
    drop((log, recovered));
    assert_eq!(check(dir.path()).unwrap().problems, []);
    let read = naive::read(&naive::segments_in(dir.path()));
    assert_eq!(read.len() as u64, ROUNDS * 2 + 1);
}

#[test]
fn this_version_still_writes_what_the_fixture_shows() {
    let fixture = fixture(FORMAT_VERSION);
    if !fixture.exists() && std::env::var_os("HENCE_BLESS").is_some() {
        // A new format needs a fixture of its own; one that is there stays as it is.
        std::fs::create_dir(&fixture).unwrap();
        write_fixture(&fixture);
        std::fs::remove_file(fixture.join("lock")).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let (mine, fixture) = (naive::segments_in(dir.path()), naive::segments_in(&fixture));
    assert_eq!(mine.len(), fixture.len());
    assert_eq!(naive::read(&mine), naive::read(&fixture));
    // Ids and checksums differ; where everything lies does not.
    for (name, file) in &mine {
        let differ = |at: &usize| file[*at] != fixture[name][*at];
        let same = file.len() - (0..file.len()).filter(differ).count();
        assert!(
            same * 100 > file.len() * 80,
            "{name}: {same} of {}",
            file.len()
        );
    }
}

/// A batch of frames: per frame the operations' kinds, tags and body lengths.
fn frames() -> impl Strategy<Value = Vec<Vec<(u8, u32, usize)>>> {
    let op = (0..4u8, any::<u32>(), prop_oneof![0..40usize, 100..700usize]);
    proptest::collection::vec(proptest::collection::vec(op, 0..6), 1..40)
}

fn store(frames: &[Vec<(u8, u32, usize)>], seed: u64) -> SimStorage {
    let storage = SimStorage::new();
    let mut dice = Dice::new(seed);
    let options = Options::default().segment_bytes(8 << 10);
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), options).unwrap();
    let mut expected = Vec::new();
    let mut position = 0;
    for (time, frame) in (0..).zip(frames) {
        let bodies: Vec<Vec<u8>> = frame
            .iter()
            .map(|op| (0..op.2).map(|_| dice.roll() as u8).collect())
            .collect();
        let ops = frame.iter().zip(&bodies).map(|(op, body)| Op {
            kind: op.0,
            tag: op.1,
            body,
        });
        writer.stage(time, ops.clone()).unwrap();
        let ops = ops.map(|op| {
            position += u64::from(op.kind == 0);
            (
                op.kind,
                op.tag,
                (op.kind == 0).then_some(position),
                op.body.to_vec(),
            )
        });
        expected.push((time, ops.collect::<Vec<_>>()));
        if dice.below(4) == 0 || writer.is_full() {
            writer.commit(Level::Synced).unwrap();
        }
    }
    writer.commit(Level::Synced).unwrap();
    writer.close().unwrap();
    assert_eq!(as_read(&log), expected);
    storage
}

fn segments(storage: &SimStorage) -> std::collections::BTreeMap<String, Vec<u8>> {
    let names = storage
        .names()
        .into_iter()
        .filter(|name| name.starts_with("segment-"));
    names
        .map(|name| (name.clone(), storage.contents(&name)))
        .collect()
}

#[test]
fn commits_of_one_group_share_frames_and_stay_apart() {
    let storage = SimStorage::new();
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), Options::default()).unwrap();
    let body = [7; 256];
    for time in 0..4_000u64 {
        // The clock may go back.
        let time = 1_700_000_000_000_000 + time * 1_000 % 77_777;
        let ops = [Op::append(1, &body), Op::other(3, 2, b"settled")];
        writer.stage(time, ops).unwrap();
        if writer.is_full() {
            writer.commit(Level::Synced).unwrap();
        }
    }
    writer.commit(Level::Synced).unwrap();
    let payload = 4_000 * (256 + 7);
    let used = segments(&storage).into_values().map(|file| {
        let end = file.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        end - 512
    });
    let used: usize = used.sum();
    assert!(used * 100 < payload * 110, "{used} bytes for {payload}");
    assert_eq!(naive::read(&segments(&storage)), as_read(&log));
    // One in the midst of a frame is found by its number, its position, and its time.
    let third = log.frames(3).next_frame().unwrap().unwrap();
    assert_eq!((third.number(), third.position()), (3, 3));
    assert_eq!(third.time(), 1_700_000_000_002_000);
    assert_eq!(log.read(3_999).unwrap().unwrap().position, 3_999);
    drop((writer, log));
    let tail = Options::default().tail_bytes(0);
    let (_, log, _) = Log::open_on(Arc::new(storage), tail).unwrap();
    assert_eq!(
        log.frames(3).next_frame().unwrap().unwrap().time(),
        third.time()
    );
    assert_eq!(log.read(3_999).unwrap().unwrap().position, 3_999);
    assert_eq!(log.last_frame(), 4_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_readers_agree(frames in frames(), seed in any::<u64>()) {
        let storage = store(&frames, seed);
        let (_, log, _) = Log::open_on(Arc::new(storage.clone()), Options::default()).unwrap();
        prop_assert_eq!(naive::read(&segments(&storage)), as_read(&log));
        prop_assert_eq!(check_on(&storage).unwrap().frames, frames.len() as u64);
    }

    #[test]
    fn two_readers_agree_on_a_torn_end(frames in frames(), seed in any::<u64>(), cut in 1..600usize) {
        let storage = store(&frames, seed);
        let (name, file) = segments(&storage).pop_last().unwrap();
        let end = file.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        storage.damage(&name, |bytes| bytes[end.saturating_sub(cut).max(512)..].fill(0));
        let readable = naive::read(&segments(&storage));
        match Log::open_on(Arc::new(storage.clone()), Options::default()) {
            Ok((_, log, _)) => prop_assert_eq!(as_read(&log), readable),
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        frames in frames(),
        seed in any::<u64>(),
        damage in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..20),
    ) {
        let storage = store(&frames, seed);
        for name in storage.names() {
            storage.damage(&name, |bytes| {
                for (at, byte) in &damage {
                    let at = *at as usize % bytes.len().max(1);
                    if let Some(slot) = bytes.get_mut(at) {
                        *slot = *byte;
                    }
                }
            });
        }
        check_on(&storage).unwrap();
        salvage_on(&storage, drop).unwrap();
        if let Ok((_, log, recovered)) = Log::open_on(Arc::new(storage), Options::default()) {
            let _ = recovered.replay(drop);
            let mut reader = log.reader(0);
            while let Ok(Some(_)) = reader.next_record() {}
        }
    }
}
