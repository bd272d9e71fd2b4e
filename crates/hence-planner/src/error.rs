//! What a formula or a plan can refuse, and why.

use serde::{Deserialize, Serialize};

/// A formula was asked something outside its domain.
///
/// Formulas never panic and never return NaN: they return this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Domain {
    /// An argument is NaN, negative, zero where it must be positive, or so large or small that
    /// the arithmetic does not carry it ([`MAGNITUDE_MAX`], [`WORKERS_MAX`], [`STATES_MAX`],
    /// [`PHASES_MAX`]).
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

/// Largest magnitude of an argument in seconds, 1/s or erlang; its inverse is the smallest that is
/// not 0. Products of up to nine arguments then neither overflow nor vanish, and 10³⁰ seconds are
/// longer than anything waits.
pub const MAGNITUDE_MAX: f64 = 1e30;

/// Most workers that a formula counts up to; Erlang's recursion takes one step for each.
pub const WORKERS_MAX: u32 = 10_000_000;

/// Most places, customers, attempts or phases: states that a chain keeps in memory as a vector.
pub const STATES_MAX: u32 = 5_000_000;

/// Most phases whose rates are kept as a square matrix.
pub const PHASES_MAX: u32 = 500;

/// `value` if it is > 0 and within [`MAGNITUDE_MAX`] and its inverse.
pub(crate) fn positive(name: &str, value: f64) -> Result<f64, Domain> {
    if (1.0 / MAGNITUDE_MAX..=MAGNITUDE_MAX).contains(&value) {
        Ok(value)
    } else {
        Err(Domain::Argument {
            name: name.to_owned(),
            value,
        })
    }
}

/// `value` if it is ≥ 0 and at most [`MAGNITUDE_MAX`].
pub(crate) fn non_negative(name: &str, value: f64) -> Result<f64, Domain> {
    if (0.0..=MAGNITUDE_MAX).contains(&value) {
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

/// `c` as a number of workers, at least one and at most [`WORKERS_MAX`].
pub(crate) fn workers(c: u32) -> Result<f64, Domain> {
    count("c", c, WORKERS_MAX)
}

/// `n` if it is at least one and at most `most`.
pub(crate) fn count(name: &str, n: u32, most: u32) -> Result<f64, Domain> {
    if (1..=most).contains(&n) {
        Ok(f64::from(n))
    } else {
        Err(Domain::Argument {
            name: name.to_owned(),
            value: f64::from(n),
        })
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
