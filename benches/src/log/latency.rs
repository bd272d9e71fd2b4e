//! Row 4: from publish to handler at a constant rate, beside one `fdatasync` at the same rate.
//!
//! The publisher stands outside of the runtime's workers and keeps to a timetable; both sides wait
//! and count alike.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hence::{App, Event, State};
use serde::{Deserialize, Serialize};

use super::Sizes;
use super::append::EVENT;
use super::disk::{Kind, Raw, place};
use crate::report::Row;
use crate::spine::hence_overhead;

/// Events each second.
const RATE: u64 = 2_000;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "bench.timed")]
struct Timed {
    /// Since the round began.
    nanos: u64,
    text: String,
}

/// The times of one round, in seconds.
#[derive(Clone)]
struct Times(Arc<(Instant, Mutex<Vec<f64>>)>);

impl Times {
    fn new() -> Self {
        Self(Arc::new((Instant::now(), Mutex::default())))
    }

    fn add(&self, began: Duration) {
        let took = self.0.0.elapsed().saturating_sub(began).as_secs_f64();
        let mut times = self.0.1.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(took);
    }

    /// The p50 and the p99, in microseconds.
    fn quantiles(&self) -> (f64, f64) {
        let mut times = self.0.1.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let at = (times.len() as f64 * share) as usize;
            times.get(at).map_or(f64::NAN, |time| time * 1e6)
        };
        (at(0.5), at(0.99))
    }
}

async fn arrive(timed: Timed, times: State<Times>) {
    times.add(Duration::from_nanos(timed.nanos));
}

pub(crate) fn rows(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        let (ours, raw) = (
            engine(sizes.time)?.quantiles(),
            disk(sizes.time)?.quantiles(),
        );
        p50.push((ours.0, raw.0));
        p99.push((ours.1, raw.1));
    }
    let row = |name: &str, rounds: &[(f64, f64)], goal| {
        let name = format!("publish to handler at {RATE}/s, {name}");
        Row::beside(&name, "us", "fdatasync", rounds).at_most(goal)
    };
    Ok(vec![row("p50", &p50, 1.3), row("p99", &p99, 2.0)])
}

/// Calls a function at a constant rate, with the time from which it counts: that of the call, or,
/// when the call before took too long, that for which it was due.
fn paced(
    times: &Times,
    time: Duration,
    mut each: impl FnMut(Duration) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let clock = &times.0.0;
    let begin = clock.elapsed();
    for number in 0.. {
        let due = begin + Duration::from_nanos(number * 1_000_000_000 / RATE);
        if clock.elapsed() > begin + time {
            break;
        }
        let early = due.saturating_sub(clock.elapsed());
        if early.is_zero() {
            each(due)?;
        } else {
            std::thread::sleep(early);
            each(clock.elapsed())?;
        }
    }
    Ok(())
}

fn engine(time: Duration) -> anyhow::Result<Times> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let dir = place()?;
    let url = format!("log:{}", dir.path().join("log").display());
    let times = Times::new();
    let app = App::new("bench").state(times.clone());
    let running = runtime.block_on(app.subscribe("arrive", arrive).start(&url))?;
    // So that the event has 256 bytes of data.
    let text = "x".repeat(EVENT - r#"{"nanos":0123456789,"text":""}"#.len());
    paced(&times, time, |begin| {
        let (nanos, text) = (u64::try_from(begin.as_nanos())?, text.clone());
        runtime.block_on(async { running.bus().publish(Timed { nanos, text }).await })?;
        Ok(())
    })?;
    runtime.block_on(running.drain());
    Ok(times)
}

fn disk(time: Duration) -> anyhow::Result<Times> {
    let dir = place()?;
    let mut raw = Raw::new(dir.path(), Kind::Growing)?;
    let times = Times::new();
    paced(&times, time, |begin| {
        raw.batch(EVENT + hence_overhead())?;
        times.add(begin);
        Ok(())
    })?;
    Ok(times)
}
