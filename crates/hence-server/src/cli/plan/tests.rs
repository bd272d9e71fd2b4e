//! Members of questions, and how answers end.

use super::answer::{Fate, Seen};
use super::*;
use crate::cli::error::Exit;

#[test]
fn changes_become_members() {
    let change = Change {
        load: Some("2x".to_owned()),
        rate: vec!["a.b=500/s".to_owned()],
        service: vec!["a=0.5x".to_owned()],
        set: vec!["subscription.a.config.concurrency=8".to_owned()],
    };
    let members = Value::Object(change.members().unwrap());
    let expected = json!({
        "load": "2x", "rate": {"a.b": 500.0}, "service": {"a": 0.5},
        "set": {"subscription.a.config.concurrency": 8},
    });
    assert_eq!(members, expected);
    for wrong in ["concurrency", "a=many", "=", "a=-1"] {
        let change = Change {
            set: vec![wrong.to_owned()],
            ..Change::default()
        };
        let error = change.members().unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("HN0611", Exit::Usage),
            "{wrong}"
        );
    }
}

#[test]
fn times_are_written_for_people() {
    let texts = [0.000_25, 0.0123, 1.5, 250.0].map(time);
    assert_eq!(texts, ["250us", "12.3ms", "1.50s", "250s"]);
}

#[test]
fn what_was_never_seen_is_bounded_and_not_counted() {
    let said = |dead: f64, band: [f64; 2]| {
        let fate = json!({"dead": dead, "expired": 0.0, "attempts": 1.05, "deadband": band});
        let seen = Seen {
            attempts: 1_000,
            ..Seen::default()
        };
        serde_json::from_value::<Fate>(fate).unwrap().say(&seen)
    };
    let rare = said(2.6e-11, [1.7e-12, 1.0 / 266.0]);
    assert!(
        rare.contains("dead letters below 1 in 266 events (95 %, if"),
        "{rare}"
    );
    let none = said(0.0, [0.0, 1.0 / 400.0]);
    assert!(
        none.contains("no dead letter in 1000 attempts: below 1 in 400 events (95 %)"),
        "{none}"
    );
    let usual = said(0.01, [0.005, 0.02]);
    assert!(
        usual.contains("1 in 100 events") && usual.contains("1 in 50 to 1 in 200"),
        "{usual}"
    );
}
