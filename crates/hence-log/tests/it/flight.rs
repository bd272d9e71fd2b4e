//! Commits that are begun, and finished when the next group is staged.

use std::sync::Arc;

use hence_log::sim::{EINTR, EIO, ENOSPC, Fault, SimStorage};
use hence_log::{Error, ErrorKind, Level, Log, Op, Options, Writer, check_on};

fn opened(storage: &SimStorage) -> Result<(Writer, Log), Error> {
    let options = Options::default().segment_bytes(8 << 10).reserve_bytes(0);
    let (writer, log, _) = Log::open_on(Arc::new(storage.clone()), options)?;
    Ok((writer, log))
}

fn stage(writer: &mut Writer, number: u8) -> Result<u64, Error> {
    let staged = writer.stage(number.into(), [Op::append(1, &[number; 300])])?;
    Ok(staged.first_position)
}

fn stored(log: &Log) -> Vec<(u64, u8)> {
    let mut reader = log.reader(0);
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        found.push((record.position, record.body[0]));
    }
    found
}

#[test]
fn what_is_begun_is_seen_when_it_is_finished_and_what_is_staged_meanwhile_is_the_next_group() {
    let storage = SimStorage::new();
    let (mut writer, log) = opened(&storage).unwrap();
    for number in 1..=40 {
        // Groups of two, so that rolls come between them.
        stage(&mut writer, number).unwrap();
        stage(&mut writer, number).unwrap();
        let before = log.watermark();
        writer.finish().unwrap();
        assert!(log.watermark() == before + 2 || number == 1);
        let syncs = storage.syncs();
        writer.begin(Level::Synced).unwrap();
        assert_eq!(log.durable_frame(), log.last_frame());
        assert_eq!(log.watermark(), 2 * u64::from(number - 1));
        assert!(
            storage.syncs() <= syncs + 3,
            "a roll syncs, a begin does not"
        );
    }
    writer.finish().unwrap();
    writer.finish().unwrap();
    assert_eq!(log.watermark(), 80);
    let expected: Vec<_> = (1..=80).map(|at: u64| (at, at.div_ceil(2) as u8)).collect();
    assert_eq!(stored(&log), expected);
    drop((writer, log));
    storage.crash(1);
    let (_, log) = opened(&storage).unwrap();
    assert_eq!(stored(&log), expected);
}

#[test]
fn what_is_begun_as_written_is_shown_without_a_sync_and_the_next_makes_it_durable() {
    let storage = SimStorage::new();
    let (mut writer, log) = opened(&storage).unwrap();
    // The reservation of positions is synced once.
    stage(&mut writer, 1).unwrap();
    writer.commit(Level::Written).unwrap();
    let syncs = storage.syncs();
    stage(&mut writer, 2).unwrap();
    writer.begin(Level::Written).unwrap();
    assert_eq!(log.watermark(), 1);
    writer.finish().unwrap();
    assert_eq!((log.watermark(), log.durable_frame()), (2, 0));
    assert_eq!(storage.syncs(), syncs);
    // With nothing staged.
    writer.begin(Level::Synced).unwrap();
    assert_eq!(log.durable_frame(), 0);
    writer.finish().unwrap();
    assert_eq!((log.durable_frame(), storage.syncs()), (2, syncs + 1));
}

type Way = fn(&mut Writer) -> Result<(), Error>;

#[test]
fn all_else_finishes_first_what_was_begun() {
    let ways: [Way; 4] = [
        |writer| writer.commit(Level::Written),
        Writer::mark,
        Writer::seal,
        |writer| writer.begin(Level::Synced),
    ];
    for way in ways {
        let storage = SimStorage::new();
        let (mut writer, log) = opened(&storage).unwrap();
        stage(&mut writer, 1).unwrap();
        writer.begin(Level::Synced).unwrap();
        way(&mut writer).unwrap();
        assert_eq!((log.watermark(), log.durable_frame()), (1, 1));
        writer.finish().unwrap();
        stage(&mut writer, 2).unwrap();
        writer.begin(Level::Synced).unwrap();
        stage(&mut writer, 3).unwrap();
        writer.close().unwrap();
        assert_eq!(
            stored(&log),
            [(1, 1), (2, 2)],
            "what is only staged is dropped"
        );
        assert_eq!(check_on(&storage).unwrap().problems, []);
    }
}

#[test]
fn what_was_not_finished_may_be_lost_and_what_is_staged_is() {
    let mut lost = 0;
    for seed in 0..40 {
        let storage = SimStorage::new();
        let (mut writer, log) = opened(&storage).unwrap();
        stage(&mut writer, 1).unwrap();
        writer.commit(Level::Synced).unwrap();
        stage(&mut writer, 2).unwrap();
        writer.begin(Level::Synced).unwrap();
        stage(&mut writer, 3).unwrap();
        drop((writer, log));
        storage.crash(seed);
        let (_, log) = opened(&storage).unwrap();
        let found = stored(&log);
        assert!(found == [(1, 1)] || found == [(1, 1), (2, 2)], "{found:?}");
        lost += u64::from(found.len() == 1);
    }
    assert!((1..40).contains(&lost), "{lost} of 40");
}

/// Stores groups with one call failing; false when there is no such call.
fn fail_nth(call: u64, fault: Fault) -> bool {
    let storage = SimStorage::new();
    storage.plan(call, fault);
    let (mut acknowledged, mut under_way) = (Vec::new(), Vec::new());
    if let Ok((mut writer, log)) = opened(&storage) {
        for number in 0..24 {
            let group: Vec<_> = (0..3)
                .filter_map(|_| Some((stage(&mut writer, number).ok()?, number)))
                .collect();
            let finished = writer.finish();
            if let Err(error) = &finished {
                assert_eq!(*error.kind(), ErrorKind::Poisoned, "{error:?}");
                assert_eq!(stored(&log), acknowledged);
                writer.begin(Level::Synced).unwrap_err();
                break;
            }
            acknowledged.append(&mut under_way);
            let begun = writer.begin(Level::Synced);
            match begun {
                Ok(()) => under_way = group,
                Err(error) if *error.kind() == ErrorKind::Poisoned => {
                    under_way = group;
                    break;
                }
                Err(_) => assert_eq!(stored(&log), acknowledged),
            }
        }
        assert_eq!(stored(&log), acknowledged, "call {call}, {fault:?}");
    }
    if storage.fired() == 0 {
        return false;
    }
    storage.crash(call);
    let (_, log) = opened(&storage).unwrap();
    let found = stored(&log);
    let (kept, more) = found.split_at(acknowledged.len().min(found.len()));
    assert_eq!(kept, acknowledged, "call {call}, {fault:?}");
    assert!(
        under_way.starts_with(more),
        "call {call}, {fault:?}: {more:?}"
    );
    assert_eq!(check_on(&storage).unwrap().problems, []);
    true
}

#[test]
fn each_call_that_fails_between_begin_and_finish_loses_nothing_acknowledged() {
    for fault in [
        Fault::Error(EIO),
        Fault::Error(ENOSPC),
        Fault::Error(EINTR),
        Fault::Short,
    ] {
        let calls = (1..).take_while(|&call| fail_nth(call, fault)).count();
        assert!(calls > 80, "{fault:?}: {calls}");
    }
}
