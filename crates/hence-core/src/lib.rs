//! The words and contracts of Hence: what an event is, what a handler may ask for, what an engine
//! promises.
//!
//! The ladder, from typed to bytes: [`Event`] (a fact, as a Rust type) → [`Envelope`] (the fact
//! with its CloudEvents attributes) → [`Message`] (attributes and bytes, what engines carry) →
//! [`Delivery`] (one attempt to have a message handled).
//!
//! This crate opens no socket and no file, spawns no task and reads no configuration. Applications
//! use the crate `hence`; whoever writes an engine needs only this one.

pub mod attributes;
pub mod codec;
pub mod commit;
pub mod dead_letter;
pub mod delivery;
pub mod emit;
pub mod engine;
pub mod envelope;
pub mod error;
pub mod event;
pub mod extract;
pub mod flow;
pub mod handler;
pub mod message;
pub mod notice;
pub mod setting;
pub mod subscription;
pub mod time;
pub mod topology;

pub use attributes::Attributes;
pub use commit::{Commit, Durability, Receipt, Settlement};
pub use dead_letter::{DeadLetter, DeadLetterQuery, Discard, Edit, Fingerprint};
pub use delivery::{Delivery, Failure, Outcome, Position, RejectReason};
pub use emit::{Draft, Effects, IntoEvents};
pub use engine::{Capability, CommitNow, Deliveries, Engine, Entry, Filter, Read, Reader};
pub use envelope::{Envelope, Value};
pub use error::{Code, Error, Kind, Result};
pub use event::{Event, EventType};
pub use extract::{
    Attempt, Batch, Call, Extract, Input, Key, Keyed, Publisher, Replay, State, States, Timer,
    Undecodable,
};
pub use flow::{By, Skip};
pub use handler::{BoxFuture, Handler, HandlerExt, Reply, Signature, Unhandled};
pub use message::Message;
pub use subscription::{
    AfterDeadLetter, Breaker, Options, Order, Retry, RetryBudget, Start, SubscriptionSpec,
};
pub use time::Timestamp;
pub use topology::Topology;
