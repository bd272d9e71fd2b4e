//! M/G/1 with last come, first served (a stack), not preemptive.
//!
//! The mean wait equals FIFO's; the second moment is larger:
//! E\[Wq²\] = E\[Wq²\](FIFO)/(1-ρ). Valid for ρ < 1. Takács (1963); Kingman (1962).

use crate::error::Domain;
use crate::mg1::{Mg1, mg1};
use crate::service::Dist;

/// The M/G/1 queue served newest first.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn lifo(lambda: f64, service: &Dist) -> Result<Mg1, Domain> {
    let mut queue = mg1(lambda, service)?;
    queue.wq2 /= 1.0 - queue.rho;
    Ok(queue)
}
