//! What the planner answers: a row for each subscription, the ways of types, the bottleneck, and
//! whether a target is met; or why it cannot say.

use std::collections::BTreeMap;

use hence::Topology;
use hence::measure::{Measured, WINDOW};
use hence_planner::fit::Band;
use hence_planner::lint::lint;
use hence_planner::plan::{
    Figure, Flow, Method, Plan, PlanError, PlanOptions, bottleneck, flows, plan,
};
use hence_planner::simulate::{Estimate, SimOptions, Timing, WarmUp, simulate};
use hence_planner::sizing::{Percentile, Target, workers_for};
use hence_planner::transient::{Span, drain, holt};
use hence_planner::what_if::apply;
use serde::Serialize;

use super::EVENTS_MAX;
use super::question::Question;
use crate::planning::{self, All, Fitted};

/// Windows of arrivals in one observation of the forecast: ten seconds.
const OBSERVATION: usize = 500;
/// How far a forecast looks, as a multiple of what was observed.
const AHEAD: f64 = 6.0;

/// By how much of the measured mean a prediction may be off before the model is rejected.
const OFF_MAX: f64 = 0.5;
/// What such an error may be of a target.
const TARGET_SHARE: f64 = 0.1;

/// How the answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// There is a plan, and no target was given.
    Plan,
    /// The target is met.
    Met,
    /// The target is not met, or cannot be.
    Missed,
    /// A subscription saturates, so there is no steady state to tell of.
    Saturated,
    /// The data cannot carry an answer.
    Unknown,
}

/// The answer; times in seconds, rates in events per second.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    outcome: Outcome,
    /// Why, unless it is a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(crate) subscriptions: Vec<Row>,
    types: Vec<Way>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bottleneck: Option<Bottleneck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Aim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<Workers>,
    warnings: Vec<String>,
}

/// A figure with its band and the engine behind it.
#[derive(Clone, Debug, Serialize)]
struct Number {
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
    times: Option<Times>,
    measured: Seen,
    /// Predicted over measured mean response time, less one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<f64>,
    /// Events that are not settled.
    backlog: u64,
    /// Until the backlog is handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<Span>,
    /// Until the trend of arrivals reaches what the workers can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    saturation: Option<Span>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Flowing {
    lambda: f64,
    es: f64,
    ca2: f64,
    cs2: f64,
    c: u32,
    rho: Band,
}

#[derive(Debug, Serialize)]
struct Times {
    #[serde(skip_serializing_if = "Option::is_none")]
    wq: Option<Number>,
    art: Number,
    p50: Number,
    p95: Number,
    p99: Number,
}

/// What was measured in the last minutes.
#[derive(Debug, Default, Serialize)]
struct Seen {
    attempts: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    art: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
}

/// The whole way of the events of a type, to the end of the last reaction.
#[derive(Debug, Serialize)]
struct Way {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    #[serde(flatten)]
    times: Option<Times>,
}

#[derive(Debug, Serialize)]
struct Bottleneck {
    subscription: String,
    rho: f64,
    headroom: f64,
}

#[derive(Debug, Serialize)]
struct Aim {
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    figure: Option<Number>,
}

/// How many workers a target needs.
#[derive(Debug, Serialize)]
struct Workers {
    subscription: String,
    workers: u32,
    stairs: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    workers: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    figure: Option<Number>,
}

impl Number {
    fn of(figure: Figure) -> Self {
        Self {
            value: figure.value,
            lo: figure.lo,
            hi: figure.hi,
            method: figure.method.to_string(),
        }
    }
}

/// Answers a question.
pub(crate) fn answer(
    topology: &Topology,
    measured: &All,
    lags: &BTreeMap<String, u64>,
    question: &Question,
) -> Answer {
    let mut wished = topology.clone();
    for node in &mut wished.subscriptions {
        if let Some(number) = question.concurrency.get(&node.name) {
            node.concurrency = *number;
        }
        if let Some(number) = question.attempts.get(&node.name) {
            node.attempts = *number;
        }
    }
    let mut fitted = planning::fit(&wished, measured);
    let mut asked = Asked {
        fitted: Fitted::default(),
        measured,
        lags,
        question,
    };
    match apply(&fitted.model, &question.changes) {
        Ok(mut changed) => {
            planning::relax(&mut changed, measured);
            fitted.model = changed;
            asked.fitted = fitted;
            asked.answer(&wished)
        }
        Err(wrong) => {
            asked.fitted = fitted;
            asked.without_plan(&wished, Outcome::Unknown, wrong.to_string())
        }
    }
}

/// A question with everything that is known.
struct Asked<'a> {
    fitted: Fitted,
    measured: &'a All,
    lags: &'a BTreeMap<String, u64>,
    question: &'a Question,
}

impl Asked<'_> {
    fn options(&self) -> PlanOptions {
        PlanOptions {
            events: EVENTS_MAX,
            knowledge: self.fitted.knowledge.clone(),
            ..PlanOptions::default()
        }
    }

    fn answer(&self, topology: &Topology) -> Answer {
        let model = &self.fitted.model;
        if model.stations.is_empty() || model.sources.is_empty() {
            let reason = "too little was measured yet; ask again when more events came".to_owned();
            return self.without_plan(topology, Outcome::Unknown, reason);
        }
        match plan(model, &self.options()) {
            Ok(plan) => self.with_plan(topology, self.simulated(plan)),
            Err(error @ PlanError::Unstable { .. }) => {
                self.without_plan(topology, Outcome::Saturated, error.to_string())
            }
            Err(error) => self.without_plan(topology, Outcome::Unknown, error.to_string()),
        }
    }

    /// The plan with the figures of a simulation in place of those of formulas, if that was asked.
    fn simulated(&self, mut plan: Plan) -> Plan {
        let Some((seed, reps)) = self.question.simulate else {
            return plan;
        };
        let per_second: f64 = plan.predictions.iter().map(|p| 2.0 * p.lambda).sum();
        let options = SimOptions {
            seed,
            replications: reps,
            horizon: EVENTS_MAX as f64 / f64::from(reps) / per_second.max(1e-9),
            warm_up: WarmUp::Share(0.1),
            max_events: EVENTS_MAX,
            ..SimOptions::default()
        };
        let Ok(report) = simulate(&self.fitted.model, &options) else {
            return plan;
        };
        let method = Method::Simulation(report.replications);
        let figure = |estimate: Estimate| Figure {
            value: estimate.value,
            lo: estimate.lo,
            hi: estimate.hi,
            method,
        };
        let four = |timing: Timing| [timing.mean, timing.p50, timing.p95, timing.p99].map(figure);
        for (p, station) in plan.predictions.iter_mut().zip(&report.stations) {
            p.wq = figure(station.wait.mean);
            [p.art, p.p50, p.p95, p.p99] = four(station.response);
        }
        for (j, source) in plan.journeys.iter_mut().zip(&report.sources) {
            [j.art, j.p50, j.p95, j.p99] = four(source.response);
        }
        plan
    }

    fn with_plan(&self, topology: &Topology, plan: Plan) -> Answer {
        let mut answer = self.without_plan(topology, Outcome::Plan, String::new());
        answer.reason = None;
        for p in &plan.predictions {
            let row = answer.subscriptions.iter_mut();
            let Some(row) = row.into_iter().find(|row| row.subscription == p.station) else {
                continue;
            };
            let seen = row.measured.art.filter(|seen| *seen > 0.0);
            row.error = seen.map(|seen| p.art.value / seen - 1.0);
            row.warnings.clone_from(&p.warnings);
            row.flow = Some(Flowing {
                lambda: p.lambda,
                es: p.es,
                ca2: p.ca2,
                cs2: p.cs2,
                c: p.c,
                rho: p.rho,
            });
            row.times = Some(Times {
                wq: Some(Number::of(p.wq)),
                art: Number::of(p.art),
                p50: Number::of(p.p50),
                p95: Number::of(p.p95),
                p99: Number::of(p.p99),
            });
        }
        for j in &plan.journeys {
            let way = answer.types.iter_mut().find(|way| way.r#type == j.source);
            if let Some(way) = way.filter(|way| way.unknown.is_none()) {
                way.times = Some(Times {
                    wq: None,
                    art: Number::of(j.art),
                    p50: Number::of(j.p50),
                    p95: Number::of(j.p95),
                    p99: Number::of(j.p99),
                });
            }
        }
        if let Some((text, target)) = &self.question.target {
            self.aim(&mut answer, &plan, text, target);
        }
        answer
    }

    /// Says whether the target is met.
    fn aim(&self, answer: &mut Answer, plan: &Plan, text: &str, target: &Target) {
        let doubt = self.why_not(&target.of);
        let figure = match doubt.or_else(|| {
            if self.question.is_now() {
                disproved(answer, target)
            } else {
                None
            }
        }) {
            Some(why) => Err(why),
            None => hence_planner::sizing::pick(plan, target).map_err(|error| error.to_string()),
        };
        let (outcome, reason) = match &figure {
            Err(why) => (Outcome::Unknown, Some(why.clone())),
            Ok(figure) => judge(*figure, target),
        };
        answer.outcome = outcome;
        answer.reason = reason;
        answer.target = Some(Aim {
            target: text.to_owned(),
            figure: figure.as_ref().ok().map(|figure| Number::of(*figure)),
        });
        if self.question.workers && figure.is_ok() {
            self.size(answer, plan, target);
        }
    }

    /// Says how many workers the target needs.
    fn size(&self, answer: &mut Answer, plan: &Plan, target: &Target) {
        let model = &self.fitted.model;
        let name = match model.station(&target.of) {
            Some(_) => &target.of,
            None => &plan.bottleneck.station,
        };
        match workers_for(model, name, target, &self.options()) {
            Ok(sizing) => {
                answer.outcome = Outcome::Met;
                answer.reason = None;
                let stairs = sizing.stairs.into_iter().map(|step| Step {
                    workers: step.workers,
                    figure: step.figure.map(Number::of),
                });
                answer.workers = Some(Workers {
                    subscription: name.clone(),
                    workers: sizing.workers,
                    stairs: stairs.collect(),
                });
            }
            Err(error @ PlanError::Infeasible { .. }) => {
                answer.outcome = Outcome::Missed;
                answer.reason = Some(format!("no number of workers of {name} meets it: {error}"));
            }
            Err(error) => {
                answer.outcome = Outcome::Unknown;
                answer.reason = Some(error.to_string());
            }
        }
    }

    /// Why nothing can be said of a subscription or type.
    fn why_not(&self, name: &str) -> Option<String> {
        let model = &self.fitted.model;
        let known = self.fitted.unknown.get(name).or(self.fitted.open.get(name));
        let here = model.station(name).is_some() || planning::rate(model, name).is_some();
        match known {
            Some(why) => Some(format!("{name}: {why}")),
            None if !here => Some(format!("{name}: no event of it comes in from outside")),
            None => None,
        }
    }

    /// Everything but predictions.
    fn without_plan(&self, topology: &Topology, outcome: Outcome, reason: String) -> Answer {
        let Fitted { model, open, .. } = &self.fitted;
        let all = flows(model).unwrap_or_default();
        let flow = |name: &str| {
            model
                .station(name)
                .and_then(|index| all.get(index).copied())
        };
        let nodes = topology.subscriptions.iter();
        let rows = nodes.map(|node| self.row(&node.name, flow(&node.name)));
        let ways = topology.types.iter().filter_map(|kind| {
            let (rate, why) = (planning::rate(model, &kind.name), open.get(&kind.name));
            (rate.is_some() || why.is_some()).then(|| Way {
                r#type: kind.name.clone(),
                rate,
                unknown: why.cloned(),
                times: None,
            })
        });
        let first = (!all.is_empty()).then(|| bottleneck(model, &all));
        let findings = lint(model).unwrap_or_default();
        let target = self.question.target.as_ref();
        Answer {
            outcome: match outcome {
                Outcome::Saturated if target.is_some() => Outcome::Missed,
                other => other,
            },
            reason: Some(reason),
            subscriptions: rows.collect(),
            types: ways.collect(),
            bottleneck: first.filter(|b| b.rho > 0.0).map(|b| Bottleneck {
                subscription: b.station,
                rho: b.rho,
                headroom: b.headroom,
            }),
            target: target.map(|(text, _)| Aim {
                target: text.clone(),
                figure: None,
            }),
            workers: None,
            warnings: findings.iter().map(ToString::to_string).collect(),
        }
    }

    fn row(&self, name: &str, flow: Option<Flow>) -> Row {
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
        if let (Some(flow), Some(station)) = (flow, workers) {
            let slack = known.map_or(0.0, |known| known.lambda.hypot(known.es));
            let capacity = flow.capacity;
            row.drain = drain(backlog as f64, flow.lambda, capacity, flow.ca2, flow.cs2).ok();
            row.saturation = saturation(measured, capacity);
            row.flow = Some(Flowing {
                lambda: flow.lambda,
                es: flow.es,
                ca2: flow.ca2,
                cs2: flow.cs2,
                c: station.servers,
                rho: Band::around(flow.rho, flow.rho * slack),
            });
        }
        row
    }
}

/// Why the target cannot be judged: what was measured contradicts the model by more than a tenth of
/// the target. A subscription speaks for itself, a type for all of them.
fn disproved(answer: &Answer, target: &Target) -> Option<String> {
    let concerned = |row: &&Row| {
        let is_station = answer
            .subscriptions
            .iter()
            .any(|row| row.subscription == target.of);
        !is_station || row.subscription == target.of
    };
    answer
        .subscriptions
        .iter()
        .filter(concerned)
        .find_map(|row| {
            let (predicted, seen) = (row.times.as_ref()?.art.value, row.measured.art?);
            let off = (predicted / seen - 1.0).abs() > OFF_MAX
                && (predicted - seen).abs() > TARGET_SHARE * target.below;
            off.then(|| {
                format!(
                    "{} was measured at {seen:.4} s on average and predicted at {predicted:.4} s: \
                 something that the model does not know slows it down",
                    row.subscription
                )
            })
        })
}

/// Whether a figure with its band meets a target.
fn judge(figure: Figure, target: &Target) -> (Outcome, Option<String>) {
    let name = match target.figure {
        Percentile::Art => "art",
        Percentile::P50 => "p50",
        Percentile::P95 => "p95",
        Percentile::P99 => "p99",
    };
    let Figure { value, lo, hi, .. } = figure;
    if hi <= target.below {
        (Outcome::Met, None)
    } else if lo > target.below {
        let reason = format!("{name} is {value:.4} s, between {lo:.4} and {hi:.4}");
        (Outcome::Missed, Some(reason))
    } else {
        let reason = format!("{name} lies between {lo:.4} and {hi:.4} s, with the target within");
        (Outcome::Unknown, Some(reason))
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
