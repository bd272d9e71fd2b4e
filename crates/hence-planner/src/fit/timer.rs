//! Timers that fire together: bursts at even distances in counts of events.
//!
//! A burst is neighbouring windows with far more than the mean of all, by five standard deviations
//! of a Poisson count. Bursts are timers when they are at even distances and about of one size,
//! which no memoryless traffic is. Windows and periods in seconds.

/// What is found.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// From one burst to the next, seconds.
    pub period: f64,
    /// Events in a burst, on average.
    pub size: f64,
    /// The counts without the bursts.
    pub rest: Vec<u64>,
}

/// Standard deviations by which a window of a burst is above the mean.
const FAR: f64 = 5.0;
/// Bursts that must be seen.
const BURSTS_MIN: usize = 8;
/// Windows between one burst and the next, at least: otherwise they cannot be told apart.
const PERIOD_MIN: f64 = 5.0;
/// Windows by which a distance may be off: timers are late by some, and windows are whole.
const OFF: f64 = 1.5;
/// The share of the distances that must be even, and of those that must be one period.
const EVEN: f64 = 0.9;
/// The largest SCV of the sizes: a standard deviation of a fifth. Timers are as many each time; what
/// differs more is a batch of something, which the model of timers would make too even.
const SIZE_SCV_MAX: f64 = 0.04;
/// A burst has at least this many events, or nothing fires together.
const SIZE_MIN: f64 = 1.5;

/// Windows that belong together, from one to the next: who is late skips one.
const JOINED: usize = 2;

/// Neighbouring windows that have too many events.
struct Burst {
    first: usize,
    last: usize,
    events: f64,
    /// The mean of where the events are, in windows.
    middle: f64,
}

/// Looks for timers that fire together in counts of neighbouring windows; `None` when there are
/// none.
pub fn aligned(counts: &[u64], window: f64) -> Option<Aligned> {
    let bursts = bursts(counts);
    if bursts.len() < BURSTS_MIN {
        return None;
    }
    let period = period(&bursts)?;
    // What else comes in the windows of a burst is as much as elsewhere.
    let inside: usize = bursts.iter().map(|b| b.last - b.first + 1).sum();
    let events: f64 = bursts.iter().map(|b| b.events).sum();
    let all = counts.iter().sum::<u64>() as f64;
    let beside = (all - events) / (counts.len() - inside).max(1) as f64;
    let sizes: Vec<f64> = (bursts.iter())
        .map(|b| b.events - beside * (b.last - b.first + 1) as f64)
        .collect();
    let n = sizes.len() as f64;
    let size = sizes.iter().sum::<f64>() / n;
    let variance = sizes.iter().map(|s| (s - size).powi(2)).sum::<f64>() / n;
    if size < SIZE_MIN || variance > SIZE_SCV_MAX * size * size {
        return None;
    }
    Some(Aligned {
        period: period * window,
        size,
        rest: without(counts, &bursts),
    })
}

fn bursts(counts: &[u64]) -> Vec<Burst> {
    let mean = counts.iter().sum::<u64>() as f64 / counts.len().max(1) as f64;
    let most = mean + FAR * mean.sqrt();
    let mut bursts: Vec<Burst> = Vec::new();
    for (at, count) in counts.iter().enumerate() {
        let events = *count as f64;
        if events <= most {
            continue;
        }
        match bursts.last_mut() {
            Some(burst) if at - burst.last <= JOINED => {
                let all = burst.events + events;
                burst.middle = (burst.middle * burst.events + at as f64 * events) / all;
                burst.events = all;
                burst.last = at;
            }
            _ => bursts.push(Burst {
                first: at,
                last: at,
                events,
                middle: at as f64,
            }),
        }
    }
    bursts
}

/// The period in windows; `None` when the distances are not even.
fn period(bursts: &[Burst]) -> Option<f64> {
    let pairs = bursts.iter().zip(bursts.iter().skip(1));
    let gaps: Vec<f64> = pairs.map(|(a, b)| b.middle - a.middle).collect();
    let mut sorted = gaps.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let usual = *sorted.get(sorted.len() / 2)?;
    if usual < PERIOD_MIN {
        return None;
    }
    // A burst that was missed leaves a distance of two periods.
    let even = |gap: &&f64| {
        let periods = (**gap / usual).round();
        periods >= 1.0 && (**gap - periods * usual).abs() <= OFF * periods
    };
    let whole: Vec<f64> = gaps.iter().filter(even).copied().collect();
    let single = whole.iter().filter(|gap| (**gap / usual).round() == 1.0);
    let enough = |count: usize| count as f64 >= EVEN * gaps.len() as f64;
    if !enough(whole.len()) || !enough(single.count()) {
        return None;
    }
    let periods: f64 = whole.iter().map(|gap| (gap / usual).round()).sum();
    Some(whole.iter().sum::<f64>() / periods)
}

/// The counts with what stands before a burst in its place.
fn without(counts: &[u64], bursts: &[Burst]) -> Vec<u64> {
    let mut rest = counts.to_vec();
    for burst in bursts {
        let before = burst.first.checked_sub(1).and_then(|at| rest.get(at));
        let usual = before.copied().unwrap_or(0);
        if let Some(windows) = rest.get_mut(burst.first..=burst.last) {
            windows.fill(usual);
        }
    }
    rest
}
