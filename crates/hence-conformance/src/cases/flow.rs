//! Flow: a subscription that stands still costs a bounded amount, and holds up nobody else.

use bytes::Bytes;
use hence_core::engine::TryCommitError;
use hence_core::{Commit, Message};

use crate::case::{Need, Violation};
use crate::harness::Backlog;
use crate::world::{Attached, Checked, TICK, TOCK, World, ensure, event, events, holding, typed};

/// How many times its limit the backlog is offered.
const OVERLOAD: usize = 10;
/// What is published against an engine whose backlog is on storage.
const STORED_BYTES: usize = 8 << 20;

cases! {
    g12_a_slow_subscription_blocks_no_other ["G12"] Need::Nothing;
    g12_many_slow_subscriptions_block_no_other ["G12"] Need::Nothing;
    g12_overload_waits_and_loses_nothing ["G12", "G2"] Need::Nothing;
    g12_try_commit_says_when_it_is_full ["G12"] Need::Nothing;
    g12_commits_that_wait_keep_their_order ["G12"] Need::Nothing;
}

async fn g12_a_slow_subscription_blocks_no_other(world: World<'_>) -> Checked {
    let mut slow = world.attach("slow", &[TICK]).await?;
    let mut fast = world.attach("fast", &[TICK]).await?;
    world.publish_one(event("first")).await?;
    // It takes one, and does nothing more for the whole case.
    world.pull_one(&mut slow).await?;
    let first = world.pull_one(&mut fast).await?;
    world.done("fast", &[first]).await?;
    for round in 0..40 {
        world.publish(events(&format!("{round}-"), 50)).await?;
        let found = world.pull(&mut fast, 50).await?;
        world.done("fast", &found).await?;
    }
    let rest = world.pull(&mut slow, 2_000).await?;
    ensure!(
        rest.len() == 2_000,
        "the slow one lost {}",
        2_000 - rest.len()
    );
    Ok(())
}

async fn g12_many_slow_subscriptions_block_no_other(world: World<'_>) -> Checked {
    let mut slow = Vec::new();
    for number in 0..20 {
        slow.push(world.attach(&format!("slow-{number}"), &[TICK]).await?);
    }
    let mut fast = world.attach("fast", &[TICK, TOCK]).await?;
    for round in 0..20 {
        let mut batch = events(&format!("{round}-"), 20);
        batch.push(typed(&format!("tock-{round}"), TOCK));
        world.publish(batch).await?;
        let found = world.pull(&mut fast, 21).await?;
        world.done("fast", &found).await?;
    }
    let in_flight: u64 = world
        .engine()
        .subscriptions()
        .iter()
        .map(|report| report.in_flight)
        .sum();
    ensure!(
        in_flight == 0,
        "nobody holds anything, and {in_flight} are in flight"
    );
    for attached in &mut slow {
        world.pull(attached, 400).await?;
    }
    Ok(())
}

/// An event of about a size.
fn sized(number: usize, bytes: usize) -> Message {
    holding(
        &event(&format!("load-{number}")),
        Some(Bytes::from(vec![b'x'; bytes])),
    )
}

/// How large the events are, how many fit, and how many are offered.
fn load(world: &World<'_>) -> (usize, usize, usize) {
    let (limit, bounded) = match world.harness().backlog() {
        Backlog::Memory { bytes } => (bytes, true),
        Backlog::Storage => (STORED_BYTES, false),
    };
    let most = world.engine().capability().event_bytes_max / 2;
    let size = (limit / 64).clamp(1, most.max(1));
    let fit = limit / size;
    (size, fit, if bounded { fit * OVERLOAD } else { fit })
}

/// Takes and settles whatever there is for the subscription; gives how many.
async fn drain(world: &World<'_>, from: &mut Attached, max: usize) -> Checked<usize> {
    let found = world
        .within("what was published", from.deliveries.next(max))
        .await??;
    ensure!(
        !found.is_empty(),
        "an empty list of deliveries from an open engine"
    );
    world.done(&from.name, &found).await?;
    Ok(found.len())
}

async fn g12_overload_waits_and_loses_nothing(world: World<'_>) -> Checked {
    let (size, fit, offered) = load(&world);
    let is_bounded = world.harness().backlog() != Backlog::Storage;
    let mut stalled = world.attach("stalled", &[TICK]).await?;
    let level = world.level();
    let (mut published, mut taken, mut waited) = (0, 0, false);
    for number in 0..offered {
        let commit = Commit::publish(vec![sized(number, size)], level);
        let mut commit = std::pin::pin!(world.engine().commit(commit));
        let answer = loop {
            // With room the answer comes by itself; without, something must be settled.
            let is_full = is_bounded && number - taken >= fit / 2;
            let polled = crate::world::poll_times(if is_full { 4 } else { 0 }, commit.as_mut());
            match polled.await {
                Some(answer) => break answer,
                None if !is_full => break world.within("commit", commit.as_mut()).await?,
                None => {
                    waited = true;
                    taken += drain(&world, &mut stalled, fit).await?;
                }
            }
        };
        answer?;
        published += 1;
        let open = number + 1 - taken;
        // Half as much again, for what an event costs beside its data.
        ensure!(
            !is_bounded || open <= fit + fit / 2,
            "{open} of {fit} events are in memory"
        );
    }
    ensure!(
        waited || !is_bounded,
        "{OVERLOAD} times the limit, and nobody waited"
    );
    while taken < published {
        taken += drain(&world, &mut stalled, fit).await?;
    }
    world.pull_nothing(&mut stalled, "all are settled").await
}

async fn g12_try_commit_says_when_it_is_full(world: World<'_>) -> Checked {
    let (size, fit, _) = load(&world);
    let mut stalled = world.attach("stalled", &[TICK]).await?;
    let is_bounded = world.harness().backlog() != Backlog::Storage;
    let mut taken = 0;
    let back = loop {
        if !is_bounded && taken == 2 * fit {
            // The other direction: where the backlog is on storage, it makes nobody wait.
            return Ok(());
        }
        ensure!(taken <= 2 * fit, "twice the limit is taken without a wait");
        let commit = Commit::publish(vec![sized(taken, size)], world.level());
        match world.engine().try_commit(commit) {
            Ok(committing) => drop(world.within("what was taken", committing).await??),
            Err(TryCommitError::Full(commit)) => break commit,
            Err(TryCommitError::Refused(error)) => return Err(error.into()),
        }
        taken += 1;
    };
    ensure!(
        is_bounded,
        "full after {taken} events, with the backlog on storage"
    );
    let same = back.publish.first() == Some(&sized(taken, size)) && back.publish.len() == 1;
    ensure!(same, "the commit that was given back has changed");
    ensure!(
        !world.knows(&format!("load-{taken}")).await?,
        "it was given back and stored"
    );
    let mut settled = 0;
    while settled < taken {
        settled += drain(&world, &mut stalled, fit).await?;
    }
    let committing = world.engine().try_commit(*back);
    let committing = committing.map_err(|_| Violation::new("full, with everything settled"))?;
    world.within("what was given back", committing).await??;
    ensure!(
        drain(&world, &mut stalled, 1).await? == 1,
        "it is not delivered"
    );
    Ok(())
}

async fn g12_commits_that_wait_keep_their_order(world: World<'_>) -> Checked {
    let is_bounded = world.harness().backlog() != Backlog::Storage;
    let (size, fit, _) = load(&world);
    let mut stalled = world.attach("stalled", &[TICK]).await?;
    let level = world.level();
    let commit = |number| {
        world
            .engine()
            .commit(Commit::publish(vec![sized(number, size)], level))
    };
    let mut waiting = Vec::new();
    // Some find room, the rest waits; each is polled before the next is made.
    for number in 0..fit + 10 {
        let mut commit = commit(number);
        match crate::world::poll_times(2, &mut commit).await {
            Some(answer) => {
                // On storage a commit waits for the disk alone, and its answer may lie there unread.
                ensure!(
                    waiting.is_empty() || !is_bounded,
                    "a later commit overtakes one that waits"
                );
                answer?;
            }
            None => waiting.push(commit),
        }
    }
    let answers = futures_util::future::join_all(waiting);
    let draining = async {
        let mut ids = Vec::new();
        while ids.len() < fit + 10 {
            let found = world
                .within("what waited", stalled.deliveries.next(fit))
                .await??;
            world.done("stalled", &found).await?;
            ids.extend(crate::world::ids(&found).into_iter().map(str::to_owned));
        }
        Ok::<_, Violation>(ids)
    };
    let (answers, ids) = tokio::join!(answers, draining);
    for answer in answers {
        answer?;
    }
    let wanted: Vec<_> = (0..fit + 10)
        .map(|number| format!("load-{number}"))
        .collect();
    let ids = ids?;
    ensure!(ids == wanted, "commits that waited are applied as {ids:?}");
    Ok(())
}
