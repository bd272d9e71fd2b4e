//! The wiring: one check, one error with every problem.

use std::time::Duration;

use hence::{App, Batch, HandlerExt, Publisher, State};

use crate::kit::{Seen, Tick, Tock};

async fn see(_: Tick, _: State<Seen>) {}
async fn forward(tick: Tick) -> Tock {
    Tock {
        key: tick.key,
        number: tick.number,
    }
}
async fn back(tock: Tock, _publisher: Publisher<Tick>) -> Result<(), String> {
    drop(tock);
    Ok(())
}
async fn many(_: Batch<Tick>) {}

#[test]
fn the_topology_comes_from_the_signatures() {
    let app = App::new("test")
        .subscribe("forward", forward)
        .subscribe("back", back);
    let topology = app.topology();
    assert_eq!(topology.types.len(), 2);
    assert!(topology.types.iter().all(|kind| kind.keyed));
    assert_eq!(topology.subscriptions[0].emits, ["test.tock"]);
    assert_eq!(topology.subscriptions[1].emits, ["test.tick"]);
    assert!(topology.orphans().is_empty());
    assert!(topology.to_mermaid().contains("n0 --> n"));
    assert!(topology.to_text().contains("forward → test.tock"));
}

#[test]
fn a_graph_shows_what_is_not_as_usual() {
    let handler = forward.concurrency(3).throttle(5, Duration::from_secs(2));
    let handler = handler.with(|options| options.breaker = None);
    let app = App::new("test").subscribe("forward", handler);
    let topology = app.subscribe("back", back).topology();
    let changes: Vec<_> = topology.subscriptions[0].changes().into_iter().collect();
    let wanted = [
        ("breaker", "off"),
        ("concurrency", "3"),
        ("throttle.calls", "5"),
        ("throttle.per", "2s"),
    ];
    assert_eq!(changes, wanted);
    assert!(topology.subscriptions[1].changes().is_empty());
    let text = topology.to_text();
    let line =
        "forward [breaker off, concurrency 3, throttle.calls 5, throttle.per 2s] → test.tock";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("    back →"), "{text}");
    let mermaid = topology.to_mermaid();
    assert!(
        mermaid.contains("\"forward<br/>breaker off<br/>"),
        "{mermaid}"
    );
    assert!(
        topology
            .to_dot()
            .contains(r#"label="forward\nbreaker off\n"#)
    );
}

#[test]
fn a_type_that_is_named_twice_stands_once_in_the_topology() {
    let both = async |_: Tick, _: Publisher<Tock>, _: Publisher<Tick>, _: Publisher<Tock>| {};
    let topology = App::new("test").subscribe("both", both).topology();
    assert_eq!(topology.subscriptions[0].emits, ["test.tock", "test.tick"]);
}

#[test]
fn one_error_lists_every_problem() {
    let app = App::new("Test & Co")
        .subscribe("see", see)
        .subscribe("see", many)
        .subscribe(
            "Not A Name",
            forward.concurrency(0).retry(0).timeout(Duration::ZERO),
        )
        .subscribe("back", back)
        .configure("nobody", |options| options.concurrency = 1);
    let error = app.check().unwrap_err();
    assert_eq!(error.code().as_str(), "HN0301");
    let text = error.to_string();
    for part in [
        "'Test & Co' cannot name an application",
        "there is no subscription 'nobody'",
        "two subscriptions are named 'see'",
        "'see' needs State<",
        "'Not A Name' cannot name a subscription",
        "concurrency = 0: must be a whole number from 1",
        "retry.attempts = 0: must be a whole number from 1",
        "timeout = 0us: must be at least 1ms",
        "Not A Name → test.tock → back → test.tick → Not A Name",
    ] {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[test]
fn what_makes_no_sense_for_a_batch_is_refused() {
    use hence::core::flow::{Shedding, While};
    let handler = many
        .limit("key", 0)
        .fair("key", [])
        .shed(Duration::ZERO, Shedding::Later)
        .singleton("No Name", While::Cancel);
    let error = App::new("test").subscribe("many", handler).check();
    let text = error.unwrap_err().to_string();
    for part in [
        "limit.most = 0",
        "shed.wait = 0us",
        "singleton.by = No Name",
        "limit speaks of one event",
        "fair speaks of one event",
        "shed speaks of one event",
        "singleton.then = cancel speaks of one event",
    ] {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    let error = App::new("test")
        .start("carrier-pigeon://coop")
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "HN0201");
}
