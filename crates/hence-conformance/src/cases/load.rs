//! Load: everything at once, and a kill in the middle of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use hence_core::{Code, Commit, Delivery, Durability, Engine, Error, Outcome, Position, Start};
use tokio::task::JoinSet;

use crate::case::{Need, Violation};
use crate::world::{
    Checked, TICK, TOCK, World, ended, ensure, event, holding, keyed, poll_times, spec, typed,
};

/// Handled events after which the engine is killed.
const HANDLED_BEFORE_KILL: usize = 200;
/// How often the engine is killed.
const KILLS: usize = 3;
const PUBLISHERS: usize = 8;
const NAME: &str = "worker";

cases! {
    g7_kills_under_load_keep_effects_and_progress_together ["G7", "G1", "G2"] Need::Survival;
    g9_the_same_event_many_times_at_once_is_stored_once ["G9"] Need::Nothing;
    of_two_that_contradict_one_is_stored ["G14"] Need::Nothing;
    g13_what_failed_is_not_known_afterwards ["G13", "G9"] Need::BrokenStorage;
}

/// Publishes until the engine ends; tells what was acknowledged.
async fn publish(
    engine: Arc<dyn Engine>,
    prefix: String,
    level: Durability,
    acknowledged: tokio::sync::mpsc::UnboundedSender<String>,
) -> Result<(), Error> {
    for number in 0.. {
        let id = format!("{prefix}-{number}");
        let message = keyed(&id, &format!("key-{}", number % 5));
        engine.commit(Commit::publish(vec![message], level)).await?;
        if acknowledged.send(id).is_err() {
            break;
        }
    }
    Ok(())
}

/// Handles deliveries, each with one effect, until it has done its share; tells which were settled.
async fn work(engine: Arc<dyn Engine>, level: Durability) -> Result<BTreeSet<String>, Error> {
    let mut deliveries = engine
        .subscribe(spec(NAME, &[TICK], Start::Earliest))
        .await?;
    let mut settled = BTreeSet::new();
    let handle = |delivery: &Delivery| {
        let id = delivery.message.attributes().id();
        engine.commit(Commit {
            settle: vec![ended(NAME, delivery, Outcome::Done)],
            publish: vec![typed(&format!("effect-of-{id}"), TOCK)],
            durability: level,
            ..Commit::default()
        })
    };
    while settled.len() < HANDLED_BEFORE_KILL {
        let pulled = deliveries.next(16).await?;
        for (delivery, answer) in pulled.iter().zip(join_all(pulled.iter().map(handle)).await) {
            answer?;
            settled.insert(delivery.message.attributes().id().to_owned());
        }
    }
    // The last handful is given up on its way.
    for delivery in &deliveries.next(16).await? {
        drop(poll_times(1, handle(delivery)).await);
    }
    Ok(settled)
}

/// Runs publishers and a worker, stops them wherever they are, and tells what they know.
async fn run(world: &World<'_>, round: usize) -> Checked<(BTreeSet<String>, BTreeSet<String>)> {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{round}-{publisher}");
        publishers.spawn(publish(world.shared(), prefix, world.level(), told.clone()));
    }
    drop(told);
    let settled = world
        .within("a worker", work(world.shared(), world.level()))
        .await??;
    publishers.shutdown().await;
    let mut acknowledged = BTreeSet::new();
    while let Some(id) = heard.recv().await {
        acknowledged.insert(id);
    }
    Ok((acknowledged, settled))
}

/// What is stored, open and settled fits together.
async fn fits(
    world: &World<'_>,
    acknowledged: &BTreeSet<String>,
    settled: &BTreeSet<String>,
) -> Checked {
    let mut places: BTreeMap<String, Position> = BTreeMap::new();
    for entry in world.read_all().await? {
        let id = entry.message.attributes().id().to_owned();
        let twice = places.insert(id, entry.position);
        ensure!(
            twice.is_none(),
            "an event is stored twice, at {twice:?} and {}",
            entry.position
        );
    }
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !places.contains_key(*id))
        .collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let mut attached = world.attach(NAME, &[TICK]).await?;
    // A fence would have to wait where the backlog is full, so the lag says how many are open.
    let known = world.engine().subscriptions();
    let lag = known
        .iter()
        .find(|report| report.name == NAME)
        .map_or(0, |report| report.lag);
    let open = world
        .pull(&mut attached, usize::try_from(lag).unwrap_or(0))
        .await?;
    let open: BTreeSet<_> = crate::world::ids(&open).into_iter().collect();
    for id in places.keys().filter(|id| !id.starts_with("effect-of-")) {
        let has_effect = places.contains_key(&format!("effect-of-{id}"));
        let is_open = open.contains(id.as_str());
        ensure!(
            has_effect != is_open,
            "'{id}': open is {is_open}, its effect is {has_effect}"
        );
        ensure!(
            has_effect || !settled.contains(id),
            "'{id}' was settled, and is open again"
        );
    }
    Ok(())
}

async fn g7_kills_under_load_keep_effects_and_progress_together(mut world: World<'_>) -> Checked {
    let (mut acknowledged, mut settled) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..KILLS {
        let (more_acknowledged, more_settled) = run(&world, round).await?;
        acknowledged.extend(more_acknowledged);
        settled.extend(more_settled);
        world = world.killed().await?;
        fits(&world, &acknowledged, &settled).await?;
    }
    Ok(())
}

async fn g9_the_same_event_many_times_at_once_is_stored_once(world: World<'_>) -> Checked {
    let level = world.level();
    let commit = |_| {
        world
            .engine()
            .commit(Commit::publish(vec![event("same")], level))
    };
    let answers = world
        .within("20 at once", join_all((0..20).map(commit)))
        .await?;
    let mut places = BTreeSet::new();
    let mut first = 0;
    for answer in answers {
        for receipt in answer? {
            places.insert(world.position(&receipt).await?);
            first += usize::from(!receipt.duplicate && receipt.position.is_some());
        }
    }
    ensure!(places.len() == 1, "the same event stands at {places:?}");
    ensure!(first <= 1, "{first} receipts say that theirs was the first");
    let stored = world.read_all().await?;
    ensure!(
        stored.len() == 1,
        "the same event is stored {} times",
        stored.len()
    );
    Ok(())
}

async fn of_two_that_contradict_one_is_stored(world: World<'_>) -> Checked {
    let level = world.level();
    let say = |number: usize| holding(&event("said"), Some(Bytes::from(format!("{number}"))));
    let commit = |number| {
        world
            .engine()
            .commit(Commit::publish(vec![say(number)], level))
    };
    let answers = world
        .within("10 at once", join_all((0..10).map(commit)))
        .await?;
    let mut taken = Vec::new();
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(_) => taken.push(number),
            Err(error) => {
                ensure!(error.code() == Code::DUPLICATE, "refused with '{error}'");
            }
        }
    }
    ensure!(
        taken.len() == 1,
        "ten contradict one another, and {taken:?} are acknowledged"
    );
    let stored = world.read_all().await?;
    let kept = stored.iter().map(|entry| entry.message.clone());
    let wanted = taken.iter().map(|number| say(*number));
    ensure!(
        kept.eq(wanted),
        "acknowledged is {taken:?}, stored is {:?}",
        stored
    );
    Ok(())
}

async fn g13_what_failed_is_not_known_afterwards(world: World<'_>) -> Checked {
    ensure!(
        world.harness().fail_storage(world.instance()),
        "the storage could not be broken"
    );
    for _ in 0..3 {
        let commit = Commit::publish(vec![event("failed")], world.level());
        let answer = world
            .within("commit", world.engine().commit(commit))
            .await?;
        ensure!(
            answer.is_err(),
            "what storage refused is acknowledged as known"
        );
    }
    let world = world.killed().await?;
    let receipts = world
        .commit(Commit::publish(vec![event("failed")], world.level()))
        .await?;
    let receipt = receipts
        .first()
        .ok_or_else(|| Violation::new("no receipt"))?;
    ensure!(
        !receipt.duplicate,
        "what was never stored counts as a duplicate"
    );
    ensure!(
        world.knows("failed").await?,
        "a receipt, and it is not stored"
    );
    Ok(())
}
