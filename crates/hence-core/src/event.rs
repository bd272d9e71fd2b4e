//! `Event`: a fact, as a Rust type, with a stable type name.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Code, Result};

/// A fact that has happened, as a Rust type: `OrderPlaced`, not `PlaceOrder`.
///
/// Derive it. The type name is written out, so that renaming the struct never changes what is
/// stored; `key` names the field that orders events:
///
/// ```text
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "shop.order.placed", key = order_id)]
/// struct OrderPlaced { order_id: String, amount: f64 }
/// ```
///
/// Where several subscriptions take a type that is `Clone`, its events are decoded once and copied,
/// which mostly costs far less. Each handler has a clone of its own. What clones share, such as what is
/// in an `Arc<Mutex<…>>` under `#[serde(skip)]`, is then shared by the first attempts of these handlers;
/// a later attempt is always decoded anew. A type that must share nothing must not be `Clone`, or
/// has a `Clone` that copies such a field, too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an `Event`",
    note = "put `#[derive(Event, Serialize, Deserialize)]` and `#[event(type = \"…\")]` on `{Self}`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The CloudEvents `type`, for example `shop.order.placed`.
    const TYPE: &'static str;

    /// Whether events of this type carry a key, and so an order.
    const KEYED: bool = false;

    /// The version of its data, carried as the attribute `dataversion`. Data of a version before
    /// this one is brought to it when it is read: from the log, or from the dead letters.
    const VERSION: u32 = 1;

    /// The ordering key: events with the same key are handled one after the other.
    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// A copy, if the type is `Clone`: then an event that several subscriptions take is decoded once.
    /// The derive writes it.
    #[doc(hidden)]
    fn copied(&self) -> Option<Self> {
        None
    }

    /// Reads data of a version.
    ///
    /// # Errors
    /// `HN0105` when it does not decode, or the version is not known.
    fn read(version: u32, data: &[u8]) -> Result<Self> {
        if version != Self::VERSION {
            return Self::upcast(version, data);
        }
        let undecodable = |error: serde_json::Error| {
            Code::UNDECODABLE.caused(format!("'{}': {error}", Self::TYPE), error)
        };
        serde_json::from_slice(data).map_err(undecodable)
    }

    /// Reads data of another version and brings it to this one. The derive writes it where it says
    /// `upcasts = OrderPlacedV1`.
    ///
    /// # Errors
    /// `HN0105` when it does not decode, or the version is not known.
    fn upcast(version: u32, _data: &[u8]) -> Result<Self> {
        Err(Code::UNDECODABLE.error(format!(
            "'{}': version {version} of the data is not known here, only up to {}",
            Self::TYPE,
            Self::VERSION
        )))
    }
}

/// A type of event as the wiring sees it.
#[derive(Clone, Copy, Debug)]
pub struct EventType {
    /// The CloudEvents `type`.
    pub name: &'static str,
    /// Whether its events carry a key.
    pub keyed: bool,
    /// The key within encoded data of a version, if the data decodes; for events that come without
    /// one.
    pub key_of: fn(u32, &[u8]) -> Result<Option<String>>,
}

impl EventType {
    /// The description of `E`.
    #[must_use]
    pub const fn of<E: Event>() -> Self {
        Self {
            name: E::TYPE,
            keyed: E::KEYED,
            key_of: key_of::<E>,
        }
    }
}

fn key_of<E: Event>(version: u32, data: &[u8]) -> Result<Option<String>> {
    let event = E::read(version, data)?;
    Ok(event.key().map(Cow::into_owned))
}

/// What can order events: whatever has a text, such as `String`, an integer, or a type of yours
/// with `Display`. Equal keys must have equal texts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of an event",
    label = "has no text to order by",
    note = "a key is a field with a text: a `String`, an integer, or a type with `impl Display`"
)]
pub trait KeyText {
    /// The text, borrowed where the field is a `String`.
    fn text(&self) -> Cow<'_, str>;
}

#[diagnostic::do_not_recommend]
impl<T: Display + 'static> KeyText for T {
    fn text(&self) -> Cow<'_, str> {
        // Known when compiled for each `T`: nothing of it is left at run time.
        match (self as &dyn Any).downcast_ref::<String>() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.to_string()),
        }
    }
}

/// How the derive copies an event whose type may be `Clone`: the method of the first of these traits
/// that has one is taken (see "autoref specialization" by D. Tolnay).
#[doc(hidden)]
pub mod copy {
    pub struct Copier<'a, E>(pub &'a E);

    pub trait ByClone<E> {
        fn copied(&self) -> Option<E>;
    }

    impl<E: Clone> ByClone<E> for &Copier<'_, E> {
        fn copied(&self) -> Option<E> {
            Some(self.0.clone())
        }
    }

    pub trait NotAtAll<E> {
        fn copied(&self) -> Option<E>;
    }

    impl<E> NotAtAll<E> for Copier<'_, E> {
        fn copied(&self) -> Option<E> {
            None
        }
    }
}

/// Whether one event is an older version of another, for assertions while compiling.
#[doc(hidden)]
#[must_use]
pub const fn is_older<Old: Event, New: Event>() -> bool {
    same_name(Old::TYPE, New::TYPE) && Old::VERSION < New::VERSION
}

/// Whether two names are the same, for assertions while compiling.
#[doc(hidden)]
#[must_use]
pub const fn same_name(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let ([head, rest @ ..], [other, others @ ..]) = (a, b) {
        if *head != *other {
            return false;
        }
        (a, b) = (rest, others);
    }
    a.is_empty() && b.is_empty()
}
