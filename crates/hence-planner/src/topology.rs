//! From the application's [`Topology`] and measurements to a [`Model`].
//!
//! A subscription becomes a station; an event type becomes a fan-out: every subscription that
//! takes it gets a copy. What a handler emits is measured as events per handled event.

use std::collections::BTreeMap;

use hence_core::Topology;
use hence_core::topology::SubscriptionNode;
use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;
use crate::model::{Branch, Emission, Failure, KeyLaw, Keying, Model, Retry, Source, Station};
use crate::service::Dist;

/// What is known about the flow through a topology.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// New events, by source and type.
    pub inflows: Vec<Inflow>,
    /// Handling, by name of the subscription.
    pub subscriptions: BTreeMap<String, Handling>,
}

/// New events of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inflow {
    /// Name of the source, or of whatever publishes.
    pub source: String,
    /// Event type.
    pub event: String,
    /// When they come.
    pub arrivals: Arrivals,
    /// Their keys, for keyed types.
    #[serde(default)]
    pub keys: Option<KeyLaw>,
}

/// How a subscription handles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handling {
    /// Service time.
    pub service: Dist,
    /// Share of attempts that fail.
    #[serde(default)]
    pub failure: f64,
    /// Back-off; attempts come from the topology. Defaults to the runtime's default policy.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Handler time-out, seconds.
    #[serde(default)]
    pub timeout: Option<f64>,
    /// Events emitted per handled event, by type; 1 where nothing is said.
    #[serde(default)]
    pub emits: BTreeMap<String, f64>,
}

/// What is missing or unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missing {
    /// A subscription without measured service time.
    #[error("no service time of subscription {0:?}")]
    Service(String),
    /// An inflow of a type that nobody takes.
    #[error("nobody takes events of type {0:?}")]
    Taker(String),
    /// No inflow at all.
    #[error("no inflow of new events")]
    Inflows,
}

/// The model of a topology as it was measured.
///
/// # Errors
/// Everything that is [`Missing`], at once.
pub fn model(topology: &Topology, measurements: &Measurements) -> Result<Model, Vec<Missing>> {
    let mut missing = Vec::new();
    let stations = topology
        .subscriptions
        .iter()
        .filter_map(|node| match measurements.subscriptions.get(&node.name) {
            Some(handling) => Some(station(topology, node, handling)),
            None => {
                missing.push(Missing::Service(node.name.clone()));
                None
            }
        })
        .collect();
    if measurements.inflows.is_empty() {
        missing.push(Missing::Inflows);
    }
    let sources = measurements
        .inflows
        .iter()
        .map(|inflow| {
            let emits = copies(topology, &inflow.event, 1.0);
            if emits.is_empty() {
                missing.push(Missing::Taker(inflow.event.clone()));
            }
            let mut source = Source::new(&inflow.source, inflow.arrivals.clone(), "");
            source.emits = emits;
            source.keys = inflow.keys.clone();
            source
        })
        .collect();
    if missing.is_empty() {
        Ok(Model { stations, sources })
    } else {
        Err(missing)
    }
}

fn station(topology: &Topology, node: &SubscriptionNode, handling: &Handling) -> Station {
    let one_lane = node.order == "fifo";
    let keyed = node.order == "per-key"
        && topology
            .types
            .iter()
            .any(|t| t.keyed && node.takes.contains(&t.name));
    let servers = if one_lane {
        1
    } else {
        u32::try_from(node.concurrency).unwrap_or(u32::MAX)
    };
    let mut station = Station::new(&node.name, servers.max(1), handling.service.clone());
    station.keying = if keyed { Keying::Lanes } else { Keying::None };
    station.timeout = handling.timeout;
    if handling.failure > 0.0 || handling.timeout.is_some() {
        let default = hence_core::Retry::default();
        let policy = handling.retry.clone().unwrap_or(Retry {
            attempts: node.attempts,
            base: default.first.as_secs_f64(),
            factor: default.factor,
            cap: default.max.as_secs_f64(),
            jitter: true,
            hold_key: keyed,
            budget: None,
        });
        let retry = Retry {
            attempts: node.attempts.max(1),
            ..policy
        };
        let probability = handling.failure;
        station.failure = Some(Failure {
            probability,
            outage: None,
            retry,
        });
    }
    station.emits = node
        .emits
        .iter()
        .flat_map(|event| {
            copies(
                topology,
                event,
                handling.emits.get(event).copied().unwrap_or(1.0),
            )
        })
        .collect();
    station
}

/// One emission per taker and whole event, and one more with the probability of the fraction.
fn copies(topology: &Topology, event: &str, per_handled: f64) -> Vec<Emission> {
    let whole = per_handled.max(0.0).floor();
    let rest = per_handled.max(0.0) - whole;
    let takers = topology
        .subscriptions
        .iter()
        .filter(|s| s.takes.iter().any(|t| t == event));
    takers
        .flat_map(|taker| {
            let branch = |p| {
                vec![Branch {
                    to: taker.name.clone(),
                    p,
                }]
            };
            let part = (rest > 1e-12).then(|| branch(rest));
            (0..whole as u32).map(move |_| branch(1.0)).chain(part)
        })
        .collect()
}
