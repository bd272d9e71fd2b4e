//! What a formula or a plan can refuse, and why.

use serde::{Deserialize, Serialize};

/// A formula was asked something outside its domain.
///
/// Formulas never panic and never return NaN: they return this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Domain {
    /// An argument is NaN, infinite, negative, or zero where it must be positive.
    #[error("{name} = {value} is outside the domain of the formula")]
    Argument {
        /// Name of the argument, in the notation of the field.
        name: String,
        /// The value that was given.
        value: f64,
    },
    /// The queue grows without bound: arrivals are at least as fast as service.
    #[error("unstable: utilisation {rho:.4} is not below 1")]
    Unstable {
        /// Utilisation ρ = λE\[S\]/c.
        rho: f64,
    },
    /// A matrix is singular, for example because a loop of the graph has no exit.
    #[error("{what} is singular")]
    Singular {
        /// Which matrix.
        what: String,
    },
    /// The model does not have the quantity asked for (say, a decay rate of a heavy tail).
    #[error("not defined: {why}")]
    Undefined {
        /// The reason, as a sentence.
        why: String,
    },
}

impl Domain {
    pub(crate) fn undefined(why: impl Into<String>) -> Self {
        Self::Undefined { why: why.into() }
    }

    pub(crate) fn singular(what: impl Into<String>) -> Self {
        Self::Singular { what: what.into() }
    }
}

/// `value` if it is finite and > 0.
pub(crate) fn positive(name: &str, value: f64) -> Result<f64, Domain> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(Domain::Argument {
            name: name.to_owned(),
            value,
        })
    }
}

/// `value` if it is finite and ≥ 0.
pub(crate) fn non_negative(name: &str, value: f64) -> Result<f64, Domain> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(Domain::Argument {
            name: name.to_owned(),
            value,
        })
    }
}

/// `value` if it is a probability.
pub(crate) fn probability(name: &str, value: f64) -> Result<f64, Domain> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Domain::Argument {
            name: name.to_owned(),
            value,
        })
    }
}

/// `c` as a number of workers, at least one.
pub(crate) fn workers(c: u32) -> Result<f64, Domain> {
    if c == 0 {
        Err(Domain::Argument {
            name: "c".to_owned(),
            value: 0.0,
        })
    } else {
        Ok(f64::from(c))
    }
}

/// Ok when ρ < 1.
pub(crate) fn stable(rho: f64) -> Result<(), Domain> {
    if rho < 1.0 {
        Ok(())
    } else {
        Err(Domain::Unstable { rho })
    }
}
