//! A million keys by Zipf's law: what the order of a key costs in response time, and what a lane
//! takes in memory.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hence::core::Order;
use hence::{App, Event, HandlerExt};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::payload::COUNT;

const KEYS: usize = 1_000_000;
const WORKERS: usize = 4;
/// The mean of a call, by an exponential law; timers know milliseconds.
const SERVICE: f64 = 0.050;
const UTILISATION: f64 = 0.7;

/// Lanes that have something at a time, each with one event.
pub(super) const LANES: usize = 40_000;
/// Deliveries that are pulled for each that may be handled.
const PULLED: usize = 4;

/// How keys are ordered.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lanes {
    /// A lane for each key.
    Keyed,
    /// None.
    Any,
}

impl Lanes {
    fn order(self) -> Order {
        match self {
            Self::Keyed => Order::PerKey,
            Self::Any => Order::Any,
        }
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "bench.zipf", key = key)]
struct Zipf {
    key: usize,
    sent: Duration,
    service: Duration,
}

/// When the run began, and how long each event took.
static RUN: Mutex<(Option<Instant>, Vec<f64>)> = Mutex::new((None, Vec::new()));

fn run() -> MutexGuard<'static, (Option<Instant>, Vec<f64>)> {
    RUN.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(event: Zipf) {
    tokio::time::sleep(event.service).await;
    if let (Some(began), taken) = &mut *run() {
        let took = began.elapsed().saturating_sub(event.sent);
        taken.push(took.as_secs_f64());
    }
    COUNT.add();
}

/// Draws keys: the k-th in proportion to 1/k.
struct Law(Vec<f64>);

impl Law {
    fn new() -> Self {
        let mut sum = 0.0;
        let weight = |k: usize| {
            sum += 1.0 / k as f64;
            sum
        };
        Self((1..=KEYS).map(weight).collect())
    }

    fn draw(&self, random: &mut fastrand::Rng) -> usize {
        let all = self.0.last().copied().unwrap_or(1.0);
        let at = random.f64() * all;
        self.0.partition_point(|sum| *sum < at)
    }
}

/// The 99th percentile of the response time in seconds, with lanes and without, of the same events
/// at the same moments. Time is simulated, so that neither the machine nor its other work matters.
pub(super) fn p99(events: usize) -> anyhow::Result<(f64, f64)> {
    Ok((
        response(Lanes::Keyed, events)?,
        response(Lanes::Any, events)?,
    ))
}

fn response(lanes: Lanes, events: usize) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    // A thread of its own, because a runtime does not begin within another one.
    let respond = || runtime.block_on(respond(lanes, events));
    let found = std::thread::scope(|scope| scope.spawn(respond).join());
    found.map_err(|_| anyhow::anyhow!("the simulation panicked"))?
}

async fn respond(lanes: Lanes, events: usize) -> anyhow::Result<f64> {
    let handler = serve.with(|options| {
        options.concurrency = WORKERS;
        options.order = lanes.order();
    });
    let app = App::new("bench").subscribe("zipf", handler);
    let running = app.start("memory:").await?;
    let began = Instant::now();
    *run() = (Some(began), Vec::with_capacity(events));
    COUNT.begin(events);
    let (law, mut random) = (Law::new(), fastrand::Rng::with_seed(20));
    let rate = UTILISATION * WORKERS as f64 / SERVICE;
    let mut exponential = |mean: f64| Duration::from_secs_f64(-mean * (1.0 - random.f64()).ln());
    let drawn: Vec<_> = (0..events)
        .map(|_| (exponential(1.0 / rate), exponential(SERVICE)))
        .collect();
    let mut sent = Duration::ZERO;
    for (gap, service) in drawn {
        sent += gap;
        tokio::time::sleep_until(began + sent).await;
        let key = law.draw(&mut random);
        running.publish(Zipf { key, sent, service }).await?;
    }
    COUNT.all().await;
    running.drain().await;
    let mut taken = std::mem::take(&mut run().1);
    taken.sort_by(f64::total_cmp);
    let at = taken.len() * 99 / 100;
    taken.get(at).copied().context("nothing was handled")
}

static SHUT: Semaphore = Semaphore::const_new(0);

async fn stuck(_: Zipf) {
    // Nobody gives a permit: the process ends before.
    drop(SHUT.acquire().await);
}

/// Has [`LANES`] events wait for a worker, each of another key, and prints the memory that is used.
pub(crate) fn child(lanes: Lanes) -> anyhow::Result<()> {
    use std::io::Write as _;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let kib = runtime.block_on(async {
        let handler = stuck.with(|options| {
            options.concurrency = LANES / PULLED;
            options.order = lanes.order();
        });
        let app = App::new("bench").subscribe("zipf", handler);
        let running = app.start("memory:").await?;
        let zero = Duration::ZERO;
        for key in 0..LANES {
            let (sent, service) = (zero, zero);
            running.publish(Zipf { key, sent, service }).await?;
        }
        let held = || {
            let all = running.engine().subscriptions();
            all.first().map_or(0, |found| found.in_flight)
        };
        while held() < LANES as u64 {
            tokio::task::yield_now().await;
        }
        let statm = std::fs::read_to_string("/proc/self/status")?;
        let line = statm.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.context("the system does not tell VmRSS")?.parse()?;
        anyhow::Ok(kib)
    })?;
    writeln!(std::io::stdout(), "{kib}")?;
    // What is stuck is not waited for.
    std::process::exit(0)
}

/// The bytes of one lane that has something: what [`LANES`] of them take beside the same events
/// without lanes.
pub(super) fn lane_bytes() -> anyhow::Result<f64> {
    let kib = |lanes: &str| {
        let output = Command::new(std::env::current_exe()?)
            .args(["lanes", lanes])
            .output()?;
        anyhow::ensure!(output.status.success(), "the lanes '{lanes}' failed");
        anyhow::Ok(String::from_utf8(output.stdout)?.trim().parse::<f64>()?)
    };
    Ok((kib("keyed")? - kib("any")?) * 1024.0 / LANES as f64)
}
