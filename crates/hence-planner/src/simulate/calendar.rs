//! The event calendar: a 4-ary heap of (time, order).
//!
//! Four children per node halve the depth of a binary heap and share a cache line or two
//! (LaMarca & Ladner 1996). Ties are broken by the order of scheduling, so runs are repeatable.
#![allow(
    clippy::indexing_slicing,
    reason = "heap positions are below the length by construction"
)]

/// What will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A source produces its next event.
    Arrive,
    /// A service ends; `stamp` is the job's epoch.
    Done,
    /// A back-off ends.
    Retry,
    /// A client gives up; `stamp` is the job's serial number.
    GiveUp,
    /// A modulated source changes its state.
    Switch,
    /// A sharing station completes its next job; `stamp` is the station's version.
    Share,
    /// An open breaker lets one event through.
    Probe,
    /// A lingering batch is due.
    Linger,
    /// The pace of a station permits a call again.
    Pace,
}

/// An entry of the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Ticks.
    pub(crate) time: u64,
    order: u64,
    /// Source, station or job, by kind.
    pub(crate) index: u32,
    /// Guards against entries overtaken by other events.
    pub(crate) stamp: u32,
    pub(crate) kind: Kind,
}

impl Entry {
    #[inline]
    fn before(&self, other: &Self) -> bool {
        (self.time, self.order) < (other.time, other.order)
    }
}

/// Pending events by time.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    heap: Vec<Entry>,
    scheduled: u64,
}

impl Calendar {
    #[inline]
    pub(crate) fn push(&mut self, time: u64, kind: Kind, index: u32, stamp: u32) {
        let entry = Entry {
            time,
            order: self.scheduled,
            index,
            stamp,
            kind,
        };
        self.scheduled += 1;
        self.heap.push(entry);
        let mut at = self.heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 4;
            if !entry.before(&self.heap[parent]) {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = entry;
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let last = self.heap.pop()?;
        if self.heap.is_empty() {
            return Some(last);
        }
        let first = self.heap[0];
        let len = self.heap.len();
        let mut at = 0;
        loop {
            let child = 4 * at + 1;
            if child >= len {
                break;
            }
            let mut least = child;
            for i in child + 1..(child + 4).min(len) {
                if self.heap[i].before(&self.heap[least]) {
                    least = i;
                }
            }
            if !self.heap[least].before(&last) {
                break;
            }
            self.heap[at] = self.heap[least];
            at = least;
        }
        self.heap[at] = last;
        Some(first)
    }
}
