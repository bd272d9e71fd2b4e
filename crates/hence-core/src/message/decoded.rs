//! `Decoded`: an event that several subscriptions take, decoded once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::event::Event;

/// The event of a message, as long as others will decode it, too. Of what one subscription takes
/// there is none.
#[derive(Default)]
pub(super) struct Decoded(OnceLock<Box<Mutex<Shared>>>);

type Copy = Arc<dyn Any + Send + Sync>;

struct Shared {
    /// So many more are expected to decode it.
    left: usize,
    event: Option<Copy>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let_go(self.event.take());
    }
}

/// Lets go of a copy. That is code of the application, on a thread that has other work to do, such
/// as to write the log: a panic of it, which its hook has reported, ends here.
fn let_go(event: Option<Copy>) {
    drop(catch_unwind(AssertUnwindSafe(|| drop(event))));
}

impl Decoded {
    pub(super) fn expect(&self, takers: usize) {
        let shared = || Shared {
            left: takers,
            event: None,
        };
        // Whoever said it first is right: a message is published once.
        self.0.get_or_init(|| Box::new(Mutex::new(shared())));
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
        match event?.downcast::<E>() {
            Ok(event) => Arc::try_unwrap(event).map_or_else(|event| event.copied(), Some),
            // Another takes the same type of event as another type of Rust.
            Err(other) => {
                let_go(Some(other));
                None
            }
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
        let copy: Copy = Arc::new(copy);
        let Some(mut shared) = self.lock() else {
            return;
        };
        let unwanted = match shared.left {
            0 => Some(copy),
            _ => shared.event.replace(copy),
        };
        drop(shared);
        let_go(unwanted);
    }

    /// Nobody else is expected.
    pub(super) fn forget(&self) {
        let Some(mut shared) = self.lock() else {
            return;
        };
        shared.left = 0;
        let event = shared.event.take();
        drop(shared);
        let_go(event);
    }
}
