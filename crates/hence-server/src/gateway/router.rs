//! Which resource answers what, and the edge around all of them: limits, allow-lists, panics,
//! problems, and the count of requests.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderValue, VARY,
};
use hyper::{Method, StatusCode, Uri};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::problem::{Code, Problem};
use super::suggest::did_you_mean;
use super::{
    Gateway, cloudevents, dead_letters, events, explain, health, jobs, limits, metrics, plan,
    publish, subscriptions, tail, topology,
};

/// Every resource, for "did you mean".
const PATHS: [&str; 25] = [
    "/v1/events",
    "/v1/events/{position}",
    "/v1/events/{position}/deliveries",
    "/v1/events/{position}/trace",
    "/v1/publish/{type}",
    "/v1/tail",
    "/v1/topology",
    "/v1/subscriptions",
    "/v1/subscriptions/{id}/pause",
    "/v1/subscriptions/{id}/resume",
    "/v1/deadletters",
    "/v1/deadletters/groups",
    "/v1/deadletters/{id}",
    "/v1/deadletters/{id}/redrive",
    "/v1/jobs",
    "/v1/jobs/{id}",
    "/v1/explain",
    "/v1/plan",
    "/v1/plan/model",
    "/v1/plan/whatif",
    "/v1/status",
    "/metrics",
    "/livez",
    "/readyz",
    "/startupz",
];
/// Probes come by address and tell nothing, so any `Host` is good for them.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/startupz", "/healthz"];

/// The resource that a request was for, on its response.
#[derive(Clone)]
struct Route(Option<String>);

/// All resources.
pub(crate) fn router(gateway: &Arc<Gateway>) -> Router {
    let events = post(publish::events).get(events::list).options(options);
    let router = Router::new()
        .route("/v1/events", events)
        .route("/v1/events/{position}", get(events::one))
        .route("/v1/events/{position}/deliveries", get(events::deliveries))
        .route("/v1/events/{position}/trace", get(events::trace))
        .route("/v1/publish/{type}", post(publish::publish))
        .route("/v1/tail", get(tail::tail))
        .route("/v1/topology", get(topology::topology))
        .route("/v1/subscriptions", get(subscriptions::list))
        .route("/v1/subscriptions/{id}/pause", post(subscriptions::pause))
        .route("/v1/subscriptions/{id}/resume", post(subscriptions::resume))
        .route("/v1/deadletters", get(dead_letters::list))
        .route("/v1/deadletters/groups", get(dead_letters::groups))
        .route(
            "/v1/deadletters/{id}",
            get(dead_letters::one).delete(dead_letters::discard),
        )
        .route("/v1/deadletters/{id}/redrive", post(dead_letters::redrive))
        .route("/v1/jobs", get(jobs::list).post(jobs::begin))
        .route("/v1/jobs/{id}", get(jobs::one).delete(jobs::cancel))
        .route("/v1/explain", post(explain::explain))
        .route("/v1/plan", get(plan::plan))
        .route("/v1/plan/model", get(plan::model))
        .route("/v1/plan/whatif", post(plan::what_if))
        .route("/v1/status", get(health::status))
        .route("/errors/{code}", get(health::page))
        .route("/metrics", get(metrics::metrics))
        .route("/livez", get(health::live))
        .route("/healthz", get(health::live))
        .route("/startupz", get(health::live))
        .route("/readyz", get(health::ready));
    #[cfg(test)]
    let router = router.route(
        "/panic",
        get(async || -> StatusCode { panic!("as a test asked") }),
    );
    router
        .method_not_allowed_fallback(no_method)
        .fallback(no_resource)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(name_route))
        .with_state(Arc::clone(gateway))
}

async fn options() -> Response {
    let headers = [
        (ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS")),
        cloudevents::accept_post(),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn no_method(method: Method) -> Problem {
    Code::METHOD.problem(format!("this resource does not take {method}"))
}

async fn no_resource(uri: Uri) -> Problem {
    let path = uri.path();
    let near = did_you_mean(path, PATHS);
    Code::NOT_FOUND.problem(format!("there is no resource '{path}'{near}"))
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(
        panic = text.unwrap_or("without a message"),
        "a request panicked"
    );
    Code::INTERNAL
        .problem("the server made a mistake; its log has it")
        .into_response()
}

async fn name_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = Route(route.map(|route| route.as_str().to_owned()));
    let mut response = next.run(request).await;
    response.extensions_mut().insert(route);
    response
}

/// One request, from the outermost edge.
pub(crate) async fn handle(gateway: &Gateway, router: Router, request: Request) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let origin = gateway.access.foreign_origin(request.headers());
    let mut response = match pass(gateway, request) {
        Ok(Passed::Resource(request)) => {
            let answered: Result<Response, std::convert::Infallible> =
                router.oneshot(*request).await;
            answered.unwrap_or_else(|never| match never {})
        }
        Ok(Passed::Answered(response)) => *response,
        Err(problem) => problem.into_response(),
    };
    let route = response
        .extensions_mut()
        .remove::<Route>()
        .and_then(|route| route.0);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(ALLOW);
        response = problem.respond(&method, &path);
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
    }
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        let exposed = HeaderValue::from_static("Location, Link, Hence-Warning, Preference-Applied");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    let (status, took) = (response.status(), began.elapsed());
    gateway
        .counters
        .request(route.as_deref(), &method, status, took);
    tracing::debug!(%method, path, status = status.as_u16(), ?took, "request");
    response
}

/// A request behind the edge.
enum Passed {
    /// It goes on to its resource.
    Resource(Box<Request>),
    /// It is answered already.
    Answered(Box<Response>),
}

/// The checks before a request reaches its resource.
fn pass(gateway: &Gateway, request: Request) -> Result<Passed, Problem> {
    let (parts, body) = request.into_parts();
    limits::check_head(&parts)?;
    let probe = PROBES.contains(&parts.uri.path());
    if !probe {
        gateway.access.check_place(&parts)?;
    }
    let preflight = parts.method == Method::OPTIONS
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && gateway.access.foreign_origin(&parts.headers).is_some();
    if preflight {
        let headers = [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type, idempotency-key, hence-sender, hence-sequence, \
                 prefer, last-event-id, \
                 ce-specversion, ce-id, ce-source, ce-type, ce-subject, ce-time",
            ),
        ];
        let response = (StatusCode::NO_CONTENT, headers).into_response();
        return Ok(Passed::Answered(Box::new(response)));
    }
    let changes = matches!(parts.method, Method::POST | Method::DELETE);
    if changes && gateway.drain.is_cancelled() {
        let detail = "the server is going down and takes no more requests";
        return Err(Code::DRAINING.problem(detail));
    }
    Ok(Passed::Resource(Box::new(Request::from_parts(parts, body))))
}
