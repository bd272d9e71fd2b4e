//! A commit that finds nobody at work stores itself, on the thread of its caller.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use hence_core::{Engine, Filter, Read, Start};

use crate::common::*;
use crate::fault::{Gated, gated};

const WORKER: &str = "leader";
/// Commits until one has to lead: a stall of the machine makes the disk look slow for some of them.
const TRIES_MAX: u64 = 100_000;

fn on_workers(test: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(WORKER)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::spawn(test).await.unwrap() });
}

/// Publishes one by one until a caller has synced; says how many that took.
async fn until_led(disk: &Gated, engine: &Arc<dyn Engine>, first: u64) -> u64 {
    for number in first..first + TRIES_MAX {
        publish_range(engine, number, number).await;
        let mut last = String::new();
        disk.set(|gate| last.clone_from(&gate.last));
        if last == WORKER {
            return number;
        }
    }
    panic!("no caller led");
}

/// Polls once, and no more.
async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) {
    poll_fn(|context| {
        let _ = std::pin::Pin::new(&mut *future).poll(context);
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_commit_that_finds_nobody_at_work_is_stored_by_its_caller() {
    on_workers(async {
        let (disk, bench) = gated();
        let engine = bench.open();
        let last = until_led(&disk, &engine, 1).await;
        // The thread takes over again at the end, with everything that callers stored.
        engine.close().await;
        drop(engine);
        let engine = bench.open();
        assert_eq!(engine.health().unwrap().last, position(last));
    });
}

#[test]
fn a_lead_that_is_given_up_goes_to_the_thread() {
    on_workers(async {
        let (disk, bench) = gated();
        let engine = bench.open();
        let mut next = 1;
        for _ in 0..20 {
            next = until_led(&disk, &engine, next).await + 1;
            let id = next.to_string();
            let mut given_up = Box::pin(publish(&engine, vec![event(&id)]));
            poll_once(&mut given_up).await;
            drop(given_up);
            // It was taken, and nobody else has to come for it to be stored.
            let read = Read {
                from: Start::Position(position(next)),
                filter: Filter::default(),
                follow: true,
            };
            let mut reader = engine.read(read).await.unwrap();
            let found = reader.next(1).await.unwrap();
            assert_eq!(found[0].message.attributes().id(), id);
            next += 1;
        }
    });
}

#[test]
fn a_caller_that_does_not_come_back_holds_up_nobody() {
    on_workers(async {
        let (disk, bench) = gated();
        let engine = bench.open();
        let mut next = 1;
        for _ in 0..20 {
            next = until_led(&disk, &engine, next).await + 1;
            let id = next.to_string();
            let mut held = Box::pin(publish(&engine, vec![event(&id)]));
            poll_once(&mut held).await;
            publish_range(&engine, next + 1, next + 1).await;
            assert_eq!(held.await.unwrap()[0].position, Some(position(next)));
            next += 2;
        }
    });
}

#[test]
fn what_comes_while_a_caller_leads_is_stored_after_it() {
    on_workers(async {
        let (disk, bench) = gated();
        let engine = bench.open();
        let next = until_led(&disk, &engine, 1).await + 1;
        disk.set(|gate| gate.shut = true);
        let publish = |number: u64| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let published = publish(&engine, vec![event(&number.to_string())]).await;
                published.unwrap()[0].position
            })
        };
        let first = publish(next);
        let watch = disk.clone();
        tokio::task::spawn_blocking(move || watch.wait_for_sync())
            .await
            .unwrap();
        let second = publish(next + 1);
        // Everything else goes on meanwhile.
        tokio::task::yield_now().await;
        assert_eq!(engine.health().unwrap().last, position(next - 1));
        disk.set(|gate| gate.shut = false);
        assert_eq!(first.await.unwrap(), Some(position(next)));
        assert_eq!(second.await.unwrap(), Some(position(next + 1)));
        engine.close().await;
    });
}
