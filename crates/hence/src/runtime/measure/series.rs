//! `Series`: values of neighbouring steps of time, the newest kept; `Inflows`: one for each type.

use std::collections::VecDeque;

/// Values of neighbouring steps of time, from the first that was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Series<T> {
    values: VecDeque<T>,
    /// The step of the first value.
    first: u64,
}

impl<T: Copy + Default> Series<T> {
    /// The value of a step, unless that is too long ago; at most `most` are kept.
    pub(super) fn at(&mut self, step: u64, most: usize) -> Option<&mut T> {
        if self.values.is_empty() {
            self.first = step;
        }
        let mut index = usize::try_from(step.checked_sub(self.first)?).unwrap_or(usize::MAX);
        if index >= most {
            let gone = index - most + 1;
            self.values.drain(..gone.min(self.values.len()));
            self.first = step - most as u64 + 1;
            index = most - 1;
        }
        if self.values.len() <= index {
            self.values.resize(index + 1, T::default());
        }
        self.values.get_mut(index)
    }

    /// The values before a step, the oldest first.
    pub(super) fn list(&self, end: u64, most: usize) -> Vec<T> {
        if self.values.is_empty() {
            return Vec::new();
        }
        let wanted = usize::try_from(end.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let skipped = wanted.saturating_sub(most);
        let values = self.values.iter().copied();
        let padded = values.chain(std::iter::repeat(T::default()));
        padded
            .skip(skipped.min(self.values.len()))
            .take(wanted - skipped)
            .collect()
    }
}

/// A series for each type of events.
#[derive(Clone, Debug, Default)]
pub(super) struct Inflows {
    types: Vec<(String, Series<u16>)>,
    /// Where the type was found that was asked for last: the next is mostly the same.
    last: usize,
}

impl Inflows {
    /// Where the series of a type is; `None` for a new one when there are `most`.
    pub(super) fn index_of(&mut self, name: &str, most: usize) -> Option<usize> {
        if self
            .types
            .get(self.last)
            .is_none_or(|known| known.0 != name)
        {
            let found = self.types.iter().position(|known| known.0 == name);
            if found.is_none() && self.types.len() >= most {
                return None;
            }
            self.last = found.unwrap_or(self.types.len());
            if found.is_none() {
                self.types.push((name.to_owned(), Series::default()));
            }
        }
        Some(self.last)
    }

    pub(super) fn at(&mut self, index: usize) -> Option<&mut Series<u16>> {
        self.types.get_mut(index).map(|known| &mut known.1)
    }

    /// The types of which something came.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Series<u16>)> {
        let came = self
            .types
            .iter()
            .filter(|(_, series)| !series.values.is_empty());
        came.map(|(name, series)| (&**name, series))
    }
}
