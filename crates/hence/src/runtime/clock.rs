//! `Clock`: wall-clock time that runs as the timers run.
//!
//! It is read once and goes on by the monotonic clock: a jump of the wall clock brings no retry
//! early, and a test that pauses the timers pauses this with them.

use hence_core::Timestamp;
use tokio::time::Instant;

/// Wall-clock time by the clock of the timers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    at: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            began: Instant::now(),
            at: Timestamp::now(),
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
