//! Dead letters: kept with cause and bytes, counted for their keys, listed when asked.

use bytes::Bytes;
use hence_core::{
    DeadLetter, DeadLetterQuery, Delivery, Message, Outcome, RejectReason, Timestamp,
};

use crate::case::{Need, Violation};
use crate::world::{
    Attached, Checked, TICK, World, ended, ensure, event, events, holding, ids, keyed, reject, with,
};

const NAME: &str = "dead";
const BYTES: &[u8] = b"\x00\xffnot json\r\n";

cases! {
    g4_a_rejected_event_keeps_cause_and_bytes ["G4"] Need::Nothing;
    g4_a_rejected_event_keeps_cause_and_bytes_over_a_kill ["G4", "G1"] Need::Survival;
    g4_every_reason_is_kept ["G4"] Need::Nothing;
    g4_attempts_are_kept ["G4"] Need::Nothing;
    a_rejected_event_is_not_delivered_again [] Need::Nothing;
    a_rejected_event_is_not_delivered_again_after_a_kill [] Need::Survival;
    g5_held_keys_are_counted ["G5"] Need::Nothing;
    g5_held_keys_are_counted_after_a_kill ["G5"] Need::Survival;
    g5_a_dead_letter_without_hold_holds_nothing ["G5"] Need::Nothing;
    g5_later_events_of_a_held_key_are_not_lost ["G5", "G2"] Need::Nothing;
    g4_each_subscription_has_its_own_dead_letters ["G4"] Need::Nothing;
    g4_a_rejection_may_publish_too ["G4", "G7"] Need::Nothing;
    g4_a_refused_rejection_leaves_no_dead_letter ["G4", "G7"] Need::Nothing;
}

/// An event whose data does not decode, with a key and an extension.
fn bad() -> Message {
    let message = holding(&keyed("bad", "k-1"), Some(Bytes::from_static(BYTES)));
    with(message, "tenant", "t-1")
}

async fn letters(world: &World<'_>, of: Option<&str>) -> Checked<Vec<DeadLetter>> {
    let wanted = DeadLetterQuery {
        subscription: of.map(str::to_owned),
        ..DeadLetterQuery::default()
    };
    Ok(world
        .within("dead letters", world.engine().dead_letters(&wanted))
        .await??)
}

/// Publishes events and pulls them all.
async fn pulled(world: &World<'_>, messages: Vec<Message>) -> Checked<(Attached, Vec<Delivery>)> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let count = messages.len();
    world.publish(messages).await?;
    let deliveries = world.pull(&mut attached, count).await?;
    Ok((attached, deliveries))
}

async fn reject_bad(world: &World<'_>) -> Checked<(Delivery, Timestamp)> {
    let (_attached, deliveries) = pulled(world, vec![bad()]).await?;
    let delivery = deliveries
        .first()
        .ok_or_else(|| Violation::new("no delivery"))?;
    let before = Timestamp::steady();
    let outcome = Outcome::Reject {
        reason: RejectReason::Undecodable,
        error: "it is no order: żółć".to_owned(),
        hold: true,
    };
    world.settle(NAME, delivery, outcome).await?;
    Ok((delivery.clone(), before))
}

async fn is_kept(world: &World<'_>, delivery: &Delivery, before: Timestamp) -> Checked {
    let all = letters(world, None).await?;
    let [letter] = all.as_slice() else {
        return Err(Violation::new(format!(
            "one was rejected, {} are kept",
            all.len()
        )));
    };
    let id = format!("{NAME}.{}", delivery.position);
    ensure!(letter.id == id, "its id is '{}', not '{id}'", letter.id);
    ensure!(
        letter.subscription == NAME,
        "it is of '{}'",
        letter.subscription
    );
    ensure!(
        letter.position == delivery.position,
        "it stands at {}",
        letter.position
    );
    ensure!(
        letter.event_type == TICK && letter.key.as_deref() == Some("k-1"),
        "its type is '{}', its key {:?}",
        letter.event_type,
        letter.key
    );
    let (same, message) = world.engine().dead_letter(&id).await?;
    ensure!(same == *letter, "one by one it is {same:?}");
    ensure!(message == bad(), "its message has changed: {message:?}");
    ensure!(
        letter.reason == RejectReason::Undecodable,
        "its reason is {:?}",
        letter.reason
    );
    ensure!(
        letter.error == "it is no order: żółć",
        "its cause is '{}'",
        letter.error
    );
    ensure!(
        letter.attempts == 1,
        "{} attempts in place of one",
        letter.attempts
    );
    let in_time = letter.since >= before && letter.since <= Timestamp::steady();
    ensure!(
        in_time,
        "it is here since {}, and was rejected behind {before}",
        letter.since
    );
    ensure!(letter.hold, "its hold is lost");
    Ok(())
}

async fn g4_a_rejected_event_keeps_cause_and_bytes(world: World<'_>) -> Checked {
    let (delivery, before) = reject_bad(&world).await?;
    is_kept(&world, &delivery, before).await
}

async fn g4_a_rejected_event_keeps_cause_and_bytes_over_a_kill(world: World<'_>) -> Checked {
    let (delivery, before) = reject_bad(&world).await?;
    let world = world.killed().await?;
    is_kept(&world, &delivery, before).await?;
    let world = world.reopened().await?;
    is_kept(&world, &delivery, before).await
}

async fn g4_every_reason_is_kept(world: World<'_>) -> Checked {
    let reasons = [
        RejectReason::Rejected,
        RejectReason::RetriesExhausted,
        RejectReason::Undecodable,
    ];
    let (_attached, deliveries) = pulled(&world, events("e", reasons.len())).await?;
    for (delivery, reason) in deliveries.iter().zip(reasons) {
        let error = reason.as_str().to_owned();
        let hold = false;
        world
            .settle(
                NAME,
                delivery,
                Outcome::Reject {
                    reason,
                    error,
                    hold,
                },
            )
            .await?;
    }
    let all = letters(&world, None).await?;
    let found: Vec<_> = all.iter().map(|letter| letter.reason).collect();
    ensure!(found == reasons, "the reasons are {found:?}, oldest first");
    Ok(())
}

async fn g4_attempts_are_kept(world: World<'_>) -> Checked {
    let (_attached, deliveries) = pulled(&world, vec![event("e")]).await?;
    let mut delivery = deliveries
        .into_iter()
        .next()
        .ok_or_else(|| Violation::new("none"))?;
    for attempt in 1..5 {
        delivery.attempt = attempt;
        let retry = crate::world::retry_after(std::time::Duration::ZERO).0;
        world.settle(NAME, &delivery, retry).await?;
    }
    delivery.attempt = 5;
    world
        .settle(NAME, &delivery, reject("five times", false))
        .await?;
    let all = letters(&world, None).await?;
    let attempts: Vec<_> = all.iter().map(|letter| letter.attempts).collect();
    ensure!(
        attempts == [5],
        "after five attempts the dead letter says {attempts:?}"
    );
    Ok(())
}

async fn a_rejected_event_is_not_delivered_again(world: World<'_>) -> Checked {
    reject_bad(&world).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.pull_nothing(&mut attached, "it was rejected").await
}

async fn a_rejected_event_is_not_delivered_again_after_a_kill(world: World<'_>) -> Checked {
    reject_bad(&world).await?;
    let world = world.killed().await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.pull_nothing(&mut attached, "it was rejected").await
}

/// Two dead letters of one key, one of another, one without a key.
async fn hold_some(world: &World<'_>) -> Checked {
    let messages = vec![
        keyed("a", "k-1"),
        keyed("b", "k-2"),
        keyed("c", "k-1"),
        event("d"),
    ];
    let (attached, deliveries) = pulled(world, messages).await?;
    ensure!(
        attached.deliveries.held().is_empty(),
        "keys are held before anything failed"
    );
    for delivery in &deliveries {
        world.settle(NAME, delivery, reject("broken", true)).await?;
    }
    Ok(())
}

async fn are_held(world: &World<'_>) -> Checked {
    let attached = world.attach(NAME, &[TICK]).await?;
    let held = attached.deliveries.held();
    let keys: Vec<_> = held.values().map(Option::as_deref).collect();
    let wanted = [Some("k-1"), Some("k-2"), Some("k-1"), None];
    ensure!(keys == wanted, "held are {held:?}, not {wanted:?}");
    let other = world.attach("other", &[TICK]).await?;
    ensure!(
        other.deliveries.held().is_empty(),
        "another subscription holds them too"
    );
    Ok(())
}

async fn g5_held_keys_are_counted(world: World<'_>) -> Checked {
    hold_some(&world).await?;
    are_held(&world).await
}

async fn g5_held_keys_are_counted_after_a_kill(world: World<'_>) -> Checked {
    hold_some(&world).await?;
    let world = world.killed().await?;
    are_held(&world).await
}

async fn g5_a_dead_letter_without_hold_holds_nothing(world: World<'_>) -> Checked {
    let (attached, deliveries) = pulled(&world, vec![keyed("a", "k-1")]).await?;
    for delivery in &deliveries {
        world
            .settle(NAME, delivery, reject("broken", false))
            .await?;
    }
    drop(attached);
    let attached = world.attach(NAME, &[TICK]).await?;
    let held = attached.deliveries.held();
    ensure!(held.is_empty(), "held are {held:?}, and nothing was to be");
    let all = letters(&world, None).await?;
    let free = all.iter().all(|letter| !letter.hold);
    ensure!(free && all.len() == 1, "the dead letter says that it holds");
    Ok(())
}

async fn g5_later_events_of_a_held_key_are_not_lost(world: World<'_>) -> Checked {
    let messages = vec![keyed("a", "k-1"), keyed("b", "k-1")];
    let (attached, deliveries) = pulled(&world, messages).await?;
    let first = deliveries
        .first()
        .ok_or_else(|| Violation::new("no delivery"))?;
    world.settle(NAME, first, reject("broken", true)).await?;
    drop(attached);
    world.publish_one(keyed("c", "k-1")).await?;
    // They are given out, and wait in the lane of the runtime, which knows of the hold.
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let held = attached.deliveries.held();
    let keys: Vec<_> = held.values().map(Option::as_deref).collect();
    ensure!(keys == [Some("k-1")], "held are {held:?}");
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        ids(&found) == ["b", "c"],
        "behind the dead letter come {:?}",
        ids(&found)
    );
    Ok(())
}

async fn g4_each_subscription_has_its_own_dead_letters(world: World<'_>) -> Checked {
    let published = world.publish(events("e", 4)).await?;
    for (name, which) in [("one", 0..2), ("two", 1..4)] {
        let mut attached = world.attach(name, &[TICK]).await?;
        let deliveries = world.pull(&mut attached, 4).await?;
        for (number, delivery) in deliveries.iter().enumerate() {
            if which.contains(&number) {
                world.settle(name, delivery, reject(name, false)).await?;
            }
        }
    }
    let found = |letters: &[DeadLetter]| {
        let position = |letter: &DeadLetter| letter.position.0;
        letters.iter().map(position).collect::<Vec<_>>()
    };
    let first = published.first().map_or(0, |first| first.0);
    let one = letters(&world, Some("one")).await?;
    ensure!(
        found(&one) == [first, first + 1],
        "the first has {:?}",
        found(&one)
    );
    let two = letters(&world, Some("two")).await?;
    ensure!(
        found(&two) == [first + 1, first + 2, first + 3],
        "the second has {:?}",
        found(&two)
    );
    let all = letters(&world, None).await?;
    ensure!(
        found(&all).len() == 5,
        "together they have {:?}",
        found(&all)
    );
    let sorted = all.is_sorted_by_key(|letter| letter.since);
    ensure!(sorted, "the oldest does not come first");
    Ok(())
}

async fn g4_a_rejection_may_publish_too(world: World<'_>) -> Checked {
    let (_attached, deliveries) = pulled(&world, vec![bad()]).await?;
    let settle = deliveries
        .iter()
        .map(|delivery| ended(NAME, delivery, reject("no", true)));
    let alarm = crate::world::typed("alarm", crate::world::TOCK);
    world
        .commit(world.step(settle.collect(), vec![alarm]))
        .await?;
    ensure!(
        world.knows("alarm").await?,
        "what a rejection published is not stored"
    );
    ensure!(
        letters(&world, None).await?.len() == 1,
        "the dead letter is not kept"
    );
    Ok(())
}

async fn g4_a_refused_rejection_leaves_no_dead_letter(world: World<'_>) -> Checked {
    let (attached, deliveries) = pulled(&world, vec![bad()]).await?;
    let settle = deliveries
        .iter()
        .map(|delivery| ended(NAME, delivery, reject("no", true)));
    let other = holding(&bad(), None);
    let commit = world.step(settle.collect(), vec![other]);
    world.refused(commit, hence_core::Code::DUPLICATE).await?;
    ensure!(
        letters(&world, None).await?.is_empty(),
        "a refused commit leaves a dead letter"
    );
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    ensure!(
        attached.deliveries.held().is_empty(),
        "a refused commit holds a key"
    );
    let found = world.pull_all(&mut attached).await?;
    ensure!(ids(&found) == ["bad"], "open are {:?}", ids(&found));
    Ok(())
}
