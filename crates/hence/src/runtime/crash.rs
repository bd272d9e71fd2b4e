//! `Crash`: what a process leaves behind for the next one, should it end without a word.
//!
//! What was not settled when a process began may have been with a handler when the one before it
//! crashed. Before such a delivery is handled a mark is stored, and the commit that ends the attempt
//! removes it. A mark that is found is a crash that its event was seen at:
//!
//! ```text
//!   crashes   0            1 or more                             as many as `Options::crashes`
//!             handled      handled while no other such one is    dead letter
//! ```
//!
//! So whoever only happened to run beside an event that ends processes is cleared in a turn of its
//! own. The marks are values of keys that no event can have, because a control character is in them.

mod alone;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use hence_core::commit::{Change, What};
use hence_core::engine::Feature;
use hence_core::{Commit, Delivery, Durability, Engine, Position};

use self::alone::{Alone, Had};
use super::standing::{Place, Turn};

/// The most calls of a subscription, counted from the start of a process, before which marks are
/// stored. What a crash has left open comes first, so that this is enough to find it.
pub(crate) const SUSPECTS_MAX: usize = 1_000;
/// How the keys of the runtime's own values begin.
pub(crate) const OWN: char = '\u{1}';

/// Whether a change of a key is the runtime's own, and not of a handler.
pub(crate) fn is_own(change: &Change) -> bool {
    change.key.starts_with(OWN)
}

/// What all subscriptions of an application share.
#[derive(Clone)]
pub(crate) struct Watch {
    engine: Arc<dyn Engine>,
    /// The least durability that outlives the process.
    durability: Durability,
    /// Nothing behind this position was there when the process began.
    upto: Position,
    /// Only one that was seen at a crash is handled at a time.
    alone: Alone,
}

impl Watch {
    /// `None` where nothing outlives the process, or no value can be kept.
    pub(crate) fn of(engine: &Arc<dyn Engine>) -> Option<Self> {
        let capability = engine.capability();
        let mut levels = capability.durability.iter().copied();
        let durability = levels.find(|level| *level >= Durability::Written)?;
        let upto = engine.health().ok()?.last;
        capability.has(Feature::Keyed).then(|| Self {
            engine: Arc::clone(engine),
            durability,
            upto,
            alone: Alone::default(),
        })
    }

    /// Whether nobody has the turn.
    #[cfg(test)]
    pub(crate) fn is_free(&self) -> bool {
        self.alone.whose().is_none()
    }
}

/// The suspects of one subscription.
pub(crate) struct Suspects {
    watch: Option<Watch>,
    subscription: Arc<str>,
    /// What was seen at so many crashes in a row becomes a dead letter.
    most: u32,
    /// Before so many more calls marks are stored.
    left: usize,
    marks: HashMap<Position, Mark>,
}

/// The mark of one delivery, which is stored or about to be.
struct Mark {
    /// The crashes that it was seen at before.
    before: u32,
    /// Its turn, if it was seen at any.
    turn: Option<Had>,
    /// The key of its event.
    key: Option<String>,
    /// It is with a handler, or has been.
    began: bool,
    /// A commit that removes it is with the engine.
    ends: bool,
}

impl Mark {
    /// Whether its delivery waits for a handler.
    fn is_to_begin(&self) -> bool {
        !self.began && !self.ends
    }
}

/// What became of a mark: the turn of a delivery that has to have one.
pub(crate) type Marked = Option<Had>;

impl Suspects {
    /// Those of a subscription of which an event may be seen at so many crashes; `None`: crashes are
    /// not counted.
    pub(crate) fn new(watch: Option<Watch>, subscription: &Arc<str>, most: Option<u32>) -> Self {
        let some = watch.as_ref().is_some_and(|watch| watch.upto.0 > 0);
        Self {
            watch,
            subscription: Arc::clone(subscription),
            most: most.unwrap_or(u32::MAX),
            left: if some && most.is_some() {
                SUSPECTS_MAX
            } else {
                0
            },
            marks: HashMap::new(),
        }
    }

    /// Whether marks are to be stored before a call for these.
    pub(crate) fn are_among(&self, deliveries: &[Delivery]) -> bool {
        let is_old = |upto: Position| deliveries.iter().any(|one| one.position <= upto);
        self.left > 0 && self.watch.as_ref().is_some_and(|watch| is_old(watch.upto))
    }

    /// Whether an event that was seen at so many crashes is not handled again.
    pub(crate) fn are_too_many(&self, crashes: u32) -> bool {
        crashes >= self.most
    }

    /// Looks up how many crashes each of these was seen at. What cannot be read is no accusation, nor
    /// is a mark of this process.
    pub(crate) fn look(
        &mut self,
        deliveries: &[Delivery],
    ) -> impl Future<Output = Vec<u32>> + Send + use<> {
        self.left = self.left.saturating_sub(1);
        let (watch, name) = (self.watch.clone(), Arc::clone(&self.subscription));
        let positions = deliveries.iter().map(|one| one.position);
        let own = |position| self.marks.get(&position).map(|mark| mark.before);
        let known: Vec<_> = positions.map(|one| (key(one), own(one))).collect();
        async move {
            let mut crashes = Vec::with_capacity(known.len());
            for (key, own) in known {
                if let Some(before) = own {
                    crashes.push(before);
                    continue;
                }
                let value = match &watch {
                    Some(watch) => {
                        let value = watch.engine.keyed(&name, &key).await;
                        value.unwrap_or_else(|error| {
                            tracing::warn!(%error, "the crashes that an event was seen at are unknown");
                            None
                        })
                    }
                    None => None,
                };
                let text = value
                    .as_deref()
                    .and_then(|value| str::from_utf8(value).ok());
                crashes.push(text.and_then(|text| text.parse().ok()).unwrap_or(0));
            }
            crashes
        }
    }

    /// Notes that these were seen at so many crashes: whatever ends them removes their marks.
    pub(crate) fn note(&mut self, deliveries: &[Delivery], crashes: &[u32]) {
        for (delivery, before) in deliveries.iter().zip(crashes.iter().copied()) {
            let mark = Mark {
                before,
                turn: None,
                key: delivery.message.attributes().key().map(str::to_owned),
                began: false,
                ends: false,
            };
            self.marks.insert(delivery.position, mark);
        }
    }

    /// Stores marks before a call for deliveries that were noted, once it is the turn of those that
    /// were seen at a crash. A safety net that cannot be hung up stops nobody.
    pub(crate) fn mark(
        &self,
        deliveries: &[Delivery],
        crashes: &[u32],
    ) -> impl Future<Output = Marked> + Send + use<> {
        let marks = deliveries.iter().zip(crashes);
        let marks = marks.map(|(one, before)| self.change(one.position, before.saturating_add(1)));
        let change = marks.collect();
        let watch = self.watch.clone();
        let is_accused = crashes.iter().any(|crashes| *crashes > 0);
        let accused = deliveries.first().filter(|_| is_accused);
        let accused = accused.map(|one| (Arc::clone(&self.subscription), one.position));
        async move {
            let Watch {
                engine,
                durability,
                alone,
                ..
            } = watch?;
            let turn = match accused {
                Some((subscription, position)) => alone.turn(subscription, position).await,
                None => None,
            };
            let commit = Commit {
                change,
                durability,
                ..Commit::default()
            };
            if let Err(error) = engine.commit(commit).await {
                tracing::warn!(%error, "a crash of the next call would not be counted");
            }
            turn
        }
    }

    /// The call begins.
    pub(crate) fn begin(&mut self, deliveries: &[Delivery], mut marked: Marked) {
        for delivery in deliveries {
            if let Some(mark) = self.marks.get_mut(&delivery.position) {
                mark.began = true;
                // The first of them has the turn of all.
                mark.turn = marked.take();
            }
        }
    }

    /// What a delivery waits for that is here and not with a handler yet.
    pub(crate) fn place(&self, position: Position) -> Option<Place> {
        let mark = self
            .marks
            .get(&position)
            .filter(|mark| mark.is_to_begin())?;
        let turn = self.watch.as_ref().and_then(|watch| watch.alone.whose());
        let own =
            |turn: &Turn| turn.position == position && *turn.subscription == *self.subscription;
        Some(match mark.before {
            0 => Place::Noted,
            _ if turn.as_ref().is_some_and(own) => Place::Noted,
            crashes => Place::Alone { crashes, turn },
        })
    }

    /// Lets a commit that ends attempts remove their marks.
    pub(crate) fn end_with(&mut self, commit: &mut Commit) {
        let Some(upto) = self.watch.as_ref().map(|watch| watch.upto) else {
            return;
        };
        for settlement in &commit.settle {
            let position = settlement.position;
            if position > upto {
                continue;
            }
            let is_marked = match self.marks.get_mut(&position) {
                Some(mark) => {
                    mark.ends = true;
                    true
                }
                None => self.may_be_marked(position),
            };
            if is_marked {
                commit.change.push(self.change(position, 0));
            }
        }
    }

    /// Whether a process before this one may have left a mark at what was not looked at here.
    fn may_be_marked(&self, position: Position) -> bool {
        let Some(watch) = &self.watch else {
            return false;
        };
        let key = key(position);
        let value = watch.engine.keyed(&self.subscription, &key);
        !matches!(value.now_or_never(), Some(Ok(None)))
    }

    /// A commit that was to end attempts was not taken, and is tried again.
    pub(crate) fn goes_on(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            if let Some(mark) = self.marks.get_mut(&delivery.position) {
                mark.ends = false;
            }
        }
    }

    /// Nothing ends these attempts in this process: it is the turn of another.
    pub(crate) fn wait(&mut self, deliveries: &[Delivery]) {
        self.goes_on(deliveries);
        for delivery in deliveries {
            if let Some(mark) = self.marks.get_mut(&delivery.position) {
                mark.turn = None;
            }
        }
    }

    /// Takes back the marks of what goes back to its lane: a crash until it comes again is none of
    /// its own.
    pub(crate) fn put_back(&mut self, deliveries: &[Delivery]) {
        self.wait(deliveries);
        let positions = deliveries.iter().map(|one| one.position);
        let marked = positions.filter_map(|one| Some((one, self.marks.get(&one)?.before)));
        self.take_back(
            marked
                .map(|(one, before)| self.change(one, before))
                .collect(),
        );
    }

    /// The delivery, of a key or of any, that is to be handled alone and is not with a handler yet.
    pub(crate) fn accused(&self, is_own: impl Fn(Option<&str>) -> bool) -> Option<Position> {
        let marks = self.marks.iter();
        let waits = marks.filter(|(_, mark)| mark.before > 0 && mark.is_to_begin());
        let own = waits.filter(|(_, mark)| is_own(mark.key.as_deref()));
        own.map(|(position, _)| *position).min()
    }

    /// The commit that ended an attempt was taken: it is the turn of another.
    pub(crate) fn ended(&mut self, position: Position) {
        // Almost always there are none, and to hash for nothing costs.
        if !self.marks.is_empty() {
            self.marks.remove(&position);
        }
    }

    /// Takes back the marks of what is given up: that is no crash. The engine stores it before it
    /// closes, so nobody waits for it.
    pub(crate) fn give_up(&mut self) {
        let marks: Vec<_> = self.marks.drain().collect();
        let left = marks.iter().filter(|(_, mark)| !mark.ends);
        self.take_back(
            left.map(|(position, mark)| self.change(*position, mark.before))
                .collect(),
        );
    }

    fn take_back(&self, change: Vec<Change>) {
        let Some(watch) = self.watch.as_ref().filter(|_| !change.is_empty()) else {
            return;
        };
        let commit = Commit {
            change,
            durability: watch.durability,
            ..Commit::default()
        };
        if let Err(error) = watch.engine.try_commit(commit) {
            tracing::warn!(?error, "what is not handled counts as a crash");
        }
    }

    fn change(&self, position: Position, crashes: u32) -> Change {
        let what = match crashes {
            0 => What::Remove,
            _ => What::Write(crashes.to_string().into()),
        };
        Change {
            subscription: Arc::clone(&self.subscription),
            key: key(position),
            what,
        }
    }

    /// Whether a storm had stopped the subscription when the process before this one ended.
    pub(crate) async fn was_tripped(&self) -> bool {
        let Some(watch) = &self.watch else {
            return false;
        };
        let value = watch.engine.keyed(&self.subscription, &tripped()).await;
        value.is_ok_and(|value| value.is_some())
    }

    /// Remembers for the next process that a storm has stopped the subscription, or that it goes on.
    pub(crate) fn tripped(&self, commit: &mut Commit, is_tripped: bool) {
        if self.watch.is_some() {
            commit.change.push(Change {
                subscription: Arc::clone(&self.subscription),
                key: tripped(),
                what: match is_tripped {
                    true => What::Write("tripped".into()),
                    false => What::Remove,
                },
            });
        }
    }
}

fn key(position: Position) -> String {
    format!("{OWN}began.{position}")
}

fn tripped() -> String {
    format!("{OWN}breaker")
}
