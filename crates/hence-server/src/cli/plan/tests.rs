//! Members of questions, and how answers end.

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
