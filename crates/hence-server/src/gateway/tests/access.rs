//! Who may come in: hosts, origins, tokens, verbs.

use super::*;

async fn serve() -> Server {
    let token = |name, verbs: &[Verb]| Token::of_secret(name, name, verbs.to_vec());
    let access = Access {
        tokens: vec![
            token("writer", &[Verb::Publish]),
            token("reader", &[Verb::Read]),
        ],
        origins: vec!["https://shop.example".to_owned()],
        hosts: vec!["hence.example".to_owned()],
        ..Access::default()
    };
    Server::start("memory", access, Limits::default()).await
}

#[tokio::test]
async fn a_server_always_needs_a_token_that_allows_the_verb() {
    let server = serve().await;
    let answer = server.get("/v1/events").send().await;
    answer.is_problem(401, "HN4011");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    for wrong in ["Bearer nobody", "Basic reader", "Bearer", "Bearer "] {
        let answer = server
            .get("/v1/events")
            .header("authorization", wrong)
            .send()
            .await;
        answer.is_problem(401, "HN4011");
    }
    let publish = || server.post("/v1/publish/x.y", JSON, "1");
    let problem = publish()
        .header("authorization", "Bearer reader")
        .send()
        .await;
    let problem = problem.is_problem(403, "HN4031");
    assert_eq!(
        problem["detail"],
        "the token 'reader' does not allow 'publish'"
    );
    let answer = publish()
        .header("authorization", "bearer writer")
        .send()
        .await;
    assert_eq!(answer.json()["source"], "/hence/http/writer");
    let reading = server
        .get("/v1/events")
        .header("authorization", "Bearer reader");
    let list = reading.send().await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    for (method, path) in [
        ("POST", "/v1/deadletters/charge.1/redrive"),
        ("DELETE", "/v1/deadletters/charge.1?reason=x"),
        ("POST", "/v1/jobs"),
        ("DELETE", "/v1/jobs/1"),
    ] {
        let ask = server.ask(method, path);
        let answer = ask.header("authorization", "Bearer reader").send().await;
        answer.is_problem(403, "HN4031");
    }
    let status = server
        .get("/v1/status")
        .header("authorization", "Bearer writer")
        .send()
        .await;
    assert_eq!(
        status.json()["caller"]["allow"],
        serde_json::json!(["publish"])
    );
    assert_eq!(server.get("/readyz").send().await.status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test]
async fn names_that_are_not_ours_are_refused() {
    let server = Server::dev("memory").await;
    for host in [
        "localhost",
        "LOCALHOST:4362",
        "127.0.0.1:1",
        "[::1]:4362",
        "[::1]",
    ] {
        let answer = server.get("/v1/status").header("host", host).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "127.0.0.1.evil.example:80",
        "",
    ] {
        let answer = server.get("/v1/status").header("host", host).send().await;
        answer.is_problem(403, "HN4032");
    }
    let two = server.get("/v1/status").header("host", "localhost");
    let answer = two.header("host", "evil.example").send().await;
    answer.is_problem(403, "HN4032");
    // Probes come by the address of the machine.
    let probe = server.get("/livez").header("host", "10.0.0.1").send().await;
    assert_eq!(probe.status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test]
async fn in_development_a_browser_needs_the_token_and_other_pages_stay_out() {
    let server = Server::dev("memory").await;
    let own = format!("http://{}", server.address);
    let publish = || server.post("/v1/publish/x.y", JSON, "1");
    publish()
        .header("origin", "https://evil.example")
        .send()
        .await
        .is_problem(403, "HN4033");
    publish()
        .header("origin", "null")
        .send()
        .await
        .is_problem(403, "HN4033");
    let get = server
        .get("/v1/events")
        .header("sec-fetch-site", "cross-site");
    get.send().await.is_problem(403, "HN4033");
    publish()
        .header("origin", &own)
        .send()
        .await
        .is_problem(401, "HN4011");
    let get = server
        .get("/v1/events")
        .header("sec-fetch-site", "same-origin");
    get.send().await.is_problem(401, "HN4011");
    let with_token = publish()
        .header("origin", &own)
        .header("authorization", "Bearer secret");
    let answer = with_token.send().await;
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(server.count().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_listed_origin_gets_the_headers_that_it_needs_and_never_a_star() {
    let server = serve().await;
    let origin = "https://shop.example";
    let preflight = server
        .ask("OPTIONS", "/v1/publish/x.y")
        .header("origin", origin)
        .header("access-control-request-method", "POST");
    let answer = preflight.send().await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    let ask = server
        .post("/v1/publish/x.y", JSON, "1")
        .header("origin", origin);
    let answer = ask.header("authorization", "Bearer writer").send().await;
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    let named = server.get("/v1/events").header("host", "hence.example");
    named
        .header("authorization", "Bearer reader")
        .send()
        .await
        .json();
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let access = Access {
        open: true,
        ..Access::default()
    };
    let server = Server::start("memory", access, limits).await;
    let mut first = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    first
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = [0; 15];
    first.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"HTTP/1.1 200 OK");
    let mut second = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 429 ") && text.contains("HN4292"),
        "{text}"
    );
    server.stop().await;
}

/// What a handler says and publishes may tell what is in other events.
#[tokio::test]
async fn only_who_may_read_is_told_what_handlers_made_of_an_event() {
    for verb in Verb::ALL {
        let token = Token::of_secret("one", "one", vec![Verb::Publish, verb]);
        let access = Access {
            tokens: vec![token],
            ..Access::default()
        };
        let server = Server::start("memory", access, Limits::default()).await;
        let place = async |order: &str, amount: u32| {
            let body = format!(r#"{{"order_id":"{order}","amount":{amount}}}"#);
            let path = format!("/v1/publish/order.placed?key={order}");
            let ask = server.post(&path, JSON, body).header("prefer", "wait=5");
            let answer = ask.header("authorization", "Bearer one").send().await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            answer.json()["results"][0].clone()
        };
        let (rejected, done) = (place("a", 2_000).await, place("b", 1).await);
        assert_eq!(
            (&rejected["outcome"], &rejected["attempts"]),
            (&"rejected".into(), &1.into())
        );
        assert_eq!(done["outcome"], "done");
        let told = (
            rejected["error"].as_str(),
            done["events"][0]["event"]["type"].as_str(),
        );
        let all = (Some("the bank is closed"), Some("order.charged"));
        let reads = verb == Verb::Read;
        assert_eq!(
            told,
            if reads { all } else { (None, None) },
            "{}",
            verb.as_str()
        );
        assert_eq!(done.get("events").is_some(), reads, "{done}");
        server.stop().await;
    }
}
