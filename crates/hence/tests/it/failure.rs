//! Failure: retries, panics, time-outs, dead letters, redrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use hence::core::{AfterDeadLetter, Attributes, Message, RejectReason};
use hence::{App, Attempt, Batch, Failure, Handler, HandlerExt, State};

use crate::kit::{Seen, Tick, letters, on_both_engines, tick};

/// Numbers from 100 on fail while this is set.
#[derive(Clone, Default)]
struct Broken(Arc<AtomicBool>);

fn app(seen: &Seen, broken: &Broken) -> App {
    App::new("test").state(seen.clone()).state(broken.clone())
}

/// Retries without a wait worth mentioning.
fn quick<A: 'static>(handler: impl Handler<A>, attempts: u32) -> impl Handler<A> {
    handler.with(|options| {
        options.retry.attempts = attempts;
        options.retry.first = Duration::from_millis(1);
    })
}

async fn fragile(tick: Tick, seen: State<Seen>, broken: State<Broken>) -> Result<(), String> {
    if tick.number >= 100 && broken.0.load(SeqCst) {
        return Err(format!("{} is too much", tick.number));
    }
    seen.add(&tick.key, tick.number);
    Ok(())
}

async fn third_time(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), Failure> {
    seen.add(&tick.key, u64::from(attempt.0));
    if attempt.0 < 3 {
        Err("not yet".into())
    } else {
        Ok(())
    }
}

async fn fails(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), Failure> {
    seen.add(&tick.key, u64::from(attempt.0));
    Err("never".into())
}

async fn refuse(_: Tick) -> Result<(), Failure> {
    Err(Failure::reject("never"))
}

async fn panics(tick: Tick, seen: State<Seen>) {
    assert!(tick.number < 100, "number {}", tick.number);
    seen.add(&tick.key, tick.number);
}

async fn hangs(_: Tick) {
    std::future::pending::<()>().await;
}

/// Panics when it is given up.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("given up");
    }
}

async fn hangs_with_a_bomb(_: Tick) {
    let _bomb = Bomb;
    std::future::pending::<()>().await;
}

async fn batch(ticks: Batch<Tick>, seen: State<Seen>) {
    ticks
        .iter()
        .for_each(|tick| seen.add(&tick.key, tick.number));
}

/// Fails when it is handed a number from 100 on.
async fn fragile_batch(
    ticks: Batch<Tick>,
    seen: State<Seen>,
    broken: State<Broken>,
) -> Result<(), String> {
    for tick in ticks.iter() {
        fragile((*tick).clone(), seen.clone(), broken.clone()).await?;
    }
    Ok(())
}

/// More than a subscription pulls behind one key.
const CROWD: u64 = 1_100;
/// What takes longer never comes.
const LONG: Duration = Duration::from_secs(30);

on_both_engines! {
    async fn an_error_is_retried_with_a_rising_attempt(place: Place) {
        let seen = Seen::default();
        let app = app(&seen, &Broken::default()).subscribe("third", quick(third_time, 8));
        let running = place.start(app).await;
        let handled = running.publish(tick("a", 0)).until_handled().await.unwrap();
        assert_eq!(seen.numbers(), [1, 2, 3]);
        let attempts = &handled.results[0].attempts;
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, ["retry", "retry", "done"]);
        assert_eq!(attempts[0].error, "not yet");
    }

    async fn exhausted_retries_end_with_the_dead_letters(place: Place) {
        let (seen, broken) = (Seen::default(), Broken::default());
        broken.0.store(true, SeqCst);
        let running =
            place.start(app(&seen, &broken).subscribe("fragile", quick(fragile, 3))).await;
        running.publish(tick("a", 100)).until_handled().await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!((letter.attempts, letter.reason), (3, RejectReason::RetriesExhausted));
        assert_eq!(letter.error, "100 is too much");
        assert_eq!(running.dead_letter(&letter.id).await.unwrap().1.data().unwrap(), &Bytes::from(r#"{"key":"a","number":100}"#));
    }

    async fn g6_a_redrive_has_all_its_attempts_anew(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let running = place.start(app.subscribe("fails", quick(fails, 3))).await;
        running.publish(tick("a", 1)).until_handled().await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        running.redrive(vec![letter.id]).await.unwrap();
        seen.reach(6).await;
        let mut letter = letters(&running, 1).await.remove(0);
        while letter.redriven {
            tokio::task::yield_now().await;
            letter = letters(&running, 1).await.remove(0);
        }
        assert_eq!(letter.attempts, 6, "all of them count");
        assert_eq!(seen.numbers(), [1, 2, 3, 1, 2, 3]);
        let report = running.engine().report(letter.position).await.unwrap().remove(0);
        let numbers: Vec<_> = report.attempts.iter().map(|attempt| attempt.attempt).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    }

    async fn later_events_of_a_key_wait_for_its_dead_letter(place: Place) {
        let (seen, broken) = (Seen::default(), Broken::default());
        broken.0.store(true, SeqCst);
        let running =
            place.start(app(&seen, &broken).subscribe("fragile", quick(fragile, 2))).await;
        for (key, number) in [("a", 1), ("a", 100), ("a", 2), ("b", 3), ("a", 101), ("b", 4)] {
            running.publish(tick(key, number)).await.unwrap();
        }
        seen.reach(3).await;
        let dead = letters(&running, 1).await;
        assert_eq!(seen.all().iter().filter(|(key, _)| key == "a").count(), 1, "only 1 of 'a'");
        broken.0.store(false, SeqCst);
        let ids = vec![dead[0].id.clone()];
        running.redrive(ids.clone()).await.unwrap();
        running.redrive(ids).await.unwrap();
        seen.reach(6).await;
        let of_a: Vec<_> = seen.all().into_iter().filter(|(key, _)| key == "a").collect();
        let numbers: Vec<_> = of_a.into_iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, [1, 100, 2, 101]);
        letters(&running, 0).await;
    }

    async fn a_crowd_behind_a_dead_letter_goes_on_when_it_is_redriven(place: Place) {
        let (seen, broken) = (Seen::default(), Broken::default());
        broken.0.store(true, SeqCst);
        let running =
            place.start(app(&seen, &broken).subscribe("fragile", quick(fragile, 1))).await;
        running.publish(tick("a", 100)).await.unwrap();
        let dead = letters(&running, 1).await;
        for first in [0, CROWD / 2] {
            let crowd = (first..first + CROWD / 2).map(|number| tick("a", number % 100));
            running.publish_all(crowd).await.unwrap();
        }
        while running.engine().subscriptions()[0].in_flight < 1_000 {
            tokio::task::yield_now().await;
        }
        broken.0.store(false, SeqCst);
        running.redrive(vec![dead[0].id.clone()]).await.unwrap();
        let all = seen.reach(1 + CROWD as usize);
        tokio::time::timeout(LONG, all).await.expect("it waits for ever");
        assert_eq!(seen.numbers()[0], 100);
    }

    async fn a_dead_letter_of_a_batch_can_be_redriven(place: Place) {
        let (seen, broken) = (Seen::default(), Broken::default());
        broken.0.store(true, SeqCst);
        let handler = quick(fragile_batch, 1);
        let running = place.start(app(&seen, &broken).subscribe("batch", handler)).await;
        running.publish(tick("a", 100)).await.unwrap();
        let dead = letters(&running, 1).await;
        broken.0.store(false, SeqCst);
        running.redrive(vec![dead[0].id.clone()]).await.unwrap();
        tokio::time::timeout(LONG, seen.reach(1)).await.expect("it waits for ever");
        letters(&running, 0).await;
    }

    async fn on_request_a_key_goes_on_behind_a_dead_letter(place: Place) {
        let (seen, broken) = (Seen::default(), Broken::default());
        broken.0.store(true, SeqCst);
        let handler = quick(fragile, 1).after_dead_letter(AfterDeadLetter::Continue);
        let running = place.start(app(&seen, &broken).subscribe("fragile", handler)).await;
        for number in [1, 100, 2] {
            running.publish(tick("a", number)).await.unwrap();
        }
        seen.reach(2).await;
        assert_eq!(seen.numbers(), [1, 2]);
        broken.0.store(false, SeqCst);
        let ids = letters(&running, 1).await.into_iter().map(|letter| letter.id).collect();
        running.redrive(ids).await.unwrap();
        seen.reach(3).await;
        letters(&running, 0).await;
    }

    async fn reject_goes_to_the_dead_letters_at_once(place: Place) {
        let running = place.start(App::new("test").subscribe("refuse", refuse)).await;
        running.publish(tick("a", 1)).until_handled().await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!((letter.attempts, letter.reason), (1, RejectReason::Rejected));
    }

    async fn an_event_that_does_not_decode_is_kept_with_its_bytes(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("panics", panics);
        let running = place.start(app).await;
        let attributes = Attributes::new("x", "/s", "test.tick").unwrap();
        let message = Message::new(attributes, Some(Bytes::from_static(b"{\"key\":7}")));
        let durability = running.durability();
        running.commit(vec![message], durability).await.unwrap();
        running.publish(tick("a", 1)).until_handled().await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(letter.reason, RejectReason::Undecodable);
        assert_eq!(running.dead_letter(&letter.id).await.unwrap().1.data().unwrap(), &Bytes::from_static(b"{\"key\":7}"));
    }

    async fn a_bad_event_does_not_spoil_its_batch(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("batch", batch);
        let running = place.start(app).await;
        let durability = running.durability();
        let message = |number: usize, data: &str| {
            let mut attributes = Attributes::new(number.to_string(), "/s", "test.tick").unwrap();
            attributes.set("partitionkey", "a").unwrap();
            Message::new(attributes, Some(Bytes::from(data.to_owned())))
        };
        let data = ["{\"key\":\"a\",\"number\":1}", "{\"key\":\"a\",\"number\":2}", "bad",
            "{\"key\":\"a\",\"number\":4}"];
        let messages = data.iter().enumerate().map(|(n, data)| message(n, data)).collect();
        running.commit(messages, durability).await.unwrap();
        seen.reach(2).await;
        let dead = letters(&running, 1).await;
        assert_eq!(dead[0].position.0, 3);
        assert_eq!(seen.numbers(), [1, 2], "the fourth waits behind the third");
    }

    async fn a_panic_fails_one_attempt_and_nothing_else(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("panics", quick(panics, 2));
        let running = place.start(app).await;
        running.publish(tick("a", 100)).until_handled().await.unwrap();
        running.publish(tick("b", 1)).until_handled().await.unwrap();
        assert_eq!(seen.numbers(), [1]);
        let letter = letters(&running, 1).await.remove(0);
        assert!(letter.error.contains("HN0402") && letter.error.contains("number 100"));
    }

    async fn a_handler_that_hangs_is_stopped_by_its_time_out(place: Place) {
        let handler = quick(hangs, 2).timeout(Duration::from_millis(5));
        let running = place.start(App::new("test").subscribe("hangs", handler)).await;
        running.publish(tick("a", 1)).until_handled().await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert!(letter.error.contains("HN0403"), "{}", letter.error);
    }

    async fn a_handler_that_panics_when_it_is_given_up_has_failed_and_holds_nothing_up(place: Place) {
        let handler = quick(hangs_with_a_bomb, 2).timeout(Duration::from_millis(5));
        let running = place.start(App::new("test").subscribe("hangs", handler)).await;
        running.publish(tick("a", 1)).until_handled().await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(letter.attempts, 2);
        assert!(letter.error.contains("HN0403"), "{}", letter.error);
        running.drain().await;
    }
}
