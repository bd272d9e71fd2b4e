//! What a pump says when it is asked where a delivery is and what it waits for.

use hence_core::{Position, Timestamp};
use tokio::sync::oneshot;

use crate::pause::Paused;

/// Questions that a pump has not answered yet; whoever asks beyond them waits.
pub(crate) const QUESTIONS_MAX: usize = 16;

/// What a pump is asked.
pub(crate) enum Asked {
    /// Where a delivery is.
    Where(Question),
    /// To begin no more calls, or to go on.
    Halt(Halt),
}

/// What a pump is told when somebody pauses its subscription, or lets it go on.
pub(crate) struct Halt {
    pub(crate) paused: Option<Paused>,
    /// Once no call begins any more.
    pub(crate) heard: oneshot::Sender<()>,
}

/// Where one delivery is.
pub(crate) struct Question {
    pub(crate) position: Position,
    /// The key of its event.
    pub(crate) key: Option<String>,
    pub(crate) answer: oneshot::Sender<Standing>,
}

/// How a subscription stands, as far as one delivery has to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where the delivery is.
    pub place: Place,
    /// What keeps the whole subscription from beginning another call now.
    pub stops: Vec<Stop>,
    /// How many attempts a delivery has in all.
    pub attempts: u32,
}

/// Where a delivery is in the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// It waits for nothing here: it has not been pulled, is with a handler, or is settled.
    Elsewhere,
    /// Its last attempt failed, and the next one begins at this moment.
    BacksOff(Timestamp),
    /// It came too soon behind another of its group; it goes on at this moment, unless a further one
    /// takes its place.
    Debounced(Timestamp),
    /// It was its turn while events waited too long, and others are more urgent; it has its turn
    /// again at this moment.
    Shed(Timestamp),
    /// It may have been with a handler when the process before this one ended; that is noted before
    /// it is handled again.
    Noted,
    /// It was seen at crashes of the process, and is handled while no other such one is, in any
    /// subscription of the application.
    Alone {
        /// How many crashes.
        crashes: u32,
        /// Whose turn it is now; `None` between one and the next.
        turn: Option<Turn>,
    },
    /// It waits for its turn.
    Waits {
        /// How many go before it: of its key, or of those without a key; `None` where that changes
        /// as time goes by.
        ahead: Option<usize>,
        /// Why those of its key do not go on.
        behind: Option<Behind>,
    },
}

/// A delivery that was seen at a crash and is handled, or about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its subscription.
    pub subscription: String,
    /// Its event.
    pub position: Position,
}

/// What the first of a key waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behind {
    /// One that is with a handler, or is being settled.
    Running,
    /// One whose attempt failed and which is tried again at this moment.
    BacksOff(Position, Timestamp),
    /// One that was seen at a crash, and waits until it may be handled alone.
    Alone(Position),
    /// A dead letter, until it is redriven or discarded.
    DeadLetter(Position),
    /// As many calls as its group may have at a time.
    Group {
        /// The value of the attribute that makes the group; `None` for those without it.
        name: Option<String>,
        /// How many calls that is.
        most: usize,
    },
}

/// What keeps a subscription from beginning a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// As many calls as it may have run.
    Concurrency(usize),
    /// Its throttle permits the next one at this moment.
    Throttle(Timestamp),
    /// A storm of failures has stopped it; it tries with one event at this moment, or does so now.
    Tripped(Option<Timestamp>),
    /// So much waits behind failures that no more is pulled; this is the limit, in words.
    Paused(String),
    /// Somebody has paused it.
    Asked(Paused),
    /// So much waits that nothing more is pulled until some of it has ended.
    Full,
    /// A batch is not full yet, and not old enough before this moment.
    Batch(Timestamp),
    /// The engine cannot be read; it is tried again at this moment.
    Reading(Timestamp),
}
