//! The log as its readers hold it: what is visible, what is durable, and how to be told of more.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::error::{Error, ErrorKind, Result};
use crate::group::{BUFFER_BYTES, Writer};
use crate::open_files::OpenFiles;
use crate::reader::{Frames, Reader, Record};
use crate::recovery::{self, Recovered};
use crate::segment::{INDEX_STRIDE, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Segment};
use crate::storage::{DiskStorage, Lock, Storage};

/// Bytes of one segment, unless told otherwise.
pub(crate) const SEGMENT_BYTES: u32 = 64 << 20;
/// Bytes of the newest frames kept in memory, unless told otherwise.
pub(crate) const TAIL_BYTES: usize = 4 << 20;
/// Bytes a cold reader reads at once, unless told otherwise.
pub(crate) const READ_AHEAD_BYTES: u32 = 256 << 10;
/// Room that publishers must leave for those who settle; at most 2 % of the disk.
pub(crate) const RESERVE_BYTES: u64 = 64 << 20;
/// Retired segments kept for reuse, unless told otherwise.
pub(crate) const SPARES: usize = 2;

/// How a log is laid out and how much memory it may use.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) segment_bytes: u32,
    pub(crate) tail_bytes: usize,
    pub(crate) read_ahead: u32,
    pub(crate) reserve_bytes: u64,
    pub(crate) spares: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            tail_bytes: TAIL_BYTES,
            read_ahead: READ_AHEAD_BYTES,
            reserve_bytes: RESERVE_BYTES,
            spares: SPARES,
        }
    }
}

impl Options {
    /// Bytes of one segment; the largest frame is a little smaller.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Bytes of the newest frames kept in memory for readers that keep up.
    #[must_use]
    pub fn tail_bytes(mut self, bytes: usize) -> Self {
        self.tail_bytes = bytes;
        self
    }

    /// Bytes a reader of older frames reads at once.
    #[must_use]
    pub fn read_ahead(mut self, bytes: u32) -> Self {
        self.read_ahead = bytes;
        self
    }

    /// Free bytes below which appends are refused, so that other operations still find room.
    #[must_use]
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = bytes;
        self
    }

    /// Retired segments kept for reuse.
    #[must_use]
    pub fn spares(mut self, count: usize) -> Self {
        self.spares = count;
        self
    }

    fn check(&self) -> Result<()> {
        if (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Ok(());
        }
        let what = "segment_bytes must lie between 4 KiB and 1 GiB";
        Err(Error::new(ErrorKind::InvalidOption { what }))
    }
}

/// A handle to read the log; clones share one log.
#[derive(Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
}

/// How far readers may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    pub(crate) next_position: u64,
    pub(crate) next_number: u64,
    pub(crate) generation: u64,
    /// Behind the last visible frame of that generation.
    pub(crate) end: u32,
}

/// Frames of one group, in memory.
pub(crate) struct Chunk {
    pub(crate) first_number: u64,
    pub(crate) next_number: u64,
    pub(crate) first_position: u64,
    pub(crate) next_position: u64,
    /// The memory behind the frames, in bytes; it changes under the lock of all chunks.
    pub(crate) held: AtomicUsize,
    /// Frames without gaps, heads included.
    pub(crate) bytes: Bytes,
}

impl Chunk {
    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// The newest groups, in memory.
#[derive(Default)]
pub(crate) struct Hot {
    pub(crate) chunks: VecDeque<Arc<Chunk>>,
    pub(crate) bytes: usize,
    /// A buffer of groups that nobody reads any more, for the next ones.
    pub(crate) used: Option<BytesMut>,
}

impl Hot {
    fn push(&mut self, chunk: Chunk, limit: usize) {
        self.bytes += chunk.held();
        self.chunks.push_back(Arc::new(chunk));
        while self.bytes > limit
            && let Some(oldest) = self.chunks.pop_front()
        {
            self.bytes -= oldest.held();
            // The last group in a buffer gives back all of it, unless readers hold some.
            let unread = Arc::into_inner(oldest).map(|chunk| chunk.bytes.try_into_mut());
            if let Some(Ok(mut used)) = unread {
                used.clear();
                if used.try_reclaim(BUFFER_BYTES) {
                    self.used = Some(used);
                }
            }
        }
    }
}

type Hook = Arc<dyn Fn(u64) + Send + Sync>;

/// What the writer and all readers share.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) files: Arc<OpenFiles>,
    pub(crate) options: Options,
    pub(crate) id: [u8; 16],
    /// All segments, oldest first; never empty.
    pub(crate) segments: RwLock<VecDeque<Arc<Segment>>>,
    pub(crate) hot: RwLock<Hot>,
    visible: Mutex<Visible>,
    advanced: Condvar,
    /// The last visible position, for a look without a lock.
    watermark: AtomicU64,
    /// The last commit known to be durable.
    pub(crate) durable: AtomicU64,
    /// Replaced as a whole, so that a hook may end its own subscription.
    hooks: Mutex<Arc<Vec<(u64, Hook)>>>,
    next_hook: AtomicU64,
    poison: Mutex<Option<String>>,
    /// Whether there is one, for a look without a lock.
    is_poisoned: AtomicBool,
    /// Names of spare files.
    pub(crate) spares: Mutex<Vec<String>>,
    /// The commits that stored snapshots reflect, oldest first.
    pub(crate) snapshots: Mutex<Vec<u64>>,
    _lock: Box<dyn Lock>,
}

/// A lock whose holders never leave the value half changed, so that a panic elsewhere is no harm.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        (storage, files): (Arc<dyn Storage>, Arc<OpenFiles>),
        options: Options,
        lock: Box<dyn Lock>,
        segments: VecDeque<Arc<Segment>>,
        visible: Visible,
    ) -> Self {
        Self {
            storage,
            files,
            options,
            id: segments.front().map_or([0; 16], |first| first.header.log),
            segments: RwLock::new(segments),
            hot: RwLock::default(),
            visible: Mutex::new(visible),
            advanced: Condvar::new(),
            watermark: AtomicU64::new(visible.next_position - 1),
            durable: AtomicU64::new(visible.next_number - 1),
            hooks: Mutex::default(),
            next_hook: AtomicU64::new(0),
            poison: Mutex::new(None),
            is_poisoned: AtomicBool::new(false),
            spares: Mutex::default(),
            snapshots: Mutex::default(),
            _lock: lock,
        }
    }

    pub(crate) fn visible(&self) -> Visible {
        *locked(&self.visible)
    }

    /// Shows a stored group to readers.
    pub(crate) fn publish(&self, visible: Visible, chunk: Chunk) {
        let position = visible.next_position - 1;
        let mut hot = self.hot.write().unwrap_or_else(PoisonError::into_inner);
        hot.push(chunk, self.options.tail_bytes);
        drop(hot);
        *locked(&self.visible) = visible;
        self.watermark.store(position, Ordering::Release);
        self.advanced.notify_all();
        let hooks = Arc::clone(&locked(&self.hooks));
        for (_, hook) in hooks.iter() {
            hook(position);
        }
    }

    /// A buffer for the next groups: one that was used before, if there is any.
    pub(crate) fn take_used_buffer(&self) -> BytesMut {
        let mut hot = self.hot.write().unwrap_or_else(PoisonError::into_inner);
        hot.used.take().unwrap_or_default()
    }

    /// Counts so many bytes more as held by the newest group: of its buffer, which is given up.
    pub(crate) fn hold_more(&self, bytes: usize) {
        let mut hot = self.hot.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = hot.chunks.back() {
            newest.held.fetch_add(bytes, Ordering::Relaxed);
            hot.bytes += bytes;
        }
    }

    /// Drops groups from memory that are no longer stored.
    pub(crate) fn forget_before(&self, number: u64) {
        let mut hot = self.hot.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = hot.chunks.pop_front_if(|chunk| chunk.next_number <= number) {
            hot.bytes -= oldest.held();
        }
    }

    /// Refuses to go on after a failed write or sync.
    pub(crate) fn check_poison(&self) -> Result<()> {
        if !self.is_poisoned.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*locked(&self.poison) {
            None => Ok(()),
            Some(cause) => Err(poisoned(std::io::Error::other(cause.clone()))),
        }
    }

    /// Makes the log read-only for ever: nobody knows what the disk holds now.
    pub(crate) fn poison(&self, cause: std::io::Error) -> Error {
        locked(&self.poison).get_or_insert_with(|| cause.to_string());
        self.is_poisoned.store(true, Ordering::Release);
        poisoned(cause)
    }

    /// The last segment for which a test holds that holds for all before it.
    pub(crate) fn last_segment_where(
        &self,
        test: impl Fn(&Segment) -> bool,
    ) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| test(segment));
        segments.get(after.checked_sub(1)?).cloned()
    }

    pub(crate) fn first_segment(&self) -> Arc<Segment> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(segments.front().expect("a log has at least one segment"))
    }
}

fn poisoned(cause: std::io::Error) -> Error {
    Error::because(ErrorKind::Poisoned, cause)
}

impl Log {
    /// Opens the log in a directory, created if it does not exist.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<(Writer, Self, Recovered)> {
        let dir = dir.into();
        let storage = DiskStorage::new(&dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotADirectory => Error::new(ErrorKind::NotADirectory),
            _ => Error::io("create", &dir.display().to_string(), error),
        })?;
        Self::open_on(Arc::new(storage), options)
    }

    /// Opens the log on a storage.
    pub fn open_on(
        storage: Arc<dyn Storage>,
        options: Options,
    ) -> Result<(Writer, Self, Recovered)> {
        options.check()?;
        recovery::open(storage, options)
    }

    /// The position up to which readers see everything there is; 0 if there is nothing.
    pub fn watermark(&self) -> u64 {
        self.shared.watermark.load(Ordering::Acquire)
    }

    /// The first position still stored; one more than the watermark if there is none.
    pub fn first_position(&self) -> u64 {
        self.shared.first_segment().header.base
    }

    /// The number of the last commit that readers see; 0 if there is none.
    pub fn last_frame(&self) -> u64 {
        self.shared.visible().next_number - 1
    }

    /// The number of the first commit still stored.
    pub fn first_frame(&self) -> u64 {
        self.shared.first_segment().header.number
    }

    /// The number of the last commit known to survive a loss of power; 0 if there is none.
    pub fn durable_frame(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// The random id given to this log when it was created.
    pub fn id(&self) -> [u8; 16] {
        self.shared.id
    }

    /// The failure that made the log read-only, if one did.
    pub fn poisoned(&self) -> Option<Error> {
        self.shared.check_poison().err()
    }

    /// A reader of appends from a position on; 0 is the first still stored.
    pub fn reader(&self, from: u64) -> Reader {
        Reader::new(Arc::clone(&self.shared), from)
    }

    /// The append at a position; `None` if nothing visible has it.
    pub fn read(&self, position: u64) -> Result<Option<Record>> {
        let found = self
            .reader(position)
            .with_read_ahead(INDEX_STRIDE)
            .next_record()?;
        Ok(found.filter(|record| record.position == position))
    }

    /// A reader of whole commits from a number on; 0 is the first still stored.
    pub fn frames(&self, from: u64) -> Frames {
        Frames::new(Arc::clone(&self.shared), from)
    }

    /// Calls a function with the new watermark each time it advances, on the writer's thread, until
    /// the subscription is dropped. The function must not block.
    pub fn on_advance(&self, hook: impl Fn(u64) + Send + Sync + 'static) -> Subscription {
        let id = self.shared.next_hook.fetch_add(1, Ordering::Relaxed);
        let mut hooks = locked(&self.shared.hooks);
        Arc::make_mut(&mut hooks).push((id, Arc::new(hook)));
        Subscription {
            shared: Arc::clone(&self.shared),
            id,
        }
    }

    /// Waits until the watermark is beyond a position or the time is over; returns the watermark.
    pub fn wait_beyond(&self, position: u64, timeout: Duration) -> u64 {
        let visible = locked(&self.shared.visible);
        let waiting = |visible: &mut Visible| visible.next_position - 1 <= position;
        let (visible, _) = self
            .shared
            .advanced
            .wait_timeout_while(visible, timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        visible.next_position - 1
    }
}

/// A function that is called when the watermark advances; it ends when this is dropped.
#[must_use = "the function is forgotten when the subscription is dropped"]
pub struct Subscription {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut hooks = locked(&self.shared.hooks);
        Arc::make_mut(&mut hooks).retain(|(id, _)| *id != self.id);
    }
}
