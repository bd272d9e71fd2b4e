//! The clock, and waiting for it, behind a seam so that tests can jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hence_core::handler::BoxFuture;
use hence_core::time::Timestamp;
use tokio::sync::Notify;

/// How long the system's clock is slept on before it is looked at again, so that what it waits for
/// is not late by more after the machine slept.
pub const CLOCK_LOOK_MAX: Duration = Duration::from_secs(1);

/// The time, and waiting for it.
pub trait Clock: Send + Sync + 'static {
    /// The moment of the call.
    fn now(&self) -> Timestamp;

    /// Waits until [`Clock::now`] is at or after a moment.
    fn reached(&self, due: Timestamp) -> BoxFuture<'static, ()>;
}

/// The clock of the operating system: [`Timestamp::steady`], so that nobody who sets the wall clock
/// makes anything early or late while the process runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::steady()
    }

    fn reached(&self, due: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let wait = due.since(Timestamp::steady());
                if wait.is_zero() {
                    return;
                }
                tokio::time::sleep(wait.min(CLOCK_LOOK_MAX)).await;
            }
        })
    }
}

/// A clock that stands still until it is set; clones share one time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Manual>);

#[derive(Debug)]
struct Manual {
    micros: AtomicI64,
    moved: Notify,
}

impl ManualClock {
    /// A clock that stands at this moment.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Manual {
            micros: AtomicI64::new(now.as_micros()),
            moved: Notify::new(),
        }))
    }

    /// Jumps to a moment, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.micros.store(now.as_micros(), Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Jumps forwards by a while.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().after(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.micros.load(Ordering::SeqCst))
    }

    fn reached(&self, due: Timestamp) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            loop {
                let mut moved = std::pin::pin!(clock.0.moved.notified());
                // Registered before the look, so that no jump falls between the two.
                moved.as_mut().enable();
                if clock.now() >= due {
                    return;
                }
                moved.await;
            }
        })
    }
}
