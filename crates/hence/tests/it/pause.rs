//! A subscription that somebody has paused: its events wait, in their order, also over a restart.

use std::sync::Arc;

use hence::core::Position;
use hence::core::notice::{SubscriptionPaused, SubscriptionResumed};
use hence::explain::Stop;
use hence::pause::Paused;
use hence::{App, HandlerExt, Running, State};
use tokio::sync::Semaphore;

use crate::kit::{Seen, Tick, follow, holds, log, on_both_engines, tick};

async fn work(event: Tick, seen: State<Seen>) {
    seen.add(&event.key, event.number);
}

/// What handles beside it, and so shows that its turn would have come.
#[derive(Clone, Default)]
struct Other(Seen);

async fn other(event: Tick, other: State<Other>) {
    other.0.add(&event.key, event.number);
}

fn app(seen: &Seen, beside: &Other) -> App {
    App::new("test")
        .state(seen.clone())
        .state(beside.clone())
        .subscribe("work", work)
        .subscribe("other", other)
}

/// What stops "work", as the event at a position is told.
async fn stops(running: &Running, position: u64) -> Vec<Stop> {
    let explained = running.explainer().explain(Position(position)).await;
    let mut verdicts = explained.unwrap().verdicts.into_iter();
    let work = verdicts.find(|one| one.subscription == "work").unwrap();
    work.standing.unwrap().stops
}

on_both_engines! {
    async fn a_paused_subscription_begins_no_call_and_keeps_the_order(place: Place) {
        let (seen, beside) = (Seen::default(), Other::default());
        let running = place.start(app(&seen, &beside)).await;
        let pauser = running.pauser();
        let paused = pauser.pause("work", "ops", "the bank\nis closed").await.unwrap();
        assert_eq!(pauser.paused("work"), Some(paused.clone()));
        assert_eq!(pauser.paused("other"), None);
        let ticks = [("a", 1), ("b", 1), ("a", 2), ("a", 3)].map(|(key, number)| tick(key, number));
        let receipts = running.publish_all(ticks).await.unwrap();
        beside.0.reach(4).await;
        assert_eq!(seen.all(), []);
        let last = receipts[3].position.unwrap().0;
        assert_eq!(stops(&running, last).await, [Stop::Asked(paused.clone())]);
        // Whoever comes second is told who came first.
        assert_eq!(pauser.pause("work", "you", "me too").await.unwrap(), paused);
        assert_eq!(pauser.resume("work", "night").await.unwrap(), Some(paused.clone()));
        assert_eq!(pauser.resume("work", "ops").await.unwrap(), None);
        seen.reach(4).await;
        let of_a: Vec<_> = seen.all().into_iter().filter(|(key, _)| key == "a").collect();
        assert_eq!(of_a.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3]);
        let mut reader = follow(&running).await;
        let mut told = Vec::new();
        while told.len() < 6 {
            told.extend(reader.next(6 - told.len()).await.unwrap());
        }
        let subscription = || "work".to_owned();
        let said: SubscriptionPaused = told[0].message.decode().unwrap();
        let (kind, limit) = ("paused-by".to_owned(), paused.to_string());
        assert_eq!(said, SubscriptionPaused { subscription: subscription(), kind, limit });
        let said: SubscriptionResumed = told[5].message.decode().unwrap();
        let (was, by) = ("paused-by".to_owned(), "night".to_owned());
        assert_eq!(said, SubscriptionResumed { subscription: subscription(), was, by });
        let unknown = pauser.pause("wrok", "ops", "").await.unwrap_err();
        assert_eq!(unknown.code().as_str(), "HN0211");
        running.drain().await;
    }

    async fn what_is_with_its_handler_ends_and_the_next_of_its_key_waits(place: Place) {
        #[derive(Clone)]
        struct Gate(Arc<Semaphore>, Arc<Semaphore>);
        async fn slow(_: Tick, gate: State<Gate>) {
            gate.0.add_permits(1);
            gate.1.acquire().await.unwrap().forget();
        }
        let gate = Gate(Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let app = App::new("test").state(gate.clone()).subscribe("slow", slow.concurrency(4));
        let running = place.start(app).await;
        running.publish_all([tick("a", 1), tick("a", 2)]).await.unwrap();
        gate.0.acquire().await.unwrap().forget();
        running.pauser().pause("slow", "ops", "").await.unwrap();
        gate.1.add_permits(2);
        holds("the first to be done", || running.metrics()["slow"].done() == 1).await;
        // Asked again, the pump has had its turn.
        running.explainer().explain(Position(2)).await.unwrap();
        let metrics = &running.metrics()["slow"];
        assert_eq!((metrics.done(), metrics.running()), (1, 0));
        running.pauser().resume("slow", "ops").await.unwrap();
        holds("the second to be done", || running.metrics()["slow"].done() == 2).await;
        running.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_subscription_stays_so_over_a_restart() {
    let place = log();
    let (seen, beside) = (Seen::default(), Other::default());
    let running = place.start(app(&seen, &beside)).await;
    let paused = running.pauser().pause("work", "ops", "two\nlines").await;
    let paused: Paused = paused.unwrap();
    running.publish(tick("a", 1)).await.unwrap();
    beside.0.reach(1).await;
    running.drain().await;
    let running = place.start(app(&seen, &beside)).await;
    assert_eq!(running.pauser().paused("work"), Some(paused.clone()));
    running.publish(tick("a", 2)).await.unwrap();
    beside.0.reach(2).await;
    assert_eq!(stops(&running, 2).await, [Stop::Asked(paused)]);
    assert_eq!(seen.all(), []);
    running.pauser().resume("work", "ops").await.unwrap();
    seen.reach(2).await;
    assert_eq!(seen.numbers(), [1, 2]);
    running.drain().await;
    let running = place.start(app(&seen, &beside)).await;
    assert_eq!(running.pauser().paused("work"), None);
    running.publish(tick("a", 3)).await.unwrap();
    seen.reach(3).await;
    running.drain().await;
}

#[test]
fn what_earlier_versions_said_of_a_pause_is_still_read() {
    let paused = r#"{"subscription":"work","limit":"1000 events of one key"}"#;
    let paused: SubscriptionPaused = serde_json::from_str(paused).unwrap();
    assert_eq!(paused.kind, "");
    let resumed = r#"{"subscription":"work","was":"paused"}"#;
    let resumed: SubscriptionResumed = serde_json::from_str(resumed).unwrap();
    assert_eq!((&*resumed.was, &*resumed.by), ("paused", ""));
}
