//! Closing: what was taken is finished, what comes later is refused, and everyone is woken.

use futures_util::future::join_all;
use hence_core::engine::TryCommitError;
use hence_core::{Code, Commit, DeadLetterQuery, Error, Read, Result, Start};

use crate::case::{Need, Violation};
use crate::world::{
    Checked, TICK, World, ensure, event, events, from, ids, poll_times, positions, spec,
};

cases! {
    g16_close_refuses_what_comes_later ["G16", "G13"] Need::Nothing;
    g16_close_may_be_called_again ["G16"] Need::Nothing;
    g16_close_wakes_whoever_waits ["G16"] Need::Nothing;
    g16_close_finishes_what_was_taken ["G16", "G13"] Need::Survival;
    g16_close_under_load_loses_nothing ["G16", "G1"] Need::Survival;
    g16_close_releases_what_was_delivered ["G16", "G2"] Need::Survival;
}

/// The answer is that the engine is closed.
fn is_closed<T>(what: &str, answer: Result<T>) -> Checked {
    let code = answer.err().map(|error: Error| error.code());
    ensure!(
        code == Some(Code::CLOSED),
        "{what} after the end is answered with {code:?}"
    );
    Ok(())
}

async fn g16_close_refuses_what_comes_later(world: World<'_>) -> Checked {
    let position = world.publish_one(event("before")).await?;
    world.within("close", world.engine().close()).await?;
    let (engine, level) = (world.engine(), world.level());
    let late = || Commit::publish(vec![event("late")], level);
    is_closed(
        "commit",
        world.within("commit", engine.commit(late())).await?,
    )?;
    match engine.try_commit(late()) {
        Ok(committing) => is_closed("try_commit", world.within("commit", committing).await?)?,
        Err(TryCommitError::Refused(error)) => is_closed::<()>("try_commit", Err(error))?,
        Err(TryCommitError::Full(_)) => {
            return Err(Violation::new(
                "try_commit says full after the end, which never ends",
            ));
        }
    }
    let spec = spec("late", &[TICK], Start::Earliest);
    is_closed(
        "subscribe",
        world.within("subscribe", engine.subscribe(spec)).await?,
    )?;
    is_closed(
        "read",
        world
            .within("read", engine.read(from(Start::Earliest)))
            .await?,
    )?;
    is_closed(
        "find",
        world.within("find", engine.find(None, "before")).await?,
    )?;
    is_closed(
        "dead_letters",
        world
            .within(
                "dead letters",
                engine.dead_letters(&DeadLetterQuery::default()),
            )
            .await?,
    )?;
    // It may answer from memory; it must not hang.
    drop(world.within("get", engine.get(position)).await?);
    Ok(())
}

async fn g16_close_may_be_called_again(world: World<'_>) -> Checked {
    world.publish_one(event("e")).await?;
    let (engine, other) = (world.engine(), world.shared());
    let both = async { tokio::join!(engine.close(), other.close()) };
    world.within("close twice at a time", both).await?;
    world.within("close again", engine.close()).await?;
    let commit = Commit::publish(vec![event("late")], world.level());
    is_closed(
        "commit",
        world.within("commit", engine.commit(commit)).await?,
    )
}

async fn g16_close_wakes_whoever_waits(world: World<'_>) -> Checked {
    let mut attached = world.attach("waits", &[TICK]).await?;
    let position = world.publish_one(event("e")).await?;
    world.pull_one(&mut attached).await?;
    let follow = Read {
        from: Start::Latest,
        follow: true,
        ..Read::default()
    };
    let mut reader = world.within("read", world.engine().read(follow)).await??;
    let engine = world.shared();
    let mut settled = Box::pin(async move { engine.settled(position).await });
    let mut next = attached.deliveries.next(5);
    let mut read = reader.next(5);
    ensure!(
        poll_times(2, &mut settled).await.is_none(),
        "settled, and it is not"
    );
    ensure!(
        poll_times(2, &mut next).await.is_none(),
        "a delivery of nothing"
    );
    ensure!(
        poll_times(2, &mut read).await.is_none(),
        "an entry of nothing"
    );
    world.within("close", world.engine().close()).await?;
    let deliveries = world.within("a waiting subscription", next).await??;
    ensure!(
        deliveries.is_empty(),
        "the end brings {:?}",
        ids(&deliveries)
    );
    let entries = world.within("a reader that follows", read).await??;
    ensure!(
        entries.is_empty(),
        "the end brings {} entries",
        entries.len()
    );
    is_closed("settled", world.within("settled", settled).await?)
}

async fn g16_close_finishes_what_was_taken(world: World<'_>) -> Checked {
    let level = world.level();
    let commit = |message| world.engine().commit(Commit::publish(vec![message], level));
    let mut commits: Vec<_> = events("taken", 30).into_iter().map(commit).collect();
    for commit in &mut commits {
        // A commit that answers at once cannot be polled again.
        let answer = poll_times(1, &mut *commit).await;
        *commit = match answer {
            Some(answer) => Box::pin(async move { answer }),
            None => std::mem::replace(commit, Box::pin(std::future::pending())),
        };
    }
    let both = async { tokio::join!(world.engine().close(), join_all(commits)) };
    let ((), answers) = world.within("close, and what was taken", both).await?;
    let mut wanted = Vec::new();
    for answer in answers {
        match answer {
            Ok(receipts) => {
                wanted.extend(receipts.into_iter().map(|receipt| receipt.id().to_owned()));
            }
            Err(error) => is_closed::<()>("a commit that was taken", Err(error))?,
        }
    }
    let world = world.reopened().await?;
    for id in &wanted {
        ensure!(world.knows(id).await?, "'{id}' has a receipt and is lost");
    }
    Ok(())
}

async fn g16_close_under_load_loses_nothing(world: World<'_>) -> Checked {
    let mut publishers = Vec::new();
    for publisher in 0..4 {
        let (engine, level) = (world.shared(), world.level());
        publishers.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let id = format!("{publisher}-{number}");
                match engine
                    .commit(Commit::publish(vec![event(&id)], level))
                    .await
                {
                    Ok(_) => acknowledged.push(id),
                    Err(error) => return (acknowledged, error),
                }
            }
            (acknowledged, Code::INTERNAL.error("no end"))
        }));
    }
    let mut attached = world.attach("load", &[TICK]).await?;
    world.pull(&mut attached, 50).await?;
    world
        .within("close under load", world.engine().close())
        .await?;
    let mut wanted = Vec::new();
    for ended in world.within("the publishers", join_all(publishers)).await? {
        let (acknowledged, error) =
            ended.map_err(|error| Violation::new(format!("it ended with {error}")))?;
        is_closed::<()>("commit", Err(error))?;
        wanted.extend(acknowledged);
    }
    drop(attached);
    let world = world.reopened().await?;
    let stored = world.read_all().await?;
    let stored: std::collections::BTreeSet<_> =
        crate::world::entry_ids(&stored).into_iter().collect();
    let lost: Vec<_> = wanted
        .iter()
        .filter(|id| !stored.contains(id.as_str()))
        .collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    Ok(())
}

async fn g16_close_releases_what_was_delivered(world: World<'_>) -> Checked {
    let open = world.publish(events("e", 5)).await?;
    let mut attached = world.attach("load", &[TICK]).await?;
    let held = world.pull(&mut attached, 3).await?;
    world.within("close", world.engine().close()).await?;
    let commit = world.step(vec![], events("late", 1));
    is_closed(
        "commit",
        world
            .within("commit", world.engine().commit(commit))
            .await?,
    )?;
    drop((attached, held));
    let world = world.reopened().await?;
    let mut attached = world.attach("load", &[TICK]).await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        positions(&found) == open,
        "after the end it gets {:?}",
        ids(&found)
    );
    Ok(())
}
