//! Old events to one handler again: to run it, or to compare what it would publish now with what it
//! published then.
//!
//! A replay moves no progress: what is settled stays settled, and a delivery that is still open, or a
//! dead letter, is passed over, because it is delivered anyway or redriven. It runs in the process that
//! has the handler, one event after the other in the order of their positions, beside what is delivered
//! meanwhile, and ends with the process; a second replay of the same events does what is left, because
//! what the handler publishes is known by its id: it derives from the event, the subscription, and its
//! place among what the handler publishes. Values and timers of a key are not changed.

mod finding;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hence_core::engine::{DeliveryState, Reader};
use hence_core::{
    Call, Code, Commit, Delivery, Engine, Entry, Filter, Message, Outcome, Position, Read, Result,
    Start, States,
};

use finding::differ;

pub use finding::{FINDINGS_BYTES_MAX, FINDINGS_MAX, Finding, Findings, What};
pub use hence_core::Replay;

use crate::runtime::call::{self, Ended, Taken};
use crate::runtime::clock::Clock;
use crate::runtime::settle::{Settler, Verdict};
use crate::subscription::Subscription;

/// The most events that a preview counts.
pub const PREVIEW_EVENTS_MAX: u64 = 1_000_000;
/// The most events that a preview names.
pub const SAMPLE_EVENTS: usize = 5;
/// Events that are read at once.
const READ_EVENTS: usize = 100;

/// Replays events of an application that runs; cloning it is cheap.
#[derive(Clone)]
pub struct Replayer {
    engine: Arc<dyn Engine>,
    source: Arc<str>,
    subscriptions: Arc<BTreeMap<String, (Subscription, Arc<States>)>>,
}

/// Which events go to which handler.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Wanted {
    /// The subscription whose handler gets them.
    pub subscription: String,
    /// Where to begin.
    pub from: Start,
    /// The last position; without one, the newest that is there when the replay begins.
    pub upto: Option<Position>,
    /// Which events; without a type, all types that the subscription takes.
    pub filter: Filter,
    /// Calls a second; without one as fast as it goes.
    pub rate: Option<u32>,
}

/// What a replay would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Events that the handler would get.
    pub matches: u64,
    /// The first of them.
    pub sample: Vec<Position>,
    /// Up to where they were looked for: with this as [`Wanted::upto`] the same events are replayed.
    pub upto: Position,
    /// Whether there are more than a preview counts.
    pub more: bool,
}

/// How far a replay has come; it may be read while the replay goes on.
#[derive(Debug, Default)]
pub struct Progress {
    /// Events that the handler was called for.
    pub called: AtomicU64,
    /// Calls that ended well.
    pub done: AtomicU64,
    /// Calls that failed to the end.
    pub failed: AtomicU64,
    /// Events that are still open, or dead letters, and were passed over.
    pub passed: AtomicU64,
    /// Events that were published.
    pub published: AtomicU64,
    /// Events that were published before, and so were not again.
    pub absorbed: AtomicU64,
    /// The position of the last event that was looked at, zero before the first.
    pub position: AtomicU64,
    /// The first position that it is not through with, zero before the first event is done: a replay
    /// from here does the rest, and calls the handler for nothing that it was called for to the end.
    pub next: AtomicU64,
    findings: Mutex<Findings>,
}

impl Progress {
    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.found().clone()
    }

    /// Begins to look at an event.
    fn look(&self, position: Position) {
        self.position.store(position.0, Relaxed);
    }

    /// Nothing is left to do for an event.
    fn through(&self, position: Position) {
        self.next.store(position.0.saturating_add(1), Relaxed);
    }

    fn fail(&self, position: Position, error: String) {
        self.failed.fetch_add(1, Relaxed);
        self.found().add(position, What::Failed(error));
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of a replay, one after the other.
struct Walk<'a> {
    engine: &'a dyn Engine,
    subscription: &'a str,
    reader: Box<dyn Reader>,
    found: std::vec::IntoIter<Entry>,
    upto: Position,
}

impl Replayer {
    pub(crate) fn new(engine: Arc<dyn Engine>, source: &str) -> Self {
        Self {
            engine,
            source: source.into(),
            subscriptions: Arc::default(),
        }
    }

    pub(crate) fn add(&mut self, subscription: &Subscription, states: &Arc<States>) {
        let name = subscription.name.to_string();
        let runs = (subscription.clone(), Arc::clone(states));
        Arc::make_mut(&mut self.subscriptions).insert(name, runs);
    }

    /// Says what a replay would do, and does nothing.
    ///
    /// # Errors
    /// `HN0211` when this application has no such subscription, or it does not take a type.
    pub async fn preview(&self, wanted: &Wanted) -> Result<Preview> {
        let mut walk = self.walk(wanted).await?;
        let mut preview = Preview {
            upto: walk.upto,
            ..Preview::default()
        };
        while let Some((entry, open)) = walk.next().await? {
            if open {
                continue;
            }
            if preview.matches == PREVIEW_EVENTS_MAX {
                preview.more = true;
                break;
            }
            preview.matches += 1;
            if preview.sample.len() < SAMPLE_EVENTS {
                preview.sample.push(entry.position);
            }
        }
        Ok(preview)
    }

    /// Calls the handler for each event, again as its retry policy says, and publishes what it
    /// returns and is not known yet. What fails to the end is told by [`Progress::findings`], and the
    /// next event goes on.
    ///
    /// # Errors
    /// As [`Replayer::preview`], and what the engine says to what the handler publishes.
    ///
    /// # Cancellation
    /// What was done stays done; a call that is on its way is dropped, as at its time-out.
    pub async fn run(&self, id: &str, wanted: &Wanted, progress: &Progress) -> Result<()> {
        let mut walk = self.walk(wanted).await?;
        while let Some((entry, open)) = walk.next().await? {
            let position = entry.position;
            progress.look(position);
            if open {
                progress.passed.fetch_add(1, Relaxed);
                progress.through(position);
                continue;
            }
            match self.call(id, wanted, entry, true, progress).await? {
                Ok(messages) => self.publish(messages, progress).await?,
                Err(error) => progress.fail(position, error),
            }
            progress.through(position);
            pause(wanted.rate).await;
        }
        Ok(())
    }

    /// Calls the handler once for each event, publishes nothing, and tells where it would publish
    /// something else than it did by [`Progress::findings`]. It is no sandbox: what the handler does
    /// outside of Hence, it does again.
    ///
    /// # Errors
    /// As [`Replayer::preview`].
    ///
    /// # Cancellation
    /// As [`Replayer::run`].
    pub async fn compare(&self, id: &str, wanted: &Wanted, progress: &Progress) -> Result<()> {
        let mut walk = self.walk(wanted).await?;
        while let Some((entry, open)) = walk.next().await? {
            let position = entry.position;
            progress.look(position);
            if open {
                progress.passed.fetch_add(1, Relaxed);
                progress.through(position);
                continue;
            }
            let then = self.published(&wanted.subscription, &entry).await?;
            match self.call(id, wanted, entry, false, progress).await? {
                Ok(now) => differ(position, then, now, &mut progress.found()),
                Err(error) => progress.fail(position, error),
            }
            progress.through(position);
            pause(wanted.rate).await;
        }
        Ok(())
    }

    fn subscription(&self, name: &str) -> Result<&(Subscription, Arc<States>)> {
        self.subscriptions.get(name).ok_or_else(|| {
            let detail = format!(
                "this application runs no subscription '{name}': what has its handler replays it"
            );
            Code::NOT_FOUND.error(detail)
        })
    }

    async fn walk<'a>(&'a self, wanted: &'a Wanted) -> Result<Walk<'a>> {
        let (subscription, _) = self.subscription(&wanted.subscription)?;
        let takes = subscription.signature.takes.iter();
        let takes: Vec<&str> = takes.map(|taken| taken.name).collect();
        let filter = taken(&wanted.filter, &takes).map_err(|other| {
            let (name, takes) = (&wanted.subscription, takes.join(", "));
            let detail = format!("'{name}' does not take '{other}', only: {takes}");
            Code::NOT_FOUND.error(detail)
        })?;
        let last = self.engine.health()?.last;
        let read = Read {
            from: wanted.from,
            filter,
            follow: false,
        };
        Ok(Walk {
            engine: &*self.engine,
            subscription: &wanted.subscription,
            reader: self.engine.read(read).await?,
            found: Vec::new().into_iter(),
            upto: wanted.upto.unwrap_or(last).min(last),
        })
    }

    /// What the handler publishes for one event, or its last error.
    async fn call(
        &self,
        id: &str,
        wanted: &Wanted,
        entry: Entry,
        again: bool,
        progress: &Progress,
    ) -> Result<Result<Vec<Message>, String>> {
        let (subscription, states) = self.subscription(&wanted.subscription)?;
        let settler = Settler {
            subscription: Arc::clone(&subscription.name),
            source: self.source.to_string(),
            options: subscription.options.clone(),
            durability: self.engine.capability().strongest(),
            clock: Clock::start_at(self.engine.now()),
        };
        let mut delivery = Delivery {
            position: entry.position,
            message: entry.message,
            appended: entry.appended,
            attempt: 1,
            before: 0,
            due: None,
            redriven: false,
        };
        progress.called.fetch_add(1, Relaxed);
        loop {
            let ended = self.attempt(id, subscription, states, &delivery).await;
            let commit = settler.commit(
                &ended.deliveries,
                ended.verdict,
                (ended.ran, Duration::ZERO),
            );
            let commit = match commit {
                Ok(commit) => commit,
                Err(error) => settler.commit(
                    &ended.deliveries,
                    Verdict::Rejected {
                        error: error.to_string(),
                    },
                    (ended.ran, Duration::ZERO),
                )?,
            };
            match commit
                .settle
                .into_iter()
                .next()
                .map(|settled| settled.outcome)
            {
                Some(Outcome::Retry { due, .. }) if again => {
                    tokio::time::sleep(due.since(settler.clock.now())).await;
                    delivery.attempt += 1;
                }
                Some(Outcome::Retry { error, .. } | Outcome::Reject { error, .. }) => {
                    return Ok(Err(error));
                }
                _ => {
                    progress.done.fetch_add(1, Relaxed);
                    return Ok(Ok(commit.publish));
                }
            }
        }
    }

    /// One attempt at an event, outside the lanes.
    async fn attempt(
        &self,
        id: &str,
        subscription: &Subscription,
        states: &Arc<States>,
        delivery: &Delivery,
    ) -> Ended {
        let name = Arc::clone(&subscription.name);
        let call = Call::new(name, std::slice::from_ref(delivery), Arc::clone(states));
        let call = call.with_replay(id);
        let handler = Arc::clone(&subscription.handler);
        let limit = subscription.options.timeout;
        // It reads the value of its key as it is now; what it writes there is not applied.
        let is_keyed = !subscription.signature.keyed.is_empty();
        let keyed = is_keyed.then(|| Arc::clone(&self.engine));
        let again = vec![delivery.clone()];
        call::run(handler, call, keyed, again, limit, Taken::alone()).await
    }

    /// Publishes what is not known yet.
    async fn publish(&self, messages: Vec<Message>, progress: &Progress) -> Result<()> {
        let mut fresh = Vec::new();
        for message in messages {
            let attributes = message.attributes();
            let known = self.engine.find(Some(attributes.source()), attributes.id());
            if known.await?.is_empty() {
                fresh.push(message);
            } else {
                progress.absorbed.fetch_add(1, Relaxed);
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let count = fresh.len() as u64;
        let durability = self.engine.capability().strongest();
        self.engine
            .commit(Commit::publish(fresh, durability))
            .await?;
        progress.published.fetch_add(count, Relaxed);
        Ok(())
    }

    /// What the handler published for an event.
    async fn published(&self, subscription: &str, entry: &Entry) -> Result<Vec<Message>> {
        let reports = self.engine.report(entry.position).await?;
        let own = reports
            .into_iter()
            .filter(|report| report.subscription == subscription);
        let attempts = own.flat_map(|report| report.attempts);
        let done = attempts.filter(|attempt| attempt.outcome == "done");
        let mut published = Vec::new();
        for position in done.flat_map(|attempt| attempt.emitted) {
            let message = self.engine.get(position).await?.message;
            // A batch publishes for all its events in one commit.
            if message.attributes().causation_id() == Some(entry.message.attributes().id()) {
                published.push(message);
            }
        }
        Ok(published)
    }
}

impl std::fmt::Debug for Replayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replayer")
            .field("subscriptions", &self.subscriptions.keys())
            .finish_non_exhaustive()
    }
}

impl Walk<'_> {
    /// The next event, and whether it is to be passed over.
    async fn next(&mut self) -> Result<Option<(Entry, bool)>> {
        let entry = match self.found.next() {
            Some(entry) => entry,
            None => {
                self.found = self.reader.next(READ_EVENTS).await?.into_iter();
                match self.found.next() {
                    Some(entry) => entry,
                    None => return Ok(None),
                }
            }
        };
        if entry.position > self.upto {
            return Ok(None);
        }
        // One that began behind the event does not know it.
        let state = state(self.engine, self.subscription, entry.position).await?;
        let passes = state.is_some_and(|state| state != DeliveryState::Done);
        Ok(Some((entry, passes)))
    }
}

/// What became of an event in one subscription. It borrows no reader, which is not shared.
async fn state(
    engine: &dyn Engine,
    subscription: &str,
    position: Position,
) -> Result<Option<DeliveryState>> {
    let reports = engine.report(position).await?;
    let mut own = reports
        .iter()
        .filter(|report| report.subscription == subscription);
    Ok(own.next().map(|report| report.state))
}

/// The filter with the types by name; the first that the subscription does not take is refused.
fn taken(filter: &Filter, takes: &[&str]) -> Result<Filter, String> {
    let Filter {
        types,
        type_prefixes,
        ..
    } = filter;
    if let Some(other) = types.iter().find(|name| !takes.contains(&name.as_str())) {
        return Err(other.clone());
    }
    let none_with = |prefix: &&String| !takes.iter().any(|name| name.starts_with(&***prefix));
    if let Some(other) = type_prefixes.iter().find(none_with) {
        return Err(format!("{other}*"));
    }
    let all = types.is_empty() && type_prefixes.is_empty();
    let is_wanted = |name: &&&str| {
        let by_name = types.iter().any(|wanted| wanted == **name);
        all || by_name
            || type_prefixes
                .iter()
                .any(|prefix| name.starts_with(&**prefix))
    };
    let wanted = takes.iter().filter(is_wanted);
    Ok(Filter {
        types: wanted.map(|name| (*name).to_owned()).collect(),
        type_prefixes: Vec::new(),
        ..filter.clone()
    })
}

async fn pause(rate: Option<u32>) {
    if let Some(rate) = rate {
        tokio::time::sleep(Duration::from_secs(1) / rate.max(1)).await;
    }
}
