//! `crash`: kill -9 at random moments (A1), while it works and while it starts.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::Extent;
use crate::cycle::{Cycle, Disaster, Outcome, Struck};
use crate::oracle::Count;
use crate::place::Place;
use crate::process::Process;
use crate::report::{Report, Row, say};

/// Kills of the short and the long form.
const KILLS: (u64, u64) = (60, 2000);
/// Kills of one log.
const KILLS_OF_ONE: u64 = 20;
/// Bytes of a segment: small, so that many are rolled.
const SEGMENT_BYTES: u32 = 256 << 10;

struct Kill {
    dir: PathBuf,
}

impl Disaster for Kill {
    fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    fn strike(&mut self, subject: &mut Process) -> Result<Struck> {
        let fired = subject.kill()?;
        Ok(Struck { fired, doubt: None })
    }

    fn loses_power(&self) -> bool {
        false
    }
}

/// Runs the campaign.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let begin = Instant::now();
    let kills = extent.count(KILLS.0, KILLS.1);
    let mut report = Report::new("crash", extent);
    report.setting("kills of one log", KILLS_OF_ONE);
    report.setting("segment bytes", SEGMENT_BYTES);
    let mut sum = Sum::default();
    for round in 0..kills.div_ceil(KILLS_OF_ONE) {
        let count = KILLS_OF_ONE.min(kills - round * KILLS_OF_ONE);
        let seed = extent.seed.wrapping_mul(1_000_003) + round;
        let place = Place::on_disk()?;
        let mut cycle = Cycle::new(&place, seed, SEGMENT_BYTES);
        let mut kill = Kill {
            dir: place.path("log"),
        };
        for _ in 0..count {
            cycle.live(&mut kill, "load")?;
        }
        cycle.finish(&kill.dir, false)?;
        if !cycle.oracle.problems.is_empty() {
            let kept = cycle.keep_evidence(&kill.dir, &format!("crash-{seed}"))?;
            say(&format!(
                "round {round} (seed {seed}) went wrong, see {kept}"
            ));
        }
        sum.add(&cycle, &mut report);
    }
    report.rows.push(sum.row("kill -9 at random moments"));
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

/// The outcome of many logs.
#[derive(Default)]
pub(crate) struct Sum {
    outcome: Outcome,
    count: Count,
    acknowledged: u64,
}

impl Sum {
    /// Adds one log.
    pub(crate) fn add(&mut self, cycle: &Cycle, report: &mut Report) {
        let (from, to) = (&cycle.outcome, &mut self.outcome);
        to.disasters += from.disasters;
        to.fired += from.fired;
        to.early += from.early;
        to.lossy += from.lossy;
        to.busy += from.busy;
        to.bad += from.bad;
        to.slowest = to.slowest.max(from.slowest);
        let (from, to) = (&cycle.oracle.count, &mut self.count);
        to.lost += from.lost;
        to.duplicated += from.duplicated;
        to.disorder += from.disorder;
        to.wrong += from.wrong;
        to.written_lost += from.written_lost;
        to.doubtful += from.doubtful;
        to.doubtful_lost += from.doubtful_lost;
        self.acknowledged += cycle.oracle.acknowledged() as u64;
        for problem in &cycle.oracle.problems {
            report.problem(problem.clone());
        }
    }

    /// How many disasters took unsynced bytes.
    pub(crate) fn lossy(&self) -> u64 {
        self.outcome.lossy
    }

    /// The row of a report.
    pub(crate) fn row(&self, case: &str) -> Row {
        let Outcome {
            disasters,
            fired,
            early,
            busy,
            bad,
            slowest,
            ..
        } = &self.outcome;
        let (micros, bytes) = *slowest;
        let doubt = match (self.count.doubtful, self.count.doubtful_lost) {
            (0, _) => String::new(),
            (all, lost) => {
                format!("{all} acknowledged once the cut had begun, {lost} of them gone; ")
            }
        };
        Row {
            case: case.to_owned(),
            runs: *disasters,
            fired: *fired,
            passed: fired.saturating_sub(*bad),
            failed: *bad,
            invalid: disasters - fired,
            lost: self.count.lost,
            duplicated: self.count.duplicated,
            disorder: self.count.disorder,
            note: format!(
                "{doubt}{} acknowledged; {busy} kills amid commits, {early} during start; slowest start \
                 {:.1} ms with {:.1} MiB on disk",
                self.acknowledged,
                micros as f64 / 1e3,
                bytes as f64 / f64::from(1 << 20),
            ),
        }
    }
}
