//! `Tail`: the newest entries, in memory. For `memory:` it is the whole journal.

use std::collections::{BTreeMap, VecDeque};

use hence_core::engine::Entry;

/// One entry and what the tail needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) entry: Entry,
    pub(crate) tag: u32,
    size: usize,
    /// Subscriptions that have not settled it.
    open: u32,
}

/// The newest entries in a ring. Settled ones leave it when they take too much memory; open ones
/// that stand in their way are kept aside, so that one slow delivery does not keep all behind it.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The position of the first entry of the ring.
    first: u64,
    ring: VecDeque<Kept>,
    aside: BTreeMap<u64, Kept>,
    /// Whether entries that left are nowhere else.
    is_journal: bool,
    keep_bytes: usize,
    open_bytes: usize,
    closed_bytes: usize,
}

impl Tail {
    pub(crate) fn new(first: u64, keep_bytes: usize, is_journal: bool) -> Self {
        Self {
            first,
            ring: VecDeque::new(),
            aside: BTreeMap::new(),
            is_journal,
            keep_bytes,
            open_bytes: 0,
            closed_bytes: 0,
        }
    }

    /// Whether it counts who has not settled what.
    pub(crate) fn counts(&self) -> bool {
        self.is_journal
    }

    /// Memory taken by entries that some subscription has not settled.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// Memory taken by all.
    pub(crate) fn bytes(&self) -> usize {
        self.open_bytes + self.closed_bytes
    }

    /// The oldest position that is kept, if any is.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let aside = self.aside.keys().next().copied();
        aside.or_else(|| (!self.ring.is_empty()).then_some(self.first))
    }

    /// Adds the next entry, which so many subscriptions have to settle.
    pub(crate) fn push(&mut self, entry: Entry, tag: u32, size: usize, open: usize) {
        let open = match self.is_journal {
            true => u32::try_from(open).unwrap_or(u32::MAX),
            false => 0,
        };
        let kept = Kept {
            entry,
            tag,
            size,
            open,
        };
        *self.account(open > 0) += size;
        self.ring.push_back(kept);
        self.shrink();
    }

    fn account(&mut self, is_open: bool) -> &mut usize {
        match is_open {
            true => &mut self.open_bytes,
            false => &mut self.closed_bytes,
        }
    }

    fn shrink(&mut self) {
        while self.closed_bytes > self.keep_bytes
            && let Some(kept) = self.ring.pop_front()
        {
            if kept.open > 0 {
                self.aside.insert(self.first, kept);
            } else {
                self.closed_bytes -= kept.size;
            }
            self.first += 1;
        }
    }

    /// Whether what is not here at or after a position is nowhere.
    pub(crate) fn covers(&self, position: u64) -> bool {
        self.is_journal || position >= self.first
    }

    fn kept_mut(&mut self, position: u64) -> Option<&mut Kept> {
        match position.checked_sub(self.first) {
            Some(at) => self.ring.get_mut(usize::try_from(at).ok()?),
            None => self.aside.get_mut(&position),
        }
    }

    pub(crate) fn get(&self, position: u64) -> Option<&Kept> {
        match position.checked_sub(self.first) {
            Some(at) => self.ring.get(usize::try_from(at).ok()?),
            None => self.aside.get(&position),
        }
    }

    /// The entries at and after a position, in order.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = &Kept> {
        let at = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let aside = self.aside.range(position..).map(|(_, kept)| kept);
        aside.chain(self.ring.range(at.min(self.ring.len())..))
    }

    /// One more subscription has to settle an entry.
    pub(crate) fn reopen(&mut self, position: u64) {
        if !self.is_journal {
            return;
        }
        if let Some(kept) = self.kept_mut(position) {
            kept.open += 1;
            if kept.open == 1 {
                let size = kept.size;
                self.closed_bytes -= size;
                self.open_bytes += size;
            }
        }
    }

    /// One subscription has settled an entry.
    pub(crate) fn release(&mut self, position: u64) {
        if !self.is_journal {
            return;
        }
        let Some(kept) = self.kept_mut(position).filter(|kept| kept.open > 0) else {
            return;
        };
        kept.open -= 1;
        if kept.open > 0 {
            return;
        }
        let size = kept.size;
        self.open_bytes -= size;
        if self.aside.remove(&position).is_none() {
            self.closed_bytes += size;
            self.shrink();
        }
    }
}
