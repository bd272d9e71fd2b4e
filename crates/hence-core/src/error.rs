//! `Error`: one opaque error for the core, the engines and the library.
//!
//! Every error carries a [`Code`]; every code has a page `docs/errors/HN….md` that says what
//! happened, why, and how to cure it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of trouble an error is, for callers that branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The input does not say what it must, or says it wrongly.
    Invalid,
    /// The input is larger than a limit.
    TooLarge,
    /// It contradicts something that is already stored.
    Conflict,
    /// There is no such thing.
    NotFound,
    /// The engine does not promise what was asked for.
    Unsupported,
    /// A queue or the disk is full; later it may succeed.
    Full,
    /// The engine cannot be used now: closed, draining, or storage failed.
    Unavailable,
    /// Stored bytes are damaged.
    Corrupt,
    /// The application is wired wrongly.
    Wiring,
    /// A handler failed.
    Handler,
    /// A defect of Hence itself.
    Internal,
}

/// A stable error code, such as `HN0101`, with its constant title.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code {
    id: &'static str,
    title: &'static str,
    kind: Kind,
    retryable: bool,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $kind:ident, $retryable:literal, $title:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self =
                Self { id: $id, title: $title, kind: Kind::$kind, retryable: $retryable };)*

            /// Every code of the library, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// An attribute breaks the rules of CloudEvents.
    ATTRIBUTE = "HN0101", Invalid, false, "Attribute not valid";
    /// Bytes that should be a CloudEvent are not one.
    NOT_A_CLOUDEVENT = "HN0102", Invalid, false, "Not a CloudEvent";
    /// A batch or an event is larger than the engine takes.
    TOO_LARGE = "HN0103", TooLarge, false, "Event too large";
    /// An event could not be turned into bytes.
    ENCODE = "HN0104", Invalid, false, "Event cannot be encoded";
    /// The bytes of an event do not decode into the type its handler wants.
    UNDECODABLE = "HN0105", Invalid, false, "Event cannot be decoded";
    /// The engine URL is not understood.
    ENGINE_URL = "HN0201", Wiring, false, "Engine URL not understood";
    /// The engine does not reach the durability that was asked for.
    DURABILITY = "HN0202", Unsupported, false, "Durability not available";
    /// The engine is closed or draining.
    CLOSED = "HN0203", Unavailable, true, "Engine closed";
    /// Storage failed; the log is read-only until it is opened again.
    STORAGE = "HN0204", Unavailable, false, "Storage failed";
    /// The disk, or the part of it that the log may use, is full.
    STORAGE_FULL = "HN0205", Full, true, "Storage full";
    /// Stored bytes are damaged.
    CORRUPT = "HN0206", Corrupt, false, "Log damaged";
    /// Another process uses the data directory.
    LOCKED = "HN0207", Unavailable, true, "Data directory in use";
    /// The data directory has a format that this version does not read.
    FORMAT = "HN0208", Unsupported, false, "Data directory of another format";
    /// The same source and id with other content.
    DUPLICATE = "HN0209", Conflict, false, "Same id, other content";
    /// The queue of the engine is full.
    QUEUE_FULL = "HN0210", Full, true, "Queue full";
    /// There is no such event, subscription or dead letter.
    NOT_FOUND = "HN0211", NotFound, false, "Not found";
    /// The file system cannot promise that what was synced survives.
    FILE_SYSTEM = "HN0212", Wiring, false, "File system cannot sync";
    /// Something is in the directory in which a log is to be made.
    NOT_EMPTY = "HN0213", Conflict, false, "Directory not empty";
    /// Only a snapshot knows what is to be thrown away.
    SNAPSHOT_NEEDED = "HN0214", Conflict, false, "Snapshot needed";
    /// A backup is not whole, or not what was written.
    BACKUP = "HN0215", Corrupt, false, "Backup not usable";
    /// An edited copy cannot take the place of its dead letter.
    EDIT = "HN0216", Conflict, false, "Edit not possible";
    /// The engine does not have what was asked for.
    FEATURE = "HN0221", Unsupported, false, "Engine lacks a feature";
    /// Keyed state, timers or senders are over a limit.
    STATE_FULL = "HN0222", Full, false, "State over its limit";
    /// A batch of a sender is missing before this one.
    SEQUENCE_GAP = "HN0223", Conflict, false, "Gap in a sequence";
    /// The application does not hold together; every problem is listed.
    WIRING = "HN0301", Wiring, false, "Application wired wrongly";
    /// A handler returned an error.
    HANDLER_FAILED = "HN0401", Handler, true, "Handler failed";
    /// A handler panicked.
    HANDLER_PANICKED = "HN0402", Handler, true, "Handler panicked";
    /// A handler ran longer than its time-out.
    HANDLER_TIMEOUT = "HN0403", Handler, true, "Handler timed out";
    /// The keyed state of a handler cannot be read or written.
    KEYED_STATE = "HN0404", Handler, false, "Keyed state not usable";
    /// A defect of Hence.
    INTERNAL = "HN0901", Internal, false, "Internal error";
}

impl Code {
    /// The code as written, for example `HN0101`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.id
    }

    /// The constant title of the code.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.title
    }

    /// What sort of trouble it stands for.
    #[must_use]
    pub const fn kind(self) -> Kind {
        self.kind
    }

    /// An error with this code and what happened in particular.
    pub fn error(self, detail: impl Into<Cow<'static, str>>) -> Error {
        Error(Arc::new(Inner {
            code: self,
            detail: detail.into(),
            source: None,
        }))
    }

    /// An error with this code, what happened in particular, and the error that caused it.
    pub fn caused(
        self,
        detail: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error(Arc::new(Inner {
            code: self,
            detail: detail.into(),
            source: Some(source.into()),
        }))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// What went wrong: a code, a sentence, and perhaps a cause.
///
/// It is cheap to clone, because one failed commit may have to be told to many publishers.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// The code, whose page tells the cure.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What sort of trouble it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.code.kind
    }

    /// What happened in particular, in one sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.code.retryable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.0.code.id, self.0.code.title, self.0.detail
        )
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match &self.0.source {
            Some(source) => write!(f, " (caused by: {source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
