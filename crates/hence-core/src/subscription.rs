//! `Options` and `SubscriptionSpec`: how a subscription behaves, with the safe defaults.

use std::time::Duration;

use crate::delivery::Position;
use crate::flow::{Adaptive, By, Debounce, Fair, Limit, RateLimit, Shed, Singleton, Throttle};
use crate::time::Timestamp;

/// The order in which a subscription handles events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// One after the other for each key, keys side by side; events without a key in any order.
    #[default]
    PerKey,
    /// One after the other, all of them.
    Fifo,
    /// As workers come free.
    Any,
    /// What came last goes first, of all keys; a key has no order.
    Lifo,
    /// As they came while workers keep up; what came last goes first once some event has waited for
    /// [`CONGESTED`] without a break.
    AdaptiveLifo,
    /// What is more urgent goes first, by the attribute `priority`; a key has no order. Each step
    /// of priority is worth [`PRIORITY_STEP`] of waiting, so nothing waits for ever.
    Priority,
    /// What waits at the greatest cost goes first: its weight, which the attribute `priority` doubles
    /// with each step, times how long it waits, by the mean time that its type takes, as measured. A
    /// key has no order. (The generalized cμ rule: J. A. Van Mieghem, *Ann. Appl. Probab.* 5, 1995.)
    PriorityAuto,
    /// What expires first goes first, by the attribute `expirytime`; a key has no order.
    Deadline,
}

impl Order {
    /// Every order, with the name that attributes, configuration and the API write.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::PerKey, "per-key"),
        (Self::Fifo, "fifo"),
        (Self::Any, "any"),
        (Self::Lifo, "lifo"),
        (Self::AdaptiveLifo, "adaptive-lifo"),
        (Self::Priority, "priority"),
        (Self::PriorityAuto, "priority-auto"),
        (Self::Deadline, "deadline"),
    ];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(order, _)| *order == self)
            .map_or("per-key", |(_, name)| name)
    }
}

/// How much longer an event waits, at most, than one that is one step more urgent.
pub const PRIORITY_STEP: Duration = Duration::from_secs(10);

/// How long events wait under [`Order::AdaptiveLifo`] before what came last goes first.
pub const CONGESTED: Duration = Duration::from_millis(100);

/// Where a new subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the first event after its creation.
    #[default]
    Latest,
    /// With the oldest event that is kept.
    Earliest,
    /// With this position.
    Position(Position),
    /// With the first event that was appended at or after this moment.
    Time(Timestamp),
}

/// What later events of a key do when one of them became a dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterDeadLetter {
    /// Wait, so that the order of the key survives the failure.
    #[default]
    Hold,
    /// Go on without it.
    Continue,
}

/// How often and when a failed delivery is tried again.
///
/// Attempt `n` waits a random time between zero and `min(first × factor^(n-1), max)` before
/// attempt `n + 1` ("full jitter": M. Brooker, *Exponential Backoff and Jitter*, 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The bound of the first wait.
    pub first: Duration,
    /// By what the bound grows.
    pub factor: f64,
    /// The bound of every wait.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let (first, max) = (Duration::from_millis(200), Duration::from_secs(60));
        Self {
            attempts: 8,
            first,
            factor: 3.0,
            max,
        }
    }
}

impl Retry {
    /// The bound of the wait after attempt `attempt` (from 1) has failed.
    #[must_use]
    pub fn bound(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let bound = self.first.as_secs_f64() * self.factor.powi(exponent);
        Duration::try_from_secs_f64(bound)
            .unwrap_or(self.max)
            .min(self.max)
    }
}

/// When a subscription stops, because what it depends on is broken: a storm of failures.
///
/// Only the first attempt at an event counts, and only attempts that failed: an event that the
/// handler rejects, or that does not decode, says nothing about anything else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// So many failures in a row, each over another key.
    pub failures: u32,
    /// So large a part of the last [`BREAKER_ATTEMPTS`] first attempts.
    pub share: f64,
    /// How long it waits before it tries with one event, and again after each that failed.
    pub probe: Duration,
}

/// The first attempts of which [`Breaker::share`] is a part.
pub const BREAKER_ATTEMPTS: u32 = 100;

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 10,
            share: 0.5,
            probe: Duration::from_secs(30),
        }
    }
}

/// How many retries a subscription has; beyond it they wait longer, and none is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// So large a part of the deliveries of the last minute.
    pub share: f64,
    /// And so many each second.
    pub per_second: f64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            share: 0.1,
            per_second: 10.0,
        }
    }
}

/// The numbers of a subscription; the defaults are safe (see the table of defaults in the docs).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The order of handling.
    pub order: Order,
    /// Where it begins when it is new.
    pub start: Start,
    /// When a failed delivery is tried again.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many deliveries are handled at a time.
    pub concurrency: usize,
    /// What later events of a key do behind a dead letter.
    pub after_dead_letter: AfterDeadLetter,
    /// How many events one call of a batch handler gets at most.
    pub batch_events: usize,
    /// How long a batch waits for more events at most, from its first.
    pub batch_age: Duration,
    /// When it stops because of a storm of failures; `None`: never.
    pub breaker: Option<Breaker>,
    /// How many retries it has; `None`: no limit.
    pub retry_budget: Option<RetryBudget>,
    /// How many events may cause one another before one becomes a dead letter.
    pub causation_depth: u32,
    /// At how many crashes in a row an event is seen before it becomes a dead letter; `None`: they are
    /// not counted, and nothing is stored for it.
    pub crashes: Option<u32>,
    /// How many bytes of events one call of a batch handler gets at most, but always one event.
    pub batch_bytes: usize,
    /// All events of one batch have the same value of this attribute; `None`: any events.
    pub batch_by: Option<By>,
    /// How many calls there are at a time for each group of events; `None`: no limit beside that of
    /// the order.
    pub limit: Option<Limit>,
    /// How many calls begin within a while, others wait; `None`: no limit.
    pub throttle: Option<Throttle>,
    /// How many events are handled within a while, others are skipped; `None`: no limit.
    pub rate_limit: Option<RateLimit>,
    /// Which of several events in quick succession is handled; `None`: all of them.
    pub debounce: Option<Debounce>,
    /// Whether events of a group are skipped while one of them is not settled; `None`: never.
    pub singleton: Option<Singleton>,
    /// How calls are shared out between groups; `None`: as events come.
    pub fair: Option<Fair>,
    /// Which events are not handled while they wait too long; `None`: all are handled.
    pub shed: Option<Shed>,
    /// Between which bounds the number of calls at a time is sought; `None`: it is `concurrency`.
    pub adaptive: Option<Adaptive>,
    /// The subscriptions that must have handled an event before this one gets it.
    pub after: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            order: Order::default(),
            start: Start::default(),
            retry: Retry::default(),
            timeout: Duration::from_secs(30),
            concurrency: 32,
            after_dead_letter: AfterDeadLetter::default(),
            batch_events: 100,
            batch_age: Duration::from_millis(100),
            breaker: Some(Breaker::default()),
            retry_budget: Some(RetryBudget::default()),
            causation_depth: 64,
            crashes: Some(3),
            batch_bytes: 1 << 20,
            batch_by: None,
            limit: None,
            throttle: None,
            rate_limit: None,
            debounce: None,
            singleton: None,
            fair: None,
            shed: None,
            adaptive: None,
            after: Vec::new(),
        }
    }
}

/// What an engine needs to know of a subscription.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriptionSpec {
    /// Its durable name.
    pub name: String,
    /// The types of events that it takes.
    pub types: Vec<String>,
    /// Where it begins when the engine does not know it yet.
    pub start: Start,
    /// Subscriptions that exist already. An event that one of them takes is delivered to this one
    /// once it is done there; while it waits, or is a dead letter there, it waits here too.
    pub after: Vec<String>,
}

impl SubscriptionSpec {
    /// A subscription that waits for no other.
    #[must_use]
    pub fn new(name: &str, types: Vec<String>, start: Start) -> Self {
        Self {
            name: name.to_owned(),
            types,
            start,
            after: Vec::new(),
        }
    }
}
