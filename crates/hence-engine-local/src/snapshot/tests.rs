use std::sync::Arc;
use std::time::Duration;

use hence_core::commit::{Change, Sequence, What};
use hence_core::engine::Engine;
use hence_core::{
    Attributes, Commit, DeadLetterQuery, Delivery, Durability, Message, Outcome, Position,
    RejectReason, Settlement, Start, SubscriptionSpec, Timestamp,
};
use hence_log::Storage;
use hence_log::sim::SimStorage;

use super::{Frozen, thaw};
use crate::{Options, engine, writer};

/// After which a test that waits has failed.
const HANGS_AFTER: Duration = Duration::from_secs(60);

fn message(id: u32, event_type: &str) -> Message {
    let attributes = Attributes::new(id.to_string(), "/test", event_type).unwrap();
    Message::new(attributes, Some(format!("{id}").into()))
}

fn settlement(delivery: &Delivery, outcome: Outcome) -> Settlement {
    Settlement {
        subscription: "s".into(),
        position: delivery.position,
        attempt: delivery.attempt,
        outcome,
        ran: Duration::ZERO,
    }
}

/// A log with something of everything that the tables can hold.
async fn work(engine: &dyn Engine) {
    let spec = |types: &[&str]| {
        let types = types.iter().map(|name| (*name).to_owned()).collect();
        SubscriptionSpec::new("s", types, Start::Earliest)
    };
    let mut deliveries = engine.subscribe(spec(&["t"])).await.unwrap();
    for id in 0..40 {
        let event_type = if id % 3 == 0 { "u" } else { "t" };
        let commit = Commit::publish(vec![message(id, event_type)], Default::default());
        engine.commit(commit).await.unwrap();
    }
    for delivery in deliveries.next(20).await.unwrap() {
        let (due, error) = (Timestamp::from_micros(7), "why".to_owned());
        let reason = RejectReason::Undecodable;
        let outcome = match delivery.position.0 % 4 {
            0 => continue,
            1 => Outcome::Retry { due, error },
            2 => Outcome::Reject {
                reason,
                error,
                hold: true,
            },
            _ => Outcome::Done,
        };
        let commit = Commit {
            settle: vec![settlement(&delivery, outcome)],
            ..Commit::default()
        };
        engine.commit(commit).await.unwrap();
    }
    let letters = engine
        .dead_letters(&DeadLetterQuery::default())
        .await
        .unwrap();
    let redrive = vec![letters[0].id.clone(), letters[2].id.clone()];
    engine
        .commit(Commit {
            redrive,
            ..Commit::default()
        })
        .await
        .unwrap();
    drop(deliveries);
    engine.subscribe(spec(&["t", "v"])).await.unwrap();
    let commit = Commit::publish(vec![message(50, "v"), message(1, "t")], Default::default());
    engine.commit(commit).await.unwrap();
    keep(engine).await;
}

/// Values, timers and a sender.
async fn keep(engine: &dyn Engine) {
    let change = |key: &str, what| Change {
        subscription: "s".into(),
        key: key.to_owned(),
        what,
    };
    let timer = |name: &str, later: u64| What::SetTimer {
        name: name.to_owned(),
        due: Timestamp::steady().after(Duration::from_secs(3600 + later)),
        message: Box::new(message(60, "t")),
    };
    let cancelled = What::CancelTimer {
        name: "gone".to_owned(),
    };
    for change in [
        vec![
            change("k", What::Write("1".into())),
            change("l", What::Write("2".into())),
        ],
        vec![
            change("l", What::Remove),
            change("k", What::Write("3".into())),
        ],
        vec![change("k", timer("late", 2)), change("k", timer("gone", 1))],
        vec![change("l", timer("soon", 0)), change("k", cancelled)],
    ] {
        let sequence = Sequence {
            sender: "sender".to_owned(),
            number: 1,
        };
        let commit = Commit {
            change,
            ..Commit::default()
        };
        engine.commit(commit).await.unwrap();
        let commit = Commit {
            sequence: Some(sequence),
            ..Commit::default()
        };
        engine.commit(commit).await.unwrap();
    }
}

fn tables(disk: &SimStorage, options: &Options) -> Frozen {
    let opened = writer::open(Arc::new(disk.fork()), options).unwrap();
    Frozen::of(&opened.core.state)
}

#[tokio::test]
async fn snapshot_and_tail_are_equal_to_a_full_replay() {
    let disk = SimStorage::new();
    let mut options = Options {
        segment_bytes: 1 << 16,
        dedup_events: 30,
        snapshot_interval: Duration::ZERO,
        ..Options::default()
    };
    for (frames, clean) in [(u64::MAX, true), (9, false), (9, true)] {
        let disk = disk.fork();
        options.snapshot_frames = frames;
        let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
        work(&engine).await;
        if clean {
            engine.close().await;
        }
        drop(engine);
        // The ids of what is followed by 30 others are left out where all is replayed.
        let with = tables(&disk, &options);
        assert_eq!(with.known.len(), 30);
        assert!(
            with.subscriptions[0]
                .dead
                .values()
                .any(|dead| dead.redriven)
        );
        assert!(!with.subscriptions[0].settled.ranges().is_empty());
        assert_eq!(with.keyed.room().entries, 1);
        assert_eq!(with.timers.room().entries, 2);
        assert_eq!(with.senders.len(), 1);
        let names = disk.names();
        let snapshots: Vec<_> = names
            .iter()
            .filter(|n| n.starts_with("snapshot-"))
            .collect();
        assert!(!snapshots.is_empty());
        for snapshot in snapshots {
            disk.remove(snapshot).unwrap();
        }
        assert_eq!(tables(&disk, &options), with);
    }
}

/// After a crash no more is read than so many bytes and what comes in while they are stored.
#[tokio::test]
async fn bytes_ask_for_a_snapshot_however_few_commits_there_are() {
    let disk = SimStorage::new();
    let options = Options {
        snapshot_bytes: 10_000,
        ..Options::default()
    };
    let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
    let snapshots = || {
        let is_one = |name: &String| name.starts_with("snapshot-") && name.ends_with(".hsnp");
        disk.names().into_iter().filter(is_one).count()
    };
    let mut published = 0;
    while snapshots() == 0 {
        assert!(published < 10_000, "there is no snapshot after so many");
        let commit = Commit::publish(vec![message(published, "t")], Default::default());
        engine.commit(commit).await.unwrap();
        published += 1;
    }
    // Its operations have at least a dozen bytes each.
    assert!(published > 100, "a snapshot after {published} events");
    drop(engine);
}

/// What a crash left behind the newest snapshot is read once, not at every start until something is
/// published.
#[tokio::test]
async fn what_was_replayed_is_not_replayed_again() {
    let disk = SimStorage::new();
    let mut options = Options {
        snapshot_bytes: u64::MAX,
        ..Options::default()
    };
    let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
    work(&engine).await;
    let crashed = disk.fork();
    drop(engine);
    let names = crashed.names();
    for name in names.iter().filter(|name| name.starts_with("snapshot-")) {
        crashed.remove(name).unwrap();
    }
    options.snapshot_bytes = 1;
    let engine = engine::Local::log(Arc::new(crashed.clone()), None, &options).unwrap();
    let has_snapshot = || crashed.names().iter().any(|name| name.ends_with(".hsnp"));
    let found = async {
        while !has_snapshot() {
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(HANGS_AFTER, found).await;
    found.expect("there is never a snapshot");
    drop(engine);
    let opened = writer::open(Arc::new(crashed.fork()), &options).unwrap();
    let last = opened.core.store.last_commit();
    assert_eq!(opened.snapshots.frame(), last, "some is read again");
}

/// A crash gives up positions, so that fewer events than ids are known have the last of them.
#[tokio::test]
async fn ids_before_a_gap_are_known_after_a_replay() {
    let disk = SimStorage::new();
    let options = Options {
        dedup_events: 30,
        ..Options::default()
    };
    let publish = async |engine: &dyn Engine, id, durability| {
        let commit = Commit::publish(vec![message(id, "t")], durability);
        engine.commit(commit).await.unwrap()[0].clone()
    };
    let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
    for id in 0..40 {
        publish(&engine, id, Durability::Written).await;
    }
    let disk = disk.fork();
    drop(engine);
    let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
    let behind = publish(&engine, 40, Durability::Synced).await.position;
    assert!(behind > Some(Position(100)), "there is no gap: {behind:?}");
    let disk = disk.fork();
    drop(engine);
    assert_eq!(tables(&disk, &options).known.len(), 30);
    let engine = engine::Local::log(Arc::new(disk), None, &options).unwrap();
    assert!(publish(&engine, 11, Durability::Synced).await.duplicate);
    assert!(!publish(&engine, 10, Durability::Synced).await.duplicate);
}

#[tokio::test]
async fn a_cut_snapshot_is_refused_everywhere() {
    let disk = SimStorage::new();
    let options = Options::default();
    let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
    work(&engine).await;
    drop(engine);
    let frozen = tables(&disk, &options);
    let mut bytes = Vec::new();
    frozen.write(&mut bytes).unwrap();
    let whole = thaw(bytes.clone().into(), options.dedup_events).unwrap();
    assert_eq!(Frozen::of(&whole), frozen);
    for end in 0..bytes.len() {
        let cut = bytes[..end].to_vec();
        assert!(
            thaw(cut.into(), options.dedup_events).is_err(),
            "cut at {end}"
        );
    }
}

/// With a higher limit there is room for more ids, and those that went before are not back.
#[tokio::test]
async fn a_limit_that_was_raised_does_not_make_the_ids_complete() {
    let disk = SimStorage::new();
    let mut options = Options {
        dedup_events: 30,
        ..Options::default()
    };
    let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
    for id in 0..100 {
        let commit = Commit::publish(vec![message(id, "t")], Durability::Synced);
        engine.commit(commit).await.unwrap();
    }
    engine.close().await;
    drop(engine);
    options.dedup_events = 1_000;
    let engine = engine::Local::log(Arc::new(disk.clone()), None, &options).unwrap();
    for (id, position) in [("0", 1), ("80", 81)] {
        let found = engine.find(Some("/test"), id).await.unwrap();
        assert_eq!(found, [Position(position)], "{id}");
    }
    let none = engine.find(Some("/test"), "100").await.unwrap();
    assert_eq!(none, []);
}
