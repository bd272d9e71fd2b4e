//! Groups where positions have gaps as large as a segment can tell, and the buffers of groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{BUFFER_BYTES, Level, Writer};
use crate::backup::{backup_on, restore_on};
use crate::check::check_on;
use crate::error::ErrorKind;
use crate::frame::Op;
use crate::log::{Log, Options};
use crate::salvage::salvage_to_on;
use crate::segment::POSITIONS_MAX;
use crate::sim::SimStorage;

fn opened(storage: &SimStorage) -> (Writer, Log) {
    let options = Options::default().segment_bytes(16 << 10).reserve_bytes(0);
    let (writer, log, _) =
        Log::open_on(Arc::new(storage.clone()), options).expect("the log is intact");
    (writer, log)
}

fn append(writer: &mut Writer, level: Level) -> u64 {
    let staged = writer.stage(1, [Op::append(1, b"one"), Op::append(1, b"two")]);
    writer.commit(level).expect("no fault was planned");
    staged.expect("it is small").first_position
}

#[test]
fn what_follows_the_largest_gap_is_read_after_a_restart() {
    for short_of_it in 0..3 {
        let storage = SimStorage::new();
        let (mut writer, _) = opened(&storage);
        let skipped = writer.skip_to(1 + POSITIONS_MAX - short_of_it);
        skipped.expect("a segment can tell of it");
        let positions = [0; 3].map(|_| append(&mut writer, Level::Synced));
        writer.close().expect("no fault was planned");
        storage.kill();
        let (_, log) = opened(&storage);
        for position in positions {
            let found = log.read(position).expect("it is intact");
            assert_eq!(found.expect("it was stored").body, "one");
        }
    }
}

#[test]
fn a_reservation_behind_the_largest_gap_is_read_after_a_restart() {
    let storage = SimStorage::new();
    let (mut writer, _) = opened(&storage);
    writer
        .skip_to(POSITIONS_MAX)
        .expect("a segment can tell of it");
    let position = append(&mut writer, Level::Written);
    drop(writer);
    storage.kill();
    let (writer, log) = opened(&storage);
    assert!(log.read(position).expect("it is intact").is_some());
    assert!(writer.next_position() > position + 2, "they were promised");
}

#[test]
fn a_gap_may_be_larger_than_a_segment_can_tell() {
    let storage = SimStorage::new();
    let (mut writer, _) = opened(&storage);
    let first = append(&mut writer, Level::Synced);
    let target = 3 * POSITIONS_MAX + 5;
    writer.skip_to(target).expect("it takes more segments");
    assert_eq!(append(&mut writer, Level::Written), target);
    writer.close().expect("no fault was planned");
    storage.kill();
    assert_eq!(check_on(&storage).expect("it is a log").problems, []);
    let (writer, log) = opened(&storage);
    assert!(writer.next_position() >= target + 2);
    for position in [first, target] {
        let found = log.read(position).expect("it is intact");
        assert_eq!(found.expect("it was stored").body, "one");
    }
    let mut reader = log.reader(first + 2);
    let behind = reader.next_record().expect("it is intact");
    assert_eq!(behind.map(|record| record.position), Some(target));
}

#[test]
fn a_log_that_has_skipped_all_it_can_is_restored_and_salvaged() {
    let (storage, backup) = (SimStorage::new(), SimStorage::new());
    let (mut writer, _) = opened(&storage);
    let first = append(&mut writer, Level::Synced);
    // As far as it is after many rounds of restoring what was restored.
    let end = POSITIONS_MAX - 1;
    writer.skip_to(end).expect("a segment can tell of it");
    writer.close().expect("no fault was planned");
    backup_on(&storage, &backup).expect("it is intact");
    let restored = SimStorage::new();
    restore_on(&backup, Arc::new(restored.clone())).expect("it is whole");
    assert_eq!(check_on(&restored).expect("it is a log").problems, []);
    let (mut writer, log) = opened(&restored);
    let restart = append(&mut writer, Level::Synced);
    assert!(restart > end && log.read(first).expect("intact").is_some());
    writer.close().expect("no fault was planned");

    let salvaged = SimStorage::new();
    let rescued = salvage_to_on(&restored, Arc::new(salvaged.clone())).expect("it is intact");
    assert_eq!((rescued.frames, &*rescued.left_out), (2, &[][..]));
    let (writer, log) = opened(&salvaged);
    assert!(log.read(restart).expect("it is intact").is_some());
    assert_eq!(writer.next_position(), restart + 2);
}

/// The body of the append with a number: so large that a buffer holds few of them.
fn body(number: u64) -> Vec<u8> {
    let byte = u8::try_from(number % 251).expect("less than 251");
    vec![byte; 100_000]
}

#[test]
fn what_a_reader_holds_stays_while_buffers_are_used_again() {
    let (mut writer, log) = opened_with(2 << 20);
    let mut reader = log.reader(1);
    let mut held = Vec::new();
    let mut came_back = 0;
    // Several times what the tail and its buffers hold.
    for number in 1..=200 {
        let staged = writer.stage(1, [Op::append(1, &body(number))]);
        staged.expect("it fits");
        writer.commit(Level::Written).expect("no fault was planned");
        let record = reader.next_record().expect("intact").expect("stored");
        // Of most buffers, which hold about ten, nothing.
        if number % 25 == 0 {
            held.push(record);
        }
        came_back += usize::from(log.shared.hot.read().expect("no panic").used.is_some());
    }
    assert!(came_back > 5, "no buffer is used again");
    for record in held {
        assert_eq!(record.body, body(record.position));
    }
}

#[test]
fn a_group_may_outgrow_its_buffer() {
    let (mut writer, log) = opened_with(1 << 20);
    // More than a group has when its caller looks whether it is full.
    for number in 1..=30 {
        let staged = writer.stage(1, [Op::append(1, &body(number))]);
        staged.expect("it fits");
    }
    writer.commit(Level::Written).expect("no fault was planned");
    let mut reader = log.reader(1);
    for number in 1..=30 {
        let record = reader.next_record().expect("intact").expect("stored");
        assert_eq!((record.position, &*record.body), (number, &*body(number)));
    }
}

/// Where the memory ends that the group is put together in: the same for as long as it is the same.
fn place(writer: &Writer) -> usize {
    writer.buffer.as_ptr() as usize + writer.buffer.capacity()
}

fn counted(log: &Log) -> usize {
    log.shared.hot.read().expect("no panic").bytes
}

#[test]
fn what_is_refused_on_a_full_disk_takes_no_memory() {
    let storage = SimStorage::new();
    storage.limit(Some(8 << 20));
    let options = Options::default().segment_bytes(16 << 20);
    let (mut writer, log, _) =
        Log::open_on(Arc::new(storage), options).expect("there is no log yet");
    let refused = (1..100).find_map(|number| {
        let staged = writer.stage(1, [Op::append(1, &body(number))]);
        writer.commit(Level::Synced).expect("there is room");
        staged.err()
    });
    assert_eq!(refused.map(|e| e.kind().clone()), Some(ErrorKind::Full));
    let (large, mut places) = (vec![7; 2 * BUFFER_BYTES], BTreeSet::new());
    for round in 0..50 {
        // What it appends comes last, after something that is allowed.
        let ops = [Op::other(3, 1, &large), Op::append(1, b"one")];
        let refused = writer.stage(1, ops).expect_err("only the reserve is left");
        assert_eq!(*refused.kind(), ErrorKind::Full, "{round}");
        assert!(writer.is_empty() && writer.tags.is_empty());
        writer
            .stage(1, [Op::other(3, 1, b"small")])
            .expect("it may use the reserve");
        writer.commit(Level::Synced).expect("there is room");
        places.insert(place(&writer));
    }
    assert_eq!(places.len(), 1, "a buffer was given up for nothing");
    let largest = writer.stage(1, [Op::other(3, 1, &vec![7; 17 << 20])]);
    let refused = largest.expect_err("no segment has room for it");
    assert!(matches!(refused.kind(), ErrorKind::TooLarge { .. }));
    assert!(places.contains(&place(&writer)));
    assert!(counted(&log) <= crate::log::TAIL_BYTES + BUFFER_BYTES);
}

#[test]
fn what_is_left_of_a_buffer_is_counted_with_what_keeps_it() {
    let (mut writer, log) = opened_with(64 << 20);
    let large = vec![7; BUFFER_BYTES];
    for round in 1..=5 {
        for body in [&b"small"[..], &large] {
            let staged = writer.stage(1, [Op::append(1, body)]);
            staged.expect("it fits");
            writer.commit(Level::Written).expect("no fault was planned");
        }
        // A buffer of which little is used, and another.
        let counted = counted(&log);
        assert!(counted >= 2 * round * BUFFER_BYTES, "{counted} in {round}");
    }
}

fn opened_with(tail_bytes: usize) -> (Writer, Log) {
    let options = Options::default().tail_bytes(tail_bytes).reserve_bytes(0);
    let (writer, log, _) =
        Log::open_on(Arc::new(SimStorage::new()), options).expect("there is no log yet");
    (writer, log)
}
