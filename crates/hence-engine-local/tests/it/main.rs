//! The local engine through its public interface, the same over both journals.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly, its helpers too"
)]

mod at_once;
mod common;
mod dead_letter;
mod delivery;
mod fault;
mod format;
mod gates;
mod index;
mod keyed;
mod leading;
mod lifecycle;
mod limits;
mod model;
mod publish;
mod reading;
mod restart;
mod retention;
mod sequence;
mod timers;
