//! A subscription that gets an event after another one has handled it.

use hence_core::{Code, Outcome, Start, SubscriptionSpec, Timestamp};

use crate::case::{Need, Violation};
use crate::world::{
    Attached, Checked, TICK, TOCK, World, ensure, event, events, ids, reject, spec, typed,
};

cases! {
    g3_what_waits_for_another_comes_when_that_is_done ["G3"] Need::Nothing;
    g3_what_waits_for_another_still_waits_after_a_kill ["G3"] Need::Survival;
    what_another_does_not_take_does_not_wait_for_it [] Need::Nothing;
    to_wait_for_an_unknown_subscription_is_refused [] Need::Nothing;
}

/// One that goes first, without the type of the fences, and one that waits for it.
async fn pair(world: &World<'_>) -> Checked<(Attached, Attached)> {
    let first = SubscriptionSpec::new("first", vec![TICK.to_owned()], Start::Earliest);
    let mut second = spec("second", &[TICK, TOCK], Start::Earliest);
    second.after = vec!["first".to_owned()];
    let first = world.subscribe(first).await?;
    Ok((first, world.subscribe(second).await?))
}

async fn g3_what_waits_for_another_comes_when_that_is_done(world: World<'_>) -> Checked {
    let (mut first, mut second) = pair(&world).await?;
    world.publish(events("e", 3)).await?;
    world
        .pull_nothing(&mut second, "'first' has handled nothing")
        .await?;
    let held = world.pull(&mut first, 3).await?;
    world
        .pull_nothing(&mut second, "'first' has handled nothing")
        .await?;
    let mut held = held.into_iter();
    let (Some(mut retried), Some(rejected), Some(done)) = (held.next(), held.next(), held.next())
    else {
        return Ok(());
    };
    world.settle("first", &done, Outcome::Done).await?;
    world
        .settle("first", &rejected, reject("no", false))
        .await?;
    let (due, error) = (Timestamp::now(), "not yet".to_owned());
    world
        .settle("first", &retried, Outcome::Retry { due, error })
        .await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(
        ids(&found) == ["e2"],
        "'second' got {:?}, not just what is done",
        ids(&found)
    );
    retried.attempt += 1;
    world.settle("first", &retried, Outcome::Done).await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(
        ids(&found) == ["e0"],
        "'second' got {:?} after a retry",
        ids(&found)
    );
    world
        .redrive(&[&format!("first.{}", rejected.position)])
        .await?;
    let redriven = world.pull_one(&mut first).await?;
    world.settle("first", &redriven, Outcome::Done).await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(
        ids(&found) == ["e1"],
        "'second' got {:?} after a redrive",
        ids(&found)
    );
    Ok(())
}

async fn g3_what_waits_for_another_still_waits_after_a_kill(world: World<'_>) -> Checked {
    let (mut first, second) = pair(&world).await?;
    world.publish(events("e", 2)).await?;
    let held = world.pull(&mut first, 2).await?;
    world
        .done("first", held.get(1..).unwrap_or_default())
        .await?;
    drop((first, second));
    let world = world.killed().await?;
    let (mut first, mut second) = pair(&world).await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(
        ids(&found) == ["e1"],
        "'second' got {:?}, not just what is done",
        ids(&found)
    );
    let held = world.pull(&mut first, 1).await?;
    world.done("first", &held).await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(ids(&found) == ["e0"], "'second' got {:?}", ids(&found));
    Ok(())
}

async fn what_another_does_not_take_does_not_wait_for_it(world: World<'_>) -> Checked {
    let (_first, mut second) = pair(&world).await?;
    world.publish(vec![event("a"), typed("b", TOCK)]).await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(ids(&found) == ["b"], "'second' got {:?}", ids(&found));
    Ok(())
}

async fn to_wait_for_an_unknown_subscription_is_refused(world: World<'_>) -> Checked {
    let mut spec = spec("second", &[TICK], Start::Earliest);
    spec.after = vec!["nobody".to_owned()];
    let subscribed = world.engine().subscribe(spec);
    match world.within("subscribe", subscribed).await?.map(drop) {
        Err(error) if error.code() == Code::NOT_FOUND => Ok(()),
        other => Err(Violation::new(format!(
            "{other:?}, not {}",
            Code::NOT_FOUND
        ))),
    }
}
