//! Identities: new ones for what enters, derived ones for what follows.

use std::cell::RefCell;

use fastrand::Rng;
use hence_core::{Attributes, Timestamp};
use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

/// The namespace of derived ids (RFC 9562 §5.5); a random constant of Hence.
const DERIVED: Uuid = Uuid::from_u128(0x5b0f_36f1_6c0e_4d57_9d4e_87d1_3a52_c0de);

/// The text of an identity.
pub(crate) struct Id([u8; Hyphenated::LENGTH]);

impl Id {
    fn of(uuid: Uuid) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        uuid.as_hyphenated().encode_lower(&mut text);
        Self(text)
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

thread_local! {
    /// What makes the ids of this thread unlike all others: numbers that never repeat, and a
    /// constant over all bits, because 64 bits of a seed alone would be too few. Both come from
    /// the operating system, which is asked once.
    static UNLIKE: RefCell<(Rng, u128)> = RefCell::new({
        let (seed, _) = Uuid::new_v4().as_u64_pair();
        (Rng::with_seed(seed), Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().swap_bytes())
    });
}

/// An id for an event that enters now: time-ordered, unique (RFC 9562 §5.7).
///
/// 74 bits beside the millisecond are random.
pub(crate) fn fresh(now: Timestamp) -> Id {
    let random = UNLIKE.with_borrow_mut(|(rng, constant)| rng.u128(..) ^ *constant);
    let [random @ .., _, _, _, _, _, _] = random.to_le_bytes();
    let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
    Id::of(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// The id of the `ordinal`-th event that `subscription` publishes for `cause`.
///
/// The same call gives the same id, so a handler that runs again publishes the same events, and
/// every engine can absorb them.
pub(crate) fn derived(cause: &Attributes, subscription: &str, ordinal: usize) -> Id {
    named(cause, subscription, &[&ordinal.to_string()])
}

/// The id of the event of a timer that `subscription` sets for `cause`.
///
/// It is that of the timer: whoever lets the timer fire again publishes the same event.
pub(crate) fn of_timer(cause: &Attributes, subscription: &str, timer: &str) -> Id {
    named(cause, subscription, &["timer", timer])
}

fn named(cause: &Attributes, subscription: &str, parts: &[&str]) -> Id {
    let name = [&[cause.source(), cause.id(), subscription], parts].concat();
    Id::of(Uuid::new_v5(&DERIVED, name.join("\0").as_bytes()))
}

/// The id of what `sender` counts as this number.
pub(crate) fn sequenced(source: &str, sender: &str, number: u64) -> String {
    let name = [source, sender, &number.to_string(), "sequence"].join("\0");
    Uuid::new_v5(&DERIVED, name.as_bytes()).to_string()
}

/// The id of the copy that takes the place of `original` in `subscription`, by its data.
pub(crate) fn edited(original: &Attributes, subscription: &str, data: &[u8]) -> String {
    let name = [original.source(), original.id(), subscription, "edited", ""].join("\0");
    Uuid::new_v5(&DERIVED, &[name.as_bytes(), data].concat()).to_string()
}
