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

/// When the tables were stored last, and who stores them now.
pub(crate) struct Schedule {
    frames: u64,
    bytes: u64,
    interval: Duration,
    /// The commit that the newest snapshot reflects.
    frame: u64,
    /// About how many bytes of the log it does not reflect.
    behind: u64,
    taken: Instant,
    storing: Option<JoinHandle<()>>,
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

    pub(crate) fn are_due(&self, frame: u64, wanted: bool) -> bool {
        let frames = if wanted { 1 } else { self.frames };
        let behind = frame.saturating_sub(self.frame);
        let are_many = behind >= frames && self.taken.elapsed() >= self.interval;
        (are_many || behind > 0 && self.behind >= self.bytes)
            && self.storing.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stores the tables as they are at a commit, on a thread of its own.
    pub(crate) fn store(&mut self, log: &Log, frame: u64, frozen: Frozen) {
        self.wait();
        self.frame = frame;
        self.behind = 0;
        self.taken = Instant::now();
        let thread = std::thread::Builder::new().name("hence-snapshot".to_owned());
        let log = log.clone();
        let storing = thread.spawn(move || store(&log, frame, &frozen));
        self.storing = storing.ok();
    }

    /// Waits for the snapshot that is being stored.
    pub(crate) fn wait(&mut self) {
        if let Some(storing) = self.storing.take()
            && storing.join().is_err()
        {
            tracing::error!("a snapshot panicked");
        }
    }
}

/// Stores the tables as they are at a commit.
pub(crate) fn store(log: &Log, frame: u64, frozen: &Frozen) {
    // Without it the next start takes longer, and that is all.
    if let Err(error) = log.store_snapshot_with(frame, |out| frozen.write(out)) {
        tracing::warn!(%error, "a snapshot could not be stored");
    }
}
