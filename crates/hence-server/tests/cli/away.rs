//! Servers that are away, refuse, talk nonsense, or break off.

use std::net::TcpListener;

use crate::program::{Ran, leaves, run};
use crate::stand_in::{StandIn, answer, broken_stream};

/// What each command that asks a server is run with.
fn arguments(leaf: &[String]) -> Option<Vec<&'static str>> {
    let words: Vec<_> = leaf.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        ["publish"] => vec!["publish", "a.b", "{}"],
        ["tail"] => vec!["tail"],
        ["get"] => vec!["get", "1"],
        ["trace"] => vec!["trace", "1"],
        ["explain"] => vec!["explain", "1"],
        ["graph"] => vec!["graph"],
        ["status"] => vec!["status"],
        ["plan"] => vec!["plan"],
        ["simulate"] => vec!["simulate"],
        ["model", "export"] => vec!["model", "export"],
        ["dlq", "ls"] => vec!["dlq", "ls"],
        ["dlq", "show"] => vec!["dlq", "show", "a.1"],
        ["dlq", "groups"] => vec!["dlq", "groups"],
        ["dlq", "redrive"] => vec!["dlq", "redrive", "a.1"],
        ["dlq", "edit"] => vec!["dlq", "edit", "a.1", "{}"],
        ["dlq", "discard"] => vec!["dlq", "discard", "--all", "--reason", "x"],
        ["replay"] => vec!["replay", "--to-handler", "a", "--from", "1"],
        ["subs", "ls"] => vec!["subs", "ls"],
        ["subs", "pause"] => vec!["subs", "pause", "a"],
        ["subs", "resume"] => vec!["subs", "resume", "a"],
        ["jobs", "ls"] => vec!["jobs", "ls"],
        ["jobs", "show"] => vec!["jobs", "show", "1"],
        ["jobs", "cancel"] => vec!["jobs", "cancel", "1"],
        ["dev" | "serve" | "backup" | "restore" | "errors" | "completion" | "version"]
        | ["config" | "log", _] => {
            return None;
        }
        other => panic!("the test does not know how to run {other:?}"),
    })
}

fn each(mut check: impl FnMut(&[&str])) {
    let asking: Vec<_> = leaves().iter().filter_map(|leaf| arguments(leaf)).collect();
    assert!(asking.len() >= 9);
    asking.iter().for_each(|args| check(args));
}

#[test]
fn a_server_that_is_away_exits_with_4() {
    each(|args| {
        let ran = run(&[args, &["--server", "http://127.0.0.1:1"]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{args:?}");
        assert!(
            ran.stderr.contains("HN0601") && ran.stderr.contains("hence dev"),
            "{}",
            ran.stderr
        );
    });
}

#[test]
fn a_server_that_says_nothing_exits_with_4() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    each(|args| {
        let ran = run(&[args, &["--server", &url, "--timeout", "100ms"]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{args:?}");
        assert!(ran.stderr.contains("HN0602"), "{}", ran.stderr);
    });
}

#[test]
fn another_server_is_told_apart() {
    each(|args| {
        for (status, body) in [(200, "<html>hello</html>"), (502, "bad gateway")] {
            let stand_in = StandIn::of(vec![answer(status, body)]);
            let ran = run(&[args, &["--server", &stand_in.url]].concat());
            // A graph comes as text, so any text of a server that agrees may be one.
            if args == ["graph"] && status == 200 {
                continue;
            }
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{args:?} {ran:?}");
            assert!(ran.stderr.contains("HN0605"), "{args:?} {}", ran.stderr);
        }
    });
}

#[test]
fn what_the_server_refuses_becomes_an_exit_code() {
    for (status, code, exit) in [
        (401, "HN4011", 8),
        (403, "HN4031", 8),
        (409, "HN4091", 6),
        (422, "HN4222", 6),
        (422, "HN4221", 1),
        (413, "HN4131", 1),
        (503, "HN5031", 1),
    ] {
        let body = format!(
            r#"{{"title":"A title","status":{status},"code":"{code}","detail":"it went wrong",
               "hint":"do it better","errors":[{{"pointer":"/data","detail":"here"}}]}}"#
        );
        let stand_in = StandIn::of(vec![answer(status, &body)]);
        let ran = run(&["publish", "a.b", "{}", "--server", &stand_in.url]);
        assert_eq!((ran.code, ran.stdout.as_str()), (exit, ""), "{code}");
        let wanted = format!(
            "error: it went wrong ({code})\n  cause: /data: here\n  fix:   do it better\n  \
             page:  hence errors {code}\n"
        );
        assert_eq!(ran.stderr, wanted);
    }
}

#[test]
fn a_publish_asks_as_the_api_wants_it() {
    let receipt =
        r#"{"id":"7","source":"/s","position":"12","durability":"synced","duplicate":false}"#;
    let stand_in = StandIn::of(vec![answer(201, receipt)]);
    let ran = run(&[
        "publish",
        "a.b/c",
        r#"{"x":1}"#,
        "--server",
        &stand_in.url,
        "--key",
        "k 1",
        "--subject",
        "ü",
        "--attr",
        "tenant=50% \"x\"",
        "--id",
        "7",
        "--delay",
        "10s",
        "--durability",
        "written",
        "--json",
    ]);
    assert_eq!((ran.code, ran.stdout.trim()), (0, receipt));
    let asked = stand_in.asked();
    let wanted =
        "POST /v1/publish/a.b%2Fc?key=k%201&subject=%C3%BC&durability=written&delay=10000ms ";
    assert!(asked.starts_with(wanted), "{asked}");
    for header in [
        "ce-tenant: 50%25%20%22x%22",
        "ce-id: 7",
        "content-type: application/json",
    ] {
        assert!(asked.contains(header), "{asked}");
    }
    assert!(asked.ends_with("\r\n\r\n{\"x\":1}"), "{asked}");
}

#[test]
fn a_token_goes_with_every_request_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hence_secret\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let stand_in = StandIn::of(vec![answer(200, r#"{"version":"1"}"#)]);
    let token = path.to_str().unwrap();
    let ran = run(&[
        "status",
        "-v",
        "--server",
        &stand_in.url,
        "--token-file",
        token,
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        stand_in
            .asked()
            .contains("authorization: Bearer hence_secret")
    );
    assert!(!ran.stderr.contains("hence_secret") && !ran.stdout.contains("hence_secret"));
}

fn line(position: u64) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{position}\",\"source\":\"/s\",\"type\":\"a.b\",\
         \"henceposition\":\"{position}\",\"data\":{{\"n\":{position}}}}}\n"
    )
}

fn tail(stand_in: &StandIn, more: &[&str]) -> Ran {
    run(&[
        &["tail", "--server", &stand_in.url, "--format", "%p%n"],
        more,
    ]
    .concat())
}

#[test]
fn a_tail_goes_on_behind_what_it_showed() {
    let stand_in = StandIn::of(vec![
        answer(200, r#"{"items":[{"position":"4","event":{}}]}"#),
        // A line that broke off in the middle is not shown, and comes again.
        broken_stream(&format!("{}\n{}{{\"id\":", line(5), line(6))),
        answer(
            503,
            r#"{"title":"Draining","code":"HN5032","detail":"going down"}"#,
        ),
        broken_stream(&format!("{}{}", line(7), line(8))),
        broken_stream(&line(9)),
    ]);
    let ran = tail(&stand_in, &["a.*", "--count", "5"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "5\n6\n7\n8\n9\n"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("the server is back"), "{}", ran.stderr);
    assert!(
        stand_in
            .asked()
            .starts_with("GET /v1/events?order=desc&limit=1 ")
    );
    for from in [4, 6, 6, 8] {
        let asked = stand_in.asked();
        let wanted = format!("GET /v1/tail?typeprefix=a.&slow=close&lasteventid={from} ");
        assert!(asked.starts_with(&wanted), "{asked}");
    }
}

#[test]
fn a_tail_of_an_empty_log_begins_at_its_begin() {
    let stand_in = StandIn::of(vec![
        answer(200, r#"{"items":[]}"#),
        broken_stream(&line(1)),
    ]);
    let ran = tail(&stand_in, &["--count", "1"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "1\n"),
        "{}",
        ran.stderr
    );
    stand_in.asked();
    assert!(
        stand_in
            .asked()
            .starts_with("GET /v1/tail?slow=close&from=earliest ")
    );
}

#[test]
fn a_tail_that_is_refused_does_not_wait() {
    let stand_in = StandIn::of(vec![
        broken_stream(&line(1)),
        answer(
            401,
            r#"{"title":"No valid token","code":"HN4011","detail":"it expired"}"#,
        ),
    ]);
    let ran = tail(&stand_in, &["--from", "earliest"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (8, "1\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_position_that_is_no_longer_kept_is_said_to_be_so() {
    let gone = r#"{"title":"Position no longer kept","code":"HN4101","detail":"it is gone"}"#;
    let stand_in = StandIn::of(vec![answer(410, gone), answer(200, r#"{"items":[]}"#)]);
    let ran = run(&["get", "7", "--server", &stand_in.url]);
    assert_eq!(ran.code, 5);
    assert!(
        ran.stderr.starts_with("error: it is gone (HN4101)"),
        "{}",
        ran.stderr
    );
}
