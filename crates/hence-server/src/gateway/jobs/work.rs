//! `Job`: one frozen set of dead letters, and how far the work on it has come.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hence::Bus;
use hence::core::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Report;
use super::request::{Kind, Wanted};

/// Dead letters of one commit.
const CHUNK_LETTERS_MAX: usize = 100;
/// Commits a second of a job that has a rate, if that is high enough.
const CHUNKS_A_SECOND: usize = 10;

/// One job.
pub(super) struct Job {
    pub(super) id: String,
    wanted: Wanted,
    ids: Vec<String>,
    by: String,
    began: Timestamp,
    done: AtomicUsize,
    cancel: CancellationToken,
    over: CancellationToken,
    ended: Mutex<Option<Ended>>,
}

/// How a job has ended.
struct Ended {
    at: Timestamp,
    state: &'static str,
    error: Option<String>,
}

impl Job {
    pub(super) fn new(wanted: Wanted, ids: Vec<String>, by: &str) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            wanted,
            ids,
            by: by.to_owned(),
            began: Timestamp::now(),
            done: AtomicUsize::new(0),
            cancel: CancellationToken::new(),
            over: CancellationToken::new(),
            ended: Mutex::new(None),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.wanted.kind.as_str()
    }

    /// How many dead letters it acts on.
    pub(super) fn matches(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn is_running(&self) -> bool {
        self.ended().is_none()
    }

    fn ended(&self) -> std::sync::MutexGuard<'_, Option<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it stop before the next commit, and waits until it has.
    pub(super) async fn cancel(&self) {
        self.cancel.cancel();
        self.over.cancelled().await;
    }

    /// Works until all is done, it is cancelled, or the server drains.
    pub(super) async fn run(&self, bus: &Bus, drain: &CancellationToken) {
        let work = self.work(bus);
        let (state, error) = tokio::select! {
            biased;
            () = drain.cancelled() => ("cancelled", Some("the server goes down".to_owned())),
            result = work => match result {
                Ok(true) => ("done", None),
                Ok(false) => ("cancelled", None),
                Err(error) => ("failed", Some(error.to_string())),
            },
        };
        let done = self.done.load(Ordering::Relaxed);
        tracing::info!(job = self.id, state, done, error, "a job has ended");
        let at = Timestamp::now();
        *self.ended() = Some(Ended { at, state, error });
        self.over.cancel();
    }

    /// Whether it came to the end.
    async fn work(&self, bus: &Bus) -> hence::Result<bool> {
        let (size, pause) = self.pace();
        for chunk in self.ids.chunks(size) {
            if self.cancel.is_cancelled() {
                return Ok(false);
            }
            match self.wanted.kind {
                Kind::Redrive => bus.redrive(chunk.to_vec()).await?,
                Kind::Discard => bus.discard(chunk, &self.wanted.reason).await?,
            }
            let done = self.done.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
            if let Some(pause) = pause
                && done < self.ids.len()
            {
                let pause = pause.mul_f64(chunk.len() as f64);
                tokio::select! {
                    () = self.cancel.cancelled() => return Ok(false),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        Ok(true)
    }

    /// How many one commit takes, and the pause for each of them.
    fn pace(&self) -> (usize, Option<Duration>) {
        let Some(rate) = self.wanted.rate else {
            return (CHUNK_LETTERS_MAX, None);
        };
        let chunk = usize::try_from(rate).unwrap_or(usize::MAX) / CHUNKS_A_SECOND;
        let pause = Duration::from_secs_f64(1.0 / f64::from(rate));
        (chunk.clamp(1, CHUNK_LETTERS_MAX), Some(pause))
    }

    pub(super) fn report(&self) -> Report<'_> {
        let done = self.done.load(Ordering::Relaxed);
        let ended = self.ended();
        let ended = ended.as_ref();
        Report {
            id: &self.id,
            kind: self.kind(),
            state: ended.map_or("running", |ended| ended.state),
            matches: self.matches(),
            done,
            rate: self.wanted.rate,
            eta: match ended {
                None => self.wanted.eta(self.matches() - done),
                Some(_) => None,
            },
            by: &self.by,
            began: self.began.to_string(),
            ended: ended.map(|ended| ended.at.to_string()),
            error: ended.and_then(|ended| ended.error.clone()),
        }
    }
}
