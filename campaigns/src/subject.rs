//! The subject: a real application on `log:DIR` that is killed, cut off and starved.
//!
//! It publishes under many keys at once, at two levels of durability, alone and in batches, and
//! sends some events twice. Its handlers emit, retry, reject and hold. Whatever it does it tells
//! over its pipe before (what it sends) or after (what was acknowledged), so that the campaign
//! outside knows what must be there.

mod handling;
mod publishing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use hence::core::{AfterDeadLetter, DeadLetterQuery, Engine, Position, Read};
use hence::{App, HandlerExt, Running, Start};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::line::{Line, Pipe, Stored};
use handling::{chain, drain, flaky, plain, strict};

/// How long a subject may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(60);
/// How often it looks whether it has.
const REST_LOOK: Duration = Duration::from_millis(5);
/// Entries that are read at once.
const READ_EVENTS: usize = 512;
/// Attempts that a delivery gets.
const ATTEMPTS: u32 = 6;

/// What the subject does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Tells what is stored behind `from`, then publishes and handles until it is killed.
    Load,
    /// Publishes as `Load`, and handles nothing.
    Quiet,
    /// Brings everything to rest, redrives what is held, tells all there is, and ends.
    Finish,
    /// Publishes a fixed number of events one after the other, handles them, and ends.
    Script,
    /// Publishes until the disk is full and goes on once there is room.
    Fill,
}

/// The arguments of a subject.
#[derive(Args, Clone, Debug)]
pub(crate) struct Subject {
    /// Where its log is.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// What it does.
    #[arg(long)]
    pub(crate) mode: Mode,
    /// Which life of the log this is; it begins the ids.
    #[arg(long, default_value_t = 0)]
    pub(crate) life: u64,
    /// Where its dice begin.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The first position to tell.
    #[arg(long, default_value_t = 1)]
    pub(crate) from: u64,
    /// Bytes of a segment.
    #[arg(long, default_value_t = 256 << 10)]
    pub(crate) segment: u32,
    /// Commits between two snapshots.
    #[arg(long, default_value_t = 150)]
    pub(crate) snapshot: u64,
    /// How many events a script publishes.
    #[arg(long, default_value_t = 24)]
    pub(crate) events: u64,
    /// Publish some events that are only written, not synced.
    #[arg(long)]
    pub(crate) written: bool,
}

/// What handlers ask for.
pub(crate) struct Told {
    pipe: Pipe,
    /// Set when the strict handler no longer rejects.
    mercy: AtomicBool,
}

/// Runs a subject to its end, if it has one.
pub(crate) fn run(subject: &Subject) -> Result<()> {
    // The campaign may be killed, too: then nobody would end the subject.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    ensure!(getppid().is_some(), "the campaign is gone");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(live(subject))
}

async fn live(subject: &Subject) -> Result<()> {
    let pipe = Pipe::default();
    let begin = Instant::now();
    let engine = open(subject)?;
    let last = engine.health().map_or(0, |health| health.last.0);
    pipe.say(&Line::Boot {
        micros: u64::try_from(begin.elapsed().as_micros())?,
        last,
        bytes: size(&subject.dir),
    });
    let told = Told {
        pipe: pipe.clone(),
        mercy: AtomicBool::new(subject.mode == Mode::Finish),
    };
    let running = app(told, subject.mode).start_on(engine).await?;
    match subject.mode {
        Mode::Load | Mode::Quiet => {
            tell(&running, subject.from, &pipe).await?;
            pipe.say(&Line::Told);
            publishing::load(&running, subject, &pipe).await;
        }
        Mode::Finish => finish(&running, &pipe).await?,
        Mode::Script => {
            publishing::script(&running, subject, &pipe).await;
            if rest(&running, &[]).await? {
                pipe.say(&Line::Rest);
            }
        }
        Mode::Fill => publishing::fill(&running, subject, &pipe).await,
    }
    running.drain().await;
    Ok(())
}

fn open(subject: &Subject) -> Result<Arc<dyn Engine>> {
    let mut options = hence_engine_local::Options::default();
    options.segment_bytes = subject.segment;
    options.snapshot_frames = subject.snapshot;
    options.snapshot_interval = Duration::ZERO;
    let opened = hence_engine_local::log(&subject.dir, &options);
    opened.context("the log does not open")
}

fn app(told: Told, mode: Mode) -> App {
    let app = App::new("subject").state(told);
    match mode {
        Mode::Quiet => app,
        Mode::Fill => app.subscribe("drain", eager(drain)),
        Mode::Load | Mode::Finish | Mode::Script => app
            .subscribe("plain", eager(plain))
            .subscribe(
                "flaky",
                eager(flaky).after_dead_letter(AfterDeadLetter::Continue),
            )
            .subscribe("strict", eager(strict))
            .subscribe("chain", eager(chain)),
    }
}

fn eager<A: 'static>(handler: impl hence::Handler<A>) -> impl hence::Handler<A> {
    handler.from(Start::Earliest).with(|options| {
        options.retry.attempts = ATTEMPTS;
        options.retry.first = Duration::from_millis(2);
        options.retry.max = Duration::from_millis(8);
        // The handlers fail on purpose; a breaker would take that for a storm and wait.
        options.breaker = None;
        options.retry_budget = None;
        // The kills come from outside, one after the other: whatever is with a handler is innocent.
        options.crashes = None;
    })
}

/// Tells every entry from a position on.
async fn tell(running: &Running, from: u64, pipe: &Pipe) -> Result<()> {
    let from = Start::Position(Position(from.max(1)));
    let mut reader = running
        .read(Read {
            from,
            ..Read::default()
        })
        .await?;
    loop {
        let entries = reader.next(READ_EVENTS).await?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in &entries {
            pipe.say(&Line::Stored(Stored::of(entry)));
        }
    }
}

async fn tell_dead(running: &Running, pipe: &Pipe) -> Result<()> {
    for letter in running
        .engine()
        .dead_letters(&DeadLetterQuery::default())
        .await?
    {
        let (_, message) = running.engine().dead_letter(&letter.id).await?;
        pipe.say(&Line::Dead {
            by: letter.subscription,
            id: message.attributes().id().to_owned(),
            position: letter.position.0,
            attempts: letter.attempts,
            reason: letter.reason.as_str().to_owned(),
        });
    }
    Ok(())
}

/// Sends what the strict subscription holds again, twice, and waits until all is settled.
async fn finish(running: &Running, pipe: &Pipe) -> Result<()> {
    let held = running
        .engine()
        .dead_letters(&DeadLetterQuery::of("strict"))
        .await?;
    let ids: Vec<_> = held.into_iter().map(|letter| letter.id).collect();
    if !ids.is_empty() {
        running.redrive(ids.clone()).await?;
        // Asking twice is safe; what was handled meanwhile is no dead letter any more.
        drop(running.redrive(ids).await);
    }
    ensure!(rest(running, &["strict"]).await?, "storage failed");
    tell(running, 1, pipe).await?;
    tell_dead(running, pipe).await?;
    pipe.say(&Line::Told);
    pipe.say(&Line::Rest);
    Ok(())
}

/// Waits until nothing that has a handler is unsettled, and the named subscriptions keep no dead letters; false when
/// storage failed, so that there will be no rest.
async fn rest(running: &Running, empty: &[&str]) -> Result<bool> {
    let begin = Instant::now();
    loop {
        let all = running.engine().subscriptions();
        let open = |report: &&hence::core::engine::SubscriptionReport| {
            let holds = report.dead > 0 && empty.contains(&&*report.name);
            report.attached && (report.lag > 0 || report.in_flight > 0 || holds)
        };
        if !all.iter().any(|report| open(&report)) {
            return Ok(true);
        }
        if running.engine().health().is_err() {
            return Ok(false);
        }
        if begin.elapsed() > REST_MAX {
            let open: Vec<_> = all
                .iter()
                .filter(open)
                .map(|report| format!("{report:?}"))
                .collect();
            bail!("no rest after {REST_MAX:?}: {}", open.join(", "));
        }
        tokio::time::sleep(REST_LOOK).await;
    }
}

/// Bytes that the files in a directory take up.
pub(crate) fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file);
    sizes
        .map(|data| std::os::unix::fs::MetadataExt::blocks(&data) * 512)
        .sum()
}

pub(crate) use handling::{NEVER, THIRD_TIME};
pub(crate) use publishing::{BATCH_MAX, DRAINED, PUBLISHERS, SOURCE};
