//! `State`: what the journal says, as tables. It is changed by operations alone, so that a replay
//! of the journal gives the same state.

use std::collections::HashMap;

use hence_core::error::{Code, Error, Result};
use hence_core::time::Timestamp;
use smallvec::SmallVec;

use crate::dedup::{Dedup, Known};
use crate::identity::{Append, Direct, tag};
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
    /// Which subscriptions may take a type, by its tag; types that nobody takes cost nothing.
    takers: TakersByTag,
}

/// Most types have one taker, which needs no memory of its own then.
type TakersByTag = HashMap<u32, SmallVec<[Taker; 1]>, Direct>;

/// A subscription that takes a type. It stands by itself what it has to say of an event, so that
/// among many subscriptions only those are looked at that take it.
#[derive(Clone, Debug)]
struct Taker {
    subscription: u32,
    since: u64,
    name: Box<str>,
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

    /// The subscriptions that take a message of a type at a position.
    pub(crate) fn takers(&self, event_type: &str, position: u64) -> impl Iterator<Item = u32> {
        takers(&self.takers, (tag(event_type), event_type), position)
    }

    /// Gives a message the next position; `open` is told each subscription that has to settle it.
    pub(crate) fn append(&mut self, append: &Append, open: impl FnMut(u32)) -> u64 {
        let (position, content) = (self.next, append.content);
        self.dedup.insert(append.id, Known { position, content });
        let event_type = append.message.attributes().event_type();
        self.count(append.tag, event_type, open)
    }

    /// Gives the next position to a message of which nothing else is known, and counts it as open
    /// for those that take its type.
    pub(crate) fn count(&mut self, tag: u32, event_type: &str, mut open: impl FnMut(u32)) -> u64 {
        let position = self.next;
        self.next += 1;
        for id in takers(&self.takers, (tag, event_type), position) {
            if let Some(subscription) = self.subscriptions.get_mut(id as usize)
                && !subscription.settled.contains(position)
            {
                subscription.lag += 1;
                open(id);
            }
        }
        position
    }

    /// Applies one operation of a frame that was made at `time`.
    pub(crate) fn apply(&mut self, op: &Op, time: Timestamp) {
        match op {
            Op::Append(append) => {
                self.append(append, |_| {});
            }
            Op::Ended(ended) => self.end(ended, time),
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

    /// Notes the end of an attempt.
    pub(crate) fn end(&mut self, ended: &Ended, time: Timestamp) {
        if let Some(subscription) = self.subscription_mut(ended.subscription) {
            subscription.end(ended, time);
        }
    }

    fn subscribe(&mut self, subscribed: &Subscribed) {
        let id = subscribed.subscription;
        match self.subscription_mut(id) {
            Some(known) => {
                known.types.clone_from(&subscribed.types);
                known.lag = subscribed.lag;
                for takers in self.takers.values_mut() {
                    takers.retain(|taker| taker.subscription != id);
                }
                self.index(id);
                self.takers.retain(|_, takers| !takers.is_empty());
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
        for taken in subscription.map_or(&[][..], |found| &found.types) {
            self.takers.entry(taken.tag).or_default().push(Taker {
                subscription: id,
                since: taken.since,
                name: taken.name.as_str().into(),
            });
        }
    }
}

/// Of those that may take a type the ones that do; two types may share a tag.
fn takers(
    by_tag: &TakersByTag,
    (tag, event_type): (u32, &str),
    position: u64,
) -> impl Iterator<Item = u32> {
    let may = by_tag.get(&tag).map_or(&[][..], SmallVec::as_slice);
    let does = move |taker: &&Taker| taker.since <= position && *taker.name == *event_type;
    may.iter().filter(does).map(|taker| taker.subscription)
}

fn no_subscription(name: &str) -> Error {
    Code::NOT_FOUND.error(format!("there is no subscription '{name}'"))
}
