//! When the tables are stored, and who stores them.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hence_log::Log;

use super::Frozen;
use crate::Options;

/// Commits after which the tables are stored anew.
pub const SNAPSHOT_FRAMES: u64 = 100_000;
/// Bytes of the log behind the newest snapshot after which the tables are stored anew, however
/// short a while ago that was: what a start after a crash has to read is bounded by them.
pub const SNAPSHOT_BYTES: u64 = 1 << 30;
/// The least time between two snapshots of which neither bytes nor anyone asked for the second.
pub const SNAPSHOT_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// The least time before tables that could not be stored are tried again.
const RETRY_INTERVAL: Duration = SNAPSHOT_INTERVAL_MIN;

/// A snapshot that is being stored.
struct Storing {
    frame: u64,
    /// How many of the bytes behind the newest one it reflects.
    behind: u64,
    thread: JoinHandle<bool>,
}

/// When the tables were stored last, and who stores them now.
pub(crate) struct Schedule {
    frames: u64,
    bytes: u64,
    interval: Duration,
    /// The commit that the newest snapshot reflects.
    frame: u64,
    /// About how many bytes of the log it does not reflect.
    behind: u64,
    /// When the last one was begun.
    taken: Instant,
    has_failed: bool,
    storing: Option<Storing>,
}

impl Schedule {
    /// The newest snapshot reflects this commit, and so many bytes of the log are behind it.
    pub(crate) fn new(options: &Options, frame: u64, behind: u64) -> Self {
        Self {
            frames: options.snapshot_frames.max(1),
            bytes: options.snapshot_bytes.max(1),
            interval: options.snapshot_interval,
            frame,
            behind,
            taken: Instant::now(),
            has_failed: false,
            storing: None,
        }
    }

    /// The commit that the newest snapshot reflects.
    pub(crate) fn frame(&self) -> u64 {
        self.frame
    }

    /// So many bytes more are behind it.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.behind += bytes as u64;
    }

    pub(crate) fn are_due(&mut self, frame: u64, wanted: bool) -> bool {
        self.settle();
        let frames = if wanted { 1 } else { self.frames };
        let behind = frame.saturating_sub(self.frame);
        let elapsed = self.taken.elapsed();
        let are_many = behind >= frames && elapsed >= self.interval;
        let may_retry = !self.has_failed || elapsed >= RETRY_INTERVAL;
        (are_many || behind > 0 && self.behind >= self.bytes) && may_retry && self.storing.is_none()
    }

    /// Stores the tables as they are at a commit, on a thread of its own.
    pub(crate) fn store(&mut self, log: &Log, frame: u64, frozen: Frozen) {
        self.wait();
        self.taken = Instant::now();
        let thread = std::thread::Builder::new().name("hence-snapshot".to_owned());
        let log = log.clone();
        let started = thread.spawn(move || store(&log, frame, &frozen));
        self.has_failed = started.is_err();
        let behind = self.behind;
        self.storing = started.ok().map(|thread| Storing {
            frame,
            behind,
            thread,
        });
    }

    /// Takes note of a snapshot that was stored since.
    pub(crate) fn settle(&mut self) {
        let storing = self.storing.as_ref();
        if storing.is_some_and(|it| it.thread.is_finished()) {
            self.wait();
        }
    }

    /// Waits for the snapshot that is being stored. Only one that is stored counts.
    pub(crate) fn wait(&mut self) {
        let Some(storing) = self.storing.take() else {
            return;
        };
        let stored = storing.thread.join();
        if stored.is_err() {
            tracing::error!("a snapshot panicked");
        }
        self.has_failed = !stored.unwrap_or(false);
        if !self.has_failed {
            self.frame = storing.frame;
            self.behind -= storing.behind;
        }
    }
}

/// Stores the tables as they are at a commit; says whether they are.
pub(crate) fn store(log: &Log, frame: u64, frozen: &Frozen) -> bool {
    let stored = log.store_snapshot_with(frame, |out| frozen.write(out));
    if let Err(error) = &stored {
        // Without it the next start takes longer, and that is all.
        tracing::warn!(%error, "a snapshot could not be stored");
    }
    stored.is_ok()
}
