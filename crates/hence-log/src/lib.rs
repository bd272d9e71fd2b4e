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
//! groups of frames, a [`Frame`] is one commit made of [`Op`]s, [`Recovered`] is what opening
//! found. The layout of the bytes stands at the top of `frame.rs`.

mod check;
mod error;
mod frame;
mod group;
mod index_file;
mod log;
mod reader;
mod recovery;
mod retention;
mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod snapshot;
mod storage;

pub use check::{
    PROBLEMS_MAX, Problem, Report, Salvaged, Stat, check, check_on, salvage, salvage_on, stat,
    stat_on,
};
pub use error::{Error, ErrorKind, Result};
pub use frame::{APPEND, FORMAT_VERSION, Frame, Op, Ops, StoredOp};
pub use group::{GROUP_BYTES_MAX, GROUP_EVENTS_MAX, Level, Staged, Writer};
pub use log::{Log, Options, Subscription};
pub use reader::{Frames, Reader, Record};
pub use recovery::{Cut, Recovered};
pub use retention::{Retention, Retired};
pub use segment::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use snapshot::Snapshot;
pub use storage::{DiskStorage, File, Lock, Space, Storage};
