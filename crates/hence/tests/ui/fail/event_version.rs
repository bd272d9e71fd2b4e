//! Versions are numbers, and an older one is a type that turns into the newer.

use hence::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", version = 0)]
struct Zero;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", version = "2")]
struct Text;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", versions = 2)]
struct Misspelt;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.paid")]
struct PaidV1;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.paid", version = 2, upcasts = "PaidV1")]
struct NoType;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.paid", version = 2, upcasts = PaidV1)]
struct WithoutFrom;

fn main() {}
