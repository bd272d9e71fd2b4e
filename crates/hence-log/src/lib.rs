//! A durable, segmented log of frames: bytes, positions, recovery.
//!
//! ```
//! use hence_log::{Level, Log, Op, Options};
//!
//! # let directory = tempfile::tempdir()?;
//! let (mut writer, log, recovered) = Log::open(directory.path(), Options::default())?;
//! recovered.replay(|frame| drop(frame))?; // rebuild what the caller keeps in memory
//!
//! writer.stage(1_700_000_000_000_000, [Op::append(7, b"placed"), Op::other(1, 0, b"settled")])?;
//! writer.commit(Level::Synced)?; // one write, one sync: now it may be acknowledged
//!
//! let mut reader = log.reader(1);
//! assert_eq!(reader.next_record()?.map(|record| record.body), Some("placed".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The pages in the order a reader needs them: [`Log`] is what readers hold, [`Writer`] stores
//! groups of commits, a [`Frame`] is one commit made of [`Op`]s, [`Recovered`] is what opening
//! found. The layout of the bytes stands at the top of `frame.rs`.
//!
//! # Guarantees
//! * A commit is stored whole or not at all, also over a crash.
//! * What [`Writer::commit`] acknowledged as [`Level::Synced`] survives a loss of power, if the
//!   disk honours flush; as [`Level::Written`] it survives the end of the process. Readers see
//!   nothing before that, and no position ever comes back with other contents.
//! * A crash takes only a suffix of what was not acknowledged as synced. Bytes that it cut short
//!   are moved to `quarantine/` and reported in [`Recovered::cut`]. Damage to bytes that were
//!   durable is refused with file and offset; [`salvage`] reads what is left.
//! * With one copy, one doubt stays: the last group before a crash, with no frame and no mark
//!   behind it, may have been durable and rotted since; it is taken for cut short.
//!   [`Writer::mark`] when idle and [`Writer::close`] at the end take the doubt away.
//! * After a failed sync or write the log only reads; nothing is tried twice. A full disk refuses
//!   whole groups, and goes on when there is room.

mod backup;
mod check;
mod error;
mod file_system;
mod frame;
mod group;
mod index_file;
mod log;
mod open_files;
mod planted;
mod reader;
mod recovery;
mod retention;
mod salvage;
mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod snapshot;
mod storage;
mod tail;
mod undo;

pub use backup::{Backup, backup, backup_on, restore, restore_on, survey, verify, verify_on};
pub use check::{
    PROBLEMS_MAX, Problem, Report, Salvaged, Stat, check, check_on, salvage, salvage_on, stat,
    stat_on,
};
pub use error::{Error, ErrorKind, Result};
pub use file_system::unsyncable;
pub use frame::{APPEND, FORMAT_VERSION, Frame, Op, Ops, StoredOp};
pub use group::{GROUP_BYTES_MAX, GROUP_EVENTS_MAX, Level, Staged, Writer};
pub use log::{Log, Options, Subscription};
pub use reader::{Frames, Reader, Record};
pub use recovery::{Cut, Recovered};
pub use retention::{Retention, Retired};
pub use salvage::{
    Rebuilt, Rescued, rebuild, salvage_to, salvage_to_on, would_rebuild, would_salvage,
};
pub use segment::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use snapshot::Snapshot;
pub use storage::{DiskStorage, File, Lock, Space, Storage};
