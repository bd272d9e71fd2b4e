//! `hence explain` of a server whose subscriptions have limits.

use crate::program::run;
use crate::server::Server;
use crate::stand_in::{StandIn, answer};

const LIMITS: &str = r#"
[[subscription]]
id     = "reserve-stock"
config = { throttle = { calls = 1, per = "24h" } }

[[subscription]]
id     = "charge-card"
config = { debounce = { by = "type", quiet = "12h", most = "24h" } }

[[subscription]]
id     = "complete-order"
config = { ratelimit = { events = 1, per = "24h" } }
"#;

/// Asks until the answer has the line that will come.
fn until(server: &Server, position: &str, wanted: &str) -> String {
    loop {
        let said = server.done(&["explain", position]);
        if said.contains(wanted) {
            return said;
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_clause_that_decides_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hence.toml");
    std::fs::write(&file, LIMITS).unwrap();
    let server = Server::in_memory_as(&file);
    let order = |id: &str| format!(r#"{{"order_id":"{id}","amount":1,"items":[]}}"#);
    let first = server.place(&order("A"));
    let stock = server.done(&[
        "tail",
        "stock.reserved",
        "--from",
        "earliest",
        "--count",
        "1",
        "--plain",
    ]);
    let stock = stock.split('\t').next().unwrap();
    until(&server, stock, "waits: it goes on at ");
    let second = server.done(&["publish", "order.placed", &order("B"), "--plain"]);
    let second = second.split('\t').next().unwrap();
    until(
        &server,
        second,
        "waits: the throttle permits the next call at ",
    );
    let charged = r#"{"order_id":"C","amount":1}"#;
    let publish = [
        "publish",
        "card.charged",
        charged,
        "--wait",
        "10s",
        "--plain",
    ];
    server.done(&publish);
    let skipped = server.done(&publish);
    let skipped = skipped.split('\t').next().unwrap();
    let said = until(&server, skipped, "complete-order skipped");
    assert!(said.contains("why: rate-limited"), "{said}");
    // What is not published yet is asked about, and stays so.
    let file = folder.path().join("event.json");
    let event = r#"{"specversion":"1.0","id":"x","source":"/me","type":"card.charged"}"#;
    std::fs::write(&file, event).unwrap();
    let said = server.done(&["explain", &format!("@{}", file.display())]);
    assert!(said.starts_with("card.charged  not published\n"), "{said}");
    assert!(said.contains("complete-order would take it"), "{said}");
    let none = server.run(&["explain", "@/no/such/file"]);
    assert_eq!(none.code, 2, "{}", none.stderr);
    assert!(none.stderr.contains("HN0606"), "{}", none.stderr);
    // The graph shows the limits, too.
    let graph = server.done(&["graph"]);
    assert!(
        graph.contains("reserve-stock [throttle.calls 1, throttle.per "),
        "{graph}"
    );
    // The first line says which event it is.
    let said = server.run(&["explain", &first]);
    let head = format!("order.placed  {first}  A  ");
    assert!(said.stdout.starts_with(&head), "{}", said.stdout);
    let why = "it takes order.placed from ";
    assert!(said.stdout.contains(why), "{}", said.stdout);
    let next = format!("next: hence trace {first}\n");
    assert!(said.stderr.contains(&next), "{}", said.stderr);
    let none = server.done(&["publish", "order.lost", "{}", "--plain"]);
    let none = none.split('\t').next().unwrap();
    let orphan = server.run(&["explain", none]);
    let note = "no subscription takes order.lost here";
    assert!(orphan.stderr.contains(note), "{}", orphan.stderr);
    let rows = server.done(&["explain", &first, "--plain"]);
    assert!(rows.contains("reserve-stock\tyes\ttype\tdone"), "{rows}");
}

#[test]
fn what_waits_for_its_turn_after_a_crash_says_whose_turn_it_is() {
    let item = r#""position":"7","topic":"events","appended":"2026-11-20T10:00:00Z",
        "event":{"specversion":"1.0","id":"n-7","source":"/shop","type":"order.placed"}"#;
    let found = format!("{{{item}}}");
    let said = format!(
        r#"{{{item},"orphan":false,"items":[{{"subscription":"charge","matched":true,"clause":"type",
        "since":"1","state":"waiting","limit":8,"attempts":[],"waits":[{{"for":"alone",
        "detail":"it was seen at a crash; now it is the turn of 3 in mail","position":"3",
        "subscription":"mail"}}]}}]}}"#
    );
    for (form, wanted) in [
        (
            None,
            "      waits: it was seen at a crash; now it is the turn of 3 in mail\n",
        ),
        (Some("--plain"), "charge\tyes\ttype\twaiting\t0\talone\n"),
    ] {
        let stand_in = StandIn::of(vec![answer(200, &found), answer(200, &said)]);
        let asked = ["explain", "7", "--server", &stand_in.url];
        let ran = run(&[&asked[..], form.as_slice()].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains(wanted), "{}", ran.stdout);
    }
}
