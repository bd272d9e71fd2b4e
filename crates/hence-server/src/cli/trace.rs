//! `hence trace`: the causation tree of an event, and what each subscription did.

mod drawing;
mod waterfall;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::drawing::Drawing;
use self::waterfall::Waterfall;
use super::error::Result;
use super::event::{Event, read};
use super::get;
use super::global::{Global, Times};
use super::output::{Form, Output};
use super::query::{Query, encode};
use super::remote::Remote;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence trace 1
  hence trace 2 --up
  hence trace 1 --waterfall
  hence trace 1 --down --json";

/// Shows what caused an event and what followed from it.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Trace {
    /// The position or the id of the event.
    #[arg(value_name = "POS|ID")]
    event: String,

    /// Only its causes.
    #[arg(long, conflicts_with = "down")]
    up: bool,

    /// Only the event and what followed from it.
    #[arg(long)]
    down: bool,

    /// Bars in place of a tree: when each delivery waited, ran and backed off.
    #[arg(long)]
    waterfall: bool,

    #[command(flatten)]
    times: Times,
}

/// The answer of the server; the nodes are kept as they came.
#[derive(Debug, Deserialize, Serialize)]
struct Chain {
    asked: String,
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    truncated: bool,
}

/// One event of a chain.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) position: String,
    #[serde(default)]
    pub(crate) appended: String,
    pub(crate) event: Event,
    #[serde(default)]
    pub(crate) cause: Option<String>,
    #[serde(default)]
    pub(crate) deliveries: Vec<Delivery>,
}

/// What one subscription did with it.
#[derive(Debug, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) subscription: String,
    pub(crate) state: String,
    /// When the next attempt begins.
    #[serde(default)]
    pub(crate) due: Option<String>,
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
}

/// One attempt that has ended.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Attempt {
    #[serde(default)]
    pub(crate) ended: String,
    #[serde(default)]
    pub(crate) ran: String,
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) emitted: Vec<String>,
}

impl Trace {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let (_, item) = get::find(out, &remote, &self.event).await?;
        let path = format!("/v1/events/{}/trace", encode(&item.position));
        let mut chain: Chain = remote.get(out, &path, &Query::default()).await?;
        let mut nodes: Vec<Node> = Vec::new();
        for raw in &chain.items {
            nodes.push(read(raw.get())?);
        }
        let kept = self.kept(&nodes, &chain.asked);
        match out.form() {
            Form::Json => {
                let mut keeps = nodes.iter().map(|node| kept.contains(&*node.position));
                chain.items.retain(|_| keeps.next().unwrap_or(true));
                out.json(&chain)
            }
            Form::Plain => nodes
                .iter()
                .filter(|node| kept.contains(&*node.position))
                .try_for_each(|node| rows(out, node)),
            Form::Human => self.draw(out, &nodes, &kept, &chain),
        }
    }

    /// The positions that the flags want to see.
    fn kept<'a>(&self, nodes: &'a [Node], asked: &str) -> BTreeSet<&'a str> {
        let all = nodes.iter().map(|node| &*node.position);
        if self.up {
            let cause = |position: &str| {
                let node = nodes.iter().find(|node| node.position == position);
                node.and_then(|node| node.cause.as_deref())
            };
            let mut path = BTreeSet::new();
            let mut next = all.clone().find(|position| *position == asked);
            while let Some(position) = next.filter(|position| path.insert(*position)) {
                next = cause(position);
            }
            return path;
        }
        if !self.down {
            return all.collect();
        }
        // A cause stands before what follows from it, so one pass finds all.
        let mut below = BTreeSet::new();
        for node in nodes {
            let follows = node
                .cause
                .as_deref()
                .is_some_and(|cause| below.contains(cause));
            if follows || node.position == asked {
                below.insert(&*node.position);
            }
        }
        below
    }

    fn draw(
        &self,
        out: &mut Output,
        nodes: &[Node],
        kept: &BTreeSet<&str>,
        chain: &Chain,
    ) -> Result<()> {
        let drawing = Drawing {
            out,
            times: self.times,
            asked: &chain.asked,
            nodes: nodes
                .iter()
                .filter(|node| kept.contains(&*node.position))
                .collect(),
        };
        let lines = match self.waterfall {
            true => Waterfall::of(&drawing.nodes).lines(drawing.out),
            false => drawing.lines(kept),
        };
        for line in lines {
            out.line(&line)?;
        }
        if chain.truncated {
            out.note("there is more than one trace shows; look at a later event with --down");
        }
        let dead = nodes.iter().flat_map(|node| {
            let dead = node
                .deliveries
                .iter()
                .filter(|delivery| delivery.state == "dead");
            dead.map(|delivery| format!("{}.{}", delivery.subscription, node.position))
        });
        if let Some(id) = dead.into_iter().next() {
            out.next(&format!("hence dlq show {id}"));
        }
        Ok(())
    }
}

/// A row for each subscription, or one for the event alone.
fn rows(out: &mut Output, node: &Node) -> Result<()> {
    let kind = node.event.or_empty("type");
    let about = node.event.about();
    let cause = node.cause.as_deref().unwrap_or_default();
    let head = [node.position.as_str(), cause, &kind, &about];
    for delivery in &node.deliveries {
        let attempts = delivery.attempts.len().to_string();
        let more = [delivery.subscription.as_str(), &delivery.state, &attempts];
        out.row(head.into_iter().chain(more))?;
    }
    if node.deliveries.is_empty() {
        out.row(head.into_iter().chain(["", "", "0"]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
