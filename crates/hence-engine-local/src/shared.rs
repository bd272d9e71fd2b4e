//! `Shared`: the tables behind their one lock, and what stands beside them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::core::Core;
use crate::identity::IdentityKey;
use crate::index::Index;
use crate::writer::Figures;

/// What the engine, its deliveries, its readers and its writer share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: IdentityKey,
    /// Tells readers at the end that there is more.
    pub(crate) appended: Notify,
    pub(crate) figures: Figures,
    /// What knows where events are; `None` where the journal is memory or no index is wanted.
    pub(crate) index: Option<Arc<Index>>,
}

impl Shared {
    pub(crate) fn new(
        core: Core,
        clock: &Arc<dyn Clock>,
        key: IdentityKey,
        index: Option<Arc<Index>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            core: Mutex::new(core),
            clock: Arc::clone(clock),
            key,
            appended: Notify::new(),
            figures: Figures::default(),
            index,
        })
    }

    /// The one lock. Nothing under it can leave the tables half changed, so that a panic elsewhere
    /// does no harm.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tables of `memory:`, and tells readers that wait when there is more.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let before = core.state.next;
        let changed = change(&mut core);
        // To tell them costs a lock of its own, and mostly there are none.
        let tells = core.state.next != before && std::mem::take(&mut core.followed);
        let gone = core.tail.take_gone();
        drop(core);
        drop(gone);
        if tells {
            self.appended.notify_waiters();
        }
        changed
    }
}
