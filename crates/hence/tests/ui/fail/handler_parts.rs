//! Options with parts that are missing, unknown, or make no sense.

use hence::{Event, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

#[handler(name = "a", throttle = 10)]
async fn no_parts(_: OrderPlaced) {}

#[handler(name = "b", throttle = "on")]
async fn neither_on_nor_off(_: OrderPlaced) {}

#[handler(name = "c", throttle(call = 10, per = "1m"))]
async fn misspelt_part(_: OrderPlaced) {}

#[handler(name = "d", throttle(calls = 0, per = "1m"))]
async fn no_calls(_: OrderPlaced) {}

#[handler(name = "e", throttle(calls = 10, per = 60))]
async fn without_a_unit(_: OrderPlaced) {}

#[handler(name = "f", limit(by = "Tenant", most = 1))]
async fn no_attribute(_: OrderPlaced) {}

#[handler(name = "g", singleton(by = "tenant", then = "stop"))]
async fn no_such_word(_: OrderPlaced) {}

#[handler(name = "h", fair(by = "tenant", weights = "gold=0"))]
async fn weightless(_: OrderPlaced) {}

#[handler(name = "i", breaker(share = -0.5))]
async fn below_zero(_: OrderPlaced) {}

#[handler(name = "j", debounce(quiet = "1s", quiet = "2s"))]
async fn part_twice(_: OrderPlaced) {}

#[handler(name = "k", batch = "off")]
async fn batches_are_not_off(_: OrderPlaced) {}

fn main() {}
