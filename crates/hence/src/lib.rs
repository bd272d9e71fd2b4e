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
//! | [`Subscription`](subscription::Subscription) | a durable, named binding of a handler to the events that it takes |
//! | [`App`] | the wiring: state, sources, subscriptions, layers |
//! | [`Bus`] | a handle to publish and to read |
//! | [`Engine`](core::Engine) | what carries messages: `memory:`, `log:DIR` |
//!
//! What stands here is for the first day. The rest has rooms of its own:
//!
//! | Room | For |
//! |---|---|
//! | [`app`], [`mod@blocking`], [`bus`], [`source`], [`subscription`] | what belongs to the words above |
//! | [`core`] | whatever speaks to an engine: messages, commits, filters, options, errors |
//! | [`dead_letter`] | what failed to the end: look, mend, send again, give up |
//! | [`replay`] | old events to one handler again |
//! | [`pause`] | a subscription waits until somebody lets it go on |
//! | [`explain`], [`trace`] | where is my event, and what became of it |
//! | [`metrics`], [`measure`] | what was counted, and what the planner needs |
//! | [`defaults`] | what holds unless it is told otherwise |
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
pub mod app;
pub mod blocking;
pub mod bus;
pub mod dead_letter;
pub mod defaults;
pub mod explain;
mod id;
mod macros;
pub mod pause;
pub mod replay;
mod runtime;
pub mod source;
pub mod subscription;
pub mod trace;

pub use app::{App, Running};
pub use blocking::blocking;
pub use bus::Bus;
pub use hence_core as core;
pub use hence_core::{
    Attempt, Batch, Durability, Envelope, Error, Event, Failure, Handler, HandlerExt, Keyed, Order,
    Publisher, Receipt, Result, Start, State, Timer,
};
pub use macros::{Event, Events, handler};
pub use runtime::{measure, metrics};
