//! From what a running application measured to the model that the planner answers with.
//!
//! What the data cannot carry is left out with the reason, and so is everything behind it: a plan of
//! the rest is still right, a plan with a guess in it is not.

#[path = "planning/knee.rs"]
pub(crate) mod knee;
#[path = "planning/limit.rs"]
mod limit;

use std::collections::{BTreeMap, BTreeSet};

use hence::core::Topology;
use hence::measure::{BLOCK, Measured, Times, WINDOW};
use hence_planner::fit::service::{Block, Services};
use hence_planner::fit::{Band, Refusal, Warning, arrival, key, service};
use hence_planner::histogram::{Bin, Hist};
use hence_planner::model::{KeyLaw, Keying, Model, Retry};
use hence_planner::plan::{Knowledge, flows};
use hence_planner::topology::{Handling, Inflow, Measurements, model, unmodelled};

/// The seed of resampling: the same data give the same bands.
const SEED: u64 = 1;
/// Lanes are left out of the model when this share of events, or less, meets one of its own key.
const MEETING_MAX: f64 = 0.01;

/// What was measured, by subscription.
pub(crate) type All = BTreeMap<String, Measured>;

/// A model with how well it is known.
#[derive(Debug, Default)]
pub(crate) struct Fitted {
    pub(crate) model: Model,
    pub(crate) knowledge: BTreeMap<String, Knowledge>,
    /// Why there is nothing to say of a subscription.
    pub(crate) unknown: BTreeMap<String, String>,
    /// Why there is nothing to say of the whole way of a type.
    pub(crate) open: BTreeMap<String, String>,
}

/// One subscription whose numbers can be believed.
struct One {
    handling: Handling,
    knowledge: Knowledge,
}

/// The model of an application as it was measured.
pub(crate) fn fit(topology: &Topology, measured: &All) -> Fitted {
    let mut fitted = Fitted::default();
    let mut known = BTreeMap::new();
    for node in &topology.subscriptions {
        let one = match measured.get(&node.name) {
            _ if unmodelled(node).is_some() => Err(format!(
                "it has {}, which no model follows yet",
                unmodelled(node).unwrap_or_default()
            )),
            Some(measured) if !is_idle(measured) => fit_one(measured),
            _ => Err("no event came in the last minutes".to_owned()),
        };
        match one {
            Ok(one) => drop(known.insert(node.name.clone(), one)),
            Err(why) => drop(fitted.unknown.insert(node.name.clone(), why)),
        }
    }
    let inflows = fit_inflows(topology, measured, &mut fitted);
    spread(topology, measured, &mut fitted);
    known.retain(|name, _| !fitted.unknown.contains_key(name));

    let mut rest = topology.clone();
    rest.subscriptions
        .retain(|node| known.contains_key(&node.name));
    let taken: BTreeSet<String> = rest
        .subscriptions
        .iter()
        .flat_map(|node| node.takes.iter().cloned())
        .collect();
    let handlings = known
        .iter()
        .map(|(name, one)| (name.clone(), one.handling.clone()));
    let measurements = Measurements {
        inflows: inflows
            .into_iter()
            .filter(|inflow| taken.contains(&inflow.event))
            .collect(),
        subscriptions: handlings.collect(),
    };
    // With nothing known or nothing coming in the model is empty, and everything is said above.
    fitted.model = model(&rest, &measurements).unwrap_or_default();
    fitted.knowledge = known
        .into_iter()
        .map(|(name, one)| (name, one.knowledge))
        .collect();
    fitted
}

/// Whether nothing came and nothing ended.
pub(crate) fn is_idle(measured: &Measured) -> bool {
    measured.arrivals.iter().all(|count| *count == 0) && measured.service.count() == 0
}

fn fit_one(measured: &Measured) -> Result<One, String> {
    if measured.batched {
        return Err("it handles batches, and how long one takes depends on its size".to_owned());
    }
    let say = |refusal: Refusal| refusal.to_string();
    let arrivals = arrival::fit(&measured.arrivals, WINDOW.as_secs_f64()).map_err(say)?;
    let service = service::fit(&services(measured), SEED).map_err(say)?;
    let half = |band: Band| 0.5 * (band.hi - band.lo) / band.value;
    // Bursts shorter than what is counted are the grain of the counting.
    let grain = |warning: &Warning| matches!(warning, Warning::Bursty { window, .. } if *window < WINDOW.as_secs_f64());
    let mut warnings = [arrivals.warnings, service.warnings].concat();
    warnings.retain(|warning| !grain(warning));
    let knowledge = Knowledge {
        lambda: half(arrivals.rate),
        es: half(service.es),
        warnings,
    };
    let attempts = measured.done + measured.failed + measured.rejected;
    let settled = (measured.done + measured.rejected).max(1) as f64;
    let emits = measured.emitted.iter();
    let retry = measured.options.as_ref().map(|options| Retry {
        attempts: options.retry.attempts,
        base: options.retry.first.as_secs_f64(),
        factor: options.retry.factor,
        cap: options.retry.max.as_secs_f64(),
        jitter: true,
        hold_key: options.order != hence::Order::Any,
        budget: None,
    });
    let mut handling = Handling {
        failure: measured.failed as f64 / attempts.max(1) as f64,
        retry,
        // Attempts that were cut are among those that failed; the time-out is in the histogram.
        timeout: None,
        emits: emits
            .map(|(name, count)| (name.clone(), *count as f64 / settled))
            .collect(),
        ..Handling::new(service.dist)
    };
    if let Some(options) = &measured.options {
        limit::follow(options, measured, &mut handling)?;
    }
    Ok(One {
        handling,
        knowledge,
    })
}

fn services(measured: &Measured) -> Services {
    let blocks = measured.blocks.iter().map(|block| Block {
        n: block.count,
        sum: block.sum,
        squares: block.squares,
    });
    let beside = knee::together(&measured.beside);
    Services {
        hist: histogram(&measured.service),
        blocks: blocks.collect(),
        block_seconds: BLOCK.as_secs_f64(),
        censored: measured.cut,
        by_in_flight: (beside.iter().zip(0..))
            .filter(|(level, _)| level.count > 0)
            .map(|(level, number)| (number, level.count, level.sum / level.count as f64))
            .collect(),
    }
}

fn histogram(times: &Times) -> Hist {
    let bins = times.bins().into_iter();
    Hist {
        bins: bins
            .map(|bin| Bin {
                lo: bin.lo,
                hi: bin.hi,
                count: bin.count,
            })
            .collect(),
    }
}

/// The law of the keys of a subscription; `None` where events have none.
fn key_law(measured: &Measured) -> Option<KeyLaw> {
    let keys = &measured.keys;
    if keys.events == 0 {
        return None;
    }
    // A key that came once or twice is none of the hot ones.
    let top: Vec<u64> = keys
        .top
        .iter()
        .copied()
        .filter(|count| *count > 2)
        .collect();
    key::fit(&top, keys.events, keys.distinct.max(top.len() as u64)).ok()
}

/// What comes in from outside, by type.
fn fit_inflows(topology: &Topology, measured: &All, fitted: &mut Fitted) -> Vec<Inflow> {
    let mut inflows = Vec::new();
    for kind in &topology.types {
        let takers = || {
            let nodes = topology.subscriptions.iter();
            nodes.filter(|node| node.takes.contains(&kind.name))
        };
        let counted = takers().find_map(|node| {
            let measured = measured.get(&node.name)?;
            let counts = measured.inflows.get(&kind.name)?;
            counts
                .iter()
                .any(|count| *count > 0)
                .then_some((measured, counts))
        });
        let Some((measured, counts)) = counted else {
            continue;
        };
        match arrival::fit(counts, WINDOW.as_secs_f64()) {
            Ok(fit) => {
                // Timers beside other traffic are a source of the same name.
                let inflow = |arrivals| Inflow {
                    source: kind.name.clone(),
                    event: kind.name.clone(),
                    arrivals,
                    keys: key_law(measured),
                };
                inflows.push(inflow(fit.arrivals));
                let timers = fit.timers.into_iter();
                inflows.extend(timers.map(inflow));
            }
            Err(refusal) => {
                let why = format!("of {}: {refusal}", kind.name);
                fitted.open.insert(kind.name.clone(), why.clone());
                for node in takers() {
                    fitted
                        .unknown
                        .entry(node.name.clone())
                        .or_insert_with(|| why.clone());
                }
            }
        }
    }
    inflows
}

/// What stands behind something unknown that brings it events is unknown, too.
fn spread(topology: &Topology, measured: &All, fitted: &mut Fitted) {
    let emits = |name: &str, kind: &String| {
        let measured = measured.get(name);
        measured.is_some_and(|m| m.emitted.get(kind).is_some_and(|count| *count > 0))
    };
    let busy = |name: &str| measured.get(name).is_some_and(|m| !is_idle(m));
    loop {
        let mut found = None;
        for node in &topology.subscriptions {
            if !fitted.unknown.contains_key(&node.name) {
                let before = topology.subscriptions.iter().find(|before| {
                    let unknown = fitted.unknown.contains_key(&before.name) && busy(&before.name);
                    unknown && node.takes.iter().any(|kind| emits(&before.name, kind))
                });
                found = found.or(before.map(|before| (node.name.clone(), before.name.clone())));
            }
        }
        let Some((name, before)) = found else { break };
        let why = format!("it takes what {before} publishes, of which nothing can be said");
        fitted.unknown.insert(name, why);
    }
    // Backwards: a way is open when it leads through something unknown that has events.
    for kind in &topology.types {
        let mut ahead = vec![kind.name.clone()];
        let mut seen = BTreeSet::new();
        while let Some(next) = ahead.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            for node in topology
                .subscriptions
                .iter()
                .filter(|n| n.takes.contains(&next))
            {
                if fitted.unknown.contains_key(&node.name) && busy(&node.name) {
                    let why = format!(
                        "its way leads to {}, of which nothing can be said",
                        node.name
                    );
                    fitted.open.entry(kind.name.clone()).or_insert(why);
                }
                let further = node.emits.iter().filter(|kind| emits(&node.name, kind));
                ahead.extend(further.cloned());
            }
        }
    }
}

/// Leaves lanes out where keys hardly meet: then they are a queue that formulas describe.
pub(crate) fn relax(model: &mut Model, measured: &All) {
    let Ok(flows) = flows(model) else { return };
    for (station, flow) in model.stations.iter_mut().zip(&flows) {
        let Some(measured) = measured.get(&station.name) else {
            continue;
        };
        if station.keying != Keying::Turns || flow.rho >= 1.0 || station.failure.is_some() {
            continue;
        }
        let present = flow.lambda * flow.es / (1.0 - flow.rho);
        let meeting = match key_law(measured) {
            None => 0.0,
            Some(KeyLaw::Measured { top, others }) => {
                let rest = (1.0 - top.iter().sum::<f64>()).max(0.0);
                let squares: f64 = top.iter().map(|share| share * share).sum();
                squares + rest * rest / f64::from(others.max(1))
            }
            Some(_) => 1.0,
        };
        if meeting * present < MEETING_MAX {
            station.keying = Keying::None;
        }
    }
}

/// The doubts that a fit of arrivals leaves, in words.
pub(crate) fn doubts(knowledge: &Knowledge) -> Vec<String> {
    knowledge.warnings.iter().map(Warning::to_string).collect()
}

/// The rate of a type from outside; `None` when it has none.
pub(crate) fn rate(model: &Model, name: &str) -> Option<f64> {
    model.rate(name)
}
