//! `Keyed<T>`: a durable value for each subscription and key.

use std::any::type_name;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Call, Extract, lock};
use crate::delivery::Failure;
use crate::emit::Effects;
use crate::error::Code;
use crate::handler::Signature;

/// A durable value of the event's key, of this subscription: read when the handler is called, written
/// when its commit succeeds.
///
/// It reads as a `T` and is changed as one; the first time it is `T::default()`. What it is when the
/// handler drops it is stored as JSON, in the one commit that settles the event, unless it is as it
/// was. When the handler fails nothing is stored, and the next attempt begins with the value of
/// before.
///
/// ```
/// # use hence_core::Keyed;
/// # struct Scanned;
/// async fn count(_: Scanned, mut scans: Keyed<u32>) {
///     *scans += 1;
/// }
/// ```
///
/// # Guarantees
/// It is applied once (G7), and two events of one key never meet: the runtime calls a handler for one
/// at a time. So the order must be `PerKey` or `Fifo`, and each event must have a key.
///
/// # Engines
/// Those with [`Feature::Keyed`](crate::engine::Feature::Keyed).
///
/// # Errors
/// `HN0404` sends the event to the dead letters: it has no key, the stored value is no `T`, or the new
/// one cannot be written.
pub struct Keyed<T: Serialize> {
    key: String,
    value: T,
    state: Touched,
    /// The value as it was read, to see whether it changed.
    before: Option<Bytes>,
    /// Where it goes; nowhere when it was made for a test.
    effects: Option<Arc<Mutex<Effects>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Touched {
    No,
    Perhaps,
    Removed,
}

impl<T: Serialize> Keyed<T> {
    /// A value of a key, to call a handler directly, as in a unit test; it is stored nowhere.
    pub fn new(key: &str, value: T) -> Self {
        Self {
            key: key.to_owned(),
            value,
            state: Touched::No,
            before: None,
            effects: None,
        }
    }

    /// The key of the event.
    #[must_use]
    pub fn key(this: &Self) -> &str {
        &this.key
    }

    /// Removes the value, so that it costs nothing any more; the next event of the key finds the
    /// default. Changing it afterwards keeps it.
    pub fn remove(this: &mut Self)
    where
        T: Default,
    {
        this.value = T::default();
        this.state = Touched::Removed;
    }
}

impl<T: Serialize> Deref for Keyed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Serialize> DerefMut for Keyed<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.state = Touched::Perhaps;
        &mut self.value
    }
}

impl<T: Serialize + fmt::Debug> fmt::Debug for Keyed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("key", &self.key)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

impl<T: Serialize> Drop for Keyed<T> {
    fn drop(&mut self) {
        let Some(effects) = &self.effects else {
            return;
        };
        let mut effects = lock(effects);
        effects.borrowed = false;
        match self.state {
            Touched::No => {}
            Touched::Removed => effects.value = self.before.is_some().then_some(None),
            Touched::Perhaps => match serde_json::to_vec(&self.value) {
                Ok(value) if self.before.as_deref() == Some(&*value) => {}
                Ok(value) => effects.value = Some(Some(value.into())),
                Err(error) => {
                    effects.failure = Some(unusable::<T>(&self.key, "cannot be written", error));
                }
            },
        }
    }
}

/// Another attempt would end the same way, so there is none.
fn unusable<T>(key: &str, what: &str, error: serde_json::Error) -> Failure {
    let name = type_name::<T>();
    let text = format!("the value of key '{key}' {what} as {name}: {error}");
    Failure::reject(Code::KEYED_STATE.caused(text, error))
}

impl<T: Serialize + DeserializeOwned + Default + Send + 'static> Extract for Keyed<T> {
    fn describe(signature: &mut Signature) {
        signature.keyed.push(type_name::<T>());
    }

    fn extract(call: &Call) -> Result<Self, Failure> {
        let key = call.needs_key("a Keyed value")?;
        let before = call.value.clone().ok_or_else(|| {
            let text = format!("the value of key '{key}' was not looked up");
            Failure::from(Code::INTERNAL.error(text))
        })?;
        let value = match &before {
            None => T::default(),
            Some(bytes) => serde_json::from_slice(bytes)
                .map_err(|error| unusable::<T>(key, "cannot be read", error))?,
        };
        let effects = Arc::clone(call.effects());
        lock(&effects).borrowed = true;
        Ok(Self {
            key: key.to_owned(),
            value,
            state: Touched::No,
            before,
            effects: Some(effects),
        })
    }
}
