use super::*;

#[test]
fn an_event_is_read_without_loss() {
    let json = r#"{"specversion":"1.0","type":"a.b","id":"1","source":"/s","zeta":3,
        "partitionkey":"k","time":null,"data":{"z":1.50,"a":2}}"#;
    let event: Event = serde_json::from_str(json).unwrap();
    assert_eq!(event.data().unwrap(), r#"{"z":1.50,"a":2}"#);
    assert_eq!(event.about(), "k");
    assert_eq!(event.text("time"), None);
    let names: Vec<_> = event
        .attributes()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["id", "source", "type", "partitionkey", "zeta"]);
    assert_eq!(event.or_empty("zeta"), "3");
}
