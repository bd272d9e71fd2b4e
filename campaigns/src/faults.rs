//! `faults`: every call to the operating system fails once, in the real process (A2, A7, A8, A9).
//!
//! `strace` injects the errors, so that nothing in the subject knows of it. A first run without
//! faults tells how many calls there are. Then, for each of them: the call fails; nothing that was
//! sent afterwards is acknowledged if the disk may have lost something; no sync is tried again on
//! the same descriptor; the error has its code; nothing panics; and a restart finds all that was
//! acknowledged. In the same way the process is killed before each call.

mod full;
mod trace;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::Extent;
use crate::cycle::{dead, stored};
use crate::line::Line;
use crate::oracle::Oracle;
use crate::place::Place;
use crate::powercut::{arguments, in_namespace};
use crate::process::{Process, Start, myself};
use crate::report::{Report, Row};
use trace::Trace;

/// Cases of each kind in the short form; the long one tries all.
const CASES: u64 = 4;
/// Events that the script publishes.
const EVENTS: u64 = 16;
/// Bytes of a segment: so small that the script rolls some.
const SEGMENT_BYTES: u32 = 16 << 10;
/// How often a run is repeated whose fault did not happen.
const REPEATS: u32 = 4;
/// How long a subject may take to end by itself.
const END_MAX: Duration = Duration::from_secs(40);
/// The calls that are looked at.
const CALLS: &str = "fdatasync,fsync,pwrite64,openat,rename,unlink,ftruncate,close,write";
/// The codes of a failed disk and of a full one.
const FAILED: &str = "HN0204";
const FULL: &str = "HN0205";

/// A kind of fault.
struct Fault {
    call: &'static str,
    /// What `strace` is told to do.
    inject: &'static str,
    /// The code that publishers hear; none where the process dies.
    code: Option<&'static str>,
    /// Whether nothing may be acknowledged afterwards, if it hit a segment.
    is_final: bool,
}

const fn fault(
    call: &'static str,
    inject: &'static str,
    code: &'static str,
    is_final: bool,
) -> Fault {
    Fault {
        call,
        inject,
        code: Some(code),
        is_final,
    }
}

const fn kill(call: &'static str) -> Fault {
    Fault {
        call,
        inject: "signal=SIGKILL",
        code: None,
        is_final: false,
    }
}

const FAULTS: &[Fault] = &[
    fault("fdatasync", "error=EIO", FAILED, true),
    fault("pwrite64", "error=EIO", FAILED, false),
    fault("pwrite64", "error=ENOSPC", FULL, false),
    fault("fsync", "error=EIO", FAILED, false),
    fault("openat", "error=EMFILE", FAILED, false),
    fault("ftruncate", "error=ENOSPC", FULL, false),
    fault("rename", "error=EIO", FAILED, false),
    kill("pwrite64"),
    kill("fdatasync"),
    kill("fsync"),
    kill("openat"),
    kill("ftruncate"),
    kill("rename"),
    kill("unlink"),
];

/// Runs the campaign.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let is_root = rustix::process::geteuid().is_root();
    if is_root && let Some(passed) = in_namespace(&arguments("faults", extent))? {
        return Ok(passed);
    }
    let mut report = Report::new("faults", extent);
    report.setting("events of the script", EVENTS);
    report.setting("segment bytes", SEGMENT_BYTES);
    let begin = Instant::now();
    match strace_works() {
        Ok(()) => inject_all(extent, &mut report)?,
        Err(error) => report.not_covered.push(format!("failing calls: {error:#}")),
    }
    match is_root.then(|| full::run(&mut report)) {
        Some(done) => done?,
        None => report
            .not_covered
            .push("a full disk: mounting an image needs root".to_owned()),
    }
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

fn strace_works() -> Result<()> {
    let mut command = Command::new("strace");
    command
        .args(["-o", "/dev/null", "true"])
        .stdout(Stdio::null());
    let status = command.status().context("`strace` could not be started")?;
    ensure!(status.success(), "`strace` may not trace here");
    Ok(())
}

fn inject_all(extent: Extent, report: &mut Report) -> Result<()> {
    let place = Place::on_disk()?;
    let plain = Run::new(&place, "plain", None)?;
    ensure!(
        plain.lines.contains(&Line::Rest),
        "the script fails without a fault"
    );
    for fault in FAULTS {
        let calls = plain.trace.ordinals(fault.call, &plain.dir);
        let wanted = extent.count(CASES, u64::MAX) as usize;
        let step = calls.len().div_ceil(wanted.max(1)).max(1);
        let mut row = Row {
            case: format!("{} {}", fault.call, fault.inject),
            note: format!("{} such calls in the script", calls.len()),
            ..Row::default()
        };
        for ordinal in calls.iter().skip(extent.seed as usize % step).step_by(step) {
            try_out(fault, *ordinal, &mut row, report)?;
        }
        report.rows.push(row);
    }
    Ok(())
}

fn try_out(fault: &Fault, ordinal: u64, row: &mut Row, report: &mut Report) -> Result<()> {
    let place = Place::on_disk()?;
    let (mut inject, mut ordinal) = (String::new(), ordinal);
    let mut fired = None;
    for attempt in 0..REPEATS {
        inject = format!("{}:{}:when={ordinal}", fault.call, fault.inject);
        let run = match Run::new(&place, &format!("fault-{attempt}"), Some(&inject)) {
            Ok(run) => run,
            Err(error) => {
                (row.runs, row.fired, row.failed) = (row.runs + 1, row.fired + 1, row.failed + 1);
                report.problem(format!("{inject}: {error:#}"));
                return Ok(());
            }
        };
        if run.fired(fault) {
            fired = Some(run);
            break;
        }
        // Groups were larger this time, so that there were fewer calls: take the last of them.
        ordinal = run
            .trace
            .ordinals(fault.call, &run.dir)
            .last()
            .copied()
            .unwrap_or(1);
    }
    row.runs += 1;
    let Some(run) = fired else {
        row.invalid += 1;
        return Ok(());
    };
    row.fired += 1;
    let mut problems = run.problems(fault);
    let mut oracle = Oracle::default();
    run.lines.iter().for_each(|line| oracle.hear(line));
    check_restart(&run.dir, &place, &mut oracle)?;
    row.lost += oracle.count.lost;
    row.duplicated += oracle.count.duplicated;
    row.disorder += oracle.count.disorder;
    problems.append(&mut oracle.problems);
    row.passed += u64::from(problems.is_empty());
    row.failed += u64::from(!problems.is_empty());
    for problem in problems.into_iter().take(3) {
        report.problem(format!("{inject}: {problem}"));
    }
    Ok(())
}

/// Brings a log to rest without faults and compares it with all that is known.
fn check_restart(dir: &Path, place: &Place, oracle: &mut Oracle) -> Result<()> {
    let mut again = Process::start(
        myself()?.args(start("finish").arguments(dir)),
        &place.path("again"),
    )?;
    let lines = again.until(|_| false)?;
    let status = again.wait(END_MAX)?;
    lines.iter().for_each(|line| oracle.hear(line));
    if lines.contains(&Line::Rest) && status.success() {
        oracle.check_all(&stored(&lines), &dead(&lines));
    } else {
        oracle
            .problems
            .push(format!("no restart: {}", again.complaints()));
    }
    Ok(())
}

fn start(mode: &'static str) -> Start {
    Start {
        mode,
        life: 1,
        seed: 1,
        from: 1,
        segment: SEGMENT_BYTES,
        events: EVENTS,
        written: false,
    }
}

/// One run of the script below `strace`.
struct Run {
    dir: PathBuf,
    lines: Vec<Line>,
    trace: Trace,
    complaints: String,
    success: bool,
}

impl Run {
    fn new(place: &Place, name: &str, inject: Option<&str>) -> Result<Self> {
        let (dir, trace) = (place.path(name), place.path(&format!("{name}.trace")));
        let mut command = Command::new("strace");
        command
            .args([
                "-f",
                "-qq",
                "-s",
                "160",
                "-e",
                &format!("trace={CALLS}"),
                "-o",
            ])
            .arg(&trace);
        if let Some(inject) = inject {
            command.args(["-e", &format!("inject={inject}")]);
        }
        command
            .arg(std::env::current_exe()?)
            .args(start("script").arguments(&dir));
        let mut process = Process::start(&mut command, &place.path(&format!("{name}.ledger")))?;
        let lines = process.until(|_| false)?;
        let success = process.wait(END_MAX)?.success();
        let complaints = process.complaints();
        Ok(Self {
            dir,
            lines,
            trace: Trace::read(&trace)?,
            complaints,
            success,
        })
    }

    fn fired(&self, fault: &Fault) -> bool {
        match fault.code {
            Some(_) => self.trace.injected().is_some(),
            None => self.trace.is_killed(),
        }
    }

    fn problems(&self, fault: &Fault) -> Vec<String> {
        let mut problems = Vec::new();
        if self.complaints.contains("panicked") {
            problems.push(format!("it panicked: {}", self.complaints));
        }
        let Some(code) = fault.code else {
            return problems;
        };
        if fault.is_final && self.trace.hit_a_segment() {
            let late = self.trace.acknowledged_after_fault();
            problems.extend(
                late.into_iter()
                    .map(|id| format!("{id} was sent after the fault and acknowledged")),
            );
        }
        problems.extend(
            self.trace
                .retried_sync()
                .map(|line| format!("a sync was retried: {line}")),
        );
        let codes = self.lines.iter().filter_map(|line| match line {
            Line::Refused { code, .. } => Some(code.as_str()),
            _ => None,
        });
        let others: Vec<_> = codes
            .filter(|heard| *heard != code && *heard != FAILED)
            .collect();
        if !others.is_empty() {
            problems.push(format!("publishers heard {others:?}, not {code}"));
        }
        let opened = self
            .lines
            .iter()
            .any(|line| matches!(line, Line::Boot { .. }));
        if !opened && (self.success || !self.complaints.contains("HN02")) {
            problems.push(format!(
                "it did not open and gave no code: {}",
                self.complaints
            ));
        }
        problems
    }
}
