//! How `memory:` commits: at once, on the caller's thread, under the engine's lock.

use hence_core::commit::{Durability, Receipt};
use hence_core::engine::Done;
use hence_core::error::{Code, Error, Result};
use hence_core::time::Timestamp;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::decide::{Prepared, Undecided};
use crate::identity::{Append, IdentityKey};
use crate::journal::no_entry;

/// Memory that events may take which some subscription has not settled.
pub const MEMORY_BYTES_MAX: usize = 32 << 20;
/// Such events, whatever their size.
pub const MEMORY_EVENTS_MAX: usize = 131_072;
/// Memory that settled events may take, for readers.
pub const MEMORY_KEEP_BYTES: usize = 16 << 20;

/// A commit that waits for room.
#[derive(Debug)]
pub(crate) struct Waiting {
    commit: Prepared,
    answer: oneshot::Sender<Result<Vec<Receipt>>>,
}

/// What became of a commit that was handed in.
pub(crate) enum Taken {
    /// It is done.
    Now(Result<Vec<Receipt>>),
    /// It waits for its turn.
    Later(oneshot::Receiver<Result<Vec<Receipt>>>),
    /// There is no room, and it was not to wait.
    Full(Box<Prepared>),
}

/// Commits, or waits, or gives back. A commit that makes room, or sends on what stands in the way
/// of what would, never waits behind one that takes it.
pub(crate) fn submit(
    core: &mut Core,
    commit: Prepared,
    (limit, now): (usize, Timestamp),
    key: IdentityKey,
    wait: bool,
) -> Taken {
    if core.closed {
        return Taken::Now(Err(closed()));
    }
    fire(core, (limit, now), key);
    let makes_room = commit.makes_room();
    if makes_room || (core.queue.is_empty() && has_room(core, commit.size(), limit)) {
        let receipts = run(core, commit, now);
        if makes_room {
            serve(core, limit, now);
        }
        return Taken::Now(receipts);
    }
    if !wait {
        return Taken::Full(Box::new(commit));
    }
    let (answer, receipts) = oneshot::channel();
    core.queue.push_back(Waiting { commit, answer });
    Taken::Later(receipts)
}

/// Publishes one event, or gives it back when there is no room for it now.
pub(crate) fn publish(
    core: &mut Core,
    append: Append,
    level: Durability,
    (limit, now): (usize, Timestamp),
    key: IdentityKey,
) -> Result<Result<Receipt>, Append> {
    if core.closed {
        return Ok(Err(closed()));
    }
    fire(core, (limit, now), key);
    if core.queue.is_empty() && has_room(core, append.size, limit) {
        Ok(core.publish_one(append, level, now))
    } else {
        Err(append)
    }
}

/// Settles deliveries of one subscription as done; see [`Core::done`].
pub(crate) fn done(
    core: &mut Core,
    (subscription, done): (&str, &[Done]),
    (limit, now): (usize, Timestamp),
    key: IdentityKey,
) -> bool {
    if core.closed {
        return false;
    }
    fire(core, (limit, now), key);
    let settled = core.done(subscription, done.iter().copied(), now);
    if settled {
        serve(core, limit, now);
    }
    settled
}

/// Lets timers fire that are due, as far as there is room for their events.
pub(crate) fn fire(core: &mut Core, (limit, now): (usize, Timestamp), key: IdentityKey) {
    let due = core.due(now);
    if due.is_empty() {
        return;
    }
    let mut batch = std::mem::take(&mut core.scratch);
    for timer in due {
        if core.tail.open_bytes() > limit {
            break;
        }
        core.fire(&timer, (key, now), &mut batch);
        core.apply(&mut batch);
    }
    core.scratch = batch;
}

fn has_room(core: &Core, bytes: usize, limit: usize) -> bool {
    core.tail.open_bytes() + bytes <= limit || core.tail.open_bytes() == 0
}

fn run(core: &mut Core, mut commit: Prepared, now: Timestamp) -> Result<Vec<Receipt>> {
    if let Some(receipts) = core.at_once(&mut commit, now) {
        return receipts;
    }
    let mut batch = std::mem::take(&mut core.scratch);
    let receipts = core.decide(commit, now, &mut batch);
    core.apply(&mut batch);
    core.scratch = batch;
    receipts.map_err(|undecided| match undecided {
        Undecided::Refused(error) => error,
        // What memory has let go of is nowhere else.
        Undecided::Lacks(_, position) => no_entry(position),
    })
}

/// Runs commits that waited, as far as there is room for them.
fn serve(core: &mut Core, limit: usize, now: Timestamp) {
    while let Some(next) = core.queue.front() {
        if next.answer.is_closed() {
            core.queue.pop_front();
            continue;
        }
        if !has_room(core, next.commit.size(), limit) {
            return;
        }
        if let Some(Waiting { commit, answer }) = core.queue.pop_front() {
            let receipts = run(core, commit, now);
            // Whoever gave up meanwhile does not learn that it was published after all.
            drop(answer.send(receipts));
        }
    }
}

pub(crate) fn closed() -> Error {
    Code::CLOSED.error("the engine is closed")
}
