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
    named(cause, subscription, &[&ordinal.to_string()])
}

/// The id of the event of a timer that `subscription` sets for `cause`.
///
/// It is that of the timer: whoever lets the timer fire again publishes the same event.
pub(crate) fn of_timer(cause: &Attributes, subscription: &str, timer: &str) -> String {
    named(cause, subscription, &["timer", timer])
}

fn named(cause: &Attributes, subscription: &str, parts: &[&str]) -> String {
    let name = [&[cause.source(), cause.id(), subscription], parts].concat();
    Uuid::new_v5(&DERIVED, name.join("\0").as_bytes()).to_string()
}
