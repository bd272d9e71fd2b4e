//! `/v1/subscriptions/{id}/pause` and `/resume`.

use super::*;

const PAUSE: &str = "/v1/subscriptions/charge/pause";
const RESUME: &str = "/v1/subscriptions/charge/resume";

async fn place(server: &Server, order: &str) {
    let path = format!("/v1/publish/order.placed?key={order}");
    let body = format!(r#"{{"order_id":"{order}","amount":1}}"#);
    let answer = server.post(&path, JSON, body).send().await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

async fn metric(server: &Server) -> String {
    let text = server.get("/metrics").send().await.text();
    let mut lines = text.lines();
    let name = "hence_subscription_paused{subscription=\"charge\"} ";
    lines
        .find_map(|line| line.strip_prefix(name))
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_subscription_is_paused_shown_as_such_and_goes_on() {
    on_both(async |server, _| {
        assert_eq!(metric(&server).await, "0");
        let why = r#"{"reason":"the bank is closed"}"#;
        let said = server.post(PAUSE, JSON, why).send().await.json();
        assert_eq!(
            (&said["id"], &said["status"]),
            (&"charge".into(), &"paused".into())
        );
        assert_eq!(said["paused"]["by"], "anonymous");
        place(&server, "a").await;
        let listed = server.json("/v1/subscriptions").await["items"][0].clone();
        assert_eq!(
            (&listed["status"], &listed["lag"]),
            (&"paused".into(), &1.into())
        );
        assert_eq!(listed["paused"], said["paused"]);
        assert_eq!(metric(&server).await, "1");
        let order = server.json("/v1/events?type=order.placed").await;
        let position = order["items"][0]["position"].clone();
        let body = serde_json::json!({"position": position}).to_string();
        let explained = server.post("/v1/explain", JSON, body).send().await.json();
        let row = &explained["items"][0];
        assert_eq!(row["state"], "waiting", "{row}");
        let waits = row["waits"].as_array().unwrap();
        let wait = waits
            .iter()
            .find(|wait| wait["for"] == "paused-by")
            .unwrap();
        let detail = wait["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("the subscription is paused by anonymous at "),
            "{detail}"
        );
        assert!(detail.ends_with(": the bank is closed"), "{detail}");
        // Again, and without a word: it is what it was.
        let again = server.post(PAUSE, "", "").send().await.json();
        assert_eq!(again["paused"], said["paused"]);
        let resumed = server.post(RESUME, "", "").send().await.json();
        assert_eq!(resumed["status"], "active");
        assert_eq!(resumed["was"], said["paused"]);
        let twice = server.post(RESUME, "", "").send().await.json();
        assert!(twice.get("was").is_none(), "{twice}");
        let charged = "/v1/events?type=order.charged";
        while server.json(charged).await["items"]
            .as_array()
            .unwrap()
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(metric(&server).await, "0");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_makes_no_sense_or_is_not_allowed_is_refused() {
    let token = |name: &str, allow: &[Verb]| Token::of_secret(name, name, allow.to_vec());
    let tokens = vec![
        token("operates", &[Verb::Operate]),
        token(
            "others",
            &[Verb::Read, Verb::Publish, Verb::Redrive, Verb::Replay],
        ),
    ];
    let access = Access {
        tokens,
        ..Access::default()
    };
    let server = Server::start("memory", access, Limits::default()).await;
    let ask = async |token: &str, path: &str, body: &str| {
        let ask = server.post(path, JSON, body.to_owned());
        ask.header("authorization", format!("Bearer {token}"))
            .send()
            .await
    };
    for path in [PAUSE, RESUME] {
        let refused = ask("others", path, "").await.is_problem(403, "HN4031");
        assert!(
            refused["detail"].to_string().contains("'operate'"),
            "{refused}"
        );
    }
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(1_001));
    for (body, code) in [
        (r#"{"why":"x"}"#, "HN4002"),
        (r#"{"reason":7}"#, "HN4003"),
        ("[]", "HN4003"),
        (&long, "HN4003"),
    ] {
        ask("operates", PAUSE, body).await.is_problem(400, code);
    }
    let wrong = ask("operates", "/v1/subscriptions/chrage/pause", "").await;
    let problem = wrong.is_problem(404, "HN4041");
    assert!(
        problem["detail"]
            .to_string()
            .contains("did you mean 'charge'"),
        "{problem}"
    );
    let paused = ask("operates", PAUSE, "{}").await.json();
    assert_eq!(paused["paused"]["by"], "operates");
    assert!(paused["paused"].get("reason").is_none(), "{paused}");
    server.stop().await;
}
