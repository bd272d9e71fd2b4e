//! `Alone`: what was seen at a crash is handled while no other such delivery is, in any subscription of
//! the application; and whose turn it is can be told.

use std::sync::{Arc, Mutex, PoisonError};

use hence_core::Position;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::runtime::standing::Turn;

/// The one turn that there is.
#[derive(Clone)]
pub(super) struct Alone {
    free: Arc<Semaphore>,
    whose: Arc<Mutex<Option<Turn>>>,
}

/// A turn that one delivery has until this is dropped.
pub(crate) struct Had {
    whose: Arc<Mutex<Option<Turn>>>,
    _permit: OwnedSemaphorePermit,
}

impl Default for Alone {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(1)),
            whose: Arc::default(),
        }
    }
}

impl Alone {
    /// Waits for the turn, in the order in which it was asked for.
    pub(super) async fn turn(self, subscription: Arc<str>, position: Position) -> Option<Had> {
        let permit = self.free.acquire_owned().await.ok()?;
        let turn = Turn {
            subscription: subscription.to_string(),
            position,
        };
        set(&self.whose, Some(turn));
        Some(Had {
            whose: self.whose,
            _permit: permit,
        })
    }

    /// Who has the turn.
    pub(super) fn whose(&self) -> Option<Turn> {
        let whose = self.whose.lock();
        whose.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Had {
    /// The next one takes it after this, because the permit is given back behind it.
    fn drop(&mut self) {
        set(&self.whose, None);
    }
}

fn set(whose: &Mutex<Option<Turn>>, turn: Option<Turn>) {
    *whose.lock().unwrap_or_else(PoisonError::into_inner) = turn;
}
