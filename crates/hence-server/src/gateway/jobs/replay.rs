//! `Events`: old events that a handler gets again, or that what it would publish is compared for.

use std::sync::atomic::{AtomicU64, Ordering};

use hence::core::codec::json::Structured;
use hence::replay::{Finding, Findings, Progress, Replayer, Wanted, What};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use super::request::Kind;

/// The events of a replay, and how far it has come.
pub(super) struct Events {
    pub(super) wanted: Wanted,
    /// Whether nothing is published, and what would be is compared.
    pub(super) compare: bool,
    /// How many the preview counted.
    pub(super) matches: u64,
    pub(super) progress: Progress,
}

impl Events {
    /// Whether it came to the end. A call that is on its way is dropped when it is cancelled, as at
    /// its time-out.
    pub(super) async fn work(
        &self,
        id: &str,
        replayer: &Replayer,
        cancel: &CancellationToken,
    ) -> hence::Result<bool> {
        let (wanted, progress) = (&self.wanted, &self.progress);
        let work = async {
            match self.compare {
                false => replayer.run(id, wanted, progress).await,
                true => replayer.compare(id, wanted, progress).await,
            }
        };
        let worked = cancel.run_until_cancelled(work).await;
        worked.map_or(Ok(false), |result| result.map(|()| true))
    }

    /// Events that the handler is through with, well or not.
    pub(super) fn done(&self) -> u64 {
        self.progress.done.load(Ordering::Relaxed) + self.failed()
    }

    fn failed(&self) -> u64 {
        self.progress.failed.load(Ordering::Relaxed)
    }

    pub(super) fn report(&self, whole: bool) -> Report<'_> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let place = |place: &AtomicU64| match load(place) {
            0 => None,
            position => Some(position.to_string()),
        };
        let findings = self.progress.findings();
        Report {
            subscription: &self.wanted.subscription,
            upto: self.wanted.upto.map(|upto| upto.to_string()),
            position: place(&self.progress.position),
            next: place(&self.progress.next),
            failed: self.failed(),
            passed: load(&self.progress.passed),
            published: load(&self.progress.published),
            absorbed: load(&self.progress.absorbed),
            found: findings.list.len() as u64 + findings.more,
            effect: match self.compare {
                true => Kind::Compare.effect(),
                false => Kind::Replay.effect(),
            },
            findings: whole.then_some(Shown(findings)),
        }
    }
}

/// How a replay stands, as the API writes it.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    subscription: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upto: Option<String>,
    /// The event that was looked at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    /// Where the rest begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    failed: u64,
    passed: u64,
    published: u64,
    absorbed: u64,
    /// How many findings there are, also those that are no longer listed.
    found: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Shown>,
}

/// Findings as the API writes them.
struct Shown(Findings);

#[derive(Serialize)]
struct Found<'a> {
    position: String,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// What was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Structured<'a>>,
    /// What would be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Structured<'a>>,
}

impl<'a> Found<'a> {
    fn of(finding: &'a Finding) -> Self {
        let event = |message| Some(Structured(message, &[]));
        let (what, error, then, now) = match &finding.what {
            What::Failed(error) => ("failed", Some(error.as_str()), None, None),
            What::Missing(then) => ("missing", None, event(then), None),
            What::Added(now) => ("added", None, None, event(now)),
            What::Changed(then, now) => ("changed", None, event(then), event(now)),
            _ => ("other", None, None, None),
        };
        Self {
            position: finding.position.to_string(),
            what,
            error,
            then,
            now,
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(Some(self.0.list.len()))?;
        for finding in &self.0.list {
            all.serialize_element(&Found::of(finding))?;
        }
        all.end()
    }
}
