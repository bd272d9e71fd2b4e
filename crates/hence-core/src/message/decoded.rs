//! `Decoded`: an event that several subscriptions take, decoded once.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::event::Event;

/// The event of a message, as long as others will decode it, too. Of what one subscription takes
/// there is none.
#[derive(Default)]
pub(super) struct Decoded(OnceLock<Box<Mutex<Shared>>>);

struct Shared {
    /// So many more are expected to decode it.
    left: usize,
    event: Option<Arc<dyn Any + Send + Sync>>,
}

impl Decoded {
    pub(super) fn expect(&self, takers: usize) {
        if takers > 1 {
            let shared = Shared {
                left: takers,
                event: None,
            };
            // Whoever said it first is right: a message is published once.
            self.0.get_or_init(|| Box::new(Mutex::new(shared)));
        }
    }

    pub(super) fn expects(&self) -> bool {
        self.0.get().is_some()
    }

    fn lock(&self) -> Option<MutexGuard<'_, Shared>> {
        let shared = self.0.get()?;
        Some(shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The event for one who decodes it, if another has done so before.
    pub(super) fn next<E: Event>(&self) -> Option<E> {
        let mut shared = self.lock()?;
        shared.left = shared.left.saturating_sub(1);
        let event = match shared.left {
            0 => shared.event.take(),
            _ => shared.event.clone(),
        };
        drop(shared);
        match Arc::try_unwrap(event?.downcast::<E>().ok()?) {
            Ok(event) => Some(event),
            Err(event) => event.copied(),
        }
    }

    /// Keeps a copy for those who are still expected, if the event can be copied.
    pub(super) fn keep<E: Event>(&self, event: &E) {
        let is_wanted = |shared: MutexGuard<'_, Shared>| shared.left > 0 && shared.event.is_none();
        if !self.lock().is_some_and(is_wanted) {
            return;
        }
        // The event's own code runs, so under no lock.
        let Some(copy) = event.copied() else {
            return;
        };
        if let Some(mut shared) = self.lock()
            && shared.left > 0
        {
            shared.event = Some(Arc::new(copy));
        }
    }

    /// Nobody else is expected.
    pub(super) fn forget(&self) {
        if let Some(mut shared) = self.lock() {
            (shared.left, shared.event) = (0, None);
        }
    }
}
