//! Instructions and allocations of one event more, by valgrind: the difference of two runs over the
//! difference of their events, so that start-up does not count.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use hence::core::{BoxFuture, Timestamp};
use hence_engine_local::{Clock, Options, SystemClock};
use ruststream::OutgoingMessage;
use ruststream::memory::prelude::*;

use super::drive;
use super::payload::{COUNT, Order, Payload};
use crate::report::Row;

/// What the fixed program does.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Publishes bytes that are encoded, and handles them.
    Both,
    /// Publishes them and ends before anything is handled.
    Publish,
    /// Publishes events that it encodes, and handles them.
    Typed,
    /// As `both`, each event with one of a hundred keys.
    Keyed,
    /// As `keyed`, and nothing is measured for planning.
    Unmeasured,
}

/// Whose library it does it with.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Who {
    Hence,
    Ruststream,
    Channel,
}

/// The fixed program, on one thread. Its clock stands still: under valgrind a call may take so long
/// that it does not count as brief, and what is counted would depend on what else the machine does.
pub(crate) fn program(who: Who, payload: Payload, work: Work, events: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    match who {
        Who::Hence => runtime.block_on(hence(payload, work, events)),
        Who::Ruststream => runtime.block_on(theirs(payload, work, events)),
        Who::Channel => {
            let typed = work == Work::Typed;
            runtime
                .block_on(drive::channel(payload, events, typed))
                .map(drop)
        }
    }
}

/// The clock of the operating system, which is asked as often and stands still: under valgrind an
/// event takes fifty times as long, and what is done less often at full speed would be counted as
/// if it were done at a crawl.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        std::hint::black_box(SystemClock.now());
        self.0
    }

    fn reached(&self, due: Timestamp) -> BoxFuture<'static, ()> {
        match due <= self.0 {
            true => Box::pin(std::future::ready(())),
            false => Box::pin(std::future::pending()),
        }
    }
}

async fn hence(payload: Payload, work: Work, events: usize) -> anyhow::Result<()> {
    let mut options = Options::default();
    options.clock = Arc::new(Still(SystemClock.now()));
    let engine = hence_engine_local::memory(&options);
    let running = drive::app(payload, 1).start_on(engine).await?;
    let on = work != Work::Unmeasured;
    running.metrics().values().for_each(|m| m.measure(on));
    COUNT.begin(events);
    let (bus, data) = (running.bus().clone(), payload.bytes());
    // Nothing else may run meanwhile when the publish alone is to be counted.
    tokio::task::unconstrained(async {
        let (level, order) = (bus.durability(), Order::new());
        for number in 0..events {
            if work == Work::Typed {
                bus.publish(order.clone()).await?;
                continue;
            }
            let mut message = payload.message(number, &data)?;
            if matches!(work, Work::Keyed | Work::Unmeasured) {
                let key = (number % 100).to_string();
                message = message.with_attributes(|all| all.set("partitionkey", key))?;
            }
            bus.commit(vec![message], level).await?;
        }
        anyhow::Ok(())
    })
    .await?;
    if work == Work::Publish {
        std::process::exit(0);
    }
    COUNT.all().await;
    running.drain().await;
    Ok(())
}

async fn theirs(payload: Payload, work: Work, events: usize) -> anyhow::Result<()> {
    let broker = MemoryBroker::new();
    let publisher = broker.publisher();
    let running = drive::theirs(broker, payload, 1).start().await?;
    COUNT.begin(events);
    let (data, order) = (payload.bytes(), Order::new());
    tokio::task::unconstrained(async {
        for _ in 0..events {
            if work == Work::Typed {
                publisher.message(&order.clone()).publish().await?;
            } else {
                publisher
                    .publish(OutgoingMessage::new(drive::NAME, &data), None)
                    .await?;
            }
        }
        anyhow::Ok(())
    })
    .await?;
    if work == Work::Publish {
        std::process::exit(0);
    }
    COUNT.all().await;
    running.shutdown().await?;
    Ok(())
}

/// Counted for one event more.
struct Cost {
    instructions: f64,
    allocations: f64,
}

/// Few enough to be quick, and all of them within what waits in memory.
const EVENTS: [usize; 2] = [1_000, 3_000];

fn cost(who: &str, payload: &str, work: &str) -> anyhow::Result<Cost> {
    let [few, many] = EVENTS;
    let between = |count: fn(&[String]) -> anyhow::Result<f64>| {
        let run = |events: usize| {
            let arguments = ["count-runtime", who, payload, work, &events.to_string()];
            count(&arguments.map(str::to_owned))
        };
        anyhow::Ok((run(many)? - run(few)?) / (many - few) as f64)
    };
    Ok(Cost {
        instructions: between(instructions)?,
        allocations: between(allocations)?,
    })
}

fn instructions(arguments: &[String]) -> anyhow::Result<f64> {
    let text = valgrind(
        &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
        arguments,
    )?;
    let line = text
        .lines()
        .find_map(|line| line.split("Collected :").nth(1));
    Ok(line.context("callgrind printed no count")?.trim().parse()?)
}

fn allocations(arguments: &[String]) -> anyhow::Result<f64> {
    let text = valgrind(&["--tool=dhat", "--dhat-out-file=/dev/null"], arguments)?;
    let line = text.lines().find(|line| line.contains("Total:"));
    let blocks = line.and_then(|line| line.split(" in ").nth(1)?.split(" blocks").next());
    Ok(blocks
        .context("dhat printed no count")?
        .replace(',', "")
        .parse()?)
}

fn valgrind(tool: &[&str], arguments: &[String]) -> anyhow::Result<String> {
    let output = Command::new("valgrind")
        .args(tool)
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "valgrind failed: {text}");
    Ok(text)
}

/// The most that one event may cost. Payload, work, instructions, allocations.
///
/// A third more than was counted, which leaves room for another compiler and for what a change that
/// has a reason may cost.
const CEILINGS: [(&str, &str, f64, f64); 3] = [
    ("bytes", "both", 13_900.0, 8.5),
    ("small", "keyed", 21_500.0, 13.0),
    ("json", "typed", 36_500.0, 27.0),
];

/// Counts each of [`CEILINGS`], and fails when one is exceeded.
pub(crate) fn ceilings() -> anyhow::Result<()> {
    let mut over = Vec::new();
    for (payload, work, most, blocks) in CEILINGS {
        let found = cost("hence", payload, work)?;
        let line = format!(
            "{payload} {work}: {:.0} instructions of at most {most}, {:.1} allocations of at most \
             {blocks}",
            found.instructions, found.allocations
        );
        writeln!(std::io::stdout(), "{line}")?;
        if found.instructions > most || found.allocations > blocks {
            over.push(line);
        }
    }
    ensure!(
        over.is_empty(),
        "more than its ceiling: {}",
        over.join("; ")
    );
    Ok(())
}

/// The rows, or none where valgrind is missing, which is said.
pub(super) fn rows() -> anyhow::Result<Vec<Row>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        crate::report::not_covered("instructions and allocations: valgrind is not installed")?;
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    let mut add = |name: &str, ours: &Cost, beside: &[(&str, &Cost)], goals: [Option<f64>; 2]| {
        let figures = |cost: &Cost| [cost.instructions, cost.allocations];
        for (index, unit) in ["instructions", "allocations"].into_iter().enumerate() {
            let Some(value) = figures(ours).get(index).copied() else {
                continue;
            };
            let mut row = Row::plain(name, value, unit);
            for (peer, cost) in beside {
                row = row.also(peer, figures(cost).get(index).copied().unwrap_or(f64::NAN));
            }
            let goal = goals.get(index).copied().flatten();
            rows.push(goal.map_or_else(|| row.clone(), |goal| row.clone().at_most(goal)));
        }
    };
    for (payload, name, most) in [("bytes", "bytes", 810.0), ("small", "small JSON", 1_680.0)] {
        let (both, publish) = (
            cost("hence", payload, "both")?,
            cost("hence", payload, "publish")?,
        );
        let (all, sent) = (
            cost("ruststream", payload, "both")?,
            cost("ruststream", payload, "publish")?,
        );
        let less = |a: &Cost, b: &Cost| Cost {
            instructions: a.instructions - b.instructions,
            allocations: a.allocations - b.allocations,
        };
        let (ours, theirs) = (less(&both, &publish), less(&all, &sent));
        add(
            &format!("consume, {name}"),
            &ours,
            &[("RustStream", &theirs)],
            [Some(most), Some(0.0)],
        );
        add(
            &format!("publish, {name}"),
            &publish,
            &[("RustStream", &sent)],
            [Some(1_200.0), Some(1.0)],
        );
    }
    let (both, keyed) = (
        cost("hence", "small", "both")?,
        cost("hence", "small", "keyed")?,
    );
    let lane = Cost {
        instructions: keyed.instructions - both.instructions,
        allocations: keyed.allocations - both.allocations,
    };
    add(
        "a key: its attribute and its lane, small JSON",
        &lane,
        &[],
        [Some(1_000.0), None],
    );
    let unmeasured = cost("hence", "small", "unmeasured")?;
    let measuring = Cost {
        instructions: keyed.instructions - unmeasured.instructions,
        allocations: keyed.allocations - unmeasured.allocations,
    };
    let most = 0.02 * keyed.instructions;
    add(
        "measuring for planning, small JSON with a key",
        &measuring,
        &[("all of it", &keyed)],
        [Some(most), Some(0.0)],
    );
    let (ours, theirs, bare) = (
        cost("hence", "json", "typed")?,
        cost("ruststream", "json", "typed")?,
        cost("channel", "json", "typed")?,
    );
    add(
        "encode, publish, handle, JSON of 310 B",
        &ours,
        &[("RustStream", &theirs), ("channel", &bare)],
        [None, None],
    );
    Ok(rows)
}
