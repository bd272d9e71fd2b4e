//! What can be read: lists, traces, dead letters, the topology, metrics.

use super::live::Tail;
use super::*;

const ORDER: &str = "/v1/publish/order.placed?key=k";

/// Publishes an order and waits until it is handled.
async fn order(server: &Server, id: &str, amount: f64) -> String {
    let body = format!(r#"{{"order_id":"{id}","amount":{amount}}}"#);
    let path = ORDER.replace("=k", &format!("={id}"));
    let answer = server
        .post(&path, JSON, body)
        .header("prefer", "wait=5")
        .send()
        .await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    answer.json()["receipt"]["position"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn lists_filter_and_page_in_both_directions() {
    on_both(async |server, _| {
        for number in 0..7 {
            let path = format!("/v1/publish/a.{}?key=k{number}&subject=s", number % 2);
            let ask = server.post(&path, JSON, number.to_string());
            ask.header("idempotency-key", format!("id-{number}"))
                .send()
                .await;
        }
        for order in ["asc", "desc"] {
            let (mut path, mut seen) = (format!("/v1/events?limit=3&order={order}"), Vec::new());
            loop {
                let answer = server.get(&path).send().await;
                let page = answer.json();
                seen.extend(
                    page["items"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|item| item["event"]["data"].clone()),
                );
                let Some(next) = page.get("next") else { break };
                let link = answer.header("link");
                assert!(
                    link.contains(&format!("cursor={}", next.as_str().unwrap())),
                    "{link}"
                );
                path = link
                    .trim_start_matches('<')
                    .split('>')
                    .next()
                    .unwrap()
                    .to_owned();
            }
            let mut all: Vec<_> = (0..7).map(Value::from).collect();
            if order == "desc" {
                all.reverse();
            }
            assert_eq!(seen, all, "{order}");
        }
        for (query, count) in [
            ("type=a.0", 4),
            ("type=a.0&type=a.1", 7),
            ("typeprefix=a.", 7),
            ("typeprefix=b.", 0),
            ("key=k3", 1),
            ("subject=s", 7),
            ("id=id-2", 1),
            ("id=id-2&type=a.1", 0),
            ("id=none", 0),
            ("source=/hence/http/anonymous", 7),
            ("since=2020-01-01T00:00:00Z", 7),
            ("until=2020-01-01T00:00:00Z", 0),
            ("since=2090-01-01T00:00:00+02:00", 0),
            ("type=a.1&order=desc", 3),
        ] {
            let list = server.json(&format!("/v1/events?{query}")).await;
            assert_eq!(list["items"].as_array().unwrap().len(), count, "{query}");
        }
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_trace_shows_what_followed_and_deliveries_show_how() {
    on_both(async |server, _| {
        let position = order(&server, "A-17", 1.0).await;
        let trace = server.json(&format!("/v1/events/{position}/trace")).await;
        let items = trace["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{trace}");
        assert_eq!(items[0]["cause"], Value::Null);
        assert_eq!(items[1]["cause"], position);
        assert_eq!(items[1]["event"]["type"], "order.charged");
        assert_eq!(items[0]["deliveries"][0]["state"], "done");
        // From below the same tree is seen.
        let below = items[1]["position"].as_str().unwrap();
        let same = server.json(&format!("/v1/events/{below}/trace")).await;
        assert_eq!(same["items"], trace["items"]);
        let list = server
            .json(&format!("/v1/events/{position}/deliveries"))
            .await;
        let attempt = &list["items"][0]["attempts"][0];
        assert_eq!(attempt["outcome"], "done");
        assert_eq!(attempt["emitted"][0], below);
        assert!(attempt["ran"].as_str().unwrap().ends_with('s'));
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_page_is_bounded_by_its_bytes() {
    on_both(async |server, _| {
        let count = 40;
        for number in 0..count {
            let body = format!("\"{number}{}\"", "x".repeat(240 << 10));
            let answer = server.post("/v1/publish/large", JSON, body).send().await;
            assert!(answer.status.is_success(), "{}", answer.text());
        }
        for order in ["asc", "desc"] {
            let mut seen = Vec::new();
            let mut path = format!("/v1/events?limit=500&order={order}");
            loop {
                let answer = server.get(&path).send().await;
                assert!(answer.body.len() <= super::super::limits::PAGE_BYTES_MAX + (1 << 20));
                let page = answer.json();
                let items = page["items"].as_array().unwrap();
                assert!(!items.is_empty());
                seen.extend(
                    items
                        .iter()
                        .map(|item| item["position"].as_str().unwrap().parse::<u64>().unwrap()),
                );
                let Some(next) = page["next"].as_str() else {
                    break;
                };
                path = format!("/v1/events?limit=500&order={order}&cursor={next}");
            }
            let mut all: Vec<u64> = (1..=count).collect();
            if order == "desc" {
                all.reverse();
            }
            assert_eq!(seen, all);
        }
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_is_seen_and_sent_again() {
    on_both(async |server, _| {
        let position = order(&server, "big", 5_000.0).await;
        let list = server.json("/v1/deadletters?subscription=charge").await;
        let letter = &list["items"][0];
        let id = letter["id"].as_str().unwrap().to_owned();
        assert_eq!(id, format!("charge.{position}"));
        assert_eq!(letter["reason"], "rejected");
        assert!(
            letter["error"]
                .as_str()
                .unwrap()
                .contains("the bank is closed")
        );
        assert_eq!(
            (&letter["type"], &letter["key"]),
            (&"order.placed".into(), &"big".into())
        );
        assert_eq!(
            (&letter["status"], letter.get("event")),
            (&"dead".into(), None)
        );
        let whole = server.json(&format!("/v1/deadletters/{id}")).await;
        assert_eq!(whole["event"]["data"]["order_id"], "big");
        assert_eq!(whole["fingerprint"], letter["fingerprint"]);

        let path = format!("/v1/deadletters/{id}/redrive");
        let wrong = server.post(&path, JSON, "{\"rate\":1}").send().await;
        wrong.is_problem(400, "HN4002");
        let mut tail = Tail::open(server.get("/v1/tail?type=order.charged")).await;
        let answer = server.ask("POST", &path).send().await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
        let deliveries = answer.header("location").to_owned();
        assert_eq!(deliveries, format!("/v1/events/{position}/deliveries"));
        assert!(tail.next().await.is_some(), "the card is charged");
        let list = server.json(&deliveries).await;
        assert_eq!(list["items"][0]["state"], "done");
        assert_eq!(
            server.json("/v1/deadletters").await["items"],
            Value::Array(Vec::new())
        );
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_undecodable_event_is_a_dead_letter_at_once() {
    let server = Server::dev("log").await;
    let path = "/v1/publish/order.placed?key=k";
    let answer = server
        .post(path, JSON, "{\"a\":1}")
        .header("prefer", "wait=5")
        .send()
        .await;
    assert_eq!(answer.json()["results"][0]["outcome"], "rejected");
    let list = server.json("/v1/deadletters").await;
    assert_eq!(list["items"][0]["reason"], "undecodable");
    server.stop().await;
}

#[tokio::test]
async fn the_topology_comes_in_four_forms_with_what_was_measured() {
    on_both(async |server, _| {
        order(&server, "A-17", 1.0).await;
        let graph = server.json("/v1/topology").await;
        let node = &graph["subscriptions"][0];
        assert_eq!(node["name"], "charge");
        assert_eq!(node["measured"]["done"], 1);
        assert_eq!(node["measured"]["lag"], 0);
        for (format, says) in [
            ("dot", "\"charge\" [label=\"charge\\nlag 0"),
            ("mermaid", "flowchart LR"),
            ("text", "subscription charge: lag 0"),
        ] {
            let answer = server
                .get(&format!("/v1/topology?format={format}"))
                .send()
                .await;
            assert!(answer.text().contains(says), "{}", answer.text());
        }
        let list = server.json("/v1/subscriptions").await;
        assert_eq!(list["items"][0]["id"], "charge");
        assert_eq!(list["items"][0]["status"], "active");
        let config = &list["items"][0]["config"];
        assert_eq!(config["retry"]["attempts"], 8);
        assert_eq!(config["batch"]["age"], "100ms");
        assert_eq!(config["breaker"]["share"], 0.5);
        // Nothing of it is other than usual.
        for of in [&list["items"][0], node] {
            assert_eq!(of["changed"], serde_json::json!({}), "{of}");
        }
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_stands_still_is_seen() {
    let server = Server::dev("log").await;
    let running = server.running.as_ref().unwrap();
    running.engine().close().await;
    while running.metrics()["charge"].trouble().is_none() {
        tokio::task::yield_now().await;
    }
    let ready = server.get("/readyz?verbose").send().await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let line = "[-] subscriptions: charge stands still: ";
    assert!(ready.text().contains(line), "{}", ready.text());
    let list = server.json("/v1/subscriptions").await;
    assert_eq!(list["items"][0]["status"], "failing");
    assert!(list["items"][0]["trouble"].is_string(), "{list}");
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = Server::dev("log").await;
    order(&server, "A-17", 1.0).await;
    for _ in 0..2 {
        let note = server.post("/v1/publish/x.y", "application/json", "1");
        note.header("idempotency-key", "\"k\"").send().await;
    }
    server.get("/nowhere").send().await;
    let answer = server.get("/metrics").send().await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text();
    for line in [
        "hence_events_published_total{type=\"order.placed\"} 1",
        "hence_events_duplicate_total 1",
        "hence_deliveries_total{subscription=\"charge\",outcome=\"done\"} 1",
        "hence_subscription_lag_events{subscription=\"charge\"} 0",
        "hence_dead_letters{subscription=\"charge\"} 0",
        "hence_delivery_duration_seconds_count{subscription=\"charge\"} 1",
        "hence_publish_duration_seconds_bucket{durability=\"synced\",le=\"+Inf\"} 2",
        "hence_http_request_duration_seconds_count{route=\"/v1/publish/{type}\",method=\"POST\",status=\"200\"} 2",
        "hence_http_request_duration_seconds_count{route=\"_other\",method=\"GET\",status=\"404\"} 1",
        "# TYPE hence_log_sync_duration_seconds summary",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::dev("memory").await;
    for path in ["/v1/status", "/v1/events", "/nowhere", "/livez"] {
        let (get, head) = (
            server.get(path).send().await,
            server.ask("HEAD", path).send().await,
        );
        assert_eq!(get.status, head.status, "{path}");
        assert!(head.body.is_empty(), "{path}");
        assert_eq!(
            get.header("content-type"),
            head.header("content-type"),
            "{path}"
        );
    }
    let options = server.ask("OPTIONS", "/v1/events").send().await;
    assert_eq!(options.status, StatusCode::NO_CONTENT);
    assert!(
        options
            .header("accept-post")
            .contains("cloudevents-batch+json")
    );
    server.stop().await;
}
