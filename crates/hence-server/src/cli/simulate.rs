//! `hence simulate`: the plan by simulation alone, with a seed that repeats it; of the running
//! application, of a model in a file, or of what really came, once more.

mod replay;

use std::path::PathBuf;

use hence_planner::plan::simulated;
use hence_planner::simulate::{Estimate, SimOptions, SimReport, Timing, WarmUp, simulate};
use serde_json::{Value, json};

use super::error::{Fault, Result};
use super::event::read;
use super::global::Global;
use super::output::{Form, Output};
use super::plan::answer::Answer;
use super::plan::local::{Modelled, unplanned};
use super::plan::{Change, What, question, table, verdict};
use super::remote::Remote;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence simulate
  hence simulate --load 1.5x --seed 7 --reps 20
  hence simulate model.json --service charge-card=2x
  hence simulate --replay --set subscription.charge-card.config.concurrency=2";

/// Entries of the calendar that a simulation of a file may take.
const EVENTS_MAX: u64 = 4_000_000;

/// Simulates the running application from what the server measured of it; exits with 9 when the data
/// cannot carry an answer.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// A model that `hence model export` wrote, in place of that of the server.
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,

    /// Take the newest events of the server as they came, with their keys and service times.
    #[arg(long)]
    replay: bool,

    /// How many events to replay at most, from 100 to 5000.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1_000,
        requires = "replay"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(100..=5_000))]
    events: u32,

    /// The same seed gives the same random numbers.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Independent repetitions, from 2 to 100; the bands come from how they differ.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    reps: u32,

    #[command(flatten)]
    change: Change,
}

impl Simulate {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        if self.model.is_some() || self.replay {
            return self.here(out, global).await;
        }
        let mut members = self.change.members()?;
        let simulate = json!({"seed": self.seed, "reps": self.reps});
        members.insert("simulate".to_owned(), simulate);
        let remote = Remote::open(global)?;
        let body = remote.ask(out, &question(members)).await?.body;
        let answer: Answer = read(&body)?;
        match out.form() {
            Form::Json => out.line(String::from_utf8_lossy(&body).trim_end())?,
            _ => table(out, &answer)?,
        }
        verdict(out, &answer, What::All)
    }

    /// Simulates in this process.
    async fn here(self, out: &mut Output, global: &Global) -> Result<()> {
        if !(2..=100).contains(&self.reps) {
            return Err(Fault::QUESTION.error("a simulation takes 2 to 100 repetitions"));
        }
        let mut modelled = match &self.model {
            Some(path) => Modelled::open(path)?,
            None => Modelled::fetch(out, &Remote::open(global)?).await?,
        };
        let mut horizon = None;
        if self.replay {
            let remote = Remote::open(global)?;
            let replayed = replay::put(out, &remote, &mut modelled.model, self.events as usize);
            horizon = Some(replayed.await?);
        }
        let modelled = modelled.changed(&self.change)?;
        let model = &modelled.model;
        let rate: f64 = hence_planner::plan::flows(model)
            .map_err(|error| unplanned(&error))?
            .iter()
            .map(|flow| 2.0 * flow.lambda)
            .sum();
        let budget = EVENTS_MAX as f64 / f64::from(self.reps) / rate.max(1e-9);
        let options = SimOptions {
            seed: self.seed,
            replications: self.reps,
            horizon: horizon.unwrap_or(budget),
            warm_up: if horizon.is_some() {
                WarmUp::None
            } else {
                WarmUp::Share(0.1)
            },
            max_events: EVENTS_MAX,
            ..SimOptions::default()
        };
        let report = simulate(model, &options);
        let report = report.map_err(|error| Fault::QUESTION.error(error.to_string()))?;
        let said = answer(&modelled, &report);
        match out.form() {
            Form::Json => out.json(&said)?,
            _ => table(out, &read(said.to_string())?)?,
        }
        Ok(())
    }
}

/// What a simulation says, in the form of an answer of the server.
fn answer(modelled: &Modelled, report: &SimReport) -> Value {
    let method = format!("DES n={}", report.replications);
    let banded = |value: f64, lo: f64, hi: f64| {
        // Repetitions of what was recorded do not differ.
        let [lo, hi] = [lo, hi].map(|end| if end.is_finite() { end } else { value });
        json!({"value": value, "lo": lo, "hi": hi, "method": method})
    };
    let number = |e: Estimate| banded(e.value, e.lo, e.hi);
    let times = |t: &Timing| (number(t.mean), number(t.p50), number(t.p99));
    let flows = hence_planner::plan::flows(&modelled.model).unwrap_or_default();
    let stations = modelled.model.stations.iter().zip(&flows);
    let rows = report
        .stations
        .iter()
        .zip(stations)
        .map(|(found, (station, flow))| {
            let (art, p50, p99) = times(&found.response);
            json!({
                "subscription": station.name, "lambda": found.throughput.value, "es": flow.es,
                "cs2": flow.cs2, "c": station.servers, "rho": number(found.utilisation),
                "art": art, "p50": p50, "p99": p99,
            })
        });
    let ways = simulated(report).into_iter().map(|way| {
        let [art, p50, p99] = [way.art, way.p50, way.p99].map(|f| banded(f.value, f.lo, f.hi));
        json!({"type": way.source, "rate": way.rate, "art": art, "p50": p50, "p99": p99})
    });
    json!({
        "outcome": "plan",
        "subscriptions": rows.collect::<Vec<_>>(),
        "types": ways.collect::<Vec<_>>(),
    })
}
