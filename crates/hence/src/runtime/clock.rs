//! `Clock`: the time of the process that runs as the timers run.
//!
//! It is [`Timestamp::steady`], which no jump of the wall clock moves, so that no retry is early or
//! late because of one; and a test that pauses the timers pauses this with them.

use hence_core::Timestamp;
use tokio::time::Instant;

/// The time by the clock of the timers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    at: Timestamp,
}

impl Clock {
    #[cfg(test)]
    pub(crate) fn start() -> Self {
        Self::start_at(Timestamp::steady())
    }

    /// A clock by which it is this moment now.
    pub(crate) fn start_at(at: Timestamp) -> Self {
        Self {
            began: Instant::now(),
            at,
        }
    }

    /// The moment of the call.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// A moment of the timers, as wall-clock time.
    pub(crate) fn at(&self, moment: Instant) -> Timestamp {
        self.at.after(moment.duration_since(self.began))
    }
}
