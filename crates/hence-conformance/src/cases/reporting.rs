//! Reports: what became of a message, how a subscription stands, how the engine is.

use std::time::Duration;

use hence_core::engine::{DeliveryReport, DeliveryState, SubscriptionReport};
use hence_core::{Outcome, Position, Skip};

use crate::case::{Need, Violation};
use crate::world::{
    Checked, TICK, TOCK, World, ended, ensure, event, events, poll_times, reject, retry_after,
    typed,
};

cases! {
    a_report_tells_where_a_delivery_stands [] Need::Nothing;
    a_report_tells_attempts_and_emitted_events [] Need::Nothing;
    a_report_tells_attempts_after_a_kill [] Need::Survival;
    what_is_skipped_is_over_and_says_why [] Need::Nothing;
    what_is_skipped_is_over_and_says_why_after_a_kill ["G1"] Need::Survival;
    settled_waits_for_every_attached_subscription [] Need::Nothing;
    settled_is_at_once_when_nothing_is_open [] Need::Nothing;
    settled_wakes_for_a_dead_letter [] Need::Nothing;
    subscriptions_tell_how_they_stand [] Need::Nothing;
    health_tells_the_newest_position [] Need::Nothing;
}

async fn report(world: &World<'_>, position: Position) -> Checked<Vec<DeliveryReport>> {
    Ok(world
        .within("report", world.engine().report(position))
        .await??)
}

/// The state in one subscription.
async fn state(world: &World<'_>, position: Position, name: &str) -> Checked<DeliveryState> {
    let reports = report(world, position).await?;
    let found = reports.iter().find(|report| report.subscription == name);
    let found = found.ok_or_else(|| Violation::new(format!("no report of '{name}'")))?;
    Ok(found.state)
}

async fn a_report_tells_where_a_delivery_stands(world: World<'_>) -> Checked {
    let mut attached = world.attach("a", &[TICK]).await?;
    drop(world.attach("b", &[TICK]).await?);
    drop(world.attach("c", &[TOCK]).await?);
    let position = world.publish_one(event("e")).await?;
    let reports = report(&world, position).await?;
    let mut names: Vec<_> = reports
        .iter()
        .map(|report| report.subscription.as_str())
        .collect();
    names.sort_unstable();
    ensure!(
        names == ["a", "b"],
        "a and b take it, and {names:?} are told of"
    );
    let is = state(&world, position, "a").await?;
    ensure!(
        is == DeliveryState::Waiting,
        "not given out, and {}",
        is.as_str()
    );
    let mut delivery = world.pull_one(&mut attached).await?;
    let is = state(&world, position, "a").await?;
    ensure!(
        is == DeliveryState::Running,
        "given out, and {}",
        is.as_str()
    );
    let (retry, due) = retry_after(Duration::from_secs(60));
    world.settle("a", &delivery, retry).await?;
    let is = state(&world, position, "a").await?;
    ensure!(
        is == DeliveryState::Retrying(due),
        "retrying at {due}, and {is:?}"
    );
    delivery.attempt = 2;
    world.settle("a", &delivery, Outcome::Done).await?;
    let is = state(&world, position, "a").await?;
    ensure!(is == DeliveryState::Done, "done, and {}", is.as_str());
    let is = state(&world, position, "b").await?;
    ensure!(
        is == DeliveryState::Waiting,
        "b did nothing, and is {}",
        is.as_str()
    );
    let mut other = world.attach("b", &[TICK]).await?;
    let delivery = world.pull_one(&mut other).await?;
    world.settle("b", &delivery, reject("no", false)).await?;
    let is = state(&world, position, "b").await?;
    ensure!(is == DeliveryState::Dead, "rejected, and {}", is.as_str());
    Ok(())
}

/// One failed attempt and one that published two events; gives their positions.
async fn two_attempts(world: &World<'_>) -> Checked<(Position, Vec<Position>)> {
    let mut attached = world.attach("a", &[TICK]).await?;
    let position = world.publish_one(event("e")).await?;
    let mut delivery = world.pull_one(&mut attached).await?;
    world
        .settle("a", &delivery, retry_after(Duration::ZERO).0)
        .await?;
    world.publish(events("between-", 3)).await?;
    delivery.attempt = 2;
    let settle = vec![ended("a", &delivery, Outcome::Done)];
    let publish = vec![typed("out-0", TOCK), typed("out-1", TOCK)];
    let receipts = world.commit(world.step(settle, publish)).await?;
    let mut emitted = Vec::new();
    for receipt in &receipts {
        emitted.push(world.position(receipt).await?);
    }
    Ok((position, emitted))
}

async fn tells_two(world: &World<'_>, position: Position, emitted: &[Position]) -> Checked {
    let reports = report(world, position).await?;
    let [report] = reports.as_slice() else {
        return Err(Violation::new(format!(
            "one subscription, {} reports",
            reports.len()
        )));
    };
    let [first, second] = report.attempts.as_slice() else {
        return Err(Violation::new(format!(
            "two attempts, {:?}",
            report.attempts
        )));
    };
    ensure!(
        (first.attempt, first.outcome) == (1, "retry"),
        "the first is {first:?}"
    );
    ensure!(
        first.error == "not yet",
        "the first failed with '{}'",
        first.error
    );
    ensure!(
        first.emitted.is_empty(),
        "the first emitted {:?}",
        first.emitted
    );
    ensure!(
        (second.attempt, second.outcome) == (2, "done"),
        "the second is {second:?}"
    );
    ensure!(
        second.error.is_empty(),
        "the second failed with '{}'",
        second.error
    );
    ensure!(
        second.emitted == emitted,
        "emitted {emitted:?}, told {:?}",
        second.emitted
    );
    ensure!(
        first.ended <= second.ended,
        "the second ended before the first"
    );
    let ran = [first.ran, second.ran];
    ensure!(
        ran == [Duration::from_millis(1); 2],
        "each ran for 1 ms, told {ran:?}"
    );
    Ok(())
}

async fn a_report_tells_attempts_and_emitted_events(world: World<'_>) -> Checked {
    let (position, emitted) = two_attempts(&world).await?;
    tells_two(&world, position, &emitted).await
}

async fn a_report_tells_attempts_after_a_kill(world: World<'_>) -> Checked {
    let (position, emitted) = two_attempts(&world).await?;
    let world = world.killed().await?;
    tells_two(&world, position, &emitted).await?;
    let is = state(&world, position, "a").await?;
    ensure!(
        is == DeliveryState::Done,
        "done, and {} after a kill",
        is.as_str()
    );
    Ok(())
}

/// Settles one event without a handler; gives its position.
async fn skip_one(world: &World<'_>) -> Checked<Position> {
    let mut attached = world.attach("a", &[TICK]).await?;
    let position = world.publish_one(event("e")).await?;
    let delivery = world.pull_one(&mut attached).await?;
    let skipped = Outcome::Skipped {
        why: Skip::RateLimited,
        by: None,
    };
    world.settle("a", &delivery, skipped).await?;
    Ok(position)
}

async fn is_skipped(world: &World<'_>, position: Position) -> Checked {
    let mut attached = world.attach("a", &[TICK]).await?;
    world.pull_nothing(&mut attached, "it was skipped").await?;
    let reports = report(world, position).await?;
    let last = reports.first().and_then(|report| report.attempts.last());
    let told = last.map(|attempt| (attempt.outcome, attempt.error.as_str()));
    ensure!(
        told == Some(("skipped", Skip::RateLimited.as_str())),
        "skipped for a rate limit, and told is {told:?}"
    );
    Ok(())
}

async fn what_is_skipped_is_over_and_says_why(world: World<'_>) -> Checked {
    let position = skip_one(&world).await?;
    is_skipped(&world, position).await
}

async fn what_is_skipped_is_over_and_says_why_after_a_kill(world: World<'_>) -> Checked {
    let position = skip_one(&world).await?;
    let world = world.killed().await?;
    is_skipped(&world, position).await
}

async fn settled_waits_for_every_attached_subscription(world: World<'_>) -> Checked {
    let mut a = world.attach("a", &[TICK]).await?;
    let mut b = world.attach("b", &[TICK]).await?;
    drop(world.attach("detached", &[TICK]).await?);
    let _other = world.attach("other", &[TOCK]).await?;
    let position = world.publish_one(event("e")).await?;
    let engine = world.shared();
    let mut settled = Box::pin(async move { engine.settled(position).await });
    ensure!(
        poll_times(3, &mut settled).await.is_none(),
        "settled before it was delivered"
    );
    let (first, second) = (world.pull_one(&mut a).await?, world.pull_one(&mut b).await?);
    world.settle("a", &first, Outcome::Done).await?;
    ensure!(
        poll_times(3, &mut settled).await.is_none(),
        "settled when one of two was"
    );
    world
        .settle("b", &second, retry_after(Duration::ZERO).0)
        .await?;
    ensure!(
        poll_times(3, &mut settled).await.is_none(),
        "settled while one is to be retried"
    );
    let again = hence_core::Delivery {
        attempt: 2,
        ..second
    };
    world.settle("b", &again, Outcome::Done).await?;
    world.within("settled, when both are", settled).await??;
    Ok(())
}

async fn settled_is_at_once_when_nothing_is_open(world: World<'_>) -> Checked {
    let position = world.publish_one(event("e")).await?;
    world
        .within(
            "settled without a subscription",
            world.engine().settled(position),
        )
        .await??;
    let mut attached = world.attach("a", &[TICK]).await?;
    let delivery = world.pull_one(&mut attached).await?;
    world.settle("a", &delivery, Outcome::Done).await?;
    world
        .within("settled when it is", world.engine().settled(position))
        .await??;
    Ok(())
}

async fn settled_wakes_for_a_dead_letter(world: World<'_>) -> Checked {
    let mut attached = world.attach("a", &[TICK]).await?;
    let position = world.publish_one(event("e")).await?;
    let delivery = world.pull_one(&mut attached).await?;
    let reject = world.settle("a", &delivery, reject("no", true));
    let settled = world.within("settled by a rejection", world.engine().settled(position));
    let (settled, rejected) = tokio::join!(settled, reject);
    rejected?;
    settled??;
    Ok(())
}

fn subscription(world: &World<'_>, name: &str) -> Checked<SubscriptionReport> {
    let mut all = world.engine().subscriptions();
    all.retain(|report| report.name == name);
    ensure!(all.len() == 1, "'{name}' is told of {} times", all.len());
    all.pop().ok_or_else(|| Violation::new("no subscription"))
}

async fn subscriptions_tell_how_they_stand(world: World<'_>) -> Checked {
    let mut attached = world.attach("a", &[TICK]).await?;
    let places = world.publish(events("e", 5)).await?;
    let found = world.pull(&mut attached, 3).await?;
    let report = subscription(&world, "a")?;
    ensure!(
        report.types.iter().any(|name| name == TICK),
        "it takes {:?}",
        report.types
    );
    let begins = places.first().copied().unwrap_or_default();
    ensure!(
        report.since.len() == report.types.len()
            && report.since.iter().all(|since| *since <= begins),
        "it takes what is at {begins}, and is told to begin at {:?}",
        report.since
    );
    ensure!(report.attached, "attached, and it is not told");
    ensure!(
        report.lag == 5,
        "five are open, and the lag is {}",
        report.lag
    );
    ensure!(
        report.in_flight == 3,
        "three are given out, and {} are told",
        report.in_flight
    );
    let first = found.first().ok_or_else(|| Violation::new("no delivery"))?;
    world.settle("a", first, Outcome::Done).await?;
    let last = found.last().ok_or_else(|| Violation::new("no delivery"))?;
    world.settle("a", last, reject("no", false)).await?;
    let report = subscription(&world, "a")?;
    ensure!(
        report.lag == 3,
        "three are open, and the lag is {}",
        report.lag
    );
    ensure!(
        report.in_flight == 1,
        "one is given out, and {} are told",
        report.in_flight
    );
    ensure!(
        report.dead == 1,
        "one is dead, and {} are told",
        report.dead
    );
    let second = places.get(1).copied().unwrap_or_default();
    let fits = report.settled >= first.position && report.settled < second;
    ensure!(
        fits,
        "{} is settled, {second} is not, and {} is told",
        first.position,
        report.settled
    );
    drop(attached);
    let report = subscription(&world, "a")?;
    ensure!(!report.attached, "detached, and it is not told");
    ensure!(
        report.in_flight == 0,
        "detached, and {} are in flight",
        report.in_flight
    );
    ensure!(report.lag == 3, "detached, and the lag is {}", report.lag);
    Ok(())
}

async fn health_tells_the_newest_position(world: World<'_>) -> Checked {
    let empty = world.engine().health()?;
    ensure!(
        empty.last == Position(0),
        "nothing is stored, and the newest is {}",
        empty.last
    );
    let places = world.publish(events("e", 5)).await?;
    let report = world.engine().health()?;
    let newest = places.last().copied().unwrap_or_default();
    ensure!(
        report.last == newest,
        "the newest is {newest}, and {} is told",
        report.last
    );
    let oldest = places.first().copied().unwrap_or_default();
    ensure!(
        report.first <= oldest,
        "the oldest is {oldest}, and {} is told",
        report.first
    );
    Ok(())
}
