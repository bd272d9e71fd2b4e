//! The state of keys, timers and sequences of the reference engine.

use std::collections::BTreeMap;

use bytes::Bytes;
use hence_core::commit::{Change, What};
use hence_core::{Code, Commit, Message, Result, Timestamp};

use crate::fault::Fault;
use crate::reference::{Place, Stored, World};

/// What survives a kill.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    values: BTreeMap<(String, String), Bytes>,
    timers: BTreeMap<(String, String, String), (Timestamp, Message)>,
    /// The newest number of each sender.
    sent: BTreeMap<String, u64>,
}

impl Kept {
    pub(crate) fn after_kill(&mut self, fault: Fault) {
        match fault {
            Fault::ValuesForgotten => self.values.clear(),
            Fault::TimersForgotten => self.timers.clear(),
            Fault::SequencesForgotten => self.sent.clear(),
            _ => {}
        }
    }
}

impl Place {
    fn value_of(&self, subscription: &str, key: &str) -> (String, String) {
        let shared = self.is(Fault::ValuesShared);
        let subscription = if shared { "" } else { subscription };
        (subscription.to_owned(), key.to_owned())
    }

    pub(crate) fn keyed(&self, subscription: &str, key: &str) -> Result<Option<Bytes>> {
        let stored = &self.lock().stored;
        if !stored.subscriptions.contains_key(subscription) {
            return Err(Code::NOT_FOUND.error("no such subscription"));
        }
        let key = self.value_of(subscription, key);
        Ok(stored.kept.values.get(&key).cloned())
    }

    /// Changes the state of keys, all of it.
    pub(crate) fn change(&self, stored: &mut Stored, changes: &[Change]) {
        for change in changes {
            let Change {
                subscription,
                key,
                what,
            } = change;
            let value = self.value_of(subscription, key);
            let timer = |name: &str| (subscription.to_string(), key.clone(), name.to_owned());
            let kept = &mut stored.kept;
            match what {
                What::Write(_) if self.is(Fault::ValueIgnored) => {}
                What::Write(bytes) => drop(kept.values.insert(value, bytes.clone())),
                What::Remove => drop(kept.values.remove(&value)),
                What::SetTimer { name, due, message } => {
                    let set = (*due, (**message).clone());
                    if self.is(Fault::TimerNotReplaced) {
                        kept.timers.entry(timer(name)).or_insert(set);
                    } else {
                        kept.timers.insert(timer(name), set);
                    }
                }
                What::CancelTimer { .. } if self.is(Fault::TimerNotCancelled) => {}
                What::CancelTimer { name } => drop(kept.timers.remove(&timer(name))),
            }
        }
    }

    /// Lets timers fire that are due, and says when the next one is.
    pub(crate) fn fire(&self, world: &mut World) -> Option<Timestamp> {
        let now = Timestamp::steady();
        let early = self.is(Fault::TimerEarly);
        loop {
            let timers = &world.stored.kept.timers;
            let next = timers.iter().min_by_key(|(_, (due, _))| *due);
            let (id, (due, message)) = next?;
            if *due > now && !early {
                return Some(*due);
            }
            let (id, message) = (id.clone(), message.clone());
            world.stored.kept.timers.remove(&id);
            if self.is(Fault::TimerTwice) {
                let twice = message.clone();
                let again = twice.with_attributes(|all| {
                    *all = hence_core::Attributes::new("twice", all.source(), all.event_type())?;
                    Ok(())
                });
                self.append(&mut world.stored, again.unwrap());
            }
            self.append(&mut world.stored, message);
            self.wake();
        }
    }

    /// Whether a batch was stored before.
    pub(crate) fn is_sent(&self, stored: &Stored, commit: &Commit) -> Result<bool> {
        let Some(sequence) = &commit.sequence else {
            return Ok(false);
        };
        let newest = stored.kept.sent.get(&sequence.sender).copied().unwrap_or(0);
        let gap = sequence.number == 0 || sequence.number > newest + 1;
        if gap && !self.is(Fault::GapTaken) {
            let text = format!("the next number is {}", newest + 1);
            return Err(Code::SEQUENCE_GAP.error(text));
        }
        Ok(sequence.number <= newest && !self.is(Fault::SequenceIgnored))
    }

    pub(crate) fn send(&self, stored: &mut Stored, commit: &Commit) {
        if let Some(sequence) = &commit.sequence {
            let sender = sequence.sender.clone();
            stored.kept.sent.insert(sender, sequence.number);
        }
    }
}
