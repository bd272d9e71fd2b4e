//! Events, and what follows from them: `async fn(Event, what I need) -> Result<what follows, Failure>`.
//!
//! Hence brings each event to the functions that want it, once it is safely stored, in order per
//! key, again after a failure, with its effects applied once. Ten lines, `main` included:
//!
//! ```
//! use hence::{App, Event};
//! #[derive(Event, serde::Serialize, serde::Deserialize)]
//! #[event(type = "order.placed", key = order_id)]
//! struct OrderPlaced { order_id: String }
//! async fn greet(order: OrderPlaced) { println!("order {}", order.order_id); }
//! #[tokio::main]
//! async fn main() -> hence::Result<()> {
//! #   std::env::set_current_dir(std::env::temp_dir()).unwrap();
//!     let app = App::new("shop").subscribe("greet", greet).start("log:./hence-data").await?;
//!     app.publish(OrderPlaced { order_id: "A-17".into() }).until_handled().await.map(drop)
//! }
//! ```
//!
//! The event is on stable storage before it reaches `greet`. Kill the process at any moment and
//! start it again: what was acknowledged is there, and what was handled is not handled again.
//!
//! # The words
//!
//! | Word | It is |
//! |---|---|
//! | [`Event`] | a fact, as a Rust type, with a stable type name |
//! | [`Handler`] | an async function that reacts to events |
//! | [`Subscription`] | a durable, named binding of a handler to the events that it takes |
//! | [`App`] | the wiring: state, sources, subscriptions, layers |
//! | [`Bus`] | a handle to publish and to read |
//! | [`Engine`] | what carries messages: `memory:`, `log:DIR` |
//!
//! # When not to use it
//!
//! For calls that need an answer within microseconds, for streams of samples where the newest
//! value is all that matters, or when another team owns the one broker and its clients.

/// The guide is compiled, and its examples run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/flow-control.md")]
struct FlowControl;

// What the derives write refers to `::hence`; so the crate's own tests can use them, too.
#[cfg(test)]
extern crate self as hence;

mod after;
mod app;
mod blocking;
mod bus;
pub mod dead_letter;
pub mod defaults;
pub mod explain;
mod id;
mod macros;
pub mod replay;
mod runtime;
mod source;
mod subscription;
mod trace;

pub use app::{App, DRAIN_MAX, Drained, Running, interrupted};
pub use blocking::{BLOCKING_CALLS_MAX, Blocking, blocking};
pub use bus::{Bus, Handled, Publish, PublishUntilHandled, TryPublishError};
pub use hence_core as core;
pub use hence_core::{
    Attempt, Attributes, Batch, Durability, Engine, Envelope, Error, Event, Failure, Handler,
    HandlerExt, Key, Keyed, Message, Order, Publisher, Receipt, Result, Start, State, Timer,
    Topology,
};
pub use macros::{Event, Events, handler};
pub use runtime::measure;
pub use runtime::metrics::{BOUNDS, Histogram, Metrics, SubscriptionMetrics};
pub use source::{Every, Poisson, Source};
pub use subscription::{HandlerService, Registered, Subscription};
pub use trace::{TRACE_EVENTS_MAX, Trace, TraceNode};
