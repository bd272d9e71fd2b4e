//! `Model`: what must be there, what may be, and what is delivered; too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, anyhow, ensure};
use hence::core::{DeadLetter, Delivery, Entry, Timestamp};
use hence_log::sim::Dice;

/// What a commit changes for the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Done(u64),
    /// The attempt that failed.
    Retried(u64, u32),
    Dead(u64),
    Redriven(u64),
}

/// When the timer is due, and the id of its event.
pub(super) type Timer = (Timestamp, String);

/// A commit of which it is not known whether it survives.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    /// The ids that it publishes, and whether the subscription takes them.
    pub(super) publish: Vec<(String, bool)>,
    pub(super) change: Change,
    /// The value that the key has from then on.
    pub(super) value: Option<u64>,
    /// The timer that the key has from then on, or that it has none any more.
    pub(super) timer: Option<Option<Timer>>,
}

impl Doubt {
    /// The timer fires.
    pub(super) fn fires(id: &str) -> Self {
        Self {
            publish: vec![(id.to_owned(), true)],
            change: Change::None,
            value: None,
            timer: Some(None),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Open,
    Done,
    Dead,
    Redriven,
}

#[derive(Clone, Debug)]
struct Known {
    status: Status,
    tries: u32,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// What is stored, by position.
    entries: BTreeMap<u64, String>,
    /// What the subscription takes.
    own: BTreeMap<u64, Known>,
    /// The value of its one key.
    value: u64,
    /// The timer of that key.
    timer: Option<Timer>,
}

impl State {
    fn apply(&mut self, doubt: &Doubt, places: &[u64]) -> Result<()> {
        ensure!(
            places.len() == doubt.publish.len(),
            "receipts {places:?} for {doubt:?}"
        );
        for ((id, own), position) in doubt.publish.iter().zip(places) {
            self.entries.insert(*position, id.clone());
            if *own {
                self.own.insert(
                    *position,
                    Known {
                        status: Status::Open,
                        tries: 0,
                    },
                );
            }
        }
        self.value = doubt.value.unwrap_or(self.value);
        if let Some(timer) = &doubt.timer {
            self.timer.clone_from(timer);
        }
        let (position, status, tries) = match doubt.change {
            Change::None => return Ok(()),
            Change::Done(position) => (position, Status::Done, None),
            Change::Retried(position, attempt) => (position, Status::Open, Some(attempt)),
            Change::Dead(position) => (position, Status::Dead, None),
            Change::Redriven(position) => (position, Status::Redriven, None),
        };
        let known = self
            .own
            .get_mut(&position)
            .ok_or_else(|| anyhow!("{position} is unknown"))?;
        // A redriven dead letter that is tried again stays redriven.
        if !(status == Status::Open && known.status == Status::Redriven) {
            known.status = status;
        }
        known.tries = tries.unwrap_or(known.tries);
        Ok(())
    }

    fn with(&self, status: Status) -> impl Iterator<Item = u64> {
        let all = self
            .own
            .iter()
            .filter(move |(_, known)| known.status == status);
        all.map(|(position, _)| *position)
    }
}

/// Everything about one log.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What survives everything.
    certain: State,
    /// That, and what was only written since.
    now: State,
    /// Acknowledged as written since the last sync, in order.
    soft: Vec<Doubt>,
    /// Neither acknowledged nor refused for certain.
    doubts: Vec<Doubt>,
    /// Given out in this life.
    given: BTreeSet<u64>,
    /// Every position that anybody saw, and what was there.
    seen: HashMap<u64, String>,
    /// What is to be delivered later, and when.
    delayed: HashMap<String, Timestamp>,
}

impl Model {
    /// An event is to be delivered at a moment, not before.
    pub(super) fn delay(&mut self, id: &str, due: Timestamp) {
        self.delayed.insert(id.to_owned(), due);
    }

    /// The value of the key.
    pub(super) fn value(&self) -> u64 {
        self.now.value
    }

    /// The id of the event of the timer, when that is due.
    pub(super) fn due(&self, now: Timestamp) -> Option<String> {
        let timer = self.now.timer.as_ref();
        timer
            .filter(|(due, _)| *due <= now)
            .map(|(_, id)| id.clone())
    }

    /// Compares the value of the key.
    pub(super) fn check_value(&self, found: Option<&[u8]>) -> Result<()> {
        let found = found.map(String::from_utf8_lossy);
        let wanted = (self.now.value > 0).then(|| self.now.value.to_string());
        ensure!(
            found.as_deref() == wanted.as_deref(),
            "the value is {found:?}, and {wanted:?} was committed"
        );
        Ok(())
    }

    fn is_delayed(&self, position: u64) -> bool {
        self.now
            .entries
            .get(&position)
            .is_some_and(|id| self.delayed.contains_key(id))
    }

    fn is_due(&self, position: u64, now: Timestamp) -> bool {
        let due = self
            .now
            .entries
            .get(&position)
            .and_then(|id| self.delayed.get(id));
        due.is_none_or(|due| *due <= now)
    }

    /// Some stored event.
    pub(super) fn any(&self, dice: &mut Dice) -> Option<(String, u64)> {
        let at = dice.below(self.now.entries.len() as u64) as usize;
        self.now
            .entries
            .iter()
            .nth(at)
            .map(|(position, id)| (id.clone(), *position))
    }

    /// The position of some dead letter.
    pub(super) fn any_dead(&self, dice: &mut Dice) -> Option<u64> {
        let dead: Vec<u64> = self.now.with(Status::Dead).collect();
        dead.get(dice.below(dead.len() as u64) as usize).copied()
    }

    fn see(&mut self, position: u64, id: &str) -> Result<()> {
        let before = self.seen.insert(position, id.to_owned());
        let reused = before.filter(|before| before != id);
        ensure!(
            reused.is_none(),
            "position {position} was {reused:?} and is {id}"
        );
        Ok(())
    }

    /// A commit was acknowledged.
    pub(super) fn stored(&mut self, doubt: Doubt, places: &[u64], synced: bool) -> Result<()> {
        for ((id, _), position) in doubt.publish.iter().zip(places) {
            self.see(*position, id)?;
        }
        self.now.apply(&doubt, places)?;
        if let Change::Redriven(position) = doubt.change {
            self.given.remove(&position);
        }
        if synced {
            self.synced();
        } else {
            self.soft.push(doubt);
        }
        Ok(())
    }

    /// Everything up to here was synced.
    pub(super) fn synced(&mut self) {
        self.soft.clear();
        self.certain = self.now.clone();
    }

    /// A commit failed, and nobody knows how far it came.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        self.doubts.push(doubt);
    }

    /// The process ended: what was written is there.
    pub(super) fn killed(&mut self) {
        self.given.clear();
    }

    /// The power went: what was only written may be there, as a prefix.
    pub(super) fn lost_power(&mut self) {
        self.given.clear();
        self.now = self.certain.clone();
        self.doubts.splice(0..0, self.soft.drain(..));
    }

    /// Compares what is there after a restart.
    pub(super) fn check_entries(&mut self, all: &[Entry]) -> Result<()> {
        let mut found: BTreeMap<u64, String> = BTreeMap::new();
        for entry in all {
            let (position, id) = (entry.position.0, entry.message.attributes().id());
            self.see(position, id)?;
            let before = found.insert(position, id.to_owned());
            ensure!(before.is_none(), "{position} was read twice");
        }
        for (position, id) in &self.now.entries {
            let there = found.get(position);
            ensure!(
                there == Some(id),
                "{id}, acknowledged at {position}: there is {there:?}"
            );
        }
        let places: HashMap<&str, u64> = found.iter().map(|(place, id)| (&**id, *place)).collect();
        let mut missing = None;
        for doubt in std::mem::take(&mut self.doubts) {
            let there = doubt
                .publish
                .iter()
                .filter_map(|(id, _)| places.get(&**id).copied());
            let there: Vec<u64> = there.collect();
            if there.is_empty() {
                missing = Some(doubt);
                continue;
            }
            ensure!(
                missing.is_none(),
                "{doubt:?} survived, and {missing:?} before it did not"
            );
            self.now.apply(&doubt, &there)?;
        }
        let (are, may) = (found.len(), self.now.entries.len());
        ensure!(are == may, "there are {are} events, and {may} were sent");
        // Opening has synced what it found.
        self.synced();
        Ok(())
    }

    /// Compares what was given out with what is open and was not given out yet.
    pub(super) fn check_deliveries(&mut self, list: &[Delivery], now: Timestamp) -> Result<()> {
        let open = self.now.own.iter().filter(|(place, known)| {
            let fresh = known.status == Status::Open && !self.given.contains(place);
            fresh && self.is_due(**place, now)
        });
        let open: Vec<_> = open
            .map(|(place, known)| (*place, known.tries + 1))
            .collect();
        let fresh = list.iter().filter(|delivery| !delivery.redriven);
        let mut fresh: Vec<_> = fresh.map(|it| (it.position.0, it.attempt)).collect();
        if fresh
            .iter()
            .all(|(position, _)| !self.is_delayed(*position))
        {
            ensure!(fresh.is_sorted(), "out of order: {fresh:?}");
        }
        fresh.sort_unstable();
        ensure!(fresh == open, "given out: {fresh:?}, open: {open:?}");
        let again = list
            .iter()
            .filter(|delivery| delivery.redriven)
            .map(|it| it.position.0);
        let again: BTreeSet<u64> = again.collect();
        let redriven = self
            .now
            .with(Status::Redriven)
            .filter(|it| !self.given.contains(it));
        let redriven: BTreeSet<u64> = redriven.collect();
        ensure!(
            again == redriven,
            "given out again: {again:?}, redriven: {redriven:?}"
        );
        self.given
            .extend(list.iter().map(|delivery| delivery.position.0));
        Ok(())
    }

    /// Compares the dead letters. One that was redriven may still be listed.
    pub(super) fn check_letters(&self, list: &[DeadLetter]) -> Result<()> {
        let list: BTreeSet<u64> = list.iter().map(|letter| letter.position.0).collect();
        let dead: BTreeSet<u64> = self.now.with(Status::Dead).collect();
        let known: BTreeSet<u64> = dead
            .iter()
            .copied()
            .chain(self.now.with(Status::Redriven))
            .collect();
        ensure!(
            dead.is_subset(&list) && list.is_subset(&known),
            "letters {list:?}, dead {dead:?}"
        );
        Ok(())
    }
}
