//! Deciding: what a commit changes, or why it is refused, before anything is changed.
//!
//! Commits are decided in order against the state and against a [`Pending`] of what was decided
//! and is not stored yet. So the state itself never knows more than the journal.

mod change;
mod reserve;
mod sequence;

use std::collections::HashMap;
use std::sync::Arc;

use hence_core::commit::{Change, Commit, Durability, Receipt, Sequence, Settlement};
use hence_core::dead_letter::{Discard, Edit};
use hence_core::delivery::{Outcome, Position};
use hence_core::engine::Entry;
use hence_core::error::{Code, Error, Result};
use hence_core::message::Message;
use reserve::{Holder, Reserve};
use smallvec::SmallVec;

use crate::dead_letters::{self, About, clip};
use crate::dedup::Known;
use crate::identity::{Append, Direct, IdentityKey};
use crate::keyed::Room;
use crate::op::{Discarded, Edited, Ended, How, Op, Rejected};
use crate::senders::Sent;
use crate::state::State;
use crate::subscription::Status;

pub(crate) use change::fire;

/// What a commit publishes: mostly one message, which needs no list.
type Appends = SmallVec<[Append; 1]>;

/// A commit with everything that can be worked out before its turn.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) settle: Vec<Settlement>,
    pub(crate) publish: Appends,
    pub(crate) redrive: Vec<String>,
    pub(crate) discard: Vec<Discard>,
    pub(crate) edit: Vec<Edit>,
    pub(crate) change: Vec<Change>,
    /// With what its events hash to.
    pub(crate) sequence: Option<(Sequence, u64)>,
    pub(crate) durability: Durability,
    /// Entries that had to be read from the log to decide it.
    pub(crate) read: Read,
}

/// Why a commit was not decided.
#[derive(Debug)]
pub(crate) enum Undecided {
    /// It is refused.
    Refused(Error),
    /// The entry at this position is to be read first, while nobody waits for it.
    Lacks(Box<Prepared>, u64),
}

/// Why deciding stopped.
enum Halt {
    Refused(Error),
    Lacks(u64),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Prepared {
    pub(crate) fn new(key: IdentityKey, commit: Commit) -> Self {
        let append = |message| Append::new(key, message);
        let publish: Appends = commit.publish.into_iter().map(append).collect();
        let sequence = commit.sequence;
        Self {
            settle: commit.settle,
            sequence: sequence.map(|sequence| (sequence, key.batch(&publish))),
            publish,
            redrive: commit.redrive,
            discard: commit.discard,
            edit: commit.edit,
            change: commit.change,
            durability: commit.durability,
            read: HashMap::default(),
        }
    }

    /// The commit as it came.
    pub(crate) fn into_commit(self) -> Commit {
        Commit {
            settle: self.settle,
            publish: self
                .publish
                .into_iter()
                .map(|append| append.message)
                .collect(),
            redrive: self.redrive,
            discard: self.discard,
            edit: self.edit,
            change: self.change,
            sequence: self.sequence.map(|(sequence, _)| sequence),
            durability: self.durability,
        }
    }

    /// About how much memory its messages, values and texts take.
    pub(crate) fn size(&self) -> usize {
        let changes = self.change.iter().map(change::size);
        let appends = self.publish.iter().map(|append| append.size);
        let edits = self.edit.iter();
        let edits = edits.map(|edit| edit.id.len() + edit.message.footprint());
        let discards = self.discard.iter();
        let discards = discards.map(|discard| discard.id.len() + discard.reason.len());
        let redrives = self.redrive.iter().map(String::len);
        let errors = self
            .settle
            .iter()
            .map(|settlement| match &settlement.outcome {
                Outcome::Retry { error, .. } | Outcome::Reject { error, .. } => error.len(),
                Outcome::Done | Outcome::Skipped { .. } | Outcome::Expired { .. } => 0,
            });
        let letters = edits.chain(discards).chain(redrives);
        appends.chain(changes).chain(letters).chain(errors).sum()
    }

    /// Whether it settles, or decides about dead letters and publishes nothing: later events of
    /// their keys may be all that fills the memory.
    pub(crate) fn makes_room(&self) -> bool {
        let letters = [self.redrive.len(), self.discard.len(), self.edit.len()];
        !self.settle.is_empty() || (self.publish.is_empty() && letters.iter().any(|&some| some > 0))
    }
}

/// What is decided and not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    appends: u64,
    ids: HashMap<u64, Known, Direct>,
    deliveries: HashMap<(u32, u64), Status, Direct>,
    senders: HashMap<String, Sent>,
    reserve: Reserve,
    /// How much more memory edited copies take than the state says.
    edited_bytes: usize,
    /// Whether a timer is set that the state does not know.
    sets_timers: bool,
    /// How to take the last commit back.
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Id(u64),
    Delivery((u32, u64), Option<Status>),
    Sender(String, Option<Sent>),
    Room(Holder, Room),
    Edited(usize),
}

impl Pending {
    /// Forgets everything, after it was stored or given up.
    pub(crate) fn clear(&mut self) {
        self.appends = 0;
        self.ids.clear();
        self.deliveries.clear();
        self.senders.clear();
        self.reserve.clear();
        self.edited_bytes = 0;
        self.sets_timers = false;
        self.undo.clear();
    }

    /// How many messages were decided before the last commit.
    pub(crate) fn appends_before_last(&self) -> u64 {
        let ids = self.undo.iter().filter(|undo| matches!(undo, Undo::Id(_)));
        self.appends - ids.count() as u64
    }

    fn begin(&mut self) {
        self.undo.clear();
    }

    /// Takes the last commit back.
    pub(crate) fn undo(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Id(id) => {
                    self.appends -= 1;
                    self.ids.remove(&id);
                }
                Undo::Delivery(delivery, Some(status)) => {
                    self.deliveries.insert(delivery, status);
                }
                Undo::Delivery(delivery, None) => {
                    self.deliveries.remove(&delivery);
                }
                Undo::Sender(sender, Some(sent)) => {
                    self.senders.insert(sender, sent);
                }
                Undo::Sender(sender, None) => {
                    self.senders.remove(&sender);
                }
                Undo::Room(holder, more) => self.reserve.sub(&holder, more),
                Undo::Edited(more) => self.edited_bytes -= more,
            }
        }
    }

    /// Notes a message that takes the next position, and says which one that is.
    fn note(&mut self, state: &State, append: &Append) -> u64 {
        let position = state.next + self.appends;
        let content = append.content;
        self.appends += 1;
        self.ids.insert(append.id, Known { position, content });
        self.undo.push(Undo::Id(append.id));
        position
    }

    fn set(&mut self, delivery: (u32, u64), status: Status) {
        let before = self.deliveries.insert(delivery, status);
        self.undo.push(Undo::Delivery(delivery, before));
    }
}

/// Entries that were read for a commit.
type Read = HashMap<u64, Result<Entry>, Direct>;

/// What deciding needs to know of deliveries beside the state.
pub(crate) trait Window {
    /// The last position before an open delivery that may be open too.
    fn after(&self, subscription: u32, position: u64) -> u64;

    /// Whether a subscription holds a delivery of a position.
    fn holds(&self, subscription: u32, position: u64) -> bool;

    /// The entry at a position, if it is in memory.
    fn entry(&self, position: u64) -> Option<&Entry>;

    /// Whether the journal keeps the message of what is rejected.
    fn keeps_entries(&self) -> bool;
}

/// Decides one commit: puts its operations behind `ops`, or refuses it and leaves no trace.
pub(crate) fn decide(
    state: &State,
    pending: &mut Pending,
    window: &impl Window,
    commit: Prepared,
    ops: &mut Vec<Op>,
) -> Result<Vec<Receipt>, Undecided> {
    pending.begin();
    let begin = ops.len();
    let mut turn = Turn {
        state,
        pending,
        window,
        ops,
    };
    let fresh = match turn.is_fresh(&commit) {
        Ok(fresh) => fresh,
        Err(Halt::Lacks(position)) => return Err(Undecided::Lacks(Box::new(commit), position)),
        Err(Halt::Refused(error)) => return Err(Undecided::Refused(error)),
    };
    turn.commit(commit, fresh).map_err(|error| {
        pending.undo();
        ops.truncate(begin);
        Undecided::Refused(error)
    })
}

struct Turn<'a, W> {
    state: &'a State,
    pending: &'a mut Pending,
    window: &'a W,
    ops: &'a mut Vec<Op>,
}

impl<W: Window> Turn<'_, W> {
    fn commit(&mut self, commit: Prepared, fresh: bool) -> Result<Vec<Receipt>> {
        let level = commit.durability;
        if let Some((sequence, content)) = &commit.sequence
            && let Some(sent) = self.is_sent(sequence, *content)?
        {
            return Ok(self.sent_before(&commit.publish, sent, level));
        }
        let first = self.state.next + self.pending.appends;
        let mut receipts = Vec::with_capacity(commit.publish.len());
        for append in commit.publish {
            receipts.push(if fresh {
                self.publish(append, level)?
            } else {
                self.repeated(&append, level)
            });
        }
        let mut last: Option<(Arc<str>, u32)> = None;
        for settlement in commit.settle {
            let name = &settlement.subscription;
            let id = match &last {
                Some((known, id)) if Arc::ptr_eq(known, name) => *id,
                _ => {
                    let id = self.state.named(name)?.0;
                    last = Some((Arc::clone(name), id));
                    id
                }
            };
            self.settle(id, settlement, &commit.read)?;
        }
        for id in &commit.redrive {
            self.redrive(id)?;
        }
        for discard in commit.discard {
            self.discard(discard)?;
        }
        for edit in commit.edit {
            self.edit(edit)?;
        }
        if fresh {
            for change in commit.change {
                self.change(change)?;
            }
        }
        if fresh && let Some((sequence, content)) = commit.sequence {
            let all_new = self.state.next + self.pending.appends == first + receipts.len() as u64;
            let first = if all_new { first } else { 0 };
            self.send(sequence, first, content);
        }
        Ok(receipts)
    }

    /// Whether any of the settlements is new. A commit of which all are known already is a
    /// repetition, and nothing that it publishes may be stored twice.
    fn is_fresh(&self, commit: &Prepared) -> Result<bool, Halt> {
        let mut fresh = commit.settle.is_empty();
        let mut last: Option<(&Arc<str>, u32)> = None;
        for settlement in &commit.settle {
            // Those of one commit are mostly of one subscription.
            let id = match last {
                Some((name, id)) if Arc::ptr_eq(name, &settlement.subscription) => id,
                _ => self.state.named(&settlement.subscription)?.0,
            };
            last = Some((&settlement.subscription, id));
            let position = settlement.position.0;
            if position == 0 || position >= self.state.next {
                return Err(no_delivery(settlement).into());
            }
            if self.is_open(id, position, settlement.attempt) {
                if !self.is_own(id, position, commit)? {
                    return Err(no_delivery(settlement).into());
                }
                let rejects = matches!(settlement.outcome, Outcome::Reject { .. });
                if rejects && !self.is_dead(id, position) {
                    self.entry(position, &commit.read)?;
                }
                fresh = true;
            }
        }
        Ok(fresh)
    }

    /// Whether a subscription has an open delivery of a position, which is before the next one.
    fn is_own(&self, id: u32, position: u64, commit: &Prepared) -> Result<bool, Halt> {
        if self.window.holds(id, position) || self.is_dead(id, position) {
            return Ok(true);
        }
        let Some(found) = self.state.subscription(id) else {
            return Ok(false);
        };
        Ok(found.takes_entry(self.entry(position, &commit.read)?))
    }

    fn is_dead(&self, id: u32, position: u64) -> bool {
        let found = self.state.subscription(id);
        found.is_some_and(|found| found.dead.contains_key(&position))
    }

    /// An entry, from memory or as it was read for this commit.
    fn entry<'b>(&'b self, position: u64, read: &'b Read) -> Result<&'b Entry, Halt> {
        match (self.window.entry(position), read.get(&position)) {
            (Some(entry), _) | (None, Some(Ok(entry))) => Ok(entry),
            (None, Some(Err(error))) => Err(Halt::Refused(error.clone())),
            (None, None) => Err(Halt::Lacks(position)),
        }
    }

    fn status(&self, id: u32, position: u64) -> Status {
        match self.pending.deliveries.get(&(id, position)) {
            Some(status) => *status,
            None => self
                .state
                .subscription(id)
                .map_or(Status::Settled, |found| found.status(position)),
        }
    }

    /// Whether an attempt can still end. One that has ended already, or that was given up in favour
    /// of a later one, cannot: its worker is a zombie.
    fn is_open(&self, id: u32, position: u64, attempt: u32) -> bool {
        match self.status(id, position) {
            // Nothing could end an attempt behind the largest number.
            Status::Open { attempts, .. } => attempt > attempts && attempt < u32::MAX,
            Status::Settled | Status::Dead { .. } => false,
        }
    }

    fn known(&self, id: u64) -> Option<Known> {
        let pending = self.pending.ids.get(&id).copied();
        pending.or_else(|| self.state.dedup.get(id))
    }

    fn publish(&mut self, append: Append, level: Durability) -> Result<Receipt> {
        if let Some(known) = self.known(append.id) {
            if known.content == append.content {
                return Ok(receipt(&append, Some(known.position), level, true));
            }
            return Err(conflict(&append, known.position));
        }
        let position = self.pending.note(self.state, &append);
        let receipt = receipt(&append, Some(position), level, false);
        self.ops.push(Op::Append(append));
        Ok(receipt)
    }

    /// The receipt of an event of a repeated commit.
    fn repeated(&self, append: &Append, level: Durability) -> Receipt {
        let position = self.known(append.id).map(|known| known.position);
        receipt(append, position, level, true)
    }

    fn settle(&mut self, id: u32, settlement: Settlement, read: &Read) -> Result<()> {
        let Settlement {
            position: Position(position),
            attempt,
            outcome,
            ran,
            ..
        } = settlement;
        if !self.is_open(id, position, attempt) {
            return Ok(());
        }
        let redriven = matches!(
            self.status(id, position),
            Status::Open { redriven: true, .. }
        );
        let (status, how) = match outcome {
            Outcome::Done => (Status::Settled, How::Done),
            Outcome::Expired { at } => (Status::Settled, How::Expired { at }),
            Outcome::Skipped { why, by } => {
                let by = by.map(|position| position.0);
                (Status::Settled, How::Skipped { why, by })
            }
            Outcome::Retry { due, error } => {
                let attempts = attempt;
                let error = clip(error);
                (
                    Status::Open { attempts, redriven },
                    How::Retry { due, error },
                )
            }
            Outcome::Reject {
                reason,
                error,
                hold,
            } => {
                let (about, message) = self.rejected(id, position, read)?;
                let rejected = Rejected {
                    reason,
                    error: clip(error),
                    hold,
                    about,
                    message,
                };
                (
                    Status::Dead { attempts: attempt },
                    How::Reject(Box::new(rejected)),
                )
            }
        };
        self.pending.set((id, position), status);
        self.ops.push(Op::Ended(Ended {
            subscription: id,
            position,
            after: self.window.after(id, position),
            attempt,
            ran,
            how,
        }));
        Ok(())
    }

    /// What is kept of a message that is rejected.
    fn rejected(&self, id: u32, position: u64, read: &Read) -> Result<(About, Option<Message>)> {
        let subscription = self.state.subscription(id);
        if let Some(dead) = subscription.and_then(|found| found.dead.get(&position)) {
            return Ok((dead.about.clone(), None));
        }
        let entry = self.entry(position, read).map_err(|halt| match halt {
            Halt::Refused(error) => error,
            Halt::Lacks(position) => crate::journal::no_entry(position),
        })?;
        let message = (!self.window.keeps_entries()).then(|| entry.message.clone());
        Ok((About::of(&entry.message, entry.appended), message))
    }

    /// The delivery that a dead letter's id names, and where it stands.
    fn letter(&self, id: &str) -> Result<(u32, u64, Status)> {
        let (name, position) = dead_letters::parse(id)?;
        let found = self.state.id_of(name);
        let subscription = found.ok_or_else(|| dead_letters::not_found(id))?;
        let status = self.status(subscription, position);
        match status {
            Status::Settled if position == 0 || position >= self.state.next => {
                Err(dead_letters::not_found(id))
            }
            Status::Open {
                redriven: false, ..
            } => Err(dead_letters::not_found(id)),
            Status::Settled | Status::Dead { .. } | Status::Open { .. } => {
                Ok((subscription, position, status))
            }
        }
    }

    fn redrive(&mut self, id: &str) -> Result<()> {
        let (subscription, position, status) = self.letter(id)?;
        // On its way, or handled meanwhile: whoever redrives twice has nothing to mend.
        if let Status::Dead { attempts } = status {
            self.send_again(subscription, position, attempts);
            self.ops.push(Op::Redriven {
                subscription,
                position,
            });
        }
        Ok(())
    }

    fn send_again(&mut self, subscription: u32, position: u64, attempts: u32) {
        let status = Status::Open {
            attempts,
            redriven: true,
        };
        self.pending.set((subscription, position), status);
    }

    fn discard(&mut self, discard: Discard) -> Result<()> {
        let (subscription, position, status) = self.letter(&discard.id)?;
        if status != Status::Settled {
            self.pending.set((subscription, position), Status::Settled);
            self.ops.push(Op::Discarded(Discarded {
                subscription,
                position,
                reason: clip(discard.reason),
            }));
        }
        Ok(())
    }

    /// The message of a dead letter as it will be, unless that has to be read from the log.
    fn copy(&self, of: u32, at: u64) -> Option<&Message> {
        let decided = self.ops.iter().rev().find_map(|op| match op {
            Op::Edited(edited) if edited.subscription == of && edited.position == at => {
                Some(&edited.message)
            }
            _ => None,
        });
        let known = || self.state.subscription(of)?.dead.get(&at)?.message();
        decided.or_else(known)
    }

    fn edit(&mut self, edit: Edit) -> Result<()> {
        let (subscription, position, status) = self.letter(&edit.id)?;
        let found = self.state.subscription(subscription);
        let dead = found.and_then(|found| found.dead.get(&position));
        let dead = dead.ok_or_else(|| dead_letters::not_found(&edit.id))?;
        let attempts = match status {
            Status::Dead { attempts } => {
                let pending = self.pending.edited_bytes;
                let more = self.state.check_edit(dead, &edit, pending)?;
                self.pending.edited_bytes += more;
                self.pending.undo.push(Undo::Edited(more));
                attempts
            }
            Status::Open { .. } if is_same(self.copy(subscription, position), &edit.message) => {
                return Ok(());
            }
            Status::Settled => return Err(dead_letters::not_found(&edit.id)),
            Status::Open { .. } => {
                let id = &edit.id;
                return Err(Code::EDIT.error(format!(
                    "dead letter '{id}' is on its way again; edit it when it has come back"
                )));
            }
        };
        self.send_again(subscription, position, attempts);
        self.ops.push(Op::Edited(Edited {
            subscription,
            position,
            message: edit.message,
        }));
        Ok(())
    }
}

/// Whether a dead letter has this copy already, or will have it.
fn is_same(own: Option<&Message>, copy: &Message) -> bool {
    let named = |message: &Message| {
        let attributes = message.attributes();
        (attributes.source().to_owned(), attributes.id().to_owned())
    };
    own.is_some_and(|own| named(own) == named(copy))
}

fn receipt(
    append: &Append,
    position: Option<u64>,
    durability: Durability,
    duplicate: bool,
) -> Receipt {
    let position = position.map(Position);
    let mut receipt = Receipt::new(append.message.clone(), position, durability);
    receipt.duplicate = duplicate;
    receipt
}

fn no_delivery(settlement: &Settlement) -> Error {
    let Settlement {
        subscription,
        position,
        ..
    } = settlement;
    Code::NOT_FOUND.error(format!(
        "subscription '{subscription}' has no delivery of position {position}"
    ))
}

fn conflict(append: &Append, position: u64) -> Error {
    let attributes = append.message.attributes();
    Code::DUPLICATE.error(format!(
        "source '{}' published id '{}' before, at position {position}, with other content",
        attributes.source(),
        attributes.id()
    ))
}
