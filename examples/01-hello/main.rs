//! One event, one handler.

use hence::{App, Event};
use serde::{Deserialize, Serialize};

// A fact is named in the past tense. Its type is written out, so that the struct can be renamed
// without a change to what is stored.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "guest.arrived")]
struct GuestArrived {
    name: String,
}

// The first argument says which events the function takes.
async fn greet(guest: GuestArrived) {
    println!("hello, {}", guest.name);
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    // `greet` is bound under a durable name. On `log:./data` in place of `memory:` the same program
    // keeps its events, and goes on where it was when it starts again.
    let app = App::new("hello")
        .subscribe("greet", greet)
        .start("memory:")
        .await?;

    // The `await` alone returns once the event is stored; `until_handled` also waits for `greet`.
    let name = "Ada".to_owned();
    let handled = app.publish(GuestArrived { name }).until_handled().await?;
    println!("stored as {}", handled.receipt.durability);

    app.drain().await;
    Ok(())
}
