//! Every call to the disk fails once, in turn; and a disk that is full, then is not.

use std::sync::Arc;

use hence_log::sim::{EINTR, EIO, ENOSPC, Fault, SimStorage};
use hence_log::{Error, ErrorKind, Level, Log, Op, Options, Retention, check_on};

const EDQUOT: i32 = 122;
const EAGAIN: i32 = 11;
const EMFILE: i32 = 24;

fn options() -> Options {
    Options::default().segment_bytes(8 << 10).reserve_bytes(0)
}

/// What a run stored, as far as it was told.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<(u64, u8)>,
    /// Acknowledged as written, and not synced since.
    written: Vec<(u64, u8)>,
    /// The group in doubt: its commit poisoned the log.
    doubtful: Vec<(u64, u8)>,
    errors: Vec<ErrorKind>,
}

impl Ledger {
    fn note<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result
            .map_err(|error| self.errors.push(error.kind().clone()))
            .ok()
    }
}

/// A fixed history: groups, rolls, a mark, a snapshot, retention, a clean end. It goes on after
/// every error, as an engine would.
fn history(storage: &SimStorage) -> Ledger {
    let mut ledger = Ledger::default();
    let opened = Log::open_on(Arc::new(storage.clone()), options());
    let Some((mut writer, log, _)) = ledger.note(opened) else {
        return ledger;
    };
    for step in 0..24u8 {
        let mut group = Vec::new();
        for part in 0..3 {
            let body = [step * 3 + part; 300];
            if let Some(staged) = ledger.note(writer.stage(step.into(), [Op::append(1, &body)])) {
                group.push((staged.first_position, step * 3 + part));
            }
        }
        let level = if step % 5 == 0 {
            Level::Written
        } else {
            Level::Synced
        };
        let before = storage.syncs();
        let committed = writer.commit(level);
        if matches!(&committed, Err(error) if *error.kind() == ErrorKind::Poisoned) {
            if ledger.doubtful.is_empty() {
                ledger.doubtful = group;
            }
            assert!(log.poisoned().is_some());
            let more = writer.stage(0, [Op::append(1, b"more")]).unwrap_err();
            assert_eq!(*more.kind(), ErrorKind::Poisoned);
            let after = storage.syncs();
            writer.commit(Level::Synced).unwrap_err();
            writer.mark().unwrap_err();
            assert_eq!(storage.syncs(), after, "a sync was tried again");
            assert!(after - before <= 4);
            let mut reader = log.reader(0);
            while reader.next_record().unwrap().is_some() {}
        } else if ledger.note(committed).is_some() {
            ledger.written.extend(group);
            if level == Level::Synced {
                ledger.acknowledged.append(&mut ledger.written);
            }
        }
        if step == 10 {
            ledger.note(writer.mark());
            let frame = log.durable_frame();
            ledger.note(log.store_snapshot(frame, b"state"));
        }
    }
    ledger.note(log.retain(&Retention {
        bytes_max: Some(16 << 10),
        ..Retention::default()
    }));
    ledger.note(writer.close());
    ledger
}

/// What is stored, from the first position on.
fn stored(storage: &SimStorage, seed: u64) -> Vec<(u64, u8)> {
    let (_, log, _) = Log::open_on(Arc::new(storage.clone()), options())
        .unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    let mut reader = log.reader(0);
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        found.push((record.position, record.body[0]));
    }
    found
}

/// Runs the history with the Nth call failing; false when there is no Nth call.
fn fail_nth(call: u64, fault: Fault) -> bool {
    let storage = SimStorage::new();
    storage.plan(call, fault);
    let mut ledger = history(&storage);
    if storage.fired() == 0 {
        return false;
    }
    let harmless = matches!(fault, Fault::Short | Fault::Error(EINTR));
    for kind in &ledger.errors {
        assert!(
            !matches!(
                kind,
                ErrorKind::Corrupt { .. } | ErrorKind::MissingSegment { .. }
            ),
            "call {call}, {fault:?}: a refusal of the disk was taken for damage: {kind:?}"
        );
        let full = matches!(fault, Fault::Error(ENOSPC | EDQUOT));
        assert!(
            *kind != ErrorKind::Full || full,
            "call {call}, {fault:?}: {kind:?}"
        );
    }
    if fault == Fault::Short {
        assert_eq!(ledger.errors, [], "call {call}: a short write is no error");
    }
    // The power goes too: what was acknowledged must be there without the page cache.
    if harmless {
        storage.kill();
    } else {
        storage.crash(call);
    }
    let found = stored(&storage, call);
    assert!(!found.is_empty() || ledger.acknowledged.is_empty());
    let first = found.first().map_or(u64::MAX, |(position, _)| *position);
    ledger
        .acknowledged
        .retain(|(position, _)| *position >= first);
    let (kept, more) = found.split_at(ledger.acknowledged.len().min(found.len()));
    assert_eq!(kept, ledger.acknowledged, "call {call}, {fault:?}");
    ledger.written.append(&mut ledger.doubtful);
    assert!(
        ledger.written.starts_with(more),
        "call {call}, {fault:?}: {more:?}"
    );
    assert_eq!(check_on(&storage).unwrap().problems, []);
    true
}

#[test]
fn each_call_that_fails_is_reported_and_loses_nothing_acknowledged() {
    let errors = [EIO, ENOSPC, EINTR, EDQUOT, EAGAIN, EMFILE].map(Fault::Error);
    for fault in errors.into_iter().chain([Fault::Short]) {
        let calls = (1..).take_while(|&call| fail_nth(call, fault)).count();
        assert!(calls > 100, "{fault:?}: {calls}");
    }
}

#[test]
fn a_failed_sync_poisons_at_once_and_readers_go_on() {
    let storage = SimStorage::new();
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), options()).unwrap();
    writer.stage(1, [Op::append(1, b"kept")]).unwrap();
    writer.commit(Level::Synced).unwrap();
    writer.stage(2, [Op::append(1, b"doubtful")]).unwrap();
    // The write is the next call, the sync the one after.
    storage.plan(2, Fault::Error(EIO));
    let syncs = storage.syncs();
    let error = writer.commit(Level::Synced).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Poisoned);
    assert!(std::error::Error::source(&error).is_some());
    assert!(!error.is_retryable());
    for _ in 0..3 {
        writer.commit(Level::Synced).unwrap_err();
    }
    assert_eq!(storage.syncs(), syncs + 1, "a sync is never tried again");
    assert_eq!(log.watermark(), 1, "what may be lost is not visible");
    assert_eq!(log.read(1).unwrap().unwrap().body, "kept");
    drop((writer, log));
    storage.crash(0);
    let (_, log, _) = Log::open_on(Arc::new(storage), options()).unwrap();
    assert_eq!(log.read(1).unwrap().unwrap().body, "kept");
}

#[test]
fn a_full_disk_refuses_whole_groups_and_goes_on_when_there_is_room() {
    for budget in (3..60).map(|kib| kib << 10) {
        let storage = SimStorage::new();
        storage.limit(Some(budget));
        let opened = Log::open_on(Arc::new(storage.clone()), options());
        let (mut writer, log, _) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error:?}");
                continue;
            }
        };
        let mut acknowledged = 0;
        let mut refused = 0;
        for step in 0..80u64 {
            let bodies = [[step as u8; 700]; 2];
            let staged = writer.stage(step, bodies.iter().map(|body| Op::append(1, body)));
            let done = staged.and_then(|_| writer.commit(Level::Synced));
            match done {
                Ok(()) => acknowledged += 2,
                Err(error) => {
                    assert_eq!(*error.kind(), ErrorKind::Full, "{error:?}");
                    assert!(error.is_retryable());
                    refused += 1;
                }
            }
            assert_eq!(log.watermark(), acknowledged);
        }
        assert!(refused > 0, "budget {budget} was never reached");
        storage.limit(None);
        writer.stage(99, [Op::append(1, b"room again")]).unwrap();
        writer.commit(Level::Synced).unwrap();
        drop((writer, log));
        storage.crash(budget);
        let (_, log, recovered) = Log::open_on(Arc::new(storage), options()).unwrap();
        assert_eq!(log.watermark(), acknowledged + 1);
        assert_eq!(
            log.read(acknowledged + 1).unwrap().unwrap().body,
            "room again"
        );
        assert_eq!(recovered.replay(|_| {}).unwrap(), acknowledged / 2 + 1);
    }
}

#[test]
fn the_reserve_is_left_to_those_who_settle() {
    let storage = SimStorage::new();
    storage.limit(Some(10 << 20));
    let options = Options::default()
        .segment_bytes(1 << 20)
        .reserve_bytes(1 << 40);
    let (mut writer, _, _) = Log::open_on(Arc::new(storage.clone()), options).unwrap();
    writer.stage(1, [Op::append(1, b"fits")]).unwrap();
    writer.commit(Level::Synced).unwrap();
    // Two per cent of the disk is the reserve: less than that is left now.
    let filler = hence_log::Storage::create(&storage, "filler").unwrap();
    filler.write_at(&vec![1; 9_900 << 10], 0).unwrap();
    let mut refused = None;
    for _ in 0..3000 {
        let staged = writer.stage(1, [Op::other(1, 0, &[0; 400])]);
        staged.unwrap();
        writer.commit(Level::Synced).unwrap();
        if let Err(error) = writer.stage(1, [Op::append(1, b"no room")]) {
            refused = Some(error.kind().clone());
            break;
        }
        writer.commit(Level::Synced).unwrap();
    }
    assert_eq!(refused, Some(ErrorKind::Full));
    writer.stage(1, [Op::other(1, 0, b"settled")]).unwrap();
    writer.commit(Level::Synced).unwrap();
    storage.limit(None);
    writer.stage(1, [Op::append(1, b"room again")]).unwrap();
    writer.commit(Level::Synced).unwrap();
}

#[test]
fn a_refused_group_does_not_come_back_after_a_crash() {
    let storage = SimStorage::new();
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), options()).unwrap();
    writer.stage(1, [Op::append(1, b"kept")]).unwrap();
    writer.commit(Level::Synced).unwrap();
    // Fifteen frames fill the segment: the first run is written, then making the next one fails.
    for _ in 0..15 {
        writer.stage(2, [Op::append(1, &[7; 600])]).unwrap();
    }
    storage.plan(2, Fault::Error(ENOSPC));
    assert_eq!(
        *writer.commit(Level::Synced).unwrap_err().kind(),
        ErrorKind::Full
    );
    assert_eq!(storage.fired(), 1);
    drop((writer, log));
    for seed in 0..64 {
        let dark = storage.fork();
        dark.crash(seed);
        let found = stored(&dark, seed).len();
        assert_eq!(
            found, 1,
            "not stored, they said, and the power went: {seed}"
        );
    }
    storage.kill();
    assert_eq!(
        stored(&storage, 0).len(),
        1,
        "publishers were told that it was not stored"
    );
}

#[test]
fn a_group_that_is_taken_back_while_the_power_goes_leaves_a_log_that_opens() {
    let mut cases = 0;
    for short in 1..40 {
        for cut in 2..40 {
            let storage = SimStorage::new();
            let opened = Log::open_on(Arc::new(storage.clone()), options());
            let (mut writer, log, _) = opened.unwrap();
            writer.stage(1, [Op::append(1, b"kept")]).unwrap();
            writer.commit(Level::Synced).unwrap();
            // More than two segments hold: what lies in the third is written in part.
            for _ in 0..40 {
                writer.stage(2, [Op::append(1, &[7; 600])]).unwrap();
            }
            storage.plan(short, Fault::Short);
            storage.plan(short + 1, Fault::Error(ENOSPC));
            storage.plan(short + cut, Fault::PowerCut);
            let _ = writer.commit(Level::Synced);
            if storage.fired() < 3 {
                break;
            }
            cases += 1;
            drop((writer, log));
            for seed in 0..3 {
                let crashed = storage.fork();
                crashed.crash(seed);
                let found = stored(&crashed, seed);
                assert_eq!(found.first(), Some(&(1, b'k')), "{short}, {cut}, {seed}");
            }
        }
    }
    assert!(cases > 100, "{cases}");
}

#[test]
fn half_a_spare_gives_its_room_back() {
    let storage = SimStorage::new();
    let options = Options::default().segment_bytes(2 << 20).reserve_bytes(0);
    let (_writer, log, _) = Log::open_on(Arc::new(storage.clone()), options).unwrap();
    // Looking at the space and making the file come first, then two writes of a mebibyte.
    storage.plan(4, Fault::Error(ENOSPC));
    let error = log.prepare_spare().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Full);
    assert!(
        !storage
            .names()
            .iter()
            .any(|name| name.starts_with("spare-"))
    );
    assert!(log.prepare_spare().unwrap(), "there is room again");
}
