//! `Settled`: which positions of a subscription are settled, as a low-water mark and ranges above.

use std::collections::BTreeMap;

/// Every position up to a mark, and ranges above it.
///
/// A delivery settles the range from behind the last open delivery before it, so that messages of
/// other types leave no gaps and the number of ranges is bounded by what is in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    low: u64,
    /// First and last of each range; never adjacent to each other or to the mark.
    ranges: BTreeMap<u64, u64>,
}

impl Settled {
    /// Everything up to a position.
    pub(crate) fn up_to(low: u64) -> Self {
        Self {
            low,
            ranges: BTreeMap::new(),
        }
    }

    pub(crate) fn of(low: u64, ranges: BTreeMap<u64, u64>) -> Self {
        Self { low, ranges }
    }

    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    pub(crate) fn ranges(&self) -> &BTreeMap<u64, u64> {
        &self.ranges
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        position <= self.low
            || !self.ranges.is_empty()
                && self
                    .ranges
                    .range(..=position)
                    .next_back()
                    .is_some_and(|(_, last)| position <= *last)
    }

    /// The first position at or after this one that is not settled.
    pub(crate) fn skip(&self, position: u64) -> u64 {
        if position <= self.low {
            return self.low + 1;
        }
        match self.ranges.range(..=position).next_back() {
            Some((_, last)) if position <= *last => *last + 1,
            _ => position,
        }
    }

    /// Settles every position behind `after`, up to and with `last`.
    pub(crate) fn insert(&mut self, after: u64, last: u64) {
        let (mut first, mut last) = (after.max(self.low) + 1, last);
        if first > last {
            return;
        }
        if first == self.low + 1 && self.ranges.is_empty() {
            self.low = last;
            return;
        }
        let touching = |range: &BTreeMap<u64, u64>, first: u64, last: u64| {
            range
                .range(..=last.saturating_add(1))
                .next_back()
                .map(|(from, to)| (*from, *to))
                .filter(|(_, to)| to.saturating_add(1) >= first)
        };
        while let Some((from, to)) = touching(&self.ranges, first, last) {
            self.ranges.remove(&from);
            first = first.min(from);
            last = last.max(to);
        }
        if first == self.low + 1 {
            self.low = last;
        } else {
            self.ranges.insert(first, last);
        }
    }
}

#[cfg(test)]
mod tests;
