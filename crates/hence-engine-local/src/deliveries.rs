//! The deliveries of one attached subscription, as the runtime pulls them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::select;
use hence_core::delivery::{Delivery, Position};
use hence_core::engine::Deliveries;
use hence_core::error::{Code, Result};
use hence_core::handler::BoxFuture;
use hence_core::time::Timestamp;
use tokio::sync::Notify;

use crate::journal::Cold;
use crate::outlet::Found;
use crate::planted::is_planted;
use crate::shared::Shared;

/// Holds a subscription until it is dropped.
pub(crate) struct Attached {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u32,
    pub(crate) notify: Arc<Notify>,
    pub(crate) held: BTreeMap<Position, Option<String>>,
    pub(crate) tags: Vec<u32>,
    /// While it is behind what memory holds: a reader of the disk, and where it stands.
    pub(crate) cold: Option<(u64, Cold)>,
}

impl Attached {
    async fn pull(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let mut out = Vec::new();
        loop {
            let clock = &self.shared.clock;
            let found = {
                let mut core = self.shared.lock();
                if core.closed {
                    return Ok(Vec::new());
                }
                let now = match is_planted("timer-on-wall-clock") {
                    true => Timestamp::now(),
                    false => clock.now(),
                };
                core.take(self.id, now, (max, &mut out))
            };
            match found {
                None => return Ok(Vec::new()),
                Some(Found::Some | Found::Released) => return Ok(out),
                Some(Found::Again) => tokio::task::yield_now().await,
                Some(Found::Cold(from)) => {
                    self.read_on(from)?;
                    tokio::task::yield_now().await;
                }
                Some(Found::ColdOne(position)) => self.read_one(position)?,
                Some(Found::Nothing(due)) => {
                    self.cold = None;
                    let woken = std::pin::pin!(self.notify.notified());
                    match due {
                        None => woken.await,
                        Some(due) => drop(select(woken, clock.reached(due)).await),
                    }
                }
            }
        }
    }

    /// Reads on from the disk. It does not wait, so that nothing can be lost in between.
    fn read_on(&mut self, from: u64) -> Result<()> {
        let core = self.shared.lock();
        let last = core.state.last();
        if !matches!(&self.cold, Some((at, _)) if *at == from) {
            let reader = core.store.reader(from, Some(self.tags.clone()));
            self.cold = reader.map(|reader| (from, reader));
        }
        drop(core);
        let Some((at, reader)) = &mut self.cold else {
            return Ok(());
        };
        // The log has a commit a moment before the tables. What they do not have yet they offer when
        // they do, and it must not be given out twice.
        let (entries, upto) = match reader.chunk(last, last) {
            Ok(chunk) => chunk,
            Err(error) => {
                // Whoever asks again begins anew where this one began.
                self.cold = None;
                return Err(error);
            }
        };
        let upto = upto.min(last);
        *at = upto + 1;
        if upto == last {
            // It may have read beyond that already.
            self.cold = None;
        }
        let now = self.shared.clock.now();
        self.shared.lock().feed(self.id, entries, upto, now);
        Ok(())
    }

    /// Reads one entry from the disk, under no lock.
    fn read_one(&self, position: u64) -> Result<()> {
        let store = {
            let core = self.shared.lock();
            if core.closed {
                return Ok(());
            }
            core.store.clone()
        };
        match store.get(position) {
            Ok(entry) => self.shared.lock().feed_one(self.id, entry),
            // Of a log that was saved from damage not everything is there. It must not stand in the
            // way of all that is. What a disk could not read now is there the next time.
            Err(error)
                if error.code() != Code::STORAGE
                    && self.shared.lock().pass_over(self.id, position) =>
            {
                tracing::error!(position, %error, "a dead letter cannot be sent again");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Deliveries for Attached {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Delivery>>> {
        Box::pin(self.pull(max))
    }

    fn held(&self) -> BTreeMap<Position, Option<String>> {
        self.held.clone()
    }

    fn released(&mut self) -> BTreeMap<Position, Option<String>> {
        self.shared.lock().released(self.id)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shared.lock().detach(self.id);
    }
}
