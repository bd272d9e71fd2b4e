//! `hence plan`: what to expect of the running application, and how many workers it needs.

pub(super) mod answer;

use serde_json::{Map, Value, json};

use self::answer::{Answer, Row, Times};
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
  hence plan bottleneck --json";

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
}

/// Predicts response times from what the server measured; exits with 7 when a target is missed, with
/// 9 when the data cannot carry an answer.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Plan {
    /// What to say.
    #[arg(value_enum, default_value = "all")]
    what: What,

    /// What to reach: NAME of a type or subscription, art, p50, p95 or p99, and a time.
    #[arg(
        long,
        value_name = "NAME:FIGURE<TIME",
        required_if_eq("what", "workers")
    )]
    target: Option<String>,

    #[command(flatten)]
    change: Change,
}

/// What would be different.
#[derive(clap::Args, Debug)]
pub(crate) struct Change {
    /// How much more comes in than now: 2x is twice as much.
    #[arg(long, value_name = "FACTOR")]
    load: Option<String>,

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
        let mut settings = Map::new();
        for text in &self.set {
            let wrong = || {
                let hint = "for example --set subscription.charge-card.config.concurrency=8";
                Fault::QUESTION
                    .error(format!("'{text}' is not a key and a whole number"))
                    .fix(hint)
            };
            let (key, value) = text.split_once('=').ok_or_else(wrong)?;
            let number: u64 = value.trim().parse().map_err(|_| wrong())?;
            settings.insert(key.trim().to_owned(), json!(number));
        }
        if !settings.is_empty() {
            members.insert("set".to_owned(), settings.into());
        }
        Ok(members)
    }
}

impl Plan {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let mut members = self.change.members()?;
        let whatif = !members.is_empty() || self.what == What::Workers;
        if let Some(target) = &self.target {
            members.insert("target".to_owned(), json!(target));
        }
        if self.what == What::Workers {
            members.insert("workers".to_owned(), json!(true));
        }
        let remote = Remote::open(global)?;
        let ask = if whatif {
            question(members)
        } else {
            let query = match &self.target {
                Some(target) => Query::default().with("target", target),
                None => Query::default(),
            };
            Ask::get("/v1/plan", query)
        };
        let body = remote.ask(out, &ask).await?.body;
        let text = String::from_utf8_lossy(&body);
        let answer: Answer = read(&body)?;
        match (out.form(), self.what) {
            (Form::Json, _) => out.line(text.trim_end())?,
            (_, What::All) => table(out, &answer)?,
            (_, What::Workers) => workers(out, &answer)?,
            (_, What::Bottleneck) => bottleneck(out, &answer)?,
        }
        verdict(out, &answer, self.what)
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
