//! Events of one key are handled one after the other; keys go side by side.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hence::{App, Event, State};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "parcel.moved", key = parcel)]
struct ParcelMoved {
    parcel: String,
    to: String,
}

type Journeys = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

// Up to 32 calls run at a time, and yet no parcel reaches a place before the one before it.
async fn follow(moved: ParcelMoved, journeys: State<Journeys>) {
    tokio::task::yield_now().await; // while this call waits, others overtake it: those of other keys
    let mut journeys = journeys.lock().expect("no call panics");
    journeys.entry(moved.parcel).or_default().push(moved.to);
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    let journeys = Journeys::default();
    let app = App::new("post")
        .state(Arc::clone(&journeys))
        .subscribe("follow", follow);
    let app = app.start("memory:").await?;

    // One place after the other, and at each of them all three parcels.
    let moves = ["depot", "train", "van", "door"]
        .into_iter()
        .flat_map(|to| {
            ["A", "B", "C"].map(|parcel| ParcelMoved {
                parcel: parcel.into(),
                to: to.into(),
            })
        });
    for position in app
        .publish_all(moves)
        .await?
        .iter()
        .filter_map(|receipt| receipt.position)
    {
        app.engine().settled(position).await?;
    }
    for (parcel, places) in &*journeys.lock().expect("no call panics") {
        println!("{parcel}: {}", places.join(" → "));
    }
    app.drain().await;
    Ok(())
}
