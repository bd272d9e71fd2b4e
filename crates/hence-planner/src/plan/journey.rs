//! The journeys of several sources of one name, told as one.

use std::collections::BTreeMap;

use super::{Figure, Journey, Method};
use crate::simulate::{Estimate, SimReport};

/// The journeys that a simulation saw.
pub fn simulated(report: &SimReport) -> Vec<Journey> {
    let figure = |estimate: Estimate| Figure {
        value: estimate.value,
        lo: estimate.lo,
        hi: estimate.hi,
        method: Method::Simulation(report.replications),
    };
    let parts = report.sources.iter().map(|source| Journey {
        source: source.name.clone(),
        rate: source.rate.value,
        art: figure(source.response.mean),
        p50: figure(source.response.p50),
        p95: figure(source.response.p95),
        p99: figure(source.response.p99),
    });
    together(parts.collect())
}

/// One journey of each name, in the order in which they first come.
///
/// The mean is that of all events. A quantile of all lies between the least and the largest of the
/// parts, and nothing more is known of it without their whole distributions: that is its band.
pub fn together(parts: Vec<Journey>) -> Vec<Journey> {
    let mut all: Vec<Journey> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts {
        let place = *places.entry(part.source.clone()).or_insert(all.len());
        match all.get_mut(place) {
            Some(whole) => join(whole, &part),
            None => all.push(part),
        }
    }
    all
}

fn join(whole: &mut Journey, part: &Journey) {
    let rate = whole.rate + part.rate;
    let share = if rate > 0.0 { part.rate / rate } else { 0.0 };
    let mixed = |a: f64, b: f64| a + share * (b - a);
    let (mean, other) = (whole.art, part.art);
    whole.art = Figure {
        value: mixed(mean.value, other.value),
        lo: mixed(mean.lo, other.lo),
        hi: mixed(mean.hi, other.hi),
        ..mean
    };
    for (a, b) in [
        (&mut whole.p50, part.p50),
        (&mut whole.p95, part.p95),
        (&mut whole.p99, part.p99),
    ] {
        a.value = mixed(a.value, b.value);
        a.lo = a.lo.min(b.lo);
        a.hi = a.hi.max(b.hi);
    }
    whole.rate = rate;
}
