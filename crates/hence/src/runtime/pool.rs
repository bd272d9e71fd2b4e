//! `Pool`: deliveries without a lane. This is the one place that chooses which goes next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use hence_core::subscription::PRIORITY_STEP;
use hence_core::{Delivery, Order, Position};

/// How many deliveries an order that chooses has before it at most. What the engine has beyond
/// them comes in as these go.
pub(crate) const CHOICE_MAX: usize = 4_096;

/// Deliveries that wait for a worker and for nothing else.
pub(crate) enum Pool {
    /// As they came.
    Queue(VecDeque<Delivery>),
    /// The smallest rank first.
    Ranked {
        rank: fn(&Delivery) -> i64,
        next: BinaryHeap<Reverse<(i64, Position)>>,
        waiting: HashMap<Position, Delivery>,
    },
}

impl Pool {
    pub(crate) fn new(order: Order) -> Self {
        match rank(order) {
            None => Self::Queue(VecDeque::new()),
            Some(rank) => Self::Ranked {
                rank,
                next: BinaryHeap::new(),
                waiting: HashMap::new(),
            },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Queue(queue) => queue.is_empty(),
            Self::Ranked { next, .. } => next.is_empty(),
        }
    }

    /// Takes a delivery.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        match self {
            Self::Queue(queue) => queue.push_back(delivery),
            Self::Ranked {
                rank,
                next,
                waiting,
            } => {
                next.push(Reverse((rank(&delivery), delivery.position)));
                waiting.insert(delivery.position, delivery);
            }
        }
    }

    /// Takes a delivery again that was here before.
    pub(crate) fn put_back(&mut self, delivery: Delivery) {
        match self {
            Self::Queue(queue) => queue.push_front(delivery),
            Self::Ranked { .. } => self.push(delivery),
        }
    }

    /// Lets go of a delivery, and says whether it was here.
    pub(crate) fn forget(&mut self, position: Position) -> bool {
        match self {
            Self::Queue(queue) => {
                let before = queue.len();
                queue.retain(|delivery| delivery.position != position);
                queue.len() < before
            }
            Self::Ranked { next, waiting, .. } => {
                next.retain(|Reverse((_, other))| *other != position);
                waiting.remove(&position).is_some()
            }
        }
    }

    /// Gives the next one.
    pub(crate) fn pop(&mut self) -> Option<Delivery> {
        match self {
            Self::Queue(queue) => queue.pop_front(),
            Self::Ranked { next, waiting, .. } => {
                let Reverse((_, position)) = next.pop()?;
                waiting.remove(&position)
            }
        }
    }
}

/// What an order ranks by; `None` when it takes deliveries as they come.
///
/// A rank never changes, so ageing costs nothing: a step of priority is so much time that the
/// event seems to have waited already.
pub(crate) fn rank(order: Order) -> Option<fn(&Delivery) -> i64> {
    match order {
        Order::Lifo => Some(|delivery| -i64::try_from(delivery.position.0).unwrap_or(i64::MAX)),
        Order::Priority => Some(|delivery| {
            let step = i64::try_from(PRIORITY_STEP.as_micros()).unwrap_or(i64::MAX);
            let head = step.saturating_mul(delivery.message.attributes().priority().into());
            delivery.appended.as_micros().saturating_sub(head)
        }),
        Order::Deadline => Some(|delivery| {
            let expires = delivery.message.attributes().expires();
            expires.map_or(i64::MAX, hence_core::Timestamp::as_micros)
        }),
        _ => None,
    }
}
