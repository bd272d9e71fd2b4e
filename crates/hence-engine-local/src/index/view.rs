//! `View`: the entries on the disk, in a tree of sorted runs.
//!
//! The log is the journal of this tree: a run is written at once, with the checkpoint up to which
//! it reflects the log, and what is not in a run yet is read from the log again. So it needs no
//! journal of its own, and nothing of it is on the way of a commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lsm_tree::compaction::filter::Context;
use lsm_tree::compaction::{CompactionFilter, Factory, ItemAccessor, Leveled, Verdict};
use lsm_tree::config::{CompressionPolicy, FilterPolicy, PinningPolicy};
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, DescriptorTable, Error, Guard, SequenceNumberCounter,
};

use super::term::{Entry, Term};

/// Bytes of its blocks that are kept in memory.
pub const INDEX_CACHE_BYTES: u64 = 2 << 20;
/// Files of it that are kept open.
const OPEN_FILES_MAX: usize = 64;
/// Runs that are looked through one after the other before they are merged.
const RUNS_MAX: u8 = 64;
/// Bytes of one file of merged runs.
const TABLE_BYTES: u64 = 32 << 20;
/// The name of the checkpoint; no entry is as short.
const CHECKPOINT: [u8; 1] = [0];
const VERSION: u8 = 1;
const CHECKPOINT_BYTES: usize = 1 + 16 + 4 * 8;

/// Up to where the log was read, and the last commit that was read, by which a log knows its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) log: [u8; 16],
    /// The next commit to be read.
    pub(super) commit: u64,
    /// The next position to be read.
    pub(super) position: u64,
    /// Where the last commit that was read stands, and its time.
    pub(super) last: (u64, u64),
}

impl Checkpoint {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHECKPOINT_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.log);
        for number in [self.commit, self.position, self.last.0, self.last.1] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (log, rest) = rest.split_first_chunk()?;
        let (numbers, rest) = rest.as_chunks::<8>();
        let [commit, position, last, time] = *numbers else {
            return None;
        };
        let number = u64::from_le_bytes;
        (*version == VERSION && rest.is_empty()).then_some(Self {
            log: *log,
            commit: number(commit),
            position: number(position),
            last: (number(last), number(time)),
        })
    }
}

/// What need not be kept, read by every merge while it runs.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The first position and the first commit that the log still has.
    first_position: AtomicU64,
    first_commit: AtomicU64,
    /// A merge that runs is to end.
    ending: AtomicBool,
}

impl Kept {
    pub(super) fn from(&self, position: u64, commit: u64) {
        self.first_position.store(position, Ordering::Relaxed);
        self.first_commit.store(commit, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    fn is_gone(&self, entry: Entry) -> bool {
        let first = match entry.is_by_commit() {
            true => &self.first_commit,
            false => &self.first_position,
        };
        entry.number() + super::term::BLOCK <= first.load(Ordering::Relaxed)
    }
}

struct Forget(Arc<Kept>);

impl Factory for Forget {
    fn name(&self) -> &'static str {
        "retention"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

impl CompactionFilter for Forget {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> Result<Verdict, Error> {
        if self.0.is_ending() {
            return Err(interrupted());
        }
        let gone = Entry::from_bytes(item.key()).is_some_and(|entry| self.0.is_gone(entry));
        Ok(if gone {
            Verdict::Destroy
        } else {
            Verdict::Keep
        })
    }
}

fn interrupted() -> Error {
    Error::Io(std::io::ErrorKind::Interrupted.into())
}

/// Whether a view is as good as before, although something could not be done.
pub(super) fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() != std::io::ErrorKind::NotFound)
}

/// The tree of one directory.
pub(super) struct View {
    tree: AnyTree,
    numbers: SequenceNumberCounter,
    /// What the last great merge left out.
    swept: AtomicU64,
}

impl View {
    /// Opens what is in a directory, which is created.
    pub(super) fn open(dir: &Path, kept: &Arc<Kept>) -> Result<Self, Error> {
        fs::create_dir_all(dir)?;
        let numbers = SequenceNumberCounter::default();
        let tree = Config::new(dir, numbers.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::new(Cache::with_capacity_bytes(INDEX_CACHE_BYTES)))
            .use_descriptor_table(Some(Arc::new(DescriptorTable::new(OPEN_FILES_MAX))))
            // A look-up is a range, for which filters of whole keys are of no use.
            .filter_policy(FilterPolicy::disabled())
            .filter_block_pinning_policy(PinningPolicy::all(false))
            .index_block_pinning_policy(PinningPolicy::all(false))
            .index_block_partitioning_policy(PinningPolicy::all(true))
            // Hashes do not compress.
            .data_block_compression_policy(CompressionPolicy::disabled())
            .with_compaction_filter_factory(Some(Arc::new(Forget(Arc::clone(kept)))))
            .open()?;
        numbers.fetch_max(tree.get_highest_seqno().map_or(0, |highest| highest + 1));
        Ok(Self {
            tree,
            numbers,
            swept: AtomicU64::new(0),
        })
    }

    /// Removes what is in a directory.
    pub(super) fn remove(dir: &Path) -> std::io::Result<bool> {
        match fs::remove_dir_all(dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Up to where it reflects the log; `None` for an empty one, or one that says nonsense.
    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let found = self.tree.get(CHECKPOINT, self.numbers.get())?;
        Ok(found.and_then(|bytes| Checkpoint::from_bytes(&bytes)))
    }

    /// Whether there is anything in it.
    pub(super) fn is_empty(&self) -> Result<bool, Error> {
        self.tree.is_empty(self.numbers.get(), None)
    }

    /// Writes entries, sorted and each once, as a run that reflects the log up to a checkpoint.
    pub(super) fn write(&self, run: &[Entry], checkpoint: Checkpoint) -> Result<(), Error> {
        let mut writer = self.tree.ingestion()?;
        writer.write(CHECKPOINT, checkpoint.to_bytes())?;
        for entry in run {
            writer.write(entry.to_bytes(), [])?;
        }
        writer.finish()
    }

    /// Merges runs when there are many, and leaves out what is gone.
    pub(super) fn tidy(&self, first: u64, next: u64) -> Result<(), Error> {
        let strategy = Leveled::default()
            .with_l0_threshold(RUNS_MAX)
            .with_table_target_size(TABLE_BYTES);
        self.tree.compact(Arc::new(strategy), self.numbers.get())?;
        // When more is gone than there is, all of it is written anew without what is gone.
        let swept = self.swept.load(Ordering::Relaxed);
        if first.saturating_sub(swept) > next.saturating_sub(first) && swept < first {
            self.tree.major_compact(TABLE_BYTES, self.numbers.get())?;
            self.swept.store(first, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The entries of a term from a place on, at most so many.
    pub(super) fn find(&self, term: Term, from: u64, max: usize) -> Result<Vec<Entry>, Error> {
        let range = term.at(from).to_bytes()..=term.last().to_bytes();
        let found = self.tree.range(range, self.numbers.get(), None);
        let entry = |guard: lsm_tree::IterGuardImpl| -> Result<Entry, Error> {
            let key = guard.key()?;
            Entry::from_bytes(&key).ok_or(Error::Unrecoverable)
        };
        found.take(max).map(entry).collect()
    }
}

/// Where the view of a log in a directory is.
pub(super) fn place(dir: &Path) -> PathBuf {
    dir.join("index")
}
