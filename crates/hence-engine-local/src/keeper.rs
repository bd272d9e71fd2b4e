//! `Keeper`: what is done beside the commits, now and then: segments go that need not be kept, and
//! a spare is made ready before the next one is needed.
//!
//! Nothing goes that a subscription has not settled, however old it is or however large the log:
//! a subscription that stands still keeps what it still has to see, until the disk is full and
//! publishers wait. The same holds for the events of dead letters: they stay until the dead letter
//! is redriven and done, or discarded. An event that no subscription wants counts
//! as settled for age and size.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hence_core::commit::Commit;
use hence_core::error::{Code, Result};
use hence_log::Log;

use crate::decide::Prepared;
use crate::journal::Store;
use crate::queue::{Queue, Request};
use crate::shared::Shared;

/// The time between two looks at what need not be kept, unless told otherwise.
pub const KEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How long events are kept. Without any limit they are kept for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Events go that are older, in whole segments.
    pub age: Option<Duration>,
    /// The oldest events go while the log has more bytes, in whole segments.
    pub bytes: Option<u64>,
    /// Events go as soon as every subscription has settled them, of which there must be one.
    pub settled: bool,
}

impl Retention {
    fn is_set(&self) -> bool {
        *self != Self::default()
    }
}

/// What the keeper is to do.
pub(crate) struct Duty {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) retention: Retention,
    pub(crate) spares: bool,
    pub(crate) interval: Duration,
}

/// A thread that works until this is dropped.
pub(crate) struct Keeper {
    ended: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Begins, if there is anything to do.
    pub(crate) fn begin(duty: Duty) -> Result<Option<Self>> {
        if !duty.retention.is_set() && !duty.spares {
            return Ok(None);
        }
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let until = Arc::clone(&ended);
        let thread = std::thread::Builder::new().name("hence-keeper".to_owned());
        let thread = thread
            .spawn(move || duty.run(&until))
            .map_err(|error| Code::INTERNAL.caused("no thread could be started", error))?;
        Ok(Some(Self {
            ended,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Ends it and waits until it has let go of the log.
    pub(crate) fn end(&self) {
        let (ended, wake) = &*self.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper of the log panicked");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

impl Duty {
    fn run(self, (ended, wake): &(Mutex<bool>, Condvar)) {
        loop {
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = wake.wait_timeout_while(ended, self.interval, |ended| !*ended);
            let (ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if *ended {
                return;
            }
            drop(ended);
            if let Err(error) = self.look() {
                tracing::warn!(%error, "the log could not be kept in order; trying again later");
            }
        }
    }

    fn look(&self) -> Result<(), hence_log::Error> {
        let Some((log, retention)) = self.limits() else {
            return Ok(());
        };
        if let Some(retention) = retention {
            let retired = log.retain(&retention)?;
            if retired.segments > 0 {
                let (segments, bytes) = (retired.segments, retired.bytes);
                let first = log.first_position();
                tracing::info!(segments, bytes, first, "events were retired");
            }
            // What is old goes also where nothing is published that would fill its segment.
            let is_old = retention
                .older_than
                .is_some_and(|limit| log.is_older(limit));
            if is_old {
                self.shared.figures.want_seal();
            }
            if retired.waits {
                self.shared.figures.want_snapshot();
            }
            if is_old || retired.waits {
                // The writer looks when it has work; this is work that stores nothing.
                let nothing = Prepared::new(self.shared.key, Commit::default());
                let _ = self.queue.push(Request::Commit(nothing, None), false);
            }
        }
        if self.spares && log.is_half_full() {
            log.prepare_spare()?;
        }
        Ok(())
    }

    /// The log, and what of it may go now.
    fn limits(&self) -> Option<(Log, Option<hence_log::Retention>)> {
        let core = self.shared.lock();
        let Store::Log(log, _) = &core.store else {
            return None;
        };
        let Retention {
            age,
            bytes,
            settled,
        } = self.retention;
        let reports = core.reports();
        let low = reports.iter().map(|report| report.settled.0).min();
        if !self.retention.is_set() || settled && low.is_none() {
            return Some((log.clone(), None));
        }
        let needed = core
            .state
            .oldest_needed()
            .map_or(u64::MAX, |first| first - 1);
        let micros = |age: Duration| i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let now = self.shared.clock.now().as_micros();
        let older_than = age.map(|age| u64::try_from(now.saturating_sub(micros(age))).unwrap_or(0));
        let retention = hence_log::Retention {
            older_than: older_than.filter(|_| !settled),
            bytes_max: bytes.filter(|_| !settled),
            settled: Some(low.unwrap_or(core.state.last()).min(needed)),
        };
        Some((log.clone(), Some(retention)))
    }
}
