//! Rows 2 and 3 through the whole engine: publish, durable, handled, settled; and what a publisher
//! gets who waits for each event.

use std::path::Path;
use std::time::{Duration, Instant};

use hence::App;
use hence::core::{Attributes, Commit, Durability, Message};

use super::Sizes;
use super::append::EVENT;
use super::disk::{Kind, Raw, place};
use crate::load::Load;
use crate::report::{Row, median};
use crate::spine::{WINDOW, hence_overhead};

/// What the whole engine should reach, in events each second.
const GOAL: f64 = 500_000.0;
/// Handlers at a time: each waits until its settlement is stored, so that with few of them the
/// syncs would be small.
const CONCURRENCY: usize = 1_024;

pub(crate) fn rows(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    let mut rounds = Vec::new();
    for _ in 0..sizes.rounds {
        let dir = place()?;
        let ours = runtime.block_on(one_by_one(dir.path(), sizes.time))?;
        let theirs = raw(dir.path(), sizes.time, 1.0)?;
        rounds.push((ours, theirs));
    }
    let name = "engine, 1 publisher, 1 event at a time";
    rows.push(Row::beside(name, "events/s", "pwrite+fdatasync", &rounds).goal(0.95));
    for (publishers, window) in [(1, WINDOW), (4, WINDOW)] {
        let (mut rounds, mut groups) = (Vec::new(), Vec::new());
        for _ in 0..sizes.rounds {
            let dir = place()?;
            let url = format!("log:{}", dir.path().join("log").display());
            let whole = publish(&url, sizes.time, publishers * window);
            let ours = runtime.block_on(whole)?;
            rounds.push((ours.rate, raw(dir.path(), sizes.time, ours.group)?));
            groups.push(ours.group);
        }
        let name = format!("publish to settled, {publishers} publisher(s), window {window}");
        let row = Row::beside(&name, "events/s", "pwrite+fdatasync", &rounds);
        rows.push(if publishers == 4 {
            row.reach(GOAL)
        } else {
            row
        });
        let group = median(groups.into_iter());
        rows.push(Row::plain("  events in one sync", group, "events"));
    }
    Ok(rows)
}

struct Measured {
    /// Events each second, from the first publish to the last settlement.
    rate: f64,
    /// Events in one sync, on average.
    group: f64,
}

/// Publishes for a while, so many at a time, and waits until everything is settled.
async fn publish(url: &str, time: Duration, under_way: usize) -> anyhow::Result<Measured> {
    let app = App::new("bench").subscribe("count", handle);
    let app = app.configure("count", |options| options.concurrency = CONCURRENCY);
    let running = app.start(url).await?;
    let before = running.engine().health()?.syncs;
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..under_way {
        let bus = running.bus().clone();
        tasks.spawn(async move {
            let mut count = 0;
            while began.elapsed() < time {
                bus.publish(Load::new()).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut events = 0;
    while let Some(count) = tasks.join_next().await {
        events += count??;
    }
    let last = running.engine().health()?.last;
    running.engine().settled(last).await?;
    while running.engine().subscriptions().iter().any(|s| s.lag > 0) {
        tokio::task::yield_now().await;
    }
    let took = began.elapsed().as_secs_f64();
    // Settlements share the syncs of the publishes, and cannot be told from them.
    let syncs = running.engine().health()?.syncs - before;
    running.drain().await;
    Ok(Measured {
        rate: events as f64 / took,
        group: events as f64 / syncs.max(1) as f64,
    })
}

async fn handle(_: Load) {}

/// Publishes through the engine alone, and waits for each; in events each second.
async fn one_by_one(dir: &Path, time: Duration) -> anyhow::Result<f64> {
    let options = hence_engine_local::Options::default();
    let engine = hence_engine_local::log(dir.join("log"), &options)?;
    let began = Instant::now();
    let mut events = 0;
    while began.elapsed() < time {
        let commit = Commit::publish(vec![message(events, "bench.load")?], Durability::Synced);
        engine.commit(commit).await?;
        events += 1;
    }
    let rate = events as f64 / began.elapsed().as_secs_f64();
    engine.close().await;
    Ok(rate)
}

/// A message with 256 bytes of data.
pub(crate) fn message(number: usize, event_type: &str) -> anyhow::Result<Message> {
    let attributes = Attributes::new(format!("{number:036}"), "/bench", event_type)?;
    let data = bytes::Bytes::from_static(&[b'x'; EVENT]);
    Ok(Message::new(attributes, Some(data)))
}

/// The same events in syncs of the same size, written to a file as a new segment is.
fn raw(dir: &Path, time: Duration, group: f64) -> anyhow::Result<f64> {
    let mut raw = Raw::new(dir, Kind::Growing)?;
    let group = group.max(1.0).round() as usize;
    let began = Instant::now();
    let mut written = 0;
    while began.elapsed() < time {
        raw.batch(group * (EVENT + hence_overhead()))?;
        written += group;
    }
    Ok(written as f64 / began.elapsed().as_secs_f64())
}
