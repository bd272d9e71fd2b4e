use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hence_core::flow::{Debounce, RateLimit, Singleton, While};
use hence_core::{Attributes, By, Delivery, Message, Options, Position, Skip, Timestamp, envelope};
use proptest::prelude::*;

use super::{Intake, Skipped, Sorted};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(0).after(SECOND * u32::try_from(seconds).unwrap())
}

fn delivery(position: u64, key: Option<&str>, seconds: u64) -> Delivery {
    let mut attributes = Attributes::new(position.to_string(), "/test", "tick").unwrap();
    if let Some(key) = key {
        attributes.set(envelope::KEY, key).unwrap();
    }
    Delivery {
        position: Position(position),
        message: Message::new(attributes, None),
        appended: at(seconds),
        attempt: 1,
        before: 0,
        due: None,
        redriven: false,
    }
}

fn went(taken: &Sorted) -> Vec<u64> {
    taken.go.iter().map(|d| d.position.0).collect()
}

fn skipped(taken: &Sorted) -> Vec<(u64, &'static str, u64)> {
    let of = |s: &Skipped| {
        let by = s.by.map_or(0, |by| by.0);
        (s.delivery.position.0, s.why.as_str(), by)
    };
    taken.skipped.iter().map(of).collect()
}

fn debounced() -> Intake {
    let (by, quiet, most) = (By::KEY, 2 * SECOND, 5 * SECOND);
    let debounce = Some(Debounce { by, quiet, most });
    Intake::new(&Options::default().with(|options| options.debounce = debounce))
}

fn single(then: While) -> Intake {
    let by = By::KEY;
    let singleton = Some(Singleton { by, then });
    Intake::new(&Options::default().with(|options| options.singleton = singleton))
}

#[test]
fn the_last_of_a_burst_is_let_go_when_it_is_quiet() {
    let (mut intake, mut taken) = (debounced(), Sorted::default());
    for (position, seconds) in [(1, 0), (2, 1), (3, 2)] {
        intake.take(delivery(position, Some("a"), 0), at(seconds), &mut taken);
    }
    intake.take(delivery(4, None, 0), at(2), &mut taken);
    assert_eq!(went(&taken), [4], "without the attribute it is alone");
    assert_eq!(skipped(&taken), [(1, "debounced", 2), (2, "debounced", 3)]);
    assert_eq!(intake.load().events, 1);
    assert_eq!(intake.next_due(), Some(at(4)));
    intake.wake(at(3), &mut taken);
    assert_eq!(went(&taken), [4]);
    intake.wake(at(4), &mut taken);
    assert_eq!(went(&taken), [4, 3]);
    assert_eq!(
        (intake.load(), intake.next_due()),
        (super::Load::default(), None)
    );
}

#[test]
fn a_burst_that_never_ends_is_let_go_at_its_greatest_age() {
    let (mut intake, mut taken) = (debounced(), Sorted::default());
    for second in 0..=5 {
        intake.wake(at(second), &mut taken);
        intake.take(delivery(second + 1, Some("a"), 0), at(second), &mut taken);
    }
    assert_eq!(
        went(&taken),
        [5],
        "after five seconds, and the next begins a new one"
    );
    assert_eq!(taken.skipped.len(), 4);
}

#[test]
fn what_was_let_in_once_is_not_held_up() {
    for mut intake in [debounced(), single(While::Skip)] {
        let mut taken = Sorted::default();
        intake.take(delivery(1, Some("a"), 0), at(0), &mut taken);
        intake.wake(at(9), &mut taken);
        let again = Delivery {
            attempt: 2,
            ..delivery(2, Some("a"), 0)
        };
        let redriven = Delivery {
            redriven: true,
            ..delivery(3, Some("a"), 0)
        };
        intake.take(again, at(9), &mut taken);
        intake.take(redriven, at(9), &mut taken);
        assert_eq!(went(&taken), [1, 2, 3]);
    }
}

#[test]
fn a_singleton_skips_what_comes_meanwhile() {
    let (mut intake, mut taken) = (single(While::Skip), Sorted::default());
    for position in 1..=3 {
        intake.take(delivery(position, Some("a"), 0), at(0), &mut taken);
    }
    intake.take(delivery(4, Some("b"), 0), at(0), &mut taken);
    assert_eq!(went(&taken), [1, 4]);
    assert_eq!(skipped(&taken), [(2, "singleton", 1), (3, "singleton", 1)]);
    intake.ended(&delivery(2, Some("a"), 0));
    intake.take(delivery(5, Some("a"), 0), at(0), &mut taken);
    assert_eq!(taken.skipped.len(), 3, "1 is still there");
    intake.ended(&delivery(1, Some("a"), 0));
    intake.take(delivery(6, Some("a"), 0), at(0), &mut taken);
    assert_eq!(went(&taken), [1, 4, 6]);
}

#[test]
fn a_singleton_that_cancels_gives_up_the_one_that_is_there() {
    let (mut intake, mut taken) = (single(While::Cancel), Sorted::default());
    for position in 1..=3 {
        intake.take(delivery(position, Some("a"), 0), at(0), &mut taken);
    }
    assert_eq!(went(&taken), [1, 2, 3]);
    assert_eq!(
        taken.cancel,
        [(Position(1), Position(2)), (Position(2), Position(3))]
    );
    intake.ended(&delivery(1, Some("a"), 0));
    intake.take(delivery(4, Some("a"), 0), at(0), &mut taken);
    assert_eq!(taken.cancel.last(), Some(&(Position(3), Position(4))));
}

#[test]
fn beyond_its_rate_a_group_is_skipped() {
    let rate_limit = Some(RateLimit {
        events: 2,
        per: 10 * SECOND,
        by: Some(By::KEY),
    });
    let options = Options::default().with(|options| options.rate_limit = rate_limit);
    let mut intake = Intake::new(&options);
    let mut taken = Sorted::default();
    for (position, key, second) in [
        (1, "a", 0),
        (2, "a", 0),
        (3, "a", 1),
        (4, "b", 1),
        (5, "a", 5),
        (6, "a", 6),
        (7, "a", 30),
        (8, "a", 30),
    ] {
        // They are all pulled at once: what counts is when they were published.
        intake.take(delivery(position, Some(key), second), at(99), &mut taken);
    }
    assert_eq!(went(&taken), [1, 2, 4, 5, 7, 8]);
    assert_eq!(
        skipped(&taken),
        [(3, "rate-limited", 0), (6, "rate-limited", 0)]
    );
}

proptest! {
    /// Whatever comes when: each event goes on once or is skipped once, and of those that go on
    /// each key keeps its order (G3).
    #[test]
    fn g3_no_event_vanishes_on_its_way_in(
        control in 0..5_u8,
        arrivals in proptest::collection::vec((proptest::option::of(0..3_u8), 0..4_u64, any::<bool>()), 1..80),
    ) {
        let by = By::KEY;
        let (quiet, most, per) = (2 * SECOND, 5 * SECOND, 3 * SECOND);
        let rate = RateLimit { events: 2, per, by: Some(By::KEY) };
        let mut options = Options::default();
        match control {
            0 => options.debounce = Some(Debounce { by, quiet, most }),
            1 => options.singleton = Some(Singleton { by, then: While::Skip }),
            2 => options.singleton = Some(Singleton { by, then: While::Cancel }),
            3 => options.rate_limit = Some(rate),
            _ => {
                options.rate_limit = Some(rate);
                options.debounce = Some(Debounce { by, quiet, most });
            }
        }
        let mut intake = Intake::new(&options);
        let (mut taken, mut now, mut ended) = (Sorted::default(), 0, 0);
        for (position, (key, later, ends)) in arrivals.iter().enumerate() {
            now += later;
            intake.wake(at(now), &mut taken);
            let key = key.map(|key| key.to_string());
            let delivery = delivery(position as u64, key.as_deref(), now);
            intake.take(delivery, at(now), &mut taken);
            if *ends && let Some(delivery) = taken.go.get(ended) {
                intake.ended(delivery);
                ended += 1;
            }
            // The memory of it is that of what waits here, and that is one event of each key.
            prop_assert!(intake.load().events <= 3);
        }
        intake.wake(at(now + 60), &mut taken);
        let mut all: Vec<u64> = went(&taken);
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for delivery in &taken.go {
            if let Some(key) = delivery.message.attributes().key() {
                let before = last.insert(key.to_owned(), delivery.position.0);
                prop_assert!(before.is_none_or(|before| before < delivery.position.0));
            }
        }
        all.extend(taken.skipped.iter().map(|s| s.delivery.position.0));
        prop_assert!(taken.skipped.iter().all(|s| s.why == Skip::RateLimited || s.by.is_some()));
        let distinct: BTreeSet<_> = all.iter().copied().collect();
        prop_assert_eq!((all.len(), distinct.len()), (arrivals.len(), arrivals.len()));
        prop_assert_eq!(intake.load().events, 0);
    }
}
