//! The configuration of the server.

pub(crate) mod value;
