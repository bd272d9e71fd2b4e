//! Requests that their sender counts.

use super::publish::{BATCH, event, stored};
use super::*;

const STRUCTURED: &str = "application/cloudevents+json";

fn one(id: &str) -> String {
    event(id, "x.y")
}

/// What came of one event that a sender counts: the status, the position, and whether it was known.
async fn send(server: &Server, sender: &str, number: &str, body: String) -> Answer {
    let ask = server.post("/v1/events", STRUCTURED, body);
    let ask = ask.header("hence-sender", sender);
    ask.header("hence-sequence", number).send().await
}

#[tokio::test]
async fn g9_what_a_sender_counts_over_http_is_stored_once() {
    on_both(async |server, level| {
        let first = send(&server, "orders.csv", "1", one("a")).await;
        assert_eq!(first.status.as_u16(), stored(level), "{}", first.text());
        let again = send(&server, "\"orders.csv\"", "1", one("a")).await;
        assert_eq!(again.status.as_u16(), 200);
        assert_eq!(again.json()["duplicate"], true);
        assert_eq!(again.json()["position"], first.json()["position"]);

        // A batch has one number.
        let batch = format!("[{},{}]", one("b"), one("c"));
        let ask = |number: &str, body: &str| {
            let ask = server.post("/v1/events", BATCH, body.to_owned());
            let ask = ask.header("hence-sender", "orders.csv");
            ask.header("hence-sequence", number)
        };
        let stored_now = ask("2", &batch).send().await;
        assert_eq!(stored_now.status.as_u16(), stored(level));
        let again = ask("2", &batch).send().await;
        assert_eq!(again.json()["receipts"][1]["duplicate"], true);
        // Nothing needs no number, and takes no place among the senders.
        let nothing = ask("3", "[]").send().await.is_problem(400, "HN4003");
        let hint = nothing["hint"].as_str().unwrap();
        assert!(hint.contains("leave out a request that has none"), "{hint}");
        let next = send(&server, "orders.csv", "3", one("d")).await;
        assert_eq!(next.status.as_u16(), stored(level));
        // Before the newest it is known that it was stored, and by its id where.
        let old = send(&server, "orders.csv", "1", one("a")).await;
        assert_eq!(
            (old.status.as_u16(), &old.json()["duplicate"]),
            (200, &Value::Bool(true))
        );
        assert_eq!(server.count().await, 4);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_gap_or_other_events_under_a_number_are_refused() {
    on_both(async |server, _| {
        let gap = send(&server, "s", "2", one("a")).await;
        let told = gap.json()["detail"].as_str().unwrap().to_owned();
        assert!(told.contains("the next one is 1"), "{told}");
        gap.is_problem(409, "HN4092");
        send(&server, "s", "1", one("a")).await;
        let other = send(&server, "s", "1", one("b")).await;
        let hint = other.is_problem(422, "HN4222")["hint"].clone();
        assert!(hint.as_str().unwrap().contains("the next number"), "{hint}");
        send(&server, "s", "3", one("b"))
            .await
            .is_problem(409, "HN4092");
        send(&server, "s", "0", one("b"))
            .await
            .is_problem(409, "HN4092");
        assert_eq!(server.count().await, 1);
        // What was refused was not counted.
        assert!(send(&server, "s", "2", one("b")).await.status.is_success());
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_count_that_cannot_be_kept_is_refused() {
    let server = Server::dev("memory").await;
    for number in [
        "-1",
        "+1",
        "1.0",
        "",
        "one",
        "18446744073709551616",
        "1\", 2",
    ] {
        send(&server, "s", number, one("a"))
            .await
            .is_problem(400, "HN4003");
    }
    for sender in ["", "two words", &"x".repeat(255)] {
        send(&server, sender, "1", one("a"))
            .await
            .is_problem(400, "HN4003");
    }
    for header in ["hence-sender", "hence-sequence"] {
        let ask = server.post("/v1/events", STRUCTURED, one("a"));
        ask.header(header, "1")
            .send()
            .await
            .is_problem(400, "HN4003");
        let ask = server.post("/v1/publish/x.y", JSON, "1");
        ask.header(header, "1")
            .send()
            .await
            .is_problem(400, "HN4003");
    }
    let ask = server.post("/v1/events?partial=true", BATCH, format!("[{}]", one("a")));
    let ask = ask
        .header("hence-sender", "s")
        .header("hence-sequence", "1");
    ask.send().await.is_problem(400, "HN4003");
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

/// Nobody takes the numbers of somebody else's sender.
#[tokio::test]
async fn senders_of_different_tokens_have_nothing_to_do_with_each_other() {
    let server = Server::dev("memory").await;
    assert!(send(&server, "s", "1", one("a")).await.status.is_success());
    let ask = server.post("/v1/events", STRUCTURED, one("b"));
    let ask = ask
        .header("hence-sender", "s")
        .header("hence-sequence", "1");
    let other = ask.header("authorization", "Bearer secret").send().await;
    assert!(other.status.is_success(), "{}", other.text());
    assert_eq!(other.json()["duplicate"], false);
    assert_eq!(server.count().await, 2);
    server.stop().await;
}

#[tokio::test]
async fn g9_a_count_over_http_survives_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("log:{}", data.path().display());
    for duplicate in [false, true] {
        let server = Server::on(&url, Access::open(), Limits::default()).await;
        let answer = send(&server, "s", "1", one("a")).await;
        assert_eq!(answer.json()["duplicate"], duplicate);
        send(&server, "s", "3", one("c"))
            .await
            .is_problem(409, "HN4092");
        server.stop().await;
    }
}

/// Two processes under one name: the second one begins at 1, with events that nobody has seen.
#[tokio::test]
async fn other_events_under_an_old_number_come_with_a_warning() {
    on_both(async |server, _| {
        for (number, id) in [("1", "a"), ("2", "b"), ("3", "c")] {
            send(&server, "s", number, one(id)).await;
        }
        let about = |answer: &Answer| {
            let all = answer.headers.get_all("hence-warning").iter();
            all.filter(|text| text.to_str().unwrap().contains("number 1 of this sender"))
                .count()
        };
        let same = send(&server, "s", "1", one("a")).await;
        assert_eq!((same.status.as_u16(), about(&same)), (200, 0));
        let other = send(&server, "s", "1", one("other")).await;
        assert_eq!((other.status.as_u16(), about(&other)), (200, 1));
        assert_eq!(other.json()["position"], Value::Null);

        // What is not known is over, however long somebody waits for it.
        let ask = server.post("/v1/events", STRUCTURED, one("other"));
        let ask = ask
            .header("hence-sender", "s")
            .header("hence-sequence", "1");
        let waited = ask.header("prefer", "wait=1").send().await;
        assert_eq!((waited.status.as_u16(), about(&waited)), (200, 1));
        assert_eq!(waited.json()["results"], serde_json::json!([]));
        assert_eq!(server.count().await, 3);
        server.stop().await;
    })
    .await;
}

#[test]
fn what_is_full_is_named_with_its_own_cure() {
    use crate::gateway::problem::Problem;
    let full = || hence::core::Code::STATE_FULL.error("'subs' cannot keep more state");
    let of_state = Problem::from(full()).to_json(None);
    let of_sender = crate::gateway::sequence::refused(full()).to_json(None);
    for problem in [&of_state, &of_sender] {
        assert!(problem.contains("HN5072"), "{problem}");
    }
    assert!(of_state.contains("cancel timers"), "{of_state}");
    assert!(!of_state.contains("sender"), "{of_state}");
    assert!(of_sender.contains("the name of a sender"), "{of_sender}");
}
