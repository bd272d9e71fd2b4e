//! What `cargo xtask fuzz` feeds with bytes that libFuzzer makes up: each function panics when the
//! log or the engine does what it must not.

mod engine;
mod naive;
mod segment;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hence_log::sim::Dice;

use crate::Extent;
use crate::report::{Report, Row};
use crate::sim::world::World;

pub use engine::snapshot;
pub use segment::{frame, recovery};

/// Where a target begins.
pub(crate) type Target = fn(&[u8]);

/// Every target by its name.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("frame", frame),
    ("recovery", recovery),
    ("snapshot", snapshot),
    ("script", script),
];
/// Where the inputs lie that are kept, below the root of the workspace.
const CORPUS: &str = "fuzz/corpus";
/// Where the inputs go that broke something.
const ARTIFACTS: &str = "fuzz/artifacts";
/// Changed inputs of each target, in the short form at most.
const SHORT_INPUTS: u64 = 20_000;
/// The same in the long form.
const LONG_INPUTS: u64 = 1_000_000;
/// How long the changed inputs of one target take in the short form, at most.
const SECONDS_MAX: Duration = Duration::from_secs(4);

/// A script of commits, faults and restarts against the model of the simulation.
///
/// # Panics
/// When the engine does what the model does not.
pub fn script(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime of one thread needs nothing that can be missing");
    let mut world = World::new(Dice::scripted(bytes));
    if let Err(error) = runtime.block_on(world.run()) {
        panic!("{error:#}");
    }
}

/// Runs every input that is kept once, then inputs that differ from them in a few bytes, without the
/// instrumentation that `cargo xtask fuzz` needs. An input that breaks something is kept.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let begin = Instant::now();
    let mut report = Report::new("fuzz", extent);
    let mut dice = Dice::new(extent.seed);
    for (name, target) in TARGETS {
        let corpus = corpus(name)?;
        let changed = extent.count(SHORT_INPUTS, LONG_INPUTS);
        let end = Instant::now() + SECONDS_MAX;
        let fresh = (0..changed).map_while(|_| {
            let at = dice.below(corpus.len() as u64) as usize;
            let input = corpus.get(at).map(|kept| change(kept, &mut dice));
            input.filter(|_| !extent.short || Instant::now() < end)
        });
        let mut row = Row {
            case: (*name).to_owned(),
            note: format!("{} kept inputs, the others changed from them", corpus.len()),
            ..Row::default()
        };
        for input in corpus.iter().cloned().chain(fresh) {
            row.runs += 1;
            row.fired += 1;
            if catch_unwind(|| target(&input)).is_ok() {
                row.passed += 1;
                continue;
            }
            row.failed += 1;
            report.problem(format!("{name}: {}", keep(name, &input)?));
            break;
        }
        report.rows.push(row);
    }
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

fn corpus(name: &str) -> Result<Vec<Vec<u8>>> {
    let folder = Path::new(CORPUS).join(name);
    let listed = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry?.path());
    }
    paths.sort();
    ensure!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path| fs::read(path).map_err(anyhow::Error::from);
    paths.iter().map(read).collect()
}

/// The input with a few bytes changed, some left out, and some of its own repeated.
fn change(kept: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut input = kept.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() as u64 + 1) as usize;
        let upto = (at + dice.below(8) as usize).min(input.len());
        match dice.below(4) {
            0 => drop(input.splice(at..upto, [])),
            1 => {
                let part = input.get(at..upto).unwrap_or_default().to_vec();
                input.splice(at..at, part);
            }
            _ => drop(input.splice(at..(at + 1).min(upto), [dice.roll() as u8])),
        }
    }
    input
}

/// Writes an input down that broke something; says where.
fn keep(name: &str, input: &[u8]) -> Result<String> {
    let folder = Path::new(ARTIFACTS).join(name);
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("crash-{:08x}", crc32c::crc32c(input)));
    fs::write(&path, input)?;
    Ok(path.display().to_string())
}

/// Bytes of an input, taken from the front; zeros when there are no more.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        front
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }
}
