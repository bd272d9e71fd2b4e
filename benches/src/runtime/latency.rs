//! Latency at a steady rate, from before the publish to the handler; and of a durable publish on an
//! idle system, beside one `fdatasync`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hence::App;
use hence::core::event::EventType;
use hence::core::extract::{Input, Undecodable, only};
use hence::core::{Attributes, Delivery, Message};
use ruststream::OutgoingMessage;
use ruststream::memory::prelude::*;
use tokio::runtime::Handle;

use super::payload::{COUNT, SOURCE};
use crate::load::Load;
use crate::report;

const BYTES: usize = 300;
const TYPE: &str = "bench.timed";

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static TAKEN: Mutex<Vec<f64>> = Mutex::new(Vec::new());

/// 300 bytes of which the first eight say when they were sent.
fn stamped() -> Bytes {
    let now = u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut data = vec![0; BYTES];
    if let Some(head) = data.first_chunk_mut::<8>() {
        *head = now.to_le_bytes();
    }
    data.into()
}

fn arrived(data: &[u8]) {
    let sent = data
        .first_chunk::<8>()
        .map_or(0, |head| u64::from_le_bytes(*head));
    let took = START.elapsed().saturating_sub(Duration::from_nanos(sent));
    TAKEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(took.as_secs_f64() * 1e6);
    COUNT.add();
}

struct Timed;

impl Input for Timed {
    fn types(types: &mut Vec<EventType>) {
        types.push(EventType {
            name: TYPE,
            keyed: false,
            key_of: |_, _| Ok(None),
        });
    }

    fn decode(deliveries: &[Delivery]) -> Result<Self, Undecodable> {
        arrived(only(deliveries)?.message.data().map_or(&[], |data| data));
        Ok(Self)
    }
}

async fn timed(_: Timed) {}

#[derive(Deserialized)]
struct Frame<'a>(&'a [u8]);

#[subscriber("timed")]
async fn their_timed(frame: &Frame<'_>) -> HandlerOutcome {
    arrived(frame.0);
    HandlerOutcome::ack()
}

/// The 50th and the 99th percentile, in microseconds.
#[derive(Clone, Copy)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

fn latency(mut taken: Vec<f64>) -> Latency {
    taken.sort_by(f64::total_cmp);
    let at = |p: f64| {
        let index = (taken.len() as f64 * p) as usize;
        taken.get(index.min(taken.len().saturating_sub(1))).copied()
    };
    Latency {
        p50: at(0.5).unwrap_or(f64::NAN),
        p99: at(0.99).unwrap_or(f64::NAN),
    }
}

/// Sends at a steady rate from a thread of its own, and waits until all have arrived.
async fn steady(
    events: usize,
    rate: f64,
    mut send: impl FnMut(usize) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Latency> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).clear();
    COUNT.begin(events);
    let thread = std::thread::spawn(move || {
        let began = Instant::now();
        for number in 0..events {
            let due = began + Duration::from_secs_f64(number as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            send(number)?;
        }
        anyhow::Ok(())
    });
    COUNT.all().await;
    let sent = tokio::task::spawn_blocking(move || thread.join()).await?;
    sent.map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    Ok(latency(std::mem::take(
        &mut *TAKEN.lock().unwrap_or_else(PoisonError::into_inner),
    )))
}

pub(super) async fn hence(events: usize, rate: f64) -> anyhow::Result<Latency> {
    let running = App::new("bench")
        .subscribe("timed", timed)
        .start("memory:")
        .await?;
    let (bus, handle) = (running.bus().clone(), Handle::current());
    let found = steady(events, rate, move |number| {
        let attributes = Attributes::new(number.to_string(), SOURCE, TYPE)?;
        let message = Message::new(attributes, Some(stamped()));
        handle.block_on(bus.commit(vec![message], bus.durability()))?;
        Ok(())
    });
    let found = found.await?;
    running.drain().await;
    Ok(found)
}

pub(super) async fn ruststream(events: usize, rate: f64) -> anyhow::Result<Latency> {
    let broker = MemoryBroker::new();
    let (publisher, handle) = (broker.publisher(), Handle::current());
    let app = RustStream::new(AppInfo::new("bench", "0.1.0")).with_broker(broker, |b| {
        b.include(their_timed);
    });
    let running = app.start().await?;
    let found = steady(events, rate, move |_| {
        let data = stamped();
        handle.block_on(publisher.publish(OutgoingMessage::new("timed", &data), None))?;
        Ok(())
    });
    let found = found.await?;
    running.shutdown().await?;
    Ok(found)
}

pub(super) async fn channel(events: usize, rate: f64) -> anyhow::Result<Latency> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(1_024);
    tokio::spawn(async move {
        while let Some(data) = receiver.recv().await {
            arrived(&data);
        }
    });
    steady(events, rate, move |_| Ok(sender.blocking_send(stamped())?)).await
}

/// A synced publish on the log at eight a second, and one write with `fdatasync` at the same pace.
pub(super) async fn durable(dir: &Path, events: usize) -> anyhow::Result<(Latency, Latency)> {
    let url = format!("log:{}", dir.join("log").display());
    let running = App::new("bench").start(&url).await?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let mut file = File::create(dir.join("raw"))?;
    let block = vec![b'x'; 512];
    for _ in 0..events {
        tokio::time::sleep(Duration::from_millis(62)).await;
        let began = Instant::now();
        running.publish(Load::new()).await?;
        ours.push(began.elapsed().as_secs_f64() * 1e6);
        tokio::time::sleep(Duration::from_millis(62)).await;
        let began = Instant::now();
        file.write_all(&block)?;
        rustix::fs::fdatasync(&file)?;
        raw.push(began.elapsed().as_secs_f64() * 1e6);
    }
    running.drain().await;
    Ok((latency(ours), latency(raw)))
}

/// The rows of a latency and of what it stands beside.
pub(super) fn rows(name: &str, ours: Latency, beside: &[(&str, Latency)]) -> Vec<report::Row> {
    let row = |which: &str, ours: f64, pick: fn(&Latency) -> f64| {
        let (peer, theirs) = beside
            .first()
            .map_or(("", f64::NAN), |(name, found)| (*name, pick(found)));
        let mut row =
            report::Row::beside(&format!("{name}, {which}"), "µs", peer, &[(ours, theirs)]);
        for (name, found) in beside.iter().skip(1) {
            row = row.also(name, pick(found));
        }
        row
    };
    vec![
        row("p50", ours.p50, |found| found.p50),
        row("p99", ours.p99, |found| found.p99),
    ]
}
