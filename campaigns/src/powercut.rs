//! `powercut`: the power goes for a real kernel and a real file system (A3), in two ways.
//!
//! * The log lies on ext4 on a *disk that is this process*. A cut is a moment at which the disk stops:
//!   what was flushed is there, what lay in its cache is there or not, sector by sector.
//! * The log lies on ext4 in an image, and `FS_IOC_SHUTDOWN` without a flush of the journal makes
//!   the file system drop what was not made durable. The call is not a cut in one respect: a sync that
//!   is under way when it is made may be told that it succeeded, and be dropped, see
//!   docs/decisions/0009-what-cuts-the-power.md. So what was acknowledged once the call had begun is
//!   in doubt: it may be gone, if nothing behind it stayed, and it may only be what was under way.
//!
//! Before the log, each way is tried with a program that only writes and syncs.
//!
//! All mounts are made in a mount namespace of their own, so that the kernel undoes them whatever
//! becomes of this process.

mod bare;
mod disk;
mod image;
mod switch;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hence_log::sim::Dice;

use crate::Extent;
use crate::crash::Sum;
use crate::cycle::{Cycle, Disaster, Struck};
use crate::line::Line;
use crate::place::Place;
use crate::process::{Process, myself};
use crate::report::{Report, Row, say};
use disk::Disk;
use switch::Switch;

pub(crate) use bare::{Bare, run as run_bare};
pub(crate) use image::Image;

/// Cuts of the short and the long form, half of them in each way.
const CUTS: (u64, u64) = (60, 4000);
/// One cut in so many is made to the program that only writes, before the others.
const BARE: u64 = 6;
/// How long that program works before the cut, at most.
const BARE_WORK_MAX: Duration = Duration::from_millis(40);
/// Cuts of one log.
const CUTS_OF_ONE: u64 = 10;
/// Bytes of the file system.
pub(crate) const IMAGE_BYTES: u64 = 96 << 20;
/// Bytes of a segment.
const SEGMENT_BYTES: u32 = 256 << 10;
/// One life in so many has handlers, whose synced commits leave little to lose.
const HANDLING: u64 = 3;
/// The share of cuts, in percent, that must take unsynced bytes.
const LOSSY_PERCENT: u64 = 20;
/// Set for the process that runs in the mount namespace.
const INSIDE: &str = "HENCE_CAMPAIGN_NAMESPACE";

/// Runs this program again in a mount namespace of its own; `None` inside it.
pub(crate) fn in_namespace(arguments: &[String]) -> Result<Option<bool>> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(None);
    }
    let program = myself()?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(program.get_program())
        .args(arguments)
        .env(INSIDE, "1")
        .status()
        .context("`unshare` (of util-linux) could not be started")?;
    Ok(Some(status.success()))
}

/// The arguments of a campaign, to run it again.
pub(crate) fn arguments(campaign: &str, extent: Extent) -> Vec<String> {
    let mut arguments = vec![campaign.to_owned(), format!("--seed={}", extent.seed)];
    if extent.short {
        arguments.push("--short".to_owned());
    }
    arguments.extend(extent.count.map(|count| format!("--count={count}")));
    arguments
}

/// A way to cut the power, and what lies on it. The file system goes before the disk below it.
enum Power {
    Disk {
        image: Image,
        disk: Disk,
        dice: Dice,
    },
    Shutdown {
        image: Image,
        switch: Switch,
    },
}

/// The ways, in the order in which they take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Disk,
    Shutdown,
}

impl Way {
    const ALL: [Self; 2] = [Self::Disk, Self::Shutdown];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "a disk that loses its cache",
            Self::Shutdown => "FS_IOC_SHUTDOWN, no flush",
        }
    }

    fn on(self, place: &Place, seed: u64) -> Result<Power> {
        Ok(match self {
            Self::Disk => {
                let disk = Disk::new(place, IMAGE_BYTES)?;
                let image = Image::on(place, disk.path().to_owned())?;
                let dice = Dice::new(seed);
                Power::Disk { image, disk, dice }
            }
            Self::Shutdown => Power::Shutdown {
                image: Image::new(place, IMAGE_BYTES)?,
                switch: Switch::new()?,
            },
        })
    }

    /// Why this machine cannot do it, if it cannot.
    fn missing(self) -> Option<String> {
        let place = match Place::in_memory() {
            Ok(place) => place,
            Err(error) => return Some(format!("{error:#}")),
        };
        let tried = self.on(&place, 0);
        tried
            .err()
            .map(|error| format!("{}: {error:#}", self.as_str()))
    }
}

impl Power {
    fn image(&mut self) -> &mut Image {
        match self {
            Self::Disk { image, .. } | Self::Shutdown { image, .. } => image,
        }
    }

    /// Cuts, ends the subject, and brings the file system back. Says whether the subject was alive
    /// until then, and when doubt begins, if it does.
    fn cut(&mut self, subject: &mut Process, freeze: bool) -> Result<Struck> {
        let fired = subject.is_alive()?;
        let doubt = match self {
            Self::Disk { disk, dice, .. } => {
                // Whoever waits for the disk dies before it is answered.
                disk.cut(dice, || subject.shoot())?;
                None
            }
            Self::Shutdown { image, switch } => {
                // The power takes the processors, too.
                if freeze && fired {
                    subject.freeze()?;
                }
                Some(switch.cut(image.root())?)
            }
        };
        // It may have ended by itself, of an error that the cut led to.
        subject.kill()?;
        self.image().unmount()?;
        if let Self::Disk { disk, .. } = self {
            disk.revive();
        }
        self.image().mount()?;
        Ok(Struck { fired, doubt })
    }
}

impl Disaster for Power {
    fn dir(&self) -> PathBuf {
        match self {
            Self::Disk { image, .. } | Self::Shutdown { image, .. } => image.path("log"),
        }
    }

    fn strike(&mut self, subject: &mut Process) -> Result<Struck> {
        self.cut(subject, true)
    }

    fn loses_power(&self) -> bool {
        true
    }
}

/// Why this machine cannot mount images, if it cannot.
pub(crate) fn missing() -> Result<Option<String>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Some("mounting an image needs root".to_owned()));
    }
    let place = Place::in_memory()?;
    let tried = Image::new(&place, 8 << 20);
    Ok(tried.err().map(|error| format!("{error:#}")))
}

/// Runs the campaign.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let mut report = Report::new("powercut", extent);
    if rustix::process::geteuid().is_root()
        && let Some(passed) = in_namespace(&arguments("powercut", extent))?
    {
        return Ok(passed);
    }
    if let Some(reason) = missing()? {
        report.not_covered.push(reason);
        return report.finish();
    }
    let begin = Instant::now();
    let cuts = extent.count(CUTS.0, CUTS.1);
    report.setting("cuts of one log", CUTS_OF_ONE);
    report.setting("segment bytes", SEGMENT_BYTES);
    report.setting("file system", "ext4, in memory");
    for (at, way) in Way::ALL.into_iter().enumerate() {
        if let Some(reason) = way.missing() {
            report.not_covered.push(reason);
            continue;
        }
        let count = (cuts + at as u64) / Way::ALL.len() as u64;
        bare(way, count.div_ceil(BARE), extent.seed, &mut report)?;
        log(way, count, extent.seed, &mut report)?;
    }
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

/// Cuts the program that only writes and syncs.
fn bare(way: Way, cuts: u64, seed: u64, report: &mut Report) -> Result<()> {
    let (place, mut dice) = (Place::in_memory()?, Dice::new(seed));
    let mut power = way.on(&place, seed)?;
    let (mut found, mut struck) = (bare::Found::default(), 0);
    for life in 0..cuts {
        let dir = power.image().root().to_owned();
        let arguments = [
            "bare".to_owned(),
            format!("--dir={}", dir.display()),
            format!("--life={life}"),
        ];
        let mut subject = Process::start(myself()?.args(arguments), &place.path("ledger"))?;
        let mut told = subject.until(|line| matches!(line, Line::Ack { .. }))?;
        let after = dice.below(BARE_WORK_MAX.as_micros() as u64);
        std::thread::sleep(Duration::from_micros(after));
        // It goes on through the cut, so that it shows what a sync is told meanwhile.
        let Struck { fired, doubt } = power.cut(&mut subject, false)?;
        told.extend(subject.until(|_| false)?);
        bare::look(&dir, &told, doubt, &mut found)?;
        struck += u64::from(fired);
    }
    if found.lost > 0 {
        let text = format!("{}: {} syncs were a lie", way.as_str(), found.lost);
        report.problem(text);
    }
    report.rows.push(bare_row(way, cuts, struck, &found));
    Ok(())
}

/// What was seen of the program that only writes and syncs. A cut to one that had ended proves
/// nothing, nor do all of them if nothing was synced.
fn bare_row(way: Way, cuts: u64, struck: u64, found: &bare::Found) -> Row {
    let synced = found.kept + found.lost;
    let (passed, failed) = match (synced, found.lost) {
        (0, _) => (0, 0),
        (_, 0) => (struck, 0),
        _ => (0, struck),
    };
    Row {
        case: format!("only writes and syncs: {}", way.as_str()),
        runs: cuts,
        fired: struck,
        passed,
        failed,
        invalid: cuts - passed - failed,
        lost: found.lost,
        note: format!(
            "{synced} syncs before the cut began, {} succeeded later, and {} of these were dropped",
            found.doubtful, found.doubtful_lost
        ),
        ..Row::default()
    }
}

/// Cuts the log.
fn log(way: Way, cuts: u64, seed: u64, report: &mut Report) -> Result<()> {
    let mut sum = Sum::default();
    for round in 0..cuts.div_ceil(CUTS_OF_ONE) {
        let count = CUTS_OF_ONE.min(cuts - round * CUTS_OF_ONE);
        let seed = seed.wrapping_mul(1_000_003) + round;
        let place = Place::in_memory()?;
        let mut power = way.on(&place, seed)?;
        let mut cycle = Cycle::new(&place, seed, SEGMENT_BYTES);
        let lived = lives(&mut cycle, &mut power, count);
        if lived.is_err() || !cycle.oracle.problems.is_empty() {
            let kept = cycle.keep_evidence(&power.dir(), &format!("powercut-{way:?}-{seed}"))?;
            say(&format!(
                "round {round} (seed {seed}) went wrong, see {kept}"
            ));
        }
        lived?;
        sum.add(&cycle, report);
    }
    report
        .rows
        .push(log_row(sum.row(way.as_str()), sum.lossy()));
    Ok(())
}

/// The way in which the log was cut and nothing was found, if there is one.
pub(crate) fn blind_way(report: &Report) -> Option<&'static str> {
    let ways = Way::ALL.iter().map(|way| way.as_str());
    let mut blind = ways.filter(|way| {
        let row = report.rows.iter().find(|row| row.case == *way);
        row.is_some_and(|row| row.failed == 0)
    });
    blind.next()
}

/// The row of cuts of which so many took unsynced bytes; if too few did, none proves anything that
/// found nothing.
fn log_row(mut row: Row, lossy: u64) -> Row {
    row.note = format!("{lossy} cuts took unsynced bytes; {}", row.note);
    if lossy * 100 < row.runs * LOSSY_PERCENT {
        row.passed = 0;
        row.note = format!("too few cuts could have hurt; {}", row.note);
    }
    // One that found something counts as that, even if nothing was alive any more.
    row.invalid = row.runs.saturating_sub(row.passed + row.failed);
    row
}

fn lives(cycle: &mut Cycle, power: &mut Power, count: u64) -> Result<()> {
    for life in 0..count {
        let mode = if life % HANDLING == 2 {
            "load"
        } else {
            "quiet"
        };
        cycle.live(power, mode)?;
    }
    let dir = power.dir();
    cycle.finish(&dir, true)
}

#[cfg(test)]
mod tests;
