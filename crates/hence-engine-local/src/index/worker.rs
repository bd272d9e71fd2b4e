//! The thread that makes the index.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hence_log::{ErrorKind, Frame, Log};

use super::term::{self, Entry, Term};
use super::view::{self, Checkpoint, Kept, View};
use super::{Index, Known, translate};
use crate::Options;
use crate::identity::IdentityKey;
use crate::op::{DISCARDED, Discarded, ENDED, Ended};

/// Commits after which what was read is shown to those who ask.
const STEP_COMMITS: usize = 1_024;
/// Entries after which it is shown, too: a commit may have many.
const STEP_ENTRIES: usize = 1 << 14;
/// How often an index is made anew in one process before it is left alone.
const REBUILDS_MAX: u32 = 3;
/// How much less the thread gets of a busy processor than any other; the most there is.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

/// What may stand in the way of the thread.
enum Trouble {
    /// The log cannot be read; it says so itself where it matters.
    Log(hence_core::Error),
    /// The view.
    View(lsm_tree::Error),
}

impl From<hence_log::Error> for Trouble {
    fn from(error: hence_log::Error) -> Self {
        Self::Log(translate(error))
    }
}

impl From<hence_core::Error> for Trouble {
    fn from(error: hence_core::Error) -> Self {
        Self::Log(error)
    }
}

impl From<lsm_tree::Error> for Trouble {
    fn from(error: lsm_tree::Error) -> Self {
        Self::View(error)
    }
}

/// An index with the thread that makes it, which works until this is dropped.
pub(crate) struct Indexer {
    pub(crate) index: Arc<Index>,
    kept: Arc<Kept>,
    ended: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Indexer {
    /// Opens the index of a log in its directory and begins to bring it up to date. Without a
    /// directory there is none, and without a thread neither.
    pub(crate) fn begin(
        dir: &Path,
        log: &Log,
        key: IdentityKey,
        options: &Options,
    ) -> Option<Self> {
        let kept = Arc::new(Kept::default());
        let index = Arc::new(Index {
            key,
            known: Mutex::default(),
            damaged: false.into(),
        });
        let mut work = Work {
            index: Arc::clone(&index),
            kept: Arc::clone(&kept),
            dir: view::place(dir),
            log: log.clone(),
            entries_max: options.index_entries.max(1),
            rebuilds: 0,
            scratch: Vec::new(),
        };
        work.open();
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let until = Arc::clone(&ended);
        let pace = (options.index_interval, options.index_gives_way);
        let thread = std::thread::Builder::new().name("hence-index".to_owned());
        let thread = thread.spawn(move || work.run(&until, pace));
        if let Err(error) = &thread {
            tracing::warn!(%error, "no thread for the index could be started; there is none");
        }
        Some(Self {
            index,
            kept,
            ended,
            thread: Mutex::new(Some(thread.ok()?)),
        })
    }

    /// Ends the thread and waits until it has let go of the log.
    pub(crate) fn end(&self) {
        let (ended, wake) = &*self.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.kept.end();
        wake.notify_all();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the maker of the index panicked");
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.end();
    }
}

struct Work {
    index: Arc<Index>,
    kept: Arc<Kept>,
    dir: PathBuf,
    log: Log,
    entries_max: usize,
    rebuilds: u32,
    /// Kept for its memory.
    scratch: Vec<Entry>,
}

impl Work {
    fn run(
        mut self,
        (ended, wake): &(Mutex<bool>, Condvar),
        (interval, gives_way): (Duration, bool),
    ) {
        #[cfg(target_os = "linux")]
        if gives_way && let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the index is made with the priority of everything else");
        }
        loop {
            self.advance();
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = wake.wait_timeout_while(ended, interval, |ended| !*ended);
            let (ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if *ended {
                return;
            }
        }
    }

    /// Opens what is on the disk, or begins anew where that is not of this log.
    fn open(&mut self) {
        let opened = self.try_open().or_else(|trouble| {
            say(&trouble);
            View::remove(&self.dir).map_err(lsm_tree::Error::from)?;
            self.try_open()
        });
        let (view, reached) = match opened {
            Ok((view, reached)) => (Some(Arc::new(view)), reached),
            Err(trouble) => {
                say(&trouble);
                tracing::warn!("there is no index; searches read the log");
                (None, Checkpoint::default())
            }
        };
        self.index.damaged.store(false, Ordering::Relaxed);
        *self.index.lock() = Known {
            recent: Arc::default(),
            view,
            reached,
        };
    }

    fn try_open(&self) -> Result<(View, Checkpoint), Trouble> {
        let fresh = Checkpoint {
            log: self.log.id(),
            commit: self.log.first_frame(),
            position: self.log.first_position(),
            last: (0, 0),
        };
        let view = View::open(&self.dir, &self.kept)?;
        let Some(reached) = view.checkpoint()? else {
            return match view.is_empty()? {
                true => Ok((view, fresh)),
                false => Err(lsm_tree::Error::Unrecoverable.into()),
            };
        };
        if self.is_own(&reached)? {
            return Ok((view, reached));
        }
        tracing::warn!("the index is of another log, or of another end of it: it is made anew");
        drop(view);
        View::remove(&self.dir).map_err(lsm_tree::Error::from)?;
        Ok((View::open(&self.dir, &self.kept)?, fresh))
    }

    /// Whether a view reflects this log: the last commit that it has read must be in it.
    fn is_own(&self, reached: &Checkpoint) -> Result<bool, Trouble> {
        let last = reached.commit.saturating_sub(1);
        if reached.log != self.log.id() || last > self.log.durable_frame() {
            return Ok(false);
        }
        if last < self.log.first_frame() {
            return Ok(true);
        }
        let frame = self.log.frames(last).next_frame()?;
        Ok(frame.is_some_and(|frame| (frame.position(), frame.time()) == reached.last))
    }

    /// Reads on to the end of what is durable.
    fn advance(&mut self) {
        if self.index.lock().view.is_none() {
            return;
        }
        let trouble = match self.index.damaged.load(Ordering::Relaxed) {
            true => Err(lsm_tree::Error::Unrecoverable.into()),
            false => self.read_on(),
        };
        match trouble {
            Ok(()) => {}
            Err(_) if self.kept.is_ending() => {}
            Err(Trouble::View(error)) if !view::is_passing(&error) => self.begin_anew(&error),
            Err(trouble) => say(&trouble),
        }
    }

    fn begin_anew(&mut self, error: &lsm_tree::Error) {
        self.index.lock().view = None;
        if self.rebuilds == REBUILDS_MAX {
            tracing::warn!(%error, "the index is damaged again and again; searches read the log");
            return;
        }
        self.rebuilds += 1;
        tracing::warn!(%error, "the index is damaged; it is thrown away and made anew");
        if let Err(error) = View::remove(&self.dir) {
            say(&Trouble::View(error.into()));
        }
        self.open();
    }

    fn read_on(&mut self) -> Result<(), Trouble> {
        let mut reached = self.index.lock().reached;
        let (first, first_position) = (self.log.first_frame(), self.log.first_position());
        self.kept.from(first_position, first);
        if reached.commit < first {
            // What retention removed before it was read is nothing that could be found.
            (reached.commit, reached.position) = (first, first_position);
        }
        if self.index.lock().recent.len() >= self.entries_max {
            // They could not be written before, and there is no room for more.
            self.store(reached)?;
        }
        let durable = self.log.durable_frame();
        let mut frames = self.log.frames(reached.commit);
        while reached.commit <= durable && !self.kept.is_ending() {
            let begin = reached.commit;
            let mut entries = std::mem::take(&mut self.scratch);
            for _ in 0..STEP_COMMITS {
                if reached.commit > durable || entries.len() >= STEP_ENTRIES {
                    break;
                }
                let frame = match frames.next_frame() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) if matches!(error.kind(), ErrorKind::Expired { .. }) => break,
                    Err(error) => return Err(error.into()),
                };
                self.note(&frame, &mut reached, &mut entries)?;
            }
            let is_full = self.show(&mut entries, reached);
            self.scratch = entries;
            if is_full {
                self.store(reached)?;
            }
            if reached.commit == begin {
                break;
            }
        }
        Ok(())
    }

    /// Notes what one commit says.
    fn note(
        &self,
        frame: &Frame,
        reached: &mut Checkpoint,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Trouble> {
        let key = self.index.key;
        let mut next = frame.position();
        for op in frame.ops() {
            if let Some(position) = op.position {
                term::entries(key, &op.body, position, entries)?;
                next = position + 1;
            } else if op.kind == ENDED {
                let ended = Ended::decode(op.tag, &mut op.body.clone())?;
                term::add(
                    Term::attempts(key, ended.position).at(frame.number()),
                    entries,
                );
            } else if op.kind == DISCARDED {
                let position = Discarded::decode(op.tag, &mut op.body.clone())?.position;
                term::add(Term::attempts(key, position).at(frame.number()), entries);
            }
        }
        reached.commit = frame.number() + 1;
        reached.position = reached.position.max(next);
        reached.last = (frame.position(), frame.time());
        Ok(())
    }

    /// Shows entries to those who ask, and says whether there are so many that they are to be
    /// written.
    fn show(&self, entries: &mut Vec<Entry>, reached: Checkpoint) -> bool {
        let mut known = self.index.lock();
        known.reached = reached;
        let recent = Arc::make_mut(&mut known.recent);
        recent.append(entries);
        if recent.len() < self.entries_max {
            return false;
        }
        recent.sort_unstable();
        recent.dedup();
        recent.len() >= self.entries_max / 2
    }

    /// Writes the recent entries as a run.
    fn store(&self, reached: Checkpoint) -> Result<(), Trouble> {
        let known = self.index.lock().clone();
        let Some(view) = known.view else {
            return Ok(());
        };
        view.write(&known.recent, reached)?;
        // Both were shown until here: an entry that is found twice is found once.
        self.index.lock().recent = Arc::default();
        view.tidy(self.log.first_position(), reached.position)?;
        Ok(())
    }
}

fn say(trouble: &Trouble) {
    match trouble {
        Trouble::Log(error) => tracing::debug!(%error, "the index waits for the log"),
        Trouble::View(error) => {
            tracing::warn!(%error, "the index could not be kept; it is tried again");
        }
    }
}
