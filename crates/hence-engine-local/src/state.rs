//! `State`: what the journal says, as tables. It is changed by operations alone, so that a replay
//! of the journal gives the same state.

use std::collections::HashMap;

use hence_core::engine::Entry;
use hence_core::error::{Code, Error, Result};
use hence_core::time::Timestamp;

use crate::dedup::{Dedup, Known};
use crate::identity::{self, Append, Direct};
use crate::keyed::{Keyed, Room};
use crate::op::{Ended, Op, Subscribed};
use crate::senders::Senders;
use crate::subscription::Subscription;
use crate::timers::Timers;

/// How many subscriptions one engine keeps.
pub const SUBSCRIPTIONS_MAX: usize = 100_000;

/// The tables of the engine.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The next position.
    pub(crate) next: u64,
    pub(crate) dedup: Dedup,
    pub(crate) keyed: Keyed,
    pub(crate) timers: Timers,
    pub(crate) senders: Senders,
    subscriptions: Vec<Subscription>,
    names: HashMap<String, u32>,
    /// Which subscriptions take a type, by its tag; types that nobody takes cost nothing.
    takers: HashMap<u32, Vec<Taken>, Direct>,
}

/// A type that is taken, and who takes it.
#[derive(Clone, Debug)]
struct Taken {
    name: String,
    takers: Vec<Taker>,
}

/// A subscription that takes a type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taker {
    pub(crate) subscription: u32,
    /// From which position on.
    since: u64,
}

impl Taker {
    /// Whether a message of the type is to be settled by the subscription, which is this one.
    pub(crate) fn has_open(&self, subscription: &Subscription, position: u64) -> bool {
        self.since <= position && !subscription.settled.contains(position)
    }
}

impl State {
    pub(crate) fn new(dedup_events: usize) -> Self {
        Self {
            next: 1,
            dedup: Dedup::new(dedup_events),
            keyed: Keyed::default(),
            timers: Timers::default(),
            senders: Senders::default(),
            subscriptions: Vec::new(),
            names: HashMap::new(),
            takers: HashMap::default(),
        }
    }

    /// The newest position, or 0.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    pub(crate) fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    pub(crate) fn subscriptions_mut(&mut self) -> &mut [Subscription] {
        &mut self.subscriptions
    }

    pub(crate) fn subscription(&self, id: u32) -> Option<&Subscription> {
        self.subscriptions.get(id as usize)
    }

    fn subscription_mut(&mut self, id: u32) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(id as usize)
    }

    /// The number of a subscription.
    pub(crate) fn id_of(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// A subscription that must exist.
    pub(crate) fn named(&self, name: &str) -> Result<(u32, &Subscription)> {
        self.id_of(name)
            .and_then(|id| Some((id, self.subscription(id)?)))
            .ok_or_else(|| no_subscription(name))
    }

    /// The subscriptions that take a type, by tag and name.
    pub(crate) fn takers(&self, tag: u32, event_type: &str) -> &[Taker] {
        takers(&self.takers, tag, event_type)
    }

    /// The subscriptions that may take an entry.
    pub(crate) fn takers_of(&self, entry: &Entry) -> &[Taker] {
        let event_type = entry.message.attributes().event_type();
        self.takers(identity::tag(event_type), event_type)
    }

    /// Gives a message the next position.
    pub(crate) fn append(&mut self, append: &Append) -> u64 {
        let position = self.next;
        self.next += 1;
        let content = append.content;
        self.dedup.insert(append.id, Known { position, content });
        let event_type = append.message.attributes().event_type();
        for taker in takers(&self.takers, append.tag, event_type) {
            let found = self.subscriptions.get_mut(taker.subscription as usize);
            if let Some(subscription) = found
                && taker.has_open(subscription, position)
            {
                subscription.lag += 1;
            }
        }
        position
    }

    /// Applies one operation of a frame that was made at `time`.
    pub(crate) fn apply(&mut self, op: &Op, time: Timestamp) {
        match op {
            Op::Append(append) => {
                self.append(append);
            }
            Op::Ended(ended) => {
                self.end(ended, time);
            }
            Op::Redriven {
                subscription,
                position,
            } => {
                if let Some(subscription) = self.subscription_mut(*subscription) {
                    subscription.redrive(*position);
                }
            }
            Op::Discarded(discarded) => {
                if let Some(subscription) = self.subscription_mut(discarded.subscription) {
                    subscription.discard(discarded.position);
                }
            }
            Op::Edited(edited) => {
                if let Some(subscription) = self.subscription_mut(edited.subscription) {
                    subscription.edit(edited.position, edited.message.clone());
                }
            }
            Op::Subscribed(subscribed) => self.subscribe(subscribed),
            Op::Keyed {
                subscription,
                key,
                value,
            } => self.keyed.set(*subscription, key, value.clone()),
            Op::TimerSet(set) => {
                let (id, timer) = &**set;
                self.timers.set(id.clone(), timer.clone());
            }
            Op::TimerEnded(id) => self.timers.end(id),
            Op::Sent { sender, sent } => self.senders.set(sender, *sent),
        }
    }

    /// How much values and timers take together.
    pub(crate) fn room(&self) -> Room {
        let mut room = self.keyed.room();
        room.add(self.timers.room());
        room
    }

    /// Notes the end of an attempt; whether it was one at a dead letter that was sent again.
    pub(crate) fn end(&mut self, ended: &Ended, time: Timestamp) -> bool {
        let Some(subscription) = self.subscription_mut(ended.subscription) else {
            return false;
        };
        let was_redriven = subscription.is_redriven(ended.position);
        subscription.end(ended, time);
        was_redriven
    }

    fn subscribe(&mut self, subscribed: &Subscribed) {
        let id = subscribed.subscription;
        match self.subscription_mut(id) {
            Some(known) => {
                known.types.clone_from(&subscribed.types);
                known.lag = subscribed.lag;
                for taken in self.takers.values_mut().flatten() {
                    taken.takers.retain(|taker| taker.subscription != id);
                }
                self.index(id);
            }
            None => self.restore(Subscription::new(subscribed)),
        }
    }

    /// Adds a subscription under the next number.
    pub(crate) fn restore(&mut self, subscription: Subscription) {
        let id = u32::try_from(self.subscriptions.len()).unwrap_or(u32::MAX);
        self.names.insert(subscription.name.clone(), id);
        self.subscriptions.push(subscription);
        self.index(id);
    }

    fn index(&mut self, id: u32) {
        let subscription = self.subscriptions.get(id as usize);
        for own in subscription.map_or(&[][..], |found| &found.types) {
            let of_tag = self.takers.entry(own.tag).or_default();
            let taker = Taker {
                subscription: id,
                since: own.since,
            };
            match of_tag.iter_mut().find(|taken| taken.name == own.name) {
                Some(taken) => taken.takers.push(taker),
                None => of_tag.push(Taken {
                    name: own.name.clone(),
                    takers: vec![taker],
                }),
            }
        }
        for of_tag in self.takers.values_mut() {
            of_tag.retain(|taken| !taken.takers.is_empty());
        }
        self.takers.retain(|_, of_tag| !of_tag.is_empty());
    }
}

fn takers<'a>(
    all: &'a HashMap<u32, Vec<Taken>, Direct>,
    tag: u32,
    event_type: &str,
) -> &'a [Taker] {
    let of_tag = all.get(&tag).map_or(&[][..], Vec::as_slice);
    let taken = of_tag.iter().find(|taken| taken.name == event_type);
    taken.map_or(&[], |taken| &taken.takers)
}

fn no_subscription(name: &str) -> Error {
    Code::NOT_FOUND.error(format!("there is no subscription '{name}'"))
}
