//! `hence graph`: sources, types and subscriptions, and which follows from which.

use hence::core::Topology;
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

/// Where the server has the graph.
const PATH: &str = "/v1/topology";

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
        if out.form() == Form::Plain && self.format == Shape::Text {
            let topology: Topology = remote.get(out, PATH, &Query::default()).await?;
            for edge in topology.edges() {
                out.row([edge.from.as_str(), &edge.to])?;
            }
            return Ok(());
        }
        let format = match self.format {
            _ if out.is_json() => "json",
            Shape::Json => "json",
            Shape::Dot => "dot",
            Shape::Mermaid => "mermaid",
            Shape::Text => "text",
        };
        let ask = Ask::get(PATH, Query::default().with("format", format));
        let answer = remote.ask(out, &ask).await?;
        if format == "json" {
            return out.raw(answer.read::<Box<RawValue>>()?.as_ref());
        }
        out.bytes(&answer.body)
    }
}
