//! `Topology`: the graph G = (V, E) of an application, as plain data.
//!
//! Vertices are sources, event types and subscriptions; an edge goes from what brings an event to
//! its type, and from a type to the subscriptions that take it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The graph of an application, known before any event flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The name of the application.
    pub app: String,
    /// What brings events in from outside.
    pub sources: Vec<SourceNode>,
    /// The types of events.
    pub types: Vec<TypeNode>,
    /// What reacts to them.
    pub subscriptions: Vec<SubscriptionNode>,
}

/// Something that brings events in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceNode {
    /// Its name.
    pub name: String,
    /// The types that it brings.
    pub emits: Vec<String>,
}

/// A type of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeNode {
    /// The CloudEvents `type`.
    pub name: String,
    /// Whether its events carry a key.
    pub keyed: bool,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionNode {
    /// Its durable name.
    pub name: String,
    /// The types that it takes.
    pub takes: Vec<String>,
    /// The types that it may publish.
    pub emits: Vec<String>,
    /// How many deliveries it handles at a time.
    pub concurrency: usize,
    /// Attempts in all.
    pub attempts: u32,
    /// The order of handling, as [`Order::as_str`](crate::Order::as_str) writes it.
    pub order: String,
    /// Every option that is on, by the name and with the value that configuration writes, such as
    /// `throttle.calls` and `10`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// The subscriptions that handle an event before this one gets it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

impl SubscriptionNode {
    /// The options that are not as they would be if nobody had asked, by name; what was switched
    /// off is `off`.
    #[must_use]
    pub fn changes(&self) -> BTreeMap<&str, &str> {
        let usual = crate::Options::default().settings();
        let options = self.options.iter();
        let changed = options.filter(|(name, value)| usual.get(*name) != Some(*value));
        changed
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// The same in words, one for each option.
    fn changes_in_words(&self) -> Vec<String> {
        let changes = self.changes().into_iter();
        changes
            .map(|(name, value)| format!("{name} {value}"))
            .collect()
    }

    /// Its name, and what is not as usual, a line for each.
    #[must_use]
    pub fn label(&self) -> String {
        let mut lines = vec![self.name.clone()];
        lines.extend(self.changes_in_words());
        lines.join("\n")
    }
}

/// An edge of the graph, by the names of its ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
}

impl Topology {
    /// Every edge: source → type, type → subscription, subscription → type.
    #[must_use]
    pub fn edges(&self) -> Vec<Edge> {
        let edge = |from: &String, to: &String| Edge {
            from: from.clone(),
            to: to.clone(),
        };
        let sources = self
            .sources
            .iter()
            .flat_map(|s| s.emits.iter().map(move |t| edge(&s.name, t)));
        let takes = self
            .subscriptions
            .iter()
            .flat_map(|s| s.takes.iter().map(move |t| edge(t, &s.name)));
        let emits = self
            .subscriptions
            .iter()
            .flat_map(|s| s.emits.iter().map(move |t| edge(&s.name, t)));
        sources.chain(takes).chain(emits).collect()
    }

    /// Which subscription handles an event before another: from the first to the one that waits.
    #[must_use]
    pub fn waits(&self) -> Vec<Edge> {
        let waits = self.subscriptions.iter().flat_map(|s| {
            s.after.iter().map(|first| Edge {
                from: first.clone(),
                to: s.name.clone(),
            })
        });
        waits.collect()
    }

    /// The types that no subscription takes.
    #[must_use]
    pub fn orphans(&self) -> Vec<&str> {
        let taken: BTreeSet<&str> = self
            .subscriptions
            .iter()
            .flat_map(|s| s.takes.iter().map(String::as_str))
            .collect();
        self.types
            .iter()
            .map(|t| t.name.as_str())
            .filter(|name| !taken.contains(name))
            .collect()
    }

    /// One cycle of subscriptions through which an event could cause itself for ever, as the names
    /// along the way with the first repeated at the end; `None` when there is none.
    #[must_use]
    pub fn cycle(&self) -> Option<Vec<String>> {
        let mut next: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for edge in self.edges() {
            next.entry(edge.from).or_default().push(edge.to);
        }
        let mut done = BTreeSet::new();
        for start in next.keys() {
            let mut path: Vec<(&str, usize)> = vec![(start, 0)];
            while let Some((name, child)) = path.pop() {
                let follower = next.get(name).and_then(|all| all.get(child));
                let Some(follower) = follower else {
                    done.insert(name.to_owned());
                    continue;
                };
                path.push((name, child + 1));
                if let Some(at) = path.iter().position(|(seen, _)| seen == follower) {
                    let ring = path.iter().skip(at).map(|(name, _)| (*name).to_owned());
                    return Some(ring.chain([follower.clone()]).collect());
                }
                if !done.contains(follower) {
                    path.push((follower, 0));
                }
            }
        }
        None
    }

    /// The graph as text: each source and type with what follows from it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.app);
        for source in &self.sources {
            let _ = writeln!(
                out,
                "  source {} → {}",
                source.name,
                source.emits.join(", ")
            );
        }
        for kind in &self.types {
            let key = if kind.keyed { " (by key)" } else { "" };
            let _ = writeln!(out, "  {}{key}", kind.name);
            let takers: Vec<_> = self
                .subscriptions
                .iter()
                .filter(|s| s.takes.contains(&kind.name))
                .collect();
            if takers.is_empty() {
                let _ = writeln!(out, "    (no subscription)");
            }
            for taker in takers {
                let emits = match taker.emits.as_slice() {
                    [] => String::new(),
                    emits => format!(" → {}", emits.join(", ")),
                };
                let after = match taker.after.as_slice() {
                    [] => String::new(),
                    after => format!(" (after {})", after.join(", ")),
                };
                let changes = match taker.changes_in_words().join(", ") {
                    none if none.is_empty() => none,
                    some => format!(" [{some}]"),
                };
                let _ = writeln!(out, "    {}{changes}{after}{emits}", taker.name);
            }
        }
        out
    }

    /// The graph for Graphviz.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut out = format!("digraph {:?} {{\n  rankdir=LR;\n", self.app);
        for source in &self.sources {
            let _ = writeln!(out, "  {:?} [shape=invhouse];", source.name);
        }
        for kind in &self.types {
            let _ = writeln!(out, "  {:?} [shape=ellipse];", kind.name);
        }
        for subscription in &self.subscriptions {
            let (name, label) = (&subscription.name, subscription.label());
            let _ = writeln!(out, "  {name:?} [shape=box, label={label:?}];");
        }
        for Edge { from, to } in self.edges() {
            let _ = writeln!(out, "  {from:?} -> {to:?};");
        }
        for Edge { from, to } in self.waits() {
            let _ = writeln!(out, "  {from:?} -> {to:?} [style=dashed];");
        }
        out.push_str("}\n");
        out
    }

    /// The graph for Mermaid.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
        let plain = |name: &'_ str, marks| (name.to_owned(), marks);
        let sources = self.sources.iter();
        let sources = sources.map(|s| (s.name.as_str(), plain(&s.name, ("[/", "/]"))));
        let types = self.types.iter();
        let types = types.map(|t| (t.name.as_str(), plain(&t.name, ("([", "])"))));
        let subscriptions = self.subscriptions.iter().map(|s| {
            // A quote would end the label, and a line in it is an element.
            let label = s.label().replace('"', "#quot;").replace('\n', "<br/>");
            (s.name.as_str(), (label, ("[", "]")))
        });
        let nodes = sources.chain(types).chain(subscriptions).enumerate();
        for (number, (name, (label, (open, close)))) in nodes {
            ids.insert(name, number);
            let _ = writeln!(out, "  n{number}{open}\"{label}\"{close}");
        }
        for Edge { from, to } in self.edges() {
            if let (Some(from), Some(to)) = (ids.get(from.as_str()), ids.get(to.as_str())) {
                let _ = writeln!(out, "  n{from} --> n{to}");
            }
        }
        for Edge { from, to } in self.waits() {
            if let (Some(from), Some(to)) = (ids.get(from.as_str()), ids.get(to.as_str())) {
                let _ = writeln!(out, "  n{from} -.-> n{to}");
            }
        }
        out
    }
}
