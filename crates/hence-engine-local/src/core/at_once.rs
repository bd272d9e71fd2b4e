//! What `memory:` applies as it is decided: one event, or deliveries that are done.
//!
//! Nothing of it has to be stored first, and none of it can fail halfway, so it needs no operations.
//! Whatever else a commit may say goes the long way, as everything does in `log:`; the tables are
//! changed by the same functions on both.

use hence_core::commit::{Durability, Receipt, Settlement};
use hence_core::delivery::{Outcome, Position};
use hence_core::engine::Done;
use hence_core::error::Result;
use hence_core::time::Timestamp;

use super::Core;
use crate::decide::{Prepared, can_end, known_before};
use crate::history::{Attempt, Emitted};
use crate::identity::Append;
use crate::op::{Ended, How};

impl Core {
    /// Commits what is one event, or deliveries that are done and that the runtime holds; `None` when
    /// it is anything else, of which nothing has happened.
    pub(crate) fn at_once(
        &mut self,
        commit: &mut Prepared,
        now: Timestamp,
    ) -> Option<Result<Vec<Receipt>>> {
        if !commit.is_plain() {
            return None;
        }
        match (&*commit.settle, commit.publish.len()) {
            ([], 1) => {
                let append = commit.publish.pop()?;
                let receipt = self.publish_one(append, commit.durability, now);
                Some(receipt.map(|receipt| vec![receipt]))
            }
            ([first, rest @ ..], 0) => {
                let name = &first.subscription;
                let done = |one: &Settlement| Done {
                    position: one.position,
                    attempt: one.attempt,
                    ran: one.ran,
                };
                let outlet = self
                    .outlets
                    .get(self.state.id_of(name)? as usize)?
                    .as_ref()?;
                let are_plain = rest.iter().all(|one| one.subscription == *name)
                    && (commit.settle.iter()).all(|one| {
                        matches!(one.outcome, Outcome::Done) && outlet.holds(one.position.0)
                    });
                are_plain.then(|| {
                    self.done(name, commit.settle.iter().map(done), now);
                    Ok(Vec::new())
                })
            }
            _ => None,
        }
    }

    /// Publishes one event.
    pub(crate) fn publish_one(
        &mut self,
        append: Append,
        level: Durability,
        now: Timestamp,
    ) -> Result<Receipt> {
        if let Some(known) = self.state.dedup.get(append.id) {
            return known_before(&append, known, level);
        }
        let message = append.message.clone();
        self.append(append, now);
        Ok(Receipt::new(message, Some(Position(self.newest)), level))
    }

    /// Settles deliveries of one subscription as done, each on its own; those that have ended already
    /// change nothing. False when the runtime does not hold all of the others, which stay as they are.
    pub(crate) fn done(
        &mut self,
        name: &str,
        done: impl Iterator<Item = Done>,
        now: Timestamp,
    ) -> bool {
        let Some(id) = self.state.id_of(name) else {
            return false;
        };
        let emitted = Emitted {
            first: self.state.next,
            count: 0,
        };
        let mut all = true;
        for one in done {
            let (Position(position), attempt) = (one.position, one.attempt);
            let Some(found) = self.state.subscription(id) else {
                return false;
            };
            if !can_end(found.status(position), attempt) {
                continue;
            }
            let Some(after) = self.outlet(id).and_then(|outlet| outlet.let_go(position)) else {
                all = false;
                continue;
            };
            let ended = Ended {
                subscription: id,
                position,
                after,
                attempt,
                ran: one.ran,
                how: How::Done,
            };
            if let Some(history) = &mut self.history {
                history.push(Attempt::new(&ended, now, emitted));
            }
            let was_redriven = self.state.end(&ended, now);
            self.settled(id, position, was_redriven);
        }
        all
    }
}
