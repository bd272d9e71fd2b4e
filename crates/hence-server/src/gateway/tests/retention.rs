//! What the gateway says of events that are no longer kept.

use hence_engine_local::{Options, Retention, log};

use super::live::Tail;
use super::*;

/// A server whose log keeps little, and the oldest position that it still has.
async fn forgetful(data: &std::path::Path) -> (Server, u64) {
    let mut options = Options::default();
    options.segment_bytes = 16 << 10;
    options.keep_interval = Duration::from_millis(1);
    options.snapshot_interval = Duration::ZERO;
    options.retention = Retention {
        bytes: Some(64 << 10),
        ..Retention::default()
    };
    let engine = log(data, &options).unwrap();
    let server = Server::on_engine(engine, Access::open(), Limits::default()).await;
    let note = format!("{{\"text\":\"{}\"}}", "x".repeat(2_000));
    for _ in 0..10_000 {
        let published = server.post("/v1/publish/note.written", "application/json", note.clone());
        assert_eq!(published.send().await.status, StatusCode::CREATED);
        let status = server.get("/v1/status").send().await.json();
        let first: u64 = status["first"].as_str().unwrap().parse().unwrap();
        if first > 1 {
            return (server, first);
        }
    }
    panic!("nothing was retired");
}

#[tokio::test]
async fn positions_that_are_no_longer_kept_are_gone_and_not_unknown() {
    let data = tempfile::tempdir().unwrap();
    let (server, first) = forgetful(data.path()).await;
    let gone = server.get("/v1/events/1").send().await;
    let problem = gone.is_problem(410, "HN4101");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("at 1 is no longer kept"), "{detail}");
    server
        .get("/v1/events/99999999")
        .send()
        .await
        .is_problem(404, "HN4041");
    // What came meanwhile may have moved the beginning on, but not to the end.
    let status = server.get("/v1/status").send().await.json();
    let (begin, last) = (&status["first"], status["last"].as_str().unwrap());
    assert!(begin.as_str().unwrap().parse::<u64>().unwrap() >= first);
    let kept = server.get(&format!("/v1/events/{last}")).send().await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.text());
}

#[tokio::test]
async fn a_tail_from_a_position_that_is_gone_begins_with_a_gap() {
    let data = tempfile::tempdir().unwrap();
    let (server, _) = forgetful(data.path()).await;
    let mut tail = Tail::open(server.get("/v1/tail?from=1")).await;
    let gap = tail.next().await.unwrap();
    assert_eq!(
        (gap.name(), gap.data()["type"].as_str()),
        ("gap", Some("hence.tail.gap"))
    );
    assert_eq!(gap.data()["data"]["from"], "1");
    let to: u64 = gap.data()["data"]["to"].as_str().unwrap().parse().unwrap();
    let next = tail.next().await.unwrap();
    assert_eq!(
        next.id().parse::<u64>().unwrap(),
        to + 1,
        "then the first that is kept"
    );

    let resumed = server.get("/v1/tail").header("last-event-id", "1");
    let gap = Tail::open(resumed).await.next().await.unwrap();
    assert_eq!(
        (gap.name(), &gap.data()["data"]["from"]),
        ("gap", &"2".into())
    );
}
