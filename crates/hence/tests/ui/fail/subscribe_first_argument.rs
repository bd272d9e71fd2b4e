//! Without `#[handler]`, the message stands where the function is subscribed.

use hence::App;

struct NotAnEvent;

async fn greet(_: NotAnEvent) {}

fn main() {
    let _ = App::new("shop").subscribe("greet", greet);
}
