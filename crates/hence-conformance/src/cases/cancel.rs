//! Cancelling: a future that is dropped at any await loses nothing.

use hence_core::{Commit, Outcome};

use crate::case::Need;
use crate::world::{
    Checked, TICK, World, ended, ensure, entry_ids, event, events, ids, poll_times, positions, rise,
};

cases! {
    g2_next_dropped_loses_nothing ["G2"] Need::Nothing;
    g2_next_dropped_while_publishing_loses_nothing ["G2"] Need::Nothing;
    g14_a_batch_given_up_is_whole_or_nothing ["G14"] Need::Nothing;
    g14_a_batch_killed_is_whole_or_nothing ["G14"] Need::Survival;
    a_commit_given_up_does_not_stop_the_next [] Need::Nothing;
    settled_given_up_does_no_harm [] Need::Nothing;
}

async fn g2_next_dropped_loses_nothing(world: World<'_>) -> Checked {
    let mut attached = world.attach("restless", &[TICK]).await?;
    let mut found = Vec::new();
    for number in 0..40 {
        let pulled = poll_times(number % 4, attached.deliveries.next(2)).await;
        found.extend(pulled.transpose()?.unwrap_or_default());
        world.publish_one(event(&format!("e{number}"))).await?;
        let pulled = poll_times(number % 3, attached.deliveries.next(1)).await;
        found.extend(pulled.transpose()?.unwrap_or_default());
    }
    let rest = 40 - found.len();
    found.extend(world.pull(&mut attached, rest).await?);
    ensure!(
        rise(&positions(&found)),
        "delivered in the order {:?}",
        ids(&found)
    );
    world.done("restless", &found).await?;
    world
        .pull_nothing(&mut attached, "everything is settled")
        .await
}

async fn g2_next_dropped_while_publishing_loses_nothing(world: World<'_>) -> Checked {
    const COUNT: usize = 200;
    let mut attached = world.attach("restless", &[TICK]).await?;
    let (engine, level) = (world.shared(), world.level());
    let publisher = tokio::spawn(async move {
        for message in events("e", COUNT) {
            engine.commit(Commit::publish(vec![message], level)).await?;
        }
        Ok::<_, hence_core::Error>(())
    });
    let mut found = Vec::new();
    let mut round = 0;
    let pulling = async {
        while found.len() < COUNT {
            round += 1;
            let pulled = poll_times(round % 3 + 1, attached.deliveries.next(3)).await;
            found.extend(pulled.transpose()?.unwrap_or_default());
        }
        Ok::<_, hence_core::Error>(())
    };
    world
        .within("everything, by futures that are dropped", pulling)
        .await??;
    let ended = world.within("the publisher", publisher).await?;
    ended.map_err(|error| crate::Violation::new(format!("it ended with {error}")))??;
    ensure!(
        rise(&positions(&found)),
        "delivered in the order {:?}",
        ids(&found)
    );
    Ok(())
}

/// Drops the future of a batch after so many polls, for every small number.
async fn batches(mut world: World<'_>, kill: bool) -> Checked {
    for times in 0..4 {
        let batch = events(&format!("given-up-{times}-"), 20);
        let commit = Commit::publish(batch, world.level());
        drop(poll_times(times, world.engine().commit(commit)).await);
        if kill {
            world = world.killed().await?;
        }
        world.publish_one(event(&format!("behind-{times}"))).await?;
        let stored = world.read_all().await?;
        let prefix = format!("given-up-{times}-");
        let of = |id: &&str| id.starts_with(&prefix);
        let count = entry_ids(&stored).into_iter().filter(of).count();
        ensure!(
            count == 0 || count == 20,
            "{count} of 20, dropped after {times} polls"
        );
    }
    Ok(())
}

async fn g14_a_batch_given_up_is_whole_or_nothing(world: World<'_>) -> Checked {
    batches(world, false).await
}

async fn g14_a_batch_killed_is_whole_or_nothing(world: World<'_>) -> Checked {
    batches(world, true).await
}

async fn a_commit_given_up_does_not_stop_the_next(world: World<'_>) -> Checked {
    let mut attached = world.attach("next", &[TICK]).await?;
    for times in 0..5 {
        let id = format!("given-up-{times}");
        let commit = Commit::publish(vec![event(&id)], world.level());
        drop(poll_times(times, world.engine().commit(commit)).await);
        // The same event again: stored now, or known already.
        let position = world.publish_one(event(&id)).await?;
        let delivery = world.pull_one(&mut attached).await?;
        ensure!(
            delivery.position == position,
            "'{id}' stands at {position} and comes otherwise"
        );
        for polls in 0..3 {
            let settle = vec![ended("next", &delivery, Outcome::Done)];
            let commit = world.step(settle, Vec::new());
            drop(poll_times(polls, world.engine().commit(commit)).await);
        }
        world.settle("next", &delivery, Outcome::Done).await?;
    }
    world
        .pull_nothing(&mut attached, "everything is settled")
        .await
}

async fn settled_given_up_does_no_harm(world: World<'_>) -> Checked {
    let mut attached = world.attach("a", &[TICK]).await?;
    let position = world.publish_one(event("e")).await?;
    for times in 0..4 {
        drop(poll_times(times, world.engine().settled(position)).await);
    }
    let delivery = world.pull_one(&mut attached).await?;
    world.settle("a", &delivery, Outcome::Done).await?;
    world
        .within("settled", world.engine().settled(position))
        .await??;
    Ok(())
}
