//! `hence plan` and `hence simulate` against a real server.

use std::path::Path;
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

/// A model of two subscriptions; the second has so many workers.
fn model(folder: &Path, workers: u32) -> String {
    let path = folder.join(format!("model-{workers}.json"));
    write_model(&path, ["reserve", "charge"], workers);
    path.display().to_string()
}

/// Writes a model of two subscriptions as `hence model export` does; the second has so many workers.
pub(crate) fn write_model(path: &Path, [first, second]: [&str; 2], workers: u32) {
    let station = |name: &str, servers: u32, next: &str| {
        format!(
            r#"{{"name":"{name}","servers":{servers},"service":{{"exp":{{"mean":0.1}}}},"emits":[{next}]}}"#
        )
    };
    let to = |name: &str| format!(r#"[{{"to":"{name}","p":1.0}}]"#);
    let stations = [
        station(first, 12, &to(second)),
        station(second, workers, ""),
    ];
    let source = format!(
        r#"{{"name":"order.placed","arrivals":{{"poisson":{{"rate":80.0}}}},"emits":[{}]}}"#,
        to(first)
    );
    let text = format!(
        r#"{{"model":{{"stations":[{}],"sources":[{source}]}}}}"#,
        stations.join(",")
    );
    std::fs::write(path, text).unwrap();
}

/// Runs without any server.
fn alone(args: &[&str]) -> Ran {
    let mut command = hence(args);
    command.env("HENCE_SERVER", "http://127.0.0.1:1");
    crate::program::finish(&mut command)
}

#[test]
fn a_model_in_a_file_is_planned_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = model(folder.path(), 10);
    let plan = alone(&["plan", "--from", &file]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    assert!(plan.stdout.contains("M/M/c exact"), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("bottleneck: charge"),
        "{}",
        plan.stdout
    );

    let svg = folder.path().join("plot.svg").display().to_string();
    let grown = alone(&[
        "plan",
        "saturation",
        "charge",
        "--from",
        &file,
        "--svg",
        &svg,
    ]);
    assert_eq!(grown.code, 0, "{}", grown.stderr);
    let said = "charge saturates at 1.25 times this load";
    assert!(grown.stdout.contains(said), "{}", grown.stdout);
    let drawn = std::fs::read_to_string(&svg).unwrap();
    assert!(
        drawn.starts_with("<svg") && drawn.contains("charge saturates"),
        "{drawn}"
    );

    let explained = alone(&["plan", "explain", "charge", "--from", &file]);
    assert!(
        explained.stdout.contains("8.000 erlang on c = 10"),
        "{}",
        explained.stdout
    );
    // Erlang C of the validation table: V02.
    assert!(
        explained.stdout.contains("C(c, a) = 0.4092"),
        "{}",
        explained.stdout
    );
    let unknown = alone(&["plan", "explain", "nobody", "--from", &file]);
    assert_eq!(unknown.code, 5, "{}", unknown.stderr);

    let target = "charge:p99<400ms";
    let sized = alone(&[
        "plan", "workers", "--target", target, "--from", &file, "--svg", &svg,
    ]);
    assert_eq!(
        sized.code, 7,
        "service alone takes longer: {}",
        sized.stderr
    );
    let target = "charge:p99<500ms";
    let sized = alone(&[
        "plan", "workers", "--target", target, "--from", &file, "--svg", &svg,
    ]);
    assert_eq!(sized.code, 0, "{}", sized.stderr);
    assert!(
        sized.stdout.contains("charge needs 10 workers"),
        "{}",
        sized.stdout
    );
    let missed = alone(&[
        "plan", "--load", "1.2x", "--target", target, "--from", &file,
    ]);
    assert_eq!(missed.code, 7, "{}", missed.stderr);
    let saturated = alone(&["plan", "--load", "2x", "--from", &file]);
    assert_eq!(saturated.code, 7, "{}", saturated.stderr);
    let json = alone(&["simulate", &file, "--reps", "4", "--json"]);
    let answer: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(answer["subscriptions"][1]["art"]["method"], "DES n=4");
}

#[test]
fn a_regression_between_two_models_fails_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let (ten, nine) = (model(folder.path(), 10), model(folder.path(), 9));
    let diff = ["plan", "--diff", &ten, &nine];
    let shown = alone(&diff);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("charge"), "{}", shown.stdout);
    let strict = alone(&[&diff[..], &["--fail-on-regression", "10%"]].concat());
    assert_eq!(strict.code, 7, "{}", strict.stderr);
    assert!(strict.stderr.contains("charge: from"), "{}", strict.stderr);
    let back = alone(&["plan", "--diff", &nine, &ten, "--fail-on-regression", "10%"]);
    assert_eq!(back.code, 0, "{}", back.stderr);
    let whatif = ["plan", "whatif", "--from", &ten, "--service", "charge=0.5x"];
    let whatif = alone(&whatif);
    assert_eq!(whatif.code, 0, "{}", whatif.stderr);
    assert!(whatif.stdout.contains("-53 %"), "{}", whatif.stdout);
    assert_eq!(alone(&["plan", "whatif", "--from", &ten]).code, 2);
}

#[test]
fn a_model_is_exported_for_other_tools_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = model(folder.path(), 10);
    for (to, says) in [
        ("ciw", "number_of_servers=[12, 10]"),
        ("line", "setNumberOfServers(12)"),
        ("json", "\"servers\":12"),
    ] {
        let exported = alone(&["model", "export", "--to", to, "--from", &file]);
        assert_eq!(exported.code, 0, "{}", exported.stderr);
        assert!(exported.stdout.contains(says), "{}", exported.stdout);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replacen(r#""servers":12"#, r#""servers":12,"keying":"turns""#, 1);
    std::fs::write(&file, text).unwrap();
    let refused = alone(&["model", "export", "--to", "ciw", "--from", &file]);
    assert_eq!(refused.code, 9, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("reserve has keys in order"),
        "{}",
        refused.stderr
    );
    std::fs::write(&file, "no model").unwrap();
    let wrong = alone(&["plan", "--from", &file]);
    assert_eq!(
        (wrong.code, wrong.stdout.as_str()),
        (2, ""),
        "{}",
        wrong.stderr
    );
    assert!(
        wrong.stderr.contains("hence model export"),
        "{}",
        wrong.stderr
    );
}
