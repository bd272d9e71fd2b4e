//! `Alarm`: lets timers fire when they are due and nobody commits anything.
//!
//! A timer fires with whatever commit comes next at or after its moment. This is who makes one come: a
//! thread that sleeps until the next timer is due. It begins with the first timer, so that an engine
//! without timers has none.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::select;
use hence_core::commit::Commit;
use hence_core::error::{Code, Result};
use tokio::sync::{Notify, oneshot};

use crate::decide::Prepared;
use crate::memory;
use crate::queue::{Queue, Request};
use crate::shared::Shared;

/// How long it waits before it tries again when the events of timers could not be stored.
pub const ALARM_AGAIN: Duration = Duration::from_secs(1);

/// How timers come to fire.
#[derive(Clone)]
pub(crate) enum Bell {
    /// On the alarm's own thread, with so much memory for what is not settled.
    Inline { limit: usize },
    /// Through the writer.
    Writer(Arc<Queue>),
}

/// A thread that ends with the engine.
#[derive(Default)]
pub(crate) struct Alarm(Mutex<Option<JoinHandle<()>>>);

impl Alarm {
    /// Begins, unless it runs already.
    pub(crate) fn begin(&self, shared: &Arc<Shared>, bell: Bell) -> Result<()> {
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            return Ok(());
        }
        let no_thread = |error| Code::INTERNAL.caused("no thread could be started", error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.map_err(no_thread)?;
        let shared = Arc::clone(shared);
        let named = std::thread::Builder::new().name("hence-alarm".to_owned());
        let started = named.spawn(move || runtime.block_on(watch(shared, bell)));
        *thread = Some(started.map_err(no_thread)?);
        Ok(())
    }

    /// Waits until it has ended, after the engine was closed.
    pub(crate) fn end(&self) {
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the alarm panicked");
        }
    }
}

async fn watch(shared: Arc<Shared>, bell: Bell) {
    let changed: Arc<Notify> = Arc::clone(&shared.lock().alarm);
    loop {
        let next = {
            let core = shared.lock();
            if core.closed {
                return;
            }
            core.state.timers.next_due()
        };
        let change = std::pin::pin!(changed.notified());
        match next {
            None => change.await,
            Some(due) if due > shared.clock.now() => {
                drop(select(change, shared.clock.reached(due)).await);
            }
            Some(_) => {
                let first = |shared: &Shared| shared.lock().state.timers.first();
                let before = first(&shared);
                ring(&shared, &bell).await;
                if first(&shared) == before {
                    tracing::warn!("timers are due and cannot fire; trying again");
                    let waited = tokio::time::timeout(ALARM_AGAIN, change).await;
                    // Either way it is time to look again.
                    waited.unwrap_or_default();
                }
            }
        }
    }
}

/// Lets timers fire, as many as go at a time.
async fn ring(shared: &Shared, bell: &Bell) {
    match bell {
        Bell::Inline { limit } => {
            let now = shared.clock.now();
            shared.change(|core| memory::fire(core, (*limit, now), shared.key));
        }
        Bell::Writer(queue) => {
            let (answer, answered) = oneshot::channel();
            // Timers go before the commits of their group, of which this one stores nothing.
            let nothing = Prepared::new(shared.key, Commit::default());
            if queue
                .push(Request::Commit(nothing, Some(answer)), true)
                .is_ok()
            {
                // What it did shows in the tables.
                drop(answered.await);
            }
        }
    }
}
