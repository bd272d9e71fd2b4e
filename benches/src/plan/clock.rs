//! The two clocks of the comparison: that of the wall, and one that jumps to the next timer.

use std::sync::Arc;

use hence::core::{BoxFuture, Engine, Timestamp};

use hence_engine_local::{Clock, Options, SystemClock};
use tokio::time::Instant;

/// The time by which the timers of a runtime run.
struct TimerClock {
    began: Instant,
    at: Timestamp,
}

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        self.at.after(self.began.elapsed())
    }

    fn reached(&self, due: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(due.since(self.now())))
    }
}

/// An engine in memory, by the clock of the wall or, in a runtime whose clock is paused, of the
/// timers.
pub(super) fn engine(paused: bool) -> Arc<dyn Engine> {
    let clock: Arc<dyn Clock> = if paused {
        Arc::new(TimerClock {
            began: Instant::now(),
            at: Timestamp::now(),
        })
    } else {
        Arc::new(SystemClock)
    };
    let mut options = Options::default();
    options.clock = clock;
    hence_engine_local::memory(&options)
}

/// Runs something in time that jumps to the next timer whenever nothing is left to do: the whole
/// runtime as it is, without the noise of the machine.
pub(super) fn paused<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(work)
}
