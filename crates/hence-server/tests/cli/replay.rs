//! `hence replay`: what it asks, what it tells, how it exits.

use crate::program::run;
use crate::server::Server;
use crate::stand_in::{StandIn, answer};

const PREVIEW: &str =
    r#"{"kind":"compare","matches":7,"sample":["2","6"],"more":false,"upto":"9"}"#;
const REPLAY: [&str; 5] = ["replay", "--to-handler", "charge", "--from", "2"];

/// A job that has ended, with a finding of each kind.
fn job(state: &str) -> String {
    let event = |amount: u8| format!(r#"{{"type":"card.charged","data":{{"amount":{amount}}}}}"#);
    format!(
        r#"{{"id":"j-1","kind":"compare","state":"{state}","matches":7,"done":5,"position":"6",
        "next":"7","upto":"9",
        "passed":2,"published":1,"absorbed":3,"failed":1,"found":6,"findings":[
        {{"position":"2","what":"failed","error":"no money"}},
        {{"position":"4","what":"missing","then":{}}},
        {{"position":"5","what":"added","now":{}}},
        {{"position":"6","what":"changed","then":{},"now":{}}}]}}"#,
        event(1),
        event(2),
        event(3),
        event(4)
    )
}

fn asked_of(job: &str, more: &[&str]) -> (crate::program::Ran, String) {
    let stand_in = StandIn::of(vec![answer(200, PREVIEW), answer(202, job)]);
    let ran = run(&[&REPLAY[..], &["--server", &stand_in.url], more].concat());
    let preview = stand_in.asked();
    assert!(preview.contains(r#""dryrun":true"#), "{preview}");
    (ran, stand_in.asked())
}

#[test]
fn a_comparison_with_findings_tells_them_and_exits_with_7() {
    let more = ["--compare", "--force", "order.*", "--key", "k", "--to", "8"];
    let (ran, asked) = asked_of(&job("done"), &more);
    let told = "  2  failed  no money\n  4  missing  card.charged {\"amount\":1}\n  \
                5  added  card.charged {\"amount\":2}\n  \
                6  changed  card.charged {\"amount\":3} → card.charged {\"amount\":4}\n  \
                and 2 findings more\n\
                5 events compared, 6 findings, 1 call failed; 2 passed over: they wait, or are dead letters\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (7, told));
    assert!(ran.stderr.contains("HN0613"), "{}", ran.stderr);
    for part in [
        r#""kind":"compare""#,
        r#""subscription":"charge""#,
        r#""from":"2""#,
        r#""to":"8""#,
        r#""upto":"9""#,
        r#""dryrun":false"#,
        r#""key":"k""#,
        r#""typeprefix":["order."]"#,
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[test]
fn a_replay_with_failures_exits_with_1_and_one_that_ended_early_says_where() {
    let (ran, _) = asked_of(&job("done"), &["--force"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("5 events replayed, 1 published, 3 known already, 1 call failed; 2 passed")
    );
    assert!(ran.stderr.contains("HN0613"), "{}", ran.stderr);
    let (ran, _) = asked_of(&job("cancelled"), &["--force"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("HN0614"), "{}", ran.stderr);
    let rest = "the rest: hence replay --to-handler charge --from 7 --to 9\n";
    assert!(ran.stderr.contains(rest), "{}", ran.stderr);
    let (ran, _) = asked_of(&job("done"), &["--force", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(object["found"], 6);
}

/// What is left of a comparison is a comparison, with every limit that it had.
#[test]
fn the_way_out_of_a_job_that_ended_early_is_the_same_job_from_there_on() {
    let more = [
        "--compare",
        "--force",
        "order.*",
        "card.charged",
        "--to",
        "2026-11-20T10:00:00Z",
        "--rate",
        "10",
        "--source",
        "/shop",
        "--subject=-s",
        "--key",
        "it's 7",
        "--correlation",
        "c-1",
        "--since",
        "2026-11-19T10:00:00Z",
        "--until",
        "2026-11-21T10:00:00Z",
    ];
    let (ran, _) = asked_of(&job("failed"), &more);
    let rest = "the rest: hence replay --to-handler charge --from 7 --to 9 --compare --rate 10 \
                'order.*' card.charged --source /shop --subject=-s --key 'it'\\''s 7' \
                --correlation c-1 --since 2026-11-19T10:00:00.000000Z \
                --until 2026-11-20T10:00:00.000000Z\n";
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(rest), "{}", ran.stderr);
    // It was stopped before its first event.
    let none = job("cancelled").replace(r#""next":"7","#, "");
    let (ran, _) = asked_of(&none, &["--force"]);
    assert!(ran.stderr.contains("--from 2 --to 9\n"), "{}", ran.stderr);
}

#[test]
fn the_question_says_that_there_are_more_than_were_counted() {
    let preview = PREVIEW.replace(r#""more":false"#, r#""more":true"#);
    let stand_in = StandIn::of(vec![answer(200, &preview), answer(200, &preview)]);
    let replay = [&REPLAY[..], &["--server", &stand_in.url]].concat();
    let ran = run(&replay);
    let sentence = "a replay of at least 7 events needs a yes";
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains(sentence), "{}", ran.stderr);
    let ran = run(&[&replay[..], &["--dry-run"]].concat());
    assert_eq!(ran.stdout, "at least 7 events would be replayed\n");
}

#[test]
fn without_a_yes_nobody_is_called() {
    let server = Server::in_memory();
    let order = r#"{"order_id":"A-17","amount":99.5,"items":[{"sku":"X","qty":2}]}"#;
    server.place(order);
    let replay = [
        "replay",
        "--to-handler",
        "reserve-stock",
        "--from",
        "earliest",
    ];
    let refused = server.run(&replay);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains("HN0612"), "{}", refused.stderr);
    assert_eq!(server.done(&["jobs", "ls", "--plain"]), "");
    let dry = server.done(&[&replay[..], &["--dry-run"]].concat());
    assert_eq!(dry, "1 event would be replayed\n");
    let done = server.done(&[&replay[..], &["--force"]].concat());
    assert_eq!(done, "1 event replayed, 0 published, 1 known already\n");
    let none = server.done(&[&replay[..], &["--key", "other", "--force"]].concat());
    assert_eq!(none, "");
}
