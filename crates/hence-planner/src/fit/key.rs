//! Key skew: the measured top keys, and what the hottest one allows.
//!
//! One key is handled one event at a time, so λ_key·E\[S\] < 1 whatever the number of workers.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, positive};
use crate::model::KeyLaw;

/// The law of keys from counts of the hottest keys and the totals.
///
/// # Errors
/// [`Domain::Argument`] when the top keys hold more events than there were.
pub fn fit(top: &[u64], events: u64, distinct: u64) -> Result<KeyLaw, Domain> {
    let all = positive("events", events as f64)?;
    let sum: u64 = top.iter().sum();
    if sum > events || (top.len() as u64) > distinct {
        return Err(Domain::Argument {
            name: "events of the top keys".into(),
            value: sum as f64,
        });
    }
    let others = (distinct - top.len() as u64).min(u64::from(u32::MAX)) as u32;
    Ok(KeyLaw::Measured {
        top: top.iter().map(|n| *n as f64 / all).collect(),
        others,
    })
}

/// The hottest key of a law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HotKey {
    /// Its share of the events.
    pub share: f64,
    /// Utilisation of its lane, λ_key·E\[S\].
    pub rho: f64,
    /// The total rate at which its lane saturates, 1/s.
    pub ceiling: f64,
}

/// The hottest key at total rate λ and mean service time `es` (with back-offs if the key waits).
pub fn hottest(law: &KeyLaw, lambda: f64, es: f64) -> HotKey {
    let share = match law {
        KeyLaw::Zipf { n, z } => 1.0 / (1..=*n).map(|k| f64::from(k).powf(-z)).sum::<f64>(),
        KeyLaw::Measured { top, others } => {
            let rest = (1.0 - top.iter().sum::<f64>()).max(0.0);
            let each = if *others > 0 {
                rest / f64::from(*others)
            } else {
                0.0
            };
            top.iter().copied().fold(each, f64::max)
        }
    };
    HotKey {
        share,
        rho: share * lambda * es,
        ceiling: 1.0 / (share * es),
    }
}
