use std::time::Duration;

use hence_core::{Attributes, Delivery, Message, Order, Position, Timestamp};

use super::{CONGESTED, Pool};

fn delivery(position: u64, event_type: &str, priority: i32, appended: i64) -> Delivery {
    let mut attributes = Attributes::new(position.to_string(), "/test", event_type).unwrap();
    attributes.set("priority", priority.to_string()).unwrap();
    Delivery {
        position: Position(position),
        message: Message::new(attributes, None),
        appended: Timestamp::from_micros(appended),
        attempt: 1,
        before: 0,
        due: None,
        redriven: false,
    }
}

fn drained(pool: &mut Pool, now: i64) -> Vec<u64> {
    let now = Timestamp::from_micros(now);
    std::iter::from_fn(|| pool.pop(|| now).map(|next| next.position.0)).collect()
}

#[tokio::test(start_paused = true)]
async fn adaptive_lifo_turns_round_while_it_is_congested() {
    let mut pool = Pool::new(Order::AdaptiveLifo, None);
    (1..=4).for_each(|position| pool.push(delivery(position, "t", 0, 0)));
    tokio::time::advance(CONGESTED / 2).await;
    assert_eq!(
        pool.pop(|| Timestamp::from_micros(0)).unwrap().position.0,
        1
    );
    tokio::time::advance(CONGESTED / 2).await;
    assert_eq!(drained(&mut pool, 0), [4, 3, 2]);
    // Empty once: it begins again as it came.
    (5..=6).for_each(|position| pool.push(delivery(position, "t", 0, 0)));
    assert_eq!(drained(&mut pool, 0), [5, 6]);
}

#[test]
fn priority_auto_takes_what_is_quick_and_weighs_much() {
    let mut pool = Pool::new(Order::PriorityAuto, None);
    pool.served(&delivery(0, "slow", 0, 0), Duration::from_millis(80));
    pool.served(&delivery(0, "quick", 0, 0), Duration::from_millis(10));
    let fill = |pool: &mut Pool| {
        pool.push(delivery(1, "slow", 0, 0));
        pool.push(delivery(2, "quick", 0, 0));
        pool.push(delivery(3, "quick", 0, 0));
        // 2⁴ / 80 ms is more than 1 / 10 ms.
        pool.push(delivery(4, "slow", 4, 0));
    };
    fill(&mut pool);
    assert_eq!(drained(&mut pool, 1_000_000), [4, 2, 3, 1]);
}

#[test]
fn priority_auto_lets_nothing_wait_for_ever() {
    let mut pool = Pool::new(Order::PriorityAuto, None);
    pool.served(&delivery(0, "slow", 0, 0), Duration::from_millis(80));
    pool.served(&delivery(0, "quick", 0, 0), Duration::from_millis(10));
    pool.push(delivery(1, "slow", 0, 0));
    pool.push(delivery(2, "quick", 0, 900_000));
    // One second against a tenth: 1 / 0.08 is more than 0.1 / 0.01.
    assert_eq!(drained(&mut pool, 1_000_000), [1, 2]);
}

#[test]
fn priority_auto_learns_what_a_type_takes() {
    let mut pool = Pool::new(Order::PriorityAuto, None);
    pool.served(&delivery(0, "a", 0, 0), Duration::from_millis(100));
    pool.served(&delivery(0, "b", 0, 0), Duration::from_millis(50));
    for _ in 0..100 {
        pool.served(&delivery(0, "a", 0, 0), Duration::from_millis(1));
    }
    pool.push(delivery(1, "b", 0, 0));
    pool.push(delivery(2, "a", 0, 0));
    assert_eq!(drained(&mut pool, 1_000_000), [2, 1]);
}
