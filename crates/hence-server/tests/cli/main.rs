//! The command line as its users meet it: the built program, its streams and its exit codes.

mod away;
mod program;
mod rules;
mod stand_in;
