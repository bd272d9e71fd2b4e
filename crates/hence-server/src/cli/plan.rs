//! `hence plan`: what to expect of the running application, and how many workers it needs.

pub(super) mod answer;
mod compare;
mod curve;
pub(super) mod local;

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use self::answer::{Answer, Row, Times};
use self::local::Modelled;
use super::error::{Fault, Result};
use super::event::read;
use super::global::Global;
use super::output::{Form, Output};
use super::query::Query;
use super::remote::{Ask, Remote};
use super::table::{Side, Table, counted};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence plan
  hence plan --load 2x --set subscription.charge-card.config.concurrency=8
  hence plan --target 'order.placed:p99<200ms'
  hence plan workers --target 'charge-card:p99<200ms'
  hence plan bottleneck --json
  hence plan saturation --svg hockey-stick.svg
  hence plan whatif --service charge-card=0.5x --rate order.placed=500/s
  hence plan explain charge-card
  hence plan calibrate
  hence plan --diff main.json branch.json --fail-on-regression 10%";

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum What {
    /// Everything.
    #[default]
    All,
    /// How many workers the target needs.
    Workers,
    /// What saturates first.
    Bottleneck,
    /// What each subscription can do, and how response times grow until then.
    Saturation,
    /// What a change does, beside how it is now.
    Whatif,
    /// The formulas of a subscription with the numbers in them.
    Explain,
    /// How earlier predictions came out.
    Calibrate,
}

/// Predicts response times from what the server measured; exits with 7 when a target is missed, with
/// 9 when the data cannot carry an answer.
#[derive(clap::Args, Debug, Default)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Plan {
    /// What to say.
    #[arg(value_enum, default_value = "all")]
    what: What,

    /// The subscription to explain, or the subscription or type whose curve is drawn.
    #[arg(value_name = "NAME", required_if_eq("what", "explain"))]
    name: Option<String>,

    /// What to reach: NAME of a type or subscription, art, p50, p95 or p99, and a time.
    #[arg(
        long,
        value_name = "NAME:FIGURE<TIME",
        required_if_eq("what", "workers")
    )]
    target: Option<String>,

    /// Plan a model that `hence model export` wrote, without a server.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Draw it: the hockey stick of saturation, the staircase of workers, the calibration.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Compare the plans of two such models.
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with_all = ["from", "target"])]
    diff: Vec<PathBuf>,

    /// With --diff, exit with 7 when a p99 grows by more than this, beyond what is uncertain.
    #[arg(long, value_name = "PART", value_parser = compare::part, requires = "diff")]
    fail_on_regression: Option<f64>,

    #[command(flatten)]
    change: Change,
}

/// What would be different.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Change {
    /// How much more comes in than now: 2x is twice as much.
    #[arg(long, value_name = "FACTOR")]
    load: Option<String>,

    /// Another rate of one type, per second; may be given several times.
    #[arg(long, value_name = "TYPE=RATE")]
    rate: Vec<String>,

    /// Other service times of one subscription: 0.5x is twice as fast; may be given several times.
    #[arg(long, value_name = "SUB=FACTOR")]
    service: Vec<String>,

    /// A key of the configuration and its value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Change {
    /// The members of the question.
    pub(super) fn members(&self) -> Result<Map<String, Value>> {
        let mut members = Map::new();
        if let Some(load) = &self.load {
            members.insert("load".to_owned(), json!(load));
        }
        let mut add =
            |name: &str, texts: &[String], parse: &dyn Fn(&str) -> Result<Value>| -> Result<()> {
                let mut pairs = Map::new();
                for text in texts {
                    let (key, value) = text.split_once('=').unwrap_or((text, ""));
                    pairs.insert(key.trim().to_owned(), parse(value.trim())?);
                }
                if !pairs.is_empty() {
                    members.insert(name.to_owned(), pairs.into());
                }
                Ok(())
            };
        let wrong = |value: &str, what: &str, hint: &str| {
            let sentence = format!("'{value}' is not {what}");
            Fault::QUESTION.error(sentence).fix(hint)
        };
        add("rate", &self.rate, &|value| {
            let hint = "for example --rate order.placed=500/s";
            let number = value.trim_end_matches("/s").parse::<f64>().ok();
            let number = number.filter(|rate| rate.is_finite() && *rate > 0.0);
            let rate = number.ok_or_else(|| wrong(value, "a rate per second", hint))?;
            Ok(json!(rate))
        })?;
        add("service", &self.service, &|value| {
            let hint = "for example --service charge-card=0.5x";
            let number = value.trim_end_matches('x').parse::<f64>().ok();
            let number = number.filter(|factor| factor.is_finite() && *factor > 0.0);
            let factor = number.ok_or_else(|| wrong(value, "a factor", hint))?;
            Ok(json!(factor))
        })?;
        add("set", &self.set, &|value| {
            let hint = "for example --set subscription.charge-card.config.concurrency=8";
            let number: Result<u64, _> = value.parse();
            let number = number.map_err(|_| wrong(value, "a whole number", hint))?;
            Ok(json!(number))
        })?;
        Ok(members)
    }
}

impl Plan {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        if let [before, after] = self.diff.as_slice() {
            let change = &self.change;
            let before = Modelled::open(before)?.changed(change)?;
            let after = Modelled::open(after)?.changed(change)?;
            return compare::models(out, &before, &after, self.fail_on_regression);
        }
        match self.what {
            What::Saturation | What::Explain => {
                let modelled = self.modelled(out, global).await?;
                match (&self.name, self.what) {
                    (Some(name), What::Explain) => curve::explained(out, &modelled, name),
                    (name, _) => {
                        curve::saturation(out, &modelled, name.as_deref(), self.svg.as_deref())
                    }
                }
            }
            What::Whatif => self.what_if(out, global).await,
            What::Calibrate => {
                let answer = self.ask(out, global, Map::new()).await?.1;
                curve::calibration(out, &answer, self.svg.as_deref())
            }
            What::All | What::Workers | What::Bottleneck => self.answer(out, global).await,
        }
    }

    /// The model with the changes in it, from the file or from the server.
    async fn modelled(&self, out: &mut Output, global: &Global) -> Result<Modelled> {
        let modelled = match &self.from {
            Some(path) => Modelled::open(path)?,
            None => Modelled::fetch(out, &Remote::open(global)?).await?,
        };
        modelled.changed(&self.change)
    }

    /// The answer of the server to a question, as it was sent and as it is understood.
    async fn ask(
        &self,
        out: &mut Output,
        global: &Global,
        mut members: Map<String, Value>,
    ) -> Result<(String, Answer)> {
        let is_now = members.is_empty();
        if let Some(target) = &self.target {
            members.insert("target".to_owned(), json!(target));
        }
        let ask = match &self.target {
            _ if !is_now => question(members),
            Some(target) => Ask::get("/v1/plan", Query::default().with("target", target)),
            None => Ask::get("/v1/plan", Query::default()),
        };
        let body = Remote::open(global)?.ask(out, &ask).await?.body;
        Ok((String::from_utf8_lossy(&body).into_owned(), read(&body)?))
    }

    async fn answer(&self, out: &mut Output, global: &Global) -> Result<()> {
        let workers = self.what == What::Workers;
        let (text, answer) = if self.from.is_some() {
            let modelled = self.modelled(out, global).await?;
            let answer = modelled.answer(self.target.as_deref(), workers)?;
            (serde_json::to_string(&answer).unwrap_or_default(), answer)
        } else {
            let mut members = self.change.members()?;
            if workers {
                members.insert("workers".to_owned(), json!(true));
            }
            self.ask(out, global, members).await?
        };
        match (out.form(), self.what) {
            (Form::Json, _) => out.line(text.trim_end())?,
            (_, What::Workers) => self::workers(out, &answer)?,
            (_, What::Bottleneck) => bottleneck(out, &answer)?,
            _ => table(out, &answer)?,
        }
        if let (Some(path), Some(found), Some(target)) = (&self.svg, &answer.workers, &self.target)
        {
            let modelled = self.modelled(out, global).await?;
            curve::staircase(out, &modelled, &found.subscription, target, path)?;
        }
        verdict(out, &answer, self.what)
    }

    /// What a change does, beside how it is now.
    async fn what_if(&self, out: &mut Output, global: &Global) -> Result<()> {
        let members = self.change.members()?;
        if members.is_empty() {
            return Err(Fault::QUESTION
                .error("nothing would be different")
                .fix("say what: --load 2x, --rate, --service or --set"));
        }
        let (text, before, after) = if let Some(path) = &self.from {
            let target = self.target.as_deref();
            let before = Modelled::open(path)?.answer(None, false)?;
            let after = self.modelled(out, global).await?.answer(target, false)?;
            (
                serde_json::to_string(&after).unwrap_or_default(),
                before,
                after,
            )
        } else {
            let now = Self {
                target: None,
                ..Self::default()
            };
            let before = now.ask(out, global, Map::new()).await?.1;
            let (text, after) = self.ask(out, global, members).await?;
            (text, before, after)
        };
        match out.form() {
            Form::Json => out.line(text.trim_end())?,
            _ => compare::what_if(out, &before, &after)?,
        }
        verdict(out, &after, What::All)
    }
}

/// The request that asks what would be.
pub(super) fn question(members: Map<String, Value>) -> Ask {
    let mut ask = Ask::post("/v1/plan/whatif", Query::default());
    ask.headers
        .push(("content-type".to_owned(), "application/json".to_owned()));
    ask.body = Value::Object(members).to_string().into();
    ask
}

/// A row for each subscription, then the ways of types.
pub(super) fn table(out: &mut Output, answer: &Answer) -> Result<()> {
    use Side::{Left, Right};
    let mut table = Table::new([
        ("", Left),
        ("λ/s", Right),
        ("E[S]", Right),
        ("cs²", Right),
        ("c", Right),
        ("ρ", Right),
        ("art", Right),
        ("p50", Right),
        ("p99", Right),
        ("p99 from … to", Left),
        ("measured art", Right),
        ("p99", Right),
        ("method", Left),
    ]);
    for row in &answer.subscriptions {
        table.row(cells(row));
    }
    for way in &answer.types {
        let times = way.times.as_ref();
        let name = format!("{} ↦", way.r#type);
        let rate = way
            .rate
            .map(|rate| format!("{rate:.1}"))
            .unwrap_or_default();
        let empty = || String::new();
        let head = [name, rate, empty(), empty(), empty(), empty()];
        let tail = match (times, &way.unknown) {
            (Some(times), _) => figures(times),
            (None, why) => unknown(why.as_deref()),
        };
        let [art, p50, p99, band, method] = tail;
        let last = [art, p50, p99, band, empty(), empty(), method];
        table.row(head.into_iter().chain(last));
    }
    table.write(out)?;
    if out.form() == Form::Plain {
        return Ok(());
    }
    bottleneck(out, answer)?;
    for row in &answer.subscriptions {
        let name = &row.subscription;
        if let Some(drain) = row.drain.as_ref().filter(|_| row.backlog > 0) {
            let (backlog, time) = (row.backlog, time(drain.mean));
            out.line(&format!("{name}: {backlog} waiting, handled within {time}"))?;
        }
        if let Some(span) = &row.saturation {
            out.line(&format!(
                "{name}: saturates in {}, if this goes on",
                time(span.mean)
            ))?;
        }
        if let Some(fate) = row.fate.as_ref().filter(|fate| fate.says_much()) {
            out.line(&format!("{name}: {}", fate.say(&row.measured)))?;
        }
        for warning in &row.warnings {
            out.warn(&format!("{name}: {warning}"));
        }
    }
    answer.warnings.iter().for_each(|warning| out.warn(warning));
    Ok(())
}

fn cells(row: &Row) -> Vec<String> {
    let optional = |value: Option<f64>, digits: usize| {
        value
            .map(|value| format!("{value:.digits$}"))
            .unwrap_or_default()
    };
    let head = [
        row.subscription.clone(),
        optional(row.lambda, 1),
        row.es.map(time).unwrap_or_default(),
        optional(row.cs2, 2),
        row.c.map(|c| c.to_string()).unwrap_or_default(),
        row.rho
            .as_ref()
            .map(|rho| format!("{:.2}", rho.value))
            .unwrap_or_default(),
    ];
    let [art, p50, p99, band, method] = match row.times() {
        Some(times) => figures(&times),
        None => unknown(row.unknown.as_deref()),
    };
    let seen = &row.measured;
    let seen = [seen.art, seen.p99].map(|value| value.map(time).unwrap_or_default());
    let [seen_art, seen_p99] = seen;
    let tail = [art, p50, p99, band, seen_art, seen_p99, method];
    head.into_iter().chain(tail).collect()
}

fn figures(times: &Times) -> [String; 5] {
    let Times { art, p50, p99 } = times;
    [
        time(art.value),
        time(p50.value),
        time(p99.value),
        format!("{} … {}", time(p99.lo), time(p99.hi)),
        p99.method.clone(),
    ]
}

fn unknown(why: Option<&str>) -> [String; 5] {
    let none = || String::new();
    let why = why
        .map(|why| format!("cannot say: {why}"))
        .unwrap_or_default();
    [none(), none(), none(), none(), why]
}

/// Seconds for people: `12.3ms`.
fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 100.0 => format!("{s:.0}s"),
        s if s >= 1.0 => format!("{s:.2}s"),
        s if s >= 0.001 => format!("{:.1}ms", s * 1e3),
        s => format!("{:.0}us", s * 1e6),
    }
}

fn bottleneck(out: &mut Output, answer: &Answer) -> Result<()> {
    let Some(first) = &answer.bottleneck else {
        return Ok(());
    };
    let (name, rho, more) = (&first.subscription, first.rho, first.headroom);
    if out.form() == Form::Plain {
        return out.row([name.as_str(), &format!("{rho:.4}"), &format!("{more:.4}")]);
    }
    let text =
        format!("bottleneck: {name} at ρ {rho:.2}; it saturates at {more:.2} times this load");
    out.line(&text)
}

fn workers(out: &mut Output, answer: &Answer) -> Result<()> {
    let Some(found) = &answer.workers else {
        return Ok(());
    };
    let name = &found.subscription;
    if out.form() != Form::Plain {
        let number = counted(found.workers, "worker");
        out.line(&format!("{name} needs {number}"))?;
    }
    let mut table = Table::new([
        ("workers", Side::Right),
        ("figure", Side::Right),
        ("from … to", Side::Left),
        ("method", Side::Left),
    ]);
    for step in &found.stairs {
        let number = step.workers.to_string();
        table.row(match &step.figure {
            Some(f) => {
                let band = format!("{} … {}", time(f.lo), time(f.hi));
                [number, time(f.value), band, f.method.clone()]
            }
            None => [number, "saturates".to_owned(), String::new(), String::new()],
        });
    }
    table.write(out)
}

/// The end of the command, as its exit code says it.
pub(super) fn verdict(out: &mut Output, answer: &Answer, what: What) -> Result<()> {
    let reason = answer.reason.clone().unwrap_or_default();
    let target = answer
        .target
        .as_ref()
        .map_or("the plan", |target| target.target.as_str());
    match answer.outcome.as_str() {
        "plan" => Ok(()),
        "met" if what == What::All => {
            out.note(&format!("met: {target}"));
            Ok(())
        }
        "met" => Ok(()),
        "missed" | "saturated" => {
            Err(Fault::MISSED.error(format!("{target} is not met: {reason}")))
        }
        _ => Err(Fault::UNSAID.error(format!("{target}: {reason}"))),
    }
}

#[cfg(test)]
mod tests;
