//! M/M/c//N: a finite source of N, each either thinking (mean Z) or in the station.
//!
//! Birth rate (N-n)/Z, death rate min(n,c)/s; X = throughput, R = N/X - Z. Always stable.
//! Models bounded in-flight, synchronous publishers, WebSocket clients. Times in seconds.
//! Kleinrock I (1975), §3.8; the "machine repairman" model.

use serde::{Deserialize, Serialize};

use crate::birth_death::{expect, stationary};
use crate::error::{Domain, STATES_MAX, count, positive, workers};

/// Solution of a closed M/M/c//N queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Throughput X, 1/s.
    pub x: f64,
    /// Mean response time R of the station, seconds.
    pub r: f64,
    /// Mean number in the station.
    pub l: f64,
    /// Utilisation ρ of the workers.
    pub rho: f64,
}

/// The closed queue of `n` customers with think time `z` and mean service `es`.
///
/// # Errors
/// [`Domain::Argument`] for times that are not positive.
pub fn mmc_closed(n: u32, z: f64, es: f64, c: u32) -> Result<Closed, Domain> {
    count("n", n, STATES_MAX)?;
    positive("z", z)?;
    positive("es", es)?;
    let servers = workers(c)?;
    let p = stationary(n, |k| (f64::from(n) - k) / z, |k| k.min(servers) / es);
    let l = expect(&p, |k| k);
    let x = expect(&p, |k| k.min(servers)) / es;
    Ok(Closed {
        x,
        r: l / x,
        l,
        rho: x * es / servers,
    })
}
