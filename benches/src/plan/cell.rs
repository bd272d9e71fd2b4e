//! One cell of the matrix: an application under one kind of load, and what the planner says of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hence::core::Retry;
use hence::measure::Times;
use hence::{App, Event, Failure, Running, State};
use hence_planner::histogram::{Bin, Hist};
use hence_planner::plan::{Figure, PlanOptions, plan};
use hence_planner::simulate::Rng;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::clock::engine;
use super::planning;
use super::traffic::{Law, Stream, Traffic, sleep};

/// Workers of each subscription.
pub(super) const WORKERS: usize = 4;
/// The mean service time, in seconds.
pub(super) const MEAN: f64 = 0.02;
/// What part of the attempts fails where some do, and how often each is made at most.
const FAILING: (f64, u32) = (0.1, 4);
/// Keys, and how their popularity falls.
const KEYS: (u32, f64) = (100, 0.9);
/// Entries of the calendar that each plan may simulate.
const EVENTS: u64 = 1_000_000;

#[derive(Clone, Copy)]
pub(super) enum Shape {
    Plain,
    /// A tenth of the attempts fails and is tried again.
    Retries,
    /// A hundred keys, the hottest with 15 % of the events, each in order.
    Keys,
    /// Three subscriptions to one type; the way of an event ends with the last.
    FanOut,
}

/// What is compared.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) traffic: Traffic,
    pub(super) law: Law,
    pub(super) load: f64,
    pub(super) shape: Shape,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "job.asked")]
struct Job {
    number: u64,
    seconds: f64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "job.keyed", key = key)]
struct Keyed {
    key: String,
    seconds: f64,
}

/// The ways of events to the last of their subscriptions.
#[derive(Clone, Default)]
struct Ways(Arc<Mutex<Journeys>>);

/// What is on its way: since when, and how many reactions are missing; and how long others took.
type Journeys = (HashMap<u64, (Instant, usize)>, Vec<f64>);

impl Ways {
    fn lock(&self) -> MutexGuard<'_, Journeys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, number: u64) {
        self.lock().0.insert(number, (Instant::now(), 3));
    }

    fn end(&self, number: u64) {
        let (open, done) = &mut *self.lock();
        if let Some((began, left)) = open.get_mut(&number) {
            *left -= 1;
            if *left == 0 {
                done.push(began.elapsed().as_secs_f64());
                open.remove(&number);
            }
        }
    }
}

async fn work(job: Job) {
    sleep(job.seconds).await;
}

/// One of several reactions: each takes its own time.
async fn reaction(job: Job, ways: State<Ways>, dice: State<Dice>) {
    let seconds = dice.draw(job.seconds).0;
    sleep(seconds).await;
    ways.end(job.number);
}

async fn keyed(job: Keyed) {
    sleep(job.seconds).await;
}

/// Each attempt is drawn anew: what the event brings is a mean.
async fn failing(job: Job, dice: State<Dice>) -> Result<(), Failure> {
    let (seconds, dice) = dice.draw(job.seconds);
    let fails = dice < FAILING.0;
    sleep(seconds).await;
    if fails {
        return Err(Failure::retry("as drawn"));
    }
    Ok(())
}

#[derive(Clone)]
struct Dice(Arc<Mutex<Rng>>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Rng::stream(seed, 1, "dice", 0))))
    }

    /// An exponential time with this mean, and a number between 0 and 1.
    fn draw(&self, mean: f64) -> (f64, f64) {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (Law::Exponential.draw(mean, &mut rng), rng.uniform())
    }
}

/// Times that were measured, of one application or of several.
#[derive(Clone, Default)]
pub(super) struct Seen {
    count: f64,
    sum: f64,
    bins: Vec<Bin>,
}

impl Seen {
    pub(super) fn of(times: &Times) -> Self {
        let bins = times.bins().into_iter().map(|bin| Bin {
            lo: bin.lo,
            hi: bin.hi,
            count: bin.count,
        });
        Self {
            count: times.count() as f64,
            sum: times.count() as f64 * times.mean().unwrap_or_default(),
            bins: bins.collect(),
        }
    }

    fn of_samples(samples: &[f64]) -> Self {
        Self {
            count: samples.len() as f64,
            sum: samples.iter().sum(),
            bins: Hist::from_samples(samples).unwrap_or_default().bins,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        for bin in &other.bins {
            match self.bins.binary_search_by(|b| b.lo.total_cmp(&bin.lo)) {
                Ok(at) => self
                    .bins
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|b| b.count += bin.count),
                Err(at) => self.bins.insert(at, *bin),
            }
        }
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count
    }

    pub(super) fn p99(&self) -> f64 {
        let bins = self.bins.clone();
        Hist { bins }.quantile(0.99)
    }
}

/// What was predicted and measured of one application.
pub(super) struct Compared {
    pub(super) art: Figure,
    pub(super) p99: Figure,
    pub(super) seen: Seen,
    /// The utilisation that was measured.
    pub(super) rho: f64,
    /// The mean service time that was measured, in seconds.
    pub(super) es: f64,
}

impl Cell {
    pub(super) fn name(&self) -> String {
        let (load, law) = (self.load * 100.0, self.law.name());
        match self.shape {
            Shape::Plain => format!("{load:.0} % {}, {law}", self.traffic.name()),
            Shape::Retries => format!("{load:.0} % with retries"),
            Shape::Keys => format!("{load:.0} % with skewed keys"),
            Shape::FanOut => format!("{load:.0} % fan-out to three"),
        }
    }

    /// New events per second.
    fn rate(&self) -> f64 {
        let attempts = match self.shape {
            Shape::Retries => (1.0 - FAILING.0.powi(FAILING.1 as i32)) / (1.0 - FAILING.0),
            _ => 1.0,
        };
        self.load * WORKERS as f64 / MEAN / attempts
    }

    fn app(&self, seed: u64, ways: &Ways) -> App {
        let app = App::new("plan");
        let workers = |app: App, name: &str| app.configure(name, |o| o.concurrency = WORKERS);
        match self.shape {
            Shape::Plain => workers(app.subscribe("work", work), "work"),
            Shape::Keys => workers(app.subscribe("work", keyed), "work"),
            Shape::Retries => {
                let app = app.state(Dice::new(seed)).subscribe("work", failing);
                app.configure("work", |options| {
                    options.concurrency = WORKERS;
                    options.retry = Retry {
                        attempts: FAILING.1,
                        first: Duration::from_millis(100),
                        factor: 2.0,
                        max: Duration::from_millis(400),
                    };
                })
            }
            Shape::FanOut => {
                let mut app = app.state(ways.clone()).state(Dice::new(seed));
                for name in ["mail", "stock", "bill"] {
                    app = workers(app.subscribe(name, reaction), name);
                }
                app
            }
        }
    }

    /// Publishes jobs for ever.
    async fn feed(self, app: hence::Bus, ways: Ways, seed: u64) {
        let mut stream = Stream::new(self.traffic, self.rate(), seed);
        let mut rng = Rng::stream(seed, 0, "service", 0);
        let weights: Vec<f64> = (1..=KEYS.0).map(|k| f64::from(k).powf(-KEYS.1)).collect();
        let all: f64 = weights.iter().sum();
        let mut next = Instant::now();
        for number in 0.. {
            let (gap, count) = stream.next();
            next += gap;
            tokio::time::sleep_until(next).await;
            for copy in 0..count as u64 {
                let bus = app.clone();
                if let Shape::Keys = self.shape {
                    let seconds = self.law.draw(MEAN, &mut rng);
                    let mut left = rng.uniform() * all;
                    let passed = |weight: &f64| {
                        left -= weight;
                        left > 0.0
                    };
                    let key = weights
                        .iter()
                        .copied()
                        .take_while(passed)
                        .count()
                        .to_string();
                    tokio::spawn(async move { bus.publish(Keyed { key, seconds }).await });
                    continue;
                }
                let number = number * 1_000 + copy;
                let seconds = match self.shape {
                    Shape::Retries | Shape::FanOut => MEAN,
                    _ => self.law.draw(MEAN, &mut rng),
                };
                if let Shape::FanOut = self.shape {
                    ways.begin(number);
                }
                tokio::spawn(async move { bus.publish(Job { number, seconds }).await });
            }
        }
    }

    /// Runs one application, and compares.
    pub(super) async fn run(
        self,
        length: Duration,
        seed: u64,
        paused: bool,
    ) -> anyhow::Result<Compared> {
        let ways = Ways::default();
        let app = self.app(seed, &ways).start_on(engine(paused)).await?;
        let feed = tokio::spawn(self.feed(app.bus().clone(), ways.clone(), seed));
        tokio::time::sleep(length).await;
        feed.abort();
        let done = std::mem::take(&mut ways.lock().1);
        let measured = measured(&app);
        let topology = app.topology().clone();
        app.drain().await;
        let fan_out = matches!(self.shape, Shape::FanOut);
        let work = move || compare(&topology, &measured, fan_out.then_some(&*done));
        if paused {
            // In another thread, time would jump while this one waits.
            return work();
        }
        tokio::task::spawn_blocking(work).await?
    }
}

pub(super) fn measured(app: &Running) -> planning::All {
    let metrics = app.metrics().iter();
    metrics
        .map(|(name, m)| (name.clone(), m.measured()))
        .collect()
}

/// What the planner predicts from what was measured, beside it: of the one subscription, or of the
/// whole way where there are several.
fn compare(
    topology: &hence::core::Topology,
    measured: &planning::All,
    ways: Option<&[f64]>,
) -> anyhow::Result<Compared> {
    let mut fitted = planning::fit(topology, measured);
    planning::relax(&mut fitted.model, measured);
    if let Some(why) = fitted.unknown.values().next() {
        anyhow::bail!("cannot say: {why}");
    }
    let options = PlanOptions {
        events: EVENTS,
        knowledge: fitted.knowledge,
        ..PlanOptions::default()
    };
    let plan = plan(&fitted.model, &options)?;
    let none = || anyhow::anyhow!("nothing was measured");
    let first = plan.predictions.first().ok_or_else(none)?;
    let journey = plan.journeys.first().ok_or_else(none)?;
    let seen = measured.get(&first.station).ok_or_else(none)?;
    Ok(match ways {
        None => Compared {
            art: first.art,
            p99: first.p99,
            seen: Seen::of(&seen.response),
            rho: first.rho.value,
            es: first.es,
        },
        Some(ways) => Compared {
            art: journey.art,
            p99: journey.p99,
            seen: Seen::of_samples(ways),
            rho: first.rho.value,
            es: first.es,
        },
    })
}

/// One application for a target: a mean load in erlang on so many workers.
pub(super) async fn at(
    (erlang, workers): (f64, usize),
    length: Duration,
    seed: u64,
    paused: bool,
) -> anyhow::Result<(planning::All, hence::core::Topology)> {
    let cell = Cell {
        traffic: Traffic::Poisson,
        law: Law::Exponential,
        load: erlang / WORKERS as f64,
        shape: Shape::Plain,
    };
    let ways = Ways::default();
    let app = cell.app(seed, &ways);
    let app = app.configure("work", |options| options.concurrency = workers);
    let app = app.start_on(engine(paused)).await?;
    let feed = tokio::spawn(cell.feed(app.bus().clone(), ways, seed));
    tokio::time::sleep(length).await;
    feed.abort();
    let answer = (measured(&app), app.topology().clone());
    app.drain().await;
    Ok(answer)
}
