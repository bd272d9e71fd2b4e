//! `Engine`: the contract between the runtime and whatever carries messages.
//!
//! ```text
//!              commit                       subscribe → next
//!   runtime ───────────► engine (ordered, ───────────────────► runtime
//!              receipts   durable)           deliveries
//! ```
//!
//! An engine MUST:
//! - give each appended message a position greater than all before it, never twice;
//! - make nothing visible, to a subscription or a reader, before it has reached the durability
//!   that its commit asked for;
//! - apply a [`Commit`] whole or not at all, also when the process dies in the middle;
//! - deliver to each subscription every message of its types, in the order of positions, until it
//!   is settled as done or rejected; after a restart it delivers again what was not;
//! - keep dead letters with their bytes until they are redriven and done, or discarded;
//! - hold what its [`Feature`]s say, and refuse what it does not declare: keyed values change with
//!   their commit alone; a timer fires at or after its moment, once, and ends in the commit that
//!   publishes its event; a [`Sequence`](crate::commit::Sequence) is stored once, without a window;
//! - answer a commit with an error, and never with a receipt, when it was not stored.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::commit::{Commit, Durability, Receipt};
use crate::dead_letter::{DeadLetter, DeadLetterQuery};
use crate::delivery::{Delivery, Position};
use crate::error::{Code, Error, Result};
use crate::handler::BoxFuture;
use crate::message::Message;
use crate::subscription::{Start, SubscriptionSpec};
use crate::time::Timestamp;

/// Something that not every engine has. What an engine does not declare it refuses with `HN0221`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// A durable value for each subscription and key, written with the commit.
    Keyed,
    /// Durable timers for each subscription and key, set and cancelled with the commit.
    Timers,
    /// [`Sequence`](crate::commit::Sequence)s: batches that their senders count.
    Sequences,
}

impl Feature {
    /// The feature as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyed => "keyed",
            Self::Timers => "timers",
            Self::Sequences => "sequences",
        }
    }
}

/// What an engine promises.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    /// The name of the engine, as in its URL: `memory`, `log`, …
    pub name: &'static str,
    /// The levels of durability that it reaches, from least to most; the last is its default.
    pub durability: Vec<Durability>,
    /// The largest encoded event, in bytes.
    pub event_bytes_max: usize,
    /// The most events that one commit may publish.
    pub batch_events_max: usize,
    /// What it has beyond what every engine must have.
    pub features: &'static [Feature],
}

impl Capability {
    /// A capability of these parts.
    #[must_use]
    pub fn new(
        name: &'static str,
        durability: Vec<Durability>,
        event_bytes_max: usize,
        batch_events_max: usize,
    ) -> Self {
        Self {
            name,
            durability,
            event_bytes_max,
            batch_events_max,
            features: &[],
        }
    }

    /// The same capability with these features.
    #[must_use]
    pub fn with_features(self, features: &'static [Feature]) -> Self {
        Self { features, ..self }
    }

    /// Whether it has a feature.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// The error of an engine that does not have what was asked for.
    #[must_use]
    pub fn lacks(&self, feature: Feature) -> Error {
        let (name, feature) = (self.name, feature.as_str());
        Code::FEATURE.error(format!("the engine '{name}' does not have '{feature}'"))
    }

    /// The strongest level that it reaches, or `accepted`.
    #[must_use]
    pub fn strongest(&self) -> Durability {
        self.durability
            .last()
            .copied()
            .unwrap_or(Durability::Accepted)
    }

    /// Whether it reaches a level.
    ///
    /// # Errors
    /// `HN0202` when it does not.
    pub fn check(&self, wanted: Durability) -> Result<()> {
        if self.durability.contains(&wanted) {
            return Ok(());
        }
        let levels: Vec<_> = self.durability.iter().map(|level| level.as_str()).collect();
        let (name, levels) = (self.name, levels.join(", "));
        let detail = format!("the engine '{name}' has {levels}; '{wanted}' was asked for");
        Err(Code::DURABILITY.error(detail))
    }
}

/// A message as it stands in the engine.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// When it was taken.
    pub appended: Timestamp,
    /// The message.
    pub message: Message,
}

/// Which messages a reader wants; what is empty or absent does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Exact types.
    pub types: Vec<String>,
    /// Beginnings of types.
    pub type_prefixes: Vec<String>,
    /// The exact source.
    pub source: Option<String>,
    /// The exact id.
    pub id: Option<String>,
    /// The exact subject.
    pub subject: Option<String>,
    /// The exact ordering key.
    pub key: Option<String>,
    /// The id of the event that caused it.
    pub causation_id: Option<String>,
    /// The id of the first event of a chain; that event itself matches too.
    pub correlation_id: Option<String>,
    /// Only what was appended at or after this moment.
    pub since: Option<Timestamp>,
    /// Only what was appended before this moment.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether an entry passes.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let attributes = entry.message.attributes();
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let event_type = attributes.event_type();
        let typed = self.types.is_empty() && self.type_prefixes.is_empty()
            || self.types.iter().any(|name| name == event_type)
            || self
                .type_prefixes
                .iter()
                .any(|prefix| event_type.starts_with(prefix.as_str()));
        let correlated = self.correlation_id.as_deref().is_none_or(|wanted| {
            attributes.correlation_id() == Some(wanted) || attributes.id() == wanted
        });
        typed
            && correlated
            && same(&self.source, Some(attributes.source()))
            && same(&self.id, Some(attributes.id()))
            && same(&self.subject, attributes.subject())
            && same(&self.key, attributes.key())
            && same(&self.causation_id, attributes.causation_id())
            && self.since.is_none_or(|since| entry.appended >= since)
            && self.until.is_none_or(|until| entry.appended < until)
    }
}

/// Deliveries of one subscription, pulled by the runtime as it has room.
///
/// While it lives it holds the subscription: a delivery that it gave out is given out again only
/// after it was dropped. A retry keeps the delivery with the runtime, which waits until it is due.
pub trait Deliveries: Send {
    /// Waits for at least one delivery, then gives up to `max` of them in order. With `max` 0 it
    /// waits for one that was redriven, because that frees a subscription which waits behind it. An
    /// empty list means that [`Deliveries::released`] has something to tell, or else that the engine
    /// is closed.
    ///
    /// # Cancellation
    /// Nothing is lost when the future is dropped.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Delivery>>>;

    /// The dead letters that later events wait for, and the key of each, when the subscription
    /// began. One that was redriven and is not settled yet is among them.
    fn held(&self) -> BTreeMap<Position, Option<String>>;

    /// The dead letters that later events need wait for no longer, and the key of each, because they
    /// were discarded since this was last asked.
    fn released(&mut self) -> BTreeMap<Position, Option<String>> {
        BTreeMap::new()
    }
}

/// Messages in the order of their positions.
pub trait Reader: Send {
    /// Gives up to `max` messages that pass the filter. A reader that follows waits for at least
    /// one, and an empty list means that the engine is closed; any other gives an empty list at
    /// the end of what was durable when it began.
    ///
    /// # Cancellation
    /// Nothing is lost when the future is dropped.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Entry>>>;
}

/// What a reader is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// Where to begin.
    pub from: Start,
    /// What to leave out.
    pub filter: Filter,
    /// Whether to wait for more at the end.
    pub follow: bool,
}

/// Where one delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryState {
    /// Not given to a handler yet.
    Waiting,
    /// Given to the runtime, which runs it or keeps it behind its key.
    Running,
    /// Failed; the next attempt begins at this moment.
    Retrying(Timestamp),
    /// Handled.
    Done,
    /// A dead letter.
    Dead,
    /// A dead letter that was given up.
    Discarded,
}

impl DeliveryState {
    /// The state as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying(_) => "retrying",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }

    /// Whether nothing more will happen by itself.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Discarded)
    }
}

/// One attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReport {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was committed.
    pub ended: Timestamp,
    /// How long the handler ran.
    pub ran: Duration,
    /// `done`, `retry`, `reject`, `expired` or `skipped`; or `discarded`, of a dead letter that was
    /// given up.
    pub outcome: &'static str,
    /// What went wrong, in words; empty when it was done.
    pub error: String,
    /// The events that were published with it.
    pub emitted: Vec<Position>,
}

/// What became of one message in one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The subscription.
    pub subscription: String,
    /// Where the delivery stands.
    pub state: DeliveryState,
    /// The attempts that have ended, in order.
    pub attempts: Vec<AttemptReport>,
}

/// How a subscription stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionReport {
    /// Its durable name.
    pub name: String,
    /// The types that it takes.
    pub types: Vec<String>,
    /// From which position on it takes each of these, in the same order.
    pub since: Vec<Position>,
    /// Every message up to here is settled.
    pub settled: Position,
    /// Messages of its types that are not settled.
    pub lag: u64,
    /// Deliveries that the runtime holds now.
    pub in_flight: u64,
    /// Dead letters that it keeps.
    pub dead: u64,
    /// Whether a process runs it now.
    pub attached: bool,
}

/// Whether and how well the engine works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineReport {
    /// The oldest position that is kept.
    pub first: Position,
    /// The newest durable position.
    pub last: Position,
    /// Bytes that it keeps.
    pub bytes: u64,
    /// Times that it waited for stable storage.
    pub syncs: u64,
    /// How long these waits took together.
    pub syncing: Duration,
    /// Up to where its index knows the events; `None` when it has none, or needs none.
    pub indexed: Option<Position>,
}

/// A commit that was not taken because the queue is full, given back.
#[derive(Debug)]
pub enum TryCommitError {
    /// There is no room now.
    Full(Box<Commit>),
    /// It can never succeed, or not in this process.
    Refused(Error),
}

/// The answer to a commit, once it has reached its durability: one receipt for each message.
pub type Committing = BoxFuture<'static, Result<Vec<Receipt>>>;

/// What became of a commit that was not to wait.
#[derive(Debug)]
pub enum CommitNow {
    /// It has reached its durability, or was refused.
    Done(Result<Vec<Receipt>>),
    /// It would have to wait, and nothing of it has happened.
    Waits(Commit),
}

/// A delivery that is done, with nothing that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Of which message.
    pub position: Position,
    /// Which attempt ended, from 1.
    pub attempt: u32,
    /// How long the handler ran.
    pub ran: Duration,
}

/// What carries messages: keeps them, orders them, delivers them, remembers what was settled.
pub trait Engine: Send + Sync + 'static {
    /// What it promises.
    fn capability(&self) -> &Capability;

    /// Takes a commit when there is room, and answers when it has reached its durability.
    ///
    /// Commits whose futures were polled one after the other are applied in that order.
    ///
    /// # Errors
    /// `HN0209` a known id with other content, `HN0202` a level that it does not have, `HN0103`
    /// too large, `HN0211` an unknown delivery or dead letter, `HN0204`/`HN0205` storage, `HN0221` a
    /// feature that it does not have, `HN0222` state over its limits, `HN0223` a gap in a sequence.
    /// Then nothing of it was stored.
    ///
    /// # Cancellation
    /// A future that was dropped after its first poll may or may not have committed.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Vec<Receipt>>>;

    /// Commits on the spot, or gives the commit back: then it is for [`Engine::commit`]. An engine
    /// that has nothing to wait for saves its callers a future with it.
    fn commit_now(&self, commit: Commit) -> CommitNow {
        CommitNow::Waits(commit)
    }

    /// Settles deliveries of one subscription on the spot, as a commit for each of them would that
    /// does nothing else. When it says false, not all of them are settled, perhaps none: then they
    /// are for [`Engine::commit`], which changes nothing where one has ended already. An engine that
    /// has nothing to wait for saves its callers a commit with it.
    fn done_now(&self, subscription: &str, done: &[Done]) -> bool {
        let _ = (subscription, done);
        false
    }

    /// Takes a commit at once or gives it back.
    ///
    /// # Errors
    /// [`TryCommitError::Full`] when it would have to wait.
    fn try_commit(&self, commit: Commit) -> Result<Committing, TryCommitError>;

    /// Begins or continues a durable subscription.
    ///
    /// # Errors
    /// `HN0203` when it is attached elsewhere or the engine is closed.
    fn subscribe(&self, spec: SubscriptionSpec) -> BoxFuture<'_, Result<Box<dyn Deliveries>>>;

    /// Reads messages; it settles and moves nothing.
    ///
    /// # Errors
    /// `HN0203` when the engine is closed.
    fn read(&self, read: Read) -> BoxFuture<'_, Result<Box<dyn Reader>>>;

    /// The message at a position.
    ///
    /// # Errors
    /// `HN0211` when there is none, or no longer.
    fn get(&self, position: Position) -> BoxFuture<'_, Result<Entry>>;

    /// Where the messages with an id stand, of one source or of any.
    ///
    /// # Errors
    /// `HN0203` when the engine is closed.
    fn find<'a>(
        &'a self,
        source: Option<&'a str>,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Position>>>;

    /// What became of a message in every subscription that takes its type.
    ///
    /// # Errors
    /// `HN0211` when there is no such message.
    fn report(&self, position: Position) -> BoxFuture<'_, Result<Vec<DeliveryReport>>>;

    /// Waits until every attached subscription that takes the message has settled it.
    ///
    /// # Errors
    /// `HN0203` when the engine closes meanwhile.
    fn settled(&self, position: Position) -> BoxFuture<'_, Result<()>>;

    /// The durable value of a key of a subscription, if it has one.
    ///
    /// # Errors
    /// `HN0221` unless it has [`Feature::Keyed`], `HN0211` when there is no such subscription.
    fn keyed<'a>(
        &'a self,
        subscription: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>>> {
        let _ = (subscription, key);
        let lacks = self.capability().lacks(Feature::Keyed);
        Box::pin(std::future::ready(Err(lacks)))
    }

    /// Every subscription that it knows.
    fn subscriptions(&self) -> Vec<SubscriptionReport>;

    /// Some dead letters, oldest first, without their bytes; those behind them are asked for with
    /// [`DeadLetterQuery::after`]. One that was redriven and is not settled yet is among them, and
    /// says so. An empty list means that there are no more.
    ///
    /// # Errors
    /// `HN0203` when the engine is closed, `HN0211` for an unknown subscription.
    fn dead_letters<'a>(
        &'a self,
        wanted: &'a DeadLetterQuery,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>>>;

    /// One dead letter, with its message.
    ///
    /// # Errors
    /// `HN0211` when there is none of this id, `HN0203` when the engine is closed.
    fn dead_letter<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(DeadLetter, Message)>>;

    /// How it is.
    ///
    /// # Errors
    /// `HN0204` when storage has failed and it takes no more commits.
    fn health(&self) -> Result<EngineReport>;

    /// The moment of the call, by the clock that stamps what is appended.
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Stops taking commits, finishes those that it took, and releases what it holds.
    fn close(&self) -> BoxFuture<'_, ()>;
}
