//! Handlers that keep a thread.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hence::{App, HandlerExt, State, blocking};

use crate::kit::{Seen, Tick, Tock, holds, on_both_engines, tick};

/// Waits until two of them work side by side, which threads can and one async worker cannot.
fn meet(tick: Tick, gate: State<std::sync::Barrier>, seen: State<Seen>) -> Tock {
    gate.wait();
    seen.add(&tick.key, tick.number);
    let Tick { key, number } = tick;
    Tock { key, number }
}

async fn tock(tock: Tock, seen: State<Seen>) {
    seen.add("tock", tock.number);
}

type Stuck = Arc<Mutex<mpsc::Receiver<()>>>;

/// Works longer than its time-out, once; then it panics; then it is done.
fn stuck(tick: Tick, attempt: hence::Attempt, work: State<Stuck>, seen: State<Seen>) {
    match attempt.0 {
        1 => work.lock().unwrap().recv().unwrap(),
        2 => panic!("no"),
        _ => seen.add(&tick.key, tick.number),
    }
}

on_both_engines! {
    async fn blocking_handlers_work_side_by_side(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).state(std::sync::Barrier::new(2));
        let app = app.subscribe("meet", blocking(meet)).subscribe("tock", tock);
        assert_eq!(app.topology().subscriptions[0].emits, ["test.tock"]);
        let running = place.start(app).await;
        running.publish_all([tick("a", 1), tick("b", 2)]).await.unwrap();
        seen.reach(4).await;
        running.drain().await;
    }

    async fn a_blocking_handler_fails_as_any_other(place: Place) {
        let (seen, (end, work)) = (Seen::default(), mpsc::channel::<()>());
        let handler = blocking(stuck).timeout(Duration::from_millis(20));
        let handler = handler.with(|o| o.retry.first = Duration::from_millis(1));
        let app = App::new("test").state(seen.clone()).state(Arc::new(Mutex::new(work)));
        let running = place.start(app.subscribe("stuck", handler)).await;
        running.publish(tick("a", 7)).await.unwrap();
        // On a busy machine the last attempt may run out of time, too, and another be the last.
        holds("it is handled", || running.metrics()["stuck"].done() == 1).await;
        assert!(seen.numbers().starts_with(&[7]));
        end.send(()).unwrap();
        running.drain().await;
    }
}
