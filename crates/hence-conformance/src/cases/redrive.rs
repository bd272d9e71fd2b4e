//! Redrive: dead letters again, in their order, and safe to ask for twice.

use hence_core::{Code, DeadLetter, DeadLetterQuery, Delivery, Outcome, Position};

use crate::case::{Need, Violation};
use crate::world::{
    Attached, Checked, TICK, TOCK, World, ended, ensure, ids, keyed, positions, reject, rise, typed,
};

const NAME: &str = "redriven";

cases! {
    g6_redrive_delivers_again_in_order ["G6", "G3"] Need::Nothing;
    g6_redrive_reaches_whoever_attaches_later ["G6"] Need::Nothing;
    g6_redrive_survives_a_kill ["G6", "G1"] Need::Survival;
    g6_redrive_twice_does_no_harm ["G6"] Need::Nothing;
    g6_redrive_twice_does_no_harm_over_a_kill ["G6"] Need::Survival;
    g6_done_removes_the_dead_letter ["G6"] Need::Nothing;
    g6_done_removes_the_dead_letter_over_a_kill ["G6"] Need::Survival;
    g6_rejected_again_it_stays ["G6", "G4"] Need::Nothing;
    g6_unsettled_it_comes_again ["G6", "G2"] Need::Nothing;
    g6_retried_it_comes_again ["G6", "G10"] Need::Nothing;
    g11_an_attempt_from_before_a_redrive_cannot_commit ["G11", "G6"] Need::Nothing;
    g11_an_attempt_from_before_a_redrive_cannot_commit_after_a_kill ["G11", "G6"] Need::Survival;
    g6_an_unknown_dead_letter_stops_all ["G6"] Need::Nothing;
    g6_only_the_named_are_sent ["G6"] Need::Nothing;
}

async fn letters(world: &World<'_>) -> Checked<Vec<DeadLetter>> {
    Ok(world
        .within(
            "dead letters",
            world.engine().dead_letters(&DeadLetterQuery::of(NAME)),
        )
        .await??)
}

/// Four dead letters of two keys; gives the positions.
async fn bury(world: &World<'_>) -> Checked<Vec<Position>> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    for number in 0..4 {
        world
            .publish_one(keyed(&format!("e{number}"), &format!("k{}", number % 2)))
            .await?;
    }
    let deliveries = world.pull(&mut attached, 4).await?;
    for delivery in deliveries.iter().rev() {
        world
            .settle(NAME, delivery, reject("first time", true))
            .await?;
    }
    Ok(positions(&deliveries))
}

/// Redrives all that are buried, the newest named first.
async fn redrive_all(world: &World<'_>, buried: &[Position]) -> Checked {
    let named: Vec<_> = buried
        .iter()
        .rev()
        .map(|position| format!("{NAME}.{position}"))
        .collect();
    let named: Vec<_> = named.iter().map(String::as_str).collect();
    world.redrive(&named).await
}

/// Exactly these come from the dead letters.
async fn come(
    world: &World<'_>,
    from: &mut Attached,
    wanted: &[Position],
) -> Checked<Vec<Delivery>> {
    let found = world.pull_all(from).await?;
    ensure!(
        positions(&found) == wanted,
        "redriven {wanted:?}, delivered {:?}",
        positions(&found)
    );
    let marked = found.iter().all(|delivery| delivery.redriven);
    ensure!(marked, "a redriven delivery does not say so");
    Ok(found)
}

async fn g6_redrive_delivers_again_in_order(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world
        .pull_nothing(&mut attached, "before the redrive")
        .await?;
    redrive_all(&world, &buried).await?;
    let found = come(&world, &mut attached, &buried).await?;
    ensure!(rise(&positions(&found)), "out of order");
    ensure!(
        ids(&found) == ["e0", "e1", "e2", "e3"],
        "delivered: {:?}",
        ids(&found)
    );
    Ok(())
}

async fn g6_redrive_reaches_whoever_attaches_later(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    redrive_all(&world, &buried).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    come(&world, &mut attached, &buried).await.map(drop)
}

async fn g6_redrive_survives_a_kill(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    redrive_all(&world, &buried).await?;
    let world = world.killed().await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    come(&world, &mut attached, &buried).await?;
    drop(attached);
    let world = world.reopened().await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    come(&world, &mut attached, &buried).await.map(drop)
}

async fn g6_redrive_twice_does_no_harm(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    redrive_all(&world, &buried).await?;
    redrive_all(&world, &buried).await?;
    let found = come(&world, &mut attached, &buried).await?;
    redrive_all(&world, &buried).await?;
    world
        .pull_nothing(&mut attached, "redriven again while on its way")
        .await?;
    world.done(NAME, &found).await?;
    redrive_all(&world, &buried).await?;
    world
        .pull_nothing(&mut attached, "redriven again after it was done")
        .await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world
        .pull_nothing(
            &mut attached,
            "redriven again after it was done, and attached",
        )
        .await
}

async fn g6_redrive_twice_does_no_harm_over_a_kill(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    redrive_all(&world, &buried).await?;
    let world = world.killed().await?;
    redrive_all(&world, &buried).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = come(&world, &mut attached, &buried).await?;
    world.done(NAME, &found).await?;
    drop(attached);
    let world = world.killed().await?;
    redrive_all(&world, &buried).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world
        .pull_nothing(&mut attached, "done, killed, and redriven again")
        .await
}

/// Nothing is left of the dead letters.
async fn is_over(world: &World<'_>) -> Checked {
    let left = letters(world).await?;
    ensure!(
        left.is_empty(),
        "done, and {} dead letters are left",
        left.len()
    );
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let held = attached.deliveries.held();
    ensure!(held.is_empty(), "done, and {held:?} are held");
    world.pull_nothing(&mut attached, "done").await
}

async fn finish(world: &World<'_>) -> Checked {
    let buried = bury(world).await?;
    redrive_all(world, &buried).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = come(world, &mut attached, &buried).await?;
    world.done(NAME, &found).await
}

async fn g6_done_removes_the_dead_letter(world: World<'_>) -> Checked {
    finish(&world).await?;
    is_over(&world).await
}

async fn g6_done_removes_the_dead_letter_over_a_kill(world: World<'_>) -> Checked {
    finish(&world).await?;
    let world = world.killed().await?;
    is_over(&world).await
}

async fn g6_rejected_again_it_stays(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    redrive_all(&world, &buried).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = come(&world, &mut attached, &buried).await?;
    let settle = found
        .iter()
        .map(|delivery| ended(NAME, delivery, reject("second time", true)));
    world
        .commit(world.step(settle.collect(), Vec::new()))
        .await?;
    let left = letters(&world).await?;
    let places: Vec<_> = left.iter().map(|letter| letter.position).collect();
    ensure!(
        left.len() == 4 && buried.iter().all(|p| places.contains(p)),
        "left: {places:?}"
    );
    for letter in &left {
        ensure!(
            letter.error == "second time",
            "its cause is '{}'",
            letter.error
        );
        let (_, message) = world.engine().dead_letter(&letter.id).await?;
        let id = &letter.id;
        ensure!(message.data().is_some(), "'{id}' has lost its bytes");
    }
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let held = attached.deliveries.held().len();
    ensure!(held == 4, "four hold their keys, and {held} are counted");
    redrive_all(&world, &buried).await?;
    come(&world, &mut attached, &buried).await.map(drop)
}

async fn g6_unsettled_it_comes_again(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    redrive_all(&world, &buried).await?;
    for _ in 0..2 {
        let mut attached = world.attach(NAME, &[TICK]).await?;
        come(&world, &mut attached, &buried).await?;
    }
    Ok(())
}

async fn g6_retried_it_comes_again(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    redrive_all(&world, &buried).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = come(&world, &mut attached, &buried).await?;
    let first = found.first().ok_or_else(|| Violation::new("no delivery"))?;
    let (retry, _) = crate::world::retry_after(std::time::Duration::ZERO);
    world.settle(NAME, first, retry).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let again = come(&world, &mut attached, &buried).await?;
    let second = again.first().ok_or_else(|| Violation::new("no delivery"))?;
    ensure!(
        second.attempt == first.attempt + 1,
        "attempt {} failed, and {} follows",
        first.attempt,
        second.attempt
    );
    world.settle(NAME, second, Outcome::Done).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    come(&world, &mut attached, buried.get(1..).unwrap_or_default())
        .await
        .map(drop)
}

/// The second attempt of an event, which one worker holds when another ends it as dead.
async fn leave_behind(world: &World<'_>) -> Checked<Delivery> {
    world.attach(NAME, &[TICK]).await.map(drop)?;
    world.publish_one(keyed("e", "k")).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let first = world.pull_one(&mut attached).await?;
    let (retry, _) = crate::world::retry_after(std::time::Duration::ZERO);
    world.settle(NAME, &first, retry).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let stale = world.pull_one(&mut attached).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let second = world.pull_one(&mut attached).await?;
    world.settle(NAME, &second, reject("dead", true)).await?;
    Ok(stale)
}

/// What a worker still has from before the redrive ends nothing, neither before the first attempt
/// of now nor behind it.
async fn stale_attempt_ends_nothing(world: &World<'_>, stale: &Delivery) -> Checked {
    let ghost = || {
        let done = vec![ended(NAME, stale, Outcome::Done)];
        world.step(done, vec![typed("ghost", TOCK)])
    };
    let why = "committed by an attempt from before the redrive";
    // Whether it is refused or counts as a repetition is left to the engine.
    drop(
        world
            .within("commit", world.engine().commit(ghost()))
            .await?,
    );
    world.knows_none(&["ghost"], why).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let now = come(world, &mut attached, &[stale.position]).await?;
    let now = now.first().ok_or_else(|| Violation::new("no delivery"))?;
    ensure!(
        now.attempt > stale.attempt && now.turn() == 1,
        "attempt {} follows {} over a redrive, as turn {}",
        now.attempt,
        stale.attempt,
        now.turn()
    );
    let (retry, _) = crate::world::retry_after(std::time::Duration::ZERO);
    world.settle(NAME, now, retry).await?;
    drop(
        world
            .within("commit", world.engine().commit(ghost()))
            .await?,
    );
    world.knows_none(&["ghost"], why).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let next = come(world, &mut attached, &[stale.position]).await?;
    let next = next.first().ok_or_else(|| Violation::new("no delivery"))?;
    ensure!(next.turn() == 2, "turn {} follows the first", next.turn());
    world.settle(NAME, next, Outcome::Done).await
}

async fn g11_an_attempt_from_before_a_redrive_cannot_commit(world: World<'_>) -> Checked {
    let stale = leave_behind(&world).await?;
    redrive_all(&world, &[stale.position]).await?;
    stale_attempt_ends_nothing(&world, &stale).await?;
    is_over(&world).await
}

async fn g11_an_attempt_from_before_a_redrive_cannot_commit_after_a_kill(
    world: World<'_>,
) -> Checked {
    let stale = leave_behind(&world).await?;
    let world = world.killed().await?;
    redrive_all(&world, &[stale.position]).await?;
    let world = world.killed().await?;
    stale_attempt_ends_nothing(&world, &stale).await?;
    is_over(&world).await
}

async fn g6_an_unknown_dead_letter_stops_all(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    let known = format!("{NAME}.{}", buried.first().copied().unwrap_or_default());
    let strangers = [
        "nobody.1",
        "redriven.999999",
        "redriven",
        "",
        "redriven.",
        "redriven.-1",
    ];
    for stranger in strangers {
        let commit = world.redriving(&[&known, stranger]);
        world.refused(commit, Code::NOT_FOUND).await?;
    }
    ensure!(
        letters(&world).await?.len() == 4,
        "a refused redrive removes dead letters"
    );
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world
        .pull_nothing(&mut attached, "a redrive that was refused")
        .await
}

async fn g6_only_the_named_are_sent(world: World<'_>) -> Checked {
    let buried = bury(&world).await?;
    let named = buried.get(2..3).unwrap_or_default();
    redrive_all(&world, named).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = come(&world, &mut attached, named).await?;
    world.done(NAME, &found).await?;
    let left = letters(&world).await?;
    let left: Vec<_> = left.iter().map(|letter| letter.position).collect();
    ensure!(
        left.len() == 3 && !left.contains(&named.first().copied().unwrap_or_default()),
        "{left:?}"
    );
    Ok(())
}
