//! `Lane`: the deliveries of one key.

use std::collections::{BTreeSet, VecDeque};

use hence_core::{Delivery, Position};

use super::{BLOCKED_PER_KEY_MAX, Load};

/// As what the deliveries of one lane count.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) blocked: Load,
    pub(super) ready: Load,
    pub(super) parked: Load,
    pub(super) crowded: usize,
}

/// What a lane without failures has nothing of.
#[derive(Default)]
struct Behind {
    /// Deliveries from the dead letters, in order; they stand before the others.
    redriven: VecDeque<Delivery>,
    /// How many of the lane wait for their next attempt.
    retrying: usize,
    /// Dead letters: what is behind one of them waits for it, redriven or not.
    held: BTreeSet<Position>,
    /// Dead letters that were discarded while some of the lane were busy, perhaps with them.
    discarded: BTreeSet<Position>,
}

impl Behind {
    fn is_nothing(&self) -> bool {
        self.retrying == 0
            && self.redriven.is_empty()
            && self.held.is_empty()
            && self.discarded.is_empty()
    }
}

/// The deliveries of one key that are here. There are as many lanes as keys that have something, so
/// it is small.
#[derive(Default)]
pub(super) struct Lane {
    /// The key.
    pub(super) name: String,
    /// Deliveries in order.
    queue: VecDeque<Delivery>,
    /// Because of failures.
    behind: Option<Box<Behind>>,
    /// About how many bytes its deliveries have.
    pub(super) bytes: usize,
    /// How many of the lane are with a handler or with the engine: several only in one batch.
    pub(super) busy: u32,
    /// The lane stands in the list of lanes that have something to give.
    pub(super) listed: bool,
    /// It waits at the gate.
    pub(super) gated: bool,
}

impl Lane {
    /// As what its deliveries count, where so many of them may be handled in one call.
    pub(super) fn tally(&self, width: usize) -> Tally {
        let (length, bytes) = (self.len(), self.bytes);
        if self.is_blocked() {
            return Tally {
                blocked: Load {
                    events: length,
                    bytes,
                },
                crowded: usize::from(length >= BLOCKED_PER_KEY_MAX),
                ..Tally::default()
            };
        }
        let ready = match self.busy {
            0 if !self.gated => length.min(width),
            _ => 0,
        };
        Tally {
            ready: Load {
                events: ready,
                bytes: 0,
            },
            parked: Load {
                events: length - ready,
                bytes,
            },
            ..Tally::default()
        }
    }

    pub(super) fn has_next(&self) -> bool {
        self.busy == 0 && self.retrying() == 0 && self.goes().is_some()
    }

    /// The queue whose first delivery has no dead letter before it.
    fn goes(&self) -> Option<&VecDeque<Delivery>> {
        let own = || self.behind.as_deref().map(|behind| &behind.redriven);
        let going =
            |queue: &&VecDeque<Delivery>| queue.front().is_some_and(|first| !self.is_behind(first));
        let redriven = own().filter(going);
        redriven.or_else(|| Some(&self.queue).filter(going))
    }

    fn is_behind(&self, delivery: &Delivery) -> bool {
        let held = self.behind.as_deref().map(|behind| &behind.held);
        held.is_some_and(|held| held.range(..delivery.position).next().is_some())
    }

    /// The first dead letter before a position.
    pub(super) fn dead_before(&self, position: Position) -> Option<Position> {
        let held = &self.behind.as_deref()?.held;
        held.range(..position).next().copied()
    }

    /// How many of the lane wait for their next attempt.
    pub(super) fn retrying(&self) -> usize {
        self.behind.as_deref().map_or(0, |behind| behind.retrying)
    }

    /// What it would give next.
    pub(super) fn head(&self) -> Option<&Delivery> {
        self.goes().unwrap_or(&self.queue).front()
    }

    /// Takes deliveries that may be handled in one call, from the first on as long as they fit, and
    /// says how many.
    pub(super) fn take_while(
        &mut self,
        mut fits: impl FnMut(&Delivery) -> bool,
        taken: &mut Vec<Delivery>,
    ) -> usize {
        let from = self.goes().unwrap_or(&self.queue);
        let going = from.iter().take_while(|next| !self.is_behind(next));
        let count = going.take_while(|next| fits(next)).count();
        let is_own = std::ptr::eq(from, &raw const self.queue);
        self.busy = u32::try_from(count).unwrap_or(u32::MAX);
        let from = match &mut self.behind {
            Some(behind) if !is_own => &mut behind.redriven,
            _ => &mut self.queue,
        };
        for delivery in from.drain(..count) {
            self.bytes -= Load::of(&delivery).bytes;
            taken.push(delivery);
        }
        count
    }

    /// Takes the next delivery, if it may be handled now.
    pub(super) fn take_one(&mut self) -> Option<Delivery> {
        if self.behind.is_some() {
            let (mut first, mut taken) = (true, Vec::new());
            if self.has_next() {
                self.take_while(|_| std::mem::take(&mut first), &mut taken);
            }
            return taken.pop();
        }
        if self.busy > 0 {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.bytes -= Load::of(&next).bytes;
        self.busy = 1;
        Some(next)
    }

    /// Puts a delivery behind all others.
    pub(super) fn push(&mut self, delivery: Delivery) {
        self.bytes += Load::of(&delivery).bytes;
        if self.queue.is_empty() {
            // Most lanes have one at a time, and room for more would be most of what they take.
            self.queue.reserve_exact(1);
        }
        self.queue.push_back(delivery);
    }

    /// Puts a delivery where its position belongs.
    pub(super) fn insert(&mut self, delivery: Delivery) {
        self.bytes += Load::of(&delivery).bytes;
        let queue = match delivery.redriven {
            true => &mut self.behind().redriven,
            false => &mut self.queue,
        };
        let before = queue.partition_point(|other| other.position < delivery.position);
        queue.insert(before, delivery);
    }

    fn behind(&mut self) -> &mut Behind {
        self.behind.get_or_insert_default()
    }

    /// One more of the lane waits for its next attempt.
    pub(super) fn backs_off(&mut self) {
        self.behind().retrying += 1;
    }

    /// One that waited for its next attempt comes back, where its position belongs.
    pub(super) fn comes_back(&mut self, delivery: Delivery) {
        self.behind().retrying -= 1;
        self.insert(delivery);
    }

    /// What is behind a dead letter waits for it.
    pub(super) fn hold(&mut self, position: Position) {
        self.behind().held.insert(position);
    }

    /// A delivery is settled for good, and nothing waits for it.
    pub(super) fn done(&mut self, position: Position) {
        self.free(position);
        if let Some(behind) = &mut self.behind {
            behind.held.remove(&position);
        }
    }

    /// Notes that a delivery is busy no longer; whether it is wanted, for it may be discarded.
    pub(super) fn free(&mut self, position: Position) -> bool {
        self.busy -= 1;
        let Some(behind) = &mut self.behind else {
            return true;
        };
        let is_wanted = !behind.discarded.remove(&position);
        if self.busy == 0 {
            behind.discarded.clear();
        }
        is_wanted
    }

    /// Forgets a dead letter that was discarded, wherever it is.
    pub(super) fn release(&mut self, position: Position, backs_off: bool) {
        let is_busy = self.busy > 0;
        let behind = self.behind();
        behind.held.remove(&position);
        let mut sent = behind.redriven.iter();
        let at = sent.position(|sent| sent.position == position);
        let sent = at.and_then(|at| behind.redriven.remove(at));
        behind.retrying -= usize::from(backs_off);
        if is_busy {
            behind.discarded.insert(position);
        }
        if let Some(sent) = sent {
            self.bytes -= Load::of(&sent).bytes;
        }
    }

    fn is_blocked(&self) -> bool {
        let behind = self.behind.as_deref();
        behind.is_some_and(|behind| behind.retrying > 0 || !behind.held.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        let redriven = self.behind.as_deref().map_or(0, |own| own.redriven.len());
        self.queue.len() + redriven
    }

    /// Whether nothing of its key is here.
    pub(super) fn is_idle(&self) -> bool {
        let behind = self.behind.as_deref();
        self.busy == 0
            && self.queue.is_empty()
            && !self.listed
            && !self.gated
            && behind.is_none_or(Behind::is_nothing)
    }

    /// How many stand before a delivery that waits in this lane.
    pub(super) fn ahead(&self, position: Position) -> Option<usize> {
        let empty = VecDeque::new();
        let redriven = self.behind.as_deref().map_or(&empty, |own| &own.redriven);
        let own = redriven.iter().chain(&self.queue);
        own.into_iter().position(|other| other.position == position)
    }

    /// Forgets everything; the memory of one delivery may stay, for the next key.
    pub(super) fn clear(&mut self, keeps: bool) {
        let before = std::mem::take(self);
        if keeps
            && before.queue.capacity() <= KEPT_DELIVERIES
            && before.name.capacity() <= KEPT_BYTES
        {
            (self.name, self.queue) = (before.name, before.queue);
            self.name.clear();
        }
    }
}

/// The most of each that a lane keeps room for while it has no key.
const KEPT_DELIVERIES: usize = 4;
const KEPT_BYTES: usize = 64;
