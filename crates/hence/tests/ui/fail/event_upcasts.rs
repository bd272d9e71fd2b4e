//! A chain of versions is one of a single type, and goes up.

use hence::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.paid", version = 2)]
struct PaidV2;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.paid", version = 2, upcasts = PaidV2)]
struct SameVersion;

impl From<PaidV2> for SameVersion {
    fn from(_: PaidV2) -> Self {
        Self
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.unpaid", version = 3, upcasts = PaidV2)]
struct OtherType;

impl From<PaidV2> for OtherType {
    fn from(_: PaidV2) -> Self {
        Self
    }
}

fn main() {}
