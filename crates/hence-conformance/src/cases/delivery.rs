//! Delivery: who gets what, in which order, and again after what.

use std::time::Duration;

use hence_core::envelope::DELIVER_AT;
use hence_core::{Outcome, Timestamp};

use crate::case::Need;
use crate::world::{
    Attached, Checked, TICK, TOCK, World, ensure, event, events, ids, keyed, poll_times, positions,
    rise, typed, with,
};

/// How much later an event is to be delivered.
const DELAY: Duration = Duration::from_millis(300);

cases! {
    g2_each_subscription_gets_its_types_and_no_other ["G2"] Need::Nothing;
    g2_fifty_subscriptions_each_get_all ["G2"] Need::Nothing;
    g3_deliveries_come_in_the_order_of_positions ["G3"] Need::Nothing;
    next_gives_no_more_than_asked_for [] Need::Nothing;
    next_waits_for_the_next_event ["G2"] Need::Nothing;
    g2_unsettled_is_delivered_again_after_a_detach ["G2", "G3"] Need::Nothing;
    g2_unsettled_is_delivered_again_after_a_kill ["G2", "G3"] Need::Survival;
    g2_unsettled_is_delivered_again_after_a_clean_restart ["G2", "G3", "G16"] Need::Survival;
    settled_is_not_delivered_again [] Need::Nothing;
    settled_is_not_delivered_again_after_a_kill ["G1"] Need::Survival;
    g2_a_gap_in_what_is_settled_stays_open ["G2"] Need::Nothing;
    g2_a_gap_in_what_is_settled_survives_a_kill ["G2"] Need::Survival;
    nothing_is_delivered_twice_while_attached [] Need::Nothing;
    g10_deliverat_is_not_early ["G10"] Need::Nothing;
    g10_deliverat_in_the_past_is_now ["G10"] Need::Nothing;
    g10_deliverat_survives_a_kill ["G10"] Need::Survival;
}

async fn g2_each_subscription_gets_its_types_and_no_other(world: World<'_>) -> Checked {
    let mut ticks = world.attach("ticks", &[TICK]).await?;
    let mut tocks = world.attach("tocks", &[TOCK]).await?;
    let mut both = world.attach("both", &[TICK, TOCK]).await?;
    let mut nobody = world.attach("nobody", &["conformance.nobody"]).await?;
    let mut longer = world.attach("longer", &["conformance.ticked.more"]).await?;
    world
        .publish(vec![
            event("a"),
            typed("b", TOCK),
            event("c"),
            typed("d", TOCK),
        ])
        .await?;
    world
        .publish_one(typed("e", "conformance.ticked.more"))
        .await?;
    world.publish_one(typed("f", "conformance")).await?;
    for (attached, wanted) in [
        (&mut ticks, &["a", "c"][..]),
        (&mut tocks, &["b", "d"]),
        (&mut both, &["a", "b", "c", "d"]),
        (&mut nobody, &[]),
        (&mut longer, &["e"]),
    ] {
        let found = world.pull_all(attached).await?;
        ensure!(
            ids(&found) == wanted,
            "'{}' got {:?}, not {wanted:?}",
            attached.name,
            ids(&found)
        );
    }
    Ok(())
}

async fn g2_fifty_subscriptions_each_get_all(world: World<'_>) -> Checked {
    let mut all = Vec::new();
    for number in 0..50 {
        all.push(world.attach(&format!("sub-{number}"), &[TICK]).await?);
    }
    let wanted = world.publish(events("e", 20)).await?;
    for attached in &mut all {
        let found = world.pull(attached, 20).await?;
        ensure!(
            positions(&found) == wanted,
            "'{}' got {:?}",
            attached.name,
            ids(&found)
        );
        world.done(&attached.name, &found).await?;
    }
    Ok(())
}

async fn g3_deliveries_come_in_the_order_of_positions(world: World<'_>) -> Checked {
    let mut wanted = Vec::new();
    for number in 0..20 {
        wanted.push(
            world
                .publish_one(keyed(&format!("early-{number}"), "k"))
                .await?,
        );
    }
    let mut attached = world.attach("ordered", &[TICK]).await?;
    for number in 0..20 {
        let key = format!("k-{}", number % 3);
        wanted.push(
            world
                .publish_one(keyed(&format!("late-{number}"), &key))
                .await?,
        );
    }
    wanted.extend(world.publish(events("batch-", 20)).await?);
    let found = world.pull(&mut attached, wanted.len()).await?;
    ensure!(
        positions(&found) == wanted,
        "delivered in the order {:?}",
        positions(&found)
    );
    let first = found
        .iter()
        .all(|delivery| delivery.attempt == 1 && !delivery.redriven && delivery.due.is_none());
    ensure!(first, "a first attempt says that it is another");
    Ok(())
}

async fn next_gives_no_more_than_asked_for(world: World<'_>) -> Checked {
    world.publish(events("e", 10)).await?;
    let mut attached = world.attach("modest", &[TICK]).await?;
    let mut found = Vec::new();
    for max in [1, 3, 2, 4] {
        // `pull` refuses a list that is longer than asked for.
        found.extend(world.pull(&mut attached, max).await?);
    }
    ensure!(
        rise(&positions(&found)) && found.len() == 10,
        "delivered: {:?}",
        ids(&found)
    );
    Ok(())
}

async fn next_waits_for_the_next_event(world: World<'_>) -> Checked {
    let mut attached = world.attach("patient", &[TICK]).await?;
    for round in 0..10 {
        let early = poll_times(3, attached.deliveries.next(5)).await;
        ensure!(early.is_none(), "round {round}: a delivery of nothing");
        let (engine, level) = (world.shared(), world.level());
        let message = event(&format!("e{round}"));
        let publish = async move {
            engine
                .commit(hence_core::Commit::publish(vec![message], level))
                .await
        };
        let both = async { tokio::join!(attached.deliveries.next(5), publish) };
        let (delivered, published) = world.within("a waiting subscription", both).await?;
        published?;
        let delivered = delivered?;
        ensure!(
            delivered.len() == 1,
            "round {round}: {} deliveries of one",
            delivered.len()
        );
        world.done("patient", &delivered).await?;
    }
    Ok(())
}

/// Publishes ten, pulls six, settles the first two; gives the other eight.
async fn leave_eight(world: &World<'_>) -> Checked<Vec<hence_core::Position>> {
    let mut wanted = Vec::new();
    for number in 0..10 {
        let key = format!("k{}", number % 2);
        wanted.push(
            world
                .publish_one(keyed(&format!("e{number}"), &key))
                .await?,
        );
    }
    let mut attached = world.attach("again", &[TICK]).await?;
    let pulled = world.pull(&mut attached, 6).await?;
    world
        .done("again", pulled.get(..2).unwrap_or_default())
        .await?;
    Ok(wanted.split_off(2))
}

/// The subscription gets exactly these.
async fn gets(world: &World<'_>, wanted: &[hence_core::Position]) -> Checked<Attached> {
    let mut attached = world.attach("again", &[TICK]).await?;
    let found = world.pull_all(&mut attached).await?;
    ensure!(
        positions(&found) == wanted,
        "{wanted:?} are open, and delivered are {:?}",
        positions(&found)
    );
    Ok(attached)
}

async fn g2_unsettled_is_delivered_again_after_a_detach(world: World<'_>) -> Checked {
    let open = leave_eight(&world).await?;
    gets(&world, &open).await?;
    gets(&world, &open).await.map(drop)
}

async fn g2_unsettled_is_delivered_again_after_a_kill(world: World<'_>) -> Checked {
    let open = leave_eight(&world).await?;
    let world = world.killed().await?;
    gets(&world, &open).await?;
    let world = world.killed().await?;
    gets(&world, &open).await.map(drop)
}

async fn g2_unsettled_is_delivered_again_after_a_clean_restart(world: World<'_>) -> Checked {
    let open = leave_eight(&world).await?;
    let world = world.reopened().await?;
    gets(&world, &open).await.map(drop)
}

async fn settled_is_not_delivered_again(world: World<'_>) -> Checked {
    let positions = leave_eight(&world).await?;
    let mut attached = gets(&world, &positions).await?;
    world.publish(events("more-", 2)).await?;
    let more = world.pull(&mut attached, 2).await?;
    drop(attached);
    world.done("again", &more).await?;
    gets(&world, &positions).await.map(drop)
}

async fn settled_is_not_delivered_again_after_a_kill(world: World<'_>) -> Checked {
    world.publish(events("e", 20)).await?;
    let mut attached = world.attach("again", &[TICK]).await?;
    let found = world.pull(&mut attached, 20).await?;
    for delivery in &found {
        world.settle("again", delivery, Outcome::Done).await?;
    }
    drop(attached);
    let world = world.killed().await?;
    gets(&world, &[]).await?;
    let world = world.reopened().await?;
    gets(&world, &[]).await.map(drop)
}

/// Settles out of order, and gives what is open.
async fn leave_gaps(world: &World<'_>) -> Checked<Vec<hence_core::Position>> {
    world.publish(events("e", 10)).await?;
    let mut attached = world.attach("again", &[TICK]).await?;
    let found = world.pull(&mut attached, 10).await?;
    let (mut settled, mut open) = (Vec::new(), Vec::new());
    for (index, delivery) in found.into_iter().enumerate() {
        if [1, 4, 5, 9].contains(&index) {
            settled.push(delivery);
        } else {
            open.push(delivery.position);
        }
    }
    for delivery in settled.iter().rev() {
        world.settle("again", delivery, Outcome::Done).await?;
    }
    Ok(open)
}

async fn g2_a_gap_in_what_is_settled_stays_open(world: World<'_>) -> Checked {
    let open = leave_gaps(&world).await?;
    gets(&world, &open).await.map(drop)
}

async fn g2_a_gap_in_what_is_settled_survives_a_kill(world: World<'_>) -> Checked {
    let open = leave_gaps(&world).await?;
    let world = world.killed().await?;
    gets(&world, &open).await?;
    let world = world.reopened().await?;
    gets(&world, &open).await.map(drop)
}

async fn nothing_is_delivered_twice_while_attached(world: World<'_>) -> Checked {
    let mut attached = world.attach("once", &[TICK]).await?;
    let mut found = Vec::new();
    for round in 0..10 {
        world.publish(events(&format!("{round}-"), 5)).await?;
        found.extend(world.pull_all(&mut attached).await?);
    }
    ensure!(
        found.len() == 50 && rise(&positions(&found)),
        "delivered: {:?}",
        ids(&found)
    );
    Ok(())
}

/// The delayed event comes, and not before its time.
async fn comes_in_time(world: &World<'_>, attached: &mut Attached, due: Timestamp) -> Checked {
    let delivery = world.pull_one(attached).await?;
    let now = Timestamp::steady();
    let id = delivery.message.attributes().id();
    ensure!(id == "delayed", "'{id}' in place of the delayed event");
    ensure!(now >= due, "it was due at {due} and came at {now}");
    Ok(())
}

fn delayed(due: Timestamp) -> hence_core::Message {
    with(event("delayed"), DELIVER_AT, due.to_string())
}

async fn g10_deliverat_is_not_early(mut world: World<'_>) -> Checked {
    let mut delay = DELAY;
    loop {
        let mut attached = world.attach("delayed", &[TICK]).await?;
        let due = Timestamp::steady().after(delay);
        world.publish(vec![delayed(due), event("at-once")]).await?;
        let first = world.pull_one(&mut attached).await?;
        if first.message.attributes().id() == "at-once" {
            let readable = world.read_all().await?.len();
            ensure!(readable == 2, "two are stored, and {readable} can be read");
            return comes_in_time(&world, &mut attached, due).await;
        }
        let now = Timestamp::steady();
        ensure!(now >= due, "it was due at {due} and came at {now}");
        // The machine took longer for the two than the delay, so they are tried again.
        delay *= 4;
        world = World::fresh(world.harness()).await?;
    }
}

async fn g10_deliverat_in_the_past_is_now(world: World<'_>) -> Checked {
    let mut attached = world.attach("delayed", &[TICK]).await?;
    let due = Timestamp::from_micros(1_000_000);
    world.publish_one(delayed(due)).await?;
    comes_in_time(&world, &mut attached, due).await
}

async fn g10_deliverat_survives_a_kill(world: World<'_>) -> Checked {
    let attached = world.attach("delayed", &[TICK]).await?;
    let due = Timestamp::steady().after(DELAY);
    world.publish(vec![delayed(due), event("at-once")]).await?;
    drop(attached);
    let world = world.killed().await?;
    let mut attached = world.attach("delayed", &[TICK]).await?;
    let first = world.pull_one(&mut attached).await?;
    if first.message.attributes().id() == "delayed" {
        // Starting again may take longer than the delay.
        ensure!(
            Timestamp::steady() >= due,
            "the delayed event came before {due}"
        );
        return Ok(());
    }
    world.settle("delayed", &first, Outcome::Done).await?;
    comes_in_time(&world, &mut attached, due).await
}
