//! The index: a reader of the log that notes what each event can be found by, and in which commits
//! attempts ended. Searches, traces and reports ask it where to look.
//!
//! ```text
//!   log ──► reader, in the background ──► entries in memory ──► runs on the disk (`view`)
//!             up to what is durable            │                      │
//!                                              └───── look-ups ───────┘
//! ```
//!
//! It is a view: the log is the truth. It lies in the directory `index` beside the segments, may be
//! removed whenever no process has the log open, and is then made anew. What it does not reflect
//! yet is read from the log, so an answer is complete however far behind it is; it only takes
//! longer. Nothing of it is on the way of a commit: the thread that makes it has the lowest
//! priority, and takes no lock that a commit takes.

mod term;
mod view;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hence_core::delivery::Position;
use hence_core::engine::Filter;
use hence_core::error::Result;

use self::term::{BLOCK, Entry, Term};
use self::view::{Checkpoint, View};
use crate::identity::IdentityKey;
use crate::journal::translate;

pub use view::INDEX_CACHE_BYTES;
pub(crate) use worker::Indexer;

/// Entries that wait in memory before they are written, unless told otherwise; each takes 16 bytes.
pub const INDEX_ENTRIES_MAX: usize = 1 << 18;
/// The time between two looks at what was added to the log, unless told otherwise.
pub const INDEX_INTERVAL: Duration = Duration::from_millis(250);
/// Places that one look-up brings at most; whoever reads them asks again for those behind.
const PLACES_MAX: usize = 4_096;

/// Where to look, and up to where the answer is complete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The first and the last number of each, in order.
    pub(crate) blocks: Vec<(u64, u64)>,
    /// The first number that was not looked up.
    pub(crate) upto: u64,
}

/// What the index knows, for those who ask and for the thread that makes it.
pub(crate) struct Index {
    key: IdentityKey,
    known: Mutex<Known>,
    /// What is on the disk is not what was written there.
    damaged: AtomicBool,
}

#[derive(Clone, Default)]
struct Known {
    /// In no order, behind those of the view.
    recent: Arc<Vec<Entry>>,
    view: Option<Arc<View>>,
    /// Up to where the two reflect the log.
    reached: Checkpoint,
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to this position is known; `None` when there is nothing on the disk either.
    pub(crate) fn reached(&self) -> Option<Position> {
        let known = self.lock();
        let last = known.reached.position.saturating_sub(1);
        known.view.is_some().then_some(Position(last))
    }

    /// Where events are that pass a filter, from a position on; `None` when the log has to be read.
    pub(crate) fn events(&self, filter: &Filter, from: u64) -> Option<Places> {
        let terms = term::wanted(self.key, filter);
        if terms.is_empty() {
            return None;
        }
        let known = self.lock().clone();
        let end = known.reached.position;
        if from >= end {
            return None;
        }
        self.places(&known, &terms, (from, end))
    }

    /// In which commits attempts at a message ended; `None` when the log has to be read.
    pub(crate) fn attempts(&self, position: u64) -> Option<Places> {
        let known = self.lock().clone();
        let end = known.reached.commit;
        if position >= known.reached.position {
            return None;
        }
        self.places(&known, &[Term::attempts(self.key, position)], (0, end))
    }

    fn places(&self, known: &Known, terms: &[Term], (from, end): (u64, u64)) -> Option<Places> {
        let (mut entries, mut upto) = (Vec::new(), end);
        for term in terms {
            let mut found = self.look(known, *term, from)?;
            found.sort_unstable();
            found.dedup();
            if let Some(last) = found.get(PLACES_MAX) {
                upto = upto.min(last.number());
            }
            entries.extend(found.into_iter().map(Entry::number));
        }
        entries.sort_unstable();
        entries.dedup();
        entries.retain(|first| *first < upto);
        let mut blocks: Vec<(u64, u64)> = Vec::new();
        for first in entries {
            let (first, last) = (first.max(from), (first + BLOCK).min(upto) - 1);
            match blocks.last_mut() {
                // Neighbours are read in one go.
                Some(before) if before.1 + 1 == first => before.1 = last,
                _ => blocks.push((first, last)),
            }
        }
        Some(Places { blocks, upto })
    }

    /// The entries of a term from a place on: of the disk one more than are wanted, and all that
    /// are in memory.
    fn look(&self, known: &Known, term: Term, from: u64) -> Option<Vec<Entry>> {
        let range = term.at(from)..=term.last();
        let mut found = match &known.view {
            None => Vec::new(),
            Some(view) => {
                // A tree that is damaged may also panic, which is no reason for us to.
                let find = || view.find(term, from, PLACES_MAX + 1);
                match catch_unwind(AssertUnwindSafe(find)) {
                    Ok(Ok(found)) => found,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the index cannot be read; the log is, in its place");
                        let damaged = !view::is_passing(&error);
                        self.damaged.fetch_or(damaged, Ordering::Relaxed);
                        return None;
                    }
                    Err(_) => {
                        self.damaged.store(true, Ordering::Relaxed);
                        return None;
                    }
                }
            }
        };
        if found.len() <= PLACES_MAX {
            let recent = known.recent.iter().filter(|entry| range.contains(*entry));
            found.extend(recent.copied());
        }
        Some(found)
    }
}

/// Whether there is an index of the log in a directory.
#[must_use]
pub fn has_index(dir: impl AsRef<Path>) -> bool {
    view::place(dir.as_ref()).is_dir()
}

/// Removes the index of the log in a directory, and says whether there was one. No process may have
/// the log open.
///
/// # Errors
/// `HN0204` when it cannot be removed.
pub fn remove_index(dir: impl AsRef<Path>) -> Result<bool> {
    let place = view::place(dir.as_ref());
    View::remove(&place).map_err(|error| {
        let shown = place.display();
        let said = format!("'{shown}' cannot be removed: {error}");
        hence_core::error::Code::STORAGE.caused(said, error)
    })
}

#[cfg(test)]
mod tests;
