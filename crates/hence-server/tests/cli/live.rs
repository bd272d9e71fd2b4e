//! The command line against a real server.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{finish, hence, leaves, run, section};
use crate::server::Server;

/// The job of the examples.
const JOB: &str = "5b0f36f1-6c0e-4d57-9d4e-87d13a52c0de";
const ORDER: &str = r#"{"order_id":"A-17","amount":99.5,"items":[{"sku":"X","qty":2}]}"#;

/// Commands that ask a server, with arguments that find something.
fn asking(server: &Server) -> Vec<Vec<String>> {
    server.place(ORDER);
    server.job();
    let letter = server.dead_letter();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    vec![
        words("publish a.b {}"),
        words("publish a.b {} --dry-run"),
        words("tail --from earliest --count 2"),
        words("get 1"),
        words("trace 1"),
        words("trace 1 --waterfall"),
        words("explain 1"),
        words("graph"),
        words("status"),
        words("dlq ls"),
        words("dlq groups"),
        words("jobs ls"),
        words("subs ls"),
        words("subs pause cancel-order"),
        words("subs resume cancel-order"),
        words(&format!("dlq show {letter}")),
        words(&format!("dlq redrive {letter} --dry-run")),
    ]
}

fn run_with(server: &Server, args: &[String], more: &[&str]) -> crate::program::Ran {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    server.run(&[&args, more].concat())
}

#[test]
fn data_is_json_or_fields_and_has_no_escapes() {
    let server = Server::in_memory();
    for args in asking(&server) {
        let json = run_with(&server, &args, &["--json", "-q"]);
        assert_eq!((json.code, json.stderr.as_str()), (0, ""), "{args:?}");
        assert!(!json.stdout.is_empty(), "{args:?}");
        for line in json.stdout.lines() {
            let value: Result<Value, _> = serde_json::from_str(line);
            assert!(
                value.is_ok_and(|value| value.is_object()),
                "{args:?}: {line}"
            );
        }
        for flag in ["--plain", "--no-input"] {
            let ran = run_with(&server, &args, &[flag]);
            assert_eq!(ran.code, 0, "{args:?} {}", ran.stderr);
            assert!(
                !ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'),
                "{args:?}"
            );
            assert!(!ran.stdout.is_empty(), "{args:?}");
        }
    }
}

/// Standard input is closed, not only empty: no command reads it for ever or falls over it.
#[test]
fn a_closed_standard_input_hangs_nothing() {
    let server = Server::in_memory();
    for args in asking(&server) {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"exec "$@" <&-"#, "sh", env!("CARGO_BIN_EXE_hence")]);
        let ran = finish(shell.args(&args).env("HENCE_SERVER", &server.url));
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn every_example_runs() {
    let server = Server::in_memory();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.json"), ORDER).unwrap();
    let event = r#"{"specversion":"1.0","id":"1","source":"/me","type":"order.placed"}"#;
    std::fs::write(folder.path().join("event.json"), event).unwrap();
    std::fs::write(
        folder.path().join("orders.jsonl"),
        format!("{ORDER}\n{ORDER}\n"),
    )
    .unwrap();
    crate::directory::small_segments(&folder.path().join("hence-data"));
    let mut all = leaves();
    // Publishing first, so that the others find something.
    all.sort_by_key(|leaf| leaf != &["publish"]);
    for leaf in all
        .iter()
        .filter(|leaf| !["dev", "serve"].contains(&leaf[0].as_str()))
    {
        let args: Vec<&str> = leaf.iter().map(String::as_str).chain(["-h"]).collect();
        for example in section(&run(&args).stdout, "Examples:") {
            let example = example.replace("charge-card.12", &server.dead_letter());
            let example = match example.contains(JOB) {
                true => example.replace(JOB, &server.job()),
                false => example,
            };
            let plans = ["plan", "simulate", "model"].contains(&leaf[0].as_str());
            let reads = plans && example.contains(".json") && !example.contains("> model.json");
            if reads {
                // What this server exports is empty: this is what one exports that has run.
                for file in ["model.json", "main.json", "branch.json"] {
                    let path = folder.path().join(file);
                    crate::plan::write_model(&path, ["reserve-stock", "charge-card"], 40);
                }
            }
            let ran = shell(&server, folder.path(), &example);
            // A server that has just begun has seen too little for the planner: it says so.
            let expected = if plans && !reads { 9 } else { 0 };
            assert_eq!(ran.code, expected, "{example}: {}", ran.stderr);
        }
    }
}

/// Runs a line of a shell in a folder, with the program on the path.
fn shell(server: &Server, folder: &Path, line: &str) -> crate::program::Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_hence")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(folder)
        .stdin(Stdio::null());
    command.env("PATH", format!("{}:{path}", program.display()));
    finish(command.env("HENCE_SERVER", &server.url))
}

#[test]
fn a_receipt_says_what_was_stored_and_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(folder.path());
    let ran = server.run(&["publish", "note.written", "{\"a\": 1}", "--id", "n-1"]);
    assert!(
        ran.stdout.starts_with("stored note.written at "),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.ends_with(" (synced), id n-1\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("\nnext: hence trace "),
        "{}",
        ran.stderr
    );

    let near = server.run(&["publish", "order.plced", "{}", "--count", "3"]);
    assert_eq!(
        near.stderr.matches("warning: ").count(),
        1,
        "{}",
        near.stderr
    );
    assert!(near.stderr.contains("order.placed"), "{}", near.stderr);
    let again = server.done(&["publish", "note.written", "{\"a\": 1}", "--id", "n-1"]);
    assert!(again.starts_with("already stored"), "{again}");
    let other = server.run(&["publish", "note.written", "{\"a\": 2}", "--id", "n-1"]);
    assert_eq!(other.code, 6, "{}", other.stderr);
    assert!(other.stderr.contains("HN4222"), "{}", other.stderr);
    let level = server.run(&[
        "publish",
        "note.written",
        "--durability",
        "written",
        "--json",
    ]);
    let receipt: Value = serde_json::from_str(&level.stdout).unwrap();
    assert_eq!(receipt["duplicate"], false);
}

#[test]
fn an_event_comes_back_as_it_was_published() {
    let server = Server::in_memory();
    let data = r#"{"z":1.50,"a":"ü"}"#;
    let args = [
        "publish",
        "note.written",
        data,
        "--id",
        "n 1",
        "--key",
        "k",
        "--subject",
        "s ü",
    ];
    let position = server.done(&[&args[..], &["--attr", "tenant=7 %", "--json"]].concat());
    let receipt: Value = serde_json::from_str(&position).unwrap();
    let got = server.done(&["get", "n 1", "--json"]);
    assert!(got.contains(&format!("\"data\":{data}")), "{got}");
    let item: Value = serde_json::from_str(&got).unwrap();
    assert_eq!(item["position"], receipt["position"]);
    let event = &item["event"];
    assert_eq!(
        (&event["subject"], &event["partitionkey"]),
        (&"s ü".into(), &"k".into())
    );
    assert_eq!(event["tenant"], "7 %");

    let people = server.done(&["get", "n 1"]);
    assert!(
        people.contains("  tenant") && people.contains("\"z\": 1.50"),
        "{people}"
    );
    for missing in ["999999", "no-such-id"] {
        assert_eq!(server.run(&["get", missing]).code, 5);
        assert_eq!(server.run(&["trace", missing]).code, 5);
    }
}

#[test]
fn an_id_of_two_sources_is_named_by_its_position() {
    let server = Server::in_memory();
    for source in ["/one", "/two"] {
        let source = format!("source={source}");
        server.done(&[
            "publish",
            "note.written",
            "{}",
            "--id",
            "same",
            "--attr",
            &source,
        ]);
    }
    let ran = server.run(&["get", "same"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""));
    assert!(
        ran.stderr.contains("/one") && ran.stderr.contains("/two"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_trace_shows_what_followed_and_who_did_it() {
    let server = Server::in_memory();
    let order = ORDER.replace("A-17", "T-1");
    let args = ["publish", "order.placed", &order, "--key", "T-1", "--plain"];
    let receipt = server.done(&args);
    let position = receipt.split('\t').next().unwrap();
    server.done(&[
        "tail",
        "order.completed",
        "--key",
        "T-1",
        "--from",
        "earliest",
        "--count",
        "1",
    ]);
    let tree = server.done(&["trace", position]);
    let lines: Vec<_> = tree.lines().collect();
    assert!(
        lines[0].starts_with(&format!("order.placed  {position}  T-1  ")),
        "{tree}"
    );
    assert!(
        lines[1].starts_with("└─ ✓ reserve-stock done  waited "),
        "{tree}"
    );
    assert!(lines[2].starts_with("   └─ stock.reserved  "), "{tree}");
    assert!(tree.contains("order.completed"), "{tree}");

    let whole: Value = serde_json::from_str(&server.done(&["trace", position, "--json"])).unwrap();
    let last = whole["items"].as_array().unwrap().last().unwrap();
    let last = last["position"].as_str().unwrap();
    let up: Value = serde_json::from_str(&server.done(&["trace", last, "--up", "--json"])).unwrap();
    assert_eq!(up["items"][0]["position"], position);
    let down = server.done(&["trace", last, "--down", "--json"]);
    let down: Value = serde_json::from_str(&down).unwrap();
    assert_eq!(down["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_dead_letter_is_listed_shown_and_redriven() {
    let server = Server::in_memory();
    let empty = server.run(&["dlq", "ls"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""));
    assert_eq!(empty.stderr, "no dead letters\n");

    let id = server.dead_letter();
    let listed = server.done(&["dlq", "ls"]);
    assert!(
        listed.contains(&id) && listed.contains("rejected"),
        "{listed}"
    );
    let (subscription, position) = id.rsplit_once('.').unwrap();
    let groups = server.done(&["dlq", "groups", "--json"]);
    let group: Value = serde_json::from_str(groups.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&group["count"], &group["subscription"]),
        (&1.into(), &subscription.into())
    );
    let shown = server.done(&["dlq", "show", &id]);
    assert!(shown.contains("\"amount\": -1"), "{shown}");
    let tree = server.run(&["trace", position]);
    assert!(
        tree.stdout.contains(&format!("✗ {subscription} dead")),
        "{}",
        tree.stdout
    );
    assert!(
        tree.stderr.contains(&format!("next: hence dlq show {id}")),
        "{}",
        tree.stderr
    );

    let dry = server.run(&["dlq", "redrive", "--all", "-n"]);
    assert!(dry.stderr.ends_with("nothing was sent\n"), "{}", dry.stderr);
    assert_eq!(server.run(&["dlq", "redrive", &id, "none.1"]).code, 5);
    assert_eq!(server.run(&["dlq", "show", "none.1"]).code, 5);
    assert_eq!(
        server
            .run(&["dlq", "ls", "--subscription", "reserve-stok"])
            .code,
        5
    );
    let sent = server.done(&["dlq", "redrive", &id, "--json"]);
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(
        (&sent["id"], &sent["result"]),
        (&id.as_str().into(), &"sent again".into())
    );
}

#[test]
fn many_dead_letters_are_one_job() {
    let server = Server::in_memory();
    let ids = [server.dead_letter(), server.dead_letter()];
    let (subscription, _) = ids[0].rsplit_once('.').unwrap();
    let print = server.done(&["dlq", "groups", "--plain"]);
    let print = print.split('\t').nth(4).unwrap();
    let dry = server.run(&[
        "dlq",
        "redrive",
        "--fingerprint",
        print,
        "--rate",
        "1",
        "-n",
    ]);
    assert_eq!(dry.stdout, "2 dead letters would be sent\n");
    assert!(dry.stderr.contains("2s at least"), "{}", dry.stderr);
    let sent = server.run(&["dlq", "redrive", "--subscription", subscription, "--json"]);
    let job: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!((&job["state"], &job["done"]), (&"done".into(), &2.into()));
    let listed = server.done(&["jobs", "ls", "--plain"]);
    assert!(listed.starts_with(job["id"].as_str().unwrap()), "{listed}");
    let all = ["dlq", "discard", "--all", "--reason", "no more of it"];
    let mut left = server.done(&["dlq", "ls", "--plain"]);
    // They die again, sooner or later, and are given up.
    while !left.is_empty() {
        let gone = server.run(&all);
        assert_eq!(gone.code, 0, "{}", gone.stderr);
        left = server.done(&["dlq", "ls", "--plain"]);
    }
    let nothing = server.run(&all);
    assert!(
        nothing.stderr.contains("nothing was discarded"),
        "{}",
        nothing.stderr
    );
    assert_eq!(server.run(&["dlq", "discard", "--all"]).code, 2);
    assert_eq!(
        server.run(&["dlq", "discard", "a.1", "--reason", "x"]).code,
        5
    );
    assert_eq!(server.run(&["jobs", "show", "a"]).code, 5);
}

#[test]
fn a_dead_letter_is_edited_in_its_place() {
    let server = Server::in_memory();
    let id = server.dead_letter();
    let data = server.done(&["dlq", "show", &id, "--data"]);
    let other = data.replace("bad-", "good-");
    let refused = server.run(&["dlq", "edit", &id, &other]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("HN4096"), "{}", refused.stderr);
    let good = data.replace("-1,", "1,");
    let dry = server.run(&["dlq", "edit", &id, &good, "--dry-run"]);
    assert!(
        dry.stdout
            .contains("-   \"amount\": -1,\n+   \"amount\": 1,"),
        "{}",
        dry.stdout
    );
    let sent = server.done(&["dlq", "edit", &id, &good]);
    assert!(sent.contains("sent again, edited"), "{sent}");
    let (_, position) = id.rsplit_once('.').unwrap();
    while !server.run(&["dlq", "ls", "--plain"]).stdout.is_empty() {}
    let tree = server.done(&["trace", position]);
    assert!(tree.contains("✓ reserve-stock done"), "{tree}");
    let told = server.done(&[
        "tail",
        "hence.deadletter.edited",
        "--from",
        "earliest",
        "--count",
        "1",
    ]);
    assert!(told.contains(&id), "{told}");
}

#[test]
fn lines_become_events_and_a_bad_one_is_named() {
    let server = Server::in_memory();
    let mut command = hence(&[
        "publish",
        "note.written",
        "--lines",
        "--key",
        "k",
        "--plain",
    ]);
    command.env("HENCE_SERVER", &server.url);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = b"{\"n\":1}\n\n{\"n\":2}\n{n:3}\n{\"n\":4}\n";
    child.stdin.take().unwrap().write_all(input).unwrap();
    let ran = crate::program::ran(child.wait_with_output().unwrap());
    assert_eq!(
        (ran.code, ran.stdout.lines().count()),
        (2, 2),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("line 4 of standard input is not JSON"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("2 events stored before it"),
        "{}",
        ran.stderr
    );

    let many = server.run(&[
        "publish",
        "note.written",
        "{}",
        "--count",
        "25",
        "--rate",
        "1000",
    ]);
    assert_eq!(many.stdout.lines().count(), 25);
    assert!(
        many.stderr.contains("published 25 events in "),
        "{}",
        many.stderr
    );
    let args = [
        "tail", "note.*", "--from", "earliest", "--count", "27", "--format", "%d%n",
    ];
    assert!(server.done(&args).starts_with("{\"n\":1}\n{\"n\":2}\n{}\n"));
}

#[test]
fn a_tail_ends_where_it_is_told() {
    let server = Server::in_memory();
    server.done(&["publish", "note.written", "{}", "--count", "3"]);
    let since = [
        "tail",
        "note.written",
        "--since",
        "1h",
        "--until",
        "2100-01-01T00:00:00Z",
    ];
    let shown = server.done(&[&since[..], &["--count", "3", "--plain"]].concat());
    assert_eq!(shown.lines().count(), 3);
    let over = [
        "tail",
        "note.written",
        "--from",
        "earliest",
        "--until",
        "0s",
        "--plain",
    ];
    assert_eq!(server.done(&over).lines().count(), 3);
    let none = [
        "tail",
        "note.written",
        "--from",
        "earliest",
        "--until",
        "1h",
        "--plain",
    ];
    assert_eq!(server.done(&none), "");
}

#[test]
fn a_tail_whose_reader_has_gone_ends_silently() {
    let server = Server::in_memory();
    let mut command = hence(&["tail", "note.*", "--from", "earliest", "--json"]);
    command
        .env("HENCE_SERVER", &server.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    server.done(&["publish", "note.written", "{}"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("note.written"), "{line}");
    // Nothing more comes, and still it ends.
    let ran = crate::program::ran(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (141, ""));
}

#[test]
fn a_tail_survives_a_kill_of_the_server_without_loss_or_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::on(folder.path());
    let mut command = hence(&["tail", "note.*", "--count", "40", "--format", "%d%n"]);
    command
        .env("HENCE_SERVER", &server.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    server.done(&["publish", "note.written", "\"before\""]);
    command.args(["--from", "earliest"]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "\"before\"");
    let mut published = 0;
    for _ in 0..3 {
        for _ in 0..13 {
            server.done(&["publish", "note.written", &published.to_string()]);
            published += 1;
        }
        server.kill();
        server = server.again_on(folder.path());
    }
    let shown: Vec<_> = lines.map(Result::unwrap).collect();
    let wanted: Vec<_> = (0..39).map(|n: u32| n.to_string()).collect();
    assert_eq!(shown, wanted);
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_tail_at_once() {
    use std::os::unix::process::ExitStatusExt;

    let server = Server::in_memory();
    for (signal, number) in [("-INT", 2), ("-TERM", 15)] {
        let mut command = hence(&["tail"]);
        command
            .env("HENCE_SERVER", &server.url)
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It says so when it listens.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("Ctrl-C"));
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        // A shell shows it as 130 or 143.
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        assert!(lines.next().is_none(), "nothing is said about it");
    }
}

/// The server cuts off a reader that is too slow; the tail comes back behind what it showed.
#[test]
fn a_tail_with_a_slow_reader_misses_nothing() {
    const EVENTS: usize = 600;
    let server = Server::in_memory();
    let mut command = hence(&["tail", "note.*", "--from", "earliest"]);
    command.args(["--count", &(EVENTS + 1).to_string(), "--format", "%p%n%d%n"]);
    command.env("HENCE_SERVER", &server.url);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = move || lines.next().map(Result::unwrap);
    server.done(&["publish", "note.written", "0"]);
    let first: usize = next().unwrap().parse().unwrap();
    assert_eq!(next().as_deref(), Some("0"));

    // More than all buffers between the two hold, while nobody reads.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.json");
    std::fs::write(&data, format!("\"{}\"", "a".repeat(16 << 10))).unwrap();
    let data = format!("@{}", data.display());
    let count = EVENTS.to_string();
    server.done(&["publish", "note.written", &data, "--count", &count]);
    for position in first + 1..=first + EVENTS {
        assert_eq!(next(), Some(position.to_string()));
        assert_eq!(next().map(|line| line.len()), Some((16 << 10) + 2));
    }
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_server_with_tokens_refuses_who_has_none() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("secret"), "s3cret\n").unwrap();
    std::fs::set_permissions(path("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = "engine = \"memory:\"\ndurability = \"accepted\"\n[[token]]\nname = \"reader\"\n\
                secret = \"${file:secret}\"\nallow = [\"read\"]\n";
    std::fs::write(path("hence.toml"), file).unwrap();
    let server = Server::configured(&path("hence.toml"));
    for args in asking_for_nothing() {
        let ran = server.run(&args);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (8, ""),
            "{args:?}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains("HN4011"), "{args:?}: {}", ran.stderr);
    }
    let token = path("secret");
    let token = ["--token-file", token.to_str().unwrap()];
    server.done(&[&["status"][..], &token].concat());
    let ran = server.run(&[&["publish", "a.b", "{}"][..], &token].concat());
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("HN4031"), "{}", ran.stderr);
}

/// Commands that ask a server, whatever it holds.
#[cfg(unix)]
fn asking_for_nothing() -> Vec<Vec<&'static str>> {
    [
        "publish a.b {}",
        "tail",
        "get 1",
        "trace 1",
        "graph",
        "status",
        "dlq ls",
        "dlq show a.1",
        "subs ls",
        "subs pause a",
    ]
    .iter()
    .map(|line| line.split(' ').collect())
    .collect()
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let server = Server::in_memory();
    let address = server.url.trim_start_matches("http://");
    let taken = run(&["dev", "--memory", "--listen", address]);
    assert_eq!(taken.code, 1, "{}", taken.stderr);
    assert!(
        taken.stderr.starts_with("error: address in use"),
        "{}",
        taken.stderr
    );
    assert!(
        taken.stderr.contains("hence errors HN0503"),
        "{}",
        taken.stderr
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hence.toml");
    std::fs::write(&file, "enginee = \"memory:\"\n").unwrap();
    let wrong = run(&["serve", "-c", file.to_str().unwrap()]);
    assert_eq!(wrong.code, 3, "{}", wrong.stderr);
    for part in ["HN0501", "hence.toml:1:1", "engine", "hence errors HN0501"] {
        assert!(wrong.stderr.contains(part), "{part}: {}", wrong.stderr);
    }
}
