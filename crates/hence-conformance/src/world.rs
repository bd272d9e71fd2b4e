//! `World`: one engine under test, and the words in which the cases speak of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hence_core::envelope::KEY;
use hence_core::{
    Attributes, Code, Commit, Deliveries, Delivery, Durability, Engine, Entry, Error, Message,
    Outcome, Position, Read, Receipt, RejectReason, Settlement, Start, SubscriptionSpec, Timestamp,
    Value,
};

use crate::case::Violation;
use crate::harness::{Harness, Instance};

/// What the cases return.
pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// The type that most cases publish.
pub(crate) const TICK: &str = "conformance.ticked";
/// A second type.
pub(crate) const TOCK: &str = "conformance.tocked";
/// The type whose arrival shows that nothing was in front of it.
const FENCE: &str = "conformance.fenced";
/// The source of what the cases publish.
pub(crate) const SOURCE: &str = "/conformance";

/// Ends a case unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::case::Violation::new(format!($($what)+)));
        }
    };
}
pub(crate) use ensure;

/// An event of the type [`TICK`], without a key.
pub(crate) fn event(id: &str) -> Message {
    typed(id, TICK)
}

/// An event of a type, with its id as data.
pub(crate) fn typed(id: &str, event_type: &str) -> Message {
    let attributes = Attributes::new(id, SOURCE, event_type);
    let attributes = attributes.expect("the ids and types of the suite keep the rules");
    Message::new(
        attributes,
        Some(Bytes::from(format!("{{\"id\":\"{id}\"}}"))),
    )
}

/// An event of the type [`TICK`] with a key.
pub(crate) fn keyed(id: &str, key: &str) -> Message {
    with(event(id), KEY, key)
}

/// The same message with one more attribute.
pub(crate) fn with<'v>(message: Message, name: &str, value: impl Into<Value<'v>>) -> Message {
    let set = message.with_attributes(|attributes| attributes.set(name, value));
    set.expect("the attributes of the suite keep the rules")
}

/// The same attributes with other data.
pub(crate) fn holding(message: &Message, data: Option<Bytes>) -> Message {
    Message::new(message.attributes().clone(), data)
}

/// Events `{prefix}{number}` of the type [`TICK`].
pub(crate) fn events(prefix: &str, count: usize) -> Vec<Message> {
    (0..count)
        .map(|number| event(&format!("{prefix}{number}")))
        .collect()
}

/// The positions of deliveries.
pub(crate) fn positions(deliveries: &[Delivery]) -> Vec<Position> {
    deliveries
        .iter()
        .map(|delivery| delivery.position)
        .collect()
}

/// The ids of deliveries.
pub(crate) fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries
        .iter()
        .map(|delivery| delivery.message.attributes().id())
        .collect()
}

/// The ids of entries.
pub(crate) fn entry_ids(entries: &[Entry]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry.message.attributes().id())
        .collect()
}

/// Whether each is greater than the one before it.
pub(crate) fn rise(positions: &[Position]) -> bool {
    positions.is_sorted_by(|before, after| before < after)
}

/// How an attempt at a delivery ended.
pub(crate) fn ended(subscription: &str, delivery: &Delivery, outcome: Outcome) -> Settlement {
    Settlement {
        subscription: subscription.into(),
        position: delivery.position,
        attempt: delivery.attempt,
        outcome,
        ran: Duration::from_millis(1),
    }
}

/// A retry that is due so much later, and when that is.
pub(crate) fn retry_after(wait: Duration) -> (Outcome, Timestamp) {
    let due = Timestamp::steady().after(wait);
    let error = "not yet".to_owned();
    (Outcome::Retry { due, error }, due)
}

/// A rejection.
pub(crate) fn reject(error: &str, hold: bool) -> Outcome {
    Outcome::Reject {
        reason: RejectReason::Rejected,
        error: error.to_owned(),
        hold,
    }
}

/// Polls a future so many times, with room for others in between; then drops it.
pub(crate) async fn poll_times<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// An attached subscription, and its name.
pub(crate) struct Attached {
    pub(crate) name: String,
    pub(crate) deliveries: Box<dyn Deliveries>,
}

/// One engine under test.
pub(crate) struct World<'a> {
    harness: &'a dyn Harness,
    instance: Instance,
    fences: AtomicU64,
}

impl<'a> World<'a> {
    /// A world with nothing in it.
    pub(crate) async fn fresh(harness: &'a dyn Harness) -> Checked<Self> {
        let instance = harness.fresh();
        let instance = tokio::time::timeout(harness.patience(), instance).await;
        let instance = instance.map_err(|_| Violation::new("it does not start"))??;
        Ok(Self {
            harness,
            instance,
            fences: AtomicU64::new(0),
        })
    }

    /// The same world after its engine was killed and started again.
    pub(crate) async fn killed(self) -> Checked<Self> {
        let Self {
            harness,
            instance,
            fences,
        } = self;
        let restart = tokio::time::timeout(harness.patience(), harness.restart(instance));
        let instance = restart.await;
        let instance =
            instance.map_err(|_| Violation::new("it does not start again after a kill"))??;
        Ok(Self {
            harness,
            instance,
            fences,
        })
    }

    /// The same world after its engine was closed and started again.
    pub(crate) async fn reopened(self) -> Checked<Self> {
        let Self {
            harness,
            instance,
            fences,
        } = self;
        let restart = tokio::time::timeout(harness.patience(), harness.restart_clean(instance));
        let instance = restart.await;
        let instance =
            instance.map_err(|_| Violation::new("it does not start again after its end"))??;
        Ok(Self {
            harness,
            instance,
            fences,
        })
    }

    /// The harness of the engine.
    pub(crate) fn harness(&self) -> &'a dyn Harness {
        self.harness
    }

    /// The running engine and its place.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.instance
    }

    /// The engine, for a task.
    pub(crate) fn shared(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.instance.engine)
    }

    /// The strongest level of the engine, which the cases use unless they are about levels.
    pub(crate) fn level(&self) -> Durability {
        self.engine().capability().strongest()
    }

    /// Waits for something that must happen.
    pub(crate) async fn within<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Checked<T> {
        let patience = self.harness.patience();
        let output = tokio::time::timeout(patience, future).await;
        output.map_err(|_| Violation::new(format!("{what}: no answer within {patience:?}")))
    }

    /// A commit at the level of the world that settles and publishes.
    pub(crate) fn step(&self, settle: Vec<Settlement>, publish: Vec<Message>) -> Commit {
        Commit {
            settle,
            publish,
            durability: self.level(),
            ..Commit::default()
        }
    }

    /// Commits what must succeed.
    pub(crate) async fn commit(&self, commit: Commit) -> Checked<Vec<Receipt>> {
        let count = commit.publish.len();
        let receipts = self
            .within("commit", self.engine().commit(commit))
            .await??;
        ensure!(
            receipts.len() == count,
            "{} receipts for {count} events",
            receipts.len()
        );
        Ok(receipts)
    }

    /// Commits what must be refused with a code.
    pub(crate) async fn refused(&self, commit: Commit, code: Code) -> Checked<Error> {
        match self.within("commit", self.engine().commit(commit)).await? {
            Ok(_) => Err(Violation::new(format!(
                "it took a commit that it must refuse with {code}"
            ))),
            Err(error) if error.code() == code => Ok(error),
            Err(error) => Err(Violation::new(format!(
                "it must refuse with {code}, and answered '{error}'"
            ))),
        }
    }

    /// Publishes, and gives the positions.
    pub(crate) async fn publish(&self, messages: Vec<Message>) -> Checked<Vec<Position>> {
        let receipts = self.commit(Commit::publish(messages, self.level())).await?;
        let mut found = Vec::with_capacity(receipts.len());
        for receipt in &receipts {
            found.push(self.position(receipt).await?);
        }
        Ok(found)
    }

    /// Publishes one event.
    pub(crate) async fn publish_one(&self, message: Message) -> Checked<Position> {
        let positions = self.publish(vec![message]).await?;
        let position = positions.first().copied();
        position.ok_or_else(|| Violation::new("a commit without a receipt"))
    }

    /// Where the event of a receipt stands. At `accepted` that may show only a little later.
    pub(crate) async fn position(&self, receipt: &Receipt) -> Checked<Position> {
        if let Some(position) = receipt.position {
            return Ok(position);
        }
        ensure!(
            receipt.durability == Durability::Accepted,
            "a receipt at '{}' without a position",
            receipt.durability
        );
        self.within("find what was accepted", async {
            loop {
                let found = self
                    .engine()
                    .find(Some(receipt.source()), receipt.id())
                    .await?;
                if let Some(position) = found.first() {
                    return Ok(*position);
                }
                tokio::task::yield_now().await;
            }
        })
        .await?
    }

    /// Attaches a subscription that begins with the oldest event.
    pub(crate) async fn attach(&self, name: &str, types: &[&str]) -> Checked<Attached> {
        self.attach_from(name, types, Start::Earliest).await
    }

    /// Attaches a subscription.
    pub(crate) async fn attach_from(
        &self,
        name: &str,
        types: &[&str],
        start: Start,
    ) -> Checked<Attached> {
        self.subscribe(spec(name, types, start)).await
    }

    /// Attaches just this subscription.
    pub(crate) async fn subscribe(&self, spec: SubscriptionSpec) -> Checked<Attached> {
        let name = spec.name.clone();
        let deliveries = self
            .within("subscribe", self.engine().subscribe(spec))
            .await??;
        Ok(Attached { name, deliveries })
    }

    /// Pulls exactly so many deliveries.
    pub(crate) async fn pull(&self, from: &mut Attached, count: usize) -> Checked<Vec<Delivery>> {
        let mut pulled = Vec::with_capacity(count);
        while pulled.len() < count {
            let wanted = count - pulled.len();
            let what = format!(
                "delivery {} of {count} to '{}'",
                pulled.len() + 1,
                from.name
            );
            let more = self.within(&what, from.deliveries.next(wanted)).await??;
            ensure!(
                !more.is_empty(),
                "an empty list of deliveries from an open engine"
            );
            ensure!(
                more.len() <= wanted,
                "{} deliveries where {wanted} were asked",
                more.len()
            );
            pulled.extend(more);
        }
        Ok(pulled)
    }

    /// Pulls one delivery.
    pub(crate) async fn pull_one(&self, from: &mut Attached) -> Checked<Delivery> {
        let mut pulled = self.pull(from, 1).await?;
        pulled.pop().ok_or_else(|| Violation::new("no delivery"))
    }

    /// Everything that stands before an event published now.
    pub(crate) async fn pull_all(&self, from: &mut Attached) -> Checked<Vec<Delivery>> {
        let number = self.fences.fetch_add(1, Ordering::Relaxed);
        let fence = self
            .publish_one(typed(&format!("fence-{number}"), FENCE))
            .await?;
        let mut pulled = Vec::new();
        loop {
            let delivery = self.pull_one(from).await?;
            let is_fence = delivery.message.attributes().event_type() == FENCE;
            if is_fence {
                self.settle(&from.name, &delivery, Outcome::Done).await?;
            } else {
                pulled.push(delivery.clone());
            }
            if delivery.position == fence {
                return Ok(pulled);
            }
        }
    }

    /// Nothing stands before an event published now.
    pub(crate) async fn pull_nothing(&self, from: &mut Attached, why: &str) -> Checked {
        let pulled = self.pull_all(from).await?;
        ensure!(
            pulled.is_empty(),
            "{why}: '{}' got {:?}",
            from.name,
            ids(&pulled)
        );
        Ok(())
    }

    /// Settles one delivery.
    pub(crate) async fn settle(
        &self,
        name: &str,
        delivery: &Delivery,
        outcome: Outcome,
    ) -> Checked {
        let commit = self.step(vec![ended(name, delivery, outcome)], Vec::new());
        self.commit(commit).await.map(drop)
    }

    /// Settles deliveries as done, in one commit.
    pub(crate) async fn done(&self, name: &str, deliveries: &[Delivery]) -> Checked {
        let done = |delivery| ended(name, delivery, Outcome::Done);
        let commit = self.step(deliveries.iter().map(done).collect(), Vec::new());
        self.commit(commit).await.map(drop)
    }

    /// Sends dead letters again.
    pub(crate) async fn redrive(&self, ids: &[&str]) -> Checked {
        self.commit(self.redriving(ids)).await.map(drop)
    }

    /// A commit that sends dead letters again.
    pub(crate) fn redriving(&self, ids: &[&str]) -> Commit {
        Commit {
            redrive: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..self.step(Vec::new(), Vec::new())
        }
    }

    /// What a reader finds that does not follow.
    pub(crate) async fn read(&self, read: Read) -> Checked<Vec<Entry>> {
        let mut reader = self.within("read", self.engine().read(read)).await??;
        let mut entries = Vec::new();
        loop {
            let more = self.within("read on", reader.next(100)).await??;
            if more.is_empty() {
                return Ok(entries);
            }
            ensure!(
                more.len() <= 100,
                "{} entries where 100 were asked",
                more.len()
            );
            entries.extend(more);
        }
    }

    /// Everything that is kept, but for the fences.
    pub(crate) async fn read_all(&self) -> Checked<Vec<Entry>> {
        let mut entries = self.read(from(Start::Earliest)).await?;
        entries.retain(|entry| entry.message.attributes().event_type() != FENCE);
        Ok(entries)
    }

    /// Whether an id is stored.
    pub(crate) async fn knows(&self, id: &str) -> Checked<bool> {
        let found = self
            .within("find", self.engine().find(Some(SOURCE), id))
            .await??;
        Ok(!found.is_empty())
    }

    /// None of these ids is stored.
    pub(crate) async fn knows_none(&self, ids: &[&str], why: &str) -> Checked {
        for id in ids {
            ensure!(!self.knows(id).await?, "{why}: '{id}' is stored");
        }
        let stored = self.read_all().await?;
        let leaked: BTreeSet<_> = entry_ids(&stored)
            .into_iter()
            .filter(|id| ids.contains(id))
            .collect();
        ensure!(leaked.is_empty(), "{why}: a reader finds {leaked:?}");
        Ok(())
    }
}

/// A subscription to these types and the fence.
pub(crate) fn spec(name: &str, types: &[&str], start: Start) -> SubscriptionSpec {
    let types = types.iter().chain([&FENCE]);
    let types = types.map(|name| (*name).to_owned()).collect();
    SubscriptionSpec::new(name, types, start)
}

/// Reading from somewhere to the end.
pub(crate) fn from(from: Start) -> Read {
    Read {
        from,
        ..Read::default()
    }
}
