//! Groups where positions have gaps as large as a segment can tell.

use std::sync::Arc;

use super::{Level, Writer};
use crate::frame::Op;
use crate::log::{Log, Options};
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
