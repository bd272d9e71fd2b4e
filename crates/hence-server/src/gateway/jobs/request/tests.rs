use super::{Kind, Wanted};

#[test]
fn a_request_is_read_whole() {
    let body = r#"{"kind":"discard","reason":"old","rate":20,"upto":"5.7.charge","filter":
        {"subscription":"charge","type":"t","key":"k","fingerprint":"00000000000000ff",
         "since":"2026-11-20T10:00:00Z","until":"2026-11-20T11:00:00Z"}}"#;
    let wanted = Wanted::read(body.as_bytes()).unwrap();
    assert_eq!((wanted.kind, wanted.rate), (Kind::Discard, Some(20)));
    assert_eq!((wanted.dry_run, &*wanted.reason), (false, "old"));
    assert_eq!(wanted.eta(30).as_deref(), Some("1.5s"));
    let query = wanted.query;
    assert_eq!(query.fingerprint.map(|print| print.0), Some(255));
    assert_eq!(query.upto.map(|place| place.position.0), Some(7));
    assert!(query.since < query.until);
    assert_eq!(query.key.as_deref(), Some("k"));
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    for (body, code, words) in [
        ("", "HN4003", "not JSON"),
        ("[]", "HN4003", "the body"),
        (r#"{"filter":{}}"#, "HN4003", "kind"),
        (
            r#"{"kind":"replay","filter":{}}"#,
            "HN4003",
            "redrive, discard",
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
