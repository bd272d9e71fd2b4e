//! Options of tomorrow are refused by name, and what is not set is no option.

use serde_json::{Map, Value, json};

use super::*;

fn members(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

#[test]
fn an_option_that_nobody_reads_is_named_with_its_value() {
    let node = json!({"name": "a", "order": "any", "throttle": {"calls": 3, "per": "1s"}});
    let said = foreign(&members(node)).unwrap();
    assert_eq!(said, r#"throttle {"calls":3,"per":"1s"}"#);
    let node = json!({"name": "a", "fair": true});
    assert_eq!(foreign(&members(node)).as_deref(), Some("fair true"));
}

#[test]
fn what_is_not_set_is_no_option() {
    let node = json!({
        "name": "a", "concurrency": 8, "throttle": null, "fair": false, "tags": [],
        "shed": {"above": null}, "singleton": ""
    });
    assert_eq!(foreign(&members(node)), None);
}

#[test]
fn options_are_known_by_their_first_part() {
    let known = hence_core::Options::default().settings();
    let node = json!({"name": "a", "options": known});
    assert_eq!(foreign(&members(node)), None, "every default is followed");
    let node = json!({"name": "a", "options": {"fair.by": "key", "retry.attempts": "8"}});
    assert_eq!(foreign(&members(node)).as_deref(), Some(r#"fair.by "key""#));
    let node = json!({"name": "a", "options": {"shed": "off"}});
    assert_eq!(foreign(&members(node)), None);
}
