//! Which events are not handled while they wait too long.

use std::collections::BTreeMap;
use std::time::Duration;

use hence_core::flow;
use hence_core::{Delivery, Timestamp};

/// How long arrivals are counted before the level is set anew, and how many at most.
const WINDOW: Duration = Duration::from_secs(1);
const WINDOW_EVENTS: u64 = 2_000;
/// So much less is let in while there is too much, and so much more while there is not.
const LESS: f64 = 0.05;
const MORE: f64 = 0.01;
/// Priorities beyond these count as these.
const PRIORITY_BOUND: i32 = 128;

/// The rule of DAGOR (Zhou et al., "Overload Control for Scaling WeChat Microservices", 2018): while
/// the mean event waits longer than is permitted, the level below which nothing is let in rises until
/// it would have let in 5 % less; else it falls until it would have let in 1 % more.
///
/// What is most urgent of all is always let in.
#[derive(Debug)]
pub(crate) struct Shed {
    limits: Option<flow::Shed>,
    /// Nothing of a lower priority is let in.
    level: i32,
    /// Events of this window, by priority.
    counts: BTreeMap<i32, u64>,
    events: u64,
    admitted: u64,
    waited: Duration,
    began: Option<Timestamp>,
}

impl Shed {
    pub(crate) fn new(limits: Option<flow::Shed>) -> Self {
        Self {
            limits,
            level: -PRIORITY_BOUND,
            counts: BTreeMap::new(),
            events: 0,
            admitted: 0,
            waited: Duration::ZERO,
            began: None,
        }
    }

    /// What to do with a delivery whose turn it is; `None`: handle it.
    pub(crate) fn refuses(
        &mut self,
        delivery: &Delivery,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<flow::Shedding> {
        let (limits, now) = (self.limits?, now());
        let priority = delivery.message.attributes().priority();
        let priority = priority.clamp(-PRIORITY_BOUND, PRIORITY_BOUND);
        let admitted = priority >= self.level;
        // What was shed, or failed, has waited for that and not for others.
        if delivery.due.is_none() && !delivery.redriven {
            self.count(priority, admitted, now.since(delivery.appended));
        }
        // Also when nothing new comes: else what was shed would wait for it.
        let began = *self.began.get_or_insert(now);
        if now.since(began) >= WINDOW || self.events >= WINDOW_EVENTS {
            self.turn(limits.wait);
        }
        (!admitted).then_some(limits.then)
    }

    fn count(&mut self, priority: i32, admitted: bool, waited: Duration) {
        *self.counts.entry(priority).or_default() += 1;
        self.events += 1;
        self.admitted += u64::from(admitted);
        self.waited = self.waited.saturating_add(waited);
    }

    /// Sets the level by what came in the window that ends.
    fn turn(&mut self, limit: Duration) {
        let mean = self.waited.as_secs_f64() / self.events.max(1) as f64;
        let too_much = mean > limit.as_secs_f64();
        let change = if too_much { 1.0 - LESS } else { 1.0 + MORE };
        let wanted = self.admitted as f64 * change;
        let mut admitted = 0;
        let mut level = None;
        // From the most urgent on, as long as it is not too much; the first in any case.
        for (priority, count) in self.counts.iter().rev() {
            let with = (admitted + count) as f64;
            if level.is_some() && too_much && with > wanted {
                break;
            }
            admitted += count;
            level = Some(*priority);
            if !too_much && with >= wanted {
                break;
            }
        }
        let lowest = level == self.counts.keys().next().copied();
        self.level = match level {
            Some(level) if !lowest || too_much => level,
            // All of them are let in, or none came.
            _ => -PRIORITY_BOUND,
        };
        self.counts.clear();
        (self.events, self.admitted) = (0, 0);
        (self.waited, self.began) = (Duration::ZERO, None);
    }
}

#[cfg(test)]
mod tests;
