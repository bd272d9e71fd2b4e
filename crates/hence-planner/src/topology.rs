//! From the application's [`Topology`] and measurements to a [`Model`].
//!
//! A subscription becomes a station; an event type becomes a fan-out: every subscription that
//! takes it gets a copy. What a handler emits is measured as events per handled event.

use std::collections::BTreeMap;

use hence_core::Topology;
use hence_core::topology::SubscriptionNode;
use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;
use crate::model::{
    Branch, Discipline, Emission, Expiry, Failure, KeyLaw, Keying, Model, Pace, Retry, Source,
    Spacing, Station,
};
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
    /// Shares of the priority classes, the most urgent first, for the order `priority`.
    #[serde(default)]
    pub classes: Vec<f64>,
    /// After how long events expire.
    #[serde(default)]
    pub expiry: Option<Expiry>,
    /// Limit of calls over time.
    #[serde(default)]
    pub pace: Option<Pace>,
    /// Retry budget.
    #[serde(default)]
    pub spacing: Option<Spacing>,
}

impl Handling {
    /// A handling of which only the service time is known.
    pub fn new(service: Dist) -> Self {
        Self {
            service,
            failure: 0.0,
            retry: None,
            timeout: None,
            emits: BTreeMap::new(),
            classes: Vec::new(),
            expiry: None,
            pace: None,
            spacing: None,
        }
    }
}

/// The orders that are modelled.
const ORDERS: [&str; 6] = ["per-key", "fifo", "any", "lifo", "priority", "deadline"];
/// What is read of a subscription. Anything else that is set could change every figure.
const READ: [&str; 7] = [
    "name",
    "takes",
    "emits",
    "concurrency",
    "attempts",
    "order",
    "after",
];

/// The options, by the first part of their names, that models follow or that change no figure.
const FOLLOWED: [&str; 12] = [
    "order",
    "from",
    "concurrency",
    "timeout",
    "deadletter",
    "causationdepth",
    "crashes",
    "retry",
    "retrybudget",
    "breaker",
    "batch",
    "throttle",
];

/// The first option of a subscription that no model follows, with its value; `None` when all do.
pub fn unmodelled(node: &SubscriptionNode) -> Option<String> {
    if !ORDERS.contains(&node.order.as_str()) {
        return Some(format!("order {}", node.order));
    }
    let Ok(serde_json::Value::Object(members)) = serde_json::to_value(node) else {
        return Some("a topology that cannot be read".to_owned());
    };
    foreign(&members)
}

/// A member that is set and that nobody reads.
fn foreign(members: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let options = members
        .get("options")
        .and_then(serde_json::Value::as_object);
    let option = options.into_iter().flatten().find(|(name, value)| {
        let group = name.split('.').next().unwrap_or_default();
        !FOLLOWED.contains(&group) && is_set(value) && value.as_str() != Some("off")
    });
    let member = members.iter().find(|(name, value)| {
        *name != "options" && !READ.contains(&name.as_str()) && is_set(value)
    });
    option
        .or(member)
        .map(|(name, value)| format!("{name} {value}"))
}

/// Whether an option does anything.
fn is_set(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(is_set),
        Value::Object(members) => members.values().any(is_set),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// What is missing or unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missing {
    /// A subscription without measured service time.
    #[error("no service time of subscription {0:?}")]
    Service(String),
    /// A subscription with an option that no model follows.
    #[error("subscription {subscription:?} has {option}, which no model follows yet")]
    Model {
        /// Its name.
        subscription: String,
        /// The option with its value.
        option: String,
    },
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
    let mut stations = Vec::new();
    for node in &topology.subscriptions {
        if let Some(option) = unmodelled(node) {
            let subscription = node.name.clone();
            missing.push(Missing::Model {
                subscription,
                option,
            });
        }
        match measurements.subscriptions.get(&node.name) {
            Some(handling) => stations.push(station(topology, node, handling)),
            None => missing.push(Missing::Service(node.name.clone())),
        }
    }
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
    station.timeout = handling.timeout;
    station.failure = failure(node, handling, keyed || one_lane);
    station.keying = match (keyed, &station.failure) {
        (true, _) => Keying::Turns,
        // The one lane waits for its retries.
        (false, Some(_)) if one_lane => Keying::Partitions(1),
        _ => Keying::None,
    };
    station.expiry = handling.expiry.clone().filter(|e| e.share > 0.0);
    station.drop_expired = station.expiry.is_some();
    station.discipline = match node.order.as_str() {
        "lifo" => Discipline::Lifo,
        "priority" if handling.classes.len() > 1 => Discipline::Aged {
            step: hence_core::subscription::PRIORITY_STEP.as_secs_f64(),
        },
        // Without a moment of expiry, what came first goes first.
        "deadline" if station.expiry.is_some() => Discipline::Deadline,
        _ => Discipline::Fifo,
    };
    if let Discipline::Aged { .. } = station.discipline {
        station.class_shares.clone_from(&handling.classes);
    }
    station.pace = handling.pace;
    station.spacing = handling.spacing.filter(|_| station.failure.is_some());
    let emits = node.emits.iter().flat_map(|event| {
        let per_handled = handling.emits.get(event).copied().unwrap_or(1.0);
        copies(topology, event, per_handled)
    });
    station.emits = emits.collect();
    station.after.clone_from(&node.after);
    station
}

/// How attempts fail, and what follows; `None` when none does.
fn failure(node: &SubscriptionNode, handling: &Handling, hold: bool) -> Option<Failure> {
    if handling.failure <= 0.0 && handling.timeout.is_none() {
        return None;
    }
    let default = hence_core::Retry::default();
    let policy = handling.retry.clone().unwrap_or(Retry {
        attempts: node.attempts,
        base: default.first.as_secs_f64(),
        factor: default.factor,
        cap: default.max.as_secs_f64(),
        jitter: true,
        hold_key: hold,
        budget: None,
    });
    Some(Failure {
        probability: handling.failure,
        outage: None,
        retry: Retry {
            attempts: node.attempts.max(1),
            hold_key: hold,
            ..policy
        },
    })
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

#[cfg(test)]
mod tests;
