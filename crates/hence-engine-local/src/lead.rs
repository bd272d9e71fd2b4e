//! The lead of a caller: a commit that finds nobody at work is stored on the thread of its caller.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use crate::queue::{Queue, Stop};
use crate::shared::Shared;
use crate::writer::Seat;

/// What a caller has whose commit found nobody at work: it may lead, if it comes back for it before
/// anyone else comes.
pub(crate) struct Turn {
    pub(crate) seat: Arc<Seat>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
}

impl Turn {
    /// Stores what waits, on this thread, unless the thread does so by now.
    pub(crate) fn lead(self) {
        let mut work = VecDeque::new();
        if !self.queue.lead(&mut work) {
            return;
        }
        let mut leading = Leading {
            turn: &self,
            panicked: true,
            look: false,
        };
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lead) = seat.as_mut() {
            lead.store_all(&mut work);
            leading.look = lead.wants_thread();
        }
        drop(seat);
        leading.panicked = false;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.give_up();
    }
}

/// The lead of a caller, which ends with this.
struct Leading<'a> {
    turn: &'a Turn,
    panicked: bool,
    look: bool,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if self.panicked {
            // Nobody knows what the tables hold now.
            self.turn.queue.stop(Stop::Abandon);
            self.turn.shared.lock().close();
        }
        self.turn.queue.release(self.look);
    }
}

/// Whether the runtime goes on with everything else while one of its threads waits for the disk.
pub(crate) fn has_other_workers() -> bool {
    let runtime = tokio::runtime::Handle::try_current();
    runtime.is_ok_and(|runtime| {
        runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread
            && runtime.metrics().num_workers() > 1
    })
}
