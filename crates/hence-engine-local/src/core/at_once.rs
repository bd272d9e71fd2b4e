//! What `memory:` applies as it is decided: one event, or deliveries that are done.
//!
//! Nothing of it has to be stored first, and none of it can fail halfway, so it needs no operations.
//! Whatever else a commit may say goes the long way, as everything does in `log:`; the tables are
//! changed by the same functions on both.

use hence_core::commit::{Durability, Receipt};
use hence_core::delivery::{Outcome, Position};
use hence_core::engine::Done;
use hence_core::error::Result;
use hence_core::time::Timestamp;

use super::Core;
use crate::decide::{Prepared, can_end, known_before};
use crate::history::Emitted;
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
                let is_done = |outcome: &Outcome| matches!(outcome, Outcome::Done);
                let plain = rest.iter().all(|one| one.subscription == *name)
                    && commit.settle.iter().all(|one| is_done(&one.outcome));
                let done = commit.settle.iter().map(|one| Done {
                    position: one.position,
                    attempt: one.attempt,
                    ran: one.ran,
                });
                (plain && self.done(name, done, now)).then(|| Ok(Vec::new()))
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

    /// Settles deliveries of one subscription as done, of which those that have ended already change
    /// nothing; false when the runtime does not hold all of them, and then nothing has happened.
    pub(crate) fn done(
        &mut self,
        name: &str,
        done: impl Iterator<Item = Done> + Clone,
        now: Timestamp,
    ) -> bool {
        let Some(id) = self.state.id_of(name) else {
            return false;
        };
        let Some(Some(outlet)) = self.outlets.get(id as usize) else {
            return false;
        };
        if !done.clone().all(|one| outlet.holds(one.position.0)) {
            return false;
        }
        let emitted = Emitted {
            first: self.state.next,
            count: 0,
        };
        for Done {
            position: Position(position),
            attempt,
            ran,
        } in done
        {
            let found = self.state.subscription(id);
            let status = found.map(|found| found.status(position));
            let Some((outlet, true)) = self
                .outlet(id)
                .zip(status.map(|status| can_end(status, attempt)))
            else {
                continue;
            };
            let after = outlet.after(position).unwrap_or(position - 1);
            let ended = Ended {
                subscription: id,
                position,
                after,
                attempt,
                ran,
                how: How::Done,
            };
            self.end(&ended, now, emitted);
        }
        true
    }
}
