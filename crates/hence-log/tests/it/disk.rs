//! The log on a real directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hence_log::sim::{Fault, SimStorage};
use hence_log::{ErrorKind, Level, Log, Op, Options, Reader, Writer};

fn small() -> Options {
    Options::default().segment_bytes(64 << 10)
}

fn append(writer: &mut Writer, time: u64, bodies: &[&[u8]]) -> u64 {
    let ops = bodies
        .iter()
        .map(|body| Op::append(body.len() as u32, body));
    writer.stage(time, ops).unwrap().first_position
}

fn rest(reader: &mut Reader) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        all.push((record.position, record.body.to_vec()));
    }
    all
}

#[test]
fn what_is_committed_is_read_hot_and_cold_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, recovered) = Log::open(dir.path(), small()).unwrap();
    assert_eq!(recovered.first_frame(), 1);
    let mut expected = Vec::new();
    for round in 0..600u64 {
        let body = vec![round as u8; 100 + round as usize % 700];
        let first = append(&mut writer, round, &[&body, b"second"]);
        assert_eq!(first, round * 2 + 1);
        expected.push((first, body));
        expected.push((first + 1, b"second".to_vec()));
        if round % 7 == 0 {
            writer.commit(Level::Synced).unwrap();
        }
    }
    assert_eq!(
        log.watermark(),
        596 * 2,
        "what is only staged is not visible"
    );
    writer.commit(Level::Synced).unwrap();
    assert_eq!(rest(&mut log.reader(1)), expected);
    writer.close().unwrap();
    drop((log, recovered));

    let options = small().tail_bytes(0);
    let (writer, log, recovered) = Log::open(dir.path(), options).unwrap();
    assert!(recovered.clean);
    assert_eq!(recovered.cut, None);
    assert_eq!(rest(&mut log.reader(1)), expected);
    assert_eq!(rest(&mut log.reader(1000)), expected[999..]);
    assert_eq!(log.read(777).unwrap().unwrap().body, expected[776].1);
    assert_eq!(recovered.replay(|_| {}).unwrap(), 600);
    drop(writer);
}

#[test]
fn a_reader_goes_on_from_memory_when_it_has_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = Log::open(dir.path(), small()).unwrap();
    let mut reader = log.reader(1);
    let seen = Arc::new(AtomicU64::new(0));
    let hook = Arc::clone(&seen);
    let subscription = log.on_advance(move |position| hook.store(position, Ordering::Relaxed));
    for round in 1..50u64 {
        assert!(reader.next_record().unwrap().is_none());
        append(&mut writer, round, &[b"x"]);
        assert!(
            reader.next_record().unwrap().is_none(),
            "staged is not visible"
        );
        writer.commit(Level::Synced).unwrap();
        assert_eq!(reader.next_record().unwrap().unwrap().position, round);
        assert_eq!(seen.load(Ordering::Relaxed), round);
    }
    drop(subscription);
}

#[test]
fn a_second_opener_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Log::open(dir.path(), small()).unwrap();
    let second = Log::open(dir.path(), small()).map(|_| ()).unwrap_err();
    assert_eq!(*second.kind(), ErrorKind::Locked);
    drop(first);
    Log::open(dir.path(), small()).unwrap();
}

#[test]
fn a_snapshot_is_given_back_with_the_frames_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = Log::open(dir.path(), small()).unwrap();
    for round in 0..10u64 {
        writer
            .stage(
                round,
                [Op::other(3, 0, b"settled"), Op::append(1, b"event")],
            )
            .unwrap();
    }
    let early = log.store_snapshot(10, b"state").unwrap_err();
    assert_eq!(*early.kind(), ErrorKind::SnapshotAhead { durable: 0 });
    writer.commit(Level::Synced).unwrap();
    log.store_snapshot(7, b"state").unwrap();
    drop((writer, log));
    let (_, _, recovered) = Log::open(dir.path(), small()).unwrap();
    let snapshot = recovered.snapshot.as_ref().unwrap();
    assert_eq!((snapshot.frame, &*snapshot.bytes), (7, &b"state"[..]));
    let mut numbers = Vec::new();
    recovered
        .replay(|frame| numbers.push((frame.number(), frame.ops().count())))
        .unwrap();
    assert_eq!(numbers, [(8, 2), (9, 2), (10, 2)]);
}

#[test]
fn a_group_writes_its_last_page_to_the_end() {
    let storage = SimStorage::new();
    let name = "segment-00000000000000000001.hlog";
    let options = || Options::default().segment_bytes(64 << 10);
    for (round, bytes) in [100, 4000, 5000, 40_000, 14_000].into_iter().enumerate() {
        let opened = Log::open_on(Arc::new(storage.clone()), options());
        let (mut writer, log, _) = opened.unwrap();
        // As a file that is used again: old bytes everywhere behind the end word.
        let end = storage
            .contents(name)
            .iter()
            .rposition(|byte| *byte == b'x');
        let end = end.map_or(512, |last| last + 1);
        storage.damage(name, |file| file[end + 8..].fill(0xFF));
        append(&mut writer, round as u64, &[&vec![b'x'; bytes]]);
        writer.commit(Level::Synced).unwrap();
        assert_eq!(log.watermark(), round as u64 + 1);
        let file = storage.contents(name);
        let end = file.iter().rposition(|byte| *byte == b'x').unwrap() + 1;
        let page = (end + 8).next_multiple_of(4096).min(file.len());
        assert!(file[end..page].iter().all(|byte| *byte == 0), "{end}");
        assert!(file[page..].iter().all(|byte| *byte == 0xFF), "{end}");
        drop((writer, log));
        storage.kill();
    }
}

/// What is synced to a file without a name ends with the process.
#[test]
fn a_segment_that_is_removed_while_it_is_written_stops_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = Log::open(dir.path(), small()).unwrap();
    append(&mut writer, 1, &[b"one"]);
    writer.commit(Level::Synced).unwrap();
    let name = "segment-00000000000000000001.hlog";
    std::fs::remove_file(dir.path().join(name)).unwrap();
    let error = writer.mark().unwrap_err();
    let file = name.to_owned();
    assert_eq!(*error.kind(), ErrorKind::MissingSegment { file });
    let error = writer.commit(Level::Synced).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Poisoned);
    // As long as the process lives it can be read.
    assert_eq!(rest(&mut log.reader(1)).len(), 1);

    // Nobody need be idle for it.
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _log, _) = Log::open(dir.path(), small().segment_bytes(8 << 20)).unwrap();
    std::fs::remove_file(dir.path().join(name)).unwrap();
    let stopped = (0..64).find_map(|time| {
        let staged = writer.stage(time, [Op::append(1, &[7; 60 << 10])]);
        staged.and_then(|_| writer.commit(Level::Synced)).err()
    });
    let error = stopped.expect("it goes on for ever");
    assert!(
        matches!(error.kind(), ErrorKind::MissingSegment { .. }),
        "{error:?}"
    );
}

/// As a copy of the whole directory that is put back in its place, file by file.
#[test]
fn a_segment_that_is_replaced_while_it_is_written_stops_the_log() {
    let name = "segment-00000000000000000001.hlog";
    for linked in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _log, _) = Log::open(dir.path(), small()).unwrap();
        append(&mut writer, 1, &[b"one"]);
        writer.commit(Level::Synced).unwrap();
        let (path, copy) = (dir.path().join(name), dir.path().join("copy"));
        if linked {
            std::fs::hard_link(&path, dir.path().join("other")).unwrap();
        }
        writer.mark().unwrap();
        append(&mut writer, 2, &[b"two"]);
        std::fs::copy(&path, &copy).unwrap();
        std::fs::rename(&copy, &path).unwrap();
        let error = writer.mark().unwrap_err();
        let file = name.to_owned();
        assert_eq!(*error.kind(), ErrorKind::MissingSegment { file });
        let error = writer.commit(Level::Synced).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Poisoned);
    }
}

/// The system has limits, too, and what is said of ours would not help.
#[test]
fn a_file_that_grows_too_large_for_the_system_is_no_snapshot_beyond_our_limit() {
    const EFBIG: i32 = 27;
    let storage = SimStorage::new();
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), small()).unwrap();
    append(&mut writer, 1, &[b"one"]);
    writer.commit(Level::Synced).unwrap();
    // The old file is removed, the new one made, then written.
    storage.plan(3, Fault::Error(EFBIG));
    let error = log.store_snapshot(1, b"state").unwrap_err();
    assert_eq!(storage.fired(), 1);
    assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error:?}");
    log.store_snapshot(1, b"state").unwrap();
}
