//! The log through its public interface.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod backup;
mod crash;
mod damage;
mod disk;
mod faults;
mod files;
mod format;
mod naive;
mod readers;
mod salvage;
