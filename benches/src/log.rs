//! `log`: the log and the engine on it beside what the disk gives: every figure is measured in
//! rounds, ours and the raw one in turn, and what counts is the median of the ratios.

mod append;
mod breadth;
mod disk;
mod latency;
pub(crate) mod many;
mod published;
mod read;
mod whole;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::report::{self, Row};

/// How much is done for each figure.
pub(crate) struct Sizes {
    /// Times that ours and the raw figure are measured in turn.
    rounds: usize,
    /// How long one of the two goes on in one round.
    time: Duration,
    /// Events that are read.
    read: usize,
    /// Events in the log that is opened again, and in the backlog.
    many: usize,
    /// Subscriptions, at most.
    subscriptions: usize,
}

const SHORT: Sizes = Sizes {
    rounds: 3,
    time: Duration::from_millis(150),
    read: 400_000,
    many: 400_000,
    subscriptions: 1_000,
};

const LONG: Sizes = Sizes {
    rounds: 11,
    time: Duration::from_secs(1),
    read: 4_000_000,
    many: 50_000_000,
    subscriptions: 10_000,
};

/// Syncs after which a disk is known.
const PROBES: usize = 25;

/// A group of rows that are measured together.
type Part = (&'static str, fn(&Sizes) -> anyhow::Result<Vec<Row>>);

const PARTS: [Part; 6] = [
    ("append", append::rows),
    ("whole", whole::rows),
    ("latency", latency::rows),
    ("read", read::rows),
    ("many", many::rows),
    ("breadth", breadth::rows),
];

/// Runs the benchmark, or one part of it.
pub(crate) fn run(short: bool, only: Option<&str>) -> anyhow::Result<()> {
    let sizes = if short { SHORT } else { LONG };
    let known = |name: &str| PARTS.iter().any(|(known, _)| *known == name);
    ensure!(only.is_none_or(known), "no part has this name");
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let began = Instant::now();
        let before = probe()?;
        rows.extend(part(&sizes)?);
        let (took, after) = (began.elapsed().as_secs_f64(), probe()?);
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{name}: {took:.0} s; a sync took {before:.0} us before, {after:.0} us after"
        )?;
    }
    let name = only.map_or("log".to_owned(), |only| format!("log-{only}"));
    report::finish(&name, &rows)
}

/// The median time of a small sync, in microseconds: some disks have a slow mode that comes and
/// goes, in which every figure here is a multiple of it.
fn probe() -> anyhow::Result<f64> {
    let dir = disk::place()?;
    let mut raw = disk::Raw::new(dir.path(), disk::Kind::Growing)?;
    let mut times = Vec::new();
    for _ in 0..PROBES {
        times.push(raw.batch(append::EVENT)?.as_secs_f64() * 1e6);
    }
    Ok(report::median(times.into_iter()))
}
