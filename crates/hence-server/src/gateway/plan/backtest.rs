//! The rolling back-test: what was predicted for the next minute, beside what it brought.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hence::measure::{Bin, Measured};
use hence_planner::plan::Figure;
use hence_planner::trust::BackTest;
use serde::Serialize;

use crate::planning::All;

/// How often a prediction is made and judged.
pub(crate) const EVERY: Duration = Duration::from_secs(60);
/// Comparisons that are kept for each subscription: those of two hours.
const KEPT: usize = 120;
/// Attempts that a minute must have to be a measurement.
const ATTEMPTS_MIN: f64 = 50.0;

/// All back-tests, by subscription.
#[derive(Debug, Default)]
pub(crate) struct BackTests(Mutex<BTreeMap<String, One>>);

#[derive(Debug)]
struct One {
    test: BackTest,
    /// What was predicted for the time since `before`.
    predicted: Option<Figure>,
    /// Every response that was counted up to then.
    before: Counted,
    last: Option<Compared>,
}

/// Responses that were counted.
#[derive(Debug, Default)]
struct Counted {
    bins: Vec<Bin>,
    count: f64,
    sum: f64,
}

/// A prediction and what came.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) predicted: f64,
    lo: f64,
    hi: f64,
    pub(crate) measured: f64,
}

/// The back-test of one subscription.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tested {
    pub(crate) subscription: String,
    /// Comparisons.
    pub(crate) of: usize,
    /// In so many of them the band held what came.
    pub(crate) inside: usize,
    /// Median of the relative errors, without their signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Compared>,
}

impl Counted {
    fn of(measured: &Measured) -> Self {
        let response = &measured.response;
        let count = response.count() as f64;
        Self {
            bins: response.bins(),
            count,
            sum: count * response.mean().unwrap_or_default(),
        }
    }

    /// The mean of what was counted since; `None` when it is too little, or when what was counted
    /// earlier has been forgotten meanwhile.
    fn mean_since(&self, before: &Self) -> Option<f64> {
        let grown = |old: &Bin| {
            let found = self.bins.binary_search_by(|bin| bin.lo.total_cmp(&old.lo));
            let bin = found.ok().and_then(|at| self.bins.get(at));
            bin.is_some_and(|bin| bin.count >= old.count)
        };
        let count = self.count - before.count;
        let is_later = before.bins.iter().all(grown);
        (is_later && count >= ATTEMPTS_MIN).then(|| (self.sum - before.sum) / count)
    }
}

impl BackTests {
    /// Judges what was predicted before by what was measured since, and keeps what is predicted now.
    pub(crate) fn judge(&self, measured: &All, predicted: &BTreeMap<String, Figure>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, measured) in measured {
            let now = Counted::of(measured);
            let one = all.entry(name.clone()).or_insert_with(|| One {
                test: BackTest::new(KEPT),
                predicted: None,
                before: Counted::default(),
                last: None,
            });
            if let (Some(figure), Some(mean)) = (one.predicted, now.mean_since(&one.before)) {
                one.test.push(figure, mean);
                one.last = Some(Compared {
                    predicted: figure.value,
                    lo: figure.lo,
                    hi: figure.hi,
                    measured: mean,
                });
            }
            one.before = now;
            one.predicted = predicted.get(name).copied();
        }
    }

    /// Every subscription that was judged at least once.
    pub(crate) fn all(&self) -> Vec<Tested> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tested = all.iter().map(|(name, one)| {
            let (inside, of) = one.test.coverage();
            Tested {
                subscription: name.clone(),
                of,
                inside,
                median: one.test.median_error(),
                last: one.last,
            }
        });
        tested.filter(|tested| tested.of > 0).collect()
    }
}

#[cfg(test)]
mod tests;
