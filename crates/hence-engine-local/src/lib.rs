//! The local engine of Hence: one state machine, in memory or on the durable log.
pub fn open(_url: &str) -> hence_core::Result<std::sync::Arc<dyn hence_core::Engine>> {
    unimplemented!()
}
