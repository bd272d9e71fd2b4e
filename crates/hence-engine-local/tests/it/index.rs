//! The index says where to look: answers with it are those without it, however far it has come and
//! whatever becomes of its directory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hence_core::engine::{Engine, Filter, Read};
use hence_core::{Message, Outcome, Position, Start};
use hence_engine_local::{Clock as _, Retention, remove_index};

use crate::common::*;

/// Events of a history; enough for several runs of the index and several files of the log.
const EVENTS: u64 = 3_000;

/// A log whose events all lie on the disk, and whose index is written now and then.
fn bench() -> Bench {
    let mut bench = Bench::log();
    bench.options.tail_bytes = 0;
    bench.options.segment_bytes = 64 << 10;
    bench.options.index_entries = 1_000;
    bench.options.index_interval = Duration::from_millis(1);
    bench.options.index_gives_way = false;
    bench
}

/// An event whose attributes repeat in different ways.
fn varied(number: u64) -> Message {
    let event_type = if number.is_multiple_of(500) {
        "rare"
    } else {
        "t"
    };
    let message = typed(&format!("id-{number}"), event_type);
    let message = with(message, "partitionkey", &format!("key-{}", number % 7));
    let message = with(message, "subject", &format!("subject-{}", number % 300));
    if number.is_multiple_of(10) {
        let cause = with(message, "causationid", &format!("id-{}", number - 5));
        return with(
            cause,
            "correlationid",
            &format!("id-{}", number / 100 * 100 + 1),
        );
    }
    message
}

async fn publish_varied(engine: &Arc<dyn Engine>, first: u64, last: u64) {
    let numbers: Vec<u64> = (first..=last).collect();
    for some in numbers.chunks(20) {
        let messages = some.iter().map(|number| varied(*number)).collect();
        publish(engine, messages).await.unwrap();
    }
}

fn filters() -> Vec<Filter> {
    let none = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let types = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    vec![
        Filter {
            id: text("id-77"),
            ..none()
        },
        Filter {
            id: text("id-2999"),
            ..none()
        },
        Filter {
            id: text("nobody"),
            ..none()
        },
        Filter {
            causation_id: text("id-1005"),
            ..none()
        },
        Filter {
            correlation_id: text("id-1001"),
            ..none()
        },
        Filter {
            subject: text("subject-299"),
            ..none()
        },
        Filter {
            key: text("key-3"),
            ..none()
        },
        Filter {
            key: text("key-3"),
            subject: text("subject-4"),
            ..none()
        },
        Filter {
            types: types(&["rare"]),
            ..none()
        },
        Filter {
            types: types(&["t"]),
            ..none()
        },
        Filter {
            types: types(&["rare", "nobody"]),
            id: text("id-500"),
            ..none()
        },
    ]
}

async fn found(engine: &Arc<dyn Engine>, filter: Filter, from: Start) -> Vec<u64> {
    let read = Read {
        from,
        filter,
        follow: false,
    };
    let mut reader = engine.read(read).await.unwrap();
    let mut all = Vec::new();
    loop {
        let some = reader.next(7).await.unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some.iter().map(|entry| entry.position.0));
    }
}

/// Every answer is the one that a look at all events gives.
async fn check(engine: &Arc<dyn Engine>) {
    let all = all_entries(engine).await;
    let report = engine.health().unwrap();
    for from in [report.first.0.max(1), (report.first.0 + report.last.0) / 2] {
        for filter in filters() {
            let expected = all.iter().filter(|entry| entry.position.0 >= from);
            let expected = expected.filter(|entry| filter.matches(entry));
            let expected: Vec<u64> = expected.map(|entry| entry.position.0).collect();
            let said = format!("{filter:?} from {from}");
            let got = found(engine, filter, Start::Position(Position(from))).await;
            assert_eq!(got, expected, "{said}");
        }
    }
}

/// The longest that an index may take, also on a machine that is busy.
const INDEXED_WITHIN: Duration = Duration::from_secs(60);

/// Waits until the index knows every event, and fails when it never does.
fn until_indexed(engine: &Arc<dyn Engine>) {
    let begin = std::time::Instant::now();
    loop {
        assert!(begin.elapsed() < INDEXED_WITHIN, "the index stands still");
        let report = engine.health().unwrap();
        if report.indexed.expect("there is an index") >= report.last {
            return;
        }
        std::thread::yield_now();
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn answers_with_an_index_are_those_without_one_however_far_it_has_come() {
    block_on(async {
        let bench = bench();
        let engine = bench.open();
        for step in 0..6 {
            publish_varied(&engine, step * EVENTS / 6 + 1, (step + 1) * EVENTS / 6).await;
            check(&engine).await;
            until_indexed(&engine);
            check(&engine).await;
        }
        engine.close().await;
        drop(engine);
        let engine = bench.open();
        assert!(
            engine.health().unwrap().indexed > Some(position(EVENTS / 2)),
            "it is begun anew"
        );
        check(&engine).await;
        until_indexed(&engine);
        check(&engine).await;
    });
}

#[test]
fn without_an_index_the_log_is_read() {
    block_on(async {
        let mut bench = bench();
        bench.options.index = false;
        let engine = bench.open();
        publish_varied(&engine, 1, EVENTS).await;
        check(&engine).await;
        assert_eq!(engine.health().unwrap().indexed, None);
        assert!(!bench.path().join("index").exists());
        let memory = Bench::memory();
        let engine = memory.open();
        publish_varied(&engine, 1, EVENTS).await;
        check(&engine).await;
    });
}

#[test]
fn an_index_that_is_removed_is_made_anew() {
    block_on(async {
        let bench = bench();
        let engine = bench.open();
        publish_varied(&engine, 1, EVENTS).await;
        until_indexed(&engine);
        engine.close().await;
        drop(engine);
        assert!(remove_index(bench.path()).unwrap());
        assert!(!remove_index(bench.path()).unwrap(), "there is none left");
        let engine = bench.open();
        check(&engine).await;
        until_indexed(&engine);
        check(&engine).await;
    });
}

#[test]
fn damage_of_the_index_never_hurts_the_log() {
    block_on(async {
        let mut bench = bench();
        bench.options.index_entries = 150;
        let engine = bench.open();
        publish_varied(&engine, 1, 400).await;
        until_indexed(&engine);
        engine.close().await;
        drop(engine);
        let count = files(&bench.path().join("index")).len();
        assert!(count > 3, "only {count} files");
        for turn in 0..count {
            // What was damaged before was thrown away, so there are others each time.
            let files = files(&bench.path().join("index"));
            let path = &files[turn % files.len()];
            let whole = std::fs::read(path).unwrap();
            let mut flipped = whole.clone();
            flipped.iter_mut().for_each(|byte| *byte ^= 0x55);
            for bytes in [&flipped[..], &whole[..whole.len() / 2], &[][..]] {
                if path.exists() {
                    std::fs::write(path, bytes).unwrap();
                }
                let engine = bench.open();
                let filter = || Filter {
                    key: Some("key-3".into()),
                    ..Filter::default()
                };
                let keyed: Vec<u64> = (1..=400).filter(|number| number % 7 == 3).collect();
                assert_eq!(found(&engine, filter(), Start::Earliest).await, keyed);
                until_indexed(&engine);
                assert_eq!(found(&engine, filter(), Start::Earliest).await, keyed);
                assert_eq!(all_entries(&engine).await.len(), 400);
                engine.close().await;
            }
        }
    });
}

#[test]
fn the_index_of_another_log_is_thrown_away() {
    block_on(async {
        let (one, two) = (bench(), bench());
        for (bench, from) in [(&one, 1), (&two, EVENTS + 1)] {
            let engine = bench.open();
            publish_varied(&engine, from, from + EVENTS - 1).await;
            until_indexed(&engine);
            engine.close().await;
        }
        assert!(remove_index(one.path()).unwrap());
        std::fs::rename(two.path().join("index"), one.path().join("index")).unwrap();
        let engine = one.open();
        check(&engine).await;
        until_indexed(&engine);
        check(&engine).await;
    });
}

#[test]
fn what_retention_removed_is_not_found() {
    block_on(async {
        let mut bench = bench();
        bench.options.keep_interval = Duration::from_millis(1);
        bench.options.snapshot_interval = Duration::ZERO;
        bench.options.snapshot_frames = 1;
        bench.options.retention = Retention {
            bytes: Some(128 << 10),
            ..Retention::default()
        };
        let engine = bench.open();
        let mut next = 1;
        while engine.health().unwrap().first.0 < EVENTS {
            publish_varied(&engine, next, next + 99).await;
            next += 100;
            assert!(next < 100 * EVENTS, "nothing was removed");
        }
        until_indexed(&engine);
        let filter = Filter {
            id: Some("id-77".into()),
            ..Filter::default()
        };
        assert!(found(&engine, filter, Start::Earliest).await.is_empty());
        assert!(engine.find(None, "id-77").await.unwrap().is_empty());
        engine.close().await;
    });
}

#[test]
fn attempts_are_found_far_behind_their_event() {
    block_on(async {
        let bench = bench();
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish(&engine, vec![event("first")]).await.unwrap();
        let mut first = pull(&mut deliveries, 1).await.remove(0);
        for attempt in 1..=5_u32 {
            first.attempt = attempt;
            let due = bench.clock.now();
            settle(&engine, "s", &first, retry(due)).await.unwrap();
            publish_varied(
                &engine,
                1_000 * u64::from(attempt),
                1_000 * u64::from(attempt) + 499,
            )
            .await;
        }
        first.attempt = 6;
        settle_and_publish(
            &engine,
            "s",
            &first,
            Outcome::Done,
            vec![typed("then", "u")],
        )
        .await
        .unwrap();
        for step in 0..2 {
            let reports = engine.report(position(1)).await.unwrap();
            let attempts: Vec<u32> = reports[0].attempts.iter().map(|a| a.attempt).collect();
            assert_eq!(attempts, [1, 2, 3, 4, 5, 6], "step {step}");
            assert_eq!(reports[0].attempts[5].emitted, [position(2_502)]);
            until_indexed(&engine);
        }
    });
}
