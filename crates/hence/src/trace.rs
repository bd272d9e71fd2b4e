//! The causation tree of an event, from causation ids alone.

use std::collections::HashMap;

use hence_core::engine::DeliveryReport;
use hence_core::{Engine, Entry, Filter, Position, Read, Result, Start};

/// The most events that one trace shows.
pub const EVENTS_MAX: usize = 1_000;
/// The most causes that are followed upwards.
const CAUSES_MAX: usize = 1_000;

/// The events of one chain, from the first cause on, in the order of their positions.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The event that was asked for.
    pub asked: Position,
    /// All events of the chain; the first is the root.
    pub nodes: Vec<Node>,
    /// Whether there were more than a trace shows.
    pub truncated: bool,
}

/// One event of a trace.
#[derive(Clone, Debug)]
pub struct Node {
    /// The event.
    pub entry: Entry,
    /// The event that caused it, if that is in the trace.
    pub cause: Option<Position>,
    /// What each subscription did with it.
    pub deliveries: Vec<DeliveryReport>,
}

pub(crate) async fn trace(engine: &dyn Engine, asked: Position) -> Result<Trace> {
    let root = root(engine, engine.get(asked).await?).await?;
    let root_id = root.message.attributes().id().to_owned();
    let correlation = root
        .message
        .attributes()
        .correlation_id()
        .unwrap_or(&root_id)
        .to_owned();
    let filter = Filter {
        correlation_id: Some(correlation),
        ..Filter::default()
    };
    let read = Read {
        from: Start::Position(root.position),
        filter,
        follow: false,
    };
    let mut reader = engine.read(read).await?;

    let mut known: HashMap<String, Position> = HashMap::from([(root_id, root.position)]);
    let mut nodes = vec![node(engine, root, None).await?];
    loop {
        let entries = reader.next(EVENTS_MAX).await?;
        let end = entries.is_empty();
        for entry in entries {
            let attributes = entry.message.attributes();
            let cause = attributes
                .causation_id()
                .and_then(|id| known.get(id))
                .copied();
            // An event of the same chain that came by another way does not hang in this tree.
            let Some(cause) = cause.filter(|cause| *cause < entry.position) else {
                continue;
            };
            if nodes.len() >= EVENTS_MAX {
                return Ok(Trace {
                    asked,
                    nodes,
                    truncated: true,
                });
            }
            known.insert(attributes.id().to_owned(), entry.position);
            nodes.push(node(engine, entry, Some(cause)).await?);
        }
        if end {
            return Ok(Trace {
                asked,
                nodes,
                truncated: false,
            });
        }
    }
}

/// Follows the causes upwards as far as they are kept.
async fn root(engine: &dyn Engine, mut entry: Entry) -> Result<Entry> {
    for _ in 0..CAUSES_MAX {
        let Some(id) = entry.message.attributes().causation_id() else {
            break;
        };
        let found = engine.find(None, id).await?;
        let cause = found
            .into_iter()
            .filter(|position| *position < entry.position)
            .max();
        let Some(cause) = cause else { break };
        entry = engine.get(cause).await?;
    }
    Ok(entry)
}

async fn node(engine: &dyn Engine, entry: Entry, cause: Option<Position>) -> Result<Node> {
    let deliveries = engine.report(entry.position).await?;
    Ok(Node {
        entry,
        cause,
        deliveries,
    })
}
