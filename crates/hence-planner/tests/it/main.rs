//! The planner against the validation table of its specification (rows V01 …, S08 …).

mod answers;
mod features;
mod fitting;
mod laws;
mod scenario;
mod table;
mod validate_closed;
mod validate_network;
mod validate_queue;
mod validate_simulation;
