//! `/v1/jobs…`: dead letters in bulk, and replays, as jobs that are previewed, watched and cancelled.
//!
//! A job acts on a frozen set: what its filter found when it began, and with `upto` what a preview
//! found. It lives in memory. What it has done is as durable as if done one by one, so that after a
//! restart the same request does the rest.

mod letter;
mod replay;
mod request;
mod work;

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use hence::replay::Progress;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{StatusCode, Uri};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::auth::{MayRead, MayWork};
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::{self, json};
use super::{Gateway, segment};
use letter::Letters;
use request::{Kind, Wanted, What};
use work::{Job, Task, View, eta};

/// Jobs that run at a time.
pub(crate) const JOBS_RUNNING_MAX: usize = 4;
/// Jobs that are looked for at a time, be it for a preview or because they are to begin. Each of them
/// reads on until it has found all that it counts: a replay counts up to a million events, and what
/// its filter leaves out between them is read besides, at most the whole log.
pub(crate) const JOBS_PREVIEWED_MAX: usize = 4;
/// Jobs that are remembered, those that have ended included.
pub(crate) const JOBS_KEPT_MAX: usize = 100;
/// Ids that a preview names.
const SAMPLE_LETTERS: usize = 5;

/// The jobs of this process, oldest first.
pub(crate) struct Jobs {
    kept: Mutex<VecDeque<Arc<Job>>>,
    pub(super) previewed: Semaphore,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            previewed: Semaphore::new(JOBS_PREVIEWED_MAX),
        }
    }
}

impl Jobs {
    /// A place among those that are looked for; whoever finds none comes back.
    fn preview(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.previewed.try_acquire().map_err(|_| {
            let detail = format!("{JOBS_PREVIEWED_MAX} jobs are previewed or about to begin");
            let hint = "ask again when one of them has its answer; a smaller range is quicker, a filter is not";
            Code::OVERLOADED.problem(detail).hint(hint)
        })
    }

    /// Whether one more may run.
    fn check_room(kept: &VecDeque<Arc<Job>>) -> Result<(), Problem> {
        if kept.iter().filter(|job| job.is_running()).count() < JOBS_RUNNING_MAX {
            return Ok(());
        }
        let detail = format!("{JOBS_RUNNING_MAX} jobs run already");
        let hint = "wait for one of them, or cancel it: GET /v1/jobs";
        Err(Code::OVERLOADED.problem(detail).hint(hint))
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job, and forgets the oldest one that has ended when there are many.
    fn add(&self, job: &Arc<Job>) -> Result<(), Problem> {
        let mut kept = self.kept();
        Self::check_room(&kept)?;
        if kept.len() >= JOBS_KEPT_MAX
            && let Some(oldest) = kept.iter().position(|job| !job.is_running())
        {
            kept.remove(oldest);
        }
        kept.push_back(Arc::clone(job));
        Ok(())
    }

    fn all(&self) -> Vec<Arc<Job>> {
        self.kept().iter().cloned().collect()
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
    matches: u64,
    sample: Vec<String>,
    /// Whether there are more: more letters than one job takes, or more events than are counted.
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upto: Option<String>,
    /// What happens besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
}

/// `POST /v1/jobs`.
pub(crate) async fn begin(
    State(gateway): State<Arc<Gateway>>,
    MayWork(caller): MayWork,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Query::of(&parts.uri, &[])?;
    let wanted = Wanted::read(&gateway.limits.read(body, false).await?)?;
    caller.check(wanted.kind.verb())?;
    let (kind, rate, dry_run) = (wanted.kind, wanted.rate, wanted.dry_run);
    if !dry_run {
        // Before anything is read for it.
        Jobs::check_room(&gateway.jobs.kept())?;
    }
    let slot = gateway.jobs.preview()?;
    let (task, preview) = gateway.freeze(wanted).await?;
    drop(slot);
    if dry_run {
        return Ok(json(StatusCode::OK, &preview));
    }
    let job = Arc::new(Job::new(kind, rate, task, &caller.name));
    gateway.jobs.add(&job)?;
    tracing::info!(
        job = job.id,
        kind = kind.as_str(),
        by = &*caller.name,
        matches = job.matches(),
        "a job begins"
    );
    let (work, worker) = (Arc::clone(&job), Arc::clone(&gateway));
    tokio::spawn(async move {
        work.run(&worker.bus, &worker.replayer, &worker.drain).await;
    });
    let mut response = json(StatusCode::ACCEPTED, &job.report(View::of(&caller)));
    if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

impl Gateway {
    /// What a job would act on, fixed.
    async fn freeze(&self, wanted: Wanted) -> Result<(Task, Preview), Problem> {
        let (kind, rate) = (wanted.kind, wanted.rate);
        let preview = |matches, sample, more, upto| Preview {
            kind: kind.as_str(),
            matches,
            sample,
            more,
            eta: eta(rate, matches),
            upto,
            effect: kind.effect(),
        };
        match wanted.what {
            What::Letters(query, discard) => {
                if let Some(name) = &query.subscription {
                    self.check_subscription(name)?;
                }
                let frozen = self.bus.freeze_dead_letters(*query).await?;
                let sample = frozen.ids.iter().take(SAMPLE_LETTERS).cloned().collect();
                let upto = frozen.upto.map(|place| place.to_string());
                let preview = preview(frozen.ids.len() as u64, sample, frozen.more, upto);
                let letters = Letters {
                    ids: frozen.ids,
                    discard,
                    rate,
                    done: AtomicUsize::new(0),
                };
                Ok((Task::Letters(letters), preview))
            }
            What::Events(mut wanted) => {
                self.check_handler(&wanted.subscription)?;
                let found = self.replayer.preview(&wanted).await?;
                wanted.upto = Some(found.upto);
                let sample = found.sample.iter().map(ToString::to_string).collect();
                let upto = Some(found.upto.to_string());
                let preview = preview(found.matches, sample, found.more, upto);
                let events = replay::Events {
                    wanted: *wanted,
                    compare: kind == Kind::Compare,
                    matches: found.matches,
                    progress: Progress::default(),
                };
                Ok((Task::Events(Box::new(events)), preview))
            }
        }
    }
}

/// `GET /v1/jobs`.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let jobs = gateway.jobs.all();
    Ok(reply::list(
        jobs.iter().map(|job| job.report(View::Error)).collect(),
    ))
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
    Ok(json(StatusCode::OK, &job.report(View::Findings)))
}

/// `DELETE /v1/jobs/{id}`: cancels it and says how far it came; what it has done stays done.
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    MayWork(caller): MayWork,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let job = gateway.jobs.one(&segment(path)?)?;
    caller.check(job.kind.verb())?;
    tracing::info!(job = job.id, by = &*caller.name, "a job is cancelled");
    job.cancel().await;
    Ok(json(StatusCode::OK, &job.report(View::of(&caller))))
}

/// How a job stands, as the API writes it.
#[derive(Serialize)]
struct Report<'a> {
    id: &'a str,
    kind: &'static str,
    state: &'static str,
    matches: u64,
    done: u64,
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
    #[serde(flatten)]
    replay: Option<replay::Report<'a>>,
}
