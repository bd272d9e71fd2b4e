//! The command line as its users meet it: the built program, its streams and its exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod away;
mod backup;
mod directory;
mod explain;
mod live;
mod plan;
mod program;
mod replay;
mod rules;
mod server;
mod stand_in;
mod subs;
