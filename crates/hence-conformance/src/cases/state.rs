//! State of keys: values and timers that change with their commit, and batches that are counted.

use std::time::Duration;

use hence_core::commit::{Change, Sequence, What};
use hence_core::engine::Feature;
use hence_core::{Code, Commit, Delivery, Message, Outcome, Receipt, Timestamp};

use crate::case::Need;
use crate::world::{
    Attached, Checked, TICK, World, ended, ensure, entry_ids, event, events, poll_times,
    retry_after, typed,
};

const NAME: &str = "keeper";
/// How long timers of these cases wait.
const WAIT: Duration = Duration::from_millis(200);

cases! {
    g7_a_value_changes_with_its_settlement ["G7"] Need::Feature(Feature::Keyed);
    g7_a_value_changes_once ["G7", "G11"] Need::Feature(Feature::Keyed);
    g7_a_refused_commit_writes_no_value ["G7"] Need::Feature(Feature::Keyed);
    values_belong_to_a_subscription_and_a_key [] Need::Feature(Feature::Keyed);
    g7_a_value_survives_a_kill ["G7"] Need::Lasting(Feature::Keyed);
    g7_a_value_and_its_settlement_are_one_over_a_kill ["G7"] Need::Lasting(Feature::Keyed);
    g10_a_timer_fires_once_and_not_early ["G10"] Need::Feature(Feature::Timers);
    a_timer_is_replaced_and_cancelled_by_name [] Need::Feature(Feature::Timers);
    g7_a_refused_commit_sets_no_timer ["G7"] Need::Feature(Feature::Timers);
    g10_a_timer_survives_a_kill_and_fires_once ["G10"] Need::Lasting(Feature::Timers);
    g9_a_counted_batch_is_stored_once ["G9"] Need::Feature(Feature::Sequences);
    a_gap_in_a_sequence_is_refused ["G14"] Need::Feature(Feature::Sequences);
    g9_a_counted_batch_is_known_after_a_kill ["G9"] Need::Lasting(Feature::Sequences);
}

fn change(key: &str, what: What) -> Change {
    Change {
        subscription: NAME.into(),
        key: key.to_owned(),
        what,
    }
}

fn write(key: &str, value: &str) -> Change {
    change(key, What::Write(value.to_owned().into()))
}

fn timer(key: &str, name: &str, due: Timestamp, message: Message) -> Change {
    let what = What::SetTimer {
        name: name.to_owned(),
        due,
        message: Box::new(message),
    };
    change(key, what)
}

async fn changes(world: &World<'_>, change: Vec<Change>) -> Checked {
    let commit = Commit {
        change,
        ..world.step(Vec::new(), Vec::new())
    };
    world.commit(commit).await.map(drop)
}

/// A commit that settles a delivery and changes state.
fn handled(world: &World<'_>, delivery: &Delivery, change: Vec<Change>) -> Commit {
    Commit {
        change,
        ..world.step(vec![ended(NAME, delivery, Outcome::Done)], Vec::new())
    }
}

/// The value of a key is this one.
async fn is_value(world: &World<'_>, name: &str, key: &str, wanted: Option<&str>) -> Checked {
    let found = world
        .within("keyed", world.engine().keyed(name, key))
        .await??;
    let found = found.map(|value| String::from_utf8_lossy(&value).into_owned());
    ensure!(
        found.as_deref() == wanted,
        "key '{key}' of '{name}' has {found:?}, not {wanted:?}"
    );
    Ok(())
}

async fn deliveries(world: &World<'_>, count: usize) -> Checked<(Attached, Vec<Delivery>)> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.publish(events("e", count)).await?;
    let found = world.pull(&mut attached, count).await?;
    Ok((attached, found))
}

async fn g7_a_value_changes_with_its_settlement(world: World<'_>) -> Checked {
    let (_attached, found) = deliveries(&world, 3).await?;
    is_value(&world, NAME, "k", None).await?;
    for (delivery, value) in found.iter().zip(["1", "2"]) {
        let commit = handled(&world, delivery, vec![write("k", value)]);
        world.commit(commit).await?;
        is_value(&world, NAME, "k", Some(value)).await?;
    }
    let removed = vec![write("l", "3"), change("k", What::Remove)];
    for delivery in found.iter().skip(2) {
        world
            .commit(handled(&world, delivery, removed.clone()))
            .await?;
    }
    is_value(&world, NAME, "k", None).await?;
    is_value(&world, NAME, "l", Some("3")).await
}

async fn g7_a_value_changes_once(world: World<'_>) -> Checked {
    let (_attached, found) = deliveries(&world, 2).await?;
    let [first, second] = found.as_slice() else {
        return Err(crate::Violation::new("not two deliveries"));
    };
    world
        .commit(handled(&world, first, vec![write("k", "1")]))
        .await?;
    let again = handled(&world, first, vec![write("k", "again")]);
    drop(world.within("commit", world.engine().commit(again)).await?);
    is_value(&world, NAME, "k", Some("1")).await?;
    let (retry, _) = retry_after(Duration::ZERO);
    world.settle(NAME, second, retry).await?;
    // The worker of an attempt that is over comes back from the dead.
    let zombie = handled(&world, second, vec![write("k", "zombie")]);
    drop(
        world
            .within("commit", world.engine().commit(zombie))
            .await?,
    );
    is_value(&world, NAME, "k", Some("1")).await
}

/// A commit that is refused, because an event of it says something else than before.
async fn refused(world: &World<'_>, change: Vec<Change>) -> Checked {
    let (_attached, found) = deliveries(world, 1).await?;
    for delivery in &found {
        let other = typed("e0", "conformance.another");
        let commit = Commit {
            publish: vec![other],
            ..handled(world, delivery, change.clone())
        };
        world.refused(commit, Code::DUPLICATE).await?;
    }
    Ok(())
}

async fn g7_a_refused_commit_writes_no_value(world: World<'_>) -> Checked {
    refused(&world, vec![write("k", "ghost")]).await?;
    is_value(&world, NAME, "k", None).await
}

async fn values_belong_to_a_subscription_and_a_key(world: World<'_>) -> Checked {
    let _one = world.attach(NAME, &[TICK]).await?;
    let _other = world.attach("another", &[TICK]).await?;
    let mut foreign = write("k", "2");
    foreign.subscription = "another".into();
    changes(&world, vec![write("k", "1"), foreign, write("l", "")]).await?;
    is_value(&world, NAME, "k", Some("1")).await?;
    is_value(&world, "another", "k", Some("2")).await?;
    is_value(&world, NAME, "l", Some("")).await?;
    is_value(&world, "another", "l", None).await?;
    let stranger = world
        .within("keyed", world.engine().keyed("nobody", "k"))
        .await?;
    let code = stranger.err().map(|error| error.code());
    ensure!(
        code == Some(Code::NOT_FOUND),
        "a value of nobody is answered with {code:?}"
    );
    Ok(())
}

async fn g7_a_value_survives_a_kill(world: World<'_>) -> Checked {
    let attached = world.attach(NAME, &[TICK]).await?;
    changes(&world, vec![write("k", "1"), write("l", "2")]).await?;
    changes(&world, vec![change("l", What::Remove), write("k", "3")]).await?;
    drop(attached);
    let mut world = world.killed().await?;
    for _ in 0..2 {
        is_value(&world, NAME, "k", Some("3")).await?;
        is_value(&world, NAME, "l", None).await?;
        world = world.reopened().await?;
    }
    Ok(())
}

/// Drops the future of a commit after so many polls, and kills the engine.
async fn g7_a_value_and_its_settlement_are_one_over_a_kill(mut world: World<'_>) -> Checked {
    for times in 0..4 {
        let harness = world.harness();
        let (attached, found) = deliveries(&world, 1).await?;
        changes(&world, vec![write("k", "before")]).await?;
        for delivery in &found {
            let commit = handled(&world, delivery, vec![write("k", "after")]);
            drop(poll_times(times, world.engine().commit(commit)).await);
        }
        drop(attached);
        world = world.killed().await?;
        let mut attached = world.attach(NAME, &[TICK]).await?;
        let is_open = !world.pull_all(&mut attached).await?.is_empty();
        let wanted = if is_open { "before" } else { "after" };
        is_value(&world, NAME, "k", Some(wanted)).await?;
        drop((attached, world));
        world = World::fresh(harness).await?;
    }
    Ok(())
}

/// Waits for an event of a timer, and for no other event before it.
async fn fires(world: &World<'_>, from: &mut Attached, id: &str, due: Timestamp) -> Checked {
    let delivery = world.pull_one(from).await?;
    let now = Timestamp::steady();
    let found = delivery.message.attributes().id();
    ensure!(found == id, "'{id}' was to fire, and '{found}' came");
    ensure!(now >= due, "'{id}' is due at {due} and fired at {now}");
    ensure!(
        delivery.message == event(id),
        "the event of a timer came changed: {:?}",
        delivery.message
    );
    world.settle(NAME, &delivery, Outcome::Done).await
}

async fn g10_a_timer_fires_once_and_not_early(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let due = Timestamp::steady().after(WAIT);
    changes(&world, vec![timer("k", "one", due, event("fired"))]).await?;
    fires(&world, &mut attached, "fired", due).await?;
    // A timer of another key shows that the first one does not come again.
    let due = Timestamp::steady().after(WAIT);
    changes(&world, vec![timer("l", "one", due, event("other"))]).await?;
    fires(&world, &mut attached, "other", due).await?;
    world
        .pull_nothing(&mut attached, "each timer has fired")
        .await
}

async fn a_timer_is_replaced_and_cancelled_by_name(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let soon = Timestamp::steady().after(WAIT);
    let (later, never) = (soon.after(WAIT), soon.after(Duration::from_secs(3600)));
    let cancel = |name: &str| {
        let name = name.to_owned();
        change("k", What::CancelTimer { name })
    };
    // No case may depend on two commits following within a while.
    let all = vec![
        timer("k", "one", never, event("replaced")),
        timer("k", "two", soon, event("cancelled")),
        timer("l", "two", soon, event("of another key")),
        cancel("two"),
        cancel("three"),
    ];
    changes(&world, all).await?;
    let then = vec![timer("k", "one", later, event("in its place"))];
    changes(&world, then).await?;
    fires(&world, &mut attached, "of another key", soon).await?;
    fires(&world, &mut attached, "in its place", later).await?;
    world
        .pull_nothing(&mut attached, "what was replaced or cancelled")
        .await
}

async fn g7_a_refused_commit_sets_no_timer(world: World<'_>) -> Checked {
    let now = Timestamp::steady();
    refused(&world, vec![timer("k", "one", now, event("ghost"))]).await?;
    // One that is due later, and yet comes.
    let mut other = world.attach("other", &[TICK]).await?;
    changes(
        &world,
        vec![timer("k", "two", now.after(WAIT), event("mark"))],
    )
    .await?;
    let found = world.pull(&mut other, 2).await?;
    let found = crate::world::ids(&found);
    ensure!(found == ["e0", "mark"], "there came {found:?}");
    Ok(())
}

async fn g10_a_timer_survives_a_kill_and_fires_once(world: World<'_>) -> Checked {
    let attached = world.attach(NAME, &[TICK]).await?;
    let due = Timestamp::steady().after(WAIT * 2);
    changes(&world, vec![timer("k", "one", due, event("fired"))]).await?;
    drop(attached);
    let world = world.killed().await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    fires(&world, &mut attached, "fired", due).await?;
    drop(attached);
    let world = world.killed().await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let due = Timestamp::steady().after(WAIT);
    changes(&world, vec![timer("l", "one", due, event("other"))]).await?;
    fires(&world, &mut attached, "other", due).await?;
    let stored = world.read_all().await?;
    let found = entry_ids(&stored);
    ensure!(found == ["fired", "other"], "stored are {found:?}");
    Ok(())
}

fn counted(world: &World<'_>, number: u64, publish: Vec<Message>) -> Commit {
    let sequence = Sequence {
        sender: "sender".to_owned(),
        number,
    };
    Commit {
        sequence: Some(sequence),
        ..world.step(Vec::new(), publish)
    }
}

/// Sends a batch again that was stored.
async fn again(world: &World<'_>, number: u64, first: &[Receipt]) -> Checked {
    let prefix = format!("{number}-");
    let receipts = world
        .commit(counted(world, number, events(&prefix, 2)))
        .await?;
    for (receipt, first) in receipts.iter().zip(first) {
        let told = receipt.duplicate || receipt.position.is_none();
        ensure!(
            told,
            "'{}' does not say that it was stored before",
            receipt.id()
        );
        let same = receipt.position.is_none() || receipt.position == first.position;
        ensure!(
            same,
            "'{}' stands at {:?}, and again at {:?}",
            receipt.id(),
            first.position,
            receipt.position
        );
    }
    Ok(())
}

/// Other events under an old number are not stored, whatever they are answered with.
async fn ghosts(world: &World<'_>, number: u64) -> Checked {
    let ghosts = counted(world, number, events("ghost-", 2));
    let answered = world
        .within("commit", world.engine().commit(ghosts))
        .await?;
    drop(answered);
    Ok(())
}

async fn g9_a_counted_batch_is_stored_once(world: World<'_>) -> Checked {
    let first = world.commit(counted(&world, 1, events("1-", 2))).await?;
    again(&world, 1, &first).await?;
    let second = world.commit(counted(&world, 2, events("2-", 2))).await?;
    again(&world, 2, &second).await?;
    again(&world, 1, &first).await?;
    ghosts(&world, 1).await?;
    let stored = world.read_all().await?;
    let found = entry_ids(&stored);
    ensure!(
        found == ["1-0", "1-1", "2-0", "2-1"],
        "two batches, and stored are {found:?}"
    );
    Ok(())
}

async fn a_gap_in_a_sequence_is_refused(world: World<'_>) -> Checked {
    for number in [0, 2] {
        let gap = counted(&world, number, events("gap-", 2));
        world.refused(gap, Code::SEQUENCE_GAP).await?;
    }
    world.commit(counted(&world, 1, events("1-", 2))).await?;
    let gap = counted(&world, 3, events("gap-", 2));
    world.refused(gap, Code::SEQUENCE_GAP).await?;
    world
        .knows_none(&["gap-0", "gap-1"], "a batch behind a gap")
        .await?;
    world
        .commit(counted(&world, 2, events("2-", 2)))
        .await
        .map(drop)
}

async fn g9_a_counted_batch_is_known_after_a_kill(world: World<'_>) -> Checked {
    let first = world.commit(counted(&world, 1, events("1-", 2))).await?;
    let world = world.killed().await?;
    again(&world, 1, &first).await?;
    ghosts(&world, 1).await?;
    let second = world.commit(counted(&world, 2, events("2-", 2))).await?;
    let world = world.reopened().await?;
    again(&world, 2, &second).await?;
    let stored = world.read_all().await?;
    ensure!(
        stored.len() == 4,
        "two batches, and {} stored",
        stored.len()
    );
    Ok(())
}
