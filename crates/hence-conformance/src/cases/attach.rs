//! Attaching: where a subscription begins, who may hold it, and who gets it next.

use hence_core::{Code, Start, Timestamp};

use crate::case::{Need, Violation};
use crate::world::{Checked, TICK, World, ensure, event, events, ids, poll_times, positions, spec};

cases! {
    start_latest_begins_with_what_comes [] Need::Nothing;
    start_earliest_begins_with_the_oldest [] Need::Nothing;
    start_position_begins_there [] Need::Nothing;
    start_time_begins_then [] Need::Nothing;
    a_known_subscription_goes_on_where_it_was ["G2"] Need::Nothing;
    a_known_subscription_is_known_after_a_kill ["G2"] Need::Survival;
    g2_latest_misses_nothing_while_detached ["G2"] Need::Nothing;
    g2_latest_misses_nothing_over_a_kill ["G2"] Need::Survival;
    g11_a_second_attach_is_refused ["G11"] Need::Nothing;
    a_dropped_attach_leaves_nothing_behind [] Need::Nothing;
    g2_another_task_can_take_over ["G2", "G11"] Need::Nothing;
}

async fn start_latest_begins_with_what_comes(world: World<'_>) -> Checked {
    world.publish(events("old", 3)).await?;
    let mut attached = world.attach_from("new", &[TICK], Start::Latest).await?;
    world.publish(events("new", 2)).await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        ids(&found) == ["new0", "new1"],
        "delivered: {:?}",
        ids(&found)
    );
    Ok(())
}

async fn start_earliest_begins_with_the_oldest(world: World<'_>) -> Checked {
    let wanted = world.publish(events("old", 3)).await?;
    let mut attached = world.attach_from("new", &[TICK], Start::Earliest).await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(positions(&found) == wanted, "delivered: {:?}", ids(&found));
    Ok(())
}

async fn start_position_begins_there(world: World<'_>) -> Checked {
    let wanted = world.publish(events("old", 5)).await?;
    let third = wanted.get(2).copied().unwrap_or_default();
    let mut attached = world
        .attach_from("new", &[TICK], Start::Position(third))
        .await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        ids(&found) == ["old2", "old3", "old4"],
        "from {third}: {:?}",
        ids(&found)
    );
    Ok(())
}

async fn start_time_begins_then(world: World<'_>) -> Checked {
    for message in events("old", 5) {
        world.publish_one(message).await?;
    }
    let stored = world.read_all().await?;
    let moment = stored.get(2).map(|entry| entry.appended);
    let moment = moment.ok_or_else(|| Violation::new("nothing is stored"))?;
    let wanted: Vec<_> = stored
        .iter()
        .filter(|entry| entry.appended >= moment)
        .collect();
    let wanted: Vec<_> = wanted.iter().map(|entry| entry.position).collect();
    let mut attached = world
        .attach_from("new", &[TICK], Start::Time(moment))
        .await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        positions(&found) == wanted,
        "from {moment}: {:?}",
        ids(&found)
    );
    let long_ago = Timestamp::from_micros(0);
    let mut attached = world
        .attach_from("all", &[TICK], Start::Time(long_ago))
        .await?;
    let found = world.pull(&mut attached, 5).await?;
    ensure!(found.len() == 5, "from 1970: {:?}", ids(&found));
    Ok(())
}

async fn a_known_subscription_goes_on_where_it_was(world: World<'_>) -> Checked {
    let open = world.publish(events("e", 4)).await?;
    drop(world.attach("known", &[TICK]).await?);
    for start in [Start::Latest, Start::Position(hence_core::Position(1_000))] {
        let mut attached = world.attach_from("known", &[TICK], start).await?;
        let found = world.pull_all(&mut attached).await?;
        ensure!(
            positions(&found) == open,
            "{start:?} moved it: {:?}",
            ids(&found)
        );
    }
    Ok(())
}

async fn a_known_subscription_is_known_after_a_kill(world: World<'_>) -> Checked {
    let open = world.publish(events("e", 4)).await?;
    drop(world.attach("known", &[TICK]).await?);
    let world = world.killed().await?;
    let known = world.engine().subscriptions();
    let known = known
        .iter()
        .any(|report| report.name == "known" && !report.attached);
    ensure!(
        known,
        "the subscription is forgotten, or attached to nobody"
    );
    let mut attached = world.attach_from("known", &[TICK], Start::Latest).await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(positions(&found) == open, "it moved: {:?}", ids(&found));
    Ok(())
}

async fn g2_latest_misses_nothing_while_detached(world: World<'_>) -> Checked {
    drop(world.attach_from("away", &[TICK], Start::Latest).await?);
    let open = world.publish(events("e", 4)).await?;
    let mut attached = world.attach_from("away", &[TICK], Start::Latest).await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        positions(&found) == open,
        "while it was away: {:?}",
        ids(&found)
    );
    Ok(())
}

async fn g2_latest_misses_nothing_over_a_kill(world: World<'_>) -> Checked {
    drop(world.attach_from("away", &[TICK], Start::Latest).await?);
    let world = world.killed().await?;
    let open = world.publish(events("e", 4)).await?;
    let world = world.killed().await?;
    let mut attached = world.attach_from("away", &[TICK], Start::Latest).await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        positions(&found) == open,
        "while it was away: {:?}",
        ids(&found)
    );
    Ok(())
}

async fn g11_a_second_attach_is_refused(world: World<'_>) -> Checked {
    let mut first = world.attach("one", &[TICK]).await?;
    for _ in 0..2 {
        let spec = spec("one", &[TICK], Start::Earliest);
        let second = world
            .within("subscribe", world.engine().subscribe(spec))
            .await?;
        let code = second.err().map(|error| error.code());
        ensure!(
            code == Some(Code::CLOSED),
            "a second attach is answered with {code:?}"
        );
    }
    world.publish_one(event("e")).await?;
    let delivery = world.pull_one(&mut first).await?;
    world.done("one", &[delivery]).await?;
    let _other = world.attach("two", &[TICK]).await?;
    drop(first);
    world.attach("one", &[TICK]).await.map(drop)
}

async fn a_dropped_attach_leaves_nothing_behind(world: World<'_>) -> Checked {
    world.publish_one(event("e")).await?;
    for times in 0..4 {
        let spec = spec("dropped", &[TICK], Start::Earliest);
        drop(poll_times(times, world.engine().subscribe(spec)).await);
    }
    // What was given up may still be on its way through a queue.
    let attached = world.within("an attach after dropped ones", async {
        loop {
            let spec = spec("dropped", &[TICK], Start::Earliest);
            match world.engine().subscribe(spec).await {
                Err(error) if error.code() == Code::CLOSED => tokio::task::yield_now().await,
                other => return other,
            }
        }
    });
    let name = "dropped".to_owned();
    let deliveries = attached.await??;
    let mut attached = crate::world::Attached { name, deliveries };
    world.pull_one(&mut attached).await.map(drop)
}

async fn g2_another_task_can_take_over(world: World<'_>) -> Checked {
    let open = world.publish(events("e", 4)).await?;
    let mut first = world.attach("moves", &[TICK]).await?;
    let held = world.pull(&mut first, 2).await?;
    let waiting = tokio::spawn(async move {
        let mut first = first;
        // It takes the rest, and ends with all of it unsettled.
        let more = first.deliveries.next(10).await;
        more.map(|more| more.len())
    });
    let taken = world.within("the first task", waiting).await?;
    let taken = taken.map_err(|error| Violation::new(format!("it ended with {error}")))??;
    ensure!(held.len() == 2 && taken > 0, "the first task got nothing");
    let mut second = world.attach("moves", &[TICK]).await?;
    let found = world.pull_all(&mut second).await?;
    ensure!(
        positions(&found) == open,
        "the second task got {:?}",
        ids(&found)
    );
    Ok(())
}
