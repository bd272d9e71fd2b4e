//! The drain: what runs is finished, and nothing else is done meanwhile.

use std::sync::mpsc;
use std::time::Duration;

use hence::{App, Batch, HandlerExt, State};

use crate::kit::{Seen, Tick, memory, tick};

/// What takes longer, in real time, never ends.
const LONG: Duration = Duration::from_secs(30);

async fn slow(ticks: Batch<Tick>, seen: State<Seen>) {
    seen.add("begun", ticks.len() as u64);
    tokio::time::sleep(Duration::from_secs(1)).await;
    seen.add("ended", ticks.len() as u64);
}

/// Time stands still while anything is busy: a pump that spins would never see the handler end.
#[test]
fn a_drain_with_a_batch_that_is_not_full_waits_without_spinning() {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let seen = Seen::default();
            let handler = slow.batch(2, Duration::from_millis(100));
            let app = App::new("test")
                .state(seen.clone())
                .subscribe("slow", handler);
            let running = memory().start(app).await;
            running
                .publish_all([tick("a", 1), tick("a", 2)])
                .await
                .unwrap();
            seen.reach(1).await;
            running.publish(tick("b", 3)).await.unwrap();
            while running.engine().subscriptions()[0].in_flight < 3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(running.drain().await.abandoned, 0);
            done.send(seen.all()).unwrap();
        });
    });
    let seen = ended.recv_timeout(LONG).expect("the drain spins");
    assert_eq!(seen, [("begun".to_owned(), 2), ("ended".to_owned(), 2)]);
}
