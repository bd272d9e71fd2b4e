//! The local engine through its public interface, the same over both journals.

mod common;
mod delivery;
mod fault;
mod dead_letter;
mod limits;
mod model;
mod lifecycle;
mod publish;
mod reading;
mod restart;
