use hence_core::attributes::Attributes;
use hence_core::delivery::Position;
use hence_core::time::Timestamp;

use super::*;

const KEEP: usize = 10_000;

fn entry(position: u64) -> Entry {
    let attributes = Attributes::new(position.to_string(), "/s", "t").unwrap();
    Entry {
        position: Position(position),
        appended: Timestamp::from_micros(0),
        message: Message::new(attributes, None),
    }
}

/// However large the entries are, and whoever settles them in whatever order: what is settled takes
/// no more than it may.
#[test]
fn settled_entries_take_no_more_than_they_may() {
    let mut tail = Tail::new(1, KEEP, true);
    for position in 1..=3_000 {
        let size = if position % 50 == 0 { 4_000 } else { 10 };
        tail.push(entry(position), 0, size, usize::from(position % 3 == 0));
        if position % 9 == 0 {
            tail.release(position - 3);
        }
        assert!(tail.closed_bytes <= KEEP + KEEP / SLACK, "at {position}");
        drop(tail.take_gone());
    }
    // What nobody has settled is still there.
    assert!(tail.get(3).is_some() && tail.get(4).is_none());
}
