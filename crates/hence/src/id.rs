//! Identities: new ones for what enters, derived ones for what follows.

use hence_core::Attributes;
use uuid::Uuid;

/// The namespace of derived ids (RFC 9562 §5.5); a random constant of Hence.
const DERIVED: Uuid = Uuid::from_u128(0x5b0f_36f1_6c0e_4d57_9d4e_87d1_3a52_c0de);

/// An id for an event that enters: time-ordered, unique.
pub(crate) fn fresh() -> String {
    Uuid::now_v7().to_string()
}

/// The id of the `ordinal`-th event that `subscription` publishes for `cause`.
///
/// The same call gives the same id, so a handler that runs again publishes the same events, and
/// every engine can absorb them.
pub(crate) fn derived(cause: &Attributes, subscription: &str, ordinal: usize) -> String {
    let name = [
        cause.source(),
        cause.id(),
        subscription,
        &ordinal.to_string(),
    ]
    .join("\0");
    Uuid::new_v5(&DERIVED, name.as_bytes()).to_string()
}

/// The id of the copy that takes the place of `original` in `subscription`, by its data.
pub(crate) fn edited(original: &Attributes, subscription: &str, data: &[u8]) -> String {
    let name = [original.source(), original.id(), subscription, "edited", ""].join("\0");
    Uuid::new_v5(&DERIVED, &[name.as_bytes(), data].concat()).to_string()
}
