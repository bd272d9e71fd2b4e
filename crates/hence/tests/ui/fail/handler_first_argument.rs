//! The first argument of a handler is an event.

use hence::handler;

struct NotAnEvent;

#[handler(name = "greet")]
async fn greet(_: NotAnEvent) {}

fn main() {}
