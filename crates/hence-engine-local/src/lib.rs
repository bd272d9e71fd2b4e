//! The local engine of Hence: one state machine, in memory or on the durable log.
//!
//! ```text
//!            decide                 apply
//!   commit ─────────► operations ─────────► state ──► outlets ──► deliveries
//!                         │            ▲      │
//!                         ▼            │      └─────► tail ─────► readers
//!                  journal (memory: none; log: in a frame, synced)
//! ```
//!
//! A commit is decided against the state and becomes a list of operations; these go into the
//! journal as one; when it is as durable as was asked for, they are applied, shown to
//! subscriptions and readers, and the publisher is answered. `memory:` and `log:` differ in the
//! journal alone, so that what tests run on answers as what runs in production.
//!
//! To read in this order: `clock`, `identity`, `op`, `settled`, `subscription`, `dedup`, `keyed`,
//! `timers`, `senders`, `dead_letters`, `state`, `decide`, `tail`, `outlet`, `journal`, `core`,
//! `memory`, `queue`, `recovery`, `writer`, `lead`, `snapshot`, `keeper`, `alarm`, `deliveries`, `reader`,
//! `index`, `history`, `report`, `beside`, `promise`, `engine`.

mod alarm;
mod beside;
mod clock;
mod core;
mod dead_letters;
mod decide;
mod dedup;
mod deliveries;
mod engine;
mod gates;
mod history;
mod identity;
mod index;
mod journal;
mod keeper;
mod keyed;
mod lead;
mod memory;
mod op;
mod outlet;
mod planted;
mod promise;
mod queue;
mod reader;
mod recovery;
mod report;
mod senders;
mod settled;
mod snapshot;
mod state;
mod subscription;
mod tail;
mod timers;
mod writer;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hence_core::engine::Engine;
use hence_core::error::{Code, Result};
use hence_log::{DiskStorage, Storage};

pub use alarm::ALARM_AGAIN;
pub use clock::{CLOCK_LOOK_MAX, Clock, ManualClock, SystemClock};
pub use dead_letters::{EDITED_BYTES_MAX, ERROR_BYTES_MAX};
pub use dedup::DEDUP_EVENTS_MAX;
pub use history::HISTORY_ATTEMPTS_MAX;
pub use index::{INDEX_CACHE_BYTES, INDEX_ENTRIES_MAX, INDEX_INTERVAL, has_index, remove_index};
pub use journal::{COLD_BYTES_MAX, COLD_EVENTS_MAX, REPORT_COMMITS_MAX, translate};
pub use keeper::{KEEP_INTERVAL, Retention};
pub use keyed::{KEYED_VALUE_BYTES_MAX, STATE_BYTES_MAX, STATE_ENTRIES_MAX};
pub use memory::{MEMORY_BYTES_MAX, MEMORY_EVENTS_MAX, MEMORY_KEEP_BYTES};
pub use outlet::{DELAYED_EVENTS_MAX, READY_EVENTS_MAX, SCAN_EVENTS_MAX};
pub use promise::{BATCH_EVENTS_MAX, CHANGES_MAX, EVENT_BYTES_MAX};
pub use queue::{QUEUE_BYTES_MAX, QUEUE_COMMITS_MAX};
pub use senders::{SENDER_BYTES_MAX, SENDERS_MAX};
pub use snapshot::{SNAPSHOT_BYTES, SNAPSHOT_FRAMES, SNAPSHOT_INTERVAL_MIN};
pub use state::SUBSCRIPTIONS_MAX;
pub use timers::TIMERS_AT_A_TIME;
pub use writer::IDLE_MAX;

/// Bytes of the newest events that a log engine keeps in memory for those who keep up.
pub const TAIL_BYTES_MAX: usize = 16 << 20;

/// How much an engine may use, and its clock.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Memory for unsettled events, of `memory:`.
    pub memory_bytes: usize,
    /// Unsettled events, of `memory:`.
    pub memory_events: usize,
    /// Memory for settled events, of `memory:`.
    pub memory_keep_bytes: usize,
    /// Memory for the newest events, of `log:`.
    pub tail_bytes: usize,
    /// Commits that may wait for the writer, of `log:`.
    pub queue_commits: usize,
    /// Deliveries that wait in memory for each subscription.
    pub ready_events: usize,
    /// Events that are known by their ids.
    pub dedup_events: usize,
    /// Commits after which the tables are stored anew, of `log:`.
    pub snapshot_frames: u64,
    /// Bytes of the log behind the newest snapshot after which they are, too, however soon that is.
    pub snapshot_bytes: u64,
    /// The least time between two such times that bytes did not ask for.
    pub snapshot_interval: Duration,
    /// Bytes of one file of the log.
    pub segment_bytes: u32,
    /// How long events are kept, of `log:`.
    pub retention: Retention,
    /// The time between two looks at what need not be kept.
    pub keep_interval: Duration,
    /// Whether the next file of the log is made ready before it is needed.
    pub spares: bool,
    /// Whether timers fire by themselves. Without, they wait for the next commit, so that a
    /// simulation decides when that is.
    pub alarm: bool,
    /// Whether [`log()`] makes an index beside the log, so that searches, traces and reports need
    /// not read the whole of it.
    pub index: bool,
    /// Entries of the index that wait in memory before they are written.
    pub index_entries: usize,
    /// The time between two looks of the index at what was added to the log.
    pub index_interval: Duration,
    /// Whether the thread of the index gives way to every other where processors are scarce.
    pub index_gives_way: bool,
    /// Whether [`log()`] takes a file system that cannot promise to keep what it syncs.
    pub any_file_system: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            memory_bytes: MEMORY_BYTES_MAX,
            memory_events: MEMORY_EVENTS_MAX,
            memory_keep_bytes: MEMORY_KEEP_BYTES,
            tail_bytes: TAIL_BYTES_MAX,
            queue_commits: QUEUE_COMMITS_MAX,
            ready_events: READY_EVENTS_MAX,
            dedup_events: DEDUP_EVENTS_MAX,
            snapshot_frames: SNAPSHOT_FRAMES,
            snapshot_bytes: SNAPSHOT_BYTES,
            snapshot_interval: SNAPSHOT_INTERVAL_MIN,
            segment_bytes: 64 << 20,
            retention: Retention::default(),
            keep_interval: KEEP_INTERVAL,
            spares: false,
            alarm: true,
            index: true,
            index_entries: INDEX_ENTRIES_MAX,
            index_interval: INDEX_INTERVAL,
            index_gives_way: true,
            any_file_system: false,
        }
    }
}

/// Opens the engine that a URL names: `memory:` or `log:DIR`. `log:DIR?force=true` takes a file
/// system that cannot promise to keep what it syncs, as [`Options::any_file_system`] does;
/// `log:DIR?index=false` makes no index, as [`Options::index`] says.
///
/// # Errors
/// `HN0201` for any other URL, and what [`log`] returns.
pub fn open(url: &str) -> Result<Arc<dyn Engine>> {
    open_with(url, Options::default())
}

/// As [`open`], with options to which those of the URL are added.
///
/// # Errors
/// As [`open`].
pub fn open_with(url: &str, mut options: Options) -> Result<Arc<dyn Engine>> {
    let unknown = |what: &str| Code::ENGINE_URL.error(format!("'{url}' {what}"));
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let (dir, query) = rest.split_once('?').unwrap_or((rest, ""));
    match (scheme, dir, query) {
        ("memory", "", "") => return Ok(memory(&options)),
        ("log", "", _) => return Err(unknown("names no directory: write 'log:DIR'")),
        ("log", ..) => {}
        _ => return Err(unknown("is neither 'memory:' nor 'log:DIR'")),
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter {
            "force=true" => options.any_file_system = true,
            "force=false" => options.any_file_system = false,
            "index=true" => options.index = true,
            "index=false" => options.index = false,
            _ => {
                return Err(unknown(
                    "has a parameter that 'log:' does not know: there are force=true and \
                     index=false",
                ));
            }
        }
    }
    log(dir, &options)
}

/// An engine whose journal is memory: everything ends with it.
#[must_use]
pub fn memory(options: &Options) -> Arc<dyn Engine> {
    Arc::new(engine::Local::memory(options))
}

/// The engine on the durable log in a directory, which is created when it does not exist.
///
/// # Errors
/// `HN0204` to `HN0208` when the log cannot be opened, and `HN0212` where `synced` would be an
/// empty word; nothing is changed then.
pub fn log(dir: impl AsRef<Path>, options: &Options) -> Result<Arc<dyn Engine>> {
    let dir = dir.as_ref();
    check_file_system(dir, options.any_file_system)?;
    let storage = DiskStorage::new(dir).map_err(|error| {
        let code = match error.kind() {
            ErrorKind::NotADirectory => Code::ENGINE_URL,
            _ => Code::STORAGE,
        };
        code.caused(
            format!("'{}' cannot be used: {error}", dir.display()),
            error,
        )
    })?;
    let local = engine::Local::log(Arc::new(storage), Some(dir), options)?;
    Ok(Arc::new(local))
}

/// Refuses a file system on which a receipt that says `synced` would say nothing.
fn check_file_system(dir: &Path, force: bool) -> Result<()> {
    let shown = dir.display();
    match hence_log::unsyncable(dir) {
        Ok(Some(name)) if force => {
            tracing::warn!(
                file_system = name,
                "what is called synced here may not survive a loss of power"
            );
            Ok(())
        }
        Ok(Some(name)) => Err(Code::FILE_SYSTEM.error(format!(
            "'{shown}' lies on {name}, which cannot promise to keep what was synced; name a \
             directory on a disk, or take the risk with 'log:{shown}?force=true'"
        ))),
        // A file system that does not tell may be any, and opening says what is wrong with it.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// The engine on the durable log on any storage, without an index: the seam at which tests let a
/// disk fail.
///
/// # Errors
/// As [`log`].
pub fn log_on(storage: Arc<dyn Storage>, options: &Options) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(engine::Local::log(storage, None, options)?))
}
