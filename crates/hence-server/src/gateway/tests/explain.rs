//! `POST /v1/explain`: what each subscription says to an event.

use super::*;

async fn explain(server: &Server, position: &str) -> Value {
    let body = format!(r#"{{"position":"{position}"}}"#);
    let answer = server.post("/v1/explain", JSON, body).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

async fn publish(server: &Server, path: &str, body: &str) -> String {
    let answer = server.post(path, JSON, body.to_owned()).send().await;
    server
        .get("/v1/events?order=desc&limit=1")
        .send()
        .await
        .json()["items"][0]["position"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", answer.text()))
        .to_owned()
}

#[tokio::test]
async fn an_event_is_explained_from_its_clause_to_its_results() {
    on_both(async |server, _| {
        let order = r#"{"order_id":"A-1","amount":1}"#;
        let ask = server.post("/v1/publish/order.placed?key=A-1", JSON, order);
        let answer = ask.header("prefer", "wait=5").send().await;
        let position = answer.json()["receipt"]["position"]
            .as_str()
            .unwrap()
            .to_owned();
        let said = explain(&server, &position).await;
        assert_eq!(said["event"]["type"], "order.placed");
        assert_eq!(said["orphan"], false);
        let row = &said["items"][0];
        assert_eq!(row["subscription"], "charge");
        assert_eq!(
            (&row["matched"], &row["clause"]),
            (&Value::from(true), &Value::from("type"))
        );
        assert_eq!(
            (&row["state"], &row["since"]),
            (&Value::from("done"), &Value::from("1"))
        );
        assert_eq!(row["attempts"][0]["emitted"][0], "2");
        assert!(row.get("waits").is_none(), "{row}");
        // What nobody takes is an orphan, and says what is taken instead.
        let said = explain(&server, "2").await;
        assert_eq!(said["orphan"], true);
        assert_eq!(said["items"][0]["clause"], "other-types");
        assert_eq!(said["items"][0]["takes"][0], "order.placed");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_an_event_waits_for_is_said_in_a_word_and_a_sentence() {
    on_both(async |server, _| {
        let dead = publish(
            &server,
            "/v1/publish/order.placed?key=B",
            r#"{"order_id":"B","amount":2000}"#,
        )
        .await;
        let slow = publish(
            &server,
            "/v1/publish/order.placed?key=slow",
            r#"{"order_id":"slow","amount":1}"#,
        )
        .await;
        let behind = publish(
            &server,
            "/v1/publish/order.placed?key=slow",
            r#"{"order_id":"slow","amount":2}"#,
        )
        .await;
        let later = publish(
            &server,
            "/v1/publish/order.placed?key=C&delay=1h",
            r#"{"order_id":"C","amount":1}"#,
        )
        .await;
        let wanted = [
            (&dead, "dead", None),
            (&slow, "running", None),
            (&behind, "waiting", Some("key")),
            (&later, "waiting", Some("deliverat")),
        ];
        for (position, state, wait) in wanted {
            // What is on its way to the state is asked for again.
            let row = loop {
                let row = explain(&server, position).await["items"][0].clone();
                if row["state"] == state {
                    break row;
                }
                tokio::task::yield_now().await;
            };
            let first = &row["waits"][0];
            assert_eq!(first["for"].as_str(), wait, "{row}");
            assert_eq!(first["detail"].as_str().is_some(), wait.is_some(), "{row}");
        }
        let held = publish(
            &server,
            "/v1/publish/order.placed?key=B",
            r#"{"order_id":"B","amount":1}"#,
        )
        .await;
        let row = loop {
            let row = explain(&server, &held).await["items"][0].clone();
            if row["state"] == "held" {
                break row;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(row["waits"][0]["for"], "dead-letter");
        assert_eq!(row["waits"][0]["position"], dead);
        assert_eq!(row["limit"], 8);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_not_published_yet_is_explained_too() {
    on_both(async |server, _| {
        for (event_type, orphan) in [("order.placed", false), ("order.lost", true)] {
            let event =
                format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"{event_type}"}}"#);
            let ask = server.post("/v1/explain", "application/cloudevents+json", event);
            let said = ask.send().await.json();
            assert_eq!(said["orphan"], orphan, "{said}");
            assert_eq!(said["items"][0]["matched"], !orphan);
        }
        assert_eq!(server.count().await, 0, "nothing is published");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_question_is_refused() {
    let server = Server::dev("memory").await;
    for (body, status, code) in [
        (r#"{"position":"77"}"#, 404, "HN4041"),
        (r#"{"position":"x"}"#, 404, "HN4041"),
        (r#"{"position":7}"#, 400, "HN4003"),
        (r#"{"place":"7"}"#, 400, "HN4002"),
        ("{}", 400, "HN4003"),
        ("[]", 400, "HN4003"),
        (r#"{"specversion":"1.0"}"#, 400, "HN4001"),
    ] {
        let answer = server.post("/v1/explain", JSON, body).send().await;
        answer.is_problem(status, code);
    }
    server.stop().await;
}

/// Notes that the event at a position was seen at a crash.
async fn accuse(url: &str, positions: [&str; 2]) {
    use hence::core::commit::{Change, What};
    use hence::core::{Commit, Durability};
    let engine = hence_engine_local::open(url).unwrap();
    let change = positions.map(|position| Change {
        subscription: "charge".into(),
        key: format!("\u{1}began.{position}"),
        what: What::Write("2".into()),
    });
    let commit = Commit {
        change: change.to_vec(),
        durability: Durability::Written,
        ..Commit::default()
    };
    engine.commit(commit).await.unwrap();
    engine.close().await;
}

#[tokio::test]
async fn what_waits_for_its_turn_after_a_crash_is_not_said_to_run() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("log:{}", data.path().display());
    let mut server = Server::on(&url, Access::open(), Limits::default()).await;
    let slow = r#"{"order_id":"slow","amount":1}"#;
    let one = publish(&server, "/v1/publish/order.placed?key=one", slow).await;
    let two = publish(&server, "/v1/publish/order.placed?key=two", slow).await;
    server.drain.cancel();
    server.serving.take().unwrap().await.unwrap();
    let given_up = server.running.take().unwrap();
    given_up.drain_within(Duration::ZERO).await;
    drop(server);
    accuse(&url, [&one, &two]).await;
    let server = Server::on(&url, Access::open(), Limits::default()).await;
    let states = loop {
        let mut rows = Vec::new();
        for position in [&one, &two] {
            rows.push(explain(&server, position).await["items"][0].clone());
        }
        rows.sort_by_key(|row| row["state"].to_string());
        let is_told = rows[1]["waits"][0]["subscription"].is_string();
        if rows[0]["state"] == "running" && is_told {
            break rows;
        }
        tokio::task::yield_now().await;
    };
    let wait = &states[1]["waits"][0];
    assert_eq!(states[1]["state"], "waiting", "{wait}");
    assert_eq!(
        (&wait["for"], &wait["subscription"]),
        (&"alone".into(), &"charge".into())
    );
    let turn = wait["position"].as_str().unwrap();
    assert!([&*one, &*two].contains(&turn), "{wait}");
    let detail = wait["detail"].as_str().unwrap();
    let said = format!(
        "it was seen at 2 crashes in a row of the process, so it is handled while no other such \
         event is; now it is the turn of {turn} in charge"
    );
    assert_eq!(detail, said);
    server.stop().await;
}
