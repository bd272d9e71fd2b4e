//! What is said of one subscription and of the way of one type.

use std::collections::BTreeMap;

use hence::measure::{Measured, WINDOW};
use hence_planner::control::{self, Concurrency};
use hence_planner::fit::Band;
use hence_planner::lifecycle::{Chances, Fate, fate, jeffreys, journeys};
use hence_planner::plan::{Figure, Flow, Journey, Prediction};
use hence_planner::transient::{Span, drain, holt};
use serde::Serialize;

use super::{Answer, Asked};
use crate::planning;

/// Windows of arrivals in one observation of the forecast: ten seconds.
const OBSERVATION: usize = 500;
/// How far a forecast looks, as a multiple of what was observed.
const AHEAD: f64 = 6.0;
/// Part of the capacity that advice about retries leaves free.
const RESERVE: f64 = 0.1;

/// A figure with its band and the engine behind it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Number {
    value: f64,
    lo: f64,
    hi: f64,
    method: String,
}

/// A subscription.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) subscription: String,
    /// Why nothing can be predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    #[serde(flatten)]
    flow: Option<Flowing>,
    #[serde(flatten)]
    pub(crate) times: Option<Times>,
    pub(crate) measured: Seen,
    /// Predicted over measured mean response time, less one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<f64>,
    /// Mean wait of each priority, the most urgent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Number>,
    /// What becomes of an event here.
    #[serde(skip_serializing_if = "Option::is_none")]
    fate: Option<Fated>,
    /// What controls could be set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<Advice>,
    /// Events that are not settled.
    backlog: u64,
    /// Until the backlog is handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<Span>,
    /// Until the trend of arrivals reaches what the workers can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    saturation: Option<Span>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Flowing {
    lambda: f64,
    es: f64,
    ca2: f64,
    cs2: f64,
    c: u32,
    rho: Band,
    /// Attempts per second that it can do.
    capacity: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Times {
    #[serde(skip_serializing_if = "Option::is_none")]
    wq: Option<Number>,
    art: Number,
    p50: Number,
    p95: Number,
    p99: Number,
}

/// What was measured in the last minutes.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Seen {
    attempts: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) art: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, Serialize)]
struct Fated {
    #[serde(flatten)]
    fate: Fate,
    /// 95 % interval of `dead`, from the counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadband: Option<[f64; 2]>,
}

/// What controls could be set to.
#[derive(Clone, Copy, Debug, Serialize)]
struct Advice {
    /// Bounds of adaptive concurrency: what the load needs, where to begin, and the knee, or four times
    /// the workers where none is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<Concurrency>,
    /// Retries per event that the workers can bear.
    #[serde(skip_serializing_if = "Option::is_none")]
    retrybudget: Option<f64>,
    /// The waiting time at which to begin to shed, in seconds.
    shedat: f64,
}

/// The whole way of the events of a type, to the end of the last reaction.
#[derive(Debug, Default, Serialize)]
pub(super) struct Way {
    pub(super) r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unknown: Option<String>,
    #[serde(flatten)]
    pub(super) times: Option<Times>,
    /// The probability that all is handled; dead letters, expirations and attempts per event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fate: Option<Fate>,
}

impl Number {
    pub(super) fn of(figure: Figure) -> Self {
        Self {
            value: figure.value,
            lo: figure.lo,
            hi: figure.hi,
            method: figure.method.to_string(),
        }
    }
}

impl Times {
    pub(super) fn of_journey(j: &Journey) -> Self {
        Self {
            wq: None,
            art: Number::of(j.art),
            p50: Number::of(j.p50),
            p95: Number::of(j.p95),
            p99: Number::of(j.p99),
        }
    }

    /// The predicted mean.
    pub(super) fn mean(&self) -> f64 {
        self.art.value
    }
}

impl Row {
    /// Puts what is predicted beside what was measured.
    pub(super) fn predict(&mut self, p: &Prediction) {
        let seen = self.measured.art.filter(|seen| *seen > 0.0);
        self.error = seen.map(|seen| p.art.value / seen - 1.0);
        let mut warnings = p.warnings.clone();
        self.warnings.retain(|warning| !warnings.contains(warning));
        warnings.append(&mut self.warnings);
        self.warnings = warnings;
        self.classes = p.class_wq.iter().copied().map(Number::of).collect();
        if let Some(fated) = &mut self.fate {
            // What expires reaches no attempt.
            let handled = 1.0 - p.expired;
            let Fate {
                consumed,
                dead,
                attempts,
                ..
            } = fated.fate;
            fated.fate = Fate {
                consumed: consumed * handled,
                dead: dead * handled,
                expired: p.expired,
                attempts: attempts * handled,
            };
        }
        self.times = Some(Times {
            wq: Some(Number::of(p.wq)),
            art: Number::of(p.art),
            p50: Number::of(p.p50),
            p95: Number::of(p.p95),
            p99: Number::of(p.p99),
        });
    }
}

impl Asked<'_> {
    pub(super) fn row(&self, name: &str, flow: Option<Flow>) -> Row {
        let none = Measured::default();
        let measured = self.measured.get(name).unwrap_or(&none);
        let backlog = self.lags.get(name).copied().unwrap_or_default();
        let (model, known) = (&self.fitted.model, self.fitted.knowledge.get(name));
        let workers = model.station(name).and_then(|at| model.stations.get(at));
        let mut row = Row {
            subscription: name.to_owned(),
            unknown: self.fitted.unknown.get(name).cloned(),
            measured: Seen {
                attempts: measured.done + measured.failed + measured.rejected,
                failed: measured.failed,
                art: measured.response.mean(),
                p50: measured.response.quantile(0.5),
                p99: measured.response.quantile(0.99),
            },
            backlog,
            warnings: known.map(planning::doubts).unwrap_or_default(),
            ..Row::default()
        };
        row.warnings.extend(planning::knee::advice(measured));
        if let (Some(flow), Some(station)) = (flow, workers) {
            let slack = known.map_or(0.0, |known| known.lambda.hypot(known.es));
            let capacity = flow.capacity;
            row.drain = drain(backlog as f64, flow.lambda, capacity, flow.ca2, flow.cs2).ok();
            row.saturation = saturation(measured, capacity);
            let retry = station.failure.as_ref();
            let (failing, attempts) = retry.map_or((0.0, 1), |f| (f.probability, f.retry.attempts));
            row.fate = fated(measured, failing, attempts);
            row.advice = Some(advice(measured, &flow, station.servers));
            row.flow = Some(Flowing {
                lambda: flow.lambda,
                es: flow.es,
                ca2: flow.ca2,
                cs2: flow.cs2,
                c: station.servers,
                rho: Band::around(flow.rho, flow.rho * slack),
                capacity,
            });
        }
        row
    }

    /// Says of every type what becomes of its events over all subscriptions.
    pub(super) fn tell_fates(&self, answer: &mut Answer) {
        let known = answer.subscriptions.iter();
        let fates: BTreeMap<String, Fate> = known
            .filter_map(|row| Some((row.subscription.clone(), row.fate?.fate)))
            .collect();
        let model = &self.fitted.model;
        let Ok(all) = journeys(model, &fates) else {
            return;
        };
        for (source, fate) in model.sources.iter().zip(all) {
            let way = answer
                .types
                .iter_mut()
                .find(|way| way.r#type == source.name);
            if let Some(way) = way.filter(|way| way.unknown.is_none()) {
                way.fate = Some(fate);
            }
        }
    }
}

/// What becomes of an event, from how its attempts end.
fn fated(measured: &Measured, failing: f64, attempts: u32) -> Option<Fated> {
    let trials = measured.done + measured.failed + measured.rejected;
    let reject = measured.rejected as f64 / trials.max(1) as f64;
    let at = |fail: f64, reject: f64| {
        let chances = Chances {
            fail: fail.min(1.0 - reject),
            reject,
            expire: 0.0,
        };
        fate(chances, attempts).ok()
    };
    let fate = at(failing, reject)?;
    let fails = jeffreys(measured.failed.min(trials), trials);
    let rejects = jeffreys(measured.rejected, trials);
    let deadband = fails.ok().zip(rejects.ok()).and_then(|(fail, reject)| {
        // Without a changed model both ends are those of the counts.
        let moved = measured.failed == 0 && failing > 0.0;
        let [lo, hi] = [at(fail.0, reject.0)?, at(fail.1, reject.1)?];
        (!moved).then_some([lo.dead, hi.dead])
    });
    Some(Fated { fate, deadband })
}

/// What controls could be set to.
fn advice(measured: &Measured, flow: &Flow, servers: u32) -> Advice {
    // Handlers that get in one another's way have a knee.
    let peak = planning::knee::knee(measured).unwrap_or(f64::INFINITY);
    let peak = peak.min(4.0 * f64::from(servers));
    Advice {
        concurrency: control::concurrency(flow.lambda * flow.es, peak).ok(),
        retrybudget: control::retry_budget(flow.fresh, flow.capacity, 1, RESERVE).ok(),
        shedat: control::codel_target(flow.es),
    }
}

/// When the trend of arrivals reaches the capacity; `None` when it does not, or nobody can tell.
fn saturation(measured: &Measured, capacity: f64) -> Option<Span> {
    let step = WINDOW.as_secs_f64() * OBSERVATION as f64;
    let rates: Vec<f64> = measured
        .arrivals
        .chunks_exact(OBSERVATION)
        .map(|windows| windows.iter().sum::<u64>() as f64 / step)
        .collect();
    let forecast = holt(&rates, step).ok()?;
    let span = forecast.time_to(capacity, AHEAD * step * rates.len() as f64)?;
    span.mean.is_finite().then_some(Span {
        // Infinity is no number of JSON.
        hi: span.hi.min(f64::MAX),
        ..span
    })
}
