use std::time::Duration;

use hence_core::flow::{self, Shedding};
use hence_core::{Attributes, Delivery, Message, Position, Timestamp};

use super::{Shed, WINDOW_EVENTS};

fn now() -> Timestamp {
    Timestamp::from_micros(0).after(Duration::from_secs(1_000_000))
}

fn waiting(priority: i32, wait: Duration) -> Delivery {
    let mut attributes = Attributes::new("1", "/test", "tick").unwrap();
    attributes.set("priority", priority.to_string()).unwrap();
    let micros = now().as_micros() - i64::try_from(wait.as_micros()).unwrap();
    Delivery {
        position: Position(1),
        message: Message::new(attributes, None),
        appended: Timestamp::from_micros(micros),
        attempt: 1,
        before: 0,
        due: None,
        redriven: false,
    }
}

fn shed() -> Shed {
    Shed::new(Some(flow::Shed {
        wait: Duration::from_secs(1),
        then: Shedding::Reject,
    }))
}

/// Which priorities are let in after so many windows in which these come, each waiting so long.
fn let_in(shed: &mut Shed, windows: u64, priorities: &[i32], wait: Duration) -> Vec<i32> {
    for n in 0..windows * WINDOW_EVENTS {
        let priority = priorities[usize::try_from(n).unwrap() % priorities.len()];
        shed.refuses(&waiting(priority, wait), now);
    }
    let mut admitted = priorities.to_vec();
    admitted.retain(|priority| shed.refuses(&waiting(*priority, wait), now).is_none());
    admitted
}

#[test]
fn what_is_least_urgent_is_shed_first_and_comes_back_last() {
    let mut shed = shed();
    let (long, short) = (Duration::from_secs(5), Duration::from_millis(5));
    let all = [3, 2, 1, 0];
    assert_eq!(let_in(&mut shed, 1, &all, short), all);
    assert_eq!(let_in(&mut shed, 1, &all, long), [3, 2, 1]);
    assert_eq!(let_in(&mut shed, 1, &all, long), [3, 2]);
    assert_eq!(
        let_in(&mut shed, 9, &all, long),
        [3],
        "what is most urgent is let in"
    );
    assert_eq!(let_in(&mut shed, 1, &all, short), [3, 2]);
    assert_eq!(let_in(&mut shed, 1, &all, short), [3, 2, 1]);
    assert_eq!(let_in(&mut shed, 1, &all, short), all);
}

#[test]
fn where_all_are_equally_urgent_nothing_is_shed() {
    let mut shed = shed();
    assert_eq!(let_in(&mut shed, 5, &[0], Duration::from_secs(60)), [0]);
}

#[test]
fn what_waits_because_it_was_shed_is_no_sign_of_too_much() {
    let mut shed = shed();
    for _ in 0..5 * WINDOW_EVENTS {
        let again = Delivery {
            due: Some(now()),
            ..waiting(0, Duration::from_secs(60))
        };
        assert_eq!(shed.refuses(&again, now), None);
    }
}

#[test]
fn when_nothing_new_comes_what_was_shed_is_let_in() {
    let mut shed = shed();
    assert_eq!(let_in(&mut shed, 1, &[1, 0], Duration::from_secs(5)), [1]);
    let again = Delivery {
        due: Some(now()),
        ..waiting(0, Duration::from_secs(60))
    };
    assert!(shed.refuses(&again, now).is_some());
    for seconds in [2, 4, 6] {
        shed.refuses(&again, || now().after(Duration::from_secs(seconds)));
    }
    assert!(shed.refuses(&again, now).is_none());
}
