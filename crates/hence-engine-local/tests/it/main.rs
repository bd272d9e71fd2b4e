//! The local engine through its public interface, the same over both journals.

mod common;
mod dead_letter;
mod delivery;
mod fault;
mod lifecycle;
mod limits;
mod model;
mod publish;
mod reading;
mod restart;
