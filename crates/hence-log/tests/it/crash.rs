//! Power cuts at every kind of moment, against an oracle outside the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use hence_log::sim::{Dice, Fault, SimStorage};
use hence_log::{Level, Log, Op, Options, Retention, Writer};

/// One frame as the oracle knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    first: u64,
    bodies: Vec<Vec<u8>>,
    others: usize,
}

#[derive(Default)]
struct Oracle {
    /// Acknowledged as synced, or found after a crash: must be there for ever.
    certain: Vec<Known>,
    /// Stored since, in order: a prefix may survive a crash.
    possible: Vec<Known>,
    /// How many of those were acknowledged as written.
    written: usize,
    /// What readers may have seen at a position.
    seen: BTreeMap<u64, Vec<u8>>,
    serial: u64,
    snapshot: Option<(u64, Vec<u8>)>,
    /// How many segments retention took.
    retired: usize,
}

impl Known {
    fn last(&self) -> u64 {
        if self.bodies.is_empty() {
            0
        } else {
            self.first + self.bodies.len() as u64 - 1
        }
    }
}

impl Oracle {
    fn settle(&mut self) {
        self.certain.append(&mut self.possible);
        self.written = 0;
    }

    fn see(&mut self, frame: &Known) {
        for (position, body) in (frame.first..).zip(&frame.bodies) {
            let before = self.seen.insert(position, body.clone());
            assert!(
                before.is_none_or(|b| b == *body),
                "position {position} was used twice"
            );
        }
    }

    /// What retention took was sealed, so it was durable whatever its level.
    fn retire(&mut self, retired: usize) {
        while self.certain.len() < retired {
            self.certain.push(self.possible.remove(0));
            self.written = self.written.saturating_sub(1);
        }
    }

    fn check(&mut self, retired: usize, found: &[Known]) {
        self.retire(retired);
        let certain = self.certain.len() - retired;
        assert!(
            found.len() >= certain,
            "{} of {certain} acknowledged frames",
            found.len()
        );
        assert_eq!(
            found[..certain],
            self.certain[retired..],
            "acknowledged frames changed"
        );
        let more = &found[certain..];
        assert!(
            more.len() >= self.written,
            "written frames did not survive the process"
        );
        assert!(
            more.len() <= self.possible.len(),
            "more frames than were written"
        );
        assert_eq!(
            more,
            &self.possible[..more.len()],
            "survivors are no prefix of the written"
        );
        for frame in more {
            self.see(frame);
        }
        self.certain.extend_from_slice(more);
        self.possible.clear();
        self.written = 0;
    }

    fn stage(&mut self, dice: &mut Dice, writer: &mut Writer) -> Option<Known> {
        let (count, others) = (dice.below(5), dice.below(3) as usize);
        let bodies: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                self.serial += 1;
                let mut body = self.serial.to_le_bytes().to_vec();
                body.resize(8 + dice.below(1200) as usize * dice.below(2) as usize, 7);
                body
            })
            .collect();
        let ops = bodies
            .iter()
            .map(|body| Op::append(dice.below(9) as u32, body));
        let ops = ops.chain((0..others).map(|_| Op::other(9, 0, b"other")));
        let staged = writer.stage(self.serial, ops).ok()?;
        assert_eq!(staged.count, count);
        for position in staged.first_position..staged.first_position + count {
            assert!(
                !self.seen.contains_key(&position),
                "position {position} was seen before"
            );
        }
        Some(Known {
            first: staged.first_position,
            bodies,
            others,
        })
    }
}

fn all_frames(log: &Log) -> hence_log::Result<Vec<Known>> {
    let mut frames = log.frames(0);
    let before = log.first_frame();
    let mut all = Vec::new();
    while let Some(frame) = frames.next_frame()? {
        assert_eq!(frame.number(), all.len() as u64 + before);
        let (appends, others): (Vec<_>, Vec<_>) = frame.ops().partition(|op| op.kind == 0);
        let positions = appends.iter().map(|op| op.position.unwrap());
        assert!(positions.eq((frame.position()..).take(appends.len())));
        let bodies = appends.iter().map(|op| op.body.to_vec()).collect();
        all.push(Known {
            first: frame.position(),
            bodies,
            others: others.len(),
        });
    }
    Ok(all)
}

/// One life of the log between two crashes; ends early when the power goes.
fn live(storage: &SimStorage, oracle: &mut Oracle, dice: &mut Dice) -> hence_log::Result<()> {
    let options = Options::default()
        .segment_bytes(8 << 10)
        .tail_bytes(dice.below(2) as usize * 4096);
    let (mut writer, log, recovered) = Log::open_on(Arc::new(storage.clone()), options)?;
    let snapshot = recovered
        .snapshot
        .map(|found| (found.frame, found.bytes.to_vec()));
    if snapshot != oracle.snapshot {
        let behind =
            snapshot.as_ref().map_or(0, |s| s.0) < oracle.snapshot.as_ref().map_or(0, |s| s.0);
        assert!(!behind, "an acknowledged snapshot is gone");
        oracle.snapshot = snapshot;
    }
    oracle.check(log.first_frame() as usize - 1, &all_frames(&log)?);
    let calm = dice.below(4) == 0;
    for _ in 0..dice.below(12) {
        let mut group = Vec::new();
        for _ in 0..dice.below(6) {
            group.extend(oracle.stage(dice, &mut writer));
        }
        let level = if !calm && dice.below(3) == 0 {
            Level::Written
        } else {
            Level::Synced
        };
        oracle.possible.extend(group.iter().cloned());
        writer.commit(level)?;
        for frame in &group {
            oracle.see(frame);
        }
        if level == Level::Synced {
            oracle.settle();
        }
        oracle.written = oracle.possible.len();
        let last = oracle
            .certain
            .iter()
            .chain(&oracle.possible)
            .map(Known::last)
            .max();
        assert!(
            log.watermark() >= last.unwrap_or(0),
            "acknowledged events are not visible"
        );
        match dice.below(8) {
            0 => {
                writer.mark()?;
                oracle.settle();
            }
            1 if log.durable_frame() > oracle.snapshot.as_ref().map_or(0, |s| s.0) => {
                let (frame, bytes) = (log.durable_frame(), oracle.serial.to_le_bytes().to_vec());
                log.store_snapshot(frame, &bytes)?;
                oracle.snapshot = Some((frame, bytes));
            }
            2 => {
                let retention = Retention {
                    bytes_max: Some(16 << 10),
                    ..Retention::default()
                };
                oracle.retired += log.retain(&retention)?.segments;
            }
            _ => {}
        }
    }
    let mut found = all_frames(&log)?;
    let retired = log.first_frame() as usize - 1;
    oracle.retire(retired);
    let written = found.split_off(oracle.certain.len() - retired);
    assert_eq!(found, oracle.certain[retired..]);
    assert_eq!(written, oracle.possible);
    if dice.below(3) == 0 {
        writer.close()?;
        oracle.settle();
    }
    Ok(())
}

/// Runs many lives on one disk; says whether a crash lost anything that was written, and whether
/// a segment was retired.
fn run(seed: u64) -> (bool, bool) {
    let mut dice = Dice::new(seed);
    let storage = SimStorage::new();
    let mut oracle = Oracle::default();
    for _ in 0..8 {
        storage.plan(1 + dice.below(120), Fault::PowerCut);
        let fired = storage.fired();
        if let Err(error) = live(&storage, &mut oracle, &mut dice) {
            assert!(
                storage.fired() > fired,
                "seed {seed}: {error:?} without a power cut"
            );
        }
        if dice.below(5) == 0 {
            storage.kill();
        } else {
            storage.crash(dice.roll());
            oracle.written = 0;
        }
    }
    live(&storage, &mut oracle, &mut dice).unwrap_or_else(|e| panic!("seed {seed}: {e:?}"));
    (storage.lost_sectors() > 0, oracle.retired > 0)
}

/// How many seeds; `HENCE_SEEDS` asks for more.
fn seeds(short: u64) -> u64 {
    std::env::var("HENCE_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(short)
}

#[test]
fn no_power_cut_loses_resurrects_or_reorders() {
    let count = seeds(600);
    let (mut lossy, mut retired) = (0, 0);
    for seed in 0..count {
        let (lost, gone) = run(seed);
        lossy += u64::from(lost);
        retired += u64::from(gone);
    }
    assert!(
        lossy * 5 >= count,
        "only {lossy} of {count} runs lost unsynced bytes: proves nothing"
    );
    assert!(
        retired * 10 >= count,
        "only {retired} of {count} runs recycled a segment"
    );
}

#[test]
fn a_mark_that_a_killed_process_left_is_not_called_durable() {
    let mut torn = 0;
    for seed in 0..300 {
        let storage = SimStorage::new();
        let options = || Options::default().segment_bytes(16 << 10);
        let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), options()).unwrap();
        writer.stage(1, [Op::append(1, &[1; 400])]).unwrap();
        writer.commit(Level::Synced).unwrap();
        writer.mark().unwrap();
        drop((writer, log));
        storage.kill();
        let (mut writer, log, recovered) =
            Log::open_on(Arc::new(storage.clone()), options()).unwrap();
        assert!(recovered.clean);
        for _ in 0..8 {
            writer.stage(2, [Op::append(1, &[2; 600])]).unwrap();
        }
        // The write, then the sync, in which the power goes.
        storage.plan(2, Fault::PowerCut);
        writer.commit(Level::Synced).unwrap_err();
        drop((writer, log, recovered));
        storage.crash(seed);
        let (_, log, recovered) = Log::open_on(Arc::new(storage), options())
            .unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        assert!(log.read(1).unwrap().is_some());
        torn += u64::from(recovered.cut.is_some());
    }
    assert!(torn > 30, "only {torn} groups were torn");
}

/// A sync that fails leaves pages behind that the kernel calls clean and that are not on the disk.
#[test]
fn a_mark_that_was_not_synced_is_written_again() {
    for call in 1..=6 {
        for seed in 0..20 {
            let storage = SimStorage::new();
            let open = || {
                let options = Options::default().segment_bytes(8 << 10);
                Log::open_on(Arc::new(storage.clone()), options)
            };
            let store = |writer: &mut Writer, body: &[u8]| {
                writer.stage(1, [Op::append(1, body)]).unwrap();
                writer.commit(Level::Synced).unwrap();
            };
            let (mut writer, _, _) = open().unwrap();
            store(&mut writer, b"before");
            storage.plan(call, Fault::Error(hence_log::sim::EIO));
            drop(writer.close());
            storage.kill();
            let (mut writer, _, _) = open().unwrap();
            store(&mut writer, b"behind");
            drop(writer);
            storage.crash(seed);
            let (_, log, _) = open().unwrap_or_else(|e| panic!("call {call}, seed {seed}: {e:?}"));
            assert_eq!(
                all_frames(&log).unwrap().len(),
                2,
                "call {call}, seed {seed}"
            );
        }
    }
}

/// A group that failed on a full disk may have synced frames behind the place where the log ends.
#[test]
fn a_failed_group_leaves_nothing_behind_that_looks_like_damage() {
    let mut full = 0;
    for (filler, call, seed) in (7300..7550)
        .step_by(12)
        .flat_map(|filler| (1..=18).map(move |call| (filler, call, filler as u64 + call)))
    {
        for power_cut in [false, true] {
            let storage = SimStorage::new();
            let open = || {
                let options = Options::default().segment_bytes(8 << 10);
                Log::open_on(Arc::new(storage.clone()), options)
            };
            let (mut writer, _, _) = open().unwrap();
            writer.stage(1, [Op::append(1, &vec![1; filler])]).unwrap();
            writer.commit(Level::Synced).unwrap();
            storage.plan(call, Fault::Error(hence_log::sim::ENOSPC));
            let staged = writer.stage(2, [Op::append(1, &[2; 300])]);
            let stored = staged.and_then(|_| writer.commit(Level::Written));
            full += u32::from(stored.is_err_and(|e| e.is_retryable()));
            if power_cut {
                storage.crash(seed);
            } else {
                storage.kill();
            }
            let (_, log, _) = open()
                .unwrap_or_else(|e| panic!("filler {filler}, call {call}, {power_cut}: {e:?}"));
            assert!(!all_frames(&log).unwrap().is_empty());
        }
    }
    assert!(full > 100, "the disk was full {full} times only");
}
