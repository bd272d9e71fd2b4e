//! Duplicates: the same source and id again, with the same content and with other.

use bytes::Bytes;
use hence_core::{Code, Commit, Position};

use crate::case::Need;
use crate::world::{Checked, TICK, TOCK, World, ensure, event, events, holding, typed, with};

cases! {
    g9_a_duplicate_gets_the_first_receipt ["G9"] Need::Nothing;
    g9_a_duplicate_is_known_after_a_kill ["G9"] Need::Survival;
    g9_a_duplicate_is_known_after_a_clean_restart ["G9"] Need::Survival;
    g9_a_duplicate_within_a_batch_is_stored_once ["G9"] Need::Nothing;
    g9_a_duplicate_beside_new_events_is_absorbed ["G9"] Need::Nothing;
    the_same_id_of_another_source_is_another_event [] Need::Nothing;
    the_same_id_with_other_content_is_refused ["G14"] Need::Nothing;
    the_same_id_with_other_content_is_refused_after_a_kill ["G14"] Need::Survival;
}

/// Publishes an event again, which stands at a position already.
async fn again(world: &World<'_>, id: &str, first: Position) -> Checked {
    let receipts = world
        .commit(Commit::publish(vec![event(id)], world.level()))
        .await?;
    for receipt in &receipts {
        let position = world.position(receipt).await?;
        ensure!(
            position == first,
            "'{id}' stands at {first}, and again at {position}"
        );
        let silent = receipt.position.is_some() && !receipt.duplicate;
        ensure!(
            !silent,
            "the receipt of the second '{id}' does not say that it is a duplicate"
        );
    }
    let found = world
        .within("find", world.engine().find(None, id))
        .await??;
    ensure!(found == [first], "'{id}' stands at {found:?}");
    Ok(())
}

async fn g9_a_duplicate_gets_the_first_receipt(world: World<'_>) -> Checked {
    let first = world.publish_one(event("twice")).await?;
    world.publish(events("between-", 10)).await?;
    again(&world, "twice", first).await?;
    again(&world, "twice", first).await?;
    let mut attached = world.attach("once", &[TICK]).await?;
    let deliveries = world.pull_all(&mut attached).await?;
    ensure!(
        deliveries.len() == 11,
        "11 events, {} deliveries",
        deliveries.len()
    );
    Ok(())
}

async fn g9_a_duplicate_is_known_after_a_kill(world: World<'_>) -> Checked {
    let first = world.publish_one(event("twice")).await?;
    let world = world.killed().await?;
    again(&world, "twice", first).await
}

async fn g9_a_duplicate_is_known_after_a_clean_restart(world: World<'_>) -> Checked {
    let first = world.publish_one(event("twice")).await?;
    let world = world.reopened().await?;
    again(&world, "twice", first).await
}

async fn g9_a_duplicate_within_a_batch_is_stored_once(world: World<'_>) -> Checked {
    let batch = vec![event("a"), event("b"), event("a"), event("c"), event("b")];
    let found = world.publish(batch).await?;
    let [a, b, second_a, c, second_b] = found.as_slice() else {
        return Err(crate::Violation::new("not five receipts"));
    };
    ensure!(
        (a, b) == (second_a, second_b),
        "the same event at two positions: {found:?}"
    );
    ensure!(a < b && b < c, "positions do not rise: {found:?}");
    let stored = world.read_all().await?;
    ensure!(stored.len() == 3, "three events, {} stored", stored.len());
    Ok(())
}

async fn g9_a_duplicate_beside_new_events_is_absorbed(world: World<'_>) -> Checked {
    let first = world.publish_one(event("known")).await?;
    let found = world
        .publish(vec![event("new-0"), event("known"), event("new-1")])
        .await?;
    ensure!(
        found.get(1) == Some(&first),
        "the known event moved: {found:?}"
    );
    let stored = world.read_all().await?;
    let found = crate::world::entry_ids(&stored);
    ensure!(found == ["known", "new-0", "new-1"], "stored: {found:?}");
    Ok(())
}

async fn the_same_id_of_another_source_is_another_event(world: World<'_>) -> Checked {
    let first = world.publish_one(event("shared")).await?;
    let second = world
        .publish_one(with(event("shared"), "source", "/another"))
        .await?;
    ensure!(second > first, "two sources, one event");
    let all = world
        .within("find", world.engine().find(None, "shared"))
        .await??;
    ensure!(all == [first, second], "of any source it finds {all:?}");
    let one = world
        .within("find", world.engine().find(Some("/another"), "shared"))
        .await??;
    ensure!(one == [second], "of the second source it finds {one:?}");
    Ok(())
}

/// Refuses what bears a known id and says something else.
async fn others_are_refused(world: &World<'_>) -> Checked {
    let others = [
        holding(&event("taken"), Some(Bytes::from_static(b"other"))),
        holding(&event("taken"), None),
        typed("taken", TOCK),
        with(event("taken"), "subject", "another"),
    ];
    for other in others {
        let batch = vec![event("ghost-0"), other, event("ghost-1")];
        world
            .refused(Commit::publish(batch, world.level()), Code::DUPLICATE)
            .await?;
    }
    world
        .knows_none(&["ghost-0", "ghost-1"], "beside other content")
        .await?;
    let stored = world.read_all().await?;
    let kept = stored.iter().all(|entry| entry.message == event("taken"));
    ensure!(
        kept && stored.len() == 1,
        "the first event is not as it was"
    );
    Ok(())
}

async fn the_same_id_with_other_content_is_refused(world: World<'_>) -> Checked {
    world.publish_one(event("taken")).await?;
    others_are_refused(&world).await
}

async fn the_same_id_with_other_content_is_refused_after_a_kill(world: World<'_>) -> Checked {
    world.publish_one(event("taken")).await?;
    others_are_refused(&world.killed().await?).await
}
