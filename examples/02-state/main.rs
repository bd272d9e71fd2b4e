//! A handler asks for what it needs.

use std::sync::atomic::{AtomicU64, Ordering};

use hence::{App, Event, State};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "coin.inserted")]
struct CoinInserted {
    cents: u64,
}

// A dependency is any type of yours. Handlers run side by side, so it does its own locking.
#[derive(Default)]
struct Till {
    cents: AtomicU64,
}

// After the event come the dependencies, in any order. To test this function, call it with
// `State::new(Till::default())`.
async fn count(coin: CoinInserted, till: State<Till>) {
    let before = till.cents.fetch_add(coin.cents, Ordering::Relaxed);
    println!("{} + {} = {}", before, coin.cents, before + coin.cents);
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    // Forget `.state(…)`, and `start` says which handler misses what, before any event flows.
    let app = App::new("kiosk")
        .state(Till::default())
        .subscribe("count", count);
    let app = app.start("memory:").await?;
    for cents in [50, 20, 5] {
        app.publish(CoinInserted { cents }).until_handled().await?;
    }
    app.drain().await;
    Ok(())
}
