use super::*;

#[test]
fn a_type_is_exact_or_a_family() {
    assert_eq!(
        wanted("order.placed"),
        Ok(Wanted::Exactly("order.placed".into()))
    );
    assert_eq!(wanted("order.*"), Ok(Wanted::Prefix("order.".into())));
    assert_eq!(wanted("*"), Ok(Wanted::Prefix(String::new())));
    for wrong in ["*.placed", "order*", "a.*.b", "a.*.*", ""] {
        assert!(wanted(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn it_becomes_parameters() {
    let filter = Filter {
        types: vec![wanted("order.*").unwrap(), wanted("a.b").unwrap()],
        key: Some("A 17".into()),
        since: Some(Timestamp::from_micros(0)),
        ..Filter::default()
    };
    assert_eq!(
        filter.query().as_str(),
        "?typeprefix=order.&type=a.b&key=A%2017&since=1970-01-01T00%3A00%3A00.000000Z"
    );
}
