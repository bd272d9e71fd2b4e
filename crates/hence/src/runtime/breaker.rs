//! The breaker of one subscription: a storm of failures stops it, one event at a time tries.
//!
//! ```text
//!   closed ──storm──► open ──after a while──► ready ──one call begins──► probing
//!     ▲                 ▲                                                  │ │
//!     └─────done────────┼──────────────────────────────────────────────────┘ │
//!                       └─────────────────────failed─────────────────────────┘
//! ```
//!
//! Where the engine keeps values, a subscription that was stopped begins in the next process as
//! *ready*: a restart neither heals what is broken nor should wait for it.

use std::hash::{BuildHasher, RandomState};

use hence_core::subscription::BREAKER_ATTEMPTS;
use hence_core::{Breaker as Limits, Delivery, Position};
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Ready,
    Probing(Position),
}

/// What an ended call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Tripped,
    Resumed,
}

/// Whether calls may begin.
#[derive(Debug)]
pub(crate) struct Breaker {
    limits: Option<Limits>,
    state: State,
    /// The keys of the first attempts that failed in a row, each once, as hashes.
    row: Vec<u64>,
    hasher: RandomState,
    /// The last first attempts, the newest in the lowest bit: 1 is a failure.
    recent: u128,
    /// How many of these there are.
    seen: u32,
}

const RECENT: u128 = (1 << BREAKER_ATTEMPTS) - 1;

impl Breaker {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        Self {
            limits,
            state: State::Closed,
            row: Vec::new(),
            hasher: RandomState::new(),
            recent: 0,
            seen: 0,
        }
    }

    /// A storm had stopped the subscription when the process before this one ended: it goes on with
    /// one event that tries, without waiting first.
    pub(crate) fn reopen(&mut self) {
        if self.limits.is_some() {
            self.state = State::Ready;
        }
    }

    /// Whether calls begin as they come.
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether a call for these may begin that was let in before.
    pub(crate) fn still_permits(&self, deliveries: &[Delivery]) -> bool {
        self.is_closed() || self.is_probe(deliveries)
    }

    /// Whether it is time to try with one event.
    pub(crate) fn is_ready(&mut self) -> bool {
        if matches!(self.state, State::Open { until } if Instant::now() >= until) {
            self.state = State::Ready;
        }
        self.state == State::Ready
    }

    /// Whether it waits for an event to try with.
    pub(crate) fn is_waiting(&self) -> bool {
        self.state == State::Ready
    }

    /// When it will be time to try.
    pub(crate) fn wake(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    /// The call that tries begins.
    pub(crate) fn probe(&mut self, position: Position) {
        self.state = State::Probing(position);
    }

    /// What was to be tried with needs no call: the next one tries.
    pub(crate) fn unfit(&mut self, position: Position) {
        if self.state == State::Probing(position) {
            self.state = State::Ready;
        }
    }

    /// The call that tries has ended without a word about anything else: the next one tries.
    pub(crate) fn neither(&mut self, deliveries: &[Delivery]) {
        if self.is_probe(deliveries) {
            self.state = State::Ready;
        }
    }

    /// A call ended well.
    pub(crate) fn done(&mut self, deliveries: &[Delivery]) -> Option<Change> {
        // Whatever succeeds, be it a retry, shows that not all is broken.
        self.row.clear();
        for delivery in deliveries {
            if delivery.turn() == 1 {
                self.recent = (self.recent << 1) & RECENT;
                self.seen = (self.seen + 1).min(BREAKER_ATTEMPTS);
            }
        }
        if !self.is_probe(deliveries) {
            return None;
        }
        self.state = State::Closed;
        self.row.clear();
        (self.recent, self.seen) = (0, 0);
        Some(Change::Resumed)
    }

    /// A call failed.
    pub(crate) fn failed(&mut self, deliveries: &[Delivery], now: Instant) -> Option<Change> {
        let limits = self.limits?;
        for delivery in deliveries.iter().filter(|delivery| delivery.turn() == 1) {
            self.recent = ((self.recent << 1) | 1) & RECENT;
            self.seen = (self.seen + 1).min(BREAKER_ATTEMPTS);
            // Events without a key are each their own.
            let key = match delivery.message.attributes().key() {
                Some(key) => self.hasher.hash_one(key),
                None => self.hasher.hash_one(delivery.position),
            };
            if self.row.len() < limits.failures as usize && !self.row.contains(&key) {
                self.row.push(key);
            }
        }
        let until = now + limits.probe;
        if self.is_probe(deliveries) {
            self.state = State::Open { until };
            return None;
        }
        let share = f64::from(self.recent.count_ones()) / f64::from(BREAKER_ATTEMPTS);
        let storm = self.row.len() >= limits.failures as usize
            || self.seen >= BREAKER_ATTEMPTS && share > limits.share;
        if !storm || !self.is_closed() {
            return None;
        }
        self.state = State::Open { until };
        Some(Change::Tripped)
    }

    fn is_probe(&self, deliveries: &[Delivery]) -> bool {
        let State::Probing(position) = self.state else {
            return false;
        };
        deliveries.iter().any(|d| d.position == position)
    }
}
