//! Where is my event? Each thing that a delivery may wait for is told as such.

use std::sync::Arc;
use std::time::Duration;

use hence::core::engine::DeliveryState;
use hence::core::flow::Throttle;
use hence::core::{By, Position};
use hence::explain::{Behind, Clause, Place, Stop, Verdict};
use hence::{App, Failure, HandlerExt, Running, Start, State};
use tokio::sync::Semaphore;

use crate::kit::{Tick, Tock, on_both_engines, tick};

/// Calls go on as this gives permits; none is given back.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

impl Gate {
    fn shut() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

async fn waits(_: Tick, gate: State<Gate>) {
    gate.0.acquire().await.unwrap().forget();
}

async fn fails(_: Tick) -> Result<(), Failure> {
    Err(Failure::retry_after(Duration::from_secs(3_600), "not now"))
}

async fn refuses(_: Tick) -> Result<(), Failure> {
    Err(Failure::reject("never"))
}

async fn other(_: Tock) {}

async fn other_ticks(_: Tick) {}

async fn explain(running: &Running, position: u64, name: &str) -> Verdict {
    let explanation = running
        .explainer()
        .explain(Position(position))
        .await
        .unwrap();
    let mut verdicts = explanation.verdicts.into_iter();
    verdicts
        .find(|verdict| verdict.subscription == name)
        .unwrap()
}

/// Asks until the answer is the one that will come.
async fn until(
    running: &Running,
    position: u64,
    name: &str,
    test: impl Fn(&Verdict) -> bool,
) -> Verdict {
    loop {
        let verdict = explain(running, position, name).await;
        if test(&verdict) {
            return verdict;
        }
        tokio::task::yield_now().await;
    }
}

fn place(verdict: &Verdict) -> Option<Place> {
    verdict
        .standing
        .as_ref()
        .map(|standing| standing.place.clone())
}

fn behind(verdict: &Verdict) -> Option<Behind> {
    match place(verdict) {
        Some(Place::Waits { behind, .. }) => behind,
        _ => None,
    }
}

on_both_engines! {
    async fn a_verdict_names_the_clause_that_decided(place: Place) {
        let running = place.start(App::new("test").subscribe("other", other)).await;
        running.publish(tick("a", 1)).await.unwrap();
        let orphan = running.explainer().explain(Position(1)).await.unwrap();
        assert!(orphan.is_orphan());
        assert_eq!(orphan.verdicts[0].clause, Clause::OtherTypes(vec!["test.tock".into()]));
        assert!(orphan.verdicts[0].report.is_none() && orphan.verdicts[0].standing.is_none());
        let engine = Arc::clone(running.engine());
        let late = App::new("late")
            .state(Gate::shut())
            .subscribe("late", waits)
            .subscribe("early", waits.with(|options| options.start = Start::Earliest));
        let late = late.start_on(engine).await.unwrap();
        let verdict = explain(&late, 1, "late").await;
        assert_eq!(verdict.clause, Clause::Start(Position(2)));
        let verdict = explain(&late, 1, "early").await;
        assert_eq!(verdict.clause, Clause::Type(Position(1)));
        assert!(!late.explainer().explain(Position(1)).await.unwrap().is_orphan());
        let would = late.explainer().would("test.tick");
        assert!(would["late"].takes() && !would["other"].takes());
    }

    async fn an_event_waits_for_the_one_of_its_key_that_runs(place: Place) {
        let gate = Gate::shut();
        let app = App::new("test").state(gate.clone()).subscribe("waits", waits);
        let running = place.start(app).await;
        for number in 1..=3 {
            running.publish(tick("a", number)).await.unwrap();
        }
        let running_one = |verdict: &Verdict| {
            let report = verdict.report.as_ref().unwrap();
            report.state == DeliveryState::Running && self::place(verdict) == Some(Place::Elsewhere)
        };
        until(&running, 1, "waits", running_one).await;
        let third = until(&running, 3, "waits", |v| behind(v).is_some()).await;
        let expected = Place::Waits { ahead: Some(1), behind: Some(Behind::Running) };
        assert_eq!(self::place(&third), Some(expected));
        gate.0.add_permits(3);
        let done = until(&running, 3, "waits", |v| v.report.as_ref().unwrap().state.is_settled()).await;
        assert_eq!(done.standing, None, "what is settled waits for nothing");
    }

    async fn an_event_waits_for_the_next_attempt_at_another(place: Place) {
        let running = place.start(App::new("test").subscribe("fails", fails)).await;
        running.publish(tick("a", 1)).await.unwrap();
        running.publish(tick("a", 2)).await.unwrap();
        // The engine is asked before the pump, so its report may still be without the attempt.
        let failed_once = |v: &Verdict| {
            let report = v.report.as_ref().unwrap();
            report.attempts.len() == 1 && matches!(self::place(v), Some(Place::BacksOff(_)))
        };
        let first = until(&running, 1, "fails", failed_once).await;
        assert_eq!(first.standing.unwrap().attempts, 8);
        let second = until(&running, 2, "fails", |v| behind(v).is_some()).await;
        assert!(matches!(behind(&second), Some(Behind::BacksOff(Position(1), _))), "{second:?}");
    }

    async fn an_event_is_held_behind_a_dead_letter(place: Place) {
        let running = place.start(App::new("test").subscribe("refuses", refuses)).await;
        running.publish(tick("a", 1)).await.unwrap();
        running.publish(tick("a", 2)).await.unwrap();
        let held = until(&running, 2, "refuses", |v| {
            matches!(behind(v), Some(Behind::DeadLetter(_)))
        });
        assert_eq!(behind(&held.await), Some(Behind::DeadLetter(Position(1))));
        let dead = explain(&running, 1, "refuses").await;
        assert_eq!(dead.report.unwrap().state, DeliveryState::Dead);
    }

    async fn what_stops_the_whole_subscription_is_told(place: Place) {
        let (gate, hour) = (Gate::shut(), Duration::from_secs(3_600));
        let app = App::new("test")
            .state(gate)
            .subscribe("one", waits.with(|options| options.concurrency = 1))
            .subscribe("slow", waits.with(|options| {
                options.throttle = Some(Throttle { calls: 1, per: hour });
            }))
            .subscribe("tripped", refuses_all.with(|options| options.retry.attempts = 3));
        let running = place.start(app).await;
        // What is said about the trip has a position, too, perhaps before the last of these.
        let mut last = 0;
        for number in 1..=12 {
            let receipt = running.publish(tick(&format!("k{number}"), number)).await.unwrap();
            last = receipt.position.unwrap().0;
        }
        let stops = |v: &Verdict| v.standing.as_ref().map(|s| s.stops.clone()).unwrap_or_default();
        let one = until(&running, 5, "one", |v| !stops(v).is_empty()).await;
        assert_eq!(stops(&one), [Stop::Concurrency(1)]);
        let slow = until(&running, 5, "slow", |v| !stops(v).is_empty()).await;
        assert!(matches!(stops(&slow)[..], [Stop::Throttle(_)]), "{slow:?}");
        let tripped = |v: &Verdict| matches!(stops(v).first(), Some(Stop::Tripped(_)));
        until(&running, last, "tripped", tripped).await;
    }

    async fn each_limit_is_named_as_what_an_event_waits_for(place: Place) {
        let (gate, day) = (Gate::shut(), Duration::from_secs(86_400));
        let app = App::new("test")
            .state(gate)
            .subscribe("debounced", other_ticks.debounce("type", day, day))
            .subscribe("limited", waits.limit("type", 2))
            .subscribe("fair", waits.concurrency(1).fair(By::KEY, [("k1", 2)]));
        let running = place.start(app).await;
        for number in 1..=6 {
            running.publish(tick(&format!("k{number}"), number)).await.unwrap();
        }
        let debounced = until(&running, 6, "debounced", |v| {
            matches!(self::place(v), Some(Place::Debounced(_)))
        });
        debounced.await;
        // The one before it was skipped in favour of it.
        let before = |v: &Verdict| v.report.as_ref().unwrap().state.is_settled();
        let before = until(&running, 5, "debounced", before).await.report.unwrap();
        let attempt = before.attempts.last().unwrap();
        assert_eq!((attempt.outcome, &*attempt.error), ("skipped", "debounced, in favour of 6"));
        let limited = |v: &Verdict| matches!(behind(v), Some(Behind::Group { .. }));
        let limited = until(&running, 5, "limited", limited).await;
        let name = Some("test.tick".to_owned());
        assert_eq!(behind(&limited), Some(Behind::Group { name, most: 2 }));
        let fair = |v: &Verdict| matches!(self::place(v), Some(Place::Waits { .. }));
        let fair = until(&running, 5, "fair", fair).await;
        assert_eq!(fair.standing.unwrap().stops, [Stop::Concurrency(1)]);
    }

    async fn what_is_not_pulled_behind_a_dead_letter_says_so(place: Place) {
        let running = place.start(App::new("test").subscribe("refuses", refuses)).await;
        for _ in 0..3 {
            running.publish_all((0..500).map(|number| tick("a", number))).await.unwrap();
        }
        // While the first is with its handler, that is what it waits behind.
        let letter = |v: &Verdict| behind(v) == Some(Behind::DeadLetter(Position(1)));
        until(&running, 1_500, "refuses", letter).await;
        let paused = |v: &Verdict| {
            let stops = v.standing.as_ref().map(|standing| &standing.stops[..]);
            matches!(stops, Some([Stop::Paused(_)]))
        };
        until(&running, 1_500, "refuses", paused).await;
    }

    async fn an_event_waits_for_another_subscription(place: Place) {
        let gate = Gate::shut();
        let app = App::new("test")
            .state(gate.clone())
            .subscribe("first", waits)
            .subscribe("second", waits.with(|options| options.after = vec!["first".into()]));
        let running = place.start(app).await;
        running.publish(tick("a", 1)).await.unwrap();
        let second = until(&running, 1, "second", |v| !v.after.is_empty()).await;
        assert_eq!(second.after, ["first"]);
        gate.0.add_permits(2);
        until(&running, 1, "second", |v| v.report.as_ref().unwrap().state.is_settled()).await;
        assert!(explain(&running, 1, "second").await.after.is_empty());
    }
}

async fn refuses_all(_: Tick) -> Result<(), Failure> {
    Err("no".into())
}
