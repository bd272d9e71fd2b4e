//! Settling: one commit settles and publishes, whole or not at all, and once.

use bytes::Bytes;
use hence_core::{Code, Delivery, Outcome, Position, Settlement};

use crate::case::Need;
use crate::world::{
    Attached, Checked, TICK, TOCK, World, ended, ensure, entry_ids, event, events, holding, ids,
    poll_times, positions, retry_after, typed,
};

const NAME: &str = "worker";

cases! {
    g7_settling_and_publishing_are_one ["G7"] Need::Nothing;
    g7_settling_and_publishing_are_one_over_a_kill ["G7", "G1"] Need::Survival;
    g7_a_refused_commit_settles_nothing ["G7"] Need::Nothing;
    g7_a_refused_commit_settles_nothing_over_a_kill ["G7"] Need::Survival;
    g7_a_commit_given_up_is_whole_or_nothing ["G7"] Need::Nothing;
    g7_a_commit_killed_is_whole_or_nothing ["G7"] Need::Survival;
    several_settlements_in_one_commit ["G7"] Need::Nothing;
    g9_a_repeated_settlement_publishes_nothing_more ["G9", "G7"] Need::Nothing;
    g9_a_repeated_settlement_publishes_nothing_more_after_a_kill ["G9", "G7"] Need::Survival;
    g11_an_attempt_that_has_ended_cannot_commit ["G11"] Need::Nothing;
    what_is_not_delivered_cannot_be_settled [] Need::Nothing;
    g3_emitted_events_stand_in_their_order ["G3"] Need::Nothing;
    subscriptions_settle_for_themselves ["G2"] Need::Nothing;
    an_empty_commit_changes_nothing [] Need::Nothing;
}

/// Publishes one event and pulls it.
async fn one_delivery(world: &World<'_>) -> Checked<(Attached, Delivery)> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.publish_one(event("work")).await?;
    let delivery = world.pull_one(&mut attached).await?;
    Ok((attached, delivery))
}

fn done(delivery: &Delivery) -> Vec<Settlement> {
    vec![ended(NAME, delivery, Outcome::Done)]
}

fn effects() -> Vec<hence_core::Message> {
    vec![typed("effect-0", TOCK), typed("effect-1", TOCK)]
}

/// Exactly so many of the effects are stored, and the delivery is open or not.
async fn stands(world: &World<'_>, published: bool, is_open: bool, why: &str) -> Checked {
    let stored = world.read_all().await?;
    let found: Vec<_> = entry_ids(&stored)
        .into_iter()
        .filter(|id| *id != "work")
        .collect();
    let wanted: &[&str] = if published {
        &["effect-0", "effect-1"]
    } else {
        &[]
    };
    ensure!(
        found == wanted,
        "{why}: published are {found:?}, not {wanted:?}"
    );
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = world.pull_all(&mut attached).await?;
    let wanted: &[&str] = if is_open { &["work"] } else { &[] };
    ensure!(
        ids(&found) == wanted,
        "{why}: open are {:?}, not {wanted:?}",
        ids(&found)
    );
    Ok(())
}

async fn g7_settling_and_publishing_are_one(world: World<'_>) -> Checked {
    let (attached, delivery) = one_delivery(&world).await?;
    world.commit(world.step(done(&delivery), effects())).await?;
    drop(attached);
    stands(&world, true, false, "a commit that was acknowledged").await
}

async fn g7_settling_and_publishing_are_one_over_a_kill(world: World<'_>) -> Checked {
    let (attached, delivery) = one_delivery(&world).await?;
    world.commit(world.step(done(&delivery), effects())).await?;
    drop(attached);
    let world = world.killed().await?;
    stands(
        &world,
        true,
        false,
        "a commit that was acknowledged, and a kill",
    )
    .await?;
    let world = world.reopened().await?;
    stands(
        &world,
        true,
        false,
        "a commit that was acknowledged, and a restart",
    )
    .await
}

/// A commit that settles and publishes, of which one event contradicts what is stored.
async fn refused(world: &World<'_>) -> Checked {
    let (attached, delivery) = one_delivery(world).await?;
    let mut publish = effects();
    publish.push(holding(&event("work"), Some(Bytes::from_static(b"other"))));
    world
        .refused(world.step(done(&delivery), publish), Code::DUPLICATE)
        .await?;
    drop(attached);
    Ok(())
}

async fn g7_a_refused_commit_settles_nothing(world: World<'_>) -> Checked {
    refused(&world).await?;
    stands(&world, false, true, "a commit that was refused").await
}

async fn g7_a_refused_commit_settles_nothing_over_a_kill(world: World<'_>) -> Checked {
    refused(&world).await?;
    let world = world.killed().await?;
    stands(&world, false, true, "a commit that was refused, and a kill").await
}

/// What was published and what is open fit together.
async fn is_whole(world: &World<'_>, why: &str) -> Checked {
    let published = world.knows("effect-0").await?;
    stands(world, published, !published, why).await
}

async fn g7_a_commit_given_up_is_whole_or_nothing(world: World<'_>) -> Checked {
    given_up(world, false).await
}

async fn g7_a_commit_killed_is_whole_or_nothing(world: World<'_>) -> Checked {
    given_up(world, true).await
}

/// Drops the future of a commit after so many polls, for every small number.
async fn given_up(mut world: World<'_>, kill: bool) -> Checked {
    for times in 0..4 {
        let harness = world.harness();
        let (attached, delivery) = one_delivery(&world).await?;
        let commit = world.step(done(&delivery), effects());
        drop(poll_times(times, world.engine().commit(commit)).await);
        drop(attached);
        if kill {
            world = world.killed().await?;
        } else {
            // What was given up is behind this, or never comes.
            world.publish_one(event("work")).await?;
        }
        is_whole(&world, &format!("a commit dropped after {times} polls")).await?;
        drop(world);
        world = World::fresh(harness).await?;
    }
    Ok(())
}

async fn several_settlements_in_one_commit(world: World<'_>) -> Checked {
    world.publish(events("e", 6)).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = world.pull(&mut attached, 6).await?;
    let settle = found.iter().skip(1).step_by(2);
    let settle = settle
        .map(|delivery| ended(NAME, delivery, Outcome::Done))
        .collect();
    world.commit(world.step(settle, effects())).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let open = world.pull_all(&mut attached).await?;
    ensure!(
        ids(&open) == ["e0", "e2", "e4"],
        "open are {:?}",
        ids(&open)
    );
    ensure!(
        world.knows("effect-1").await?,
        "its events are not published"
    );
    Ok(())
}

/// Commits the same settlement again, with its events and with others.
async fn repeats(world: &World<'_>, delivery: &Delivery, first: &[Position]) -> Checked {
    let receipts = world.commit(world.step(done(delivery), effects())).await?;
    for (receipt, position) in receipts.iter().zip(first) {
        let same = receipt.position.is_none_or(|found| found == *position);
        ensure!(
            same,
            "'{}' stands at {position}, and again at {:?}",
            receipt.id(),
            receipt.position
        );
    }
    // A second run may have made up new ids. Its delivery is settled, so they come to nothing.
    let more = vec![typed("ghost", TOCK)];
    let commit = world.step(done(delivery), more);
    drop(
        world
            .within("commit", world.engine().commit(commit))
            .await?,
    );
    world
        .knows_none(&["ghost"], "a delivery that was settled before")
        .await?;
    stands(world, true, false, "a settlement that was repeated").await
}

async fn g9_a_repeated_settlement_publishes_nothing_more(world: World<'_>) -> Checked {
    let (attached, delivery) = one_delivery(&world).await?;
    let receipts = world.commit(world.step(done(&delivery), effects())).await?;
    let first: Vec<_> = receipts
        .iter()
        .filter_map(|receipt| receipt.position)
        .collect();
    drop(attached);
    repeats(&world, &delivery, &first).await
}

async fn g9_a_repeated_settlement_publishes_nothing_more_after_a_kill(world: World<'_>) -> Checked {
    let (attached, delivery) = one_delivery(&world).await?;
    let receipts = world.commit(world.step(done(&delivery), effects())).await?;
    let first: Vec<_> = receipts
        .iter()
        .filter_map(|receipt| receipt.position)
        .collect();
    drop(attached);
    repeats(&world.killed().await?, &delivery, &first).await
}

async fn g11_an_attempt_that_has_ended_cannot_commit(world: World<'_>) -> Checked {
    let (attached, first) = one_delivery(&world).await?;
    let (retry, _) = retry_after(std::time::Duration::ZERO);
    world.settle(NAME, &first, retry).await?;
    // The worker of the first attempt comes back from the dead.
    let commit = world.step(done(&first), effects());
    drop(
        world
            .within("commit", world.engine().commit(commit))
            .await?,
    );
    drop(attached);
    stands(&world, false, true, "a commit of an attempt that had ended").await
}

async fn what_is_not_delivered_cannot_be_settled(world: World<'_>) -> Checked {
    let (_attached, delivery) = one_delivery(&world).await?;
    let mut stranger = done(&delivery);
    stranger
        .iter_mut()
        .for_each(|settlement| settlement.subscription = "stranger".into());
    let mut beyond = done(&delivery);
    beyond
        .iter_mut()
        .for_each(|settlement| settlement.position = Position(1_000_000));
    let tock = world.publish_one(typed("tock", TOCK)).await?;
    let mut foreign = done(&delivery);
    foreign
        .iter_mut()
        .for_each(|settlement| settlement.position = tock);
    for (settle, whose) in [
        (stranger, "of an unknown subscription"),
        (beyond, "of an unknown position"),
        (foreign, "of a type that it does not take"),
    ] {
        let commit = world.step(settle, vec![typed("ghost", TOCK)]);
        let error = world
            .within("commit", world.engine().commit(commit))
            .await?
            .err();
        let code = error.map(|error| error.code());
        ensure!(
            code == Some(Code::NOT_FOUND),
            "a settlement {whose} is answered with {code:?}"
        );
        world.knows_none(&["ghost"], whose).await?;
    }
    Ok(())
}

async fn g3_emitted_events_stand_in_their_order(world: World<'_>) -> Checked {
    let (_attached, delivery) = one_delivery(&world).await?;
    let emitted: Vec<_> = (0..20).map(|n| typed(&format!("out-{n}"), TOCK)).collect();
    let mut onward = world.attach("onward", &[TOCK]).await?;
    world
        .commit(world.step(done(&delivery), emitted.clone()))
        .await?;
    let found = world.pull(&mut onward, 20).await?;
    let wanted: Vec<_> = emitted
        .iter()
        .map(|message| message.attributes().id())
        .collect();
    ensure!(
        ids(&found) == wanted,
        "emitted in order, delivered as {:?}",
        ids(&found)
    );
    Ok(())
}

async fn subscriptions_settle_for_themselves(world: World<'_>) -> Checked {
    let mut first = world.attach("first", &[TICK]).await?;
    let mut second = world.attach("second", &[TICK]).await?;
    let wanted = world.publish(events("e", 3)).await?;
    let found = world.pull(&mut first, 3).await?;
    world.done("first", &found).await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(
        positions(&found) == wanted,
        "the other one settled for it: {:?}",
        ids(&found)
    );
    let mut third = world.attach("third", &[TICK]).await?;
    let found = world.pull_all(&mut third).await?;
    ensure!(
        positions(&found) == wanted,
        "a later one finds {:?}",
        ids(&found)
    );
    Ok(())
}

async fn an_empty_commit_changes_nothing(world: World<'_>) -> Checked {
    let commit = world.step(Vec::new(), Vec::new());
    let receipts = world.commit(commit).await?;
    ensure!(receipts.is_empty(), "receipts of nothing: {receipts:?}");
    ensure!(
        world.read_all().await?.is_empty(),
        "an empty commit stored something"
    );
    Ok(())
}
