use hence::core::Position;
use hence::core::engine::AttemptReport;
use hence::explain::Standing;

use super::*;

fn row(state: DeliveryState, place: Place, stops: Vec<Stop>) -> serde_json::Value {
    let verdict = Verdict {
        subscription: "mail".to_owned(),
        clause: Clause::Type(Position(1)),
        report: Some(DeliveryReport {
            subscription: "mail".to_owned(),
            state,
            attempts: Vec::new(),
        }),
        standing: Some(Standing {
            place,
            stops,
            attempts: 8,
        }),
        after: Vec::new(),
    };
    serde_json::to_value(Row::stored(&verdict, None)).unwrap()
}

/// The state and the words for what it waits for.
fn words(row: &serde_json::Value) -> (&str, Vec<&str>) {
    let waits = row["waits"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let words = waits.iter().map(|wait| {
        assert!(!wait["detail"].as_str().unwrap().is_empty(), "{wait}");
        wait["for"].as_str().unwrap()
    });
    (row["state"].as_str().unwrap(), words.collect())
}

#[test]
fn each_thing_that_an_event_waits_for_has_its_word() {
    let due = Timestamp::from_micros(1_000_000);
    let waits = |ahead, behind| Place::Waits { ahead, behind };
    let alone = |turn| Place::Alone { crashes: 1, turn };
    let group = Behind::Group {
        name: Some("acme".to_owned()),
        most: 3,
    };
    for (place, wanted) in [
        (Place::BacksOff(due), &["back-off"][..]),
        (Place::Debounced(due), &["debounce"]),
        (Place::Shed(due), &["shed"]),
        (Place::Noted, &["crash-note"]),
        (alone(None), &["alone"]),
        (waits(Some(0), None), &["turn"]),
        (waits(Some(2), None), &["turn"]),
        (waits(None, None), &["turn"]),
        (waits(Some(0), Some(group)), &["limit"]),
        (waits(Some(1), Some(Behind::Running)), &["key", "turn"]),
        (
            waits(Some(0), Some(Behind::Alone(Position(3)))),
            &["key-alone"],
        ),
        (
            waits(None, Some(Behind::BacksOff(Position(3), due))),
            &["key-back-off"],
        ),
    ] {
        let row = row(DeliveryState::Running, place, Vec::new());
        assert_eq!(words(&row), ("waiting", wanted.to_vec()), "{row}");
    }
    let turn = Turn {
        subscription: "charge".to_owned(),
        position: Position(2),
    };
    let behind = row(DeliveryState::Running, alone(Some(turn)), Vec::new());
    let wait = &behind["waits"][0];
    assert_eq!(
        (&wait["position"], &wait["subscription"]),
        (&"2".into(), &"charge".into())
    );
    let held = waits(None, Some(Behind::DeadLetter(Position(3))));
    let row = row(DeliveryState::Waiting, held, Vec::new());
    assert_eq!(words(&row), ("held", vec!["dead-letter"]));
}

#[test]
fn each_stop_of_a_subscription_has_its_word() {
    let due = Timestamp::from_micros(1_000_000);
    let asked = hence::pause::Paused {
        since: due,
        by: "ops".to_owned(),
        reason: "the bank is closed".to_owned(),
    };
    for (stop, wanted) in [
        (Stop::Concurrency(3), "concurrency"),
        (Stop::Throttle(due), "throttle"),
        (Stop::Tripped(Some(due)), "breaker"),
        (Stop::Paused("1000 events wait".to_owned()), "paused"),
        (Stop::Asked(asked), "paused-by"),
        (Stop::Full, "full"),
        (Stop::Batch(due), "batch"),
        (Stop::Reading(due), "reading"),
    ] {
        let next = Place::Waits {
            ahead: Some(0),
            behind: None,
        };
        let pulled = row(DeliveryState::Running, next, vec![stop.clone()]);
        assert_eq!(words(&pulled), ("waiting", vec![wanted]));
        let not_yet = row(DeliveryState::Waiting, Place::Elsewhere, vec![stop]);
        assert_eq!(words(&not_yet), ("waiting", vec!["pull", wanted]));
    }
}

#[test]
fn what_was_left_out_is_not_said_to_be_done() {
    for outcome in ["skipped", "expired"] {
        let verdict = Verdict {
            subscription: "mail".to_owned(),
            clause: Clause::Type(Position(1)),
            report: Some(DeliveryReport {
                subscription: "mail".to_owned(),
                state: DeliveryState::Done,
                attempts: vec![AttemptReport {
                    attempt: 1,
                    outcome,
                    ended: Timestamp::from_micros(1),
                    ran: std::time::Duration::ZERO,
                    error: "rate-limited".to_owned(),
                    emitted: Vec::new(),
                }],
            }),
            standing: None,
            after: Vec::new(),
        };
        let row = serde_json::to_value(Row::stored(&verdict, None)).unwrap();
        assert_eq!(words(&row), (outcome, Vec::new()));
    }
}
