//! The log engine on a disk that is slow, fails or is full.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use hence_core::{Code, Commit, Durability, Message, Outcome};
use hence_log::sim::SimStorage;
use hence_log::{File, Lock, Space, Storage};

use crate::common::*;

/// A simulated disk whose syncs can be held up, or made to fail.
#[derive(Clone, Default)]
pub(crate) struct Gated {
    disk: SimStorage,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) shut: bool,
    broken: bool,
    waiting: usize,
    /// The name of the thread that synced last.
    pub(crate) last: String,
}

impl Gated {
    pub(crate) fn set(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.gate.0.lock().unwrap());
        self.gate.1.notify_all();
    }

    /// Waits until a sync is held up.
    pub(crate) fn wait_for_sync(&self) {
        let gate = self.gate.0.lock().unwrap();
        drop(
            self.gate
                .1
                .wait_while(gate, |gate| gate.waiting == 0)
                .unwrap(),
        );
    }

    fn pass(&self) -> io::Result<()> {
        let mut gate = self.gate.0.lock().unwrap();
        gate.waiting += 1;
        gate.last = std::thread::current().name().unwrap_or_default().to_owned();
        self.gate.1.notify_all();
        gate = self.gate.1.wait_while(gate, |gate| gate.shut).unwrap();
        gate.waiting -= 1;
        if gate.broken {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }
}

struct GatedFile(Box<dyn File>, Gated);

impl File for GatedFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.pass()?;
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

impl Storage for Gated {
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(GatedFile(self.disk.open(name)?, self.clone())))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(GatedFile(self.disk.create(name)?, self.clone())))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.disk.create_dir(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(name)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }

    fn unique(&self) -> io::Result<[u8; 16]> {
        self.disk.unique()
    }
}

pub(crate) fn gated() -> (Gated, Bench) {
    let disk = Gated::default();
    let bench = Bench::storage(Arc::new(disk.clone()));
    (disk, bench)
}

/// Polls once, so that it is under way.
async fn start<T>(future: &mut (impl Future<Output = T> + Unpin)) {
    tokio::select! {
        biased;
        _ = future => panic!("it should wait"),
        () = tokio::task::yield_now() => {}
    }
}

#[test]
fn nothing_is_seen_before_it_is_durable() {
    block_on(async {
        let (disk, bench) = gated();
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let first = pull(&mut deliveries, 1).await;

        disk.set(|gate| gate.shut = true);
        let mut publishing = Box::pin(publish(&engine, vec![event("2")]));
        start(&mut publishing).await;
        disk.wait_for_sync();
        let mut settling = Box::pin(settle(&engine, "s", &first[0], Outcome::Done));
        start(&mut settling).await;
        assert!(ready(&mut deliveries).await.is_empty());
        assert_eq!(all_entries(&engine).await.len(), 1);
        assert_eq!(
            engine.get(position(2)).await.unwrap_err().code(),
            Code::NOT_FOUND
        );
        assert!(engine.find(Some("/test"), "2").await.unwrap().is_empty());
        assert_eq!(engine.health().unwrap().last, position(1));
        let mut settled = engine.settled(position(1));
        start(&mut settled).await;
        assert_eq!(engine.subscriptions()[0].lag, 1);

        disk.set(|gate| gate.shut = false);
        assert_eq!(publishing.await.unwrap()[0].position, Some(position(2)));
        settling.await.unwrap();
        settled.await.unwrap();
        assert_eq!(positions(&pull(&mut deliveries, 1).await), [2]);
    });
}

#[test]
fn what_asks_for_less_does_not_wait_for_a_sync() {
    block_on(async {
        let (disk, bench) = gated();
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let written = |id: &str| Commit::publish(vec![event(id)], Durability::Written);
        // The first one has to make room for positions that a crash could make doubtful.
        engine.commit(written("1")).await.unwrap();
        disk.set(|gate| gate.shut = true);
        let receipt = engine.commit(written("2")).await.unwrap().remove(0);
        assert_eq!(receipt.durability, Durability::Written);
        assert_eq!(positions(&pull(&mut deliveries, 2).await), [1, 2]);
        disk.set(|gate| gate.shut = false);
    });
}

#[test]
fn a_failed_sync_ends_writing_and_not_reading() {
    block_on(async {
        let (disk, bench) = gated();
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let first = pull(&mut deliveries, 1).await;
        disk.set(|gate| gate.broken = true);
        let error = publish(&engine, vec![event("2")]).await.unwrap_err();
        assert_eq!(error.code(), Code::STORAGE);
        disk.set(|gate| gate.broken = false);
        // Nothing is tried again: what the disk holds is not known.
        let error = settle(&engine, "s", &first[0], Outcome::Done)
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::STORAGE);
        assert_eq!(engine.health().unwrap_err().code(), Code::STORAGE);
        assert_eq!(all_entries(&engine).await.len(), 1);
        assert_eq!(engine.subscriptions()[0].lag, 1);
        drop(deliveries);
        engine.close().await;
        drop(engine);
        disk.disk.crash(0);
        let engine = bench.open();
        assert_eq!(engine.get(position(1)).await.unwrap().message, event("1"));
        publish(&engine, vec![event("3")]).await.unwrap();
    });
}

#[test]
fn a_full_disk_refuses_and_forgets_until_there_is_room() {
    block_on(async {
        let disk = SimStorage::new();
        let mut bench = Bench::storage(Arc::new(disk.clone()));
        bench.options.segment_bytes = 8192;
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let first = pull(&mut deliveries, 1).await;
        disk.limit(Some(0));
        let mut refused = 0;
        for id in 2..100 {
            match publish(&engine, vec![event(&id.to_string())]).await {
                Ok(_) => assert_eq!(refused, 0, "it was full before"),
                Err(error) => {
                    assert_eq!(error.code(), Code::STORAGE_FULL);
                    assert!(error.is_retryable());
                    refused += 1;
                }
            }
        }
        assert!(refused > 0);
        let stored = engine.health().unwrap().last;
        disk.limit(None);
        let receipts = publish(&engine, vec![event("99"), event("98")])
            .await
            .unwrap();
        assert_eq!(receipts[0].position, Some(position(stored.0 + 1)));
        assert!(receipts.iter().all(|receipt| !receipt.duplicate));
        settle(&engine, "s", &first[0], Outcome::Done)
            .await
            .unwrap();
        drop(deliveries);
        drop(engine);
        disk.kill();
        let engine = bench.open();
        assert_eq!(engine.health().unwrap().last, position(stored.0 + 2));
    });
}

#[test]
fn damage_is_told_with_the_place() {
    block_on(async {
        let disk = SimStorage::new();
        let bench = Bench::storage(Arc::new(disk.clone()));
        let engine = bench.open();
        publish_range(&engine, 1, 9).await;
        engine.close().await;
        drop(engine);
        let names = disk.names();
        let segment = names
            .iter()
            .find(|name| name.starts_with("segment-"))
            .unwrap();
        disk.damage(segment, |bytes| bytes[700] ^= 1);
        for snapshot in names.iter().filter(|name| name.starts_with("snapshot-")) {
            Storage::remove(&disk, snapshot).unwrap();
        }
        let error = bench.try_open().err().unwrap();
        assert_eq!(error.code(), Code::CORRUPT);
        assert!(error.detail().contains(segment.as_str()), "{error}");
    });
}

#[test]
fn positions_that_a_power_cut_made_doubtful_do_not_come_back() {
    block_on(async {
        let disk = SimStorage::new();
        let bench = Bench::storage(Arc::new(disk.clone()));
        let engine = bench.open();
        publish_range(&engine, 1, 3).await;
        for id in 4..8 {
            let commit = Commit::publish(vec![event(&id.to_string())], Durability::Written);
            engine.commit(commit).await.unwrap();
        }
        drop(engine);
        disk.crash(4);
        let engine = bench.open();
        let kept = all_entries(&engine).await;
        assert!(kept.len() >= 3);
        let receipt = publish(&engine, vec![event("new")])
            .await
            .unwrap()
            .remove(0);
        let new = receipt.position.unwrap();
        assert!(
            new > position(7),
            "{new} may have been seen as another event"
        );
        assert_eq!(engine.get(new).await.unwrap().message, event("new"));
        let mut deliveries = subscribe(&engine, "s").await;
        assert_eq!(
            positions(&ready(&mut deliveries).await).last(),
            Some(&new.0)
        );
    });
}

/// Nothing that is stored is damaged when the segment that is written is gone: nothing more is.
#[test]
fn a_segment_that_is_removed_is_no_damage_whoever_notices() {
    let remove = |bench: &Bench| {
        let segment = "segment-00000000000000000001.hlog";
        std::fs::remove_file(bench.path().join(segment)).unwrap();
    };
    block_on(async {
        let bench = Bench::log();
        let engine = bench.open();
        publish_range(&engine, 1, 1).await;
        remove(&bench);
        // When nothing is published.
        let error = loop {
            match engine.health() {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), Code::STORAGE);
    });
    block_on(async {
        let mut bench = Bench::log();
        bench.options.segment_bytes = 64 << 20;
        let engine = bench.open();
        publish_range(&engine, 1, 1).await;
        remove(&bench);
        // More than is written between two looks.
        let mut id = 1;
        let error = loop {
            id += 1;
            assert!(id < 100, "nobody notices");
            let attributes = event(&id.to_string()).attributes().clone();
            let message = Message::new(attributes, Some(vec![b'1'; 100_000].into()));
            if let Err(error) = publish(&engine, vec![message]).await {
                break error;
            }
        };
        assert_eq!(error.code(), Code::STORAGE, "{error}");
        let again = publish(&engine, vec![event("again")]).await.unwrap_err();
        assert_eq!(again.code(), Code::STORAGE);
        assert_eq!(engine.health().unwrap_err().code(), Code::STORAGE);
    });
}
