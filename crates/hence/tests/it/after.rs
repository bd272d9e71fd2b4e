//! The order between handlers of one event.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hence::{App, Attempt, Failure, HandlerExt, Order, Start, State};

use crate::kit::{Seen, Tick, Tock, letters, log, on_both_engines, tick};

/// Sees what it handles as `first/KEY`; every third event fails at its first attempt.
async fn first(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), &'static str> {
    if tick.number.is_multiple_of(3) && attempt.0 == 1 {
        return Err("stumbled");
    }
    seen.add(&format!("first/{}", tick.key), tick.number);
    Ok(())
}

async fn second(tick: Tick, seen: State<Seen>) {
    seen.add(&format!("second/{}", tick.key), tick.number);
}

async fn third(tick: Tick, seen: State<Seen>) {
    seen.add(&format!("third/{}", tick.key), tick.number);
}

/// Rejects number 1 until it is mended.
async fn broken(tick: Tick, mended: State<Arc<AtomicBool>>) -> Result<(), Failure> {
    if tick.number == 1 && !mended.load(Ordering::Relaxed) {
        return Err(Failure::reject("broken"));
    }
    Ok(())
}

fn quick(options: &mut hence::core::Options) {
    options.retry.first = Duration::from_millis(2);
    options.breaker = None;
}

/// Every event was handled in the order of the edges, and each handler kept the order of each key.
fn assert_after(seen: &Seen, path: &[&str], count: usize) {
    let mut done: HashSet<(usize, u64)> = HashSet::new();
    let mut last = std::collections::HashMap::new();
    for (who, number) in seen.all() {
        let (name, _) = who.split_once('/').unwrap();
        let at = path.iter().position(|step| *step == name).unwrap();
        assert!(
            at == 0 || done.contains(&(at - 1, number)),
            "{who} had {number} too early"
        );
        assert!(done.insert((at, number)), "{who} had {number} twice");
        let before = last.insert(who.clone(), number);
        assert!(
            before.is_none_or(|before| before < number),
            "{who}: {before:?}, then {number}"
        );
    }
    assert_eq!(done.len(), path.len() * count);
}

fn chain(seen: &Seen) -> App {
    // The one that waits is named first: where it stands in the list says nothing.
    App::new("test")
        .state(seen.clone())
        .subscribe("third", third.after("second").from(Start::Earliest))
        .subscribe("second", second.after("first").from(Start::Earliest))
        .subscribe("first", first.with(quick).from(Start::Earliest))
}

on_both_engines! {
    async fn one_that_waits_sees_what_the_other_has_handled(place: Place) {
        let seen = Seen::default();
        let running = place.start(chain(&seen)).await;
        running.publish_all((0..300).map(|n| tick(&format!("key-{}", n % 11), n))).await.unwrap();
        seen.reach(900).await;
        assert_after(&seen, &["first", "second", "third"], 300);
    }

    async fn it_waits_for_a_dead_letter_to_be_handled(place: Place) {
        let (seen, mended) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let app = App::new("test").state(seen.clone()).state(Arc::clone(&mended));
        let app = app.subscribe("broken", broken).subscribe("second", second.after("broken"));
        let running = place.start(app).await;
        running.publish_all([tick("a", 1), tick("a", 2), tick("b", 3)]).await.unwrap();
        seen.reach(1).await;
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(seen.all(), [("second/b".to_owned(), 3)]);
        mended.store(true, Ordering::Relaxed);
        running.redrive(vec![letter.id]).await.unwrap();
        seen.reach(3).await;
        assert_eq!(seen.numbers(), [3, 1, 2]);
    }
}

#[tokio::test]
async fn an_edge_survives_a_restart() {
    let place = log();
    let seen = Seen::default();
    let running = place.start(chain(&seen)).await;
    running
        .publish_all((0..100).map(|n| tick(&format!("key-{}", n % 7), n)))
        .await
        .unwrap();
    // In the middle: some events are handled by all three, some by two, some by one.
    seen.reach(100).await;
    running.drain().await;
    let running = place.start(chain(&seen)).await;
    seen.reach(300).await;
    running.drain().await;
    assert_after(&seen, &["first", "second", "third"], 100);
}

async fn tock(_: Tock) {}

#[derive(hence::Events)]
enum Either {
    Tick(Tick),
    Tock(Tock),
}

async fn both(either: Either) {
    match either {
        Either::Tick(tick) => drop(tick),
        Either::Tock(tock) => drop(tock),
    }
}

#[test]
fn edges_that_cannot_be_kept_are_refused() {
    let refused = |app: App, words: &str| {
        let error = app.check().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let app = || App::new("test").state(Seen::default());
    refused(
        app().subscribe("second", second.after("frist")),
        "'second' is to run after 'frist': there is no such subscription",
    );
    refused(
        app().subscribe("second", second.after("second")),
        "handlers wait for each other: second after second",
    );
    let ring = app()
        .subscribe("first", first.after("third"))
        .subscribe("second", second.after("first"))
        .subscribe("third", third.after("second"));
    refused(ring, "first after third after second after first");
    refused(
        app()
            .subscribe("tock", tock)
            .subscribe("second", second.after("tock")),
        "they have no type in common",
    );
    let wider = app()
        .subscribe("first", first)
        .subscribe("both", both.after("first"));
    refused(wider, "would overtake their keys");
    let loose = app().subscribe("first", first.order(Order::Any));
    refused(
        loose.subscribe("second", second.after("first")),
        "less order",
    );
}

#[test]
fn the_graph_shows_who_waits() {
    let topology = chain(&Seen::default()).topology();
    assert!(topology.to_text().contains("(after second)"));
    assert!(
        topology
            .to_dot()
            .contains("\"second\" -> \"third\" [style=dashed]")
    );
    assert!(topology.to_mermaid().contains(" -.-> "));
}
