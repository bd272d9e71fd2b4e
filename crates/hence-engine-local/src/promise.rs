//! What the local engine promises, and what of a commit it can never do.

use hence_core::commit::{Commit, Durability, What};
use hence_core::engine::{Capability, Feature};
use hence_core::error::{Code, Result};
use hence_core::message::Message;

/// The largest event, in bytes of data and attributes.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// The most events that one commit publishes.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// The most values and timers that one commit changes.
pub const CHANGES_MAX: usize = 1_000;

pub(crate) fn capability(name: &'static str, durability: Vec<Durability>) -> Capability {
    Capability::new(name, durability, EVENT_BYTES_MAX, BATCH_EVENTS_MAX).with_features(&[
        Feature::Keyed,
        Feature::Timers,
        Feature::Sequences,
    ])
}

/// Refuses what the engine can never do.
pub(crate) fn check(capability: &Capability, commit: &Commit) -> Result<()> {
    let reached = &capability.durability;
    if !reached.contains(&commit.durability) {
        let levels: Vec<&str> = reached.iter().map(|level| level.as_str()).collect();
        return Err(Code::DURABILITY.error(format!(
            "the engine '{}' does not reach '{}', only: {}",
            capability.name,
            commit.durability,
            levels.join(", ")
        )));
    }
    let events = commit.publish.len();
    if events > BATCH_EVENTS_MAX {
        return Err(Code::TOO_LARGE.error(format!(
            "a commit of {events} events; at most {BATCH_EVENTS_MAX} are taken"
        )));
    }
    let changes = commit.change.len();
    if changes > CHANGES_MAX {
        return Err(Code::TOO_LARGE.error(format!(
            "a commit of {changes} changes of state; at most {CHANGES_MAX} are taken"
        )));
    }
    let too_large = |message: &&Message| message.footprint() > EVENT_BYTES_MAX;
    let timed = commit.change.iter();
    let timed = timed.filter_map(|change| match &change.what {
        What::SetTimer { message, .. } => Some(&**message),
        What::Write(_) | What::Remove | What::CancelTimer { .. } => None,
    });
    let copies = commit.edit.iter().map(|edit| &edit.message);
    let mut all = commit.publish.iter().chain(timed).chain(copies);
    match all.find(too_large) {
        None => Ok(()),
        Some(message) => Err(Code::TOO_LARGE.error(format!(
            "event '{}' has more than {EVENT_BYTES_MAX} bytes",
            message.attributes().id()
        ))),
    }
}
