//! A model in hand: from a file or from the server, planned in this process.

use std::collections::BTreeMap;
use std::path::Path;

use hence_planner::lifecycle::{Chances, fate};
use hence_planner::lint::lint;
use hence_planner::model::Model;
use hence_planner::plan::{Figure, Knowledge, Plan, PlanError, PlanOptions, flows, plan};
use hence_planner::sizing::{Percentile, Target, pick, workers_for};
use hence_planner::what_if::{self, apply};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Change;
use super::answer::Answer;
use crate::cli::error::{Error, Fault, Result};
use crate::cli::event::read;
use crate::cli::output::Output;
use crate::cli::query::Query;
use crate::cli::remote::Remote;
use crate::config::value;

/// The largest file that is read as a model.
const MODEL_BYTES_MAX: u64 = 64 << 20;

/// A model with how well it is known: what `hence model export` writes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Modelled {
    pub(crate) model: Model,
    #[serde(default)]
    pub(crate) knowledge: BTreeMap<String, Knowledge>,
    #[serde(default)]
    pub(crate) unknown: BTreeMap<String, String>,
}

impl Modelled {
    /// Reads a file that `hence model export` wrote, or a bare model.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let wrong = |cause: &dyn std::fmt::Display| {
            let sentence = format!("'{}' is no model", path.display());
            Fault::INPUT
                .error(sentence)
                .cause(cause)
                .fix("write one with `hence model export > model.json`")
        };
        let size = std::fs::metadata(path)
            .map_err(|error| wrong(&error))?
            .len();
        if size > MODEL_BYTES_MAX {
            return Err(wrong(&format!(
                "it has {size} bytes, {MODEL_BYTES_MAX} are read"
            )));
        }
        let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
        let parsed = match value.get("model") {
            Some(_) => serde_json::from_value(value),
            None => serde_json::from_value(value).map(|model| Self {
                model,
                ..Self::default()
            }),
        };
        let modelled: Self = parsed.map_err(|error| wrong(&error))?;
        modelled.model.check().map_err(|error| wrong(&error))?;
        Ok(modelled)
    }

    /// The model of the running application.
    pub(crate) async fn fetch(out: &mut Output, remote: &Remote) -> Result<Self> {
        let modelled: Self = remote.get(out, "/v1/plan/model", &Query::default()).await?;
        if modelled.model.stations.is_empty() {
            let why = modelled
                .unknown
                .iter()
                .map(|(name, why)| format!("{name}: {why}"));
            let error = Fault::UNSAID.error("too little was measured for a model");
            return Err(why.fold(error, Error::cause));
        }
        Ok(modelled)
    }

    pub(crate) fn options(&self) -> PlanOptions {
        PlanOptions {
            knowledge: self.knowledge.clone(),
            ..PlanOptions::default()
        }
    }

    pub(crate) fn plan(&self) -> Result<Plan> {
        plan(&self.model, &self.options()).map_err(|error| unplanned(&error))
    }

    /// The model with the changes that flags ask for.
    pub(crate) fn changed(mut self, change: &Change) -> Result<Self> {
        let changes = change.changes(&self.model)?;
        let changed = apply(&self.model, &changes);
        self.model = changed.map_err(|error| Fault::QUESTION.error(error.to_string()))?;
        Ok(self)
    }

    /// The answer that the server would give, as far as it needs no measurements.
    pub(crate) fn answer(&self, target: Option<&str>, workers: bool) -> Result<Answer> {
        let target = target.map(|text| self.target(text)).transpose()?;
        let flows = flows(&self.model).map_err(|error| unplanned(&error))?;
        let planned = match plan(&self.model, &self.options()) {
            Ok(planned) => planned,
            Err(error) => {
                let saturates = matches!(
                    error,
                    PlanError::Unstable { .. } | PlanError::RetriesBeyondBudget { .. }
                );
                let outcome = if saturates { "saturated" } else { "unknown" };
                return read(json!({"outcome": outcome, "reason": error.to_string()}).to_string());
            }
        };
        let stations = self.model.stations.iter().zip(&flows);
        let rows = planned.predictions.iter().zip(stations).map(|(p, (station, flow))| {
            let failure = station.failure.as_ref();
            let (fail, attempts) = failure.map_or((0.0, 1), |f| (f.probability, f.retry.attempts));
            let (reject, expire) = (0.0, p.expired);
            let fate = fate(Chances { fail, reject, expire }, attempts).ok();
            json!({
                "subscription": p.station, "lambda": p.lambda, "es": p.es, "cs2": p.cs2, "c": p.c,
                "rho": p.rho, "art": number(p.art), "p50": number(p.p50), "p99": number(p.p99),
                "capacity": flow.capacity, "fate": fate, "warnings": p.warnings,
            })
        });
        let ways = planned.journeys.iter().map(|j| {
            json!({
                "type": j.source, "rate": j.rate,
                "art": number(j.art), "p50": number(j.p50), "p99": number(j.p99),
            })
        });
        let first = &planned.bottleneck;
        let findings = lint(&self.model).unwrap_or_default();
        let mut answer = json!({
            "outcome": "plan",
            "subscriptions": rows.collect::<Vec<_>>(),
            "types": ways.collect::<Vec<_>>(),
            "bottleneck": {
                "subscription": first.station, "rho": first.rho, "headroom": first.headroom,
            },
            "warnings": findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        if let Some((text, target)) = target {
            self.aim(&mut answer, &planned, &text, &target, workers)?;
        }
        read(answer.to_string())
    }

    fn aim(
        &self,
        answer: &mut Value,
        planned: &Plan,
        text: &str,
        target: &Target,
        workers: bool,
    ) -> Result<()> {
        let Figure { value, lo, hi, .. } =
            pick(planned, target).map_err(|error| Fault::QUESTION.error(error.to_string()))?;
        let outcome = match () {
            () if hi <= target.below => "met",
            () if lo > target.below => "missed",
            () => "unknown",
        };
        answer["outcome"] = json!(outcome);
        answer["reason"] = json!(format!("it is {value:.4} s, between {lo:.4} and {hi:.4}"));
        answer["target"] = json!({"target": text});
        if !workers {
            return Ok(());
        }
        let name = match self.model.station(&target.of) {
            Some(_) => &target.of,
            None => &planned.bottleneck.station,
        };
        let sizing = workers_for(&self.model, name, target, &self.options());
        let sizing = sizing.map_err(|error| unplanned(&error))?;
        let stairs = sizing
            .stairs
            .iter()
            .map(|step| json!({"workers": step.workers, "figure": step.figure.map(number)}));
        answer["outcome"] = json!("met");
        answer["workers"] = json!({
            "subscription": name, "workers": sizing.workers,
            "stairs": stairs.collect::<Vec<_>>(),
        });
        Ok(())
    }

    /// Reads `NAME:FIGURE<TIME`.
    pub(crate) fn target(&self, text: &str) -> Result<(String, Target)> {
        let wrong = || {
            let sentence = format!("'{text}' is not a target of this model");
            let fix = "write NAME:FIGURE<TIME, as charge-card:p99<200ms, with a name of the model; \
                       the figures are art, p50, p95 and p99";
            Fault::QUESTION.error(sentence).fix(fix)
        };
        let (left, below) = text.split_once('<').ok_or_else(wrong)?;
        let (of, figure) = left.rsplit_once(':').ok_or_else(wrong)?;
        let figure = match figure.trim() {
            "art" => Percentile::Art,
            "p50" => Percentile::P50,
            "p95" => Percentile::P95,
            "p99" => Percentile::P99,
            _ => return Err(wrong()),
        };
        let of = of.trim();
        let source = self.model.sources.iter().any(|source| source.name == of);
        if self.model.station(of).is_none() && !source {
            return Err(wrong());
        }
        let below = value::duration(below.trim()).map_err(|_| wrong())?;
        let target = Target {
            of: of.to_owned(),
            figure,
            below: below.as_secs_f64(),
        };
        Ok((text.to_owned(), target))
    }
}

fn number(figure: Figure) -> Value {
    json!({
        "value": figure.value, "lo": figure.lo, "hi": figure.hi,
        "method": figure.method.to_string(),
    })
}

/// Why there is no plan, with its exit code.
pub(crate) fn unplanned(error: &PlanError) -> Error {
    let fault = match error {
        PlanError::Unstable { .. }
        | PlanError::RetriesBeyondBudget { .. }
        | PlanError::Infeasible { .. } => Fault::MISSED,
        PlanError::Model(_) => Fault::QUESTION,
        _ => Fault::UNSAID,
    };
    fault.error(error.to_string())
}

impl Change {
    /// The changes as the planner knows them.
    pub(crate) fn changes(&self, model: &Model) -> Result<Vec<what_if::Change>> {
        let mut changes = Vec::new();
        let members = self.members()?;
        let factor = |value: &Value| {
            let text = value.as_str().unwrap_or_default().trim_end_matches('x');
            let factor: Option<f64> = text.parse().ok().or(value.as_f64());
            factor
                .filter(|factor| *factor > 0.0)
                .ok_or_else(|| Fault::QUESTION.error(format!("{value} is not a factor such as 2x")))
        };
        if let Some(load) = members.get("load") {
            let factor = factor(load)?;
            changes.push(what_if::Change::Load { factor });
        }
        let object = |name: &str| members.get(name).and_then(Value::as_object).cloned();
        for (source, rate) in object("rate").unwrap_or_default() {
            let rate = rate.as_f64().unwrap_or_default();
            changes.push(what_if::Change::Rate { source, rate });
        }
        for (station, by) in object("service").unwrap_or_default() {
            let factor = factor(&by)?;
            changes.push(what_if::Change::Service { station, factor });
        }
        for (path, number) in object("set").unwrap_or_default() {
            changes.push(setting(model, &path, number.as_u64().unwrap_or_default())?);
        }
        Ok(changes)
    }
}

/// A key of the configuration as a change.
fn setting(model: &Model, path: &str, number: u64) -> Result<what_if::Change> {
    let wrong = || {
        let sentence = format!("a plan of a file cannot change '{path}'");
        let fix = "change subscription.NAME.config.concurrency or subscription.NAME.config.retry.attempts";
        Fault::QUESTION.error(sentence).fix(fix)
    };
    let parts = path
        .strip_prefix("subscription.")
        .and_then(|rest| rest.split_once(".config."));
    let (name, key) = parts.ok_or_else(wrong)?;
    let number = u32::try_from(number).map_err(|_| wrong())?;
    let station = name.to_owned();
    match key {
        "concurrency" => Ok(what_if::Change::Workers {
            station,
            servers: number,
        }),
        "retry.attempts" => {
            let found = model.stations.iter().find(|s| s.name == name);
            let failure = found.and_then(|s| s.failure.as_ref()).ok_or_else(wrong)?;
            let mut retry = failure.retry.clone();
            retry.attempts = number;
            Ok(what_if::Change::Retry { station, retry })
        }
        _ => Err(wrong()),
    }
}
