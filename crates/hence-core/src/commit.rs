//! `Commit`: everything that changes the world is one commit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::dead_letter::{Discard, Edit};
use crate::delivery::{Outcome, Position};
use crate::error::{Code, Error};
use crate::message::Message;
use crate::time::Timestamp;

/// What an acknowledgement survives, from least to most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// In bounded memory: lost when the process ends.
    Accepted,
    /// In the page cache: survives `kill -9`, not a loss of power.
    Written,
    /// On stable storage: survives a loss of power.
    #[default]
    Synced,
}

impl Durability {
    /// The level as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Written => "written",
            Self::Synced => "synced",
        }
    }
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Durability {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Accepted, Self::Written, Self::Synced]
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| Code::DURABILITY.error(format!("there is no durability '{text}'")))
    }
}

/// Proof that an event is stored.
///
/// It shares the memory of the event; who keeps many of them keeps [`Receipt::alone`].
#[derive(Clone, Debug)]
pub struct Receipt {
    message: Message,
    /// Where it stands; absent only while that is not known, at `accepted`.
    pub position: Option<Position>,
    /// The durability that it has reached.
    pub durability: Durability,
    /// Whether the same event was stored before; then this is the first one's place.
    pub duplicate: bool,
}

impl Receipt {
    /// The receipt of a message that is stored for the first time.
    #[must_use]
    pub fn new(message: Message, position: Option<Position>, durability: Durability) -> Self {
        Self {
            message,
            position,
            durability,
            duplicate: false,
        }
    }

    /// The same receipt, with which the data of the event is not kept in memory.
    #[must_use]
    pub fn alone(&self) -> Self {
        let attributes = self.message.attributes().clone();
        Self {
            message: Message::new(attributes, None),
            ..*self
        }
    }

    /// The id of the event.
    #[must_use]
    pub fn id(&self) -> &str {
        self.message.attributes().id()
    }

    /// Its source.
    #[must_use]
    pub fn source(&self) -> &str {
        self.message.attributes().source()
    }
}

impl PartialEq for Receipt {
    fn eq(&self, other: &Self) -> bool {
        let rest = |of: &Self| (of.position, of.durability, of.duplicate);
        rest(self) == rest(other) && self.id() == other.id() && self.source() == other.source()
    }
}

impl Eq for Receipt {}

/// How one delivery of one subscription ended.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Whose delivery.
    pub subscription: Arc<str>,
    /// Of which message.
    pub position: Position,
    /// Which attempt ended, from 1.
    pub attempt: u32,
    /// How.
    pub outcome: Outcome,
    /// How long the handler ran.
    pub ran: Duration,
}

/// A change of what an engine keeps for one key of one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose it is.
    pub subscription: Arc<str>,
    /// Of which key.
    pub key: String,
    /// What becomes of it.
    pub what: What,
}

/// What becomes of the state of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The value is replaced.
    Write(Bytes),
    /// The value is removed.
    Remove,
    /// A timer is set, in place of the one of the same name.
    SetTimer {
        /// Its name within the key.
        name: String,
        /// The moment from which on it fires.
        due: Timestamp,
        /// What it publishes then. When an event of its source and id is known by that time, the
        /// timer ends and publishes nothing.
        message: Box<Message>,
    },
    /// The timer of this name ends without firing; there need not be one.
    CancelTimer {
        /// Its name within the key.
        name: String,
    },
}

/// Which batch of one sender this is: the first has number 1, the next 2, and so on.
///
/// The same number again, however late, is absorbed: an engine remembers how far each sender is, and
/// not only the newest ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Who sends; nobody else may use the name.
    pub sender: String,
    /// The number of the batch, from 1.
    pub number: u64,
}

/// One atomic unit: settlements, the events that follow from them, and state, all or nothing.
///
/// Publishing is a commit that settles nothing. When everything that a commit settles was settled
/// before, it changes nothing at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The deliveries that end with it.
    pub settle: Vec<Settlement>,
    /// The events that it appends, in this order.
    pub publish: Vec<Message>,
    /// The dead letters that it sends again, by id.
    pub redrive: Vec<String>,
    /// The dead letters that it gives up for good; later events of their keys go on.
    pub discard: Vec<Discard>,
    /// The dead letters that it sends again as edited copies, which take their places.
    pub edit: Vec<Edit>,
    /// What it changes of the state of keys, in this order.
    pub change: Vec<Change>,
    /// Which batch of its sender it is, if the sender counts.
    pub sequence: Option<Sequence>,
    /// The durability that it waits for.
    pub durability: Durability,
}

impl Commit {
    /// A commit that publishes these messages.
    #[must_use]
    pub fn publish(messages: Vec<Message>, durability: Durability) -> Self {
        Self {
            publish: messages,
            durability,
            ..Self::default()
        }
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.only_publishes()
    }

    /// Whether it would change nothing but for the events that it appends.
    #[must_use]
    pub fn only_publishes(&self) -> bool {
        self.settle.is_empty()
            && self.redrive.is_empty()
            && self.discard.is_empty()
            && self.edit.is_empty()
            && self.change.is_empty()
            && self.sequence.is_none()
    }
}
