use hence_core::engine::Read;
use hence_core::{Code, Commit, DeadLetterQuery, Durability};

use crate::common::*;

on_both! {
    async fn a_closed_engine_says_so_everywhere(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        engine.close().await;
        engine.close().await;
        assert!(deliveries.next(1).await.unwrap().is_empty());
        let codes = [
            publish(&engine, vec![event("x")]).await.err(),
            engine.subscribe(spec("x")).await.err(),
            engine.read(Read::default()).await.err(),
            engine.get(position(1)).await.err(),
            engine.find(None, "1").await.err(),
            engine.report(position(1)).await.err(),
            engine.settled(position(1)).await.err(),
            engine.dead_letters(&DeadLetterQuery::default()).await.err(),
            engine.health().err(),
        ];
        for error in codes {
            assert_eq!(error.unwrap().code(), Code::CLOSED);
        }
        assert!(engine.try_commit(Commit::publish(vec![event("y")], strongest(&engine))).is_err());
    }

    async fn a_waiting_pull_and_a_waiting_settled_end_when_it_closes(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        pull(&mut deliveries, 1).await;
        let close = async {
            tokio::task::yield_now().await;
            engine.close().await;
        };
        let (got, settled, ()) =
            tokio::join!(deliveries.next(1), engine.settled(position(1)), close);
        assert!(got.unwrap().is_empty());
        assert_eq!(settled.unwrap_err().code(), Code::CLOSED);
    }

    async fn health_tells_first_last_and_syncs(bench: Bench) {
        let engine = bench.open();
        assert_eq!(engine.health().unwrap().last, position(0));
        publish_range(&engine, 1, 3).await;
        let health = engine.health().unwrap();
        assert_eq!((health.first, health.last), (position(1), position(3)));
        assert!(health.bytes > 0);
        assert_eq!(health.syncs, if bench.is_log() { 3 } else { 0 });
    }
}

#[test]
fn urls_name_engines() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("log:{}/new/data", dir.path().display());
    assert_eq!(
        hence_engine_local::open(&url).unwrap().capability().name,
        "log"
    );
    assert_eq!(
        hence_engine_local::open("memory:")
            .unwrap()
            .capability()
            .name,
        "memory"
    );
    for url in ["memory", "memory:x", "log:", "nats://x", ""] {
        let error = hence_engine_local::open(url).err().unwrap();
        assert_eq!(error.code(), Code::ENGINE_URL, "{url}");
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = hence_engine_local::open(&format!("log:{}", file.display()))
        .err()
        .unwrap();
    assert_eq!(error.code(), Code::ENGINE_URL);
}

#[test]
fn one_directory_has_one_engine() {
    let bench = Bench::log();
    let engine = bench.open();
    let second = hence_engine_local::log(bench.path(), &bench.options);
    assert_eq!(second.err().unwrap().code(), Code::LOCKED);
    drop(engine);
    bench.open();
}

#[test]
fn every_level_of_the_log_is_kept_and_told() {
    block_on(async {
        let bench = Bench::log();
        let engine = bench.open();
        for (id, level) in [
            ("1", Durability::Accepted),
            ("2", Durability::Written),
            ("3", Durability::Synced),
        ] {
            let commit = Commit::publish(vec![event(id)], level);
            let receipt = engine.commit(commit).await.unwrap().remove(0);
            assert_eq!(receipt.durability, level);
            assert_eq!(receipt.position.is_none(), level == Durability::Accepted);
        }
        engine.close().await;
        drop(engine);
        assert_eq!(all_entries(&bench.open()).await.len(), 3);
    });
}
