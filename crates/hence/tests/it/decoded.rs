//! An event that several subscriptions take is decoded once, where it can be copied.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use hence::{App, Attempt, Event, Failure, HandlerExt, State};
use serde::{Deserialize, Deserializer, Serialize};

use crate::kit::{Place, Seen, on_both_engines};

/// Who decodes in how many tests at a time: each has numbers of its own.
static DECODED: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

fn decoded(of: u64) -> usize {
    DECODED[usize::try_from(of).unwrap()].load(Relaxed)
}

/// A number that counts how often it is decoded.
#[derive(Clone, Serialize)]
struct Counted(u64);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(from)?;
        DECODED[usize::try_from(number).unwrap()].fetch_add(1, Relaxed);
        Ok(Self(number))
    }
}

#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "test.copied")]
struct Copied {
    number: Counted,
    notes: Vec<String>,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "test.single")]
struct Single {
    number: Counted,
}

/// Changes what it was given, which is its own.
async fn changes(mut event: Copied, seen: State<Seen>) {
    event.notes.push("mine".to_owned());
    seen.add("changes", event.notes.len() as u64);
}

async fn looks(event: Copied, seen: State<Seen>) {
    seen.add("looks", event.notes.len() as u64);
}

async fn fails_first(event: Copied, attempt: Attempt, seen: State<Seen>) -> Result<(), Failure> {
    if attempt.0 < 3 {
        return Err("not yet".into());
    }
    seen.add("fails", event.notes.len() as u64);
    Ok(())
}

async fn single(event: Single, seen: State<Seen>) {
    seen.add("single", event.number.0);
}

fn quick(attempts: u32) -> impl Fn(&mut hence::core::Options) + Copy {
    move |options| {
        options.retry.attempts = attempts;
        options.retry.first = Duration::from_millis(1);
    }
}

fn number(place: &Place, memory: u64) -> Counted {
    Counted(memory + u64::from(place.url != "memory:"))
}

on_both_engines! {
    async fn what_several_take_is_decoded_once_and_each_has_its_own(place: Place) {
        let seen = Seen::default();
        let mut app = App::new("test").state(seen.clone());
        for name in ["a", "b", "c"] {
            app = app.subscribe(name, changes).subscribe(&format!("{name}2"), looks);
        }
        let running = place.start(app).await;
        let number = number(&place, 0);
        let event = Copied { number: number.clone(), notes: vec!["given".to_owned()] };
        running.publish(event).until_handled().await.unwrap();
        let mut all = seen.all();
        all.sort();
        let each = |name: &str, count| vec![(name.to_owned(), count); 3];
        assert_eq!(all, [each("changes", 2), each("looks", 1)].concat());
        // On several threads some may decode it at the same time.
        let most = if place.url == "memory:" { 1 } else { 5 };
        let times = decoded(number.0);
        assert!((1..=most).contains(&times), "{times}");
        running.drain().await;
    }

    async fn what_is_tried_again_may_be_decoded_again(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let app = app.subscribe("fails", fails_first.with(quick(5))).subscribe("looks", looks);
        let running = place.start(app).await;
        let number = number(&place, 2);
        let event = Copied { number: number.clone(), notes: Vec::new() };
        running.publish(event).until_handled().await.unwrap();
        let mut all = seen.all();
        all.sort();
        assert_eq!(all, [("fails".to_owned(), 0), ("looks".to_owned(), 0)]);
        let times = decoded(number.0);
        assert!((1..=3).contains(&times), "{times}");
        running.drain().await;
    }

    async fn what_cannot_be_copied_is_decoded_by_each(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let app = app.subscribe("a", single).subscribe("b", single);
        let running = place.start(app).await;
        let number = number(&place, 4);
        running.publish(Single { number: number.clone() }).until_handled().await.unwrap();
        assert_eq!(seen.all().len(), 2);
        assert_eq!(decoded(number.0), 2);
        running.drain().await;
    }
}
