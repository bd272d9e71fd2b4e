//! `Pool`: deliveries without a lane. This is the one place that chooses which goes next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use hence_core::flow::Fair;
use hence_core::subscription::{CONGESTED, PRIORITY_STEP};
use hence_core::{Delivery, Order, Position, Timestamp};
use tokio::time::Instant;

use super::turns::Turns;

/// How many deliveries an order that chooses has before it at most. What the engine has beyond
/// them comes in as these go.
pub(crate) const CHOICE_MAX: usize = 4_096;
/// Under [`Order::PriorityAuto`], the most that the attribute `priority` counts for, either way.
const WEIGHT_STEPS_MAX: i32 = 16;
/// How much the newest call counts in the mean time that a type takes.
const NEWEST: f64 = 0.05;

/// Deliveries that wait for a worker and for nothing else.
pub(crate) enum Pool {
    /// As they came.
    Queue(Turns<Delivery>),
    /// The smallest rank first.
    Ranked {
        rank: fn(&Delivery) -> i64,
        next: BinaryHeap<Reverse<(i64, Position)>>,
        waiting: HashMap<Position, Delivery>,
    },
    /// From either end.
    Adaptive {
        waiting: BTreeMap<Position, Delivery>,
        /// Since when there has always been something.
        since: Instant,
    },
    /// By what waiting costs.
    Weighed(Weighed),
}

impl Pool {
    pub(crate) fn new(order: Order, fair: Option<&Fair>) -> Self {
        match order {
            Order::AdaptiveLifo => Self::Adaptive {
                waiting: BTreeMap::new(),
                since: Instant::now(),
            },
            Order::PriorityAuto => Self::Weighed(Weighed::default()),
            _ => match rank(order) {
                None => Self::Queue(Turns::new(fair)),
                Some(rank) => Self::Ranked {
                    rank,
                    next: BinaryHeap::new(),
                    waiting: HashMap::new(),
                },
            },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Queue(queue) => queue.is_empty(),
            Self::Ranked { next, .. } => next.is_empty(),
            Self::Adaptive { waiting, .. } => waiting.is_empty(),
            Self::Weighed(weighed) => weighed.classes.is_empty(),
        }
    }

    /// Takes a delivery.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        match self {
            Self::Queue(turns) => turns.push_own(delivery),
            Self::Ranked {
                rank,
                next,
                waiting,
            } => {
                next.push(Reverse((rank(&delivery), delivery.position)));
                waiting.insert(delivery.position, delivery);
            }
            Self::Adaptive { waiting, since } => {
                if waiting.is_empty() {
                    *since = Instant::now();
                }
                waiting.insert(delivery.position, delivery);
            }
            Self::Weighed(weighed) => weighed.push(delivery),
        }
    }

    /// Takes several deliveries.
    pub(crate) fn extend(&mut self, deliveries: Vec<Delivery>) {
        match self {
            Self::Queue(Turns::Plain(queue)) if queue.is_empty() => *queue = deliveries.into(),
            _ => deliveries.into_iter().for_each(|one| self.push(one)),
        }
    }

    /// Takes a delivery again that was here before.
    pub(crate) fn put_back(&mut self, delivery: Delivery) {
        match self {
            Self::Queue(turns) => turns.put_back_own(delivery),
            _ => self.push(delivery),
        }
    }

    /// Lets go of a delivery, and gives it back if it was here.
    pub(crate) fn forget(&mut self, position: Position) -> Option<Delivery> {
        match self {
            Self::Queue(turns) => turns.forget(position),
            Self::Ranked { next, waiting, .. } => {
                next.retain(|Reverse((_, other))| *other != position);
                waiting.remove(&position)
            }
            Self::Adaptive { waiting, .. } => waiting.remove(&position),
            Self::Weighed(weighed) => weighed.forget(position),
        }
    }

    /// Whether a delivery waits here.
    pub(crate) fn holds(&self, position: Position) -> bool {
        match self {
            Self::Queue(turns) => turns.iter().any(|other| other.position == position),
            Self::Ranked { waiting, .. } => waiting.contains_key(&position),
            Self::Adaptive { waiting, .. } => waiting.contains_key(&position),
            Self::Weighed(weighed) => {
                let mut classes = weighed.classes.values();
                classes.any(|class| class.contains_key(&position))
            }
        }
    }

    /// How many go before a delivery that waits here, where that does not change as time goes by.
    pub(crate) fn ahead(&self, position: Position) -> Option<usize> {
        match self {
            // Whose turn it is changes with what else comes.
            Self::Queue(Turns::Fair(_)) => None,
            Self::Queue(turns) => turns.iter().position(|other| other.position == position),
            Self::Ranked {
                rank,
                next,
                waiting,
            } => {
                let own = (rank(waiting.get(&position)?), position);
                Some(next.iter().filter(|Reverse(other)| *other < own).count())
            }
            Self::Adaptive { .. } | Self::Weighed(_) => None,
        }
    }

    /// All of them, in no particular order.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = &Delivery> + '_> {
        match self {
            Self::Queue(turns) => Box::new(turns.iter()),
            Self::Ranked { waiting, .. } => Box::new(waiting.values()),
            Self::Adaptive { waiting, .. } => Box::new(waiting.values()),
            Self::Weighed(weighed) => Box::new(weighed.classes.values().flat_map(BTreeMap::values)),
        }
    }

    /// Gives the next one.
    pub(crate) fn pop(&mut self, now: impl FnOnce() -> Timestamp) -> Option<Delivery> {
        match self {
            Self::Queue(turns) => turns.pop(),
            Self::Ranked { next, waiting, .. } => {
                let Reverse((_, position)) = next.pop()?;
                waiting.remove(&position)
            }
            Self::Adaptive { waiting, since } => {
                let next = match since.elapsed() < CONGESTED {
                    true => waiting.pop_first(),
                    false => waiting.pop_last(),
                };
                next.map(|(_, delivery)| delivery)
            }
            Self::Weighed(weighed) => weighed.pop(now()),
        }
    }

    /// Learns how long a call for an event took.
    pub(crate) fn served(&mut self, delivery: &Delivery, ran: Duration) {
        if let Self::Weighed(weighed) = self {
            weighed.served(delivery.message.attributes().event_type(), ran);
        }
    }
}

/// Deliveries by type and priority, each class in its order, and what the types take.
#[derive(Default)]
pub(crate) struct Weighed {
    classes: BTreeMap<(String, i32), BTreeMap<Position, Delivery>>,
    /// The mean time of a call by type, in seconds; there are as many as the handler takes.
    service: HashMap<String, f64>,
}

impl Weighed {
    fn push(&mut self, delivery: Delivery) {
        let attributes = delivery.message.attributes();
        let steps = attributes
            .priority()
            .clamp(-WEIGHT_STEPS_MAX, WEIGHT_STEPS_MAX);
        let class = (attributes.event_type().to_owned(), steps);
        let class = self.classes.entry(class).or_default();
        class.insert(delivery.position, delivery);
    }

    /// The head with the largest `2^priority × waited / mean time of its type`.
    fn pop(&mut self, now: Timestamp) -> Option<Delivery> {
        let index = |((event_type, steps), class): (&(String, i32), &BTreeMap<_, Delivery>)| {
            let waited = class
                .first_key_value()
                .map_or(Duration::ZERO, |(_, head)| now.since(head.appended));
            // What came this microsecond still has a weight, and an unknown type is worth a try.
            let waited = waited.as_secs_f64().max(1e-6);
            let takes = self
                .service
                .get(event_type)
                .copied()
                .unwrap_or(1e-6)
                .max(1e-6);
            f64::from(*steps).exp2() * waited / takes
        };
        let best = self
            .classes
            .iter()
            .max_by(|a, b| index(*a).total_cmp(&index(*b)));
        let key = best?.0.clone();
        let class = self.classes.get_mut(&key)?;
        let next = class.pop_first().map(|(_, delivery)| delivery);
        if class.is_empty() {
            self.classes.remove(&key);
        }
        next
    }

    fn forget(&mut self, position: Position) -> Option<Delivery> {
        let mut classes = self.classes.values_mut();
        let forgotten = classes.find_map(|class| class.remove(&position));
        self.classes.retain(|_, class| !class.is_empty());
        forgotten
    }

    fn served(&mut self, event_type: &str, ran: Duration) {
        let ran = ran.as_secs_f64();
        match self.service.get_mut(event_type) {
            Some(mean) => *mean += NEWEST * (ran - *mean),
            None => drop(self.service.insert(event_type.to_owned(), ran)),
        }
    }
}

/// Whether an order chooses among what waits, so that it should see much of it.
pub(crate) fn chooses(order: Order) -> bool {
    rank(order).is_some() || matches!(order, Order::AdaptiveLifo | Order::PriorityAuto)
}

/// What an order ranks by; `None` when it takes deliveries otherwise.
///
/// A rank never changes, so ageing costs nothing: a step of priority is so much time that the
/// event seems to have waited already.
fn rank(order: Order) -> Option<fn(&Delivery) -> i64> {
    match order {
        Order::Lifo => Some(|delivery| -i64::try_from(delivery.position.0).unwrap_or(i64::MAX)),
        Order::Priority => Some(|delivery| {
            let step = i64::try_from(PRIORITY_STEP.as_micros()).unwrap_or(i64::MAX);
            let head = step.saturating_mul(delivery.message.attributes().priority().into());
            delivery.appended.as_micros().saturating_sub(head)
        }),
        Order::Deadline => Some(|delivery| {
            let expires = delivery.message.attributes().expires();
            expires.map_or(i64::MAX, Timestamp::as_micros)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
