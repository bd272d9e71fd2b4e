//! Row 9: what an event costs while subscriptions grow whose types are disjoint.

use std::time::Instant;

use hence::core::{Commit, Durability, Start, SubscriptionSpec};
use hence_engine_local::Options;

use super::Sizes;
use super::disk::place;
use super::whole::message;
use crate::report::{Row, median};

/// Events in one commit.
const BATCH: usize = 500;
/// Events in one round.
const EVENTS: usize = 50_000;

pub(crate) fn rows(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut one = f64::NAN;
    let mut rows = Vec::new();
    for subscriptions in [1, 10, 100, 1_000, 10_000] {
        if subscriptions > sizes.subscriptions {
            break;
        }
        let times = runtime.block_on(measure(sizes, subscriptions))?;
        let nanos = median(times.into_iter());
        if subscriptions == 1 {
            one = nanos;
        }
        let name = format!("publish to {subscriptions} subscription(s) of disjoint types");
        let mut row = Row::plain(&name, nanos, "ns/event");
        row.beside = Some(format!("with 1: {one:.0}"));
        row.ratio = Some(nanos / one);
        rows.push(row.at_most(1.5));
    }
    Ok(rows)
}

/// The time for each event, in nanoseconds, round by round; each goes to one subscription.
async fn measure(sizes: &Sizes, subscriptions: usize) -> anyhow::Result<Vec<f64>> {
    let dir = place()?;
    let engine = hence_engine_local::log(dir.path(), &Options::default())?;
    let types: Vec<String> = (0..subscriptions)
        .map(|number| format!("bench.type-{number}"))
        .collect();
    let mut attached = Vec::new();
    for (number, event_type) in types.iter().enumerate() {
        let spec = SubscriptionSpec::new(
            &format!("subscription-{number}"),
            vec![event_type.clone()],
            Start::Earliest,
        );
        attached.push(engine.subscribe(spec).await?);
    }
    // The types are taken in an order without a pattern: 7,919 is prime to all their numbers.
    let mut numbers = (0..).map(|number| (number, number * 7_919 % subscriptions));
    let mut times = Vec::new();
    for _ in 0..sizes.rounds {
        let mut commits = Vec::new();
        for _ in 0..EVENTS / BATCH {
            let messages = numbers
                .by_ref()
                .take(BATCH)
                .map(|(number, at)| message(number, types.get(at).map_or("", String::as_str)));
            let messages = messages.collect::<Result<_, _>>()?;
            commits.push(Commit::publish(messages, Durability::Written));
        }
        let began = Instant::now();
        for commit in commits {
            engine.commit(commit).await?;
        }
        times.push(began.elapsed().as_nanos() as f64 / EVENTS as f64);
    }
    drop(attached);
    engine.close().await;
    Ok(times)
}
