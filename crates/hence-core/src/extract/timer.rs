//! `Timer<E>`: an event that is published later, unless it is replaced or cancelled before.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Call, Extract, lock};
use crate::delivery::Failure;
use crate::emit::{Draft, Effects, TimerDraft};
use crate::error::Result;
use crate::event::{Event, EventType};
use crate::handler::Signature;
use crate::time::Timestamp;

/// A durable timer of the event's key, of this subscription, that publishes an `E` when it is due.
///
/// There is one for each key and each type of event; [`named`](Self::named) gives others. Setting it
/// again replaces it. What a handler does with it takes place with its commit, or not at all.
///
/// ```
/// # use std::time::Duration;
/// # use hence_core::{Error, Timer};
/// # struct OrderPlaced;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct PaymentMissed;
/// # impl hence_core::Event for PaymentMissed { const TYPE: &'static str = "payment.missed"; }
/// async fn wait_for_payment(_: OrderPlaced, deadline: Timer<PaymentMissed>) -> Result<(), Error> {
///     deadline.after(Duration::from_secs(3600), PaymentMissed)
/// }
/// ```
///
/// The event goes to whoever takes its type, as any other; it has the key of the timer unless it has
/// one of its own. Once it is published it cannot be called back: a handler that takes it looks at its
/// [`Keyed`](super::Keyed) value to see whether it still matters.
///
/// # Guarantees
/// It survives a crash, never fires early, and publishes its event once (G10): the commit that
/// publishes it ends the timer. Time runs on by the monotonic clock while the process lives, whoever
/// sets the wall clock.
///
/// # Engines
/// Those with [`Feature::Timers`](crate::engine::Feature::Timers).
pub struct Timer<E> {
    name: String,
    effects: Arc<Mutex<Effects>>,
    event: PhantomData<fn(E)>,
}

impl<E: Event> Timer<E> {
    /// Publishes an event after a while, counted from now.
    ///
    /// # Errors
    /// `HN0104` when the event cannot be encoded.
    pub fn after(&self, wait: Duration, event: E) -> Result<()> {
        self.at(Timestamp::steady().after(wait), event)
    }

    /// Publishes an event at a moment; at once when it is over.
    ///
    /// # Errors
    /// As [`Timer::after`].
    pub fn at(&self, due: Timestamp, event: E) -> Result<()> {
        let draft = Draft::of(&event)?;
        self.leave(Some((due, draft)));
        Ok(())
    }

    /// Ends it, so that it publishes nothing. There need not be one.
    pub fn cancel(&self) {
        self.leave(None);
    }

    /// Another timer of the same key.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            effects: Arc::clone(&self.effects),
            event: PhantomData,
        }
    }

    fn leave(&self, set: Option<(Timestamp, Draft)>) {
        let name = self.name.clone();
        lock(&self.effects).timers.push(TimerDraft { name, set });
    }
}

impl<E: Event> Extract for Timer<E> {
    fn describe(signature: &mut Signature) {
        signature.timed.push(EventType::of::<E>());
    }

    fn extract(call: &Call) -> Result<Self, Failure> {
        call.needs_key("a Timer")?;
        Ok(Self {
            name: E::TYPE.to_owned(),
            effects: Arc::clone(call.effects()),
            event: PhantomData,
        })
    }
}
