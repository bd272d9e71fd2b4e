//! Whether a target is met, and how many workers it needs.

use hence_planner::plan::{Figure, Plan, PlanError};
use hence_planner::sizing::{Percentile, Target, workers_for};
use serde::Serialize;

use super::row::{Number, Row};
use super::{Answer, Asked, Outcome};

/// By how much of the measured mean a prediction may be off before the model is rejected.
const OFF_MAX: f64 = 0.5;
/// What such an error may be of a target.
const TARGET_SHARE: f64 = 0.1;

#[derive(Debug, Serialize)]
pub(super) struct Aim {
    pub(super) target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) figure: Option<Number>,
}

/// How many workers a target needs.
#[derive(Debug, Serialize)]
pub(super) struct Workers {
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

impl Asked<'_> {
    /// Says whether the target is met.
    pub(super) fn aim(&self, answer: &mut Answer, plan: &Plan, text: &str, target: &Target) {
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
            let (predicted, seen) = (row.times.as_ref()?.mean(), row.measured.art?);
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
