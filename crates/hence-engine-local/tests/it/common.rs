//! Makes engines and messages, and asks the questions that most tests ask.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hence_core::engine::{Deliveries, Engine, Entry};
use hence_core::{
    Attributes, Commit, Delivery, Discard, Durability, Edit, Message, Outcome, Position, Read,
    Receipt, RejectReason, Result, Settlement, Start, SubscriptionSpec, Timestamp,
};
use hence_engine_local::{ManualClock, Options};
use hence_log::Storage;
use tempfile::TempDir;

enum Journal {
    Memory,
    Log(TempDir),
    Storage(Arc<dyn Storage>),
}

/// A journal to test on, with the clock of its engine.
pub(crate) struct Bench {
    journal: Journal,
    pub(crate) clock: ManualClock,
    pub(crate) options: Options,
}

impl Bench {
    pub(crate) fn memory() -> Self {
        Self::on(Journal::Memory)
    }

    pub(crate) fn log() -> Self {
        Self::on(Journal::Log(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn storage(storage: Arc<dyn Storage>) -> Self {
        Self::on(Journal::Storage(storage))
    }

    fn on(journal: Journal) -> Self {
        let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
        let mut options = Options::default();
        options.clock = Arc::new(clock.clone());
        options.segment_bytes = 1 << 20;
        Self {
            journal,
            clock,
            options,
        }
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        hence_engine_local::Clock::now(&self.clock)
    }

    pub(crate) fn is_log(&self) -> bool {
        !matches!(self.journal, Journal::Memory)
    }

    pub(crate) fn open(&self) -> Arc<dyn Engine> {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Arc<dyn Engine>> {
        match &self.journal {
            Journal::Memory => Ok(hence_engine_local::memory(&self.options)),
            Journal::Log(dir) => hence_engine_local::log(dir.path(), &self.options),
            Journal::Storage(storage) => {
                hence_engine_local::log_on(Arc::clone(storage), &self.options)
            }
        }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        match &self.journal {
            Journal::Log(dir) => dir.path(),
            Journal::Memory | Journal::Storage(_) => panic!("it has no directory"),
        }
    }
}

/// Runs one test on both journals.
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($bench:ident: Bench) $body:block)*) => {
        $($(#[$doc])* mod $name {
            use super::*;

            async fn run($bench: Bench) $body

            #[test]
            fn memory() {
                $crate::common::block_on(run(Bench::memory()));
            }

            #[test]
            fn log() {
                $crate::common::block_on(run(Bench::log()));
            }
        })*
    };
}
pub(crate) use on_both;

/// Runs a test, which fails when it hangs.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test)
            .await
            .expect("the test hangs");
    });
}

pub(crate) fn strongest(engine: &Arc<dyn Engine>) -> Durability {
    engine.capability().strongest()
}

/// An event of type `t` without a key.
pub(crate) fn event(id: &str) -> Message {
    typed(id, "t")
}

pub(crate) fn typed(id: &str, event_type: &str) -> Message {
    let attributes = Attributes::new(id, "/test", event_type).unwrap();
    Message::new(attributes, Some(format!("{{\"id\":\"{id}\"}}").into()))
}

pub(crate) fn with(message: Message, name: &str, value: &str) -> Message {
    message
        .with_attributes(|attributes| attributes.set(name, value))
        .unwrap()
}

pub(crate) async fn publish(
    engine: &Arc<dyn Engine>,
    messages: Vec<Message>,
) -> Result<Vec<Receipt>> {
    engine
        .commit(Commit::publish(messages, strongest(engine)))
        .await
}

/// Publishes events `first..=last` of type `t`, one commit each.
pub(crate) async fn publish_range(engine: &Arc<dyn Engine>, first: u64, last: u64) {
    for id in first..=last {
        publish(engine, vec![event(&id.to_string())]).await.unwrap();
    }
}

pub(crate) fn spec(name: &str) -> SubscriptionSpec {
    spec_of(name, &["t"], Start::Earliest)
}

pub(crate) fn spec_of(name: &str, types: &[&str], start: Start) -> SubscriptionSpec {
    let types = types.iter().map(|name| (*name).to_owned()).collect();
    SubscriptionSpec::new(name, types, start)
}

pub(crate) async fn subscribe(engine: &Arc<dyn Engine>, name: &str) -> Box<dyn Deliveries> {
    engine.subscribe(spec(name)).await.unwrap()
}

/// Pulls exactly so many deliveries.
pub(crate) async fn pull(deliveries: &mut Box<dyn Deliveries>, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let some = deliveries.next(count - all.len()).await.unwrap();
        assert!(!some.is_empty(), "the engine closed");
        all.extend(some);
    }
    all
}

/// What can be pulled without waiting.
pub(crate) async fn ready(deliveries: &mut Box<dyn Deliveries>) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        tokio::select! {
            biased;
            some = deliveries.next(usize::MAX) => all.extend(some.unwrap()),
            () = tokio::task::yield_now() => return all,
        }
    }
}

pub(crate) fn positions(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries
        .iter()
        .map(|delivery| delivery.position.0)
        .collect()
}

pub(crate) fn settlement(name: &str, delivery: &Delivery, outcome: Outcome) -> Settlement {
    Settlement {
        subscription: name.into(),
        position: delivery.position,
        attempt: delivery.attempt,
        outcome,
        ran: Duration::from_millis(3),
    }
}

pub(crate) async fn settle(
    engine: &Arc<dyn Engine>,
    name: &str,
    delivery: &Delivery,
    outcome: Outcome,
) -> Result<Vec<Receipt>> {
    settle_and_publish(engine, name, delivery, outcome, Vec::new()).await
}

pub(crate) async fn settle_and_publish(
    engine: &Arc<dyn Engine>,
    name: &str,
    delivery: &Delivery,
    outcome: Outcome,
    publish: Vec<Message>,
) -> Result<Vec<Receipt>> {
    engine
        .commit(Commit {
            settle: vec![settlement(name, delivery, outcome)],
            publish,
            durability: strongest(engine),
            ..Commit::default()
        })
        .await
}

pub(crate) async fn done(engine: &Arc<dyn Engine>, name: &str, deliveries: &[Delivery]) {
    for delivery in deliveries {
        settle(engine, name, delivery, Outcome::Done).await.unwrap();
    }
}

pub(crate) fn retry(due: Timestamp) -> Outcome {
    Outcome::Retry {
        due,
        error: "not yet".to_owned(),
    }
}

pub(crate) fn reject(hold: bool) -> Outcome {
    Outcome::Reject {
        reason: RejectReason::Rejected,
        error: "never".to_owned(),
        hold,
    }
}

pub(crate) async fn redrive(engine: &Arc<dyn Engine>, ids: &[&str]) -> Result<Vec<Receipt>> {
    engine
        .commit(Commit {
            redrive: ids.iter().map(|id| (*id).to_owned()).collect(),
            durability: strongest(engine),
            ..Commit::default()
        })
        .await
}

/// Everything that is kept, in order.
pub(crate) async fn all_entries(engine: &Arc<dyn Engine>) -> Vec<Entry> {
    let read = Read {
        from: Start::Earliest,
        ..Read::default()
    };
    let mut reader = engine.read(read).await.unwrap();
    let mut all = Vec::new();
    loop {
        let some = reader.next(100).await.unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

pub(crate) fn position(number: u64) -> Position {
    Position(number)
}

pub(crate) async fn discard(engine: &Arc<dyn Engine>, ids: &[&str]) -> Result<()> {
    let discard = |id: &&str| Discard {
        id: (*id).to_owned(),
        reason: "nobody needs it".to_owned(),
    };
    let commit = Commit {
        discard: ids.iter().map(discard).collect(),
        durability: strongest(engine),
        ..Commit::default()
    };
    engine.commit(commit).await.map(drop)
}

pub(crate) async fn edit(engine: &Arc<dyn Engine>, id: &str, message: Message) -> Result<()> {
    let commit = Commit {
        edit: vec![Edit {
            id: id.to_owned(),
            message,
        }],
        durability: strongest(engine),
        ..Commit::default()
    };
    engine.commit(commit).await.map(drop)
}
