//! `Cycle`: the same log through many lives, each ended by a disaster, and checked after each.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hence_log::sim::Dice;

use crate::line::{Line, Stored};
use crate::oracle::Oracle;
use crate::place::Place;
use crate::process::{Process, SILENCE_MAX, Start, myself};

/// How long a subject works before the disaster, at most, from its first acknowledgement on.
const WORK_MAX: Duration = Duration::from_millis(45);
/// One disaster in so many comes while the subject starts.
const EARLY: u64 = 6;
/// How long after the start such an early disaster comes, at most.
const EARLY_MAX: Duration = Duration::from_millis(30);

/// What happens to the subject, and how it is brought back.
pub(crate) trait Disaster {
    /// Where the log is.
    fn dir(&self) -> PathBuf;
    /// Strikes.
    fn strike(&mut self, subject: &mut Process) -> Result<Struck>;
    /// Whether what was only written may be lost by it.
    fn loses_power(&self) -> bool;
}

/// How one disaster went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struck {
    /// Whether the subject was alive until then.
    pub(crate) fired: bool,
    /// From when on an acknowledgement may be a lie of the disaster and not of the log, in
    /// nanoseconds of the monotonic clock.
    pub(crate) doubt: Option<u64>,
}

/// What many disasters to one log led to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Disasters that were planned.
    pub(crate) disasters: u64,
    /// Disasters that found the subject alive.
    pub(crate) fired: u64,
    /// Disasters that came while it started.
    pub(crate) early: u64,
    /// Disasters that took bytes that were written and not synced.
    pub(crate) lossy: u64,
    /// Disasters that came while commits were under way.
    pub(crate) busy: u64,
    /// Longest start, in microseconds, and the bytes of the log then.
    pub(crate) slowest: (u64, u64),
    /// Lives in which something was wrong.
    pub(crate) bad: u64,
}

/// Many lives of one log.
pub(crate) struct Cycle {
    /// What is known of it.
    pub(crate) oracle: Oracle,
    /// What came of it.
    pub(crate) outcome: Outcome,
    ledger: PathBuf,
    dice: Dice,
    seed: u64,
    segment: u32,
    life: u64,
}

impl Cycle {
    /// A new log with its ledger elsewhere.
    pub(crate) fn new(place: &Place, seed: u64, segment: u32) -> Self {
        Self {
            oracle: Oracle::default(),
            outcome: Outcome::default(),
            ledger: place.path("ledger"),
            dice: Dice::new(seed),
            seed,
            segment,
            life: 0,
        }
    }

    fn start(&mut self, mode: &'static str, dir: &Path) -> Result<Process> {
        self.life += 1;
        let start = Start {
            mode,
            life: self.life,
            seed: self.seed,
            from: self.oracle.checked + 1,
            segment: self.segment,
            events: 0,
            written: true,
        };
        Process::start(myself()?.args(start.arguments(dir)), &self.ledger)
    }

    /// One life: it starts, is compared with the ledger, works, and is struck.
    pub(crate) fn live(&mut self, disaster: &mut impl Disaster, mode: &'static str) -> Result<()> {
        let problems = self.oracle.problems.len();
        let lost = self.oracle.count.written_lost;
        let begin = Instant::now();
        self.oracle.doubt = None;
        let mut subject = self.start(mode, &disaster.dir())?;
        self.outcome.disasters += 1;
        let mut work = Vec::new();
        if self.dice.below(EARLY) == 0 {
            self.outcome.early += 1;
            let after = Duration::from_micros(self.dice.below(EARLY_MAX.as_micros() as u64));
            std::thread::sleep(after.saturating_sub(begin.elapsed()));
        } else {
            let told = subject.until(|line| matches!(line, Line::Told))?;
            self.look(&told, disaster.loses_power());
            // On a busy machine it may take long until there is anything to lose.
            work = subject.until(|line| matches!(line, Line::Ack { .. }))?;
            let after = Duration::from_micros(self.dice.below(WORK_MAX.as_micros() as u64));
            std::thread::sleep(after);
        }
        let Struck { fired, doubt } = disaster.strike(&mut subject)?;
        self.oracle.doubt = doubt;
        self.outcome.fired += u64::from(fired);
        work.extend(subject.until(|_| false)?);
        self.look(&work, disaster.loses_power());
        if !fired {
            let text = format!(
                "life {} ended by itself: {}",
                self.life,
                subject.complaints()
            );
            self.oracle.problems.push(text);
        }
        let complaints = subject.complaints();
        if complaints.contains("panicked") {
            self.oracle
                .problems
                .push(format!("life {}: {complaints}", self.life));
        }
        self.outcome.busy += u64::from(is_busy(&work));
        self.outcome.lossy += u64::from(self.oracle.count.written_lost > lost);
        self.outcome.bad += u64::from(self.oracle.problems.len() > problems);
        Ok(())
    }

    /// Compares, if everything was told, and takes note.
    fn look(&mut self, lines: &[Line], loses_power: bool) {
        let told = lines.iter().position(|line| matches!(line, Line::Told));
        if let Some(end) = told {
            let tail = stored(lines.get(..end).unwrap_or_default());
            self.oracle.check_tail(&tail, loses_power);
        }
        for line in lines {
            if let Line::Boot { micros, bytes, .. } = line {
                self.outcome.slowest = self.outcome.slowest.max((*micros, *bytes));
            }
            self.oracle.hear(line);
        }
    }

    /// The last life, which comes to rest and is compared whole.
    pub(crate) fn finish(&mut self, dir: &Path, loses_power: bool) -> Result<()> {
        self.oracle.doubt = None;
        let problems = self.oracle.problems.len();
        if loses_power {
            // What the last cut took is settled before everything is demanded.
            let mut first = self.start("quiet", dir)?;
            let told = first.until(|line| matches!(line, Line::Told))?;
            self.look(&told, true);
            first.kill()?;
            let rest = first.until(|_| false)?;
            self.look(&rest, false);
        }
        let mut subject = self.start("finish", dir)?;
        let lines = subject.until(|_| false)?;
        lines.iter().for_each(|line| self.oracle.hear(line));
        let status = subject.wait(SILENCE_MAX)?;
        let rested = lines.iter().any(|line| matches!(line, Line::Rest));
        if !rested || !status.success() {
            let text = format!("it came to no rest ({status}): {}", subject.complaints());
            self.oracle.problems.push(text);
        } else {
            self.oracle.check_all(&stored(&lines), &dead(&lines));
        }
        self.outcome.bad += u64::from(self.oracle.problems.len() > problems);
        Ok(())
    }

    /// Keeps the ledger and the log of a run that went wrong; says where.
    pub(crate) fn keep_evidence(&self, dir: &Path, name: &str) -> Result<String> {
        let to = Path::new(crate::report::FOLDER).join("evidence").join(name);
        if to.exists() {
            std::fs::remove_dir_all(&to)?;
        }
        std::fs::create_dir_all(to.join("log"))?;
        for from in [self.ledger.clone(), self.ledger.with_extension("errors")] {
            let name = from.file_name().context("a ledger has a name")?;
            std::fs::copy(&from, to.join(name))?;
        }
        for entry in std::fs::read_dir(dir)?
            .flatten()
            .filter(|entry| entry.path().is_file())
        {
            std::fs::copy(entry.path(), to.join("log").join(entry.file_name()))?;
        }
        std::fs::write(to.join("problems"), self.oracle.problems.join("\n"))?;
        Ok(to.display().to_string())
    }
}

/// Whether the subject was killed between the announcement and the answer of a commit.
fn is_busy(lines: &[Line]) -> bool {
    let mut open = 0_i64;
    for line in lines {
        match line {
            Line::Send { .. } => open += 1,
            Line::Ack {
                duplicate: false, ..
            }
            | Line::Refused { .. } => open -= 1,
            _ => {}
        }
    }
    open > 0
}

/// The entries among some lines.
pub(crate) fn stored(lines: &[Line]) -> Vec<Stored> {
    let entries = lines.iter().filter_map(|line| match line {
        Line::Stored(stored) => Some(stored.clone()),
        _ => None,
    });
    entries.collect()
}

/// The dead letters among some lines: subscription and id.
pub(crate) fn dead(lines: &[Line]) -> Vec<(String, String)> {
    let letters = lines.iter().filter_map(|line| match line {
        Line::Dead { by, id, .. } => Some((by.clone(), id.clone())),
        _ => None,
    });
    letters.collect()
}
