//! `spine`: publish → handled, in memory beside a bare channel, on the log beside raw
//! `write` + `fdatasync` of the same batches, and the instructions that an event costs.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use hence::{App, Event as _, Running};
use hence_log::{Level, Log, Op};

use crate::load::{Counter, Load, count as handle};
use crate::report::{self, Row};

/// Publishes that one publisher has under way at a time, where it does not wait for each.
pub(crate) const WINDOW: usize = 256;
/// The capacity of the bare channel.
const CHANNEL: usize = 1_024;

struct Sizes {
    rounds: usize,
    memory: usize,
    log: usize,
    one_by_one: usize,
}

/// Runs the benchmark.
pub(crate) fn run(short: bool) -> anyhow::Result<()> {
    let sizes = if short {
        Sizes {
            rounds: 3,
            memory: 100_000,
            log: 40_000,
            one_by_one: 500,
        }
    } else {
        Sizes {
            rounds: 7,
            memory: 500_000,
            log: 200_000,
            one_by_one: 2_000,
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    for publishers in [1, 4] {
        let mut rounds = Vec::new();
        for _ in 0..sizes.rounds {
            let ours = runtime
                .block_on(publish("memory:", sizes.memory, publishers, WINDOW))?
                .rate;
            let theirs = runtime.block_on(channel(sizes.memory, publishers));
            rounds.push((ours, theirs));
        }
        let name = format!("memory, {publishers} publisher(s), window {WINDOW}");
        rows.push(Row::beside(&name, "events/s", "tokio mpsc", &rounds));
    }
    for (publishers, window, events) in [
        (1, 1, sizes.one_by_one),
        (1, WINDOW, sizes.log),
        (4, WINDOW, sizes.log),
    ] {
        let (mut rounds, mut groups) = (Vec::new(), Vec::new());
        for _ in 0..sizes.rounds {
            let dir = tempfile::Builder::new()
                .prefix("bench")
                .tempdir_in("target")?;
            let url = format!("log:{}", dir.path().join("log").display());
            let ours = runtime.block_on(publish(&url, events, publishers, window))?;
            let theirs = raw(dir.path(), events, ours.group)?;
            groups.push(ours.group);
            rounds.push((ours.rate, theirs));
        }
        let name = format!("log, synced, {publishers} publisher(s), window {window}");
        let row = Row::beside(&name, "events/s", "write+fdatasync", &rounds);
        rows.push(row);
        let group = report::median(groups.into_iter());
        rows.push(Row::plain("  events in one sync", group, "events"));
    }
    rows.push(runtime.block_on(index(&sizes))?);
    for batch in [64, 1_024] {
        let mut rounds = Vec::new();
        for _ in 0..sizes.rounds {
            let dir = tempfile::Builder::new()
                .prefix("bench")
                .tempdir_in("target")?;
            let theirs = raw(dir.path(), sizes.log, batch as f64)?;
            rounds.push((group_commit(dir.path(), sizes.log, batch)?, theirs));
        }
        let name = format!("group commit of the log alone, {batch} events in one sync");
        rows.push(Row::beside(&name, "events/s", "write+fdatasync", &rounds).goal(0.6));
    }
    rows.extend(instructions()?);
    report::finish("spine", &rows)
}

/// What the index costs: the same events with and without it, in turns.
async fn index(sizes: &Sizes) -> anyhow::Result<Row> {
    let mut rounds = Vec::new();
    for _ in 0..sizes.rounds {
        let mut rates = [0.0; 2];
        for (rate, parameter) in rates.iter_mut().zip(["", "?index=false"]) {
            let dir = tempfile::Builder::new()
                .prefix("bench")
                .tempdir_in("target")?;
            let url = format!("log:{}{parameter}", dir.path().join("log").display());
            *rate = publish(&url, sizes.log, 4, WINDOW).await?.rate;
        }
        let [with, without] = rates;
        rounds.push((with, without));
    }
    let name = format!("log with its index, 4 publisher(s), window {WINDOW}");
    Ok(Row::beside(&name, "events/s", "without index", &rounds).goal(0.9))
}

struct Measured {
    /// Events per second, from the first publish to the last one handled.
    rate: f64,
    /// Events in one sync, on average.
    group: f64,
}

async fn publish(
    url: &str,
    events: usize,
    publishers: usize,
    window: usize,
) -> anyhow::Result<Measured> {
    let counter = Counter::new(events);
    let app = App::new("bench")
        .state(counter.clone())
        .subscribe("count", handle);
    let running = app.start(url).await?;
    let before = running.engine().health()?.syncs;
    let began = Instant::now();
    publish_all(&running, events, publishers, window).await?;
    counter.all().await;
    let took = began.elapsed().as_secs_f64();
    // Settlements share the syncs of the publishes, and cannot be told from them.
    let syncs = running.engine().health()?.syncs - before;
    running.drain().await;
    Ok(Measured {
        rate: events as f64 / took,
        group: events as f64 / syncs.max(1) as f64,
    })
}

async fn publish_all(
    running: &Running,
    events: usize,
    publishers: usize,
    window: usize,
) -> anyhow::Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..publishers * window {
        let bus = running.bus().clone();
        let share =
            events / (publishers * window) + usize::from(lane < events % (publishers * window));
        tasks.spawn(async move {
            for _ in 0..share {
                bus.publish(Load::new()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// The same number of encoded events through a bare bounded channel to one task that counts.
async fn channel(events: usize, publishers: usize) -> f64 {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(CHANNEL);
    let began = Instant::now();
    for lane in 0..publishers {
        let sender = sender.clone();
        let share = events / publishers + usize::from(lane < events % publishers);
        tokio::spawn(async move {
            for _ in 0..share {
                let bytes = serde_json::to_vec(&Load::new()).unwrap_or_default();
                if sender.send(bytes).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let counted = tokio::spawn(async move {
        let mut counted = 0;
        while let Some(bytes) = receiver.recv().await {
            counted += usize::from(serde_json::from_slice::<Load>(&bytes).is_ok());
        }
        counted
    });
    let counted = counted.await.unwrap_or(0);
    counted as f64 / began.elapsed().as_secs_f64()
}

/// What the disk gives: batches of the same number of events and bytes, each synced, into a growing
/// file. Returns events per second.
fn raw(dir: &Path, events: usize, group: f64) -> anyhow::Result<f64> {
    let event = 256 + hence_overhead();
    let group = group.max(1.0).round() as usize;
    let batch = vec![b'x'; event * group];
    let mut file = File::create(dir.join("raw"))?;
    let began = Instant::now();
    let mut written = 0;
    while written < events {
        file.write_all(&batch)?;
        rustix::fs::fdatasync(&file)?;
        written += group;
    }
    Ok(written as f64 / began.elapsed().as_secs_f64())
}

/// The log without an engine: the same bytes as [`raw`], one frame for each event, one commit for
/// each batch. Returns events per second.
fn group_commit(dir: &Path, events: usize, batch: usize) -> anyhow::Result<f64> {
    let (mut writer, _log, _) = Log::open(dir.join("log"), hence_log::Options::default())?;
    let event = vec![b'x'; 256 + hence_overhead()];
    let began = Instant::now();
    for written in 1..=events {
        writer.stage(0, [Op::append(0, &event)])?;
        if written % batch == 0 || written == events {
            writer.commit(Level::Synced)?;
        }
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// The bytes that attributes add to the data in the log: id, source, type, time, media type.
pub(crate) fn hence_overhead() -> usize {
    [
        36,
        "/bench".len(),
        Load::TYPE.len(),
        27,
        "application/json".len(),
    ]
    .iter()
    .map(|n| n + 1)
    .sum()
}

/// Publishes and handles events on one thread.
pub(crate) fn count(url: &str, events: usize, window: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        publish(url, events, 1, window).await?;
        Ok(())
    })
}

/// Instructions for one event more, by callgrind: the difference of two runs over the difference
/// of their events, so that start-up does not count.
fn instructions() -> anyhow::Result<Vec<Row>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "NOT MEASURED: instructions per event (valgrind is not installed)"
        )?;
        return Ok(Vec::new());
    }
    let (few, many) = (2_000, 6_000);
    let per_event = (collected(many)? - collected(few)?) / (many - few) as f64;
    Ok(vec![Row::plain(
        "memory, publish + handle, 256 B",
        per_event,
        "instructions",
    )])
}

fn collected(events: usize) -> anyhow::Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["count", &events.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind failed: {text}");
    let line = text
        .lines()
        .find_map(|line| line.split("Collected :").nth(1));
    Ok(line.context("callgrind printed no count")?.trim().parse()?)
}
