//! Tails, and the end of the server.

use tokio::sync::Semaphore;

use super::*;

/// A tail that is read event by event.
pub(super) struct Tail {
    body: Incoming,
    text: String,
}

/// One event of a tail.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    id: String,
    name: String,
    data: Value,
}

impl Seen {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn data(&self) -> &Value {
        &self.data
    }
}

impl Tail {
    pub(super) async fn open(ask: Ask<'_>) -> Self {
        let response = ask.open().await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next block or line; nothing at the end.
    async fn part(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some((part, rest)) = self.text.split_once(end) {
                let part = part.to_owned();
                self.text = rest.to_owned();
                return Some(part);
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame());
            let data = frame
                .await
                .expect("the tail stays silent")?
                .ok()?
                .into_data()
                .ok()?;
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    pub(super) async fn next(&mut self) -> Option<Seen> {
        loop {
            let block = self.part("\n\n").await?;
            let field = |name: &str| {
                let lines = block.lines().find_map(|line| line.strip_prefix(name));
                lines
                    .map(|value| value.trim_start().to_owned())
                    .unwrap_or_default()
            };
            if block.starts_with(':') || block.starts_with("retry:") {
                continue;
            }
            let data = serde_json::from_str(&field("data:")).unwrap();
            return Some(Seen {
                id: field("id:"),
                name: field("event:"),
                data,
            });
        }
    }
}

async fn publish(server: &Server, event_type: &str, data: impl Into<Bytes>) -> String {
    let answer = server
        .post(&format!("/v1/publish/{event_type}"), JSON, data)
        .send()
        .await;
    answer.json()["position"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tail_shows_events_as_they_come_and_resumes_without_loss_or_repetition() {
    on_both(async |server, _| {
        let mut tail = Tail::open(server.get("/v1/tail?typeprefix=x.")).await;
        let mut positions = Vec::new();
        for number in 0..3 {
            positions.push(publish(&server, "x.y", format!("{{\n\"n\":{number}\r\n}}")).await);
            publish(&server, "other", "1").await;
        }
        let mut seen = Vec::new();
        for number in 0..3 {
            let event = tail.next().await.unwrap();
            assert_eq!(event.data["data"]["n"], number);
            assert_eq!(event.name, "");
            seen.push(event.id);
        }
        assert_eq!(seen, positions);
        // The connection breaks behind the second; what is published meanwhile is not lost.
        drop(tail);
        let meanwhile = publish(&server, "x.y", "3").await;
        let ask = server
            .get("/v1/tail?typeprefix=x.")
            .header("last-event-id", &seen[1]);
        let mut tail = Tail::open(ask).await;
        assert_eq!(tail.next().await.unwrap().id, seen[2]);
        assert_eq!(tail.next().await.unwrap().id, meanwhile);
        let live = publish(&server, "x.y", "4").await;
        assert_eq!(tail.next().await.unwrap().id, live);
        drop(tail);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_tail_resumes_across_a_restart_of_the_server() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("log:{}", data.path().display());
    let (mut stored, mut seen, mut last) = (Vec::new(), Vec::new(), String::new());
    for run in 0..3 {
        let server = Server::on(&url, Access::open(), Limits::default()).await;
        // Before the reader is back.
        stored.push(publish(&server, "x.y", "1").await);
        let from = if run == 0 { "earliest" } else { "latest" };
        let ask = server.get(&format!("/v1/tail?from={from}"));
        let mut tail = Tail::open(ask.header("last-event-id", &last)).await;
        stored.push(publish(&server, "x.y", "2").await);
        while seen.len() < stored.len() {
            last = tail.next().await.unwrap().id;
            seen.push(last.clone());
        }
        // While the reader goes away.
        drop(tail);
        stored.push(publish(&server, "x.y", "3").await);
        server.stop().await;
    }
    stored.pop();
    assert_eq!(seen, stored);
}

#[tokio::test]
async fn a_reader_of_another_log_gets_what_is_new_in_this_one() {
    let server = Server::dev("memory").await;
    publish(&server, "x.y", "1").await;
    let ask = server.get("/v1/tail").header("last-event-id", "1000");
    let mut tail = Tail::open(ask).await;
    let new = publish(&server, "x.y", "2").await;
    assert_eq!(tail.next().await.unwrap().id, new);
    server.stop().await;
}

#[tokio::test]
async fn a_tail_until_ends_and_the_one_that_comes_back_is_told_to_stop() {
    on_both(async |server, _| {
        let first = publish(&server, "x.y", "1").await;
        let second = publish(&server, "x.z", "2").await;
        for until in [second.clone(), hence::core::Timestamp::now().to_string()] {
            let path = format!("/v1/tail?from=earliest&until={until}&named=true");
            let mut tail = Tail::open(server.get(&path)).await;
            let events = [tail.next().await.unwrap(), tail.next().await.unwrap()];
            assert_eq!(
                events.each_ref().map(|event| event.id.clone()),
                [first.clone(), second.clone()]
            );
            assert_eq!(
                events.each_ref().map(|event| event.name.as_str()),
                ["x.y", "x.z"]
            );
            let end = tail.next().await.unwrap();
            assert_eq!(end.name, "end");
            assert_eq!(tail.next().await, None);
            let again = server
                .get(&path)
                .header("last-event-id", &end.id)
                .send()
                .await;
            assert_eq!(again.status, StatusCode::NO_CONTENT);
        }
        // A position to come, whose event the filter leaves out.
        let next: u64 = second.parse::<u64>().unwrap() + 2;
        let path = format!("/v1/tail?until={next}&type=x.y");
        let mut tail = Tail::open(server.get(&path)).await;
        let third = publish(&server, "x.y", "3").await;
        publish(&server, "other", "4").await;
        assert_eq!(tail.next().await.unwrap().id, third);
        assert_eq!(tail.next().await.unwrap().name, "end");
        // A moment to come.
        let soon = hence::core::Timestamp::now().after(Duration::from_millis(300));
        let mut tail = Tail::open(server.get(&format!("/v1/tail?until={soon}"))).await;
        let last = publish(&server, "x.y", "5").await;
        assert_eq!(tail.next().await.unwrap().id, last);
        assert_eq!(tail.next().await.unwrap().name, "end");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn lines_of_json_carry_the_position() {
    on_both(async |server, _| {
        let first = publish(&server, "x.y", "{\n\"a\": 1}").await;
        let ask = server
            .get("/v1/tail?from=earliest")
            .header("accept", "application/x-ndjson");
        let mut tail = Tail::open(ask).await;
        let line: Value = serde_json::from_str(&tail.part("\n").await.unwrap()).unwrap();
        assert_eq!(line["henceposition"], first);
        assert_eq!(line["data"]["a"], 1);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_gets_a_gap_and_no_event_waits_for_it() {
    let server = Server::dev("memory").await;
    // A connection of its own with a small window, which is not read for now.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = socket.connect(server.address).await.unwrap();
    let head = "GET /v1/tail HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut byte = [0; 1];
    slow.read_exact(&mut byte).await.unwrap();
    let large = format!("\"{}\"", "a".repeat(200_000));
    for _ in 0..60 {
        publish(&server, "x.y", large.clone()).await;
    }
    let reading = async {
        let (mut end, mut chunk) = (String::new(), vec![0; 65_536]);
        while !end.contains("\"type\":\"hence.tail.gap\"") {
            let read = slow.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the tail ended without a gap");
            // The name may stand across two reads.
            end.drain(..end.len().saturating_sub(100));
            end.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
        true
    };
    let publishing = async {
        loop {
            publish(&server, "x.y", "1").await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::select! { seen = reading => seen, () = publishing => false }
    });
    assert!(seen.await.expect("a gap is announced"));
    drop(slow);
    server.stop().await;
}

#[tokio::test]
async fn a_drain_ends_tails_and_refuses_what_is_new() {
    on_both(async |server, _| {
        let mut tail = Tail::open(server.get("/v1/tail")).await;
        let position = publish(&server, "x.y", "1").await;
        assert_eq!(tail.next().await.unwrap().id, position);
        let began = std::time::Instant::now();
        server.drain.cancel();
        assert_eq!(tail.next().await, None);
        server.stop().await;
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_with_the_drain() {
    let server = Server::dev("memory").await;
    let body = r#"{"order_id":"slow","amount":1.0}"#;
    let ask = server
        .post("/v1/publish/order.placed?key=s", JSON, body)
        .header("prefer", "wait=30");
    let mut tail = Tail::open(server.get("/v1/tail")).await;
    let stopping = async {
        assert!(tail.next().await.is_some(), "the order is stored");
        server.drain.cancel();
    };
    let (answer, ()) = tokio::join!(ask.send(), stopping);
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_keeps_every_event_that_was_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("log:{}", data.path().display());
    let mut server = Server::on(&url, Access::open(), Limits::default()).await;
    let (running, serving) = (server.running.take(), server.serving.take());
    let (server, drain) = (Arc::new(server), CancellationToken::new());
    let stored = Arc::new(Semaphore::new(0));
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..8 {
        let (server, drain) = (Arc::clone(&server), drain.clone());
        let stored = Arc::clone(&stored);
        publishers.spawn(async move {
            let (mut acknowledged, mut refused) = (Vec::new(), 0);
            for number in 0.. {
                let id = format!("{publisher}-{number}");
                let ask = server.post("/v1/publish/x.y", JSON, "1");
                match ask.header("idempotency-key", &id).try_send().await {
                    Some(answer) if answer.status == StatusCode::CREATED => {
                        acknowledged.push(id);
                        stored.add_permits(1);
                    }
                    Some(answer) => {
                        answer.is_problem(503, "HN5032");
                        refused += 1;
                    }
                    // The listener is closed.
                    None if drain.is_cancelled() => break,
                    None => panic!("a request was lost before the drain"),
                }
            }
            (acknowledged, refused)
        });
    }
    let some = stored.acquire_many(200).await;
    drop(some.unwrap());
    drain.cancel();
    server.drain.cancel();
    serving.unwrap().await.unwrap();
    running.unwrap().drain().await;
    let acknowledged: Vec<_> = publishers.join_all().await;
    let acknowledged: Vec<String> = acknowledged.into_iter().flat_map(|(ids, _)| ids).collect();
    assert!(!acknowledged.is_empty());

    let server = Server::on(&url, Access::open(), Limits::default()).await;
    for id in &acknowledged {
        let found = server.json(&format!("/v1/events?id={id}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{id} is lost");
    }
    server.stop().await;
}
