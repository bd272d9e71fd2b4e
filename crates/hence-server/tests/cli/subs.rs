//! `hence subs`: what waits stays where it is, also over a kill.

use crate::server::Server;

const ORDER: &str = r#"{"order_id":"A-17","amount":99.5,"items":[{"sku":"X","qty":2}]}"#;

#[test]
fn a_paused_subscription_waits_over_a_kill_and_goes_on_in_order() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::on(data.path());
    let pause = [
        "subs",
        "pause",
        "charge-card",
        "--reason",
        "the bank is closed",
    ];
    let said = server.done(&pause);
    assert!(
        said.starts_with("charge-card is paused by anonymous, "),
        "{said}"
    );
    assert!(said.ends_with(": the bank is closed\n"), "{said}");
    let first = server.place(ORDER);
    let second = server.place(ORDER);
    server.kill();
    let server = server.again_on(data.path());
    let listed = server.done(&["subs", "ls"]);
    let row = listed
        .lines()
        .find(|line| line.starts_with("charge-card"))
        .unwrap();
    assert!(
        row.contains("paused") && row.ends_with(": the bank is closed"),
        "{listed}"
    );
    let stock = server.done(&[
        "tail",
        "stock.reserved",
        "--from",
        "earliest",
        "--count",
        "2",
        "--plain",
    ]);
    let positions: Vec<_> = stock
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    for position in &positions {
        let said = server.done(&["explain", position]);
        assert!(said.contains("charge-card waiting"), "{said}");
        assert!(
            said.contains("waits: the subscription is paused by anonymous"),
            "{said}"
        );
    }
    let again = server.done(&pause);
    assert_eq!(again.split(" is ").next(), Some("charge-card"));
    let plain = server.done(&["subs", "resume", "charge-card", "--plain"]);
    assert_eq!(plain, "charge-card\tactive\n");
    let none = server.done(&["subs", "resume", "charge-card"]);
    assert_eq!(none, "charge-card was not paused\n");
    let done = [
        "tail",
        "order.completed",
        "--from",
        "earliest",
        "--count",
        "2",
        "--plain",
    ];
    assert_eq!(server.done(&done).lines().count(), 2);
    for position in [first, second] {
        let traced = server.done(&["trace", &position]);
        assert!(traced.contains("charge-card done"), "{traced}");
    }
    let unknown = server.run(&["subs", "pause", "charge-crad"]);
    assert_eq!(unknown.code, 5, "{}", unknown.stderr);
    assert!(
        unknown.stderr.contains("did you mean 'charge-card'"),
        "{}",
        unknown.stderr
    );
}
