//! What is asked of the planner, read strictly.

use std::collections::BTreeMap;

use hence::core::Topology;
use hence_planner::sizing::{Percentile, Target};
use hence_planner::what_if::Change;
use serde_json::{Map, Value};

use crate::config::value;
use crate::gateway::problem::{Code, Problem};
use crate::gateway::suggest::did_you_mean;

/// The members of a question.
const MEMBERS: [&str; 7] = [
    "load", "rate", "service", "set", "simulate", "target", "workers",
];
/// The keys of the configuration that a question may change.
const KEYS: [&str; 2] = ["concurrency", "retry.attempts"];
/// The most replications of a simulation.
const REPS_MAX: u64 = 100;
/// The most workers that a question may give a subscription.
const WORKERS_MAX: u64 = 100_000;

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// Changes of arrivals.
    pub(super) changes: Vec<Change>,
    /// Changes of subscriptions: workers and attempts, by name.
    pub(super) concurrency: BTreeMap<String, usize>,
    pub(super) attempts: BTreeMap<String, u32>,
    /// The target, as it was written and as it is understood.
    pub(super) target: Option<(String, Target)>,
    /// How many workers the target needs.
    pub(super) workers: bool,
    /// Simulate with this seed and so many replications.
    pub(super) simulate: Option<(u64, u32)>,
}

fn malformed(name: &str, reason: impl AsRef<str>, hint: &str) -> Problem {
    let detail = format!("'{name}' {}", reason.as_ref());
    Code::MALFORMED
        .problem(&detail)
        .at(format!("/{name}"), detail)
        .hint(hint)
}

impl Question {
    /// Whether it is about the application as it runs now, so that measurements may contradict.
    pub(super) fn is_now(&self) -> bool {
        self.changes.is_empty() && self.concurrency.is_empty() && self.attempts.is_empty()
    }

    /// The topology with the wishes in it.
    pub(super) fn wished(&self, topology: &Topology) -> Topology {
        let mut wished = topology.clone();
        for node in &mut wished.subscriptions {
            if let Some(number) = self.concurrency.get(&node.name) {
                node.concurrency = *number;
            }
            if let Some(number) = self.attempts.get(&node.name) {
                node.attempts = *number;
            }
        }
        wished
    }

    /// The question of a plan as it is, with a target perhaps.
    pub(super) fn of_target(target: Option<&str>, topology: &Topology) -> Result<Self, Problem> {
        let target = match target {
            Some(text) => Some((text.to_owned(), read_target(text, topology)?)),
            None => None,
        };
        Ok(Self {
            target,
            ..Self::default()
        })
    }

    /// The question that a body asks.
    pub(super) fn read(body: &[u8], topology: &Topology) -> Result<Self, Problem> {
        let members: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| Code::MALFORMED.problem("the body is not a JSON object"))?;
        let mut question = Self::default();
        for (name, value) in &members {
            match name.as_str() {
                "load" => question.changes.push(Change::Load {
                    factor: factor(value)?,
                }),
                "rate" => question.read_rates(value, topology)?,
                "service" => question.read_services(value, topology)?,
                "set" => question.read_settings(value, topology)?,
                "simulate" => question.simulate = Some(simulate(value)?),
                "target" => {
                    let text = value.as_str().unwrap_or_default();
                    question.target = Self::of_target(Some(text), topology)?.target;
                }
                "workers" => {
                    let wrong = || malformed("workers", "is neither true nor false", TARGET_HINT);
                    question.workers = value.as_bool().ok_or_else(wrong)?;
                }
                other => {
                    let near = did_you_mean(other, MEMBERS);
                    let detail = format!("'{other}' is not a member of this request{near}");
                    return Err(Code::UNKNOWN
                        .problem(&detail)
                        .at(format!("/{other}"), detail)
                        .hint(format!("it takes {}", MEMBERS.join(", "))));
                }
            }
        }
        if question.workers && question.target.is_none() {
            return Err(malformed("workers", "needs a target", TARGET_HINT));
        }
        Ok(question)
    }

    fn read_rates(&mut self, value: &Value, topology: &Topology) -> Result<(), Problem> {
        const HINT: &str = "events per second by type: {\"order.placed\": 500}";
        let wrong = || malformed("rate", "is not an object of positive numbers", HINT);
        for (source, rate) in value.as_object().ok_or_else(wrong)? {
            let known = || topology.types.iter().map(|kind| kind.name.as_str());
            if !known().any(|name| name == source) {
                return Err(unknown("type", source, known()));
            }
            let rate = rate.as_f64().filter(|rate| *rate > 0.0).ok_or_else(wrong)?;
            let source = source.clone();
            self.changes.push(Change::Rate { source, rate });
        }
        Ok(())
    }

    fn read_services(&mut self, value: &Value, topology: &Topology) -> Result<(), Problem> {
        const HINT: &str = "factors of the service time by subscription: {\"charge-card\": 0.5}";
        let wrong = || malformed("service", "is not an object of factors", HINT);
        for (station, by) in value.as_object().ok_or_else(wrong)? {
            let known = || topology.subscriptions.iter().map(|node| node.name.as_str());
            if !known().any(|name| name == station) {
                return Err(unknown("subscription", station, known()));
            }
            let factor = factor(by).map_err(|_| wrong())?;
            let station = station.clone();
            self.changes.push(Change::Service { station, factor });
        }
        Ok(())
    }

    fn read_settings(&mut self, value: &Value, topology: &Topology) -> Result<(), Problem> {
        const HINT: &str = "keys of the configuration with whole numbers: \
                            {\"subscription.charge-card.config.concurrency\": 8}";
        let wrong = |reason: &str| malformed("set", reason, HINT);
        let all = value.as_object().ok_or_else(|| wrong("is not an object"))?;
        for (path, value) in all {
            let parts = path
                .strip_prefix("subscription.")
                .and_then(|rest| rest.split_once(".config."));
            let Some((name, key)) = parts else {
                return Err(wrong(&format!("cannot change '{path}'")));
            };
            let known = || topology.subscriptions.iter().map(|node| node.name.as_str());
            if !known().any(|known| known == name) {
                return Err(unknown("subscription", name, known()));
            }
            let number = value
                .as_u64()
                .filter(|number| (1..=WORKERS_MAX).contains(number));
            let number = number.ok_or_else(|| {
                wrong(&format!(
                    "wants a whole number from 1 to {WORKERS_MAX} for '{path}'"
                ))
            })?;
            match key {
                "concurrency" => {
                    let number = usize::try_from(number).unwrap_or(usize::MAX);
                    self.concurrency.insert(name.to_owned(), number);
                }
                "retry.attempts" => {
                    let number = u32::try_from(number).unwrap_or(u32::MAX);
                    self.attempts.insert(name.to_owned(), number);
                }
                other => {
                    let near = did_you_mean(other, KEYS);
                    let keys = KEYS.join(" and ");
                    return Err(wrong(&format!("cannot change '{other}'{near}"))
                        .hint(format!("plans follow changes of {keys}")));
                }
            }
        }
        Ok(())
    }
}

/// How a target is written.
const TARGET_HINT: &str = "a target is NAME:FIGURE<TIME, as order.placed:p99<200ms; the figures \
                           are art, p50, p95 and p99";

fn read_target(text: &str, topology: &Topology) -> Result<Target, Problem> {
    let wrong = |reason: String| malformed("target", reason, TARGET_HINT);
    let parts = text
        .split_once('<')
        .and_then(|(left, below)| Some((left.rsplit_once(':')?, below)));
    let Some(((of, figure), below)) = parts else {
        return Err(wrong(format!("is not a target: '{text}'")));
    };
    let figure = match figure.trim() {
        "art" => Percentile::Art,
        "p50" => Percentile::P50,
        "p95" => Percentile::P95,
        "p99" => Percentile::P99,
        other => return Err(wrong(format!("has an unknown figure '{other}'"))),
    };
    let below = value::duration(below.trim())
        .map_err(|reason| wrong(format!("has a wrong time '{}': {reason}", below.trim())))?;
    let of = of.trim();
    let types = topology.types.iter().map(|kind| kind.name.as_str());
    let all = types.chain(topology.subscriptions.iter().map(|node| node.name.as_str()));
    let names: Vec<&str> = all.collect();
    if !names.contains(&of) {
        return Err(unknown("subscription or type", of, names));
    }
    Ok(Target {
        of: of.to_owned(),
        figure,
        below: below.as_secs_f64(),
    })
}

fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let near = did_you_mean(name, known);
    Code::NOT_FOUND
        .problem(format!("there is no {kind} '{name}'{near}"))
        .hint("GET /v1/topology, or `hence graph`, shows what there is")
}

/// A factor of the load: `2`, or `"2x"`.
fn factor(value: &Value) -> Result<f64, Problem> {
    let text = value
        .as_str()
        .map(|text| text.trim_end_matches('x').parse());
    let number = match text {
        Some(parsed) => parsed.ok(),
        None => value.as_f64(),
    };
    let good = |number: &f64| number.is_finite() && (0.001..=1000.0).contains(number);
    number.filter(good).ok_or_else(|| {
        let hint = "a factor of what comes in now: 2 is twice as much";
        malformed("load", "is not a number from 0.001 to 1000", hint)
    })
}

fn simulate(value: &Value) -> Result<(u64, u32), Problem> {
    let hint = "{\"seed\": 1, \"reps\": 10}; both may be left out";
    let wrong = |reason: &str| malformed("simulate", reason, hint);
    let members = value.as_object().ok_or_else(|| wrong("is not an object"))?;
    let (mut seed, mut reps) = (1, 10);
    for (name, value) in members {
        let number = value.as_u64().ok_or_else(|| wrong("takes whole numbers"))?;
        match name.as_str() {
            "seed" => seed = number,
            "reps" if (2..=REPS_MAX).contains(&number) => reps = number as u32,
            "reps" => return Err(wrong(&format!("takes 2 to {REPS_MAX} reps"))),
            other => return Err(wrong(&format!("has an unknown member '{other}'"))),
        }
    }
    Ok((seed, reps))
}
