//! `Series`: values of neighbouring steps of time, the newest kept.

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
