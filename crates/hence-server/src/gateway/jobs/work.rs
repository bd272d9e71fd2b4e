//! `Job`: one frozen set of dead letters or events, and how far the work on it has come.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hence::Bus;
use hence::core::Timestamp;
use hence::replay::Replayer;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Report;
use super::letter::Letters;
use super::replay::Events;
use super::request::Kind;
use crate::gateway::auth::{Caller, Verb};

/// One job.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) rate: Option<u32>,
    task: Task,
    by: String,
    began: Timestamp,
    cancel: CancellationToken,
    over: CancellationToken,
    ended: Mutex<Option<Ended>>,
}

/// What a job acts on.
pub(super) enum Task {
    Letters(Letters),
    Events(Box<Events>),
}

/// How much of a job somebody sees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// How far it is, for those who may not read events.
    Counts,
    /// The error that it ended with besides, which may tell what is in an event.
    Error,
    /// What a replay found besides.
    Findings,
}

impl View {
    pub(super) fn of(caller: &Caller) -> Self {
        match caller.may(Verb::Read) {
            true => Self::Findings,
            false => Self::Counts,
        }
    }
}

/// How a job has ended.
struct Ended {
    at: Timestamp,
    state: &'static str,
    error: Option<String>,
}

impl Job {
    pub(super) fn new(kind: Kind, rate: Option<u32>, task: Task, by: &str) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            kind,
            rate,
            task,
            by: by.to_owned(),
            began: Timestamp::now(),
            cancel: CancellationToken::new(),
            over: CancellationToken::new(),
            ended: Mutex::new(None),
        }
    }

    /// How many it acts on.
    pub(super) fn matches(&self) -> u64 {
        match &self.task {
            Task::Letters(letters) => letters.ids.len() as u64,
            Task::Events(events) => events.matches,
        }
    }

    /// How many it is through with.
    fn done(&self) -> u64 {
        match &self.task {
            Task::Letters(letters) => letters.done.load(Ordering::Relaxed) as u64,
            Task::Events(events) => events.done(),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.ended().is_none()
    }

    fn ended(&self) -> std::sync::MutexGuard<'_, Option<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it stop before its next step, and waits until it has.
    pub(super) async fn cancel(&self) {
        self.cancel.cancel();
        self.over.cancelled().await;
    }

    /// Works until all is done, it is cancelled, or the server drains.
    pub(super) async fn run(&self, bus: &Bus, replayer: &Replayer, drain: &CancellationToken) {
        let work = async {
            match &self.task {
                Task::Letters(letters) => letters.work(bus, &self.cancel).await,
                Task::Events(events) => events.work(&self.id, replayer, &self.cancel).await,
            }
        };
        let (state, error) = tokio::select! {
            biased;
            () = drain.cancelled() => ("cancelled", Some("the server goes down".to_owned())),
            result = work => match result {
                Ok(true) => ("done", None),
                Ok(false) => ("cancelled", None),
                Err(error) => ("failed", Some(error.to_string())),
            },
        };
        let done = self.done();
        tracing::info!(job = self.id, state, done, error, "a job has ended");
        let at = Timestamp::now();
        *self.ended() = Some(Ended { at, state, error });
        self.over.cancel();
    }

    /// How it stands.
    pub(super) fn report(&self, view: View) -> Report<'_> {
        let done = self.done();
        let ended = self.ended();
        let ended = ended.as_ref();
        Report {
            id: &self.id,
            kind: self.kind.as_str(),
            state: ended.map_or("running", |ended| ended.state),
            matches: self.matches(),
            done,
            rate: self.rate,
            eta: match ended {
                None => eta(self.rate, self.matches().saturating_sub(done)),
                Some(_) => None,
            },
            by: &self.by,
            began: self.began.to_string(),
            ended: ended.map(|ended| ended.at.to_string()),
            error: ended
                .filter(|_| view >= View::Error)
                .and_then(|ended| ended.error.clone()),
            replay: match &self.task {
                Task::Letters(_) => None,
                Task::Events(events) => Some(events.report(view == View::Findings)),
            },
        }
    }
}

/// How long so many will take at least, as the API writes it.
pub(super) fn eta(rate: Option<u32>, count: u64) -> Option<String> {
    let seconds = count as f64 / f64::from(rate?);
    let whole = Duration::try_from_secs_f64(seconds).ok()?;
    Some(format!("{}s", whole.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_job_is_for_those_who_may_read() {
        let letters = Letters {
            ids: Vec::new(),
            discard: None,
            rate: None,
            done: Default::default(),
        };
        let job = Job::new(Kind::Redrive, None, Task::Letters(letters), "by");
        *job.ended() = Some(Ended {
            at: Timestamp::now(),
            state: "failed",
            error: Some("the order A-17".to_owned()),
        });
        let caller = |verb| Caller {
            name: "one".into(),
            allow: vec![verb],
        };
        let shown = |verb| job.report(View::of(&caller(verb))).error;
        for verb in Verb::ALL {
            let error = (verb == Verb::Read).then(|| "the order A-17".to_owned());
            assert_eq!(shown(verb), error, "{}", verb.as_str());
        }
    }
}
