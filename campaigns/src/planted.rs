//! `planted`: known bugs are planted in the log and the engine, and the campaigns must find each.
//!
//! A suite that finds nothing proves nothing unless it finds what is there. Each campaign first runs
//! without a bug and has to pass.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::Extent;
use crate::powercut;
use crate::process::myself;
use crate::report::{FOLDER, Report, Row, Verdict, say};

/// How long a campaign may take with a bug in it.
const RUN_MAX: Duration = Duration::from_secs(240);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A bug, the campaign that must find it, and how many disasters that may take.
struct Plant {
    bug: &'static str,
    campaign: &'static str,
    count: u64,
}

const fn plant(bug: &'static str, campaign: &'static str, count: u64) -> Plant {
    Plant {
        bug,
        campaign,
        count,
    }
}

const PLANTS: &[Plant] = &[
    plant("ack-before-sync", "powercut", 60),
    plant("ack-before-sync", "sim", 200),
    plant("skip-directory-sync", "sim", 200),
    plant("retry-sync", "faults", 4),
    plant("retry-sync", "sim", 1000),
    plant("ignore-sync-error", "faults", 4),
    plant("ignore-short-write", "sim", 400),
    plant("cursor-before-effect", "sim", 400),
    plant("settle-past-a-gap", "sim", 100),
    plant("settle-past-a-gap", "crash", 20),
    plant("visible-before-stored", "sim", 400),
    plant("role-outside-crc", "damage", 0),
    plant("recycle-without-generation", "damage", 0),
    plant("truncate-corruption", "damage", 0),
    plant("reuse-positions", "sim", 400),
    plant("dedup-lost-at-snapshot", "crash", 100),
    plant("timer-on-wall-clock", "sim", 50),
    plant("timers-lost-at-snapshot", "sim", 200),
    plant("keyed-lost-at-snapshot", "sim", 200),
    plant("state-before-settle", "sim", 400),
    plant("forget-dead-letters", "sim", 50),
    plant("forget-dead-letters", "handlers", 200),
    plant("forget-attempts", "crash", 20),
    plant("settle-past-a-gap", "handlers", 200),
];

/// Runs them all.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    if !cfg!(feature = "planted") {
        bail!("this build has no bugs to plant: use `cargo xtask planted`");
    }
    let begin = Instant::now();
    let mut report = Report::new("planted", extent);
    let campaigns: BTreeSet<_> = PLANTS.iter().map(|plant| plant.campaign).collect();
    for campaign in campaigns {
        let counts = PLANTS.iter().filter(|plant| plant.campaign == campaign);
        let count = counts.map(|plant| plant.count).max().unwrap_or(0);
        let healthy = plant("", campaign, count);
        let (verdict, words) = try_out(&healthy, extent.seed)?;
        let passed = verdict == Verdict::Pass;
        add(&mut report, format!("no bug, {campaign}"), passed, words);
    }
    for plant in PLANTS {
        let (verdict, words) = try_out(plant, extent.seed)?;
        let caught = verdict == Verdict::Fail;
        add(
            &mut report,
            format!("{}, {}", plant.bug, plant.campaign),
            caught,
            words,
        );
    }
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

fn add(report: &mut Report, case: String, well: bool, words: String) {
    let mark = if well {
        "as it should"
    } else {
        "NOT as it should"
    };
    say(&format!("{case}: {mark}: {words}"));
    if !well {
        report.problem(format!("{case}: {words}"));
    }
    report.rows.push(Row {
        case,
        runs: 1,
        fired: 1,
        passed: u64::from(well),
        failed: u64::from(!well),
        note: words,
        ..Row::default()
    });
}

/// Runs a campaign with a bug; says how it ended and what it said first.
fn try_out(plant: &Plant, seed: u64) -> Result<(Verdict, String)> {
    let elsewhere = tempfile::tempdir()?;
    let mut command: Command = myself()?;
    command
        .current_dir(&elsewhere)
        .env("HENCE_PLANT", plant.bug)
        .env_remove("CI");
    command.args([plant.campaign, "--short", &format!("--seed={seed}")]);
    if plant.count > 0 {
        command.arg(format!("--count={}", plant.count));
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let begin = Instant::now();
    while child.try_wait()?.is_none() {
        if begin.elapsed() > RUN_MAX {
            child.kill()?;
            child.wait()?;
            return Ok((
                Verdict::Fail,
                format!("it hangs: no end within {RUN_MAX:?}"),
            ));
        }
        std::thread::sleep(LOOK);
    }
    let path = elsewhere
        .path()
        .join(FOLDER)
        .join(format!("{}-short.json", plant.campaign));
    let Ok(text) = std::fs::read(&path) else {
        // The bug made a step impossible that works without it.
        return Ok((Verdict::Fail, "the campaign broke down".to_owned()));
    };
    let found: Report = serde_json::from_slice(&text).context("the report of a campaign")?;
    // What one way sees may hide that the other sees nothing.
    let blind = powercut::blind_way(&found).filter(|_| !plant.bug.is_empty());
    if let Some(way) = blind {
        return Ok((Verdict::Invalid, format!("nothing found by {way}")));
    }
    let first = found
        .problems
        .first()
        .map_or("nothing found", |problem| problem);
    Ok((found.verdict, first.chars().take(160).collect()))
}
