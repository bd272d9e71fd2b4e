//! `Delivery` and `Outcome`: one attempt to have a message handled, and how it ends.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::error::{Code, Error};
use crate::event::Event;
use crate::flow::Skip;
use crate::message::Message;
use crate::time::Timestamp;

/// Where a message stands in the order in which its engine acknowledged it; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| text.parse().ok())
            .flatten()
            .map(Self)
            .ok_or_else(|| Code::NOT_FOUND.error(format!("'{text}' is not a position")))
    }
}

/// One attempt to have one message handled by one subscription.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where the message stands.
    pub position: Position,
    /// The message.
    pub message: Message,
    /// When the engine took the message.
    pub appended: Timestamp,
    /// Which attempt this is; the first is 1. It rises with each that ended, over a redrive too, so
    /// that one which ended before cannot be taken for one of now. One that was cut off is made again
    /// under its number.
    pub attempt: u32,
    /// How many of the attempts were made before it was last redriven; 0 if it never was.
    pub before: u32,
    /// The moment before which the attempt must not begin, after a failure.
    pub due: Option<Timestamp>,
    /// Whether it comes from the dead letters, sent again.
    pub redriven: bool,
}

impl Delivery {
    /// Which attempt this is since the event was published or last redriven, from 1: what a
    /// handler is told, and what the limit of attempts counts.
    #[must_use]
    pub fn turn(&self) -> u32 {
        self.attempt.saturating_sub(self.before)
    }

    /// Decodes the message as `E` for a handler, as [`Message::decode`]. The first attempts of several
    /// subscriptions share one decoding where `E` is `Clone`; each later attempt decodes anew, so that
    /// it sees nothing of what one that failed wrote into what the copies share.
    ///
    /// # Errors
    /// As [`Message::decode`].
    pub fn decode<E: Event>(&self) -> Result<E, Error> {
        match self.attempt {
            0 | 1 => self.message.decode_as_taker(),
            _ => self.message.decode(),
        }
    }
}

/// How one attempt ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The handler is done with the message.
    Done,
    /// The attempt failed; the next one begins at `due`.
    Retry {
        /// When the next attempt may begin.
        due: Timestamp,
        /// What went wrong, in words.
        error: String,
    },
    /// The message goes to the dead letters.
    Reject {
        /// Why it is there.
        reason: RejectReason,
        /// What went wrong, in words.
        error: String,
        /// Whether later events of its key wait for it.
        hold: bool,
    },
    /// By choice of its subscription it is settled without a handler having done with it.
    Skipped {
        /// Why.
        why: Skip,
        /// The message in favour of which it was skipped, if there is one.
        by: Option<Position>,
    },
    /// The time of the message was over before a handler had it; it is settled without one.
    Expired {
        /// When it was over.
        at: Timestamp,
    },
}

/// Why a message became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The handler said so.
    Rejected,
    /// Every attempt failed.
    RetriesExhausted,
    /// The data does not decode into what the handler takes.
    Undecodable,
    /// Events caused one another more often than the subscription permits.
    Cycle,
    /// There was too much, and others were more urgent.
    Shed,
    /// The process ended several times in a row while a handler had it.
    Quarantined,
}

impl RejectReason {
    /// The reason as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::RetriesExhausted => "retries-exhausted",
            Self::Undecodable => "undecodable",
            Self::Cycle => "cycle",
            Self::Shed => "shed",
            Self::Quarantined => "quarantined",
        }
    }

    /// The reason that [`RejectReason::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Rejected,
            Self::RetriesExhausted,
            Self::Undecodable,
            Self::Cycle,
            Self::Shed,
            Self::Quarantined,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == text)
    }
}

/// What a handler returns when it did not succeed.
///
/// Any error turns into a `Failure` that retries, so `?` is enough. [`Failure::reject`] sends the
/// message to the dead letters at once.
#[derive(Debug)]
pub struct Failure {
    reject: bool,
    after: Option<Duration>,
    error: Box<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    /// Try again later, as the subscription's retry policy says.
    pub fn retry(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            reject: false,
            after: None,
            error: error.into(),
        }
    }

    /// Try again after this while, in place of the policy's.
    pub fn retry_after(
        wait: Duration,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            reject: false,
            after: Some(wait),
            error: error.into(),
        }
    }

    /// Never try again: to the dead letters at once.
    pub fn reject(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            reject: true,
            after: None,
            error: error.into(),
        }
    }

    /// Whether it asks for the dead letters at once.
    #[must_use]
    pub fn is_reject(&self) -> bool {
        self.reject
    }

    /// The wait it asks for, if it names one.
    #[must_use]
    pub fn after(&self) -> Option<Duration> {
        self.after
    }

    /// The error and its causes in one line, joined by `: `.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let next: Cow<'_, str> = error.to_string().into();
            if !text.contains(&*next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }
}

// `Failure` itself is no `std::error::Error`, so this cannot meet `From<Failure> for Failure`.
impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}
