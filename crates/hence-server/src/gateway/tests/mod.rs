//! The gateway over real connections: a server on port 0, a plain HTTP client, both engines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hence::replay::Replay;
use hence::{App, Event, Failure, Running, State};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::auth::{Access, Token, Verb};
use super::limits::Limits;
use super::{Gateway, server};

mod access;
mod codec;
mod explain;
mod letters;
mod live;
mod publish;
mod read;
mod replay;
mod retention;
mod sequence;
mod subscriptions;
mod wrong;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
    amount: f64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.charged", key = order_id)]
struct OrderCharged {
    order_id: String,
}

/// Orders above this are rejected while the bank is closed.
const CLOSED: f64 = 1_000.0;

#[derive(Default)]
struct Bank {
    calls: AtomicU32,
    /// Until this opens, the order `slow` waits.
    gate: CancellationToken,
}

/// Rejects a large order that comes first; keeps the order `slow` waiting; in a replay refuses the
/// order `once`, and charges the order `moved` as another.
async fn charge(
    order: OrderPlaced,
    bank: State<Bank>,
    replay: Replay,
) -> Result<OrderCharged, Failure> {
    let calls = bank.calls.fetch_add(1, Ordering::Relaxed);
    match (order.order_id.as_str(), replay.0) {
        ("once", Some(_)) => return Err(Failure::reject("it was charged")),
        ("moved", Some(replay)) => {
            let order_id = format!("elsewhere in {replay}");
            return Ok(OrderCharged { order_id });
        }
        _ => {}
    }
    if order.order_id == "slow" {
        bank.gate.cancelled().await;
    }
    if order.amount > CLOSED && calls == 0 {
        return Err(Failure::reject("the bank is closed"));
    }
    Ok(OrderCharged {
        order_id: order.order_id,
    })
}

/// A gateway that runs, and a client.
struct Server {
    address: SocketAddr,
    drain: CancellationToken,
    gate: CancellationToken,
    gateway: Arc<Gateway>,
    running: Option<Running>,
    serving: Option<JoinHandle<()>>,
    client: Client<HttpConnector, Full<Bytes>>,
    _data: Option<tempfile::TempDir>,
}

/// An answer that was read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks a problem: status, code, and that the whole of it is well formed.
    #[track_caller]
    fn is_problem(&self, status: u16, code: &str) -> Value {
        let text = self.text();
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{text}"
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{text}");
        assert_eq!(problem["status"], status, "{text}");
        assert_eq!(problem["type"], format!("/errors/{code}"));
        assert!(
            problem["instance"].as_str().unwrap().starts_with('/'),
            "{text}"
        );
        problem
    }
}

impl Access {
    /// Nobody needs a token.
    fn open() -> Self {
        Self {
            open: true,
            ..Self::default()
        }
    }
}

impl Server {
    /// A server on an engine of its own.
    async fn start(engine: &str, access: Access, limits: Limits) -> Self {
        let data = (engine == "log").then(|| tempfile::tempdir().unwrap());
        let url = match &data {
            Some(data) => format!("log:{}", data.path().display()),
            None => "memory:".to_owned(),
        };
        Self {
            _data: data,
            ..Self::on(&url, access, limits).await
        }
    }

    async fn on(url: &str, access: Access, limits: Limits) -> Self {
        let engine = hence_engine_local::open(url).unwrap();
        Self::on_engine(engine, access, limits).await
    }

    async fn on_engine(
        engine: Arc<dyn hence::core::Engine>,
        access: Access,
        limits: Limits,
    ) -> Self {
        let bank = Bank::default();
        let gate = bank.gate.clone();
        let app = App::new("shop").state(bank).subscribe("charge", charge);
        let running = app.start_on(engine).await.unwrap();
        let drain = CancellationToken::new();
        let dedup = Duration::from_secs(60);
        let gateway = Gateway::new(&running, access, limits, dedup, drain.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(server::serve(Arc::clone(&gateway), vec![listener]));
        Self {
            address,
            drain,
            gate,
            gateway,
            running: Some(running),
            serving: Some(serving),
            client: Client::builder(TokioExecutor::new()).build_http(),
            _data: None,
        }
    }

    /// As `hence dev` has it.
    async fn dev(engine: &str) -> Self {
        let tokens = vec![Token::of_secret("dev", "secret", Verb::ALL.to_vec())];
        let access = Access {
            tokens,
            open: true,
            ..Access::default()
        };
        Self::start(engine, access, Limits::default()).await
    }

    fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let url = format!("http://{}{path}", self.address);
        let request = Request::builder().method(method).uri(url);
        Ask {
            server: self,
            request,
            body: Bytes::new(),
        }
    }

    fn get(&self, path: &str) -> Ask<'_> {
        self.ask("GET", path)
    }

    fn post(&self, path: &str, media_type: &str, body: impl Into<Bytes>) -> Ask<'_> {
        let ask = self.ask("POST", path).body(body);
        if media_type.is_empty() {
            ask
        } else {
            ask.header("content-type", media_type)
        }
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        answer.json()
    }

    /// How many events are stored.
    async fn count(&self) -> usize {
        self.json("/v1/events?limit=500").await["items"]
            .as_array()
            .unwrap()
            .len()
    }

    async fn stop(mut self) {
        self.drain.cancel();
        self.gate.cancel();
        self.serving.take().unwrap().await.unwrap();
        self.running.take().unwrap().drain().await;
    }
}

/// A request that is being written.
struct Ask<'a> {
    server: &'a Server,
    request: hyper::http::request::Builder,
    body: Bytes,
}

impl Ask<'_> {
    fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = hyper::header::HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.request = self.request.header(name, value);
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    async fn open(self) -> hyper::Response<Incoming> {
        let request = self.request.body(Full::new(self.body)).unwrap();
        self.server.client.request(request).await.unwrap()
    }

    async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// The answer, unless the connection fails.
    async fn try_send(self) -> Option<Answer> {
        let request = self.request.body(Full::new(self.body)).unwrap();
        let (parts, body) = self.server.client.request(request).await.ok()?.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(10), body.collect());
        Some(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.await.expect("a whole answer in time").ok()?.to_bytes(),
        })
    }
}

const JSON: &str = "application/json";

/// Runs a test on both engines; the level is the one that each reaches by default.
async fn on_both(test: impl AsyncFn(Server, &'static str)) {
    test(Server::dev("memory").await, "accepted").await;
    test(Server::dev("log").await, "synced").await;
}
