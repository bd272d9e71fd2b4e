//! `hence graph`: sources, types and subscriptions, and which follows from which.

use hence::Topology;
use serde_json::value::RawValue;

use super::error::Result;
use super::global::Global;
use super::output::{Form, Output};
use super::query::Query;
use super::remote::{Ask, Remote};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence graph
  hence graph --format mermaid
  hence graph --format dot > topology.dot
  hence graph --json";

/// How the graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// Each type with what takes it.
    Text,
    /// For Graphviz.
    Dot,
    /// For Mermaid, as Markdown pages draw it.
    Mermaid,
    /// The object of the API.
    Json,
}

/// Shows what reacts to which events, and what follows.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Graph {
    /// How the graph is written.
    #[arg(long, value_enum, default_value = "text")]
    format: Shape,
}

impl Graph {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let ask = Ask::get("/v1/topology", Query::default());
        let answer = remote.ask(out, &ask).await?;
        if self.format == Shape::Json || out.is_json() {
            return out.raw(answer.read::<Box<RawValue>>()?.as_ref());
        }
        let topology: Topology = answer.read()?;
        if out.form() == Form::Plain && self.format == Shape::Text {
            for edge in topology.edges() {
                out.row([edge.from.as_str(), &edge.to])?;
            }
            return Ok(());
        }
        let text = match self.format {
            Shape::Dot => topology.to_dot(),
            Shape::Mermaid => topology.to_mermaid(),
            Shape::Text | Shape::Json => topology.to_text(),
        };
        out.bytes(text.as_bytes())
    }
}
