//! A small correct engine in memory, whose places for a fault are marked by [`Fault`].
//!
//! The [`Stored`] survives a kill, the [`Live`] does not. Every commit is checked first and then
//! applied, under one lock; whoever waits is woken by every change.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use hence_core::engine::{AttemptReport, DeliveryState};
use hence_core::{
    Code, Commit, DeadLetter, Delivery, Discard, Durability, Edit, Entry, Message, Outcome,
    Position, Receipt, Result, Settlement, Start, SubscriptionSpec, Timestamp,
};
use tokio::sync::watch;

use crate::fault::Fault;
use crate::state::Kept;

pub(crate) const EVENT_BYTES_MAX: usize = 512 << 10;
pub(crate) const BATCH_EVENTS_MAX: usize = 1_000;
pub(crate) const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// A dead letter and its message.
#[derive(Clone)]
pub(crate) struct Dead {
    pub(crate) letter: DeadLetter,
    pub(crate) message: Message,
}

/// What is remembered of a subscription.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    pub(crate) types: Vec<String>,
    pub(crate) from: u64,
    settled: BTreeSet<u64>,
    pub(crate) tried: BTreeMap<u64, (u32, Timestamp)>,
    pub(crate) dead: BTreeMap<u64, Dead>,
    /// What was given out before a detach, for a fault that takes it for settled.
    pub(crate) given: BTreeSet<u64>,
    /// What was discarded, for a fault that brings it back.
    discarded: BTreeMap<u64, Dead>,
}

impl Progress {
    pub(crate) fn takes(&self, entry: &Entry, fault: Fault) -> bool {
        let found = entry.message.attributes().event_type();
        let leaks = fault == Fault::TypeFilterLeaks;
        let same = |name: &String| name == found || leaks && found.starts_with(name.as_str());
        entry.position.0 >= self.from && self.types.iter().any(same)
    }

    /// Whether a delivery is to be settled, by itself or as a redriven one.
    pub(crate) fn is_open(&self, position: u64) -> bool {
        !self.settled.contains(&position)
            || self.dead.get(&position).is_some_and(|d| d.letter.redriven)
    }

    /// Takes deliveries for settled: a fault.
    pub(crate) fn forget(&mut self, given: &BTreeSet<u64>) {
        self.settled.extend(given);
    }

    pub(crate) fn lag(&self, entries: &[Entry], fault: Fault) -> u64 {
        let open = |entry: &&Entry| self.takes(entry, fault) && self.is_open(entry.position.0);
        entries.iter().filter(open).count() as u64
    }
}

/// One ended attempt.
#[derive(Clone)]
pub(crate) struct Ended {
    pub(crate) subscription: String,
    pub(crate) position: u64,
    pub(crate) report: AttemptReport,
}

/// What survives a kill.
#[derive(Clone, Default)]
pub(crate) struct Stored {
    pub(crate) entries: Vec<Entry>,
    ids: HashMap<(String, String), u64>,
    pub(crate) subscriptions: BTreeMap<String, Progress>,
    pub(crate) ended: Vec<Ended>,
    pub(crate) kept: Kept,
    /// How many subscriptions have each entry open, and the bytes of those that any has.
    open: Vec<u32>,
    open_bytes: usize,
}

/// One attached subscription.
#[derive(Default)]
pub(crate) struct Outlet {
    pub(crate) token: u64,
    cursor: usize,
    delayed: BTreeSet<u64>,
    /// Who must have handled an event first, and what waits for them.
    after: Vec<String>,
    shut: BTreeSet<u64>,
    pub(crate) redriven: VecDeque<u64>,
    pub(crate) given: BTreeSet<u64>,
    pub(crate) released: BTreeMap<Position, Option<String>>,
}

impl Outlet {
    /// Takes the next for delivered: a fault.
    pub(crate) fn skip(&mut self) {
        self.cursor += 1;
    }
}

/// What a kill takes.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) closed: bool,
    pub(crate) broken: bool,
    /// Something was refused by the storage: what a fault takes for known.
    pub(crate) failed_before: bool,
    pub(crate) outlets: BTreeMap<String, Outlet>,
    tokens: u64,
    /// Commits that wait for room, in their order.
    pub(crate) waiting: VecDeque<u64>,
    /// Shown and not stored: a fault.
    pub(crate) ghosts: Vec<Entry>,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) stored: Stored,
    pub(crate) live: Live,
}

/// The engine's tables, and what wakes whoever waits for a change.
pub(crate) struct Place {
    world: Mutex<World>,
    pub(crate) changed: watch::Sender<()>,
    pub(crate) fault: Fault,
}

fn content(message: &Message) -> (&str, Option<&str>, Option<&str>, Option<&[u8]>) {
    let all = message.attributes();
    (
        all.event_type(),
        all.subject(),
        all.key(),
        message.data().map(|data| &**data),
    )
}

pub(crate) fn name_of(message: &Message, fault: Fault) -> (String, String) {
    let all = message.attributes();
    let source = if fault == Fault::SourceIgnored {
        ""
    } else {
        all.source()
    };
    (source.to_owned(), all.id().to_owned())
}

fn size(message: &Message) -> usize {
    100 + message.data().map_or(0, bytes::Bytes::len)
}

impl Place {
    pub(crate) fn new(stored: Stored, fault: Fault) -> Self {
        let live = Live::default();
        let world = Mutex::new(World { stored, live });
        let changed = watch::Sender::new(());
        Self {
            world,
            changed,
            fault,
        }
    }

    pub(crate) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// Whether a commit finds room now.
    pub(crate) fn fits(&self, world: &World, commit: &Commit) -> bool {
        let more: usize = commit.publish.iter().map(size).sum();
        let open = world.stored.open_bytes;
        let settles = !commit.settle.is_empty();
        settles || open == 0 || open + more <= BACKLOG_BYTES_MAX || self.is(Fault::UnboundedBacklog)
    }

    /// Refuses what cannot be taken, whatever is stored.
    pub(crate) fn check_limits(&self, commit: &Commit, levels: &[Durability]) -> Result<()> {
        if !levels.contains(&commit.durability) && !self.is(Fault::UndeclaredLevelTaken) {
            return Err(Code::DURABILITY.error(format!("there is no '{}'", commit.durability)));
        }
        let count = commit.publish.len();
        if count > BATCH_EVENTS_MAX && !self.is(Fault::BatchLimitIgnored) {
            return Err(Code::TOO_LARGE.error(format!("{count} events in one commit")));
        }
        let bytes = commit.publish.iter().map(size).max().unwrap_or(0);
        if bytes > EVENT_BYTES_MAX && !self.is(Fault::EventLimitIgnored) {
            return Err(Code::TOO_LARGE.error(format!("an event of {bytes} bytes")));
        }
        Ok(())
    }

    /// Applies a commit, or changes nothing.
    pub(crate) fn apply(&self, world: &mut World, commit: &Commit) -> Result<Vec<Receipt>> {
        let stored = &world.stored;
        let fresh = self.check_settlements(stored, commit)?;
        if self.is_sent(stored, commit)? {
            let known = |message| self.receipt(stored, message, commit.durability, true);
            return Ok(commit.publish.iter().map(known).collect());
        }
        if let Err((at, error)) = self.check_events(stored, &commit.publish) {
            if self.is(Fault::BatchHalfApplied) {
                let _ = self.publish(world, &commit.publish[..at], commit.durability);
            }
            if self.is(Fault::RefusedCommitSettles) {
                self.settle_all(world, commit, &[]);
            }
            if self.is(Fault::RefusedCommitChanges) {
                self.change(&mut world.stored, &commit.change);
            }
            return Err(error);
        }
        self.check_letters(stored, commit)?;
        let dead = self.check_redrive(stored, &commit.redrive);
        let dead = match dead {
            Err((found, _)) if self.is(Fault::RedriveHalf) => found,
            other => other.map_err(|(_, error)| error)?,
        };
        if commit.settle.is_empty() || fresh || self.is(Fault::StateOfZombies) {
            self.change(&mut world.stored, &commit.change);
        }
        self.send(&mut world.stored, commit);
        let repeated = !commit.settle.is_empty() && !fresh && !self.is(Fault::RepetitionPublishes);
        let skips = self.is(Fault::SettleWithoutPublish) && fresh;
        let publishes = !repeated && !skips;
        let receipts = if publishes {
            self.publish(world, &commit.publish, commit.durability)
        } else {
            let known = |message| self.receipt(&world.stored, message, commit.durability, true);
            commit.publish.iter().map(known).collect()
        };
        if commit.publish.is_empty() || !self.is(Fault::PublishWithoutSettle) {
            let emitted: Vec<_> = receipts
                .iter()
                .filter_map(|receipt| receipt.position)
                .collect();
            self.settle_all(world, commit, if publishes { &emitted } else { &[] });
        }
        for (name, position) in dead {
            self.redrive(world, &name, position);
        }
        for discard in &commit.discard {
            self.discard(world, discard);
        }
        for edit in &commit.edit {
            self.edit(world, edit);
        }
        Ok(receipts)
    }

    /// Refuses what cannot be discarded or edited.
    fn check_letters(&self, stored: &Stored, commit: &Commit) -> Result<()> {
        let none = |id: &str| Code::NOT_FOUND.error(format!("no dead letter '{id}'"));
        for Discard { id, .. } in &commit.discard {
            let (name, position) = parse(id).ok_or_else(|| none(id))?;
            let known = stored.subscriptions.get(name).is_some_and(|progress| {
                let settled = progress.settled.contains(&position);
                progress.dead.contains_key(&position)
                    || settled && !self.is(Fault::DiscardTwiceRefused)
            });
            if !known && !self.is(Fault::DiscardUnknown) {
                return Err(none(id));
            }
        }
        for Edit { id, message } in &commit.edit {
            let found = parse(id)
                .and_then(|(name, position)| stored.subscriptions.get(name)?.dead.get(&position));
            let dead = found.ok_or_else(|| none(id))?;
            let same = dead.message == *message;
            let fits = message.attributes().key() == dead.letter.key.as_deref()
                && message.attributes().event_type() == dead.letter.event_type
                || self.is(Fault::EditChangesKey);
            let again = dead.letter.redriven && !same && !self.is(Fault::EditTwice);
            if !fits || again {
                return Err(Code::EDIT.error(format!("'{id}' cannot be edited so")));
            }
        }
        Ok(())
    }

    fn discard(&self, world: &mut World, discard: &Discard) {
        let Some((name, position)) = parse(&discard.id) else {
            return;
        };
        let Some(progress) = world.stored.subscriptions.get_mut(name) else {
            return;
        };
        if self.is(Fault::DiscardDoesNothing) {
            return;
        }
        let Some(dead) = progress.dead.remove(&position) else {
            return;
        };
        progress.tried.remove(&position);
        progress.discarded.insert(position, dead.clone());
        if self.is(Fault::DiscardDeliversAgain) {
            progress.settled.remove(&position);
        }
        let told = !self.is(Fault::DiscardNotTold);
        if let Some(outlet) = world.live.outlets.get_mut(name) {
            outlet.given.remove(&position);
            outlet.redriven.retain(|sent| *sent != position);
            if told {
                outlet.released.insert(Position(position), dead.letter.key);
            }
        }
        world.stored.ended.push(Ended {
            subscription: name.to_owned(),
            position,
            report: AttemptReport {
                attempt: 0,
                ended: Timestamp::now(),
                ran: std::time::Duration::ZERO,
                outcome: "discarded",
                error: match self.is(Fault::DiscardForgetsReason) {
                    true => String::new(),
                    false => discard.reason.clone(),
                },
                emitted: Vec::new(),
            },
        });
    }

    fn edit(&self, world: &mut World, edit: &Edit) {
        let Some((name, position)) = parse(&edit.id) else {
            return;
        };
        let progress = world.stored.subscriptions.get_mut(name);
        if let Some(dead) = progress.and_then(|progress| progress.dead.get_mut(&position))
            && !self.is(Fault::EditIgnored)
        {
            dead.message = edit.message.clone();
            dead.letter.edited = true;
        }
        self.redrive(world, name, position);
    }

    /// Whether any settlement is new.
    fn check_settlements(&self, stored: &Stored, commit: &Commit) -> Result<bool> {
        let mut fresh = false;
        for settlement in &commit.settle {
            let position = settlement.position.0;
            let entry = stored.entries.get((position as usize).wrapping_sub(1));
            let progress = stored.subscriptions.get(&*settlement.subscription);
            match (progress, entry) {
                (Some(progress), Some(entry)) if progress.takes(entry, self.fault) => {
                    fresh |= self.is_fresh(progress, settlement);
                }
                _ if self.is(Fault::StrangersSettle) => {}
                _ => return Err(Code::NOT_FOUND.error(format!("no delivery of {position}"))),
            }
        }
        Ok(fresh)
    }

    fn is_fresh(&self, progress: &Progress, settlement: &Settlement) -> bool {
        let position = settlement.position.0;
        let ended = progress
            .tried
            .get(&position)
            .map_or(0, |(attempts, _)| *attempts);
        let before = match progress.dead.get(&position) {
            Some(dead) if !self.is(Fault::AttemptsRestart) => dead.letter.attempts,
            _ => 0,
        };
        let is_over = settlement.attempt <= ended.max(before);
        let zombie = is_over && !self.is(Fault::ZombieCommits);
        progress.is_open(position) && !zombie
    }

    fn check_events(
        &self,
        stored: &Stored,
        all: &[Message],
    ) -> Result<(), (usize, hence_core::Error)> {
        let mut batch: HashMap<_, &Message> = HashMap::new();
        for (at, message) in all.iter().enumerate() {
            let name = name_of(message, self.fault);
            let known = stored
                .ids
                .get(&name)
                .map(|at| &stored.entries[*at as usize - 1].message);
            let known = known.or_else(|| batch.get(&name).copied());
            if let Some(known) = known
                && content(known) != content(message)
                && !self.is(Fault::OtherContentAccepted)
                && !self.is(Fault::SourceIgnored)
            {
                let secret = self.is(Fault::SecretTold).then(|| message.data().cloned());
                let told = format!("'{}' is known with other content {secret:?}", name.1);
                return Err((at, Code::DUPLICATE.error(told)));
            }
            batch.insert(name, message);
        }
        Ok(())
    }

    #[expect(
        clippy::type_complexity,
        reason = "the dead letters, or those before the unknown one"
    )]
    fn check_redrive(
        &self,
        stored: &Stored,
        ids: &[String],
    ) -> Result<Vec<(String, u64)>, (Vec<(String, u64)>, hence_core::Error)> {
        let mut found = Vec::new();
        for id in ids {
            let parsed = id.rsplit_once('.').and_then(|(name, position)| {
                let position = position.parse::<Position>().ok()?.0;
                let progress = stored.subscriptions.get(name)?;
                let known =
                    progress.dead.contains_key(&position) || progress.settled.contains(&position);
                known.then(|| (name.to_owned(), position))
            });
            match parsed {
                Some(parsed) => found.push(parsed),
                None => {
                    return Err((
                        found,
                        Code::NOT_FOUND.error(format!("no dead letter '{id}'")),
                    ));
                }
            }
        }
        if !self.is(Fault::RedriveUnordered) {
            found.sort_unstable();
        }
        Ok(found)
    }

    fn receipt(
        &self,
        stored: &Stored,
        message: &Message,
        level: Durability,
        again: bool,
    ) -> Receipt {
        let name = name_of(message, self.fault);
        let position = stored.ids.get(&name).copied().map(Position);
        let reuse = self.is(Fault::PositionReused) && position.is_some_and(|p| p.0 % 7 == 0);
        let lowered = self.is(Fault::LevelLowered);
        let position = position.map(|p| if reuse { Position(p.0 - 1) } else { p });
        let level = if lowered { Durability::Accepted } else { level };
        let mut receipt = Receipt::new(message.clone(), position, level);
        receipt.duplicate = again && !self.is(Fault::DuplicateNotTold);
        receipt
    }

    fn publish(&self, world: &mut World, all: &[Message], level: Durability) -> Vec<Receipt> {
        let mut order: Vec<_> = all.iter().collect();
        if self.is(Fault::BatchReversed) {
            order.reverse();
        }
        let mut fresh = BTreeSet::new();
        for message in order {
            let name = name_of(message, self.fault);
            let known = world.stored.ids.contains_key(&name);
            if !known || self.is(Fault::DuplicateApplied) {
                fresh.insert(name);
                self.append(&mut world.stored, message.clone());
            }
        }
        let stored = &world.stored;
        let receipt = |message| {
            let again = !fresh.remove(&name_of(message, self.fault));
            self.receipt(stored, message, level, again)
        };
        all.iter().map(receipt).collect()
    }

    pub(crate) fn append(&self, stored: &mut Stored, message: Message) {
        let position = stored.entries.len() as u64 + 1;
        stored.ids.insert(name_of(&message, self.fault), position);
        let message = self.fault.spoil(message);
        let (position, appended) = (Position(position), Timestamp::steady());
        let entry = Entry {
            position,
            appended,
            message,
        };
        let takes = |progress: &&Progress| progress.takes(&entry, self.fault);
        let open = stored.subscriptions.values().filter(takes).count() as u32;
        if open > 0 {
            stored.open_bytes += size(&entry.message);
        }
        if open == 0 && self.is(Fault::UnwantedDropped) && !stored.subscriptions.is_empty() {
            let attributes = entry.message.attributes().clone();
            stored.entries.push(Entry {
                message: Message::new(attributes, None),
                ..entry
            });
        } else {
            stored.entries.push(entry);
        }
        stored.open.push(open);
    }

    fn settle_all(&self, world: &mut World, commit: &Commit, emitted: &[Position]) {
        for settlement in &commit.settle {
            let names: Vec<_> = if self.is(Fault::SettlesForAll) {
                world.stored.subscriptions.keys().cloned().collect()
            } else {
                vec![settlement.subscription.to_string()]
            };
            for name in names {
                self.settle(world, &name, settlement, emitted);
            }
        }
    }

    fn settle(&self, world: &mut World, name: &str, settlement: &Settlement, emitted: &[Position]) {
        let position = settlement.position.0;
        let stored = &mut world.stored;
        let Some(progress) = stored.subscriptions.get_mut(name) else {
            return;
        };
        if !self.is_fresh(progress, settlement) {
            return;
        }
        let (outcome, error) = match &settlement.outcome {
            Outcome::Done => ("done", ""),
            Outcome::Expired { .. } => ("expired", "it expired"),
            Outcome::Skipped { .. } if self.is(Fault::SkipForgetsWhy) => ("skipped", ""),
            Outcome::Skipped { why, .. } => ("skipped", why.as_str()),
            Outcome::Retry { error, .. } => ("retry", error.as_str()),
            Outcome::Reject { error, .. } => ("reject", error.as_str()),
        };
        let told = !self.is(Fault::EmittedNotTold);
        stored.ended.push(Ended {
            subscription: name.to_owned(),
            position,
            report: AttemptReport {
                attempt: settlement.attempt,
                ended: Timestamp::steady(),
                ran: settlement.ran,
                outcome,
                error: error.to_owned(),
                emitted: if told { emitted.to_vec() } else { Vec::new() },
            },
        });
        if let Outcome::Retry { due, .. } = settlement.outcome {
            progress.tried.insert(position, (settlement.attempt, due));
            let outlet = world.live.outlets.get_mut(name);
            if let Some(outlet) = outlet.filter(|_| self.is(Fault::RetryGivenOutAgain)) {
                outlet.delayed.insert(position);
            }
            return;
        }
        let was_redriven = progress
            .dead
            .get(&position)
            .is_some_and(|dead| dead.letter.redriven);
        let removed = if self.is(Fault::DoneStaysDead) {
            None
        } else {
            progress.dead.remove(&position)
        };
        progress.tried.remove(&position);
        let dies = matches!(settlement.outcome, Outcome::Reject { .. });
        if !(dies && self.is(Fault::DeadDeliveredAgain)) {
            progress.settled.insert(position);
        }
        if self.is(Fault::CommitPastGap) {
            progress.settled.extend(1..position);
        }
        let again = removed.is_some();
        let gone =
            self.is(Fault::RejectedIsDropped) || self.is(Fault::RejectedAgainVanishes) && again;
        if let Outcome::Reject {
            reason,
            error,
            hold,
        } = &settlement.outcome
            && !gone
        {
            let copy = removed.filter(|dead| dead.letter.edited && !self.is(Fault::EditForgotten));
            let edited = copy.is_some();
            let own = || stored.entries[position as usize - 1].message.clone();
            let message = copy.map_or_else(own, |dead| dead.message);
            let letter = DeadLetter {
                id: format!("{name}.{position}"),
                subscription: name.to_owned(),
                position: settlement.position,
                event_type: message.attributes().event_type().to_owned(),
                key: message.attributes().key().map(str::to_owned),
                reason: *reason,
                error: error.clone(),
                attempts: settlement.attempt,
                since: Timestamp::steady(),
                hold: *hold,
                redriven: false,
                edited,
            };
            let dead = self.fault.spoil_letter(Dead { letter, message });
            progress.dead.insert(position, dead);
        }
        if !was_redriven {
            stored.release(position);
        }
        if let Some(outlet) = world.live.outlets.get_mut(name) {
            outlet.given.remove(&position);
            outlet.redriven.retain(|redriven| *redriven != position);
            outlet.delayed.remove(&position);
        }
    }

    fn redrive(&self, world: &mut World, name: &str, position: u64) {
        let Some(progress) = world.stored.subscriptions.get_mut(name) else {
            return;
        };
        let twice = self.is(Fault::RedriveAppliesTwice);
        let dead = progress
            .dead
            .get_mut(&position)
            .filter(|dead| !dead.letter.redriven || twice);
        let Some(dead) = dead else { return };
        dead.letter.redriven = true;
        if self.is(Fault::RedriveDrops) {
            progress.dead.remove(&position);
            return;
        }
        if let Some(outlet) = world.live.outlets.get_mut(name) {
            outlet.redriven.push_back(position);
            if !self.is(Fault::RedriveUnordered) {
                outlet.redriven.make_contiguous().sort_unstable();
            }
        }
    }

    /// Begins or continues a subscription; gives the token of who holds it.
    pub(crate) fn attach(&self, world: &mut World, spec: SubscriptionSpec) -> Result<u64> {
        let closed = world.live.closed && !self.is(Fault::SubscribeAfterClose);
        let twice = self.is(Fault::SecondAttachAllowed);
        if closed || world.live.outlets.contains_key(&spec.name) && !twice {
            return Err(
                Code::CLOSED.error(format!("'{}' is attached, or all is closed", spec.name))
            );
        }
        let stored = &mut world.stored;
        let next = stored.entries.len() as u64 + 1;
        let at = |time| stored.entries.iter().find(|entry| entry.appended >= time);
        let from = match spec.start {
            _ if self.is(Fault::StartIgnored) => 1,
            Start::Latest => next,
            Start::Earliest => 1,
            Start::Position(position) => position.0 + u64::from(self.is(Fault::StartOffByOne)),
            Start::Time(_) if self.is(Fault::StartTimeIgnored) => 1,
            Start::Time(time) => at(time).map_or(next, |entry| entry.position.0),
        };
        let is_known = |name: &String| stored.subscriptions.contains_key(name);
        if !spec.after.iter().all(is_known) && !self.is(Fault::UnknownGateAccepted) {
            return Err(Code::NOT_FOUND.error("it waits for one that there is not"));
        }
        let is_new = !stored.subscriptions.contains_key(&spec.name);
        let progress = stored.subscriptions.entry(spec.name.clone()).or_default();
        progress.types = spec.types;
        if is_new || self.is(Fault::StartMoves) {
            progress.from = from;
        }
        let sent = progress
            .dead
            .iter()
            .filter(|(_, dead)| dead.letter.redriven);
        let redriven = sent.map(|(position, _)| *position).collect();
        if is_new {
            stored.recount(self.fault);
        }
        world.live.tokens += 1;
        let token = world.live.tokens;
        let outlet = Outlet {
            token,
            redriven,
            after: spec.after,
            ..Outlet::default()
        };
        world.live.outlets.insert(spec.name, outlet);
        Ok(token)
    }

    /// Whether one that goes first takes an entry and has not handled it.
    fn is_shut(&self, stored: &Stored, after: &[String], entry: &Entry) -> bool {
        let position = entry.position.0;
        let first = after
            .iter()
            .filter_map(|name| stored.subscriptions.get(name));
        let mut waits = first.filter(|first| {
            let takes = first.takes(entry, self.fault) || self.is(Fault::GateForEveryType);
            let dead = first.dead.contains_key(&position) && !self.is(Fault::DeadLetterOpensGate);
            takes && (!first.settled.contains(&position) || dead)
        });
        waits.next().is_some() && !self.is(Fault::GateIgnored)
    }

    /// Up to `max` deliveries, or when to look again.
    pub(crate) fn take(
        &self,
        world: &mut World,
        name: &str,
        max: usize,
    ) -> Result<Vec<Delivery>, Option<Timestamp>> {
        let now = Timestamp::steady();
        let (stored, live) = (&world.stored, &mut world.live);
        let mut others = live.outlets.iter().filter(|(other, _)| *other != name);
        if self.is(Fault::SlowBlocksOthers) && others.any(|(_, outlet)| !outlet.given.is_empty()) {
            return Err(None);
        }
        let (Some(outlet), Some(progress)) =
            (live.outlets.get_mut(name), stored.subscriptions.get(name))
        else {
            return Ok(Vec::new());
        };
        if !outlet.released.is_empty() {
            return Ok(Vec::new());
        }
        let entry = |position: u64| &stored.entries[position as usize - 1];
        let due = |position: u64| entry(position).message.attributes().deliver_at();
        let mut found = Vec::new();
        while found.len() < max
            && let Some(position) = outlet.redriven.pop_front()
        {
            found.push((position, true));
        }
        for position in outlet.delayed.clone() {
            if found.len() < max && due(position).is_none_or(|due| due <= now) {
                outlet.delayed.remove(&position);
                found.push((position, false));
            }
        }
        for position in outlet.shut.clone() {
            if found.len() < max && !self.is_shut(stored, &outlet.after, entry(position)) {
                outlet.shut.remove(&position);
                found.push((position, false));
            }
        }
        while found.len() < max + usize::from(self.is(Fault::TooManyDeliveries))
            && let Some(entry) = stored.entries.get(outlet.cursor)
        {
            outlet.cursor += 1;
            let position = entry.position.0;
            if !progress.takes(entry, self.fault) || progress.settled.contains(&position) {
                continue;
            }
            let waits = match entry.message.attributes().deliver_at() {
                Some(due) => due > now && !self.is(Fault::DeliverAtIgnored),
                None => self.is(Fault::RetryAtTheEnd) && progress.tried.contains_key(&position),
            };
            if self.is_shut(stored, &outlet.after, entry) {
                outlet.shut.insert(position);
            } else if waits {
                outlet.delayed.insert(position);
            } else if !(self.is(Fault::DeliverAtForever) && due(position).is_some()) {
                found.push((position, false));
            }
        }
        if found.is_empty() {
            return Err(outlet
                .delayed
                .iter()
                .filter_map(|position| due(*position))
                .min());
        }
        outlet
            .given
            .extend(found.iter().map(|(position, _)| *position));
        let give = |(position, redriven): (u64, bool)| {
            let tried = progress.tried.get(&position).copied();
            let before = match progress.dead.get(&position) {
                Some(dead) if redriven && !self.is(Fault::AttemptsRestart) => dead.letter.attempts,
                _ => 0,
            };
            let attempts = tried.map_or(0, |(attempts, _)| attempts).max(before);
            Delivery {
                position: Position(position),
                message: match progress.dead.get(&position).filter(|_| redriven) {
                    Some(dead) => dead.message.clone(),
                    None => entry(position).message.clone(),
                },
                appended: entry(position).appended,
                attempt: if self.is(Fault::AttemptReset) {
                    1
                } else {
                    attempts + 1
                },
                before,
                due: tried
                    .map(|(_, due)| due)
                    .filter(|_| !self.is(Fault::EarlyRetry)),
                redriven: redriven && !self.is(Fault::RedriveNotTold),
            }
        };
        if self.is(Fault::DeliveriesReversed) {
            found.reverse();
        }
        Ok(found.into_iter().map(give).collect())
    }
}

/// The subscription and the position that an id names.
pub(crate) fn parse(id: &str) -> Option<(&str, u64)> {
    let (name, position) = id.rsplit_once('.')?;
    Some((name, position.parse::<Position>().ok()?.0))
}

impl Stored {
    fn release(&mut self, position: u64) {
        let at = position as usize - 1;
        self.open[at] = self.open[at].saturating_sub(1);
        if self.open[at] == 0 {
            self.open_bytes = self
                .open_bytes
                .saturating_sub(size(&self.entries[at].message));
        }
    }

    fn recount(&mut self, fault: Fault) {
        self.open_bytes = 0;
        for (entry, open) in self.entries.iter().zip(&mut self.open) {
            let position = entry.position.0;
            let is_open = |progress: &&Progress| {
                progress.takes(entry, fault) && !progress.settled.contains(&position)
            };
            *open = self.subscriptions.values().filter(is_open).count() as u32;
            if *open > 0 {
                self.open_bytes += size(&entry.message);
            }
        }
    }

    /// Where a delivery stands.
    pub(crate) fn state(&self, name: &str, position: u64, given: bool) -> DeliveryState {
        let progress = &self.subscriptions[name];
        let is_dead = progress
            .dead
            .get(&position)
            .is_some_and(|dead| !dead.letter.redriven);
        match progress.tried.get(&position) {
            _ if is_dead => DeliveryState::Dead,
            _ if !progress.is_open(position) => {
                let of = |ended: &&Ended| ended.subscription == name && ended.position == position;
                match self.ended.iter().rfind(of) {
                    Some(ended) if ended.report.outcome == "discarded" => DeliveryState::Discarded,
                    _ => DeliveryState::Done,
                }
            }
            Some((_, due)) => DeliveryState::Retrying(*due),
            None if given => DeliveryState::Running,
            None => DeliveryState::Waiting,
        }
    }

    /// Up to where everything is settled.
    pub(crate) fn low(&self, name: &str, fault: Fault) -> Position {
        let progress = &self.subscriptions[name];
        let open =
            |entry: &&Entry| progress.takes(entry, fault) && progress.is_open(entry.position.0);
        let first = self.entries.iter().find(open);
        Position(first.map_or(self.entries.len() as u64, |entry| entry.position.0 - 1))
    }

    /// What is left of it after a kill; with most faults everything.
    pub(crate) fn after_kill(mut self, fault: Fault) -> Self {
        match fault {
            Fault::PositionReusedAfterKill | Fault::NewestLost => self.truncate(1),
            Fault::DuplicatesForgotten => self.ids.clear(),
            Fault::SubscriptionsForgotten => self.subscriptions.clear(),
            Fault::ReportsForgotten => self.ended.clear(),
            _ => self.kept.after_kill(fault),
        }
        let later = |entry: &&Entry| entry.message.attributes().deliver_at().is_some();
        let delayed: Vec<_> = self
            .entries
            .iter()
            .filter(later)
            .map(|e| e.position.0)
            .collect();
        for progress in self.subscriptions.values_mut() {
            match fault {
                Fault::SettlementsForgotten => progress.settled.clear(),
                Fault::RetryForgotten => progress.tried.clear(),
                Fault::DeadLettersForgotten => progress.dead.clear(),
                Fault::DiscardForgotten => progress.dead.append(&mut progress.discarded),
                Fault::EditForgottenByKill => {
                    let entries = &self.entries;
                    for (position, dead) in &mut progress.dead {
                        dead.message = entries[*position as usize - 1].message.clone();
                    }
                }
                Fault::RedriveForgotten => {
                    progress
                        .dead
                        .values_mut()
                        .for_each(|dead| dead.letter.redriven = false);
                }
                Fault::DelayedForgotten => progress.settled.extend(&delayed),
                Fault::DeliveredOnceOverKill => progress.settled.extend(&progress.given),
                _ => {}
            }
        }
        self
    }

    /// Forgets the newest.
    pub(crate) fn truncate(&mut self, count: usize) {
        let left = self.entries.len().saturating_sub(count);
        self.entries.truncate(left);
        self.open.truncate(left);
        self.ids.retain(|_, position| *position <= left as u64);
    }
}
