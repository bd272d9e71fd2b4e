//! Retries: the attempt counts on, the moment survives, and the order is kept.

use std::time::Duration;

use hence_core::{Delivery, Outcome, Timestamp};

use crate::case::Need;
use crate::world::{
    Attached, Checked, TICK, World, ended, ensure, event, ids, keyed, positions, retry_after,
};

const NAME: &str = "retries";
/// How long a retry waits in these cases.
const WAIT: Duration = Duration::from_millis(300);

cases! {
    g3_a_retry_stays_with_the_runtime ["G3"] Need::Nothing;
    attempts_count_on_while_attached [] Need::Nothing;
    attempts_count_on_over_a_detach [] Need::Nothing;
    attempts_count_on_over_a_kill ["G10"] Need::Survival;
    g10_a_retry_is_not_early_after_a_detach ["G10"] Need::Nothing;
    g10_a_retry_survives_a_kill_and_is_not_early ["G10"] Need::Survival;
    g10_a_retry_survives_a_clean_restart ["G10", "G16"] Need::Survival;
    g3_order_survives_a_retry ["G3"] Need::Nothing;
    g3_order_survives_a_retry_and_a_kill ["G3", "G10"] Need::Survival;
    a_retry_may_publish_too ["G7"] Need::Nothing;
    a_retry_holds_nobody_else ["G12"] Need::Nothing;
}

/// The delivery may begin: its engine waited until it was due, or says when that is.
fn is_in_time(delivery: &Delivery, due: Timestamp, now: Timestamp) -> bool {
    now >= due || delivery.due.is_some_and(|stated| stated >= due)
}

async fn again(world: &World<'_>, due: Timestamp, attempt: u32) -> Checked<(Attached, Delivery)> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let delivery = world.pull_one(&mut attached).await?;
    let now = Timestamp::steady();
    ensure!(
        is_in_time(&delivery, due, now),
        "due at {due}, given out at {now} as if it were due at {:?}",
        delivery.due
    );
    ensure!(
        delivery.attempt == attempt,
        "attempt {} in place of {attempt}",
        delivery.attempt
    );
    ensure!(!delivery.redriven, "a retry says that it was redriven");
    Ok((attached, delivery))
}

/// Publishes an event, and lets its first attempt fail.
async fn fail_once(world: &World<'_>, wait: Duration) -> Checked<Timestamp> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.publish_one(event("work")).await?;
    let delivery = world.pull_one(&mut attached).await?;
    let (retry, due) = retry_after(wait);
    world.settle(NAME, &delivery, retry).await?;
    Ok(due)
}

async fn g3_a_retry_stays_with_the_runtime(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.publish_one(event("work")).await?;
    let delivery = world.pull_one(&mut attached).await?;
    world
        .settle(NAME, &delivery, retry_after(Duration::ZERO).0)
        .await?;
    world
        .pull_nothing(&mut attached, "a retry that the runtime keeps")
        .await?;
    let second = Delivery {
        attempt: 2,
        ..delivery
    };
    world.settle(NAME, &second, Outcome::Done).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world
        .pull_nothing(&mut attached, "done at the second attempt")
        .await
}

async fn attempts_count_on_while_attached(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let position = world.publish_one(event("work")).await?;
    let mut delivery = world.pull_one(&mut attached).await?;
    for attempt in 1..=4 {
        ensure!(
            attempt > 1 || delivery.attempt == 1,
            "it begins with {}",
            delivery.attempt
        );
        delivery.attempt = attempt;
        world
            .settle(NAME, &delivery, retry_after(Duration::ZERO).0)
            .await?;
    }
    let reports = world
        .within("report", world.engine().report(position))
        .await??;
    let attempts: Vec<_> = reports.iter().flat_map(|report| &report.attempts).collect();
    let attempts: Vec<_> = attempts.iter().map(|attempt| attempt.attempt).collect();
    ensure!(
        attempts == [1, 2, 3, 4],
        "four attempts failed, and {attempts:?} are reported"
    );
    drop(attached);
    again(&world, Timestamp::from_micros(0), 5).await.map(drop)
}

async fn attempts_count_on_over_a_detach(world: World<'_>) -> Checked {
    let mut due = fail_once(&world, Duration::ZERO).await?;
    for attempt in 2..6 {
        let (_attached, delivery) = again(&world, due, attempt).await?;
        let retry;
        (retry, due) = retry_after(Duration::ZERO);
        world.settle(NAME, &delivery, retry).await?;
    }
    Ok(())
}

async fn attempts_count_on_over_a_kill(mut world: World<'_>) -> Checked {
    let mut due = fail_once(&world, Duration::ZERO).await?;
    for attempt in 2..5 {
        world = world.killed().await?;
        let (attached, delivery) = again(&world, due, attempt).await?;
        let retry;
        (retry, due) = retry_after(Duration::ZERO);
        world.settle(NAME, &delivery, retry).await?;
        drop(attached);
    }
    let world = world.reopened().await?;
    again(&world, due, 5).await.map(drop)
}

async fn g10_a_retry_is_not_early_after_a_detach(world: World<'_>) -> Checked {
    let due = fail_once(&world, WAIT).await?;
    again(&world, due, 2).await.map(drop)
}

async fn g10_a_retry_survives_a_kill_and_is_not_early(world: World<'_>) -> Checked {
    // Long enough that no restart takes up all of it.
    let due = fail_once(&world, world.harness().patience() / 2).await?;
    let world = world.killed().await?;
    again(&world, due, 2).await?;
    let world = world.killed().await?;
    again(&world, due, 2).await.map(drop)
}

async fn g10_a_retry_survives_a_clean_restart(world: World<'_>) -> Checked {
    let due = fail_once(&world, world.harness().patience() / 2).await?;
    let world = world.reopened().await?;
    again(&world, due, 2).await.map(drop)
}

/// Three events of one key, of which the first fails once.
async fn fail_the_first(world: &World<'_>) -> Checked<Timestamp> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    for id in ["first", "second", "third"] {
        world.publish_one(keyed(id, "k")).await?;
    }
    let found = world.pull(&mut attached, 3).await?;
    let (retry, due) = retry_after(WAIT);
    let settle = found.first().map(|delivery| ended(NAME, delivery, retry));
    world
        .commit(world.step(settle.into_iter().collect(), Vec::new()))
        .await?;
    Ok(due)
}

/// The whole key comes again, in its order.
async fn in_order(world: &World<'_>, due: Timestamp) -> Checked {
    let (mut attached, first) = again(world, due, 2).await?;
    let mut found = vec![first];
    found.extend(world.pull(&mut attached, 2).await?);
    ensure!(
        ids(&found) == ["first", "second", "third"],
        "the key comes as {:?}",
        ids(&found)
    );
    let attempts: Vec<_> = found.iter().map(|delivery| delivery.attempt).collect();
    ensure!(
        attempts == [2, 1, 1],
        "attempts {attempts:?}; only the first has failed"
    );
    Ok(())
}

async fn g3_order_survives_a_retry(world: World<'_>) -> Checked {
    let due = fail_the_first(&world).await?;
    in_order(&world, due).await
}

async fn g3_order_survives_a_retry_and_a_kill(world: World<'_>) -> Checked {
    let due = fail_the_first(&world).await?;
    let world = world.killed().await?;
    in_order(&world, due).await
}

async fn a_retry_may_publish_too(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.publish_one(event("work")).await?;
    let delivery = world.pull_one(&mut attached).await?;
    let settle = vec![ended(NAME, &delivery, retry_after(Duration::ZERO).0)];
    let note = crate::world::typed("note", crate::world::TOCK);
    world.commit(world.step(settle, vec![note])).await?;
    ensure!(
        world.knows("note").await?,
        "what a retry published is not stored"
    );
    drop(attached);
    again(&world, Timestamp::from_micros(0), 2).await.map(drop)
}

async fn a_retry_holds_nobody_else(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let mut other = world.attach("other", &[TICK]).await?;
    let wanted = vec![
        world.publish_one(keyed("a", "k")).await?,
        world.publish_one(keyed("b", "k")).await?,
    ];
    let delivery = world.pull_one(&mut attached).await?;
    let (retry, _) = retry_after(Duration::from_secs(3600));
    world.settle(NAME, &delivery, retry).await?;
    let found = world.pull_all(&mut other).await?;
    ensure!(
        positions(&found) == wanted,
        "the other subscription got {:?}",
        ids(&found)
    );
    Ok(())
}
