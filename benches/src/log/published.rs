//! Row 2 with several publishers: groups are whatever waits when the sync before has ended.
//!
//! Beside it stand the same publishers with the same windows and the same queue, whose events one
//! thread copies into a buffer that it writes and syncs: what a program without a log does at least.
//! What plain writes of the same batches give, which nobody has to hand over or to put together, is
//! printed below with the same goal: it says what the disk could take.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use hence_log::{GROUP_BYTES_MAX, GROUP_EVENTS_MAX, Level, Op, Writer};

use super::Sizes;
use super::append::{EVENT, EVENTS_MAX, Ours, Rounds, open, replay};
use super::disk::{Kind, Raw, place};
use crate::report::Row;

/// Events that each publisher has under way.
const WINDOW: usize = 256;
const PUBLISHERS: usize = 4;

pub(crate) fn rows(sizes: &Sizes, kind: Kind) -> anyhow::Result<Vec<Row>> {
    let (mut alike, mut plain) = (Vec::new(), Rounds::default());
    for _ in 0..sizes.rounds {
        let dir = place()?;
        let (mut writer, _log) = open(dir.path(), kind)?;
        let ours = publish(&mut writer, sizes.time)?;
        let mut copied = Copied::new(dir.path(), kind)?;
        alike.push((ours.rate, publish(&mut copied, sizes.time)?.rate));
        let mut raw = Raw::new(dir.path(), kind)?;
        plain.add(&ours, replay(&mut raw, &ours.batches)?, dir.path())?;
    }
    let name = format!("log alone, {PUBLISHERS} publishers, {}", kind.name());
    let beside = "the same queue, copied, pwrite+fdatasync";
    let mut rows = vec![
        Row::beside(&name, "events/s", beside, &alike).goal(0.90),
        plain
            .row("  beside plain writes of the same batches")
            .goal(0.90),
    ];
    if kind == Kind::Recycled {
        rows.push(plain.row_beside_growing());
    }
    rows.push(plain.events_in_one_sync());
    Ok(rows)
}

/// Where published events are put together and stored.
trait Store {
    fn add(&mut self, event: &[u8; EVENT]) -> anyhow::Result<()>;
    fn is_full(&self) -> bool;
    fn sync(&mut self) -> anyhow::Result<()>;
}

impl Store for Writer {
    fn add(&mut self, event: &[u8; EVENT]) -> anyhow::Result<()> {
        self.stage(0, [Op::append(0, event)])?;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.is_full()
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        Ok(self.commit(Level::Synced)?)
    }
}

/// Bytes without a log, with the limits of one.
struct Copied {
    raw: Raw,
    bytes: Vec<u8>,
}

impl Copied {
    fn new(dir: &Path, kind: Kind) -> anyhow::Result<Self> {
        let (raw, bytes) = (Raw::new(dir, kind)?, Vec::new());
        Ok(Self { raw, bytes })
    }
}

impl Store for Copied {
    fn add(&mut self, event: &[u8; EVENT]) -> anyhow::Result<()> {
        self.bytes.extend_from_slice(event);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= GROUP_BYTES_MAX.min(GROUP_EVENTS_MAX * EVENT)
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        self.raw.store(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}

/// Publishers with a window each, and groups of whatever waits.
fn publish(store: &mut impl Store, time: Duration) -> anyhow::Result<Ours> {
    let (sender, queue) = sync_channel::<(usize, [u8; EVENT])>(PUBLISHERS * WINDOW);
    let done: Arc<[AtomicUsize; PUBLISHERS]> = Arc::default();
    let began = Instant::now();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|who| {
            let (sender, done) = (sender.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                let done = done.get(who);
                let stored = || done.map_or(0, |done| done.load(Ordering::Acquire));
                let mut sent = 0;
                while began.elapsed() < time && sent < EVENTS_MAX / PUBLISHERS {
                    while sent - stored() >= WINDOW {
                        std::thread::park();
                    }
                    if sender.send((who, [b'x'; EVENT])).is_err() {
                        return;
                    }
                    sent += 1;
                }
            })
        })
        .collect();
    drop(sender);
    let mut batches = Vec::new();
    while let Ok(first) = queue.recv() {
        let mut counts = [0; PUBLISHERS];
        let mut next = Some(first);
        let mut batch = 0;
        while let Some((who, event)) = next {
            store.add(&event)?;
            batch += 1;
            if let Some(count) = counts.get_mut(who) {
                *count += 1;
            }
            next = if store.is_full() {
                None
            } else {
                queue.try_recv().ok()
            };
        }
        store.sync()?;
        batches.push(batch);
        for ((done, count), publisher) in done.iter().zip(counts).zip(&publishers) {
            if count > 0 {
                done.fetch_add(count, Ordering::Release);
                publisher.thread().unpark();
            }
        }
    }
    let count: usize = batches.iter().sum();
    let rate = count as f64 / began.elapsed().as_secs_f64();
    Ok(Ours { rate, batches })
}
