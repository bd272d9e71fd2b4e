//! `IntoEvents` and `Effects`: what a handler may return, and all that follows from a call, which is
//! stored when its commit succeeds.

use std::cell::Cell;

use bytes::Bytes;

use crate::delivery::Failure;
use crate::error::{Code, Result};
use crate::event::{Event, EventType};
use crate::time::Timestamp;

/// An event, encoded, before it has an identity.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The CloudEvents `type`.
    pub event_type: &'static str,
    /// The ordering key.
    pub key: Option<String>,
    /// The version of the data.
    pub version: u32,
    /// The data as JSON.
    pub data: Bytes,
}

impl Draft {
    /// Encodes an event.
    ///
    /// # Errors
    /// `HN0104` when it cannot be written as JSON.
    pub fn of<E: Event>(event: &E) -> Result<Self> {
        Ok(Self {
            event_type: E::TYPE,
            key: event.key().map(std::borrow::Cow::into_owned),
            version: E::VERSION,
            data: encode(event)?,
        })
    }
}

/// A timer as a handler leaves it.
#[derive(Clone, Debug)]
pub struct TimerDraft {
    /// Its name within the key.
    pub name: String,
    /// When it fires, and what it publishes then; `None` cancels it.
    pub set: Option<(Timestamp, Draft)>,
}

/// What follows from a call of a handler, stored with its settlement or not at all.
#[derive(Debug, Default)]
#[must_use = "what a handler did is lost unless it is committed"]
pub struct Effects {
    /// The events that are published, in this order.
    pub events: Vec<Draft>,
    /// The new value of the key; `Some(None)` when it is removed.
    pub value: Option<Option<Bytes>>,
    /// The timers of the key that are set or cancelled, in this order.
    pub timers: Vec<TimerDraft>,
    /// Why what follows cannot be stored.
    pub(crate) failure: Option<Failure>,
    /// Whether the handler still has the value of its key.
    pub(crate) borrowed: bool,
}

impl Effects {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.value.is_none() && self.timers.is_empty()
    }

    /// The effects, once the handler has let go of everything that it was given.
    ///
    /// # Errors
    /// `HN0404` when the value of the key cannot be written, or is still in use.
    pub fn complete(mut self) -> Result<Self, Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.borrowed {
            let text = "a `Keyed` value outlived its handler, so nobody knows what to store";
            return Err(Failure::reject(Code::KEYED_STATE.error(text)));
        }
        Ok(self)
    }
}

impl From<Vec<Draft>> for Effects {
    fn from(events: Vec<Draft>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }
}

/// Bytes that a thread keeps to write events into.
const KEPT_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// Where events are written, so that what is kept of each has just its size.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The data of an event, as JSON.
///
/// # Errors
/// `HN0104` when it cannot be written as JSON.
pub fn encode<E: Event>(event: &E) -> Result<Bytes> {
    // Taken out, because whoever writes an event may write another one meanwhile.
    let mut room = ROOM.take();
    room.clear();
    let written = serde_json::to_writer(&mut room, event);
    let data = written.map(|()| Bytes::copy_from_slice(&room));
    if room.capacity() <= KEPT_BYTES_MAX {
        ROOM.set(room);
    }
    data.map_err(|error| Code::ENCODE.caused(format!("'{}': {error}", E::TYPE), error))
}

/// What a handler may return: nothing, an event, an option, a list, a tuple, or an enum with
/// `#[derive(Events)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that a handler can return",
    label = "cannot be published",
    note = "return `()`, an event, `Option`, `Vec` or a tuple of events, or `Result` of these",
    note = "an event has `#[derive(Event)]`; an enum of events has `#[derive(Events)]`"
)]
pub trait IntoEvents: Send + 'static {
    /// Lists the types of events that may come out.
    fn types(types: &mut Vec<EventType>);

    /// Encodes the events, in the order in which they are to be published.
    ///
    /// # Errors
    /// `HN0104` when one of them cannot be written.
    fn encode(self, drafts: &mut Vec<Draft>) -> Result<()>;
}

impl<E: Event> IntoEvents for E {
    fn types(types: &mut Vec<EventType>) {
        types.push(EventType::of::<E>());
    }

    fn encode(self, drafts: &mut Vec<Draft>) -> Result<()> {
        drafts.push(Draft::of(&self)?);
        Ok(())
    }
}

impl IntoEvents for () {
    fn types(_: &mut Vec<EventType>) {}

    fn encode(self, _: &mut Vec<Draft>) -> Result<()> {
        Ok(())
    }
}

impl<T: IntoEvents> IntoEvents for Option<T> {
    fn types(types: &mut Vec<EventType>) {
        T::types(types);
    }

    fn encode(self, drafts: &mut Vec<Draft>) -> Result<()> {
        self.map_or(Ok(()), |event| event.encode(drafts))
    }
}

impl<T: IntoEvents> IntoEvents for Vec<T> {
    fn types(types: &mut Vec<EventType>) {
        T::types(types);
    }

    fn encode(self, drafts: &mut Vec<Draft>) -> Result<()> {
        self.into_iter().try_for_each(|event| event.encode(drafts))
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: IntoEvents),+> IntoEvents for ($($name,)+) {
            fn types(types: &mut Vec<EventType>) {
                $($name::types(types);)+
            }

            fn encode(self, drafts: &mut Vec<Draft>) -> Result<()> {
                #[expect(non_snake_case, reason = "the type parameters name the elements")]
                let ($($name,)+) = self;
                $($name.encode(drafts)?;)+
                Ok(())
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
