use super::{Kind, Position, Start, Timestamp, Wanted, What};

#[test]
fn a_request_is_read_whole() {
    let body = r#"{"kind":"discard","reason":"old","rate":20,"upto":"5.7.charge","filter":
        {"subscription":"charge","type":"t","key":"k","fingerprint":"00000000000000ff",
         "since":"2026-11-20T10:00:00Z","until":"2026-11-20T11:00:00Z"}}"#;
    let wanted = Wanted::read(body.as_bytes()).unwrap();
    assert_eq!((wanted.kind, wanted.rate), (Kind::Discard, Some(20)));
    assert!(!wanted.dry_run);
    let What::Letters(query, reason) = wanted.what else {
        panic!("{wanted:?}");
    };
    assert_eq!(reason.as_deref(), Some("old"));
    assert_eq!(query.fingerprint.map(|print| print.0), Some(255));
    assert_eq!(query.upto.map(|place| place.position.0), Some(7));
    assert!(query.since < query.until);
    assert_eq!(query.key.as_deref(), Some("k"));
}

#[test]
fn a_replay_is_bounded_by_what_comes_first() {
    let body = r#"{"kind":"compare","subscription":"charge","from":"2026-11-20T10:00:00Z",
        "to":"40","upto":"30","rate":5,"filter":{"type":"a.b","typeprefix":["c.","d."],
        "key":"k","since":"2026-11-20T09:00:00Z","until":"2026-11-20T11:00:00Z"}}"#;
    let wanted = Wanted::read(body.as_bytes()).unwrap();
    assert_eq!((wanted.kind, wanted.rate), (Kind::Compare, Some(5)));
    let What::Events(events) = wanted.what else {
        panic!("{wanted:?}");
    };
    assert_eq!(events.upto, Some(Position(30)));
    assert_eq!(events.filter.types, ["a.b"]);
    assert_eq!(events.filter.type_prefixes, ["c.", "d."]);
    assert!(matches!(events.from, Start::Time(_)));
    let body = r#"{"kind":"replay","subscription":"charge","from":"7","to":"2026-11-20T10:00:00Z",
        "filter":{"until":"2026-11-20T11:00:00Z"}}"#;
    let What::Events(events) = Wanted::read(body.as_bytes()).unwrap().what else {
        panic!("{body}");
    };
    assert!(matches!(events.from, Start::Position(Position(7))));
    let ten = Timestamp::parse("2026-11-20T10:00:00Z").unwrap();
    assert_eq!(events.filter.until, Some(ten));
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    for (body, code, words) in [
        ("", "HN4003", "not JSON"),
        ("[]", "HN4003", "the body"),
        (r#"{"filter":{}}"#, "HN4003", "kind"),
        (
            r#"{"kind":"reply","filter":{}}"#,
            "HN4003",
            "redrive, discard, replay, compare",
        ),
        (
            r#"{"kind":"replay","filter":{}}"#,
            "HN4003",
            "'subscription' is missing",
        ),
        (
            r#"{"kind":"compare","subscription":"a"}"#,
            "HN4003",
            "'from' is missing",
        ),
        (
            r#"{"kind":"replay","subscription":"a","from":"yesterday"}"#,
            "HN4003",
            "earliest, a position or a time",
        ),
        (
            r#"{"kind":"replay","subscription":"a","from":"1","to":"soon"}"#,
            "HN4003",
            "a position or a time",
        ),
        (
            r#"{"kind":"replay","subscription":"a","from":"1","upto":"5.7.charge"}"#,
            "HN4003",
            "what a dry run answered",
        ),
        (
            r#"{"kind":"replay","subscription":"a","from":"1","filter":{"type":[1]}}"#,
            "HN4003",
            "is not a string",
        ),
        (
            r#"{"kind":"replay","subscription":"a","from":"1","filter":{"fingerprint":"x"}}"#,
            "HN4002",
            "fingerprint",
        ),
        (
            r#"{"kind":"redrive","filter":{},"reason":"x"}"#,
            "HN4002",
            "reason",
        ),
        (
            r#"{"kind":"redrive","filter":{},"dryrun":"yes"}"#,
            "HN4003",
            "neither true nor false",
        ),
        (r#"{"kind":"redrive"}"#, "HN4003", "'filter' is missing"),
        (
            r#"{"kind":"redrive","filter":{"subscripton":"a"}}"#,
            "HN4002",
            "subscription",
        ),
        (
            r#"{"kind":"redrive","filter":{},"dry":true}"#,
            "HN4002",
            "dry",
        ),
        (
            r#"{"kind":"redrive","filter":{"key":7}}"#,
            "HN4003",
            "not a string",
        ),
        (
            r#"{"kind":"redrive","filter":{"since":"now"}}"#,
            "HN4003",
            "RFC 3339",
        ),
        (
            r#"{"kind":"redrive","filter":{"fingerprint":"x"}}"#,
            "HN4003",
            "hexadecimal",
        ),
        (
            r#"{"kind":"redrive","filter":{},"rate":0}"#,
            "HN4003",
            "between 1",
        ),
        (
            r#"{"kind":"redrive","filter":{},"upto":"x"}"#,
            "HN4003",
            "dry run",
        ),
        (
            r#"{"kind":"discard","filter":{}}"#,
            "HN4003",
            "'reason' is missing",
        ),
    ] {
        let problem = Wanted::read(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code().as_str(), code, "{body}");
        let told = problem.to_json(None);
        assert!(told.contains(words), "{body}: {told}");
    }
}
