//! `/v1/jobs…`: dead letters in bulk, as jobs that are previewed, watched and cancelled.
//!
//! A job acts on a frozen set: the dead letters that its filter found when it began, and with `upto`
//! those of a preview. It lives in memory. What it has sent or given up is as durable as if done
//! one by one, so that after a restart the same request does the rest.

mod request;
mod work;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{StatusCode, Uri};
use serde::Serialize;

use super::auth::{MayRead, MayRedrive};
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::{self, json};
use super::{Gateway, segment};
use request::Wanted;
use work::Job;

/// Jobs that run at a time.
pub(crate) const JOBS_RUNNING_MAX: usize = 4;
/// Jobs that are remembered, those that have ended included.
pub(crate) const JOBS_KEPT_MAX: usize = 100;
/// Ids that a preview names.
const SAMPLE_LETTERS: usize = 5;

/// The jobs of this process, oldest first.
#[derive(Default)]
pub(crate) struct Jobs {
    kept: Mutex<VecDeque<Arc<Job>>>,
}

impl Jobs {
    /// Adds a job, and forgets the oldest one that has ended when there are many.
    fn add(&self, job: &Arc<Job>) -> Result<(), Problem> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().filter(|job| job.is_running()).count() >= JOBS_RUNNING_MAX {
            let detail = format!("{JOBS_RUNNING_MAX} jobs run already");
            let hint = "wait for one of them, or cancel it: GET /v1/jobs";
            return Err(Code::OVERLOADED.problem(detail).hint(hint));
        }
        if kept.len() >= JOBS_KEPT_MAX
            && let Some(oldest) = kept.iter().position(|job| !job.is_running())
        {
            kept.remove(oldest);
        }
        kept.push_back(Arc::clone(job));
        Ok(())
    }

    fn all(&self) -> Vec<Arc<Job>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    fn one(&self, id: &str) -> Result<Arc<Job>, Problem> {
        let found = self.all().into_iter().find(|job| job.id == id);
        found.ok_or_else(|| {
            Code::NOT_FOUND
                .problem(format!("there is no job '{id}'"))
                .hint("jobs end with the process that ran them; ask again for the rest")
        })
    }
}

/// What a job would act on.
#[derive(Serialize)]
struct Preview {
    kind: &'static str,
    matches: usize,
    sample: Vec<String>,
    /// Whether there are more than one job takes.
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upto: Option<String>,
}

/// `POST /v1/jobs`.
pub(crate) async fn begin(
    State(gateway): State<Arc<Gateway>>,
    MayRedrive(caller): MayRedrive,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Query::of(&parts.uri, &[])?;
    let wanted = Wanted::read(&gateway.limits.read(body, false).await?)?;
    if let Some(name) = &wanted.query.subscription {
        gateway.check_subscription(name)?;
    }
    let frozen = gateway
        .bus
        .freeze_dead_letters(wanted.query.clone())
        .await?;
    if wanted.dry_run {
        let preview = Preview {
            kind: wanted.kind.as_str(),
            matches: frozen.ids.len(),
            sample: frozen.ids.iter().take(SAMPLE_LETTERS).cloned().collect(),
            more: frozen.more,
            eta: wanted.eta(frozen.ids.len()),
            upto: frozen.upto.map(|place| place.to_string()),
        };
        return Ok(json(StatusCode::OK, &preview));
    }
    let job = Arc::new(Job::new(wanted, frozen.ids, &caller.name));
    gateway.jobs.add(&job)?;
    tracing::info!(
        job = job.id,
        kind = job.kind(),
        by = &*caller.name,
        letters = job.matches(),
        "a job begins"
    );
    let (bus, work) = (gateway.bus.clone(), Arc::clone(&job));
    let drain = gateway.drain.clone();
    tokio::spawn(async move { work.run(&bus, &drain).await });
    let mut response = json(StatusCode::ACCEPTED, &job.report());
    if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /v1/jobs`.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let jobs = gateway.jobs.all();
    Ok(reply::list(jobs.iter().map(|job| job.report()).collect()))
}

/// `GET /v1/jobs/{id}`.
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let job = gateway.jobs.one(&segment(path)?)?;
    Ok(json(StatusCode::OK, &job.report()))
}

/// `DELETE /v1/jobs/{id}`: cancels it and says how far it came; what it has done stays done.
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    MayRedrive(caller): MayRedrive,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let job = gateway.jobs.one(&segment(path)?)?;
    tracing::info!(job = job.id, by = &*caller.name, "a job is cancelled");
    job.cancel().await;
    Ok(json(StatusCode::OK, &job.report()))
}

/// How a job stands, as the API writes it.
#[derive(Serialize)]
struct Report<'a> {
    id: &'a str,
    kind: &'static str,
    state: &'static str,
    matches: usize,
    done: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<String>,
    by: &'a str,
    began: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}
