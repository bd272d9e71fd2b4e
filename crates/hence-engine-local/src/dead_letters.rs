//! `Dead`: a message that a subscription could not handle, kept with its bytes and its cause.

use hence_core::delivery::{DeadLetter, Position, RejectReason};
use hence_core::error::{Code, Result};
use hence_core::message::Message;
use hence_core::time::Timestamp;

/// The longest text of an error that is kept, in bytes.
pub const ERROR_BYTES_MAX: usize = 4096;

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) message: Message,
    /// When the message was taken.
    pub(crate) appended: Timestamp,
    pub(crate) reason: RejectReason,
    pub(crate) error: String,
    pub(crate) attempts: u32,
    pub(crate) since: Timestamp,
    pub(crate) hold: bool,
    /// How often it came here.
    pub(crate) rejections: u32,
    /// Sent again and not settled yet.
    pub(crate) redriven: bool,
}

impl Dead {
    pub(crate) fn to_letter(&self, subscription: &str, position: u64) -> DeadLetter {
        DeadLetter {
            id: id(subscription, position),
            subscription: subscription.to_owned(),
            position: Position(position),
            message: self.message.clone(),
            reason: self.reason,
            error: self.error.clone(),
            attempts: self.attempts,
            since: self.since,
            hold: self.hold,
        }
    }
}

/// The id of a dead letter.
fn id(subscription: &str, position: u64) -> String {
    format!("{subscription}.{position}")
}

/// The subscription and the position that an id names.
pub(crate) fn parse(id: &str) -> Result<(&str, u64)> {
    id.rsplit_once('.')
        .and_then(|(subscription, position)| {
            Some((subscription, position.parse::<Position>().ok()?.0))
        })
        .ok_or_else(|| not_found(id))
}

pub(crate) fn not_found(id: &str) -> hence_core::Error {
    Code::NOT_FOUND.error(format!("there is no dead letter '{id}'"))
}

/// The beginning of an error's text, as much as is kept.
pub(crate) fn clip(mut error: String) -> String {
    if error.len() > ERROR_BYTES_MAX {
        let end = (0..=ERROR_BYTES_MAX)
            .rev()
            .find(|at| error.is_char_boundary(*at));
        error.truncate(end.unwrap_or(0));
    }
    error
}
