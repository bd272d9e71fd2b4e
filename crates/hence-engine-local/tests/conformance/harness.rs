//! The engines under test: `memory:`, `log:` in a directory, `log:` on a simulated disk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hence_conformance::{Backlog, Harness, Instance};
use hence_core::{BoxFuture, Durability, Result};
use hence_engine_local::Options;
use hence_log::Storage;
use hence_log::sim::{EIO, Fault, SimStorage};
use tempfile::TempDir;

use crate::breakable::Breakable;

/// What may be unsettled in memory: little, so that it is soon too much.
const MEMORY_BYTES: usize = 4 << 20;

/// `memory:`, which ends with its process.
pub(crate) struct Memory;

impl Harness for Memory {
    fn name(&self) -> &str {
        "memory:"
    }

    fn fresh(&self) -> BoxFuture<'_, Result<Instance>> {
        let mut options = Options::default();
        options.memory_bytes = MEMORY_BYTES;
        let engine = hence_engine_local::memory(&options);
        Box::pin(async move { Ok(Instance::new(engine, "memory:")) })
    }

    fn restart(&self, killed: Instance) -> BoxFuture<'_, Result<Instance>> {
        drop(killed);
        self.fresh()
    }

    fn backlog(&self) -> Backlog {
        Backlog::Memory {
            bytes: MEMORY_BYTES,
        }
    }
}

/// Calls to a broken disk that fail; more than a case makes before it is mended.
const CALLS: u64 = 10_000;

fn small_files() -> Options {
    let mut options = Options::default();
    options.segment_bytes = 4 << 20;
    options
}

/// `log:` in a directory for each case; a restart drops the engine without closing it.
#[derive(Default)]
pub(crate) struct Disk(Mutex<HashMap<String, (TempDir, Breakable)>>);

impl Harness for Disk {
    fn name(&self) -> &str {
        "log:"
    }

    fn fresh(&self) -> BoxFuture<'_, Result<Instance>> {
        Box::pin(async move {
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().display().to_string();
            let storage = Breakable::new(&place);
            self.0
                .lock()
                .unwrap()
                .insert(place.clone(), (dir, storage.clone()));
            open(storage, place)
        })
    }

    fn restart(&self, killed: Instance) -> BoxFuture<'_, Result<Instance>> {
        Box::pin(async move {
            let Instance { engine, place } = killed;
            assert_eq!(
                Arc::strong_count(&engine),
                1,
                "somebody still holds the engine"
            );
            drop(engine);
            let storage = Breakable::new(&place);
            let mut places = self.0.lock().unwrap();
            places.get_mut(&place).unwrap().1 = storage.clone();
            drop(places);
            open(storage, place)
        })
    }

    fn backlog(&self) -> Backlog {
        Backlog::Storage
    }

    fn fail_storage(&self, running: &Instance) -> bool {
        self.0.lock().unwrap()[&running.place].1.fail();
        true
    }
}

/// `log:` on a simulated disk; a restart cuts the power, and what was not synced may be gone.
#[derive(Default)]
pub(crate) struct PowerCut {
    disks: Mutex<HashMap<String, SimStorage>>,
    seed: AtomicU64,
}

impl PowerCut {
    fn disk(&self, place: &str) -> SimStorage {
        self.disks.lock().unwrap()[place].clone()
    }

    /// How many sectors the cuts took, which shows that they could have hurt.
    pub(crate) fn lost_sectors(&self) -> u64 {
        self.disks
            .lock()
            .unwrap()
            .values()
            .map(SimStorage::lost_sectors)
            .sum()
    }
}

fn open(storage: impl Storage + 'static, place: String) -> Result<Instance> {
    let engine = hence_engine_local::log_on(Arc::new(storage), &small_files())?;
    Ok(Instance::new(engine, place))
}

impl Harness for PowerCut {
    fn name(&self) -> &str {
        "log: in power cuts"
    }

    fn fresh(&self) -> BoxFuture<'_, Result<Instance>> {
        let (place, disk) = (self.seed.fetch_add(1, Ordering::Relaxed), SimStorage::new());
        let place = place.to_string();
        self.disks
            .lock()
            .unwrap()
            .insert(place.clone(), disk.clone());
        Box::pin(async move { open(disk, place) })
    }

    fn restart(&self, killed: Instance) -> BoxFuture<'_, Result<Instance>> {
        Box::pin(async move {
            let Instance { engine, place } = killed;
            assert_eq!(
                Arc::strong_count(&engine),
                1,
                "somebody still holds the engine"
            );
            let disk = self.disk(&place);
            // The power goes first, so that nothing is tidied up.
            disk.plan(1, Fault::PowerCut);
            drop(engine);
            disk.crash(self.seed.fetch_add(1, Ordering::Relaxed));
            open(disk, place)
        })
    }

    fn restart_clean(&self, running: Instance) -> BoxFuture<'_, Result<Instance>> {
        Box::pin(async move {
            running.close().await;
            let Instance { engine, place } = running;
            drop(engine);
            let disk = self.disk(&place);
            disk.kill();
            open(disk, place)
        })
    }

    fn backlog(&self) -> Backlog {
        Backlog::Storage
    }

    fn survivor(&self) -> Durability {
        Durability::Synced
    }

    fn fail_storage(&self, running: &Instance) -> bool {
        let disk = self.disk(&running.place);
        (1..=CALLS).for_each(|call| disk.plan(call, Fault::Error(EIO)));
        true
    }
}
