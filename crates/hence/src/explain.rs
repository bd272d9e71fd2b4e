//! Where is my event? For each subscription: whether it takes it and by which clause, where the
//! delivery stands now, and what it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;

use hence_core::engine::{DeliveryReport, DeliveryState, SubscriptionReport};
use hence_core::{Engine, Entry, Position, Result};
use tokio::sync::{mpsc, oneshot};

use crate::runtime::standing::{Asked, Question};

pub use crate::runtime::standing::{Behind, Place, Standing, Stop, Turn};

/// Explains events of an application that runs; cloning it is cheap.
#[derive(Clone)]
pub struct Explainer {
    engine: Arc<dyn Engine>,
    pumps: Arc<BTreeMap<String, Known>>,
}

/// A subscription of this application.
#[derive(Clone)]
struct Known {
    pump: mpsc::Sender<Asked>,
    /// The subscriptions that go first.
    after: Vec<String>,
}

/// What becomes of an event.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The event.
    pub entry: Entry,
    /// What each subscription says to it, by name.
    pub verdicts: Vec<Verdict>,
}

impl Explanation {
    /// Whether no subscription takes it: it is kept, and nothing follows from it.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.verdicts.iter().all(|verdict| !verdict.clause.takes())
    }
}

/// What one subscription says to an event.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The subscription.
    pub subscription: String,
    /// What decided whether it takes the event.
    pub clause: Clause,
    /// What became of the delivery; `None` when it does not take the event.
    pub report: Option<DeliveryReport>,
    /// What the runtime says to a delivery that is not settled; `None` when it runs elsewhere or
    /// not at all.
    pub standing: Option<Standing>,
    /// The subscriptions that must handle the event first and have not.
    pub after: Vec<String>,
}

/// What decides whether a subscription takes an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clause {
    /// It takes the type, from this position on.
    Type(Position),
    /// It takes other types: these.
    OtherTypes(Vec<String>),
    /// It takes the type, and began behind the event, at this position.
    Start(Position),
}

impl Clause {
    /// Whether it takes the event.
    #[must_use]
    pub fn takes(&self) -> bool {
        matches!(self, Self::Type(_))
    }

    fn of(report: &SubscriptionReport, event_type: &str, position: Position) -> Self {
        let taken = report.types.iter().zip(&report.since);
        match taken.into_iter().find(|(name, _)| *name == event_type) {
            None => Self::OtherTypes(report.types.clone()),
            Some((_, since)) if position < *since => Self::Start(*since),
            Some((_, since)) => Self::Type(*since),
        }
    }
}

impl Explainer {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            pumps: Arc::default(),
        }
    }

    /// Adds a subscription.
    pub(crate) fn add(&mut self, name: &str, after: &[String], pump: mpsc::Sender<Asked>) {
        let after = after.to_vec();
        let known = Known { pump, after };
        Arc::make_mut(&mut self.pumps).insert(name.to_owned(), known);
    }

    /// Which subscriptions would take an event of a type if it were published now, and by which
    /// clause, by name.
    #[must_use]
    pub fn would(&self, event_type: &str) -> BTreeMap<String, Clause> {
        let subscriptions = self.engine.subscriptions().into_iter();
        let verdict = |report: SubscriptionReport| {
            let clause = Clause::of(&report, event_type, Position(u64::MAX));
            (report.name, clause)
        };
        subscriptions.map(verdict).collect()
    }

    /// Says what becomes of the event at a position.
    ///
    /// # Errors
    /// `HN0211` when there is no such event.
    pub async fn explain(&self, position: Position) -> Result<Explanation> {
        let entry = self.engine.get(position).await?;
        let mut reports: BTreeMap<String, DeliveryReport> = BTreeMap::new();
        for report in self.engine.report(position).await? {
            reports.insert(report.subscription.clone(), report);
        }
        let mut subscriptions = self.engine.subscriptions();
        subscriptions.sort_by(|one, two| one.name.cmp(&two.name));
        let mut verdicts = Vec::new();
        for subscription in subscriptions {
            let event_type = entry.message.attributes().event_type();
            let clause = Clause::of(&subscription, event_type, position);
            let report = reports.get(&subscription.name).cloned();
            let open = report
                .as_ref()
                .is_some_and(|report| !report.state.is_settled());
            let asked = self.pumps.get(&subscription.name).filter(|_| open);
            let is_shut = |first: &&String| {
                let first = reports.get(*first);
                first.is_some_and(|first| first.state != DeliveryState::Done)
            };
            let after = asked.map_or(&[][..], |asked| &asked.after);
            let after = after.iter().filter(is_shut).cloned().collect();
            let standing = match asked {
                Some(asked) => asked.ask(&entry).await,
                None => None,
            };
            verdicts.push(Verdict {
                subscription: subscription.name,
                clause,
                report,
                standing,
                after,
            });
        }
        Ok(Explanation { entry, verdicts })
    }
}

impl Known {
    /// What the pump says; `None` when it has ended.
    async fn ask(&self, entry: &Entry) -> Option<Standing> {
        let (answer, standing) = oneshot::channel();
        let question = Question {
            position: entry.position,
            key: entry.message.attributes().key().map(str::to_owned),
            answer,
        };
        self.pump.send(Asked::Where(question)).await.ok()?;
        standing.await.ok()
    }
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer")
            .field("subscriptions", &self.pumps.keys())
            .finish_non_exhaustive()
    }
}
