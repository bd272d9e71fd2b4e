//! What limits a station beside its workers: time, pace, retries.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive, probability};
use crate::model::{Discipline, Station};
use crate::service::Dist;

/// Events that are of no use any more after a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expiry {
    /// Share of the arrivals that expire at all.
    pub share: f64,
    /// From the arrival of such an event to its expiry.
    pub after: Dist,
}

/// A token bucket of calls: one begins when those before it leave room within the burst.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Calls per second.
    pub per_second: f64,
    /// Calls that may begin at once after a pause.
    pub burst: f64,
}

/// The runtime's retry budget: the retries of a storm are spread at the rate that it permits, and
/// none is lost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spacing {
    /// Retries per first attempt of the time that is remembered.
    pub per_event: f64,
    /// And so many per second.
    pub per_second: f64,
    /// So many seconds of the budget may be used at once.
    pub burst: f64,
    /// Seconds for which first attempts are remembered.
    pub memory: f64,
}

impl Spacing {
    /// Retries per second that it lets through at so many first attempts per second.
    pub fn rate(&self, fresh: f64) -> f64 {
        self.per_second + self.per_event * fresh
    }
}

impl Station {
    pub(super) fn check_limits(&self) -> Result<(), Domain> {
        if !self.class_shares.is_empty() {
            let sum: f64 = self.class_shares.iter().sum();
            for share in &self.class_shares {
                probability("class share", *share)?;
            }
            if (sum - 1.0).abs() > 1e-6 {
                return Err(Domain::Argument {
                    name: "sum of class shares".into(),
                    value: sum,
                });
            }
        }
        if let Discipline::Aged { step } = self.discipline {
            non_negative("step", step)?;
        }
        if let Some(expiry) = &self.expiry {
            probability("share that expires", expiry.share)?;
            expiry.after.check()?;
        }
        if let Some(pace) = &self.pace {
            positive("calls per second", pace.per_second)?;
            positive("burst", pace.burst)?;
        }
        if let Some(spacing) = &self.spacing {
            non_negative("per_event", spacing.per_event)?;
            non_negative("per_second", spacing.per_second)?;
            non_negative("burst", spacing.burst)?;
            positive("memory", spacing.memory)?;
        }
        Ok(())
    }
}
