//! The one error of the log, and what kind of trouble it names.

use std::{fmt, io};

/// The result of an operation on the log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the log: its kind, the cause below it, and the cure in one sentence.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    source: Option<io::Error>,
}

/// What went wrong, for callers that branch on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused an operation that decides nothing about stored frames.
    Io {
        /// What the log was doing.
        during: &'static str,
        /// The file, relative to the log's directory.
        file: String,
    },
    /// The disk is full, or only the reserve is left: nothing of the group was stored.
    Full,
    /// A write or a sync failed, so what the disk holds is unknown: the log is read-only.
    Poisoned,
    /// Bytes that were durable are not what was written.
    Corrupt {
        /// The file, relative to the log's directory.
        file: String,
        /// Where the damage begins, in bytes.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A segment between the first and the last, or after a sealed one, is not there.
    MissingSegment {
        /// The file that should exist.
        file: String,
    },
    /// A segment belongs to another log.
    ForeignSegment {
        /// The file, relative to the log's directory.
        file: String,
    },
    /// The file has a format this version does not know.
    Format {
        /// The file, relative to the log's directory.
        file: String,
        /// The version that the file names.
        found: u32,
    },
    /// Another process has the log open.
    Locked,
    /// The path exists and is not a directory.
    NotADirectory,
    /// There is no log in the directory.
    NotALog,
    /// The directory holds something else than a log.
    Foreign {
        /// A file that is none of a log's.
        file: String,
    },
    /// Something is in the directory in which a log is to be made.
    NotEmpty,
    /// A backup is not what its manifest says, or has none.
    Backup {
        /// The file, relative to the directory of the backup.
        file: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The directory holds a backup, or what an unfinished backup or restore left.
    NotRestored {
        /// The file that says so.
        file: String,
    },
    /// The disk that something is copied to is full.
    NoRoom {
        /// The file, relative to the directory that is written.
        file: String,
    },
    /// Only a snapshot knows what commits said that are gone.
    SnapshotNeeded,
    /// One frame is larger than a segment can hold.
    TooLarge {
        /// The largest frame, in bytes.
        limit: usize,
    },
    /// The position was removed by retention.
    Expired {
        /// The first position still stored.
        first: u64,
    },
    /// The snapshot reflects a frame that is not durable yet.
    SnapshotAhead {
        /// The last durable frame.
        durable: u64,
    },
    /// An option is outside its limits.
    InvalidOption {
        /// The option and its limits.
        what: &'static str,
    },
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    pub(crate) fn because(kind: ErrorKind, source: io::Error) -> Self {
        Self(Box::new(Inner {
            kind,
            source: Some(source),
        }))
    }

    pub(crate) fn io(during: &'static str, file: &str, source: io::Error) -> Self {
        Self::because(
            ErrorKind::Io {
                during,
                file: file.to_owned(),
            },
            source,
        )
    }

    pub(crate) fn corrupt(file: &str, offset: u64, what: &'static str) -> Self {
        Self::new(ErrorKind::Corrupt {
            file: file.to_owned(),
            offset,
            what,
        })
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whether the same call can succeed later without a restart.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Full | ErrorKind::SnapshotAhead { .. }
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            ErrorKind::Io { during, file } => {
                write!(
                    f,
                    "could not {during} `{file}`; check the disk and its permissions"
                )
            }
            ErrorKind::Full => f.write_str(
                "the disk of the log is full; nothing of this group was stored; free space and \
                 publish again, no restart is needed",
            ),
            ErrorKind::Poisoned => f.write_str(
                "a write or sync of the log failed, so it is read-only; check the disk, then \
                 restart to verify what it holds",
            ),
            ErrorKind::Corrupt { file, offset, what } => write!(
                f,
                "the log is damaged in `{file}` at byte {offset} ({what}); restore a backup, or \
                 salvage what is readable"
            ),
            ErrorKind::MissingSegment { file } => {
                write!(
                    f,
                    "the segment `{file}` is missing; restore it, or salvage the others"
                )
            }
            ErrorKind::ForeignSegment { file } => {
                write!(
                    f,
                    "the segment `{file}` belongs to another log; move it out of here"
                )
            }
            ErrorKind::Format { file, found } => write!(
                f,
                "`{file}` has format {found}, newer than {}; use the version that wrote it",
                crate::frame::FORMAT_VERSION
            ),
            ErrorKind::TooLarge { limit } => {
                write!(
                    f,
                    "the frame is larger than {limit} bytes; split it, or use larger segments"
                )
            }
            ErrorKind::Expired { first } => {
                write!(
                    f,
                    "the position was removed by retention; continue from {first}"
                )
            }
            ErrorKind::SnapshotAhead { durable } => {
                write!(
                    f,
                    "the snapshot is ahead of the last durable frame {durable}; sync first"
                )
            }
            ErrorKind::InvalidOption { what } => {
                write!(f, "an option is outside its limits: {what}")
            }
            directory => fmt_directory(directory, f),
        }
    }
}

/// What is wrong with a directory as a whole.
fn fmt_directory(kind: &ErrorKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        ErrorKind::Locked => {
            f.write_str("another process has this log open; stop it, or use its directory alone")
        }
        ErrorKind::NotADirectory => {
            f.write_str("the path of the log is not a directory; name another one")
        }
        ErrorKind::NotALog => f.write_str("there is no log in the directory; name another one"),
        ErrorKind::Foreign { file } => write!(
            f,
            "the directory holds `{file}`, which is none of a log's files, and no log; name \
             an empty directory"
        ),
        ErrorKind::NotEmpty => {
            f.write_str("the directory is not empty; name one that is, or a new one")
        }
        ErrorKind::Backup { file, what } => write!(
            f,
            "the backup cannot be used: `{file}`: {what}; use another backup"
        ),
        ErrorKind::NotRestored { file } => write!(
            f,
            "the directory holds `{file}`: it is a backup, or a copy that did not end; restore the \
             backup into another directory and use that"
        ),
        ErrorKind::NoRoom { file } => write!(
            f,
            "there is no room for `{file}`; free space and try again, or name another directory"
        ),
        ErrorKind::SnapshotNeeded => f.write_str(
            "commits before the first one stored are gone, and only the snapshots know what \
             they said; nothing was removed",
        ),
        other => write!(f, "{other:?}"),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| e as _)
    }
}
