//! `POST /v1/jobs` of the kinds `replay` and `compare`.

use super::*;

const JOBS: &str = "/v1/jobs";

async fn place(server: &Server, order: &str) {
    let path = format!("/v1/publish/order.placed?key={order}");
    let body = format!(r#"{{"order_id":"{order}","amount":1}}"#);
    let ask = server.post(&path, JSON, body).header("prefer", "wait=5");
    assert_eq!(ask.send().await.status, StatusCode::OK);
}

/// Places an order that one of several subscriptions handles.
async fn place_at_once(server: &Server, order: &str) {
    let path = format!("/v1/publish/order.placed?key={order}");
    let body = format!(r#"{{"order_id":"{order}","amount":1}}"#);
    let answer = server.post(&path, JSON, body).send().await;
    assert!(answer.status.is_success(), "{}", answer.text());
    let done = format!("/v1/events?type=order.charged&key={order}");
    while server.json(&done).await["items"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
}

async fn job(server: &Server, body: &Value) -> Answer {
    server.post(JOBS, JSON, body.to_string()).send().await
}

/// Runs a job to its end.
async fn run(server: &Server, body: &Value) -> Value {
    let answer = job(server, body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    loop {
        let job = server.json(answer.header("location")).await;
        if job["state"] != "running" {
            return job;
        }
        tokio::task::yield_now().await;
    }
}

fn replay(kind: &str) -> Value {
    serde_json::json!({"kind": kind, "subscription": "charge", "from": "earliest"})
}

#[tokio::test]
async fn a_replay_acts_on_what_was_previewed_and_publishes_nothing_twice() {
    on_both(async |server, _| {
        for order in ["a", "b", "once", "c"] {
            place(&server, order).await;
        }
        let before = server.count().await;
        let mut body = replay("replay");
        body["rate"] = 1_000.into();
        body["dryrun"] = true.into();
        let preview = job(&server, &body).await.json();
        assert_eq!(
            (&preview["matches"], &preview["more"], &preview["eta"]),
            (&4.into(), &false.into(), &"0.004s".into())
        );
        assert_eq!(preview["sample"], serde_json::json!(["1", "3", "5", "7"]));
        place(&server, "later").await;
        body["dryrun"] = false.into();
        body["upto"] = preview["upto"].clone();
        let end = run(&server, &body).await;
        assert_eq!(
            (&end["state"], &end["kind"]),
            (&"done".into(), &"replay".into())
        );
        assert_eq!((&end["matches"], &end["done"]), (&4.into(), &4.into()));
        assert_eq!(
            (&end["published"], &end["absorbed"]),
            (&0.into(), &3.into())
        );
        assert_eq!((&end["failed"], &end["found"]), (&1.into(), &1.into()));
        assert_eq!(
            end["findings"],
            serde_json::json!([{"position": "5", "what": "failed", "error": "it was charged"}])
        );
        assert_eq!(
            server.count().await,
            before + 2,
            "only the later order came"
        );
        let listed = server.json(JOBS).await;
        assert!(listed["items"][0].get("findings").is_none(), "{listed}");
        assert_eq!(listed["items"][0]["found"], 1);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_comparison_tells_what_was_published_and_what_would_be() {
    on_both(async |server, _| {
        for order in ["a", "moved", "b"] {
            place(&server, order).await;
        }
        let before = server.count().await;
        let mut body = replay("compare");
        body["filter"] = serde_json::json!({"type": ["order.placed"]});
        let end = run(&server, &body).await;
        assert_eq!((&end["state"], &end["done"]), (&"done".into(), &3.into()));
        let [found] = &end["findings"].as_array().unwrap()[..] else {
            panic!("{end}");
        };
        assert_eq!(
            (&found["position"], &found["what"]),
            (&"3".into(), &"changed".into())
        );
        assert_eq!(found["then"]["data"]["order_id"], "moved");
        let now = found["now"]["data"]["order_id"].as_str().unwrap();
        assert_eq!(now, format!("elsewhere in {}", end["id"].as_str().unwrap()));
        assert_eq!(server.count().await, before, "nothing was published");
        body["from"] = "4".into();
        body["to"] = "5".into();
        let end = run(&server, &body).await;
        assert_eq!((&end["matches"], &end["found"]), (&1.into(), &0.into()));
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_replay_is_cancelled_and_says_how_far_it_came() {
    let server = Server::dev("log").await;
    for order in ["a", "b", "c"] {
        place(&server, order).await;
    }
    let mut body = replay("replay");
    body["rate"] = 1.into();
    let answer = job(&server, &body).await;
    let path = answer.header("location");
    while server.json(path).await["next"].is_null() {
        tokio::task::yield_now().await;
    }
    let end = server.ask("DELETE", path).send().await.json();
    assert_eq!(end["state"], "cancelled");
    assert!(end["done"].as_u64() < Some(3), "{end}");
    assert!(end["position"].is_string(), "{end}");
    // The rest begins behind what is done.
    let next: u64 = end["next"].as_str().unwrap().parse().unwrap();
    assert!([2, 4].contains(&next), "{end}");
    let mut rest = replay("replay");
    rest["from"] = end["next"].clone();
    let rest = run(&server, &rest).await;
    let left = [1, 3, 5].iter().filter(|order| **order >= next).count();
    assert_eq!(rest["done"], left, "{rest}");
    assert_eq!(rest["next"], "6", "{rest}");
    server.stop().await;
}

#[tokio::test]
async fn a_replay_that_makes_no_sense_or_is_not_allowed_is_refused() {
    let token = |name: &str, allow: &[Verb]| Token::of_secret(name, name, allow.to_vec());
    let tokens = vec![
        token("redriver", &[Verb::Redrive, Verb::Read]),
        token("replayer", &[Verb::Replay]),
    ];
    let access = Access {
        tokens,
        ..Access::default()
    };
    let server = Server::start("memory", access, Limits::default()).await;
    let ask = async |token: &str, body: &Value| {
        let ask = server.post(JOBS, JSON, body.to_string());
        ask.header("authorization", format!("Bearer {token}"))
            .send()
            .await
    };
    let answer = ask("redriver", &replay("replay")).await;
    let detail = answer.is_problem(403, "HN4031")["detail"].to_string();
    assert!(detail.contains("'replay'"), "{detail}");
    let letters = serde_json::json!({"kind": "redrive", "filter": {}});
    ask("replayer", &letters).await.is_problem(403, "HN4031");
    let begun = ask("replayer", &replay("replay")).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
    let cancel = server.ask("DELETE", begun.header("location"));
    let cancel = cancel.header("authorization", "Bearer redriver");
    cancel.send().await.is_problem(403, "HN4031");
    let mut nobody = replay("replay");
    nobody["subscription"] = "chrage".into();
    let problem = ask("replayer", &nobody).await.is_problem(404, "HN4041");
    assert!(
        problem["detail"]
            .to_string()
            .contains("did you mean 'charge'")
    );
    let mut strange = replay("compare");
    strange["filter"] = serde_json::json!({"type": "order.charged"});
    let problem = ask("replayer", &strange).await.is_problem(404, "HN4041");
    assert!(
        problem["detail"].to_string().contains("order.placed"),
        "{problem}"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_previewed_at_a_time_is_bounded() {
    let server = Server::dev("memory").await;
    place(&server, "a").await;
    let most = u32::try_from(crate::gateway::jobs::JOBS_PREVIEWED_MAX).unwrap();
    let taken = server.gateway.jobs.previewed.acquire_many(most).await;
    let mut body = replay("replay");
    for dry_run in [true, false] {
        body["dryrun"] = dry_run.into();
        let full = job(&server, &body).await;
        let problem = full.is_problem(503, "HN5031");
        assert!(
            problem["detail"].to_string().contains("previewed"),
            "{problem}"
        );
        assert_eq!(full.header("retry-after"), "1");
    }
    let letters = serde_json::json!({"kind": "redrive", "filter": {}, "dryrun": true});
    job(&server, &letters).await.is_problem(503, "HN5031");
    assert_eq!(server.json(JOBS).await["items"], serde_json::json!([]));
    drop(taken);
    for _ in 0..=most {
        // Each gives its place back.
        assert_eq!(run(&server, &body).await["state"], "done");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_replay_found_is_only_for_tokens_that_read() {
    let token = |name: &str, allow: &[Verb]| Token::of_secret(name, name, allow.to_vec());
    let tokens = vec![
        token("replays", &[Verb::Replay]),
        token("both", &[Verb::Replay, Verb::Read]),
        token("reads", &[Verb::Read]),
        token("redrives", &[Verb::Redrive]),
        token("publishes", &[Verb::Publish]),
    ];
    let access = Access {
        tokens,
        ..Access::default()
    };
    let server = Server::start("memory", access, Limits::default()).await;
    let ask = async |name: &str, ask: Ask<'_>| {
        let ask = ask.header("authorization", format!("Bearer {name}"));
        ask.send().await
    };
    let path = "/v1/publish/order.placed?key=once";
    let once = server.post(path, JSON, r#"{"order_id":"once","amount":1}"#);
    let stored = ask("publishes", once).await;
    assert_eq!(stored.status, StatusCode::ACCEPTED, "{}", stored.text());
    let done = "/v1/events/1/deliveries";
    while ask("reads", server.get(done)).await.json()["items"][0]["state"] != "done" {
        tokio::task::yield_now().await;
    }
    let begin = |body: &Value| server.post(JOBS, JSON, body.to_string());
    for name in ["replays", "both"] {
        let begun = ask(name, begin(&replay("replay"))).await;
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
        let shows = name == "both";
        assert_eq!(begun.json().get("findings").is_some(), shows, "{name}");
        let path = begun.header("location");
        while ask("reads", server.get(path)).await.json()["state"] == "running" {
            tokio::task::yield_now().await;
        }
        let seen = ask("reads", server.get(path)).await.json();
        assert_eq!(seen["findings"][0]["error"], "it was charged");
        let cancelled = ask(name, server.ask("DELETE", path)).await;
        assert_eq!(cancelled.status, StatusCode::OK, "{}", cancelled.text());
        let told = cancelled.json();
        assert_eq!(told["found"], 1, "how many is no secret");
        assert_eq!(told.get("findings").is_some(), shows, "{name}: {told}");
        assert!(
            shows || !cancelled.text().contains("it was charged"),
            "{told}"
        );
        for (name, method) in [
            ("replays", "GET"),
            ("redrives", "GET"),
            ("publishes", "GET"),
            ("reads", "DELETE"),
            ("redrives", "DELETE"),
            ("publishes", "DELETE"),
        ] {
            let refused = ask(name, server.ask(method, path)).await;
            refused.is_problem(403, "HN4031");
        }
    }
    for name in ["reads", "redrives", "publishes"] {
        let refused = ask(name, begin(&replay("replay"))).await;
        refused.is_problem(403, "HN4031");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_replay_says_that_it_is_no_sandbox_and_who_else_has_a_handler() {
    let engine = hence_engine_local::open("memory:").unwrap();
    let spec = hence::core::SubscriptionSpec::new(
        "elsewhere",
        vec!["order.placed".to_owned()],
        hence::core::Start::Earliest,
    );
    let _deliveries = engine.subscribe(spec).await.unwrap();
    let server = Server::on_engine(engine, Access::open(), Limits::default()).await;
    place_at_once(&server, "a").await;
    for kind in ["replay", "compare"] {
        let mut body = replay(kind);
        body["dryrun"] = true.into();
        let preview = job(&server, &body).await.json();
        body["dryrun"] = false.into();
        for said in [preview, run(&server, &body).await] {
            let effect = said["effect"].to_string();
            assert!(effect.contains("outside of Hence it does again"), "{said}");
            assert_eq!(effect.contains("no sandbox"), kind == "compare", "{said}");
        }
        body["subscription"] = "elsewhere".into();
        let problem = job(&server, &body).await.is_problem(404, "HN4041");
        let hint = problem["hint"].to_string();
        assert!(hint.contains("Running::replayer"), "{problem}");
    }
    server.stop().await;
}
