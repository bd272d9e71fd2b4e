//! Every wrong input gets its status, its code and its hint, and nothing is stored.

use super::*;

/// What is sent, and what comes back: status, code, and a part of the problem.
struct Case {
    name: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static [u8])],
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    says: &'static str,
}

const CE: &[u8] = b"application/cloudevents+json";
const CT: &str = "content-type";

fn case(
    name: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static [u8])],
    body: impl Into<Vec<u8>>,
    (status, code, says): (u16, &'static str, &'static str),
) -> Case {
    let body = body.into();
    Case {
        name,
        path,
        headers,
        body,
        status,
        code,
        says,
    }
}

fn data() -> Vec<Case> {
    let json: &[(&str, &[u8])] = &[(CT, b"application/json")];
    let form: &[(&str, &[u8])] = &[(CT, b"application/x-www-form-urlencoded")];
    let (publish, big) = ("/v1/publish/x.y", vec![b'1'; 300 * 1024]);
    let deep = "[".repeat(65) + &"]".repeat(65);
    vec![
        case(
            "not JSON",
            publish,
            json,
            "{oops",
            (400, "HN4003", "not JSON"),
        ),
        case(
            "not JSON, no type",
            publish,
            &[],
            "oops",
            (415, "HN4151", "Content-Type"),
        ),
        case(
            "too deep",
            publish,
            json,
            deep,
            (400, "HN4003", "deeper than 64"),
        ),
        case(
            "curl -d",
            publish,
            form,
            "{\"a\":1}",
            (415, "HN4151", "use `curl --json`"),
        ),
        case(
            "too large",
            publish,
            json,
            big,
            (413, "HN4131", "gateway.limits.event"),
        ),
        case(
            "huge",
            publish,
            json,
            vec![b' '; 1_100_000],
            (413, "HN4131", "gateway.limits.body"),
        ),
        case(
            "parameter",
            "/v1/publish/x.y?kye=a",
            json,
            "1",
            (400, "HN4002", "did you mean 'key'"),
        ),
        case(
            "twice",
            "/v1/publish/x.y?key=a&key=b",
            json,
            "1",
            (400, "HN4003", "twice"),
        ),
        case(
            "delay",
            "/v1/publish/x.y?delay=10",
            json,
            "1",
            (400, "HN4003", "such as 200ms, 10s"),
        ),
        case(
            "a delay beyond all time",
            "/v1/publish/x.y?delay=99999999999999d",
            json,
            "1",
            (400, "HN4003", "behind the year 9999"),
        ),
        case(
            "delay and at",
            "/v1/publish/x.y?delay=1s&at=2030-01-01T00:00:00Z",
            json,
            "1",
            (400, "HN4003", "exclude"),
        ),
        case(
            "at",
            "/v1/publish/x.y?at=tomorrow",
            json,
            "1",
            (400, "HN4003", "RFC 3339"),
        ),
        case(
            "reserved",
            "/v1/publish/hence.tail.gap",
            json,
            "1",
            (400, "HN4001", "reserved"),
        ),
        case(
            "whole event",
            publish,
            &[(CT, CE)],
            "{}",
            (415, "HN4151", "/v1/events"),
        ),
        case(
            "bad key",
            publish,
            &[(CT, b"application/json"), ("idempotency-key", b"a b")],
            "1",
            (400, "HN4003", "visible"),
        ),
        case(
            "empty key",
            "/v1/publish/x.y?key=",
            json,
            "1",
            (400, "HN4001", "partitionkey"),
        ),
        case(
            "bad UTF-8 in the query",
            "/v1/publish/x.y?key=%C0%A0",
            json,
            "1",
            (400, "HN4003", "UTF-8"),
        ),
    ]
}

fn events() -> Vec<Case> {
    let structured: &[(&str, &[u8])] = &[(CT, CE)];
    let batch: &[(&str, &[u8])] = &[(CT, b"application/cloudevents-batch+json")];
    let (path, good) = (
        "/v1/events",
        r#"{"specversion":"1.0","id":"a","source":"/s","type":"x"}"#,
    );
    let many = format!("[{}{good}]", format!("{good},").repeat(1_000));
    let wide = good.replace("\"a\"", &format!("\"{}\"", "a".repeat(300 * 1024)));
    vec![
        case(
            "no attributes",
            path,
            &[(CT, b"application/json")],
            "{}",
            (400, "HN4001", "/v1/publish/{type}"),
        ),
        case(
            "no id",
            path,
            structured,
            good.replace("\"id\":\"a\",", ""),
            (400, "HN4001", "'id'"),
        ),
        case(
            "version",
            path,
            structured,
            good.replace("1.0", "0.3"),
            (400, "HN4001", "only '1.0'"),
        ),
        case(
            "a list",
            path,
            structured,
            "[]",
            (400, "HN4001", "not a JSON object"),
        ),
        case(
            "not JSON",
            path,
            structured,
            "{",
            (400, "HN4003", "not JSON"),
        ),
        case(
            "XML",
            path,
            &[(CT, b"application/cloudevents+xml")],
            "<e/>",
            (415, "HN4151", "JSON in UTF-8"),
        ),
        case(
            "charset",
            path,
            &[(CT, b"application/cloudevents+json; charset=latin1")],
            good,
            (415, "HN4151", "JSON in UTF-8"),
        ),
        case("no list", path, batch, good, (400, "HN4001", "JSON array")),
        case(
            "many",
            path,
            batch,
            many,
            (413, "HN4132", "gateway.limits.batch"),
        ),
        case(
            "wide",
            path,
            structured,
            wide,
            (413, "HN4131", "gateway.limits.event"),
        ),
        case(
            "form",
            path,
            &[(CT, b"application/x-www-form-urlencoded")],
            "{\"a\":1}",
            (415, "HN4151", "curl --json"),
        ),
        case(
            "ce-datacontenttype",
            path,
            &[
                ("ce-specversion", b"1.0"),
                ("ce-id", b"a"),
                ("ce-source", b"/s"),
                ("ce-type", b"x"),
                ("ce-datacontenttype", b"text/plain"),
            ],
            "1",
            (400, "HN4001", "Content-Type"),
        ),
        case(
            "overlong",
            path,
            &[
                ("ce-specversion", b"1.0"),
                ("ce-id", b"a%C0%A0"),
                ("ce-source", b"/s"),
                ("ce-type", b"x"),
            ],
            "1",
            (400, "HN4001", "'id' does not decode"),
        ),
        case(
            "raw bytes",
            path,
            &[
                ("ce-specversion", b"1.0"),
                ("ce-id", b"a\xFF"),
                ("ce-source", b"/s"),
                ("ce-type", b"x"),
            ],
            "1",
            (400, "HN4001", "'id' does not decode"),
        ),
        case(
            "twice",
            path,
            &[
                ("ce-specversion", b"1.0"),
                ("ce-id", b"a"),
                ("ce-id", b"b"),
                ("ce-source", b"/s"),
                ("ce-type", b"x"),
            ],
            "1",
            (400, "HN4001", "twice"),
        ),
        case(
            "parameter",
            "/v1/events?partail=true",
            structured,
            good,
            (400, "HN4002", "did you mean 'partial'"),
        ),
    ]
}

#[tokio::test]
async fn wrong_input_is_answered_by_name_and_stores_nothing() {
    on_both(async |server, _| {
        for case in data().into_iter().chain(events()) {
            let mut ask = server.ask("POST", case.path).body(case.body);
            for (name, value) in case.headers {
                ask = ask.header(name, value);
            }
            let answer = ask.send().await;
            let text = format!("{}: {}", case.name, answer.text());
            assert_eq!(answer.status.as_u16(), case.status, "{text}");
            answer.is_problem(case.status, case.code);
            assert!(text.contains(case.says), "{text}");
            if case.status == 415 {
                assert!(
                    answer.header("accept-post").contains("cloudevents"),
                    "{text}"
                );
            }
        }
        assert_eq!(server.count().await, 0);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let server = Server::dev("memory").await;
    for (path, status, code, says) in [
        ("/v1/event", 404, "HN4041", "did you mean '/v1/events'"),
        ("/v1/events/17", 404, "HN4041", "no event at '17'"),
        ("/v1/events/x", 404, "HN4041", "no event at 'x'"),
        ("/v1/events/17/trace", 404, "HN4041", "17"),
        ("/v1/events?limit=0", 400, "HN4003", "between 1 and 500"),
        ("/v1/events?limit=x", 400, "HN4003", "not a number"),
        ("/v1/events?cursor=x", 400, "HN4003", "cursor"),
        ("/v1/events?order=up", 400, "HN4003", "asc, desc"),
        ("/v1/events?since=now", 400, "HN4003", "RFC 3339"),
        ("/v1/tail?from=yesterday", 400, "HN4003", "earliest, latest"),
        ("/v1/tail?lasteventid=x", 400, "HN4003", "position"),
        ("/v1/tail?slow=never", 400, "HN4003", "gap, close"),
        ("/v1/topology?format=svg", 400, "HN4003", "mermaid"),
        (
            "/v1/deadletters?subscription=chrage",
            404,
            "HN4041",
            "did you mean 'charge'",
        ),
        ("/v1/deadletters/charge.9", 404, "HN4041", "charge.9"),
        ("/v1/deadletters?cursor=x", 400, "HN4003", "cursor"),
        (
            "/v1/deadletters?fingerprint=7",
            400,
            "HN4003",
            "16 hexadecimal",
        ),
        (
            "/v1/deadletters/groups?limit=1",
            400,
            "HN4002",
            "fingerprint",
        ),
        ("/v1/jobs/7", 404, "HN4041", "end with the process"),
        ("/v1/status?x=1", 400, "HN4002", "no parameters"),
        ("/errors/HN9999", 404, "HN4041", "HN9999"),
    ] {
        let answer = server.get(path).send().await;
        let problem = answer.is_problem(status, code);
        assert!(answer.text().contains(says), "{path}: {problem}");
    }
    let answer = server.ask("DELETE", "/v1/events").send().await;
    answer.is_problem(405, "HN4051");
    assert!(
        answer.header("allow").contains("POST"),
        "{:?}",
        answer.headers
    );
    let answer = server
        .get("/v1/tail")
        .header("accept", "image/png")
        .send()
        .await;
    answer.is_problem(406, "HN4061");
    let long = format!("/v1/events?id={}", "a".repeat(9_000));
    server.get(&long).send().await.is_problem(414, "HN4141");
    let ask = server
        .get("/v1/events")
        .header("x-large", "a".repeat(40_000));
    ask.send().await.is_problem(431, "HN4311");
    server.stop().await;
}

#[tokio::test]
async fn a_panic_ends_nothing_but_its_request() {
    let server = Server::dev("memory").await;
    for _ in 0..3 {
        let problem = server.get("/panic").send().await.is_problem(500, "HN5001");
        assert!(
            !problem.to_string().contains("as a test asked"),
            "nothing leaks"
        );
    }
    assert_eq!(server.get("/livez").send().await.status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test]
async fn every_code_has_a_page_with_its_title_and_three_parts() {
    let server = Server::dev("memory").await;
    for code in super::super::problem::Code::ALL {
        let page = server
            .get(&format!("/errors/{}", code.as_str()))
            .send()
            .await;
        assert_eq!(page.status, StatusCode::OK);
        let text = page.text();
        let title = code.problem("").to_json(None);
        let title = serde_json::from_str::<Value>(&title).unwrap()["title"].clone();
        let first = format!("# {} {}\n", code.as_str(), title.as_str().unwrap());
        assert!(text.starts_with(&first), "{text}");
        for part in ["## What\n", "## Why\n", "## Fix\n"] {
            assert!(text.contains(part), "{}: {part}", code.as_str());
        }
        assert!(code.as_str()[2..].starts_with(code.status().as_str()));
    }
    server.stop().await;
}
