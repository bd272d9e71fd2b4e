//! Handlers that are usually brief are called where their deliveries are pulled; what they may do
//! all the same is what any handler may do.

use std::sync::Arc;
use std::time::Duration;

use hence::core::DeadLetterQuery;
use hence::{App, Attempt, Failure, HandlerExt, Running, State};
use tokio::sync::Semaphore;

use crate::kit::{Place, Seen, Tick, on_both_engines_paused, tick};

/// So many calls make sure that a handler counts as brief.
const WARM: u64 = 64;

#[derive(Clone)]
struct Gate(Arc<Semaphore>);

async fn moody(
    tick: Tick,
    attempt: Attempt,
    seen: State<Seen>,
    gate: State<Gate>,
) -> Result<(), Failure> {
    match (tick.key.as_str(), attempt.0) {
        ("panics", 1) => panic!("number {} is the first", tick.number),
        ("fails", 1) => return Err("the first fails".into()),
        ("rejects", 1) => return Err(Failure::reject("never")),
        ("hangs", 1) => std::future::pending().await,
        ("waits", _) => gate.0.acquire().await?.forget(),
        _ => {}
    }
    seen.add(&tick.key, tick.number);
    Ok(())
}

async fn start(place: &Place, seen: &Seen, gate: &Gate) -> Running {
    let limit = place.seconds(60);
    let handler = moody.with(|options| {
        options.retry.first = Duration::from_millis(1);
        options.timeout = limit;
    });
    let app = App::new("test").state(seen.clone()).state(gate.clone());
    let running = place.start(app.subscribe("moody", handler)).await;
    for number in 0..WARM {
        let publish = running.publish(tick("warm", number));
        publish.until_handled().await.unwrap();
    }
    running
}

fn of(seen: &Seen, key: &str) -> Vec<u64> {
    let mut all = seen.all();
    all.retain(|(name, _)| name == key);
    all.into_iter().map(|(_, number)| number).collect()
}

on_both_engines_paused! {
    async fn a_brief_handler_that_fails_or_panics_keeps_its_order(place: Place) {
        let (seen, gate) = (Seen::default(), Gate(Arc::new(Semaphore::new(0))));
        let running = start(&place, &seen, &gate).await;
        for number in 0..4 {
            for key in ["panics", "fails", "calm"] {
                running.publish(tick(key, number)).await.unwrap();
            }
        }
        let publish = running.publish(tick("rejects", 0));
        publish.until_handled().await.unwrap();
        seen.reach(WARM as usize + 12).await;
        for key in ["panics", "fails", "calm"] {
            assert_eq!(of(&seen, key), [0, 1, 2, 3], "{key}");
        }
        let letters = running.engine().dead_letters(&DeadLetterQuery::default()).await.unwrap();
        assert_eq!(letters.len(), 1);
        assert!(of(&seen, "rejects").is_empty());
        running.drain().await;
    }

    async fn a_brief_handler_that_waits_after_all_keeps_nobody_else(place: Place) {
        let (seen, gate) = (Seen::default(), Gate(Arc::new(Semaphore::new(0))));
        let running = start(&place, &seen, &gate).await;
        running.publish(tick("waits", 0)).await.unwrap();
        running.publish(tick("waits", 1)).await.unwrap();
        for number in 0..WARM {
            running.publish(tick("calm", number)).await.unwrap();
        }
        seen.reach(2 * WARM as usize).await;
        assert!(of(&seen, "waits").is_empty());
        gate.0.add_permits(2);
        seen.reach(2 * WARM as usize + 2).await;
        assert_eq!(of(&seen, "waits"), [0, 1]);
        running.drain().await;
    }
}

/// The timers are paused, so the time-out is over as soon as nothing else goes on.
#[tokio::test(start_paused = true)]
async fn a_brief_handler_that_hangs_is_timed_out() {
    let place = crate::kit::memory();
    let (seen, gate) = (Seen::default(), Gate(Arc::new(Semaphore::new(0))));
    let running = start(&place, &seen, &gate).await;
    let publish = running.publish(tick("hangs", 7));
    let handled = publish.until_handled().await.unwrap();
    assert_eq!(of(&seen, "hangs"), [7]);
    let attempts = &handled.results[0].attempts;
    assert_eq!(attempts.len(), 2);
    assert!(attempts[0].error.contains("HN0403"), "{attempts:?}");
    running.drain().await;
}
