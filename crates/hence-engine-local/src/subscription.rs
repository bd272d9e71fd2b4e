//! `Subscription`: what is remembered of a durable subscription.

use std::collections::{BTreeMap, BTreeSet};

use hence_core::dead_letter::Fingerprint;
use hence_core::delivery::Position;
use hence_core::engine::{DeliveryState, Entry, SubscriptionReport};
use hence_core::message::Message;
use hence_core::time::Timestamp;

use crate::dead_letters::{Body, Dead};
use crate::history::Expected;
use crate::op::{Ended, How, Subscribed, Taken};
use crate::planted::is_planted;
use crate::settled::Settled;

/// The attempts of an open delivery that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) attempts: u32,
    pub(crate) due: Timestamp,
}

/// Where one delivery stands for the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// To be settled; so many attempts have ended.
    Open {
        attempts: u32,
        /// From the dead letters.
        redriven: bool,
    },
    Settled,
    /// So many attempts have ended, and those of a redrive count on.
    Dead {
        attempts: u32,
    },
}

/// One durable subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) name: String,
    pub(crate) types: Vec<Taken>,
    pub(crate) settled: Settled,
    /// Messages of its types that are open.
    pub(crate) lag: u64,
    pub(crate) tried: BTreeMap<u64, Tried>,
    pub(crate) dead: BTreeMap<u64, Dead>,
    /// Those of the dead letters that are being sent again.
    redriven: BTreeSet<u64>,
    /// Memory that edited copies take.
    edited_bytes: usize,
}

impl Subscription {
    pub(crate) fn new(subscribed: &Subscribed) -> Self {
        Self {
            name: subscribed.name.clone(),
            types: subscribed.types.clone(),
            settled: Settled::up_to(subscribed.low),
            lag: subscribed.lag,
            tried: BTreeMap::new(),
            dead: BTreeMap::new(),
            redriven: BTreeSet::new(),
            edited_bytes: 0,
        }
    }

    /// As it was stored.
    pub(crate) fn with_dead(mut self, dead: impl IntoIterator<Item = (u64, Dead)>) -> Self {
        for (position, dead) in dead {
            self.bury(position, dead);
        }
        self
    }

    /// Memory that edited copies take.
    pub(crate) fn edited_bytes(&self) -> usize {
        self.edited_bytes
    }

    fn bury(&mut self, position: u64, dead: Dead) {
        self.edited_bytes += dead.edited_bytes();
        if dead.redriven {
            self.redriven.insert(position);
        }
        self.dead.insert(position, dead);
    }

    fn unbury(&mut self, position: u64) -> Option<Dead> {
        let dead = self.dead.remove(&position)?;
        self.edited_bytes -= dead.edited_bytes();
        self.redriven.remove(&position);
        Some(dead)
    }

    /// Whether a message at a position is one of its own, by tag and name.
    pub(crate) fn takes(&self, position: u64, tag: u32, event_type: &str) -> bool {
        self.types
            .iter()
            .any(|t| t.tag == tag && t.since <= position && t.name == event_type)
    }

    /// As [`Subscription::takes`], of an entry.
    pub(crate) fn takes_entry(&self, entry: &Entry) -> bool {
        let event_type = entry.message.attributes().event_type();
        self.takes(
            entry.position.0,
            crate::identity::tag(event_type),
            event_type,
        )
    }

    /// Whether an entry is one of its own and not settled.
    pub(crate) fn is_open(&self, entry: &Entry) -> bool {
        !self.settled.contains(entry.position.0) && self.takes_entry(entry)
    }

    /// Whether these are the types that it takes.
    pub(crate) fn has_types(&self, types: &[String]) -> bool {
        self.types.iter().all(|taken| types.contains(&taken.name))
            && types.iter().all(|name| self.since(name).is_some())
    }

    /// From which position on it takes a type.
    pub(crate) fn since(&self, event_type: &str) -> Option<u64> {
        let taken = self.types.iter().find(|taken| taken.name == event_type)?;
        Some(taken.since)
    }

    /// How many attempts at a delivery have ended. Over a redrive they count on, so that whoever
    /// still works at one of before cannot end one of now.
    pub(crate) fn attempts(&self, position: u64) -> u32 {
        let tried = self.tried.get(&position).map_or(0, |tried| tried.attempts);
        tried.max(self.dead.get(&position).map_or(0, |dead| dead.attempts))
    }

    pub(crate) fn status(&self, position: u64) -> Status {
        let attempts = self.attempts(position);
        match self.dead.get(&position) {
            Some(dead) if dead.redriven => Status::Open {
                attempts,
                redriven: true,
            },
            Some(_) => Status::Dead { attempts },
            None if self.settled.contains(position) => Status::Settled,
            None => Status::Open {
                attempts,
                redriven: false,
            },
        }
    }

    /// Notes the end of an attempt.
    pub(crate) fn end(&mut self, ended: &Ended, now: Timestamp) {
        let position = ended.position;
        if let How::Retry { due, .. } = ended.how {
            let attempts = ended.attempt;
            if !is_planted("forget-attempts") {
                self.tried.insert(position, Tried { attempts, due });
            }
            return;
        }
        self.tried.remove(&position);
        let after = if is_planted("settle-past-a-gap") {
            0
        } else {
            ended.after
        };
        self.settled.insert(after, position);
        self.lag = self.lag.saturating_sub(1);
        let before = self.unbury(position);
        if let How::Reject(rejected) = &ended.how {
            let rejections = before.as_ref().map_or(0, |dead| dead.rejections);
            let dead = Dead {
                body: match (before, &rejected.message) {
                    (Some(before), _) => before.body,
                    (None, Some(message)) => Body::Kept(message.clone()),
                    (None, None) => Body::Entry,
                },
                about: rejected.about.clone(),
                reason: rejected.reason,
                fingerprint: Fingerprint::of(rejected.reason, &rejected.error),
                error: rejected.error.as_str().into(),
                attempts: ended.attempt,
                since: now,
                hold: rejected.hold,
                rejections: rejections.saturating_add(1),
                redriven: false,
            };
            if !is_planted("forget-dead-letters") {
                self.bury(position, dead);
            }
        }
    }

    /// Gives up a dead letter for good.
    pub(crate) fn discard(&mut self, position: u64) {
        if let Some(dead) = self.unbury(position)
            && dead.redriven
        {
            self.tried.remove(&position);
            self.lag = self.lag.saturating_sub(1);
        }
    }

    /// Sends a dead letter again as an edited copy.
    pub(crate) fn edit(&mut self, position: u64, copy: Message) {
        if let Some(mut dead) = self.unbury(position) {
            dead.body = Body::Edited(copy);
            self.bury(position, dead);
        }
        self.redrive(position);
    }

    /// Sends a dead letter again.
    pub(crate) fn redrive(&mut self, position: u64) {
        if let Some(dead) = self.dead.get_mut(&position)
            && !dead.redriven
        {
            dead.redriven = true;
            self.redriven.insert(position);
            self.lag += 1;
        }
    }

    /// The positions of dead letters that are being sent again.
    pub(crate) fn redriven(&self) -> impl ExactSizeIterator<Item = u64> {
        self.redriven.iter().copied()
    }

    /// Where a delivery stands, as far as the state machine knows.
    pub(crate) fn delivery_state(&self, position: u64, with_runtime: bool) -> DeliveryState {
        match (self.status(position), self.tried.get(&position)) {
            (Status::Settled, _) => DeliveryState::Done,
            (Status::Dead { .. }, _) => DeliveryState::Dead,
            (Status::Open { .. }, Some(tried)) => DeliveryState::Retrying(tried.due),
            (Status::Open { .. }, None) if with_runtime => DeliveryState::Running,
            (Status::Open { .. }, None) => DeliveryState::Waiting,
        }
    }

    /// The last attempt at a delivery that a journal must hold.
    pub(crate) fn expected(&self, position: u64) -> Expected {
        let (dead, tried) = (self.dead.get(&position), self.tried.get(&position));
        match (self.status(position), dead, tried) {
            (Status::Settled, _, _) => Expected::Done,
            (_, Some(dead), Some(tried)) => Expected::Again {
                rejections: dead.rejections,
                attempt: tried.attempts,
            },
            (_, Some(dead), None) => Expected::Rejected(dead.rejections),
            (_, None, Some(tried)) => Expected::Retried(tried.attempts),
            (_, None, None) => Expected::Nothing,
        }
    }

    /// How it stands; `last` is the newest position.
    pub(crate) fn report(&self, last: u64, in_flight: Option<usize>) -> SubscriptionReport {
        let low = if self.lag == 0 {
            last
        } else {
            self.settled.low()
        };
        let settled = self
            .redriven()
            .next()
            .map_or(low, |first| low.min(first - 1));
        SubscriptionReport {
            name: self.name.clone(),
            types: self.types.iter().map(|taken| taken.name.clone()).collect(),
            since: self
                .types
                .iter()
                .map(|taken| Position(taken.since))
                .collect(),
            settled: Position(settled.min(last)),
            lag: self.lag,
            in_flight: in_flight.unwrap_or(0) as u64,
            dead: (self.dead.len() - self.redriven.len()) as u64,
            attached: in_flight.is_some(),
        }
    }
}
