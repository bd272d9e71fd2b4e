//! Events of one key are handled one after the other; keys go side by side.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hence::{App, Event, State};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "parcel.moved", key = parcel)]
struct ParcelMoved {
    parcel: u32,
    stop: u32,
}

type Seen = Arc<Mutex<BTreeMap<u32, Vec<u32>>>>;

// Up to 32 calls run at a time, and yet no parcel comes to a stop before the one before it.
async fn follow(ParcelMoved { parcel, stop }: ParcelMoved, seen: State<Seen>) {
    tokio::task::yield_now().await; // calls for other parcels overtake this one here
    let mut seen = seen.lock().expect("no call panics");
    seen.entry(parcel).or_default().push(stop);
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    let seen = Seen::default();
    let app = App::new("post").state(Arc::clone(&seen));
    let app = app.subscribe("follow", follow).start("memory:").await?;
    let move_to = |stop| [0, 1, 2].map(|parcel| ParcelMoved { parcel, stop });
    let moves = (0..5).flat_map(move_to);
    for receipt in app.publish_all(moves).await? {
        let position = receipt.position.unwrap_or_default();
        app.engine().settled(position).await?;
    }
    for (parcel, stops) in &*seen.lock().expect("no call panics") {
        println!("parcel {parcel}: stops {stops:?}");
    }
    Ok(())
}
