//! The changing half of a run: stations, sources, events with several copies.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::model::{Budget, Discipline, Keying, Spacing};
use crate::simulate::job::NONE;
use crate::simulate::line::{Lanes, Line};
use crate::simulate::random::Rng;
use crate::simulate::sampler::TICKS;
use crate::simulate::tally::Tally;
use crate::simulate::wiring::{StationPlan, Wiring};

/// Waits and responses of one class at one station.
#[derive(Debug, Clone, Default)]
pub struct Visits {
    /// Time before service.
    pub wait: Tally,
    /// Time from entering to the end of service.
    pub response: Tally,
}

/// Counters of one station.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entered, retries included.
    pub entered: u64,
    /// Left after service, failed attempts included.
    pub served: u64,
    /// Refused, or pushed out by newer events, because it was full.
    pub rejected: u64,
    /// Dropped because they were too old.
    pub expired: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Events that failed for good.
    pub dead: u64,
    /// Served events that found the next station full.
    pub blocked: u64,
    /// Times the breaker opened.
    pub tripped: u64,
}

#[derive(Debug)]
pub(crate) struct StationState {
    pub(crate) free: u32,
    pub(crate) present: u32,
    pub(crate) waiting: u32,
    pub(crate) line: Line,
    /// Jobs that wait for a place here, by order of asking.
    pub(crate) blocked: VecDeque<u32>,
    /// Running jobs, kept only where they can be interrupted.
    pub(crate) running: Vec<u32>,
    pub(crate) sharing: Sharing,
    pub(crate) ranks: u64,
    /// When a worker last found nothing to do.
    pub(crate) line_empty_at: u64,
    pub(crate) budget: Option<Bucket>,
    pub(crate) breaker: BreakerState,
    pub(crate) linger_at: u64,
    /// When the pace will have been used up evenly, and when it is looked at again.
    pub(crate) pace_used: u64,
    pub(crate) pace_at: u64,
    pub(crate) spaced: Option<Spaced>,
    pub(crate) service_rng: Rng,
    pub(crate) route_rng: Rng,
    pub(crate) failure_rng: Rng,
    pub(crate) trait_rng: Rng,
    pub(crate) at: u64,
    /// ∫ number present, tick·events.
    pub(crate) area: u128,
    /// ∫ occupied workers.
    pub(crate) busy: u128,
    pub(crate) classes: Vec<Visits>,
    pub(crate) counts: Counts,
}

/// Processor sharing: attained service per job, and who ends when.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    /// Ticks of service that each job present has received since the start.
    pub(crate) attained: f64,
    pub(crate) at: u64,
    pub(crate) version: u32,
    /// (attained service at the end, rank, job); the first as an integer number of ticks.
    pub(crate) ends: BinaryHeap<Reverse<(u64, u64, u32)>>,
}

#[derive(Debug, Default)]
pub(crate) struct BreakerState {
    pub(crate) open: bool,
    pub(crate) row: u32,
    pub(crate) may_probe: bool,
    pub(crate) probe: Option<u32>,
}

/// A token bucket in motion.
#[derive(Debug)]
pub(crate) struct Bucket {
    plan: Budget,
    tokens: f64,
    at: u64,
}

impl Bucket {
    pub(crate) fn new(plan: Budget) -> Self {
        Self {
            plan,
            tokens: plan.initial,
            at: 0,
        }
    }

    pub(crate) fn new_event(&mut self) {
        self.tokens = (self.tokens + self.plan.per_event).min(self.plan.cap);
    }

    pub(crate) fn take(&mut self, now: u64) -> bool {
        let seconds = (now - self.at) as f64 / TICKS;
        self.at = now;
        self.tokens = (self.tokens + seconds * self.plan.per_second).min(self.plan.cap);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// The runtime's retry budget in motion: how much longer a retry waits.
#[derive(Debug)]
pub(crate) struct Spaced {
    plan: Spacing,
    fresh: u64,
    past: f64,
    counted: u64,
    used: u64,
}

impl Spaced {
    fn new(plan: Spacing) -> Self {
        Self {
            plan,
            fresh: 0,
            past: 0.0,
            counted: 0,
            used: 0,
        }
    }

    pub(crate) fn first_attempt(&mut self) {
        self.fresh += 1;
    }

    /// Ticks that a retry waits beyond its back-off.
    pub(crate) fn wait(&mut self, now: u64) -> u64 {
        use crate::numeric::elementary::exp;
        let age = (now - self.counted) as f64 / TICKS;
        self.past = self.past * exp(-age / self.plan.memory) + self.fresh as f64;
        (self.fresh, self.counted) = (0, now);
        let rate = self.plan.rate(self.past / self.plan.memory);
        let spacing = (1.0 / rate).min(self.plan.memory) * TICKS;
        self.used = self.used.max(now) + spacing as u64;
        let burst = (self.plan.burst * TICKS) as u64;
        (self.used - now).saturating_sub(burst)
    }
}

impl StationState {
    pub(crate) fn new(plan: &StationPlan, wiring: &Wiring, seed: u64, replication: u64) -> Self {
        let by_class = matches!(
            plan.discipline,
            Discipline::Priority | Discipline::PriorityPreemptive
        );
        let line = match (plan.keying, plan.discipline) {
            (Keying::Lanes, _) => Line::Lanes(Lanes::new(wiring.keys, by_class, false)),
            (Keying::Turns, _) => Line::Lanes(Lanes::new(wiring.keys, by_class, true)),
            (Keying::Partitions(n), _) => {
                Line::Lanes(Lanes::new(n.min(plan.servers).max(1), by_class, false))
            }
            (Keying::None, Discipline::Deadline | Discipline::Srpt | Discipline::Aged { .. }) => {
                Line::Sorted(BinaryHeap::new())
            }
            // A retry keeps its place among what came before and after it.
            (Keying::None, Discipline::Lifo) if plan.failure.is_some() => {
                Line::Sorted(BinaryHeap::new())
            }
            (Keying::None, _) if by_class => Line::Classes(vec![VecDeque::new(); wiring.classes]),
            (Keying::None, _) => Line::Queue(VecDeque::new()),
        };
        let stream = |purpose| Rng::stream(seed, replication, &plan.name, purpose);
        Self {
            free: plan.servers,
            present: 0,
            waiting: 0,
            line,
            blocked: VecDeque::new(),
            running: Vec::new(),
            sharing: Sharing::default(),
            ranks: 0,
            line_empty_at: 0,
            budget: plan
                .failure
                .as_ref()
                .and_then(|f| f.retry.budget)
                .map(Bucket::new),
            breaker: BreakerState::default(),
            linger_at: u64::MAX,
            pace_used: 0,
            pace_at: u64::MAX,
            spaced: plan.spacing.map(Spaced::new),
            service_rng: stream(1),
            route_rng: stream(2),
            failure_rng: stream(3),
            trait_rng: stream(4),
            at: 0,
            area: 0,
            busy: 0,
            classes: vec![Visits::default(); wiring.classes],
            counts: Counts::default(),
        }
    }

    /// Integrates up to `now`; call before anything changes.
    #[inline]
    pub(crate) fn account(&mut self, plan: &StationPlan, now: u64) {
        let dt = u128::from(now - self.at);
        self.area += dt * u128::from(self.present);
        self.busy += dt * u128::from(plan.servers - self.free);
        self.at = now;
    }

    /// Forgets what was measured, not what is going on.
    pub(crate) fn reset(&mut self, plan: &StationPlan, now: u64) {
        self.account(plan, now);
        self.area = 0;
        self.busy = 0;
        self.counts = Counts::default();
        for visits in &mut self.classes {
            *visits = Visits::default();
        }
    }
}

/// An event with several copies on their way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Root {
    pub(crate) copies: u32,
    pub(crate) outcome: Outcome,
}

/// How an event ends; the worst of its copies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Consumed,
    Dead,
    Expired,
    Rejected,
}

/// Events with several copies; slots are reused.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    roots: Vec<Root>,
    free: Vec<u32>,
}

impl Roots {
    pub(crate) fn add(&mut self, copies: u32) -> u32 {
        let root = Root {
            copies,
            outcome: Outcome::Consumed,
        };
        match self.free.pop() {
            Some(slot) => {
                if let Some(old) = self.roots.get_mut(slot as usize) {
                    *old = root;
                }
                slot
            }
            None => {
                self.roots.push(root);
                (self.roots.len() - 1) as u32
            }
        }
    }

    pub(crate) fn more(&mut self, slot: u32, copies: u32) {
        if let Some(root) = self.roots.get_mut(slot as usize) {
            root.copies += copies;
        }
    }

    /// One copy has ended; the outcome of the event if it was the last.
    pub(crate) fn end(&mut self, slot: u32, outcome: Outcome) -> Option<Outcome> {
        if slot == NONE {
            return Some(outcome);
        }
        let root = self.roots.get_mut(slot as usize)?;
        root.outcome = root.outcome.max(outcome);
        root.copies -= 1;
        (root.copies == 0).then(|| {
            self.free.push(slot);
            root.outcome
        })
    }
}

/// What a source has seen.
#[derive(Debug, Clone, Default)]
pub struct SourceCounts {
    /// New events.
    pub offered: u64,
    /// Ended well.
    pub consumed: u64,
    /// Failed for good.
    pub dead: u64,
    /// Refused by a full station.
    pub rejected: u64,
    /// Dropped for their age.
    pub expired: u64,
    /// Ended well before the deadline, or before their client gave up.
    pub in_time: u64,
    /// Attempts sent again by clients.
    pub resent: u64,
    /// Time from birth to the end of the last copy, of those consumed or dead.
    pub response: Tally,
}
