//! `Held`: which deliveries of one subscription the runtime has.

use std::collections::VecDeque;

/// In place of the position before one that is held no longer.
const GONE: u64 = u64::MAX;

/// So many places may be empty, beside as many as are held, before they are given up.
const EMPTY_MAX: usize = 64;

/// Positions that are held, and the last open position before each.
///
/// They come and go nearly in their order, so they stand in a ring: what is asked for mostly stands
/// as far behind the first as its position does.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// In the order of positions, the first of them held.
    ring: VecDeque<(u64, u64)>,
    /// Places in it of which nothing is held.
    gone: usize,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.ring.len() - self.gone
    }

    fn index(&self, position: u64) -> Result<usize, usize> {
        let first = self.ring.front().map_or(position, |(first, _)| *first);
        let Some(behind) = position.checked_sub(first) else {
            return Err(0);
        };
        let guess = usize::try_from(behind).unwrap_or(usize::MAX);
        match self.ring.get(guess) {
            Some((found, _)) if *found == position => Ok(guess),
            _ => self.ring.binary_search_by_key(&position, |(at, _)| *at),
        }
    }

    /// The last open position before one that is held.
    pub(crate) fn after(&self, position: u64) -> Option<u64> {
        let (_, after) = self.ring.get(self.index(position).ok()?)?;
        (*after != GONE).then_some(*after)
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        self.after(position).is_some()
    }

    /// Notes that a position is held.
    pub(crate) fn insert(&mut self, position: u64, after: u64) {
        if self.ring.back().is_none_or(|(last, _)| *last < position) {
            return self.ring.push_back((position, after));
        }
        match self.index(position) {
            Ok(at) => {
                if let Some(place) = self.ring.get_mut(at) {
                    self.gone -= usize::from(place.1 == GONE);
                    place.1 = after;
                }
            }
            Err(at) => self.ring.insert(at, (position, after)),
        }
    }

    /// Lets go of a position; gives the last open position before it, if it was held.
    pub(crate) fn remove(&mut self, position: u64) -> Option<u64> {
        let at = match self.ring.front() {
            Some((first, _)) if *first == position => 0,
            _ => self.index(position).ok()?,
        };
        let (_, place) = self.ring.get_mut(at)?;
        let after = std::mem::replace(place, GONE);
        if after == GONE {
            return None;
        }
        self.gone += 1;
        if at == 0 {
            while self.ring.front().is_some_and(|(_, after)| *after == GONE) {
                self.ring.pop_front();
                self.gone -= 1;
            }
        } else if self.gone > self.len() + EMPTY_MAX {
            self.ring.retain(|(_, after)| *after != GONE);
            self.gone = 0;
        }
        Some(after)
    }
}

#[cfg(test)]
mod tests;
