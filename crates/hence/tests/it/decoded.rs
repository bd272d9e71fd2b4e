//! An event that several subscriptions take is decoded once, where it can be copied.

use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use hence::core::message::{COPIED_BYTES_MAX, COPY_FACTOR};
use hence::core::{Attributes, Call, Effects, Message, SubscriptionSpec, Unhandled};
use hence::subscription::HandlerService;
use hence::{App, Attempt, Event, Failure, HandlerExt, Start, State};
use serde::{Deserialize, Deserializer, Serialize};
use tower::{Layer, Service};

use crate::kit::{Place, Seen, follow, letters, log, memory, on_both_engines};

/// Who decodes in how many tests at a time: each has numbers of its own.
static DECODED: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

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

/// The same type of event as another type of Rust.
#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "test.copied")]
struct OnlyNumber {
    number: Counted,
}

async fn only_number(event: OnlyNumber, seen: State<Seen>) {
    seen.add("only", event.number.0);
}

/// And as one that its data does not fit.
#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "test.copied")]
struct Misread {
    number: String,
}

async fn misreads(_: Misread, seen: State<Seen>) {
    seen.add("misread", 0);
}

/// Has something that its copies share.
#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "test.sharing")]
struct Sharing {
    #[serde(skip)]
    notes: Arc<Mutex<Vec<u32>>>,
}

async fn writes(event: Sharing, attempt: Attempt, seen: State<Seen>) -> Result<(), Failure> {
    event.notes.lock().unwrap().push(attempt.0);
    if attempt.0 == 1 {
        return Err("not yet".into());
    }
    let found = event.notes.lock().unwrap().clone();
    found
        .iter()
        .for_each(|by| seen.add("found", u64::from(*by)));
    Ok(())
}

async fn shares(_: Sharing) {}

/// Events of [`Living`] that are there.
static LIVING: AtomicUsize = AtomicUsize::new(0);

struct Life;

impl Life {
    fn new() -> Self {
        LIVING.fetch_add(1, Relaxed);
        Self
    }
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Life {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Relaxed);
    }
}

#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "test.living")]
struct Living {
    #[serde(skip)]
    _life: Life,
}

async fn lives(_: Living, seen: State<Seen>) {
    seen.add("living", LIVING.load(Relaxed) as u64);
}

/// Whose copies cannot be dropped without a panic.
#[derive(Default, Event, Serialize, Deserialize)]
#[event(type = "test.bomb")]
struct Bomb {
    #[serde(skip)]
    is_copy: bool,
}

impl Clone for Bomb {
    fn clone(&self) -> Self {
        Self { is_copy: true }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.is_copy {
            BURST.fetch_add(1, Relaxed);
            panic!("a copy was dropped");
        }
    }
}

static BURST: AtomicUsize = AtomicUsize::new(0);

async fn touches(_: Bomb) {}

/// Answers in place of the handler "b", which so never decodes.
#[derive(Clone)]
struct Instead;

#[derive(Clone)]
struct InsteadOf(HandlerService);

impl Layer<HandlerService> for Instead {
    type Service = InsteadOf;

    fn layer(&self, inner: HandlerService) -> InsteadOf {
        InsteadOf(inner)
    }
}

impl Service<Call> for InsteadOf {
    type Response = Effects;
    type Error = Unhandled;
    type Future = <HandlerService as Service<Call>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unhandled>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match call.subscription() {
            "b" => Box::pin(ready(Ok(Effects::default()))),
            _ => self.0.call(call),
        }
    }
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

    async fn a_retry_sees_nothing_of_what_the_attempt_before_it_wrote(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let app = app.subscribe("writes", writes.with(quick(2))).subscribe("late", shares);
        let running = place.start(app).await;
        // So that a copy is still kept when the retry begins.
        running.pauser().pause("late", "test", "").await.unwrap();
        running.publish(Sharing { notes: Arc::default() }).await.unwrap();
        seen.reach(1).await;
        assert_eq!(seen.all(), [("found".to_owned(), 2)]);
        running.pauser().resume("late", "ops").await.unwrap();
        running.drain().await;
    }

    async fn one_type_of_event_may_be_two_types_of_rust(place: Place) {
        let seen = Seen::default();
        let mut app = App::new("test").state(seen.clone());
        for name in ["a", "b"] {
            app = app.subscribe(name, looks).subscribe(&format!("{name}2"), only_number);
        }
        let running = place.start(app).await;
        let number = number(&place, 6);
        let event = Copied { number: number.clone(), notes: vec!["given".to_owned()] };
        running.publish(event).until_handled().await.unwrap();
        let mut all = seen.all();
        all.sort();
        let each = |name: &str, count| vec![(name.to_owned(), count); 2];
        assert_eq!(all, [each("looks", 1), each("only", number.0)].concat());
        running.drain().await;
    }

    async fn what_one_cannot_decode_the_others_can(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let app = app.subscribe("a", looks).subscribe("b", misreads).subscribe("c", looks);
        let running = place.start(app).await;
        let number = number(&place, 8);
        running.publish(Copied { number, notes: Vec::new() }).await.unwrap();
        seen.reach(2).await;
        let letters = letters(&running, 1).await;
        assert_eq!(letters[0].subscription, "b");
        assert_eq!(seen.all(), vec![("looks".to_owned(), 0); 2]);
        running.drain().await;
    }

    async fn what_is_large_is_decoded_by_each(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let app = app.subscribe("a", looks).subscribe("b", looks).subscribe("c", looks);
        let running = place.start(app).await;
        let number = number(&place, 10);
        let notes = vec!["x".repeat(COPIED_BYTES_MAX)];
        let event = Copied { number: number.clone(), notes };
        running.publish(event).until_handled().await.unwrap();
        assert_eq!(decoded(number.0), 3);
        running.drain().await;
    }

    async fn who_is_not_attached_is_not_expected(place: Place) {
        let engine = hence_engine_local::open(&place.url).unwrap();
        let types = vec![Copied::TYPE.to_owned()];
        let spec = SubscriptionSpec::new("b", types, Start::Latest);
        let attached = engine.subscribe(spec).await.unwrap();
        let app = App::new("test").state(Seen::default()).subscribe("a", looks);
        let running = app.start_on(engine).await.unwrap();
        let mut reader = follow(&running).await;
        let event = Copied { number: number(&place, 12), notes: Vec::new() };
        running.publish(event.clone()).await.unwrap();
        assert!(reader.next(1).await.unwrap()[0].message.expects_takers());
        drop(attached);
        running.publish(event).until_handled().await.unwrap();
        assert!(!reader.next(1).await.unwrap()[0].message.expects_takers());
        running.drain().await;
    }

    async fn what_is_tried_again_is_decoded_again(place: Place) {
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
        assert!((3..=4).contains(&times), "{times}");
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

#[test]
fn a_copy_is_counted_where_there_may_be_one() {
    let message = |bytes: usize| {
        let attributes = Attributes::new("1", "/test", "test.copied").unwrap();
        Message::new(attributes, Some("1".repeat(bytes).into()))
    };
    assert_eq!(message(100).expect_takers(1), 0);
    assert_eq!(message(100).expect_takers(2), 100 * COPY_FACTOR);
    assert_eq!(message(COPIED_BYTES_MAX + 1).expect_takers(2), 0);
}

#[tokio::test]
async fn what_nobody_decoded_in_the_end_is_let_go_of() {
    let seen = Seen::default();
    let app = App::new("test").state(seen.clone()).subscribe("a", lives);
    let running = app
        .subscribe("b", lives)
        .layer(Instead)
        .start(&memory().url)
        .await
        .unwrap();
    let event = Living { _life: Life::new() };
    running.publish(event).until_handled().await.unwrap();
    assert_eq!(seen.numbers(), [2], "its own, and the copy");
    assert_eq!(LIVING.load(Relaxed), 0);
    running.drain().await;
}

/// It is the writer of the log that lets go of what leaves the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_panics_when_it_is_dropped_does_not_end_the_log() {
    let place = log();
    let mut options = hence_engine_local::Options::default();
    options.tail_bytes = 16 << 10;
    let engine = hence_engine_local::open_with(&place.url, options).unwrap();
    let seen = Seen::default();
    let app = App::new("test").state(seen.clone()).subscribe("a", touches);
    let app = app.subscribe("b", touches);
    let running = app
        .subscribe("single", single)
        .layer(Instead)
        .start_on(engine)
        .await
        .unwrap();
    running
        .publish(Bomb::default())
        .until_handled()
        .await
        .unwrap();
    for _ in 0..64 {
        let number = Counted(14);
        running
            .publish(Single { number })
            .until_handled()
            .await
            .unwrap();
    }
    assert_eq!((BURST.load(Relaxed), seen.all().len()), (1, 64));
    running.drain().await;
}
