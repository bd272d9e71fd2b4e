//! What comes in: modes, receipts, statuses, duplicates, waits.

use super::*;

const STRUCTURED: &str = "application/cloudevents+json";
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

pub(super) fn event(id: &str, event_type: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"{event_type}","data":{{"n":1.50}}}}"#
    )
}

pub(super) fn stored(level: &str) -> u16 {
    if level == "accepted" { 202 } else { 201 }
}

#[tokio::test]
async fn bare_data_becomes_an_event_and_the_receipt_says_how_safe_it_is() {
    on_both(async |server, level| {
        let body = r#"{"order_id":"A-17","amount":99.5}"#;
        let path = "/v1/publish/order.placed?key=A-17&subject=orders/A-17";
        let answer = server
            .post(path, JSON, body)
            .header("ce-priority", "3")
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), stored(level), "{}", answer.text());
        let receipt = answer.json();
        assert_eq!(receipt["durability"], level);
        assert_eq!(receipt["duplicate"], false);
        assert_eq!(receipt["source"], "/hence/http/anonymous");
        assert_eq!(receipt["topic"], "events");
        let place = format!("/v1/events/{}", receipt["position"].as_str().unwrap());
        assert_eq!(answer.header("location"), place);
        assert_eq!(answer.header("hence-warning"), "");
        let item = server.json(&place).await;
        assert_eq!(item["event"]["data"]["amount"], 99.5);
        assert_eq!(item["event"]["partitionkey"], "A-17");
        assert_eq!(item["event"]["subject"], "orders/A-17");
        assert_eq!(item["event"]["priority"], "3");
        assert!(item["event"]["time"].is_string());
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_reads_back_the_same_from_every_mode() {
    on_both(async |server, level| {
        let status = stored(level);
        let structured = event("a", "x.y").replace("\"data\"", "\"ext\":7,\"flag\":true,\"data\"");
        let answer = server
            .post("/v1/events", STRUCTURED, structured.clone())
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert!(
            answer
                .header("hence-warning")
                .starts_with("no subscription takes 'x.y'")
        );
        let path = answer.header("location").to_owned();
        let pure = server.get(&path).header("accept", STRUCTURED).send().await;
        assert_eq!(pure.header("content-type"), STRUCTURED);
        let sent: Value = serde_json::from_str(&structured).unwrap();
        assert_eq!(pure.json(), sent);
        assert!(pure.text().contains("1.50"), "data keeps its bytes");

        let answer = server
            .post("/v1/events", "text/plain", "grüße")
            .header("ce-specversion", "1.0")
            .header("ce-id", "b%20c")
            .header("ce-source", "/s")
            .header("ce-type", "x.y")
            .header("ce-name", "\"Euro%20%E2%82%AC \\\"x\\\" 100%\"")
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        let path = answer.header("location").to_owned();
        let item = server.json(&path).await;
        assert_eq!(item["event"]["id"], "b c");
        assert_eq!(item["event"]["name"], "Euro € \"x\" 100%");
        assert_eq!(item["event"]["data"], "grüße");
        let binary = server.get(&format!("{path}?mode=binary")).send().await;
        assert_eq!(
            binary.header("ce-name"),
            "Euro%20%E2%82%AC%20%22x%22%20100%25"
        );
        assert_eq!(binary.header("ce-id"), "b%20c");
        assert_eq!(binary.header("content-type"), "text/plain");
        assert_eq!(binary.text(), "grüße");

        let bare = r#"{"specversion":"1.0","id":"bare","source":"/s","type":"x.y"}"#;
        let answer = server.post("/v1/events", STRUCTURED, bare).send().await;
        let path = answer.header("location").to_owned();
        let binary = server.get(&format!("{path}?mode=binary")).send().await;
        assert!(!binary.headers.contains_key("content-type"));

        let batch = format!("[{},{}]", event("c", "x.y"), event("d", "x.y"));
        let answer = server.post("/v1/events", BATCH, batch).send().await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert_eq!(answer.json()["receipts"].as_array().unwrap().len(), 2);
        assert_eq!(
            server.json("/v1/events?id=d").await["items"][0]["event"]["id"],
            "d"
        );
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_same_event_again_is_a_duplicate_and_another_under_its_name_is_refused() {
    on_both(async |server, level| {
        let first = server
            .post("/v1/events", STRUCTURED, event("a", "x.y"))
            .send()
            .await;
        assert_eq!(first.status.as_u16(), stored(level));
        let again = server
            .post("/v1/events", STRUCTURED, event("a", "x.y"))
            .send()
            .await;
        assert_eq!(again.status.as_u16(), 200);
        assert_eq!(again.json()["duplicate"], true);
        assert_eq!(again.json()["position"], first.json()["position"]);
        let other = event("a", "x.y").replace("1.50", "2");
        let answer = server.post("/v1/events", STRUCTURED, other).send().await;
        answer.is_problem(422, "HN4222");
        assert_eq!(server.count().await, 1);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_unless_a_part_is_enough() {
    on_both(async |server, level| {
        let bad = event("b", "x.y").replace("\"source\":\"/s\",", "");
        let batch = format!("[{},{bad},{}]", event("a", "x.y"), event("c", "hence.x"));
        let answer = server.post("/v1/events", BATCH, batch.clone()).send().await;
        let problem = answer.is_problem(400, "HN4001");
        assert_eq!(problem["errors"][0]["pointer"], "/1/source");
        assert_eq!(problem["errors"][1]["pointer"], "/2/type");
        assert_eq!(server.count().await, 0);

        let answer = server
            .post("/v1/events?partial=true", BATCH, batch)
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), 200);
        let items = answer.json();
        assert_eq!(items["items"][0]["status"], stored(level));
        assert_eq!(items["items"][0]["receipt"]["id"], "a");
        assert_eq!(items["items"][1]["problem"]["code"], "HN4001");
        assert_eq!(items["items"][2]["status"], 400);
        assert_eq!(server.count().await, 1);
        let empty = server.post("/v1/events", BATCH, "[]").send().await;
        assert_eq!(empty.json()["receipts"], Value::Array(Vec::new()));
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_idempotency_key_covers_the_whole_request() {
    on_both(async |server, level| {
        let path = "/v1/publish/x.y";
        let ask = |body: &'static str| {
            server
                .post(path, JSON, body)
                .header("idempotency-key", "\"k-17\"")
        };
        let first = ask("{\"a\":1}").send().await;
        assert_eq!(first.status.as_u16(), stored(level), "{}", first.text());
        assert_eq!(first.json()["id"], "k-17");
        let again = ask("{\"a\":1}").send().await;
        assert_eq!(again.status.as_u16(), 200);
        assert_eq!(again.json()["duplicate"], true);
        assert_eq!(again.json()["position"], first.json()["position"]);
        ask("{\"a\":2}").send().await.is_problem(422, "HN4223");

        let batch = format!("[{},{}]", event("a", "x.y"), event("b", "x.y"));
        let ask = || {
            server
                .post("/v1/events", BATCH, batch.clone())
                .header("idempotency-key", "b-1")
        };
        assert_eq!(ask().send().await.status.as_u16(), stored(level));
        let again = ask().send().await;
        assert_eq!(again.status.as_u16(), 200);
        assert_eq!(again.json()["receipts"][1]["duplicate"], true);
        assert_eq!(server.count().await, 3);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_is_absorbed_after_a_restart_although_the_time_is_another() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("log:{}", data.path().display());
    let mut positions = Vec::new();
    for _ in 0..2 {
        let server = Server::on(&url, Access::open(), Limits::default()).await;
        let ask = server
            .post("/v1/publish/x.y?delay=1ms", JSON, "1")
            .header("idempotency-key", "k");
        let answer = ask.send().await;
        positions.push((answer.status.as_u16(), answer.json()["position"].clone()));
        server.stop().await;
    }
    assert_eq!((positions[0].0, positions[1].0), (201, 200));
    assert_eq!(positions[0].1, positions[1].1);
}

#[tokio::test]
async fn waiting_gives_what_the_handlers_made_of_the_event() {
    on_both(async |server, _| {
        let body = r#"{"order_id":"A-17","amount":1.0}"#;
        let path = "/v1/publish/order.placed?key=A-17";
        let answer = server
            .post(path, JSON, body)
            .header("prefer", "wait=5")
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        assert_eq!(answer.header("preference-applied"), "wait=5");
        let result = &answer.json()["results"][0];
        assert_eq!(result["subscription"], "charge");
        assert_eq!(result["outcome"], "done");
        assert_eq!(result["attempts"], 1);
        assert_eq!(result["events"][0]["event"]["type"], "order.charged");

        let body = r#"{"order_id":"slow","amount":1.0}"#;
        let path = "/v1/publish/order.placed?key=slow";
        let answer = server
            .post(path, JSON, body)
            .header("prefer", "wait=1")
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
        assert_eq!(answer.json()["results"][0]["outcome"], "pending");
        assert!(answer.header("location").ends_with("/deliveries"));

        let path = "/v1/publish/order.placed?key=later&delay=1h";
        let answer = server
            .post(path, JSON, body)
            .header("prefer", "wait=5")
            .send()
            .await;
        assert_ne!(answer.status.as_u16(), 200);
        assert_eq!(answer.header("preference-applied"), "");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn less_durability_can_be_asked_for_and_more_is_refused() {
    let server = Server::dev("log").await;
    let answer = server
        .post("/v1/publish/x.y?durability=written", JSON, "1")
        .send()
        .await;
    assert_eq!(answer.status.as_u16(), 201);
    // More than was asked for is no lie.
    assert!(["written", "synced"].contains(&answer.json()["durability"].as_str().unwrap()));
    let answer = server
        .post("/v1/publish/x.y?durability=accepted", JSON, "1")
        .send()
        .await;
    assert_eq!(answer.json()["duplicate"], false);
    for level in ["replicated", "replicated+synced", "replicated%2Bsynced"] {
        let path = format!("/v1/publish/x.y?durability={level}");
        let problem = server
            .post(&path, JSON, "1")
            .send()
            .await
            .is_problem(422, "HN4221");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("written, synced")
        );
    }
    let path = "/v1/publish/x.y?durability=synched";
    let problem = server
        .post(path, JSON, "1")
        .send()
        .await
        .is_problem(400, "HN4003");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean 'synced'")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_type_that_is_nearly_known_is_stored_with_a_warning() {
    let server = Server::dev("log").await;
    let answer = server
        .post("/v1/publish/order.plcaed", JSON, "{}")
        .send()
        .await;
    assert_eq!(answer.status.as_u16(), 201);
    assert_eq!(
        answer.header("hence-warning"),
        "no subscription takes 'order.plcaed'; did you mean 'order.placed'?"
    );
    // On the strict resource nothing is invented, the key neither.
    let body = r#"{"specversion":"1.0","id":"a","source":"/s","type":"order.placed","data":{"order_id":"A-17","amount":1.0}}"#;
    let answer = server.post("/v1/events", STRUCTURED, body).send().await;
    assert!(answer.header("hence-warning").contains("is ordered by key"));
    // Bare data of a known type has its key filled in, unless it is given.
    let body = r#"{"order_id":"A-17","amount":1.0}"#;
    for (query, key) in [("", "A-17"), ("?key=mine", "mine")] {
        let path = format!("/v1/publish/order.placed{query}");
        let answer = server.post(&path, JSON, body).send().await;
        assert_eq!(answer.header("hence-warning"), "");
        let item = server.json(answer.header("location")).await;
        assert_eq!(item["event"]["partitionkey"], key);
    }
    server.stop().await;
}
