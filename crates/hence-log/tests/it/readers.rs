//! Readers beside a writer: never ahead of it, never stopped by retention, only what they asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hence_log::sim::SimStorage;
use hence_log::{ErrorKind, Level, Log, Op, Options, Retention};

fn small() -> Options {
    Options::default().segment_bytes(16 << 10)
}

#[test]
fn readers_on_other_threads_see_all_in_order_and_nothing_early() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = Log::open(dir.path(), small().tail_bytes(8 << 10)).unwrap();
    let committed = Arc::new(AtomicU64::new(0));
    let total = 6000u64;
    let read_all = |delay: bool| {
        let (log, committed) = (log.clone(), Arc::clone(&committed));
        move || {
            let mut reader = log.reader(1);
            for position in 1..=total {
                let record = loop {
                    match reader.next_record().unwrap() {
                        Some(record) => break record,
                        None => _ = log.wait_beyond(position - 1, Duration::from_secs(5)),
                    }
                };
                // Raised before the commit that shows it: a record can never be beyond it.
                assert!(record.position <= committed.load(Ordering::SeqCst));
                assert_eq!(record.position, position);
                assert_eq!(record.body[..8], position.to_le_bytes());
                if delay && position % 500 == 0 {
                    thread::yield_now();
                }
            }
        }
    };
    let readers: Vec<_> = [false, true, false]
        .map(|delay| thread::spawn(read_all(delay)))
        .into();
    let mut position = 0u64;
    while position < total {
        for _ in 0..7.min(total - position) {
            position += 1;
            let mut body = position.to_le_bytes().to_vec();
            body.resize(8 + position as usize % 90, 0);
            writer.stage(position, [Op::append(1, &body)]).unwrap();
        }
        committed.store(position, Ordering::SeqCst);
        writer.commit(Level::Written).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn a_reader_of_some_tags_skips_segments_without_them() {
    let storage = SimStorage::new();
    let options = small().tail_bytes(0).read_ahead(4 << 10);
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), options).unwrap();
    for position in 1..=2000u64 {
        let tag = if position % 1000 == 7 {
            42
        } else {
            position as u32 % 5
        };
        writer
            .stage(position, [Op::append(tag, &[0; 100])])
            .unwrap();
        if position % 10 == 0 {
            writer.commit(Level::Synced).unwrap();
        }
    }
    let read = |mut reader: hence_log::Reader| {
        let before = storage.calls();
        let mut found = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            found.push((record.position, record.tag));
        }
        (found, storage.calls() - before)
    };
    let (all, calls) = read(log.reader(1));
    assert_eq!(all.len(), 2000);
    let (some, fewer) = read(log.reader(1).with_tags([42]));
    assert_eq!(some, [(7, 42), (1007, 42)]);
    assert!(fewer * 3 < calls, "{fewer} reads of {calls}");
    let (two, _) = read(log.reader(1500).with_tags([3, 4]));
    assert_eq!(
        two,
        all[1499..]
            .iter()
            .copied()
            .filter(|r| r.1 == 3 || r.1 == 4)
            .collect::<Vec<_>>()
    );
}

#[test]
fn retention_keeps_what_snapshots_settlements_and_readers_need() {
    let storage = SimStorage::new();
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), small()).unwrap();
    let fill = |writer: &mut hence_log::Writer, from: u64, to: u64, state: bool| {
        for time in from..to {
            let body = [time as u8; 400];
            let ops = [Op::append(1, &body), Op::other(1, 0, b"s")];
            writer
                .stage(time, ops.into_iter().take(1 + usize::from(state)))
                .unwrap();
            writer.commit(Level::Synced).unwrap();
        }
    };
    fill(&mut writer, 0, 200, true);
    let segments = || {
        storage
            .names()
            .iter()
            .filter(|n| n.starts_with("segment-"))
            .count()
    };
    let before = segments();
    assert!(before > 4);
    let all = Retention {
        settled: Some(u64::MAX),
        ..Retention::default()
    };
    assert_eq!(
        log.retain(&all).unwrap().segments,
        0,
        "no snapshot reflects the settlements"
    );
    log.store_snapshot(100, b"first").unwrap();
    log.store_snapshot(200, b"second").unwrap();
    let half = log.retain(&all).unwrap().segments;
    assert!(
        half > 0 && half < before - 1,
        "the older snapshot must still be enough to recover"
    );
    assert!(log.first_frame() <= 101);

    let mut reader = log.reader(0);
    reader.next_record().unwrap().unwrap();
    log.store_snapshot(199, b"third").unwrap();
    let settled = log.first_position() + 60;
    log.retain(&Retention {
        settled: Some(settled),
        ..all
    })
    .unwrap();
    assert!(
        log.first_position() <= settled + 1,
        "the unsettled were kept"
    );
    log.retain(&Retention {
        older_than: Some(150),
        ..Retention::default()
    })
    .unwrap();
    assert!(log.read(151).unwrap().is_some());
    log.retain(&Retention {
        bytes_max: Some(16 << 10),
        ..Retention::default()
    })
    .unwrap();
    assert!(segments() <= 2, "one or two segments are left");
    let first = log.first_position();
    let gone = log.reader(1).next_record().unwrap_err();
    assert_eq!(*gone.kind(), ErrorKind::Expired { first });
    assert_eq!(
        log.reader(0).next_record().unwrap().unwrap().position,
        first
    );

    let spares = || {
        storage
            .names()
            .iter()
            .filter(|n| n.starts_with("spare-"))
            .count()
    };
    assert_eq!(spares(), 2);
    fill(&mut writer, 200, 260, false);
    assert!(spares() < 2, "spares are used again");
    drop((writer, reader, log));
    storage.crash(1);
    let (_, log, recovered) = Log::open_on(Arc::new(storage), small()).unwrap();
    assert_eq!(recovered.snapshot.unwrap().frame, 200);
    assert_eq!(log.watermark(), 260);
}

#[test]
fn a_reader_inside_a_retired_segment_reads_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = small().tail_bytes(0).read_ahead(512);
    let (mut writer, log, _) = Log::open(dir.path(), options).unwrap();
    let fill = |writer: &mut hence_log::Writer, count: u64| {
        for time in 0..count {
            writer.stage(time, [Op::append(1, &[7; 400])]).unwrap();
            writer.commit(Level::Synced).unwrap();
        }
    };
    fill(&mut writer, 100);
    let mut reader = log.reader(1);
    reader.next_record().unwrap().unwrap();
    log.retain(&Retention {
        settled: Some(u64::MAX),
        ..Retention::default()
    })
    .unwrap();
    // The files are written again while the reader is still in the oldest.
    fill(&mut writer, 150);
    let mut last = 1;
    let end = loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                assert_eq!((record.position, record.body.len()), (last + 1, 400));
                last += 1;
            }
            Ok(None) => panic!("what lies between is gone"),
            Err(error) => break error.kind().clone(),
        }
    };
    assert!(last > 30);
    assert_eq!(
        end,
        ErrorKind::Expired {
            first: log.first_position()
        }
    );
}

#[test]
fn a_prepared_spare_is_taken_by_the_next_segment() {
    let storage = SimStorage::new();
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), small()).unwrap();
    assert!(log.prepare_spare().unwrap());
    assert!(!log.prepare_spare().unwrap(), "one is enough");
    let spare = storage
        .names()
        .into_iter()
        .find(|name| name.starts_with("spare-"))
        .unwrap();
    for time in 0..60 {
        writer.stage(time, [Op::append(1, &[7; 400])]).unwrap();
        writer.commit(Level::Synced).unwrap();
    }
    assert!(!storage.names().contains(&spare));
    assert_eq!(log.reader(1).next_record().unwrap().unwrap().position, 1);
}

#[test]
fn hooks_end_with_their_subscription() {
    let (mut writer, log, _) = Log::open_on(Arc::new(SimStorage::new()), small()).unwrap();
    let called = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&called);
    drop(log.on_advance(move |_| flag.store(true, Ordering::Relaxed)));
    writer.stage(1, [Op::append(1, b"x")]).unwrap();
    writer.commit(Level::Synced).unwrap();
    assert!(!called.load(Ordering::Relaxed));

    // A function may end its own subscription while it is being called.
    let kept = Arc::new(Mutex::new(None));
    let (own, calls) = (Arc::clone(&kept), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&calls);
    *kept.lock().unwrap() = Some(log.on_advance(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        own.lock().unwrap().take();
    }));
    for _ in 0..2 {
        writer.stage(1, [Op::append(1, b"x")]).unwrap();
        writer.commit(Level::Synced).unwrap();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(log.wait_beyond(0, Duration::ZERO), 3);
    assert_eq!(log.wait_beyond(3, Duration::from_millis(1)), 3);
}
