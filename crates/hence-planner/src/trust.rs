//! Predicted against measured: may the plan be believed?

use serde::{Deserialize, Serialize};

use crate::fit::Band;
use crate::plan::Figure;

/// What a comparison says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The band holds the measurement.
    Ok,
    /// The measurement is outside, by this relative error.
    Drift {
        /// predicted/measured - 1.
        error: f64,
    },
    /// So far outside that the model does not describe the system.
    Rejected {
        /// predicted/measured - 1.
        error: f64,
    },
}

/// Compares a prediction with a measured value and its interval.
///
/// Bands that touch agree; beyond half of the measured value the model is rejected.
pub fn judge(predicted: Figure, measured: Band) -> Verdict {
    if predicted.lo <= measured.hi && measured.lo <= predicted.hi {
        return Verdict::Ok;
    }
    let error = predicted.value / measured.value - 1.0;
    if error.abs() > 0.5 {
        Verdict::Rejected { error }
    } else {
        Verdict::Drift { error }
    }
}

/// A rolling back-test: how often the band held the measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BackTest {
    /// (relative error, inside the band), the oldest first.
    entries: std::collections::VecDeque<(f64, bool)>,
    /// Comparisons kept.
    limit: usize,
}

impl BackTest {
    /// Keeps the last `limit` comparisons.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: std::collections::VecDeque::new(),
            limit: limit.max(1),
        }
    }

    /// Adds a comparison.
    pub fn push(&mut self, predicted: Figure, measured: f64) {
        if self.entries.len() >= self.limit {
            self.entries.pop_front();
        }
        let inside = (predicted.lo..=predicted.hi).contains(&measured);
        self.entries
            .push_back((predicted.value / measured - 1.0, inside));
    }

    /// (inside, of all).
    pub fn coverage(&self) -> (usize, usize) {
        (
            self.entries.iter().filter(|e| e.1).count(),
            self.entries.len(),
        )
    }

    /// Median of the absolute relative errors; `None` before the first comparison.
    pub fn median_error(&self) -> Option<f64> {
        let mut errors: Vec<f64> = self.entries.iter().map(|e| e.0.abs()).collect();
        errors.sort_by(f64::total_cmp);
        errors.get(errors.len() / 2).copied()
    }
}
