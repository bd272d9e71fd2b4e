//! What the planner answers: a row for each subscription, the ways of types, the bottleneck, and
//! whether a target is met; or why it cannot say.

mod row;
mod target;

use std::collections::BTreeMap;

use hence::core::Topology;
use hence_planner::lint::lint;
use hence_planner::plan::{Figure, Method, Plan, PlanError, PlanOptions};
use hence_planner::plan::{bottleneck, flows, plan, simulated};
use hence_planner::simulate::{Estimate, SimOptions, Timing, WarmUp, simulate};
use hence_planner::what_if::apply;
use serde::Serialize;

use self::row::{Row, Times, Way};
use self::target::{Aim, Workers};
use super::EVENTS_MAX;
use super::backtest::Tested;
use super::question::Question;
use crate::planning::{self, All, Fitted};

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
    /// How earlier predictions came out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) backtest: Vec<Tested>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Bottleneck {
    subscription: String,
    rho: f64,
    headroom: f64,
}

/// Answers a question.
pub(crate) fn answer(
    topology: &Topology,
    measured: &All,
    lags: &BTreeMap<String, u64>,
    question: &Question,
) -> Answer {
    let wished = question.wished(topology);
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
            Err(error @ (PlanError::Unstable { .. } | PlanError::RetriesBeyondBudget { .. })) => {
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
        plan.journeys = simulated(&report);
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
            row.predict(p);
        }
        for j in &plan.journeys {
            let way = answer.types.iter_mut().find(|way| way.r#type == j.source);
            if let Some(way) = way.filter(|way| way.unknown.is_none()) {
                way.times = Some(Times::of_journey(j));
            }
        }
        self.tell_fates(&mut answer);
        if let Some((text, target)) = &self.question.target {
            self.aim(&mut answer, &plan, text, target);
        }
        answer
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
                ..Way::default()
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
            backtest: Vec::new(),
            warnings: findings.iter().map(ToString::to_string).collect(),
        }
    }
}
