//! `GET /v1/topology` and `GET /v1/subscriptions`: the graph, with what was measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hence::core::engine::SubscriptionReport;
use hence::core::topology::{Edge, SourceNode, SubscriptionNode, TypeNode};
use hence::metrics::{Histogram, SubscriptionMetrics};
use hyper::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Gateway;
use super::auth::MayRead;
use super::problem::Problem;
use super::query::Query;
use super::reply::{json, text};

/// What was measured of a subscription.
#[derive(Serialize)]
struct Measured {
    /// Events that are not settled.
    lag: u64,
    /// Deliveries that the runtime holds.
    inflight: u64,
    /// Deliveries that are with a handler.
    running: u64,
    /// Dead letters that are kept.
    dead: u64,
    /// Since the process began: deliveries that were handled.
    done: u64,
    /// Since the process began: attempts that failed and are tried again.
    retried: u64,
    /// Since the process began: deliveries that became dead letters.
    rejected: u64,
    /// The mean time from append to attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<String>,
    /// The mean time of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
}

impl Measured {
    fn of(report: Option<&SubscriptionReport>, metrics: Option<&SubscriptionMetrics>) -> Self {
        Self {
            lag: report.map_or(0, |report| report.lag),
            inflight: report.map_or(0, |report| report.in_flight),
            running: metrics.map_or(0, SubscriptionMetrics::running),
            dead: report.map_or(0, |report| report.dead),
            done: metrics.map_or(0, SubscriptionMetrics::done),
            retried: metrics.map_or(0, SubscriptionMetrics::retried),
            rejected: metrics.map_or(0, SubscriptionMetrics::rejected),
            wait: metrics.and_then(|metrics| mean(&metrics.wait)),
            duration: metrics.and_then(|metrics| mean(&metrics.duration)),
        }
    }

    /// The values on one line.
    fn to_line(&self) -> String {
        let Self {
            lag,
            inflight,
            done,
            retried,
            dead,
            ..
        } = self;
        let mut line =
            format!("lag {lag}, in flight {inflight}, done {done}, retried {retried}, dead {dead}");
        if let Some(duration) = &self.duration {
            let _ = write!(line, ", {duration} each");
        }
        line
    }
}

/// The mean of what a histogram counted, as a duration.
fn mean(histogram: &Histogram) -> Option<String> {
    let count: u64 = histogram.counts().iter().sum();
    (count > 0).then(|| {
        let mean = histogram.sum() / count as f64;
        format!("{mean:.6}s")
    })
}

#[derive(Serialize)]
struct Graph<'a> {
    app: &'a str,
    sources: &'a [SourceNode],
    types: &'a [TypeNode],
    subscriptions: Vec<Node<'a>>,
    edges: Vec<Edge>,
}

#[derive(Serialize)]
struct Node<'a> {
    #[serde(flatten)]
    node: &'a SubscriptionNode,
    /// The options that are not as usual.
    changed: Value,
    measured: Measured,
}

impl Gateway {
    /// What was measured, by subscription.
    fn measured(&self) -> BTreeMap<String, Measured> {
        let reports = self.bus.engine().subscriptions();
        let of = |name: &str| {
            let report = reports.iter().find(|report| report.name == name);
            Measured::of(report, self.metrics.get(name).map(|metrics| &**metrics))
        };
        let nodes = self.topology.subscriptions.iter();
        nodes
            .map(|node| (node.name.clone(), of(&node.name)))
            .collect()
    }
}

/// `GET /v1/topology`.
pub(crate) async fn topology(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&["format"]])?;
    let format = query.one_of("format", &["json", "dot", "mermaid", "text"])?;
    let topology = &gateway.topology;
    let mut measured = gateway.measured();
    let labels = || {
        measured
            .iter()
            .map(|(name, values)| (name, values.to_line()))
    };
    Ok(match format {
        Some("mermaid") => {
            let mut graph = topology.to_mermaid();
            for (name, line) in labels() {
                let _ = writeln!(graph, "  %% {name}: {line}");
            }
            text("text/vnd.mermaid; charset=utf-8", graph)
        }
        Some("dot") => {
            let mut graph = topology.to_dot();
            // Graphviz merges what is said of a node in several places.
            graph.truncate(graph.trim_end().trim_end_matches('}').len());
            for node in &topology.subscriptions {
                let name = &node.name;
                let line = measured
                    .get(name)
                    .map(Measured::to_line)
                    .unwrap_or_default();
                let label = format!("{}\n{}", node.label(), line.replace(", ", "\n"));
                let _ = writeln!(graph, "  {name:?} [label={label:?}];");
            }
            graph.push_str("}\n");
            text("text/vnd.graphviz; charset=utf-8", graph)
        }
        Some("text") => {
            let mut graph = topology.to_text();
            for (name, line) in labels() {
                let _ = writeln!(graph, "  subscription {name}: {line}");
            }
            text("text/plain; charset=utf-8", graph)
        }
        _ => {
            let nodes = topology.subscriptions.iter().map(|node| {
                let measured = measured.remove(&node.name);
                let measured = measured.unwrap_or_else(|| Measured::of(None, None));
                Node {
                    node,
                    changed: config(node.changes()),
                    measured,
                }
            });
            let graph = Graph {
                app: &topology.app,
                sources: &topology.sources,
                types: &topology.types,
                subscriptions: nodes.collect(),
                edges: topology.edges(),
            };
            json(StatusCode::OK, &graph)
        }
    })
}

/// The options of a subscription as configuration writes them: a table for those that have parts.
pub(super) fn config<'a>(options: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let mut config = Map::new();
    for (name, value) in options {
        // A number is a number, as in the file.
        let number = serde_json::from_str(value).ok().filter(Value::is_number);
        let value = number.unwrap_or_else(|| Value::String(value.to_owned()));
        match name.split_once('.') {
            None => drop(config.insert(name.to_owned(), value)),
            Some((group, part)) => {
                let table = config.entry(group).or_insert_with(|| Map::new().into());
                if let Value::Object(table) = table {
                    table.insert(part.to_owned(), value);
                }
            }
        }
    }
    config.into()
}
