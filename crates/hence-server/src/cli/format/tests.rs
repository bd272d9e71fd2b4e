use super::*;

#[test]
fn marks_become_what_they_stand_for() {
    let event: Event = serde_json::from_str(
        r#"{"id":"1","type":"a.b","source":"/s","tenant":"7","data":{"x": 1}}"#,
    )
    .unwrap();
    let format = Format::parse("%p %t:%i %a{tenant}%% %k%d\\t|%n").unwrap();
    assert_eq!(format.write("12", &event), "12 a.b:1 7% {\"x\":1}\t|\n");
}

#[test]
fn an_unknown_mark_is_named() {
    assert!(Format::parse("%x").unwrap_err().contains("`%x`"));
    assert!(Format::parse("%").unwrap_err().contains("ends"));
    assert!(Format::parse("%a").unwrap_err().contains("braces"));
    assert!(Format::parse("%a{}").is_err());
}
