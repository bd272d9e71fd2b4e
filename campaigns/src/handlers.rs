//! `handlers`: applications whose handlers fail, reject, hang, panic, are dropped and end their process,
//! from one seed.
//!
//! The runtime, its lanes, retries, breaker and budget are the real ones; time is tokio's, paused, so
//! that hours of waiting pass at once. Half of the seeds run on `memory:`, the others on `log:` over a
//! simulated disk that loses power between and within lives. [`book`] watches every call while it
//! happens, [`judge`] reads what is stored at the end.

mod book;
mod judge;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use hence::core::{AfterDeadLetter, Breaker, Engine, RetryBudget};
use hence::{App, HandlerExt as _, Running, Start};
use hence_engine_local::Options;
use hence_log::sim::{Dice, EIO, Fault, SimStorage};

use crate::Extent;
use crate::report::{Report, Row};
use book::{Book, Fired, go, hold};

/// Seeds of the short and the long form.
const SEEDS: (u64, u64) = (300, 100_000);
/// Seeds from which on every kind of failure must have happened.
const TELLING: u64 = 100;
/// Events of one life, at most.
const EVENTS_MAX: u64 = 14;
/// Keys that they are spread over.
const KEYS: u64 = 3;
/// Calls to the disk within which a fault happens.
const CALLS_MAX: u64 = 120;
/// How long the time-out of a handler is; nobody waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two looks whether there is rest; nobody waits for it either.
const LOOK: Duration = Duration::from_secs(30);
/// How long one seed may really take.
const SEED_MAX: Duration = Duration::from_secs(20);
/// Lives that handlers may end, one after the other.
const MORE_MAX: u32 = 100;
/// Seeds that may go wrong before a worker stops: the others would say the same.
const FAILED_MAX: u64 = 3;

/// What the runs of one worker showed.
#[derive(Default)]
struct Tally {
    runs: u64,
    failed: u64,
    fired: Fired,
    problems: Vec<String>,
}

/// Runs the campaign.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let begin = Instant::now();
    let seeds = extent.count(SEEDS.0, SEEDS.1);
    let mut report = Report::new("handlers", extent);
    report.setting("events of one life", EVENTS_MAX);
    report.setting("keys", KEYS);
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let tallies = thread::scope(|scope| {
        let work = || work(&next, extent.seed, seeds);
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
        joined.collect::<Vec<_>>()
    });
    let (mut row, mut fired) = (Row::default(), Fired::default());
    "seeds".clone_into(&mut row.case);
    for tally in tallies {
        let tally = tally.map_err(|_| anyhow!("a worker panicked"))?;
        row.runs += tally.runs;
        row.failed += tally.failed;
        fired.add(&tally.fired);
        tally
            .problems
            .into_iter()
            .for_each(|problem| report.problem(problem));
    }
    row.fired = fired.sum();
    row.passed = row.runs - row.failed;
    row.note = fired.to_string();
    if seeds >= TELLING && fired.lacks_any() {
        (row.passed, row.invalid) = (0, row.passed);
    }
    report.rows.push(row);
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

fn work(next: &AtomicU64, first: u64, seeds: u64) -> Tally {
    let mut tally = Tally::default();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= seeds || tally.failed >= FAILED_MAX {
            return tally;
        }
        let seed = first.wrapping_add(at);
        let mut world = World::new(seed);
        let ended = world.run();
        tally.runs += 1;
        tally.fired.add(&world.book.fired());
        if let Err(error) = ended {
            tally.failed += 1;
            tally.problems.push(format!("seed {seed}: {error:#}"));
        }
    }
}

/// One application, from its first life to the judgement.
struct World {
    dice: Dice,
    book: Book,
    /// The disk, unless everything is in memory.
    disk: Option<SimStorage>,
    settings: Settings,
    begin: Instant,
}

/// What the subscriptions of one seed are like.
#[derive(Clone, Copy)]
struct Settings {
    attempts: u32,
    concurrency: usize,
    breaker: Option<Breaker>,
    budget: Option<RetryBudget>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let attempts = 2 + dice.below(3) as u32;
        let lasts = seed.is_multiple_of(2);
        let settings = Settings {
            attempts,
            concurrency: 1 + dice.below(5) as usize,
            breaker: (dice.below(3) == 0).then_some(Breaker {
                failures: 2,
                share: 0.5,
                probe: Duration::from_secs(7),
            }),
            budget: (dice.below(3) == 0).then_some(RetryBudget {
                share: 0.1,
                per_second: 1.0,
            }),
        };
        Self {
            book: Book::new(seed, attempts, lasts),
            disk: lasts.then(SimStorage::new),
            dice,
            settings,
            begin: Instant::now(),
        }
    }

    fn run(&mut self) -> Result<()> {
        let lives = match self.disk {
            Some(_) => 1 + self.dice.below(3),
            None => 1,
        };
        let (mut life, mut more) = (1, 0);
        while life <= lives {
            let last = life == lives;
            let before = self.disk.as_ref().map_or(0, SimStorage::fired);
            self.plan(last);
            // Everything that runs in it ends with it, wherever it is.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()?;
            let book = self.book.clone();
            let ended = runtime.block_on(async {
                tokio::select! {
                    () = book.end() => None,
                    ended = self.live(last, more == 0) => Some(ended),
                }
            });
            self.book.end_life();
            drop(runtime);
            let fired = self.disk.as_ref().map_or(0, SimStorage::fired);
            let faulty = fired > before;
            if let Some(Err(error)) = &ended {
                let excused = faulty && !last && error.downcast_ref::<hence::Error>().is_some();
                ensure!(excused, "life {life} of {lives}: {error:#}");
            }
            let mut is_killed = true;
            if let Some(disk) = &self.disk {
                is_killed = ended.is_none() || self.dice.below(3) == 0;
                match is_killed {
                    true => disk.kill(),
                    false => disk.crash(self.dice.roll()),
                }
            }
            if faulty || !is_killed {
                self.book.disturbed();
            }
            self.book.verdict(faulty)?;
            match ended {
                Some(_) => (life, more) = (life + 1, 0),
                None => more += 1,
            }
            ensure!(more <= MORE_MAX, "handlers end one process after the other");
        }
        Ok(())
    }

    /// Sometimes the disk fails or loses power amid a life.
    fn plan(&mut self, last: bool) {
        if let Some(disk) = self.disk.as_ref().filter(|_| !last)
            && self.dice.below(2) == 0
        {
            let fault = match self.dice.below(3) {
                0 => Fault::Error(EIO),
                _ => Fault::PowerCut,
            };
            disk.plan(1 + self.dice.below(CALLS_MAX), fault);
        }
    }

    /// One life; `fresh` unless a handler ended the one before it, which goes on then.
    async fn live(&mut self, last: bool, fresh: bool) -> Result<()> {
        let engine = self.open()?;
        let running = self.app().start_on(Arc::clone(&engine)).await?;
        let events = if fresh {
            1 + self.dice.below(EVENTS_MAX)
        } else {
            0
        };
        for _ in 0..events {
            let step = self.book.next(self.dice.below(KEYS));
            self.book.sent(&step);
            let receipt = running.publish(step.clone()).await?;
            self.book.acknowledged(&step, receipt.position);
            if self.dice.below(3) == 0 {
                tokio::time::sleep(Duration::from_millis(self.dice.below(4000))).await;
            }
        }
        if !last {
            // It ends amid what it does.
            tokio::time::sleep(Duration::from_millis(self.dice.below(9000))).await;
            return Ok(());
        }
        self.quiet(&*engine).await?;
        judge::held(&*engine, &self.book).await?;
        self.book.have_mercy();
        self.rest(&running, &*engine).await?;
        judge::end(&*engine, &self.book).await?;
        running.drain().await;
        Ok(())
    }

    fn open(&self) -> Result<Arc<dyn Engine>> {
        let mut options = Options::default();
        options.segment_bytes = 64 << 10;
        // A thread of its own would store them, whenever it runs.
        options.snapshot_frames = u64::MAX;
        let Some(disk) = &self.disk else {
            return Ok(hence_engine_local::memory(&options));
        };
        Ok(hence_engine_local::log_on(
            Arc::new(disk.clone()),
            &options,
        )?)
    }

    fn app(&self) -> App {
        let settings = self.settings;
        let with = move |options: &mut hence::core::Options| {
            options.retry.attempts = settings.attempts;
            options.retry.first = Duration::from_millis(100);
            options.retry.max = Duration::from_secs(3);
            options.timeout = TIMEOUT;
            options.concurrency = settings.concurrency;
            options.breaker = settings.breaker;
            options.retry_budget = settings.budget;
        };
        let goes_on = go.after_dead_letter(AfterDeadLetter::Continue);
        App::new("handlers")
            .state(self.book.clone())
            .subscribe("hold", hold.from(Start::Earliest).with(with))
            .subscribe("go", goes_on.from(Start::Earliest).with(with))
    }

    /// Waits until everything is done, or stands behind a dead letter (G2). The log has a thread of
    /// its own, for which time does not stand still, so that no time here would be long enough.
    async fn quiet(&self, engine: &dyn Engine) -> Result<()> {
        while let Some(open) = judge::open(engine).await? {
            tokio::time::sleep(LOOK).await;
            thread::yield_now();
            self.in_time()
                .map_err(|error| anyhow!("G2: {error}: {open}"))?;
        }
        Ok(())
    }

    /// Redrives every dead letter until everything is handled, some of them edited; a few are given up.
    async fn rest(&mut self, running: &Running, engine: &dyn Engine) -> Result<()> {
        loop {
            let letters = engine.dead_letters(&judge::dead()).await?;
            let reports = engine.subscriptions();
            let open = |report: &hence::core::engine::SubscriptionReport| {
                report.lag + report.in_flight + report.dead > 0
            };
            if letters.is_empty() && !reports.iter().any(open) {
                return Ok(());
            }
            let mut ids = Vec::new();
            for letter in letters {
                match self.dice.below(6) {
                    0 => self.give_up(running, &letter.id).await?,
                    1 => self.edit(running, &letter.id).await?,
                    _ => ids.push(letter.id),
                }
            }
            if !ids.is_empty() {
                self.book.redriven(ids.len() as u64);
                running.redrive(ids.clone()).await?;
                // Asking twice is safe; what was handled meanwhile is no dead letter any more.
                drop(running.redrive(ids.clone()).await);
                if self.dice.below(4) == 0
                    && let Some(id) = ids.first()
                {
                    // On its way, or handled by now.
                    self.give_up(running, id).await?;
                }
            }
            tokio::time::sleep(LOOK).await;
            thread::yield_now();
            self.in_time()
                .map_err(|error| anyhow!("{error}: {reports:?}"))?;
        }
    }

    async fn give_up(&self, running: &Running, id: &str) -> Result<()> {
        self.book.gives_up(id);
        running.discard(&[id.to_owned()], "nobody needs it").await?;
        // Asking twice is safe.
        Ok(running.discard(&[id.to_owned()], "nobody needs it").await?)
    }

    /// Sends a copy that says the same and has other data.
    async fn edit(&self, running: &Running, id: &str) -> Result<()> {
        let (_, message) = running.dead_letter(id).await?;
        let data = message.data().ok_or_else(|| anyhow!("{id} has no data"))?;
        let mut data: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(data)?;
        data.insert("edited".to_owned(), true.into());
        self.book.edited();
        self.book.redriven(1);
        let data = serde_json::to_vec(&data)?;
        running.redrive_edited(id, data.into()).await?;
        Ok(())
    }

    fn in_time(&self) -> Result<()> {
        ensure!(self.begin.elapsed() < SEED_MAX, "it comes to no rest");
        Ok(())
    }
}
