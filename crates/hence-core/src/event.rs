//! `Event`: a fact, as a Rust type, with a stable type name.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A fact that has happened, as a Rust type: `OrderPlaced`, not `PlaceOrder`.
///
/// Derive it. The type name is written out, so that renaming the struct never changes what is
/// stored; `key` names the field that orders events:
///
/// ```ignore
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "shop.order.placed", key = order_id)]
/// struct OrderPlaced { order_id: String, amount: f64 }
/// ```
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

    /// The ordering key: events with the same key are handled one after the other.
    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// A type of event as the wiring sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType {
    /// The CloudEvents `type`.
    pub name: &'static str,
    /// Whether its events carry a key.
    pub keyed: bool,
}

impl EventType {
    /// The description of `E`.
    #[must_use]
    pub const fn of<E: Event>() -> Self {
        Self {
            name: E::TYPE,
            keyed: E::KEYED,
        }
    }
}
