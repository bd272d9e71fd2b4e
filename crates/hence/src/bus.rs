//! `Bus`: a handle to publish, and to read what is there.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hence_core::commit::Sequence;
use hence_core::emit::encode;
use hence_core::engine::{DeliveryReport, TryCommitError};
use hence_core::notice::RESERVED;
use hence_core::{
    Attributes, BoxFuture, Code, Commit, CommitNow, Durability, Engine, Error, Event, EventType,
    Message, Position, Read, Reader, Receipt, Result, Timestamp, envelope,
};

use crate::id;
use crate::trace::{self, Trace};

/// A handle to publish events and to read what is there; cloning it is cheap.
#[derive(Clone)]
pub struct Bus {
    engine: Arc<dyn Engine>,
    source: Arc<str>,
    durability: Durability,
    types: Arc<HashMap<&'static str, EventType>>,
}

impl Bus {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        source: &str,
        durability: Durability,
        types: HashMap<&'static str, EventType>,
    ) -> Self {
        Self {
            engine,
            source: source.into(),
            durability,
            types: Arc::new(types),
        }
    }

    /// The same bus for another source: `source` becomes that attribute of what it publishes.
    #[must_use]
    pub fn with_source(&self, source: &str) -> Self {
        Self {
            source: source.into(),
            ..self.clone()
        }
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// The attribute `source` of what it publishes.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The durability that it publishes with unless told otherwise.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Publishes an event: `bus.publish(event).await?` returns once it is stored.
    ///
    /// What may be set before the `await`: [`key`](Publish::key), [`after`](Publish::after),
    /// [`until_handled`](Publish::until_handled), …
    ///
    /// # Guarantees
    /// The receipt names the durability that was reached; by default the strongest that the engine
    /// has, `synced` on the embedded log.
    ///
    /// # Errors
    /// An error means that the event was not stored.
    pub fn publish<E: Event>(&self, event: E) -> Publish<'_> {
        let message = self.message(&event);
        Publish {
            bus: self,
            message,
            sequence: None,
            durability: self.durability,
        }
    }

    /// Publishes several events in one commit: all of them or none.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn publish_all<E: Event>(
        &self,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Vec<Receipt>> {
        let encode = |event: E| self.message(&event);
        let messages = events.into_iter().map(encode).collect::<Result<Vec<_>>>()?;
        self.commit(messages, self.durability).await
    }

    /// Publishes without waiting: the event is in bounded memory when this returns, and is lost if
    /// the process ends before it is written.
    ///
    /// # Errors
    /// [`TryPublishError::Full`] gives the event back when there is no room.
    pub fn try_publish<E: Event>(&self, event: E) -> Result<(), TryPublishError<E>> {
        let message = self.message(&event);
        let message = message.map_err(TryPublishError::Failed)?;
        check_type(E::TYPE).map_err(TryPublishError::Failed)?;
        match self
            .engine
            .try_commit(Commit::publish(vec![message], Durability::Accepted))
        {
            Ok(_) => Ok(()),
            Err(TryCommitError::Full(_)) => Err(TryPublishError::Full(event)),
            Err(TryCommitError::Refused(error)) => Err(TryPublishError::Failed(error)),
        }
    }

    /// Publishes messages as they are, in one commit; for bridges and gateways.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn commit(
        &self,
        messages: Vec<Message>,
        durability: Durability,
    ) -> Result<Vec<Receipt>> {
        let commit = self.checked(messages, durability)?;
        match self.engine.commit_now(commit) {
            CommitNow::Done(receipts) => receipts,
            CommitNow::Waits(commit) => self.engine.commit(commit).await,
        }
    }

    /// As [`Bus::commit`], of a batch that its sender counts: it is stored once, however late it comes
    /// again.
    ///
    /// # Errors
    /// `HN0223` when a number is left out, `HN0209` when the number came before with other events.
    pub async fn commit_counted(
        &self,
        messages: Vec<Message>,
        durability: Durability,
        sequence: Sequence,
    ) -> Result<Vec<Receipt>> {
        let mut commit = self.checked(messages, durability)?;
        commit.sequence = Some(sequence);
        self.engine.commit(commit).await
    }

    /// A commit of what may be published here.
    fn checked(&self, messages: Vec<Message>, durability: Durability) -> Result<Commit> {
        for message in &messages {
            check_type(message.attributes().event_type())?;
        }
        self.engine.capability().check(durability)?;
        Ok(Commit::publish(messages, durability))
    }

    /// The ordering key within data of a version of a type that this application knows; `None` when
    /// its events have no key, or the data does not decode.
    #[must_use]
    pub fn key_of(&self, event_type: &str, version: u32, data: &[u8]) -> Option<String> {
        self.types
            .get(event_type)
            .filter(|known| known.keyed)
            .and_then(|known| (known.key_of)(version, data).ok().flatten())
    }

    /// As [`Bus::key_of`], but data of a known type that does not decode is an error.
    pub(crate) fn checked_key(
        &self,
        event_type: &str,
        version: u32,
        data: &[u8],
    ) -> Result<Option<String>> {
        match self.types.get(event_type) {
            Some(known) => (known.key_of)(version, data),
            None => Ok(None),
        }
    }

    /// Reads messages in order; it settles and moves nothing.
    ///
    /// # Errors
    /// `HN0203` when the engine is closed.
    pub async fn read(&self, read: Read) -> Result<Box<dyn Reader>> {
        self.engine.read(read).await
    }

    /// The causes of an event and everything that followed from it.
    ///
    /// # Errors
    /// `HN0211` when there is no such event.
    pub async fn trace(&self, position: Position) -> Result<Trace> {
        trace::trace(&*self.engine, position).await
    }

    /// Sends dead letters again, in the order of their positions; it is safe to ask twice, and one
    /// that was handled meanwhile is passed over.
    ///
    /// # Errors
    /// `HN0211` when one of them names no delivery, or one that waits still; then none is sent.
    pub async fn redrive(&self, ids: Vec<String>) -> Result<()> {
        let durability = self.engine.capability().strongest();
        let commit = Commit {
            redrive: ids,
            durability,
            ..Commit::default()
        };
        self.engine.commit(commit).await.map(drop)
    }

    /// Encodes an event and gives it its identity.
    fn message<E: Event>(&self, event: &E) -> Result<Message> {
        let now = Timestamp::now();
        let mut attributes = Attributes::new(id::fresh(now), &self.source, E::TYPE)?;
        attributes.set_time(now);
        attributes.set("datacontenttype", "application/json")?;
        if let Some(key) = event.key() {
            attributes.set(envelope::KEY, key)?;
        }
        set_version(&mut attributes, E::VERSION)?;
        Ok(Message::new(attributes, Some(encode(event)?)))
    }
}

/// Says in which version the data is, unless it is the first.
pub(crate) fn set_version(attributes: &mut Attributes, version: u32) -> Result<()> {
    if version > 1 {
        let version = i32::try_from(version).unwrap_or(i32::MAX);
        attributes.set(envelope::DATA_VERSION, envelope::Value::Integer(version))?;
    }
    Ok(())
}

/// Refuses the types that only Hence publishes.
pub(crate) fn check_type(event_type: &str) -> Result<()> {
    if event_type.starts_with(RESERVED) {
        let detail = format!("only Hence publishes types that begin with '{RESERVED}'");
        return Err(Code::ATTRIBUTE.error(format!("type '{event_type}': {detail}")));
    }
    Ok(())
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("engine", &self.engine.capability().name)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Why an event was not taken at once.
#[derive(Debug)]
pub enum TryPublishError<E> {
    /// There is no room now; here is the event.
    Full(E),
    /// It cannot be published.
    Failed(Error),
}

impl<E> std::fmt::Display for TryPublishError<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(_) => write!(f, "{}", Code::QUEUE_FULL.error("there is no room now")),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::fmt::Debug> std::error::Error for TryPublishError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full(_) => None,
            // The error itself is in the text.
            Self::Failed(error) => error.source(),
        }
    }
}

/// A publish that has not been awaited yet.
#[must_use = "add `.await`: nothing is published before it"]
#[derive(Debug)]
pub struct Publish<'a> {
    bus: &'a Bus,
    message: Result<Message>,
    sequence: Option<Sequence>,
    durability: Durability,
}

impl<'a> Publish<'a> {
    /// The ordering key, in place of the event's own.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.attribute(envelope::KEY, key.into())
    }

    /// What the event is about, within its source.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.attribute("subject", subject.into())
    }

    /// Any attribute by its CloudEvents name.
    pub fn attribute<'v>(mut self, name: &str, value: impl Into<envelope::Value<'v>>) -> Self {
        self.message = self
            .message
            .and_then(|m| m.with_attributes(|all| all.set(name, value)));
        self
    }

    /// Delivers it after a while. It is stored at once, and the delay survives a crash.
    pub fn after(self, wait: Duration) -> Self {
        self.attribute(
            envelope::DELIVER_AT,
            Timestamp::steady().after(wait).to_string(),
        )
    }

    /// Counts what one sender publishes, so that each number is stored once, however late it comes
    /// again: the first is 1, the next 2, and so on. The event's id is made of the sender and the
    /// number, so a sender that forgot how far it was sends the same numbers again.
    ///
    /// ```no_run
    /// # #[derive(hence::Event, serde::Serialize, serde::Deserialize)]
    /// # #[event(type = "line.read")]
    /// # struct LineRead { text: String }
    /// # async fn import(bus: hence::Bus, lines: Vec<String>) -> Result<(), hence::Error> {
    /// for (number, text) in (1..).zip(lines) {
    ///     bus.publish(LineRead { text }).sequence("orders.csv", number).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Guarantees
    /// A number that was stored before gets a receipt that says `duplicate`. The position stands in
    /// it for the newest number, and for older ones as long as their ids are remembered.
    ///
    /// # Errors
    /// `HN0223` for a number that leaves one out; `HN0209` where the newest number comes again and
    /// says something else, of which the moment of [`after`](Self::after) is a part; `HN0221` by an
    /// engine that cannot count.
    pub fn sequence(mut self, sender: impl Into<String>, number: u64) -> Self {
        let sender = sender.into();
        let id = id::sequenced(self.bus.source(), &sender, number);
        self.sequence = Some(Sequence { sender, number });
        self.attribute("id", id)
    }

    /// The durability to wait for, in place of the default.
    pub fn durability(mut self, level: Durability) -> Self {
        self.durability = level;
        self
    }

    /// Waits until every subscription of this process that takes the event has settled it: done,
    /// or a dead letter. It does not wait for the events that follow.
    pub fn until_handled(self) -> PublishUntilHandled<'a> {
        PublishUntilHandled(self)
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<Receipt>;
    type IntoFuture = Publishing<'a>;

    fn into_future(self) -> Publishing<'a> {
        Publishing(Step::Begins(Some(self)))
    }
}

/// A publish that is awaited.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Publishing<'a>(Step<'a>);

enum Step<'a> {
    /// Nothing has happened; empty once it is done.
    Begins(Option<Publish<'a>>),
    Waits(BoxFuture<'a, Result<Vec<Receipt>>>),
}

impl Future for Publishing<'_> {
    type Output = Result<Receipt>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receipts = match &mut self.0 {
            Step::Begins(publish) => {
                // An engine that never waits would never let another task of this thread run.
                let turn = ready!(tokio::task::coop::poll_proceed(context));
                let publish = publish
                    .take()
                    .expect("a future is not polled once it is done");
                turn.made_progress();
                let mut commit = publish
                    .bus
                    .checked(vec![publish.message?], publish.durability)?;
                commit.sequence = publish.sequence;
                match publish.bus.engine.commit_now(commit) {
                    CommitNow::Done(receipts) => receipts?,
                    CommitNow::Waits(commit) => {
                        let waiting = publish.bus.engine.commit(commit);
                        self.0 = Step::Waits(waiting);
                        return self.poll(context);
                    }
                }
            }
            Step::Waits(waiting) => ready!(waiting.as_mut().poll(context))?,
        };
        let receipt = receipts.into_iter().next_back();
        Poll::Ready(receipt.ok_or_else(|| Code::INTERNAL.error("a commit without a receipt")))
    }
}

impl std::fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publishing").finish_non_exhaustive()
    }
}

/// A publish that waits for its handlers.
#[must_use = "add `.await`: nothing is published before it"]
#[derive(Debug)]
pub struct PublishUntilHandled<'a>(Publish<'a>);

/// What became of an event that was published with `until_handled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Proof that it is stored.
    pub receipt: Receipt,
    /// How each subscription that takes it has settled it; empty when `memory:` has forgotten it.
    pub results: Vec<DeliveryReport>,
}

impl<'a> IntoFuture for PublishUntilHandled<'a> {
    type Output = Result<Handled>;
    type IntoFuture = BoxFuture<'a, Result<Handled>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let engine = Arc::clone(self.0.bus.engine());
            let receipt = self.0.await?;
            let Some(position) = receipt.position else {
                return Err(Code::DURABILITY
                    .error("'accepted' on this engine gives no position to wait for"));
            };
            engine.settled(position).await?;
            let results = match engine.report(position).await {
                // In memory, what is handled is soon forgotten.
                Err(error) if error.code() == Code::NOT_FOUND => Vec::new(),
                results => results?,
            };
            Ok(Handled { receipt, results })
        })
    }
}
