use super::*;

#[test]
fn data_is_checked_before_it_is_sent() {
    assert!(matches!(Bodies::open(None, false, true), Ok(Bodies::None)));
    let Ok(Bodies::Whole(bytes)) = Bodies::open(Some("{\"a\":1}"), false, true) else {
        panic!("JSON is taken")
    };
    assert_eq!(bytes, "{\"a\":1}");
    let error = Bodies::open(Some("{a:1}"), false, true).err().unwrap();
    assert_eq!(error.to_string(), "DATA is not JSON");
    assert!(Bodies::open(Some("plain"), false, false).is_ok());
    assert!(Bodies::open(Some("@/no/such/file"), false, true).is_err());
}

#[test]
fn lines_are_counted_and_empty_ones_passed_over() {
    let Ok(Bodies::Lines(mut lines)) = Bodies::open(Some("1\n\n 2 \nx"), true, true) else {
        panic!("lines are taken")
    };
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    assert_eq!(lines.next().unwrap().unwrap(), "2");
    assert_eq!(lines.number(), 3);
    let error = lines.next().unwrap_err();
    assert_eq!(error.to_string(), "line 4 of DATA is not JSON");
    assert!(lines.next().unwrap().is_none());
}

#[test]
fn attributes_and_rates() {
    assert_eq!(attribute("a1=b=c"), Ok(("a1".into(), "b=c".into())));
    for wrong in ["a", "A=1", "a_b=1", "=1", "data=1", "type=x", "id=1"] {
        assert!(attribute(wrong).is_err(), "{wrong}");
    }
    assert_eq!(rate("2.5"), Ok(2.5));
    assert!(rate("0").is_err() && rate("NaN").is_err());
}
