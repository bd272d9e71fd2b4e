//! The contract of an engine, tried on both journals, and on a disk that loses its power.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod breakable;
mod harness;
mod table;

mod memory {
    hence_conformance::tests!(crate::harness::Memory);
}

mod log {
    hence_conformance::tests!(crate::harness::Disk::default());
}
