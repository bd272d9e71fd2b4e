//! What the options of a subscription mean to the planner: modelled, or a reason to be silent.

use hence::Order;
use hence::core::Options;
use hence::measure::Measured;
use hence_planner::histogram::Hist;
use hence_planner::model::{Expiry, Pace, Spacing};
use hence_planner::service::Dist;
use hence_planner::topology::Handling;

use super::histogram;

/// For how long the runtime remembers deliveries for the retry budget, and how much of the budget
/// may be used at once, in seconds: those of `hence::runtime::budget`.
const BUDGET: (f64, f64) = (60.0, 10.0);
/// A breaker that is expected to trip more often than this, per second, makes a steady state of
/// nothing: once in an hour.
const TRIPS_MAX: f64 = 1.0 / 3600.0;
/// Steps of priority that are told apart.
const CLASSES_MAX: usize = 16;
/// Priorities that are too rare for a figure of their own.
const RARE: f64 = 1e-4;

/// Puts the options into a handling.
///
/// # Errors
/// Why no figure would be true, as a sentence that names the option.
pub(super) fn follow(
    options: &Options,
    measured: &Measured,
    handling: &mut Handling,
) -> Result<(), String> {
    let unknown = [
        (options.limit.is_some(), "limit"),
        (options.rate_limit.is_some(), "ratelimit"),
        (options.debounce.is_some(), "debounce"),
        (options.singleton.is_some(), "singleton"),
        (options.fair.is_some(), "fair"),
        (options.shed.is_some(), "shed"),
        (options.adaptive.is_some(), "adaptive"),
    ];
    if let Some((_, name)) = unknown.into_iter().find(|(on, _)| *on) {
        return Err(format!(
            "it has the option '{name}', which the model does not know"
        ));
    }
    if let Some(rate) = options.throttle {
        let seconds = rate.per.as_secs_f64();
        handling.pace = Some(Pace {
            per_second: f64::from(rate.calls) / seconds,
            burst: f64::from(rate.calls),
        });
    }
    handling.spacing = options.retry_budget.map(|budget| Spacing {
        per_event: budget.share,
        per_second: budget.per_second,
        memory: BUDGET.0,
        burst: BUDGET.1,
    });
    if let Some(breaker) = options.breaker {
        let failing = handling.failure;
        let attempts = measured.service.count() as f64;
        let seconds = measured.blocks.len().max(1) as f64;
        let in_a_row = failing.powf(f64::from(breaker.failures)) * attempts / seconds;
        if in_a_row > TRIPS_MAX || failing > 0.7 * breaker.share {
            return Err(format!(
                "{:.0} % of its attempts fail, so that its breaker trips (option breaker): what is \
                 stopped has no steady state",
                100.0 * failing
            ));
        }
    }
    let counted = measured.counted.max(1) as f64;
    if measured.expiry.count() > 0 {
        handling.expiry = Some(Expiry {
            share: (measured.expiry.count() as f64 / counted).min(1.0),
            after: Dist::Empirical(positive(histogram(&measured.expiry))),
        });
    }
    if options.order == Order::Priority {
        handling.classes = classes(measured)?;
    }
    Ok(())
}

/// Shares of the priorities, the most urgent first; empty when one of them has nearly all.
fn classes(measured: &Measured) -> Result<Vec<f64>, String> {
    let all: u64 = measured.priorities.values().sum();
    let most = measured.priorities.last_key_value().map_or(0, |(p, _)| *p);
    let least = measured.priorities.first_key_value().map_or(0, |(p, _)| *p);
    let steps = usize::try_from(i64::from(most) - i64::from(least)).unwrap_or(usize::MAX);
    if steps >= CLASSES_MAX {
        return Err(format!(
            "its priorities lie between {least} and {most} (option order), and at most \
             {CLASSES_MAX} steps are followed"
        ));
    }
    // A step of priority is a class, also one that nothing has: it is worth a step of waiting.
    let mut shares = vec![0.0; steps + 1];
    for (priority, count) in &measured.priorities {
        let class = usize::try_from(i64::from(most) - i64::from(*priority)).unwrap_or(0);
        let share = *count as f64 / all.max(1) as f64;
        if let Some(place) = shares.get_mut(class) {
            *place += share;
        }
    }
    if shares.iter().filter(|share| **share > RARE).count() < 2 {
        return Ok(Vec::new());
    }
    Ok(shares)
}

/// A law without its atom at zero: what has expired on arrival is dropped at once.
fn positive(mut law: Hist) -> Hist {
    for bin in &mut law.bins {
        bin.lo = bin.lo.max(1e-9);
        bin.hi = bin.hi.max(2e-9);
    }
    law
}

#[cfg(test)]
mod tests;
