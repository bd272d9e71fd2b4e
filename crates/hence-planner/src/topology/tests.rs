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
