//! `hence plan` and `hence simulate` against a real server.

use std::process::Stdio;

use serde_json::Value;

use crate::program::{Ran, hence};
use crate::server::Server;

#[test]
fn too_little_is_no_answer_and_says_what_is_missing() {
    let server = Server::in_memory();
    server.place(r#"{"order_id":"A-1","amount":9,"items":[{"sku":"X","qty":1}]}"#);
    for args in [&["plan"][..], &["plan", "bottleneck"], &["simulate"]] {
        let ran = server.run(args);
        assert_eq!(ran.code, 9, "{args:?} {}", ran.stderr);
        assert!(ran.stderr.contains("HN0610"), "{}", ran.stderr);
    }
    let json = server.run(&["plan", "--json"]);
    let answer: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(answer["outcome"], "unknown");
    let rows = answer["subscriptions"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    let why = rows[0]["unknown"].as_str().unwrap();
    assert!(why.contains("needed"), "{why}");
    assert_eq!(rows[0]["measured"]["attempts"], 1);
}

#[test]
fn wrong_questions_have_a_code_and_a_way_out() {
    let server = Server::in_memory();
    for (args, code, id, says) in [
        (&["--set", "a=b"][..], 2, "HN0611", "concurrency=8"),
        (
            &["--set", "order=1"],
            1,
            "HN4003",
            "keys of the configuration",
        ),
        (
            &["--set", "subscription.nobody.config.concurrency=1"],
            5,
            "HN4041",
            "hence graph",
        ),
        (
            &["--set", "subscription.charge-card.config.timeout=1"],
            1,
            "HN4003",
            "concurrency",
        ),
        (&["--load", "fast"], 1, "HN4003", "twice as much"),
        (
            &["--target", "order.placed"],
            1,
            "HN4003",
            "NAME:FIGURE<TIME",
        ),
        (
            &["--target", "order.placed:p98<1s"],
            1,
            "HN4003",
            "p50, p95 and p99",
        ),
        (
            &["--target", "order.placed:p99<1"],
            1,
            "HN4003",
            "NAME:FIGURE<TIME",
        ),
        (
            &["--target", "order.plced:p99<1s"],
            5,
            "HN4041",
            "did you mean 'order.placed'",
        ),
    ] {
        let ran = server.run(&[&["plan"], args].concat());
        assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(id), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(server.run(&["plan", "workers"]).code, 2);
    assert_eq!(server.run(&["simulate", "--reps", "1"]).code, 1);
}

/// Asks until the answer ends with a code: the planner wants some seconds of steady load.
fn ask(server: &Server, args: &[&str], code: i32) -> Ran {
    let mut last = server.run(args);
    for _ in 0..2_000 {
        if last.code == code {
            break;
        }
        last = server.run(args);
    }
    assert_eq!(last.code, code, "{args:?}: {}", last.stderr);
    last
}

#[test]
fn with_enough_events_there_is_a_plan() {
    let server = Server::in_memory();
    let lines: Vec<_> = (0..4_000)
        .map(|n| format!(r#"{{"order_id":"p-{n}","amount":1,"items":[{{"sku":"X","qty":1}}]}}"#))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let data = format!("@{}", file.display());
    let mut load = hence(&[
        "publish",
        "order.placed",
        &data,
        "--lines",
        "--rate",
        "24",
        "-q",
    ]);
    load.env("HENCE_SERVER", &server.url);
    let mut load = load.stdout(Stdio::null()).spawn().unwrap();

    let answer = ask(&server, &["plan", "--json"], 0).stdout;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["outcome"], "plan", "{answer}");
    let row = &answer["subscriptions"][0];
    let lambda = row["lambda"].as_f64().unwrap();
    assert!((5.0..50.0).contains(&lambda), "{row}");
    let figure = |name: &str| row[name]["value"].as_f64().unwrap();
    assert!(figure("p50") <= figure("p99") && figure("art") > 0.0);
    assert!(row["art"]["method"].is_string() && row["measured"]["art"].is_number());
    assert!(answer["bottleneck"]["headroom"].as_f64().unwrap() > 1.0);

    let people = ask(&server, &["plan", "--load", "2x"], 0).stdout;
    assert!(
        people.contains("reserve-stock") && people.contains("bottleneck: "),
        "{people}"
    );
    let target = ["--target", "reserve-stock:p99<60s"];
    ask(&server, &["plan", target[0], target[1]], 0);
    let workers = ask(&server, &["plan", "workers", target[0], target[1]], 0).stdout;
    assert!(
        workers.contains("reserve-stock needs 1 worker"),
        "{workers}"
    );
    let impossible = [
        "plan",
        "--load",
        "1.1x",
        "--target",
        "reserve-stock:p99<1us",
    ];
    let missed = ask(&server, &impossible, 7);
    assert!(missed.stderr.contains("HN0609"), "{}", missed.stderr);
    let simulated = ask(
        &server,
        &["simulate", "--seed", "7", "--reps", "4", "--plain"],
        0,
    );
    assert!(simulated.stdout.contains("DES n=4"), "{}", simulated.stdout);
    load.kill().unwrap();
    load.wait().unwrap();
}
