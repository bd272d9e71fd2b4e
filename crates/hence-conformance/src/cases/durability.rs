//! Durability: each level survives what it names, and nothing shows before it is reached.

use futures_util::FutureExt;
use futures_util::future::join_all;
use hence_core::{Code, Commit, Durability, Outcome, Position, Read, Start};

use crate::case::{Need, Violation};
use crate::world::{Checked, TICK, World, ended, ensure, entry_ids, event, events};

/// Events of which a reader sees some before the engine is killed.
const RACE_EVENTS: usize = 64;

cases! {
    g13_accepted_is_reached_or_refused ["G13"] Need::Level(Durability::Accepted);
    g1_written_survives_a_kill ["G1", "G13"] Need::Level(Durability::Written);
    g1_synced_survives_a_kill ["G1", "G13"] Need::Level(Durability::Synced);
    g1_acknowledged_survives_kill_after_kill ["G1"] Need::Survival;
    g1_acknowledged_survives_a_clean_restart ["G1", "G16"] Need::Survival;
    g19_what_a_reader_saw_survives_a_kill ["G19"] Need::Survival;
    g19_what_was_delivered_survives_a_kill ["G19"] Need::Survival;
    g13_no_receipt_when_storage_fails ["G13"] Need::BrokenStorage;
    g13_no_settlement_when_storage_fails ["G13"] Need::BrokenStorage;
}

async fn g13_accepted_is_reached_or_refused(world: World<'_>) -> Checked {
    let receipts = world
        .commit(Commit::publish(events("a", 3), Durability::Accepted))
        .await?;
    for receipt in &receipts {
        world.position(receipt).await?;
    }
    let stored = world.read_all().await?;
    ensure!(
        entry_ids(&stored) == ["a0", "a1", "a2"],
        "stored: {:?}",
        entry_ids(&stored)
    );
    Ok(())
}

async fn g1_written_survives_a_kill(world: World<'_>) -> Checked {
    level_survives(world, Durability::Written).await
}

async fn g1_synced_survives_a_kill(world: World<'_>) -> Checked {
    level_survives(world, Durability::Synced).await
}

async fn level_survives(world: World<'_>, level: Durability) -> Checked {
    let mut wanted = Vec::new();
    for number in 0..20 {
        let id = format!("kept-{number}");
        let receipts = world
            .commit(Commit::publish(vec![event(&id)], level))
            .await?;
        let receipt = receipts
            .first()
            .ok_or_else(|| Violation::new("no receipt"))?;
        ensure!(
            receipt.durability >= level,
            "asked for '{level}', and the receipt says '{}'",
            receipt.durability
        );
        let position = receipt.position;
        let position = position.ok_or_else(|| Violation::new("a receipt without a position"))?;
        wanted.push((position, id));
    }
    let world = world.killed().await?;
    stands(&world, &wanted).await
}

/// Exactly these are stored at their positions, with their content.
async fn stands(world: &World<'_>, wanted: &[(Position, String)]) -> Checked {
    let stored = world.read_all().await?;
    let found: Vec<_> = stored.iter().map(|entry| entry.position).collect();
    for (position, id) in wanted {
        ensure!(
            found.contains(position),
            "'{id}' at {position} is lost; there are {found:?}"
        );
        let entry = world.within("get", world.engine().get(*position)).await??;
        ensure!(
            entry.message == event(id),
            "position {position} holds something else than '{id}'"
        );
    }
    Ok(())
}

async fn g1_acknowledged_survives_kill_after_kill(mut world: World<'_>) -> Checked {
    let mut wanted = Vec::new();
    for round in 0..4 {
        for message in events(&format!("r{round}-"), 5) {
            let id = message.attributes().id().to_owned();
            wanted.push((world.publish_one(message).await?, id));
        }
        world = world.killed().await?;
        stands(&world, &wanted).await?;
    }
    Ok(())
}

async fn g1_acknowledged_survives_a_clean_restart(world: World<'_>) -> Checked {
    let mut wanted = Vec::new();
    for message in events("clean-", 20) {
        let id = message.attributes().id().to_owned();
        wanted.push((world.publish_one(message).await?, id));
    }
    let world = world.reopened().await?;
    stands(&world, &wanted).await
}

/// Starts commits, polls them once, and gives them up as soon as `seen` is ready.
async fn race<T>(world: &World<'_>, seen: impl Future<Output = T>) -> Checked<T> {
    let level = world.level();
    let commit = |message| world.engine().commit(Commit::publish(vec![message], level));
    let mut commits = join_all(events("race-", RACE_EVENTS).into_iter().map(commit)).fuse();
    let seen = async {
        tokio::pin!(seen);
        loop {
            tokio::select! {
                biased;
                seen = &mut seen => return seen,
                _ = &mut commits => {}
            }
        }
    };
    world.within("the first of many events", seen).await
}

async fn g19_what_a_reader_saw_survives_a_kill(world: World<'_>) -> Checked {
    let follow = Read {
        from: Start::Earliest,
        follow: true,
        ..Read::default()
    };
    let mut reader = world.within("read", world.engine().read(follow)).await??;
    let seen = race(&world, reader.next(RACE_EVENTS)).await??;
    drop(reader);
    ensure!(!seen.is_empty(), "a reader that follows got nothing");
    let id = |entry: &hence_core::Entry| entry.message.attributes().id().to_owned();
    let seen: Vec<_> = seen
        .iter()
        .map(|entry| (entry.position, id(entry)))
        .collect();
    let world = world.killed().await?;
    stands(&world, &seen).await
}

async fn g19_what_was_delivered_survives_a_kill(world: World<'_>) -> Checked {
    let mut attached = world.attach("eager", &[TICK]).await?;
    let seen = race(&world, attached.deliveries.next(RACE_EVENTS)).await??;
    drop(attached);
    ensure!(
        !seen.is_empty(),
        "an empty list of deliveries from an open engine"
    );
    let id = |delivery: &hence_core::Delivery| delivery.message.attributes().id().to_owned();
    let seen: Vec<_> = seen
        .iter()
        .map(|delivery| (delivery.position, id(delivery)))
        .collect();
    let world = world.killed().await?;
    stands(&world, &seen).await
}

async fn g13_no_receipt_when_storage_fails(world: World<'_>) -> Checked {
    world.publish_one(event("before")).await?;
    ensure!(
        world.harness().fail_storage(world.instance()),
        "the storage could not be broken"
    );
    for id in ["lost-0", "lost-1"] {
        let commit = Commit::publish(vec![event(id)], world.level());
        let answer = world
            .within("commit", world.engine().commit(commit))
            .await?;
        let Err(error) = answer else {
            return Err(Violation::new(
                "a receipt for an event that storage refused",
            ));
        };
        let expected = [Code::STORAGE, Code::STORAGE_FULL].contains(&error.code());
        ensure!(expected, "storage failed, and the answer is '{error}'");
    }
    world
        .knows_none(&["lost-0", "lost-1"], "storage failed")
        .await?;
    let world = world.killed().await?;
    world
        .knows_none(&["lost-0", "lost-1"], "storage failed")
        .await?;
    ensure!(
        world.knows("before").await?,
        "what was acknowledged before is lost"
    );
    Ok(())
}

async fn g13_no_settlement_when_storage_fails(world: World<'_>) -> Checked {
    let mut attached = world.attach("unlucky", &[TICK]).await?;
    world.publish_one(event("work")).await?;
    let delivery = world.pull_one(&mut attached).await?;
    ensure!(
        world.harness().fail_storage(world.instance()),
        "the storage could not be broken"
    );
    let settle = vec![ended("unlucky", &delivery, Outcome::Done)];
    let commit = world.step(settle, vec![event("effect")]);
    let answer = world
        .within("commit", world.engine().commit(commit))
        .await?;
    ensure!(
        answer.is_err(),
        "a settlement that storage refused is acknowledged"
    );
    drop(attached);
    let world = world.killed().await?;
    world.knows_none(&["effect"], "storage failed").await?;
    let mut attached = world.attach("unlucky", &[TICK]).await?;
    let again = world.pull_one(&mut attached).await?;
    ensure!(
        again.position == delivery.position,
        "the delivery is not given out again"
    );
    Ok(())
}
