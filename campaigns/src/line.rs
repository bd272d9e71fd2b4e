//! `Line`: what a subject tells the campaign over its pipe, one line each.
//!
//! A line is written with one `write` below the size that a pipe takes whole, so that a kill
//! never cuts one in half.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use hence::Durability;
use hence::core::{Entry, Message};
use serde::{Deserialize, Serialize};

/// One thing that a subject has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// The engine is open.
    Boot {
        /// How long that took, in microseconds.
        micros: u64,
        /// The newest position.
        last: u64,
        /// Bytes in the directory.
        bytes: u64,
    },
    /// An event is about to be published.
    Send {
        /// Its id.
        id: String,
        /// Its key.
        key: String,
        /// Its number within the key.
        number: u64,
        /// A hash of its data.
        hash: u64,
        /// The id of the first event of its batch.
        batch: String,
        /// How many events the batch has.
        size: usize,
    },
    /// An event was acknowledged.
    Ack {
        /// Its id.
        id: String,
        /// Where it stands.
        position: u64,
        /// Whether it is synced, or only written.
        synced: bool,
        /// Whether it was known before.
        duplicate: bool,
        /// When it was acknowledged, at the latest; see [`now`].
        at: u64,
    },
    /// An event was refused.
    Refused {
        /// Its id.
        id: String,
        /// Why.
        code: String,
    },
    /// A handler was called.
    Try {
        /// By which subscription.
        by: String,
        /// With which event.
        id: String,
        /// For the how manieth time.
        attempt: u32,
    },
    /// An event that stands in the log.
    Stored(Stored),
    /// A dead letter.
    Dead {
        /// Of which subscription.
        by: String,
        /// The event's id.
        id: String,
        /// Its position.
        position: u64,
        /// How many attempts were made.
        attempts: u32,
        /// Why it is there.
        reason: String,
    },
    /// The entries and dead letters asked for have all been told.
    Told,
    /// Everything is settled.
    Rest,
    /// Something else, for whoever reads the ledger.
    Note {
        /// The words.
        text: String,
    },
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Where.
    pub(crate) position: u64,
    /// Its id.
    pub(crate) id: String,
    /// Its source.
    pub(crate) source: String,
    /// Its type.
    pub(crate) event: String,
    /// Its key.
    pub(crate) key: String,
    /// The id of its cause.
    pub(crate) cause: String,
    /// The attempt that emitted it, for emitted events.
    pub(crate) attempt: u32,
    /// Its number within the key.
    pub(crate) number: u64,
    /// A hash of its data.
    pub(crate) hash: u64,
}

/// What every event of the campaigns carries, as far as the oracle looks at it.
#[derive(Deserialize)]
struct Data {
    number: u64,
    #[serde(default)]
    attempt: u32,
}

impl Stored {
    /// The description of an entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        let attributes = entry.message.attributes();
        let data = entry
            .message
            .data()
            .map(|data| &data[..])
            .unwrap_or_default();
        let parsed = serde_json::from_slice(data).unwrap_or(Data {
            number: 0,
            attempt: 0,
        });
        Self {
            position: entry.position.0,
            id: attributes.id().to_owned(),
            source: attributes.source().to_owned(),
            event: attributes.event_type().to_owned(),
            key: attributes.key().unwrap_or_default().to_owned(),
            cause: attributes.causation_id().unwrap_or_default().to_owned(),
            attempt: parsed.attempt,
            number: parsed.number,
            hash: hash(&entry.message),
        }
    }
}

/// A hash of the data of a message (FNV-1a).
pub(crate) fn hash(message: &Message) -> u64 {
    let data = message.data().map(|data| &data[..]).unwrap_or_default();
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Nanoseconds of the clock that all processes of a machine share.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

/// Whether a level survives a loss of power.
pub(crate) fn is_synced(level: Durability) -> bool {
    level >= Durability::Synced
}

/// The pipe to the campaign; clones are the same pipe.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<Mutex<()>>);

impl Pipe {
    /// Says one thing. When nobody listens any more the subject has no reason to go on.
    pub(crate) fn say(&self, line: &Line) {
        let mut bytes = serde_json::to_vec(line).unwrap_or_default();
        bytes.push(b'\n');
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = std::io::stdout().lock();
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            std::process::exit(3);
        }
    }
}
