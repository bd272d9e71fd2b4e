//! `POST /v1/jobs` of the kinds `replay` and `compare`.

use super::*;

const JOBS: &str = "/v1/jobs";

async fn place(server: &Server, order: &str) {
    let path = format!("/v1/publish/order.placed?key={order}");
    let body = format!(r#"{{"order_id":"{order}","amount":1}}"#);
    let ask = server.post(&path, JSON, body).header("prefer", "wait=5");
    assert_eq!(ask.send().await.status, StatusCode::OK);
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
