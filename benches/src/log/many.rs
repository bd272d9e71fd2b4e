//! Rows 6 and 7: many events that a slow subscription has not settled. A process of its own stores
//! them and says what memory it takes; then it is killed, and the log is opened again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use hence::core::{Commit, Durability, Engine, Start, SubscriptionSpec};
use hence_engine_local::Options;

use super::Sizes;
use super::append::{EVENT, allocated};
use super::disk::place;
use super::whole::message;
use crate::report::Row;

/// Events in one commit.
const BATCH: usize = 500;
/// Commits under way at a time.
const WINDOW: usize = 8;
/// How often a log that was closed is opened.
const OPENED: usize = 5;
const TYPE: &str = "bench.backlog";

pub(crate) fn rows(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let dir = place()?;
    let path = dir.path().join("log");
    let filled = fill_and_kill(&path, sizes.many)?;
    let millions = sizes.many as f64 / 1e6;
    let mut rows = vec![
        Row::plain(
            &format!("memory with {millions} M events open"),
            filled.memory,
            "MiB",
        )
        .at_most(64.0),
        Row::plain("  at most", filled.memory_max, "MiB"),
        Row::plain("  filled at", filled.rate, "events/s"),
    ];
    let attributes = 36 + "/bench".len() + TYPE.len();
    let bytes = (sizes.many * (EVENT + attributes)) as f64;
    let stored = allocated(&path)? as f64;
    rows.push(Row::plain(
        "  bytes on disk for each byte of data and attributes",
        stored / bytes,
        "B/B",
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = Instant::now();
    let engine = hence_engine_local::log(&path, &Options::default())?;
    let took = began.elapsed().as_secs_f64();
    drop(engine);
    let gib = stored * unchecked(&path)? / f64::from(1 << 30);
    let name = format!("opened after a kill, {gib:.2} GiB behind the last snapshot");
    rows.push(Row::plain(&name, took, "s").at_most(1.0_f64.max(gib)));
    let engine = hence_engine_local::log(&path, &Options::default())?;
    runtime.block_on(engine.close());
    drop(engine);
    let mut times = Vec::new();
    for _ in 0..OPENED {
        let began = Instant::now();
        let engine = hence_engine_local::log(&path, &Options::default())?;
        times.push(began.elapsed().as_secs_f64());
        runtime.block_on(engine.close());
    }
    let median = crate::report::median(times.into_iter());
    let name = format!("opened after a clean end, {millions} M events");
    rows.push(Row::plain(&name, median, "s").at_most(0.2));
    Ok(rows)
}

/// What part of the commits no snapshot reflects.
fn unchecked(path: &Path) -> anyhow::Result<f64> {
    let (writer, log, recovered) = hence_log::Log::open(path, hence_log::Options::default())?;
    let all = log.last_frame() - log.first_frame() + 1;
    let behind = log.last_frame() + 1 - recovered.first_frame();
    drop(writer);
    Ok(behind as f64 / all.max(1) as f64)
}

struct Filled {
    memory: f64,
    memory_max: f64,
    rate: f64,
}

fn fill_and_kill(path: &Path, events: usize) -> anyhow::Result<Filled> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("fill")
        .arg(path)
        .arg(events.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().context("the child has no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    let mut numbers = line.split_whitespace().map(str::parse::<f64>);
    let mut next = || numbers.next().context("the child said too little");
    Ok(Filled {
        memory: next()??,
        memory_max: next()??,
        rate: next()??,
    })
}

/// Publishes events that an attached subscription holds back, says what memory the process takes
/// and how fast it was, and waits to be killed.
pub(crate) fn fill(dir: &str, events: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = hence_engine_local::log(dir, &Options::default())?;
        let spec = SubscriptionSpec::new("slow", vec![TYPE.to_owned()], Start::Earliest);
        let mut deliveries = engine.subscribe(spec).await?;
        let began = Instant::now();
        publish(&*engine, events).await?;
        let rate = events as f64 / began.elapsed().as_secs_f64();
        let held = deliveries.next(1).await?;
        ensure!(held.len() == 1, "the slow subscription has nothing");
        let (now, most) = (memory("VmRSS:")?, memory("VmHWM:")?);
        writeln!(std::io::stdout().lock(), "{now} {most} {rate}")?;
        // Whoever started this kills it now.
        std::future::pending::<()>().await;
        Ok(())
    })
}

async fn publish(engine: &dyn Engine, events: usize) -> anyhow::Result<()> {
    let mut under_way = std::collections::VecDeque::new();
    for first in (0..events).step_by(BATCH) {
        let messages = (first..events.min(first + BATCH)).map(|number| message(number, TYPE));
        let commit = Commit::publish(messages.collect::<Result<_, _>>()?, Durability::Synced);
        let stored = engine
            .try_commit(commit)
            .map_err(|_| anyhow::anyhow!("the queue of the engine is too small"))?;
        under_way.push_back(stored);
        if under_way.len() >= WINDOW
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.await?;
        }
    }
    for stored in under_way {
        stored.await?;
    }
    Ok(())
}

/// A figure of this process, in MiB.
fn memory(name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("the system does not say")?.parse::<f64>()? / 1024.0)
}
