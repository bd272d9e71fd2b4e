//! Dead letters that are given up, edited, and found among many.

use std::collections::BTreeMap;

use hence_core::engine::DeliveryState;
use hence_core::{
    Code, Commit, DeadLetter, DeadLetterQuery, Discard, Edit, Message, Outcome, Position,
};

use crate::case::{Need, Violation};
use crate::world::{
    Attached, Checked, TICK, TOCK, World, ended, ensure, ids, keyed, positions, reject, typed, with,
};

const NAME: &str = "given-up";

cases! {
    g5_discard_frees_the_key ["G5"] Need::Nothing;
    discard_ends_a_delivery_for_good [] Need::Nothing;
    discard_survives_a_kill [] Need::Survival;
    discard_twice_does_no_harm [] Need::Nothing;
    an_unknown_dead_letter_cannot_be_discarded [] Need::Nothing;
    a_report_tells_why_it_was_discarded [] Need::Nothing;
    g6_an_edited_copy_takes_the_place ["G6", "G3"] Need::Nothing;
    g6_an_edited_copy_survives_a_kill ["G6", "G1"] Need::Survival;
    g6_an_edited_copy_that_dies_stays_edited ["G6", "G4"] Need::Nothing;
    an_edit_that_does_not_fit_is_refused [] Need::Nothing;
    dead_letters_come_in_pages [] Need::Nothing;
    a_query_of_dead_letters_leaves_out_what_it_says [] Need::Nothing;
    g6_a_redriven_dead_letter_is_listed_until_it_is_done ["G6"] Need::Nothing;
}

async fn letters(world: &World<'_>, wanted: &DeadLetterQuery) -> Checked<Vec<DeadLetter>> {
    Ok(world
        .within("dead letters", world.engine().dead_letters(wanted))
        .await??)
}

/// Two dead letters of the key `k-1` and one of `k-2`, which hold their keys; gives the positions.
async fn bury(world: &World<'_>, attached: &mut Attached) -> Checked<[Position; 3]> {
    let keys = [("a", "k-1"), ("b", "k-1"), ("c", "k-2")];
    world
        .publish(keys.map(|(id, key)| keyed(id, key)).to_vec())
        .await?;
    let deliveries = world.pull(attached, 3).await?;
    for delivery in &deliveries {
        world.settle(NAME, delivery, reject("broken", true)).await?;
    }
    let buried = positions(&deliveries);
    <[Position; 3]>::try_from(buried).map_err(|_| Violation::new("three were published"))
}

async fn buried(world: &World<'_>) -> Checked<[Position; 3]> {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    bury(world, &mut attached).await
}

fn discarding(world: &World<'_>, positions: &[Position]) -> Commit {
    let discard = |position: &Position| Discard {
        id: format!("{NAME}.{position}"),
        reason: "the customer is gone".to_owned(),
    };
    Commit {
        discard: positions.iter().map(discard).collect(),
        ..world.step(Vec::new(), Vec::new())
    }
}

fn editing(world: &World<'_>, position: Position, message: Message) -> Commit {
    Commit {
        edit: vec![Edit {
            id: format!("{NAME}.{position}"),
            message,
        }],
        ..world.step(Vec::new(), Vec::new())
    }
}

/// A copy of the first event that is buried.
fn copy() -> Message {
    let copy = keyed("a-edited", "k-1");
    with(copy, "causationid", "a")
}

async fn g5_discard_frees_the_key(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let [first, second, third] = bury(&world, &mut attached).await?;
    world.commit(discarding(&world, &[first, third])).await?;
    let woken = world.within("next", attached.deliveries.next(10)).await??;
    ensure!(woken.is_empty(), "a discard delivers {:?}", ids(&woken));
    let key = |key: &str| Some(key.to_owned());
    let wanted = BTreeMap::from([(first, key("k-1")), (third, key("k-2"))]);
    let released = attached.deliveries.released();
    ensure!(released == wanted, "released are {released:?}");
    let again = attached.deliveries.released();
    ensure!(again.is_empty(), "{again:?} are released twice");
    drop(attached);
    let attached = world.attach(NAME, &[TICK]).await?;
    let held = attached.deliveries.held();
    ensure!(
        held == BTreeMap::from([(second, key("k-1"))]),
        "held are {held:?}"
    );
    Ok(())
}

/// Only the second is left, and nothing is delivered.
async fn one_is_left(world: &World<'_>, second: Position) -> Checked {
    let left = letters(world, &DeadLetterQuery::default()).await?;
    let left: Vec<_> = left.iter().map(|letter| letter.position).collect();
    ensure!(left == [second], "left are {left:?}");
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.pull_nothing(&mut attached, "after a discard").await?;
    let report = world.engine().subscriptions();
    let report = report.iter().find(|report| report.name == NAME);
    let stands = report.map(|report| (report.dead, report.lag));
    ensure!(
        stands == Some((1, 0)),
        "dead letters and lag are {stands:?}"
    );
    Ok(())
}

async fn discard_ends_a_delivery_for_good(world: World<'_>) -> Checked {
    let [first, second, third] = buried(&world).await?;
    // One that was sent again is given up like any other.
    world.redrive(&[&format!("{NAME}.{third}")]).await?;
    world.commit(discarding(&world, &[first, third])).await?;
    for gone in [first, third] {
        let id = format!("{NAME}.{gone}");
        let found = world.engine().dead_letter(&id).await;
        let code = found.map(drop).map_err(|error| error.code());
        ensure!(
            code == Err(Code::NOT_FOUND),
            "'{id}' was discarded: {code:?}"
        );
    }
    one_is_left(&world, second).await
}

async fn discard_survives_a_kill(world: World<'_>) -> Checked {
    let [first, second, third] = buried(&world).await?;
    world.commit(discarding(&world, &[first, third])).await?;
    let world = world.killed().await?;
    one_is_left(&world, second).await?;
    let world = world.reopened().await?;
    one_is_left(&world, second).await
}

async fn discard_twice_does_no_harm(world: World<'_>) -> Checked {
    let [first, second, third] = buried(&world).await?;
    for _ in 0..2 {
        world
            .commit(discarding(&world, &[first, third, third]))
            .await?;
    }
    // What is discarded cannot be brought back, and asking for it is no error.
    world.redrive(&[&format!("{NAME}.{first}")]).await?;
    one_is_left(&world, second).await
}

async fn an_unknown_dead_letter_cannot_be_discarded(world: World<'_>) -> Checked {
    let buried = buried(&world).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.publish_one(keyed("open", "k-3")).await?;
    let open = world.pull(&mut attached, 1).await?;
    let open = positions(&open).first().copied().unwrap_or_default();
    for stranger in [open, Position(0), Position(999_999)] {
        let commit = discarding(&world, &[buried[0], stranger]);
        world.refused(commit, Code::NOT_FOUND).await?;
    }
    let left = letters(&world, &DeadLetterQuery::of(NAME)).await?.len();
    ensure!(left == 3, "a refused discard leaves {left} of three");
    Ok(())
}

async fn a_report_tells_why_it_was_discarded(world: World<'_>) -> Checked {
    let [first, ..] = buried(&world).await?;
    world.commit(discarding(&world, &[first])).await?;
    let report = world.engine().report(first).await?;
    let own = report.iter().find(|report| report.subscription == NAME);
    let own = own.ok_or_else(|| Violation::new("no report"))?;
    ensure!(
        own.state == DeliveryState::Discarded,
        "it is {:?}",
        own.state
    );
    let told: Vec<_> = own
        .attempts
        .iter()
        .map(|attempt| (attempt.outcome, attempt.error.as_str()))
        .collect();
    let wanted = [("reject", "broken"), ("discarded", "the customer is gone")];
    ensure!(told == wanted, "told are {told:?}");
    Ok(())
}

/// The copy comes in the place of the first, and in front of what was behind it.
async fn copy_comes(world: &World<'_>, attached: &mut Attached, first: Position) -> Checked {
    let found = world.pull_all(attached).await?;
    let [delivery] = found.as_slice() else {
        return Err(Violation::new(format!("delivered are {:?}", ids(&found))));
    };
    ensure!(
        delivery.redriven && delivery.position == first,
        "it is {delivery:?}"
    );
    ensure!(delivery.message == copy(), "it is {:?}", delivery.message);
    Ok(())
}

async fn g6_an_edited_copy_takes_the_place(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let [first, ..] = bury(&world, &mut attached).await?;
    world.commit(editing(&world, first, copy())).await?;
    // The same edit again, as after an answer that was lost.
    world.commit(editing(&world, first, copy())).await?;
    copy_comes(&world, &mut attached, first).await?;
    drop(attached);
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let found = world.pull(&mut attached, 1).await?;
    ensure!(
        ids(&found) == ["a-edited"],
        "after a detach: {:?}",
        ids(&found)
    );
    let held = attached.deliveries.held();
    ensure!(held.contains_key(&first), "its place is not held: {held:?}");
    world.done(NAME, &found).await?;
    let left = letters(&world, &DeadLetterQuery::default()).await?.len();
    ensure!(left == 2, "{left} are left of two");
    let entry = world.engine().get(first).await?;
    let id = entry.message.attributes().id();
    ensure!(id == "a", "the original has become '{id}'");
    Ok(())
}

async fn g6_an_edited_copy_survives_a_kill(world: World<'_>) -> Checked {
    let [first, ..] = buried(&world).await?;
    world.commit(editing(&world, first, copy())).await?;
    let world = world.killed().await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    copy_comes(&world, &mut attached, first).await?;
    drop(attached);
    let world = world.reopened().await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    copy_comes(&world, &mut attached, first).await
}

async fn g6_an_edited_copy_that_dies_stays_edited(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let [first, ..] = bury(&world, &mut attached).await?;
    world.commit(editing(&world, first, copy())).await?;
    let found = world.pull(&mut attached, 1).await?;
    let settle = found
        .iter()
        .map(|delivery| ended(NAME, delivery, reject("still", true)));
    world
        .commit(world.step(settle.collect(), Vec::new()))
        .await?;
    let id = format!("{NAME}.{first}");
    let (letter, message) = world.engine().dead_letter(&id).await?;
    ensure!(message == copy(), "its message is {message:?}");
    ensure!(letter.edited && letter.error == "still", "it is {letter:?}");
    // As often as need be.
    let second = with(copy(), "turn", "2");
    world.commit(editing(&world, first, second.clone())).await?;
    let found = world.pull(&mut attached, 1).await?;
    let sent = found.first().map(|delivery| &delivery.message);
    ensure!(sent == Some(&second), "the second copy is {sent:?}");
    Ok(())
}

async fn an_edit_that_does_not_fit_is_refused(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let [first, ..] = bury(&world, &mut attached).await?;
    let misfits = [
        keyed("other-key", "k-2"),
        typed("no-key", TICK),
        with(typed("other-type", TOCK), "partitionkey", "k-1"),
    ];
    for misfit in misfits {
        world
            .refused(editing(&world, first, misfit), Code::EDIT)
            .await?;
    }
    let nobody = editing(&world, Position(999_999), copy());
    world.refused(nobody, Code::NOT_FOUND).await?;
    world
        .pull_nothing(&mut attached, "edits that were refused")
        .await?;
    world.redrive(&[&format!("{NAME}.{first}")]).await?;
    let found = world.pull(&mut attached, 1).await?;
    world
        .refused(editing(&world, first, copy()), Code::EDIT)
        .await?;
    world.done(NAME, &found).await?;
    let late = editing(&world, first, copy());
    world.refused(late, Code::NOT_FOUND).await.map(drop)
}

async fn dead_letters_come_in_pages(world: World<'_>) -> Checked {
    let buried = buried(&world).await?;
    let mut query = DeadLetterQuery {
        limit: 2,
        ..DeadLetterQuery::of(NAME)
    };
    let mut seen = Vec::new();
    for wanted in [2, 1, 0] {
        let page = letters(&world, &query).await?;
        ensure!(page.len() == wanted, "{} in place of {wanted}", page.len());
        seen.extend(page.iter().map(|letter| letter.position));
        query.after = page.last().map(DeadLetter::place).or(query.after);
    }
    ensure!(seen == buried, "the pages have {seen:?}");
    // What was listed is what a second look finds, up to there.
    let upto = DeadLetterQuery {
        upto: query.after.take(),
        ..DeadLetterQuery::default()
    };
    let mut attached = world.attach(NAME, &[TICK]).await?;
    world.publish_one(keyed("late", "k-4")).await?;
    for delivery in world.pull(&mut attached, 1).await? {
        world.settle(NAME, &delivery, reject("late", false)).await?;
    }
    let frozen = letters(&world, &upto).await?.len();
    ensure!(frozen == 3, "up to the third there are {frozen}");
    Ok(())
}

async fn a_query_of_dead_letters_leaves_out_what_it_says(world: World<'_>) -> Checked {
    let [first, second, third] = buried(&world).await?;
    let all = letters(&world, &DeadLetterQuery::default()).await?;
    let print = all.first().map(DeadLetter::fingerprint);
    let since = all.first().map(|letter| letter.since);
    let any = DeadLetterQuery::default;
    let wanted: [(DeadLetterQuery, &[Position]); 6] = [
        (
            DeadLetterQuery {
                key: Some("k-2".into()),
                ..any()
            },
            &[third],
        ),
        (
            DeadLetterQuery {
                event_type: Some(TOCK.into()),
                ..any()
            },
            &[],
        ),
        (
            DeadLetterQuery {
                fingerprint: print,
                ..any()
            },
            &[first, second, third],
        ),
        (
            DeadLetterQuery {
                fingerprint: Some(hence_core::Fingerprint(1)),
                ..any()
            },
            &[],
        ),
        (DeadLetterQuery { since, ..any() }, &[first, second, third]),
        (
            DeadLetterQuery {
                until: since,
                ..any()
            },
            &[],
        ),
    ];
    for (query, wanted) in wanted {
        let found = letters(&world, &query).await?;
        let found: Vec<_> = found.iter().map(|letter| letter.position).collect();
        ensure!(found == wanted, "{query:?} finds {found:?}");
    }
    let unknown = DeadLetterQuery::of("nobody");
    let unknown = world.engine().dead_letters(&unknown).await;
    let code = unknown.map(drop).map_err(|error| error.code());
    ensure!(code == Err(Code::NOT_FOUND), "of nobody: {code:?}");
    Ok(())
}

async fn g6_a_redriven_dead_letter_is_listed_until_it_is_done(world: World<'_>) -> Checked {
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let [first, second, _] = bury(&world, &mut attached).await?;
    world.redrive(&[&format!("{NAME}.{second}")]).await?;
    let sent = DeadLetterQuery {
        redriven: Some(true),
        ..DeadLetterQuery::default()
    };
    let sent = letters(&world, &sent).await?;
    let sent: Vec<_> = sent.iter().map(|letter| letter.position).collect();
    ensure!(sent == [second], "sent again are {sent:?}");
    let listed = |all: &[DeadLetter]| -> Vec<_> {
        let of = |letter: &DeadLetter| (letter.position, letter.redriven);
        all.iter().map(of).take(2).collect()
    };
    let all = letters(&world, &DeadLetterQuery::default()).await?;
    let wanted = [(first, false), (second, true)];
    ensure!(listed(&all) == wanted, "listed are {:?}", listed(&all));
    let found = world.pull(&mut attached, 1).await?;
    let delivery = found.first().ok_or_else(|| Violation::new("no delivery"))?;
    world.settle(NAME, delivery, Outcome::Done).await?;
    let all = letters(&world, &DeadLetterQuery::default()).await?;
    let left: Vec<_> = all.iter().map(|letter| letter.position).collect();
    ensure!(
        !left.contains(&second),
        "it is done, and {left:?} are listed"
    );
    Ok(())
}
