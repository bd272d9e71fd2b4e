//! Dead letters in bulk, by cause, edited, and given up.

use super::*;

const ORDER: &str = "/v1/publish/order.placed?key=";
const JOB: &str = "/v1/jobs";

/// Orders that do not decode, each of a key of its own; gives the ids of the dead letters.
async fn bury(server: &Server, count: usize) -> Vec<String> {
    for number in 0..count {
        let path = format!("{ORDER}bad-{number}");
        let ask = server.post(&path, JSON, format!("{{\"order\":{number}}}"));
        ask.header("prefer", "wait=5").send().await;
    }
    ids(&server.json("/v1/deadletters?limit=500").await)
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn job(server: &Server, body: Value) -> Answer {
    server.post(JOB, JSON, body.to_string()).send().await
}

/// Waits until a job has ended.
async fn ended(server: &Server, path: &str) -> Value {
    loop {
        let job = server.json(path).await;
        if job["state"] != "running" {
            return job;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dead_letters_come_in_pages_and_by_cause() {
    on_both(async |server, _| {
        let all = bury(&server, 5).await;
        assert_eq!(all.len(), 5);
        let (mut path, mut seen) = ("/v1/deadletters?limit=2".to_owned(), Vec::new());
        loop {
            let page = server.json(&path).await;
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("/v1/deadletters?limit=2&cursor={next}");
        }
        assert_eq!(seen, all);
        let groups = server.json("/v1/deadletters/groups").await;
        let group = &groups["items"][0];
        assert_eq!((&group["count"], &groups["rest"]), (&5.into(), &0.into()));
        assert_eq!(group["sample"], *all[0]);
        assert_eq!(group["reason"], "undecodable");
        assert!(group["error"].as_str().unwrap().contains('#'), "{group}");
        let print = group["fingerprint"].as_str().unwrap();
        let same = server
            .json(&format!("/v1/deadletters?fingerprint={print}&key=bad-3"))
            .await;
        assert_eq!(ids(&same), all[3..4]);
        for none in ["type=order.charged", "status=waiting"] {
            let none = server.json(&format!("/v1/deadletters?{none}")).await;
            assert!(ids(&none).is_empty());
        }
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_is_discarded_with_a_reason() {
    on_both(async |server, _| {
        let id = bury(&server, 1).await.remove(0);
        let path = format!("/v1/deadletters/{id}");
        let bare = server.ask("DELETE", &path).send().await;
        bare.is_problem(400, "HN4003");
        for _ in 0..2 {
            let gone = server
                .ask("DELETE", &format!("{path}?reason=a+test"))
                .send()
                .await;
            assert_eq!((gone.status.as_u16(), &*gone.text()), (204, ""));
        }
        server.get(&path).send().await.is_problem(404, "HN4041");
        let position = id.rsplit_once('.').unwrap().1;
        let list = server
            .json(&format!("/v1/events/{position}/deliveries"))
            .await;
        let delivery = &list["items"][0];
        assert_eq!(delivery["state"], "discarded");
        let last = delivery["attempts"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["outcome"], &last["error"]),
            (&"discarded".into(), &"a test".into())
        );
        let told = server
            .json("/v1/events?type=hence.deadletter.discarded")
            .await;
        let events = told["items"].as_array().unwrap();
        assert_eq!(events.len(), 1, "said once however often it is asked");
        let data = &events[0]["event"]["data"];
        assert_eq!(
            (&data["letter"], &data["reason"]),
            (&(*id).into(), &"a test".into())
        );
        // The key is free.
        let ask = server.post(
            &format!("{ORDER}bad-0"),
            JSON,
            "{\"order_id\":\"bad-0\",\"amount\":1}",
        );
        let answer = ask.header("prefer", "wait=5").send().await.json();
        assert_eq!(answer["results"][0]["outcome"], "done", "{answer}");
        let none = server
            .ask("DELETE", "/v1/deadletters/charge.99?reason=x")
            .send()
            .await;
        none.is_problem(404, "HN4041");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_edited_copy_takes_the_place_of_a_dead_letter() {
    on_both(async |server, _| {
        let id = bury(&server, 1).await.remove(0);
        // Later events of the key wait behind it.
        let later = format!("{ORDER}bad-0");
        server
            .post(&later, JSON, "{\"order_id\":\"bad-0\",\"amount\":2}")
            .send()
            .await;
        let whole = server.json(&format!("/v1/deadletters/{id}")).await;
        let path = format!("/v1/deadletters/{id}/redrive");
        let other = r#"{"data":{"order_id":"other","amount":1}}"#;
        let problem = server.post(&path, JSON, other).send().await;
        problem.is_problem(409, "HN4096");
        let unfit = server
            .post(&path, JSON, r#"{"data":{"order_id":"bad-0"}}"#)
            .send()
            .await;
        assert!(
            unfit.is_problem(422, "HN4224")["detail"]
                .to_string()
                .contains("amount")
        );
        let mut tail = live::Tail::open(server.get("/v1/tail?type=order.charged")).await;
        let body = r#"{"data":{"order_id":"bad-0","amount":1}}"#;
        let answer = server.post(&path, JSON, body).send().await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
        let copy = answer.json()["copy"].as_str().unwrap().to_owned();
        for _ in 0..2 {
            assert!(
                tail.next().await.is_some(),
                "the edited one, and the one behind it"
            );
        }
        let charged = server.json("/v1/events?type=order.charged").await;
        let cause = &charged["items"][0]["event"]["causationid"];
        assert_eq!(cause, &copy, "the copy came first");
        let told = server.json("/v1/events?type=hence.deadletter.edited").await;
        let data = &told["items"][0]["event"]["data"];
        assert_eq!(
            (&data["event"], &data["copy"]),
            (&whole["event"]["id"], &(*copy).into())
        );
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_job_acts_on_exactly_what_was_previewed() {
    on_both(async |server, _| {
        let all = bury(&server, 3).await;
        let filter = serde_json::json!({"subscription": "charge", "type": "order.placed"});
        let dry =
            serde_json::json!({"kind": "discard", "filter": filter, "dryrun": true, "rate": 6});
        let preview = job(&server, dry).await.json();
        assert_eq!(
            (&preview["matches"], &preview["eta"]),
            (&3.into(), &"0.5s".into())
        );
        assert_eq!(preview["sample"], serde_json::json!(all));
        let later = format!("{ORDER}later");
        let ask = server.post(&later, JSON, "{}").header("prefer", "wait=5");
        ask.send().await;
        let go = serde_json::json!({"kind": "discard", "filter": filter, "reason": "old",
            "upto": preview["upto"]});
        let answer = job(&server, go.clone()).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
        let end = ended(&server, answer.header("location")).await;
        assert_eq!((&end["state"], &end["done"]), (&"done".into(), &3.into()));
        assert!(
            end["ended"].is_string() && end.get("error").is_none(),
            "{end}"
        );
        let left = ids(&server.json("/v1/deadletters").await);
        assert_eq!(left.len(), 1, "what came after the preview is left alone");
        // Twice does no harm.
        let again = job(&server, go).await;
        let end = ended(&server, again.header("location")).await;
        assert_eq!(
            (&end["state"], &end["matches"]),
            (&"done".into(), &0.into())
        );
        assert_eq!(server.json(JOB).await["items"].as_array().unwrap().len(), 2);
        let unknown = serde_json::json!({"kind": "redrive", "filter": {"subscription": "chrage"}});
        let problem = job(&server, unknown).await;
        assert!(
            problem.is_problem(404, "HN4041")["detail"]
                .to_string()
                .contains("charge")
        );
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn jobs_have_a_rate_are_cancelled_and_are_bounded() {
    let server = Server::dev("log").await;
    bury(&server, 40).await;
    let slow = serde_json::json!({"kind": "redrive", "filter": {}, "rate": 1});
    let mut paths = Vec::new();
    for _ in 0..crate::gateway::jobs::JOBS_RUNNING_MAX {
        let answer = job(&server, slow.clone()).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
        paths.push(answer.header("location").to_owned());
    }
    let full = job(&server, slow.clone()).await;
    full.is_problem(503, "HN5031");
    for path in &paths {
        let end = server.ask("DELETE", path).send().await.json();
        assert_eq!(end["state"], "cancelled");
        assert!(end["done"].as_u64() < end["matches"].as_u64(), "{end}");
    }
    let more = serde_json::json!({"kind": "redrive", "filter": {}});
    let mut last = String::new();
    for _ in 0..crate::gateway::jobs::JOBS_KEPT_MAX {
        let answer = job(&server, more.clone()).await;
        last = answer.header("location").to_owned();
        ended(&server, &last).await;
    }
    let kept = server.json(JOB).await;
    let kept = kept["items"].as_array().unwrap();
    assert_eq!(kept.len(), crate::gateway::jobs::JOBS_KEPT_MAX);
    assert!(last.ends_with(kept.last().unwrap()["id"].as_str().unwrap()));
    server.get(&paths[0]).send().await.is_problem(404, "HN4041");
    server.stop().await;
}
