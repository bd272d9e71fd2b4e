//! The contract of an engine, tried on both journals, and on a disk that loses its power.

mod harness;
mod table;

mod memory {
    hence_conformance::tests!(crate::harness::Memory);
}

mod log {
    hence_conformance::tests!(crate::harness::Disk::default());
}

mod power_cut {
    hence_conformance::tests!(crate::harness::PowerCut::default());
}
