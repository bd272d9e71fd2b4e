//! Publishing: receipts, positions, batches, limits.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::join_all;
use hence_core::engine::TryCommitError;
use hence_core::{Code, Commit, Position, Start};
use tokio::task::JoinSet;

use crate::case::{Need, Violation};
use crate::world::{
    Checked, SOURCE, TOCK, World, ensure, entry_ids, event, events, from, holding, rise, typed,
};

/// Batches larger than this are not tried; an engine may declare a limit that no memory holds.
const BATCH_EVENTS_TRIED_MAX: usize = 20_000;
/// Events larger than this are not tried.
const EVENT_BYTES_TRIED_MAX: usize = 64 << 20;
/// Commits that are handed in without waiting.
const BURST_EVENTS: usize = 5_000;

cases! {
    g13_receipt_names_what_is_stored ["G13"] Need::Nothing;
    g13_receipts_come_in_the_order_of_the_batch ["G13", "G14"] Need::Nothing;
    positions_rise_and_are_never_reused [] Need::Nothing;
    positions_rise_over_kills [] Need::Survival;
    positions_rise_over_clean_restarts [] Need::Survival;
    commits_apply_in_the_order_of_their_first_poll [] Need::Nothing;
    g14_a_batch_with_one_bad_event_stores_none ["G14"] Need::Nothing;
    g14_a_batch_over_the_limit_is_refused_whole ["G14"] Need::Nothing;
    g13_an_event_over_the_limit_is_refused ["G13"] Need::Nothing;
    g17_an_event_that_nobody_wants_is_kept ["G17"] Need::Nothing;
    g13_try_commit_takes_or_gives_back ["G13"] Need::Nothing;
    g3_each_of_four_publishers_keeps_its_order ["G3"] Need::Nothing;
    many_keys_are_as_good_as_few ["G2"] Need::Nothing;
}

async fn g13_receipt_names_what_is_stored(world: World<'_>) -> Checked {
    for level in world.engine().capability().durability.clone() {
        let id = format!("at-{level}");
        let receipts = world
            .commit(Commit::publish(vec![event(&id)], level))
            .await?;
        let receipt = receipts.into_iter().next();
        let receipt = receipt.ok_or_else(|| Violation::new("no receipt"))?;
        ensure!(
            receipt.id() == id,
            "a receipt for '{}' in place of '{id}'",
            receipt.id()
        );
        ensure!(
            receipt.source() == SOURCE,
            "a receipt for the source '{}'",
            receipt.source()
        );
        ensure!(!receipt.duplicate, "a new event is called a duplicate");
        ensure!(
            receipt.durability >= level,
            "asked for '{level}', lowered to '{}'",
            receipt.durability
        );
        let position = world.position(&receipt).await?;
        ensure!(
            position >= Position(1),
            "position {position}; the first is 1"
        );
        let entry = world.within("get", world.engine().get(position)).await??;
        ensure!(
            entry.position == position,
            "get({position}) gives {}",
            entry.position
        );
        ensure!(
            entry.message == event(&id),
            "get({position}) gives another message"
        );
    }
    Ok(())
}

async fn g13_receipts_come_in_the_order_of_the_batch(world: World<'_>) -> Checked {
    let batch = events("batch-", 50);
    let receipts = world
        .commit(Commit::publish(batch.clone(), world.level()))
        .await?;
    for (receipt, message) in receipts.iter().zip(&batch) {
        let (found, wanted) = (receipt.id(), message.attributes().id());
        ensure!(found == wanted, "the receipt of '{wanted}' names '{found}'");
    }
    let stored = world.read_all().await?;
    let wanted: Vec<_> = batch
        .iter()
        .map(|message| message.attributes().id())
        .collect();
    ensure!(
        entry_ids(&stored) == wanted,
        "stored as {:?}",
        entry_ids(&stored)
    );
    Ok(())
}

/// Publishes singly and in batches; gives the positions in the order of publishing.
async fn publish_some(world: &World<'_>, prefix: &str) -> Checked<Vec<Position>> {
    let mut found = Vec::new();
    for round in 0..5 {
        found.push(
            world
                .publish_one(event(&format!("{prefix}-single-{round}")))
                .await?,
        );
        found.extend(
            world
                .publish(events(&format!("{prefix}-{round}-"), 7))
                .await?,
        );
    }
    Ok(found)
}

async fn positions_rise_and_are_never_reused(world: World<'_>) -> Checked {
    let found = publish_some(&world, "a").await?;
    ensure!(rise(&found), "positions do not rise: {found:?}");
    Ok(())
}

async fn positions_rise_over_kills(world: World<'_>) -> Checked {
    let mut found = publish_some(&world, "a").await?;
    let world = world.killed().await?;
    found.extend(publish_some(&world, "b").await?);
    let world = world.killed().await?.killed().await?;
    found.extend(publish_some(&world, "c").await?);
    ensure!(rise(&found), "positions do not rise over kills: {found:?}");
    ids_stand(&world, &found).await
}

async fn positions_rise_over_clean_restarts(world: World<'_>) -> Checked {
    let mut found = publish_some(&world, "a").await?;
    let world = world.reopened().await?;
    found.extend(publish_some(&world, "b").await?);
    ensure!(
        rise(&found),
        "positions do not rise over a restart: {found:?}"
    );
    ids_stand(&world, &found).await
}

/// What is read stands exactly at these positions.
async fn ids_stand(world: &World<'_>, wanted: &[Position]) -> Checked {
    let entries = world.read_all().await?;
    let found: Vec<_> = entries.iter().map(|entry| entry.position).collect();
    ensure!(
        found == wanted,
        "acknowledged at {wanted:?}, read at {found:?}"
    );
    Ok(())
}

async fn commits_apply_in_the_order_of_their_first_poll(world: World<'_>) -> Checked {
    let level = world.level();
    let commit = |message| world.engine().commit(Commit::publish(vec![message], level));
    // `join_all` polls its futures in their order.
    let answers = join_all(events("ordered-", 100).into_iter().map(commit));
    let answers = world.within("100 commits side by side", answers).await?;
    for answer in answers {
        answer?;
    }
    let stored = world.read_all().await?;
    let wanted = events("ordered-", 100);
    let wanted: Vec<_> = wanted
        .iter()
        .map(|message| message.attributes().id())
        .collect();
    ensure!(
        entry_ids(&stored) == wanted,
        "applied in the order {:?}",
        entry_ids(&stored)
    );
    Ok(())
}

async fn g14_a_batch_with_one_bad_event_stores_none(world: World<'_>) -> Checked {
    world.publish_one(event("taken")).await?;
    let mut batch = events("half-", 5);
    batch.insert(
        3,
        holding(&event("taken"), Some(Bytes::from_static(b"other"))),
    );
    let commit = Commit::publish(batch, world.level());
    world.refused(commit, Code::DUPLICATE).await?;
    let ids = ["half-0", "half-1", "half-2", "half-3", "half-4"];
    world.knows_none(&ids, "a refused batch").await?;
    // Nothing of it may hinder the same events later.
    world.publish(events("half-", 5)).await.map(drop)
}

async fn g14_a_batch_over_the_limit_is_refused_whole(world: World<'_>) -> Checked {
    let limit = world.engine().capability().batch_events_max;
    ensure!(limit > 0, "an engine that takes batches of no event");
    if limit > BATCH_EVENTS_TRIED_MAX {
        return world
            .publish(events("large-", BATCH_EVENTS_TRIED_MAX))
            .await
            .map(drop);
    }
    let commit = Commit::publish(events("over-", limit + 1), world.level());
    world.refused(commit, Code::TOO_LARGE).await?;
    world
        .knows_none(&["over-0"], "a batch over the limit")
        .await?;
    let found = world.publish(events("full-", limit)).await?;
    ensure!(rise(&found), "the positions of a full batch do not rise");
    Ok(())
}

async fn g13_an_event_over_the_limit_is_refused(world: World<'_>) -> Checked {
    let limit = world.engine().capability().event_bytes_max;
    let sized = |id, bytes| holding(&event(id), Some(Bytes::from(vec![b'x'; bytes])));
    let half = (limit / 2).min(EVENT_BYTES_TRIED_MAX);
    world.publish_one(sized("half", half)).await?;
    if limit < EVENT_BYTES_TRIED_MAX {
        let batch = vec![event("before"), sized("over", limit + 1), event("behind")];
        world
            .refused(Commit::publish(batch, world.level()), Code::TOO_LARGE)
            .await?;
        world
            .knows_none(&["before", "over", "behind"], "too large")
            .await?;
    }
    let found = world.read_all().await?;
    let size = found
        .first()
        .and_then(|entry| entry.message.data())
        .map_or(0, Bytes::len);
    ensure!(
        size == half,
        "{half} bytes were published, {size} came back"
    );
    Ok(())
}

async fn g17_an_event_that_nobody_wants_is_kept(world: World<'_>) -> Checked {
    let mut ticks = world.attach("ticks", &["conformance.ticked"]).await?;
    let position = world.publish_one(typed("unwanted", TOCK)).await?;
    world
        .pull_nothing(&mut ticks, "an event of another type")
        .await?;
    let entry = world.within("get", world.engine().get(position)).await??;
    ensure!(
        entry.message == typed("unwanted", TOCK),
        "the unwanted event has changed"
    );
    world
        .within("settled", world.engine().settled(position))
        .await??;
    let mut late = world.attach("late", &[TOCK]).await?;
    let delivery = world.pull_one(&mut late).await?;
    ensure!(
        delivery.position == position,
        "whoever comes later does not get it"
    );
    Ok(())
}

async fn g13_try_commit_takes_or_gives_back(world: World<'_>) -> Checked {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for message in events("burst-", BURST_EVENTS) {
        let id = message.attributes().id().to_owned();
        let commit = Commit::publish(vec![message.clone()], world.level());
        match world.engine().try_commit(commit) {
            Ok(committing) => taken.push((id, committing)),
            Err(TryCommitError::Full(commit)) => {
                let whole = commit.publish.first() == Some(&message) && commit.publish.len() == 1;
                ensure!(whole, "'{id}' was given back changed");
                refused.push(id);
            }
            Err(TryCommitError::Refused(error)) => return Err(error.into()),
        }
    }
    ensure!(!taken.is_empty(), "try_commit took nothing at all");
    let mut wanted = Vec::new();
    for (id, committing) in taken {
        let receipts = world.within("what try_commit took", committing).await??;
        let named = receipts.first().is_some_and(|receipt| receipt.id() == id);
        ensure!(
            named && receipts.len() == 1,
            "the receipt of '{id}' is of another"
        );
        for receipt in &receipts {
            world.position(receipt).await?;
        }
        wanted.push(id);
    }
    let stored = world.read_all().await?;
    ensure!(
        entry_ids(&stored) == wanted,
        "what was taken is not what is stored, in that order"
    );
    let stored: BTreeSet<_> = entry_ids(&stored).into_iter().collect();
    let both = refused.iter().find(|id| stored.contains(id.as_str()));
    ensure!(both.is_none(), "{both:?} was given back and stored");
    Ok(())
}

async fn g3_each_of_four_publishers_keeps_its_order(world: World<'_>) -> Checked {
    const EACH: usize = 200;
    let mut tasks = JoinSet::new();
    for publisher in 0..4 {
        let (engine, level) = (world.shared(), world.level());
        tasks.spawn(async move {
            for message in events(&format!("{publisher}-"), EACH) {
                engine.commit(Commit::publish(vec![message], level)).await?;
            }
            Ok::<_, hence_core::Error>(())
        });
    }
    while let Some(ended) = world.within("four publishers", tasks.join_next()).await? {
        ended.map_err(|error| Violation::new(format!("a publisher ended with {error}")))??;
    }
    // At `accepted` an engine may be behind its receipts.
    let mut all = world.attach("all", &["conformance.ticked"]).await?;
    let deliveries = world.pull(&mut all, 4 * EACH).await?;
    ensure!(
        rise(&crate::world::positions(&deliveries)),
        "deliveries are out of order"
    );
    for publisher in 0..4 {
        let prefix = format!("{publisher}-");
        let of = |id: &&str| id.starts_with(&prefix);
        let found: Vec<_> = crate::world::ids(&deliveries)
            .into_iter()
            .filter(of)
            .collect();
        let wanted: Vec<_> = (0..EACH)
            .map(|number| format!("{prefix}{number}"))
            .collect();
        ensure!(
            found == wanted,
            "publisher {publisher} published in order, and reads {found:?}"
        );
    }
    Ok(())
}

async fn many_keys_are_as_good_as_few(world: World<'_>) -> Checked {
    const KEYS: usize = 10_000;
    let batch = world.engine().capability().batch_events_max.clamp(1, 500);
    let mut attached = world.attach("keys", &["conformance.ticked"]).await?;
    let keyed = |number| crate::world::keyed(&format!("k{number}"), &format!("key-{number}"));
    let all: Vec<_> = (0..KEYS).map(keyed).collect();
    for (index, chunk) in all.chunks(batch).enumerate() {
        world.publish(chunk.to_vec()).await?;
        let deliveries = world.pull(&mut attached, chunk.len()).await?;
        for (delivery, wanted) in deliveries.iter().zip(chunk) {
            let (found, wanted) = (delivery.message.attributes(), wanted.attributes());
            ensure!(
                (found.id(), found.key()) == (wanted.id(), wanted.key()),
                "batch {index}: '{}' with key {:?} in place of '{}'",
                found.id(),
                found.key(),
                wanted.id()
            );
        }
        world.done("keys", &deliveries).await?;
    }
    let left = world.engine().subscriptions();
    let lag = left
        .iter()
        .find(|report| report.name == "keys")
        .map(|report| report.lag);
    ensure!(lag == Some(0), "all are settled, and the lag is {lag:?}");
    let read = world.read(from(Start::Latest)).await?;
    ensure!(
        read.is_empty(),
        "a reader from the end finds {} entries",
        read.len()
    );
    Ok(())
}
