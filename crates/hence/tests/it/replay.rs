//! Old events to one handler again, and the comparison of what it publishes with what it published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use hence::core::{Code, Filter, Key, Position};
use hence::replay::{Progress, Replay, Wanted, What};
use hence::{App, Event, Failure, HandlerExt, Running, Start, State};
use serde::{Deserialize, Serialize};

use crate::kit::{Seen, Tick, Tock, on_both_engines, tick};

#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "test.answered")]
struct Answered {
    number: u64,
}

/// What handlers do differently from one day to the next.
#[derive(Clone, Default)]
struct Day(Arc<AtomicU64>);

async fn answers(tick: Tick, replay: Replay, seen: State<Seen>, day: State<Day>) -> Vec<Answered> {
    seen.add(replay.0.as_deref().unwrap_or("delivered"), tick.number);
    let number = tick.number;
    match (day.0.load(SeqCst), number) {
        (0, _) => vec![Answered { number }],
        (_, 1) => vec![],
        (_, 2) => vec![Answered { number: 20 }],
        (_, 3) => vec![Answered { number }, Answered { number: 30 }],
        _ => vec![Answered { number }],
    }
}

async fn notes(tick: Tick, key: Key, seen: State<Seen>) {
    seen.add(&key.0.unwrap_or_default(), tick.number);
}

async fn refuses(tick: Tick, day: State<Day>) -> Result<(), Failure> {
    match (tick.number, day.0.load(SeqCst)) {
        (2, 0) => Err(Failure::reject("not two")),
        (3, 1) => Err("not three".into()),
        _ => Ok(()),
    }
}

async fn other(_: Tock) {}

fn key(number: u64) -> &'static str {
    if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    }
}

fn wanted(subscription: &str) -> Wanted {
    let mut wanted = Wanted::default();
    subscription.clone_into(&mut wanted.subscription);
    wanted.from = Start::Earliest;
    wanted
}

async fn handled(running: &Running, count: u64) {
    for number in 1..=count {
        let publish = running.publish(tick(key(number), number));
        publish.until_handled().await.unwrap();
    }
}

/// How far every subscription is.
fn standing(running: &Running) -> Vec<(String, u64, u64)> {
    let reports = running.engine().subscriptions().into_iter();
    reports
        .map(|report| (report.name, report.lag, report.dead))
        .collect()
}

on_both_engines! {
    async fn a_replay_brings_old_events_in_order_and_publishes_nothing_twice(place: Place) {
        let seen = Seen::default();
        let app = App::new("test")
            .state(seen.clone())
            .state(Day::default())
            .subscribe("answers", answers);
        let running = place.start(app).await;
        handled(&running, 4).await;
        let before = (standing(&running), running.engine().health().unwrap().last);
        let preview = running.replayer().preview(&wanted("answers")).await.unwrap();
        assert_eq!((preview.matches, preview.more), (4, false));
        assert_eq!(preview.sample.len(), 4);
        assert_eq!(seen.all().len(), 4, "a preview calls nobody");
        let progress = Progress::default();
        running.replayer().run("again", &wanted("answers"), &progress).await.unwrap();
        let found = progress.findings();
        assert!(found.list.is_empty(), "{found:?}");
        let again: Vec<_> = seen.all().split_off(4);
        let expected: Vec<_> = (1..=4).map(|number| ("again".to_owned(), number)).collect();
        assert_eq!(again, expected);
        assert_eq!((progress.done.into_inner(), progress.absorbed.into_inner()), (4, 4));
        assert_eq!(progress.published.into_inner(), 0);
        let after = (standing(&running), running.engine().health().unwrap().last);
        assert_eq!(before, after, "nothing moved and nothing was published");
    }

    async fn a_handler_that_began_later_gets_what_was_before_it(place: Place) {
        let seen = Seen::default();
        let running = place.start(App::new("test").subscribe("other", other)).await;
        for number in 1..=5 {
            running.publish(tick(key(number), number)).await.unwrap();
        }
        let engine = Arc::clone(running.engine());
        let app = App::new("later")
            .state(seen.clone())
            .state(Day::default())
            .subscribe("answers", answers)
            .subscribe("notes", notes);
        let later = app.start_on(engine).await.unwrap();
        let mut some = wanted("notes");
        some.filter = Filter { key: Some("odd".into()), ..Filter::default() };
        some.upto = Some(Position(4));
        later.replayer().run("r", &some, &Progress::default()).await.unwrap();
        assert_eq!(seen.all(), [("odd".to_owned(), 1), ("odd".to_owned(), 3)]);
        some.filter.type_prefixes = vec!["test.".to_owned()];
        assert_eq!(later.replayer().preview(&some).await.unwrap().matches, 2);
        // What it publishes is new the first time, and known the second.
        for (published, absorbed) in [(5, 0), (0, 5)] {
            let progress = Progress::default();
            later.replayer().run("r", &wanted("answers"), &progress).await.unwrap();
            assert_eq!(progress.published.into_inner(), published);
            assert_eq!(progress.absorbed.into_inner(), absorbed);
        }
    }

    async fn a_comparison_tells_what_a_handler_would_publish_otherwise(place: Place) {
        let day = Day::default();
        let app = App::new("test").state(Seen::default()).state(day.clone());
        let running = place.start(app.subscribe("answers", answers)).await;
        handled(&running, 4).await;
        let last = running.engine().health().unwrap().last;
        let wanted = wanted("answers");
        let compare = async || {
            let progress = Progress::default();
            running.replayer().compare("c", &wanted, &progress).await.unwrap();
            progress.findings()
        };
        assert!(compare().await.list.is_empty(), "the same handler publishes the same");
        day.0.store(1, SeqCst);
        let found = compare().await;
        let kinds: Vec<_> = found.list.iter().map(|finding| match &finding.what {
            What::Missing(message) => ("missing", message.data().cloned()),
            What::Changed(_, now) => ("changed", now.data().cloned()),
            What::Added(message) => ("added", message.data().cloned()),
            other => panic!("{other:?}"),
        }).collect();
        let data = |number: u64| Some(format!("{{\"number\":{number}}}").into());
        assert_eq!(kinds, [("missing", data(1)), ("changed", data(20)), ("added", data(30))]);
        assert_eq!(running.engine().health().unwrap().last, last, "nothing was published");
    }

    async fn what_is_open_or_dead_is_passed_over_and_what_fails_is_told(place: Place) {
        let day = Day::default();
        let quick = refuses.with(|options| {
            options.retry.attempts = 2;
            options.retry.first = Duration::from_millis(1);
        });
        let app = App::new("test").state(day.clone()).subscribe("refuses", quick);
        let running = place.start(app).await;
        handled(&running, 3).await;
        // It waits behind the second, which is a dead letter.
        running.publish(tick("even", 4)).await.unwrap();
        day.0.store(1, SeqCst);
        let progress = Progress::default();
        running.replayer().run("r", &wanted("refuses"), &progress).await.unwrap();
        let found = progress.findings();
        assert_eq!(progress.passed.into_inner(), 2);
        assert_eq!(progress.called.into_inner(), 2);
        assert_eq!((progress.done.into_inner(), progress.failed.into_inner()), (1, 1));
        let [failed] = &found.list[..] else { panic!("{found:?}") };
        assert_eq!(failed.position, Position(3));
        assert_eq!(failed.what, What::Failed("not three".to_owned()));
        assert_eq!(standing(&running), [("refuses".to_owned(), 1, 1)], "as it was before");
    }

    async fn the_rest_of_a_replay_begins_behind_what_is_done(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("notes", notes);
        let running = place.start(app).await;
        handled(&running, 3).await;
        let mut slow = wanted("notes");
        slow.rate = Some(1);
        let progress = Progress::default();
        let replayer = running.replayer();
        // Both are polled by turns, so it is dropped while it pauses after the first event.
        let first_is_done = async {
            while progress.next.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            ended = replayer.run("r", &slow, &progress) => panic!("it came to its end: {ended:?}"),
            () = first_is_done => {}
        }
        let next = progress.next.load(SeqCst);
        assert_eq!((progress.position.into_inner(), next), (1, 2));
        let mut rest = wanted("notes");
        rest.from = Start::Position(Position(next));
        let progress = Progress::default();
        replayer.run("r", &rest, &progress).await.unwrap();
        let again: Vec<_> = seen.all().into_iter().skip(3).map(|(_, number)| number).collect();
        assert_eq!(again, [1, 2, 3], "each is called for once");
        assert_eq!(progress.next.into_inner(), 4);
    }

    async fn a_replay_to_nobody_is_refused(place: Place) {
        let running = place.start(App::new("test").subscribe("other", other)).await;
        let mut strange = wanted("other");
        strange.filter.types = vec!["test.tick".to_owned()];
        let mut family = wanted("other");
        family.filter.type_prefixes = vec!["test.ti".to_owned()];
        for wanted in [wanted("nobody"), strange, family] {
            let error = running.replayer().preview(&wanted).await.unwrap_err();
            assert_eq!(error.code(), Code::NOT_FOUND);
        }
    }
}
