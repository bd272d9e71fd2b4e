//! Reading messages in the order of their positions, from memory where it can, else from the disk.

use std::sync::Arc;

use hence_core::engine::{Entry, Filter, Reader};
use hence_core::error::Result;
use hence_core::handler::BoxFuture;

use crate::core::Core;
use crate::identity;
use crate::index::Places;
use crate::journal::Cold;
use crate::shared::Shared;

/// Entries that a reader looks at before the lock is given to others.
pub(crate) const READ_SCAN_MAX: usize = 512;

/// A reader at a position.
pub(crate) struct Tailing {
    shared: Arc<Shared>,
    next: u64,
    /// The last position that it reads; `None` when it follows.
    end: Option<u64>,
    filter: Filter,
    cold: Option<(u64, Cold)>,
    /// Where the index says to look.
    places: Option<Places>,
}

/// What one look into memory gave.
enum Look {
    Entries(Vec<Entry>),
    Again,
    /// To be read from the disk; this is the newest position.
    Cold(u64),
    End,
    Closed,
}

impl Tailing {
    pub(crate) fn new(shared: Arc<Shared>, next: u64, end: Option<u64>, filter: Filter) -> Self {
        Self {
            shared,
            next,
            end,
            filter,
            cold: None,
            places: None,
        }
    }

    pub(crate) async fn read(&mut self, max: usize) -> Result<Vec<Entry>> {
        let max = max.max(1);
        loop {
            let shared = Arc::clone(&self.shared);
            let mut more = std::pin::pin!(shared.appended.notified());
            // Registered before the look, so that nothing is published between the two.
            more.as_mut().enable();
            match self.look(max) {
                Look::Entries(entries) => return Ok(entries),
                Look::Closed => return Ok(Vec::new()),
                Look::Again => tokio::task::yield_now().await,
                Look::Cold(last) => {
                    let entries = self.read_on(max, last)?;
                    if !entries.is_empty() {
                        return Ok(entries);
                    }
                    tokio::task::yield_now().await;
                }
                Look::End if self.end.is_some() => return Ok(Vec::new()),
                Look::End => more.await,
            }
        }
    }

    fn look(&mut self, max: usize) -> Look {
        let shared = Arc::clone(&self.shared);
        let mut core = shared.lock();
        if core.closed {
            return Look::Closed;
        }
        let end = self.end.unwrap_or(u64::MAX).min(core.state.last());
        if self.next > end {
            core.followed = true;
            return Look::End;
        }
        if !core.tail.covers(self.next) {
            return Look::Cold(core.state.last());
        }
        self.cold = None;
        let entries = self.scan(&core, end, max);
        if entries.is_empty() {
            Look::Again
        } else {
            Look::Entries(entries)
        }
    }

    fn scan(&mut self, core: &Core, end: u64, max: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut seen = end;
        for (count, kept) in core.tail.from(self.next).enumerate() {
            let position = kept.entry.position.0;
            if position > end {
                break;
            }
            if count == READ_SCAN_MAX || entries.len() == max {
                seen = position - 1;
                break;
            }
            if self.filter.matches(&kept.entry) {
                entries.push(kept.entry.clone());
            }
        }
        self.next = seen + 1;
        entries
    }

    /// Goes behind what cannot pass, as far as the index knows; the next place ends at the answer.
    fn skip(&mut self) -> Option<u64> {
        let Some(index) = &self.shared.index else {
            return Some(u64::MAX);
        };
        if self
            .places
            .as_ref()
            .is_none_or(|known| known.upto <= self.next)
        {
            self.places = index.events(&self.filter, self.next);
        }
        let Some(places) = &self.places else {
            return Some(u64::MAX);
        };
        let blocks = &places.blocks;
        let before = blocks.partition_point(|(_, last)| *last < self.next);
        let Some((first, last)) = blocks.get(before) else {
            self.next = places.upto;
            return None;
        };
        self.next = self.next.max(*first);
        Some(*last)
    }

    /// Reads on from the disk.
    fn read_on(&mut self, max: usize, last: u64) -> Result<Vec<Entry>> {
        let Some(until) = self.skip() else {
            return Ok(Vec::new());
        };
        // The log has a commit a moment before the tables, which are asked about what is read here.
        let until = until.min(last);
        if !matches!(&self.cold, Some((at, _)) if *at == self.next) {
            let tags = (!self.filter.types.is_empty() && self.filter.type_prefixes.is_empty())
                .then(|| {
                    self.filter
                        .types
                        .iter()
                        .map(|name| identity::tag(name))
                        .collect()
                });
            let reader = self.shared.lock().store.reader(self.next, tags);
            self.cold = reader.map(|reader| (self.next, reader));
        }
        let Some((at, reader)) = &mut self.cold else {
            return Ok(Vec::new());
        };
        let (found, upto) = reader.chunk(last, until)?;
        let upto = upto.min(until);
        let end = self.end.unwrap_or(u64::MAX);
        let mut entries = Vec::new();
        self.next = upto + 1;
        for entry in found {
            if entries.len() == max {
                self.next = entry.position.0;
                break;
            }
            if entry.position.0 <= end && self.filter.matches(&entry) {
                entries.push(entry);
            }
        }
        *at = upto + 1;
        if upto == until {
            // It has read beyond the place already.
            self.cold = None;
        }
        Ok(entries)
    }
}

impl Reader for Tailing {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Entry>>> {
        Box::pin(self.read(max))
    }
}
