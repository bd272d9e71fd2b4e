//! `Senders`: how far each sender is that counts its batches, without a window of time.

use std::collections::HashMap;

/// Senders that one engine remembers. None is ever forgotten, because the next batch of one that is
/// forgotten could be stored twice; so a new one beyond these is refused.
pub const SENDERS_MAX: usize = 100_000;
/// The longest name of a sender, in bytes.
pub const SENDER_BYTES_MAX: usize = 255;

/// The newest batch of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Its number.
    pub(crate) number: u64,
    /// The position of its first event; 0 when some of its events had been stored before.
    pub(crate) first: u64,
    /// What its events hash to.
    pub(crate) content: u64,
}

/// Every sender that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Senders(HashMap<String, Sent>);

impl Senders {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, sender: &str) -> Option<Sent> {
        self.0.get(sender).copied()
    }

    pub(crate) fn set(&mut self, sender: &str, sent: Sent) {
        match self.0.get_mut(sender) {
            Some(known) => *known = sent,
            None => drop(self.0.insert(sender.to_owned(), sent)),
        }
    }

    /// Every sender, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Sent)> {
        self.0.iter().map(|(sender, sent)| (&**sender, *sent))
    }
}
