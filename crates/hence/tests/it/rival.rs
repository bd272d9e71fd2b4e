//! What another framework does with a message that fails, and what happens here instead: one test
//! for each situation that was measured there (RustStream 0.7.7, November 2026).

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hence::core::{Attributes, Message, Position, RejectReason};
use hence::{App, Attempt, Failure, Handler, HandlerExt, Running, State};

use crate::kit::{Seen, Tick, letters, limited, log, memory, on_both_engines, tick};

/// A database that is down for the first attempt at number 2.
async fn flaky(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), std::io::Error> {
    if tick.number == 2 && attempt.0 == 1 {
        return Err(std::io::Error::other("db is down"));
    }
    seen.add(&tick.key, tick.number);
    Ok(())
}

/// As `flaky`; it says itself when to try again.
async fn later(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), Failure> {
    if attempt.0 == 1 {
        seen.add("asked to wait", tick.number);
        return Err(Failure::retry_after(Duration::from_millis(300), "not now"));
    }
    seen.add(&tick.key, tick.number);
    Ok(())
}

async fn panics_at_2(tick: Tick, seen: State<Seen>) {
    assert_ne!(tick.number, 2, "poison");
    seen.add(&tick.key, tick.number);
}

async fn never(_: Tick, calls: State<AtomicU64>) -> Result<(), &'static str> {
    calls.fetch_add(1, SeqCst);
    Err("never")
}

async fn hangs(_: Tick, seen: State<Seen>) {
    seen.add("begun", 0);
    std::future::pending::<()>().await;
}

fn quick<A: 'static>(handler: impl Handler<A>) -> impl Handler<A> {
    handler.with(|options| {
        options.retry.first = Duration::from_millis(2);
        options.breaker = None;
    })
}

async fn one_to_five(running: &Running) {
    running
        .publish_all((1..=5).map(|n| tick("k", n)))
        .await
        .unwrap();
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// There: the next message at once, nothing logged even at `trace`, the error value discarded.
#[tokio::test]
async fn an_error_is_logged_with_its_text_and_tried_again() {
    limited("an_error_is_logged", async {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .finish();
        let _logs = tracing::subscriber::set_default(subscriber);
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let running = memory().start(app.subscribe("flaky", quick(flaky))).await;
        one_to_five(&running).await;
        seen.reach(5).await;
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("attempt failed") && text.contains("db is down"),
            "{text}"
        );
    })
    .await;
}

/// There: a durable broker is told to forget the message after one error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_not_forgotten_over_a_restart() {
    limited("an_error_is_not_forgotten", async {
        let (place, seen) = (log(), Seen::default());
        let handler = || later.with(|options| options.breaker = None);
        let app = || {
            App::new("test")
                .state(seen.clone())
                .subscribe("later", handler())
        };
        let running = place.start(app()).await;
        running.publish(tick("k", 2)).await.unwrap();
        seen.reach(1).await;
        running.drain().await;
        let running = place.start(app()).await;
        seen.reach(2).await;
        assert_eq!(seen.all()[1], ("k".to_owned(), 2));
        running.drain().await;
    })
    .await;
}

on_both_engines! {
    /// There: one warning without payload or id, and the message is dropped or terminated.
    async fn what_does_not_decode_is_a_dead_letter_with_its_bytes(place: Place) {
        let app = App::new("test").state(Seen::default()).subscribe("flaky", flaky);
        let running = place.start(app).await;
        let attributes = Attributes::new("1", "/test", "test.tick").unwrap();
        let message = Message::new(attributes, Some("{\"key\":".into()));
        running.commit(vec![message], running.durability()).await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(letter.reason, RejectReason::Undecodable);
        let (_, message) = running.dead_letter(&letter.id).await.unwrap();
        assert_eq!(message.data().unwrap().as_ref(), b"{\"key\":");
        assert!(!letter.error.is_empty());
    }

    /// There: the service stops with exit code 1, and what is queued is not handled.
    async fn a_panic_fails_one_attempt_and_others_go_on(place: Place) {
        let seen = Seen::default();
        let handler = quick(panics_at_2.retry(2));
        let app = App::new("test").state(seen.clone()).subscribe("panics", handler);
        let running = place.start(app).await;
        running.publish_all((1..=5).map(|n| tick(&n.to_string(), n))).await.unwrap();
        seen.reach(4).await;
        let letter = letters(&running, 1).await.remove(0);
        assert!(letter.error.contains("poison"), "{}", letter.error);
        assert_eq!(letter.attempts, 2);
        let mut numbers = seen.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 3, 4, 5]);
    }

    /// There: handled 1, 3, 4, 5, 2, in memory and on JetStream.
    async fn a_retried_event_keeps_its_place_in_its_key(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("flaky", quick(flaky));
        let running = place.start(app).await;
        one_to_five(&running).await;
        seen.reach(5).await;
        assert_eq!(seen.numbers(), [1, 2, 3, 4, 5]);
    }

    /// There: `retry_after` does not hold the lane either: 1, 3, 4, 5, then 2.
    async fn a_delayed_retry_holds_its_key(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("later", later);
        let running = place.start(app).await;
        running.publish_all((1..=3).map(|n| tick("k", n))).await.unwrap();
        seen.reach(6).await;
        let handled = seen.all().into_iter().filter(|(who, _)| who == "k");
        assert_eq!(handled.map(|(_, number)| number).collect::<Vec<_>>(), [1, 2, 3]);
    }

    /// There: the original is removed first and the copy published second, as a message to a name
    /// that perhaps nobody listens to, without reason, name or time.
    async fn a_dead_letter_keeps_what_it_was_and_why(place: Place) {
        let app = App::new("test").state(AtomicU64::new(0)).subscribe("never", quick(never.retry(3)));
        let running = place.start(app).await;
        let receipt = running.publish(tick("k", 9)).attribute("colour", "red").await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!((letter.subscription.as_str(), letter.attempts), ("never", 3));
        assert_eq!((letter.error.as_str(), letter.reason), ("never", RejectReason::RetriesExhausted));
        let (_, message) = running.dead_letter(&letter.id).await.unwrap();
        assert_eq!(message.attributes().id(), receipt.id());
        assert_eq!(letter.key.as_deref(), Some("k"));
        assert!(letter.since.as_micros() > 0);
        let entry = running.engine().get(letter.position).await.unwrap();
        assert_eq!(entry.message.data(), message.data());
    }

    /// There: `Ok(())`, and the message is nowhere.
    async fn what_nobody_wants_is_stored_and_shown_as_an_orphan(place: Place) {
        let app = App::new("test").state(Seen::default());
        let app = app.source(hence::source::Every::new(Duration::from_secs(3_600), "ticks", || tick("k", 0)));
        assert_eq!(app.topology().orphans(), ["test.tick"]);
        let running = place.start(app).await;
        let receipt = running.publish(tick("k", 1)).await.unwrap();
        let entry = running.engine().get(receipt.position.unwrap()).await.unwrap();
        assert_eq!(entry.message.attributes().id(), receipt.id());
    }
}

/// There: 4,594,298 calls within a second for one message. Time stands still here while anything is
/// busy, so only waits let it pass.
#[tokio::test(start_paused = true)]
async fn a_retry_without_a_wait_of_its_own_is_no_hot_loop() {
    limited("a_retry_is_no_hot_loop", async {
        let calls = AtomicU64::new(0);
        let begun = tokio::time::Instant::now();
        let app = App::new("test").state(calls).subscribe("never", never);
        let running = memory().start(app).await;
        let publish = running.publish(tick("k", 1)).until_handled();
        publish.await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(letter.attempts, 8);
        assert!(
            begun.elapsed() > Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
    })
    .await;
}

/// There: five delayed retries at SIGTERM, exit code 0, and they are gone without a warning.
/// The same for whatever is queued: dropped without a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delayed_retries_and_the_queue_survive_a_drain() {
    limited("delayed_retries_survive_a_drain", async {
        let (place, seen) = (log(), Seen::default());
        let handler = || later.concurrency(2).with(|options| options.breaker = None);
        let app = || {
            App::new("test")
                .state(seen.clone())
                .subscribe("later", handler())
        };
        let running = place.start(app()).await;
        running
            .publish_all((1..=40).map(|n| tick(&n.to_string(), n)))
            .await
            .unwrap();
        seen.reach(5).await;
        assert_eq!(running.drain().await.abandoned, 0);
        let running = place.start(app()).await;
        // Each is called twice, before the drain or after it.
        seen.reach(80).await;
        let all = seen.all().into_iter();
        let handled = all.filter(|(who, _)| who != "asked to wait");
        let handled: BTreeSet<_> = handled.map(|(_, number)| number).collect();
        assert_eq!(handled, (1..=40).collect());
        running.drain().await;
    })
    .await;
}

/// There: it waited for the full 120 s of the handler. Here the drain ends when its time is over,
/// says what it left, and that is delivered again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_has_a_deadline_and_says_what_is_left() {
    limited("a_drain_has_a_deadline", async {
        let (place, seen) = (log(), Seen::default());
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("stuck", hangs);
        let running = place.start(app).await;
        running.publish(tick("k", 7)).await.unwrap();
        seen.reach(1).await;
        let drained = running.drain_within(Duration::from_millis(50)).await;
        assert_eq!(drained.abandoned, 1);
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("stuck", quick(flaky));
        let running = place.start(app).await;
        seen.reach(2).await;
        assert_eq!(seen.all()[1], ("k".to_owned(), 7));
        running.drain().await;
    })
    .await;
}

const DIRECTORY: &str = "HENCE_TEST_RIVAL_DIRECTORY";

/// An application that has stored a retry of each of five events.
async fn with_retries(directory: &str) -> Running {
    let app = App::new("test")
        .state(Seen::default())
        .subscribe("later", later);
    let running = app
        .start(&format!("log:{directory}?force=true"))
        .await
        .unwrap();
    running
        .publish_all((1..=5).map(|n| tick(&n.to_string(), n)))
        .await
        .unwrap();
    loop {
        let mut retried = 0;
        for position in 1..=5 {
            let reports = running.engine().report(Position(position)).await.unwrap();
            let tried = reports.iter().filter(|report| !report.attempts.is_empty());
            retried += tried.count();
        }
        if retried == 5 {
            return running;
        }
        tokio::task::yield_now().await;
    }
}

/// There: after a kill and a restart, nothing. This test is both processes: with the name of a
/// directory in its environment it is the one that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_retry_survives_sigkill() {
    use std::io::{BufRead, BufReader};
    limited("a_delayed_retry_survives_sigkill", async {
        if let Ok(directory) = std::env::var(DIRECTORY) {
            let _running = with_retries(&directory).await;
            println!("retries are stored");
            return std::future::pending::<()>().await;
        }
        let (place, seen) = (log(), Seen::default());
        let directory = place.url.strip_prefix("log:").unwrap();
        let own = "rival::a_delayed_retry_survives_sigkill";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([own, "--exact", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let stored = output
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("stored"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(stored, "the process ended before it stored its retries");
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("later", later);
        let running = place.start(app).await;
        seen.reach(5).await;
        // The second attempt, each: none has begun again with its first.
        assert!(
            seen.all().iter().all(|(who, _)| who != "asked to wait"),
            "{:?}",
            seen.all()
        );
        running.drain().await;
    })
    .await;
}
