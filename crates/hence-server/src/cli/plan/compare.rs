//! Two plans side by side: before and after a change, or of two models.

use hence_planner::what_if::{Delta, diff};
use serde_json::json;

use super::answer::{Answer, Number};
use super::local::Modelled;
use super::time;
use crate::cli::error::{Fault, Result};
use crate::cli::output::{Form, Output};
use crate::cli::table::{Side, Table};

/// p99 of all that both answers have.
fn deltas(before: &Answer, after: &Answer) -> Vec<Delta> {
    let all = |answer: &Answer| -> Vec<(String, Number)> {
        let rows = answer.subscriptions.iter();
        let rows = rows.filter_map(|row| Some((row.subscription.clone(), row.times()?.p99)));
        let ways = answer.types.iter();
        let ways =
            ways.filter_map(|way| Some((way.r#type.clone(), way.times.as_ref()?.p99.clone())));
        rows.chain(ways).collect()
    };
    let later = all(after);
    let pairs = all(before).into_iter().filter_map(|(of, a)| {
        let (_, b) = later.iter().find(|(name, _)| *name == of)?;
        Some(Delta {
            clear: a.hi < b.lo || b.hi < a.lo,
            before: a.value,
            after: b.value,
            of,
        })
    });
    pairs.collect()
}

/// What a change does to every p99.
pub(super) fn what_if(out: &mut Output, before: &Answer, after: &Answer) -> Result<()> {
    table(out, &deltas(before, after))
}

/// The difference of two models; a regression beyond the limit is a check that does not pass.
pub(super) fn models(
    out: &mut Output,
    a: &Modelled,
    b: &Modelled,
    limit: Option<f64>,
) -> Result<()> {
    let deltas = diff(&a.plan()?, &b.plan()?);
    if out.form() == Form::Json {
        out.json(&json!({"deltas": deltas}))?;
    } else {
        table(out, &deltas)?;
    }
    let Some(limit) = limit else {
        return Ok(());
    };
    let worse: Vec<&Delta> = deltas.iter().filter(|d| d.regresses(limit)).collect();
    if worse.is_empty() {
        return Ok(());
    }
    let percent = 100.0 * limit;
    let error = Fault::MISSED
        .error(format!("p99 grows by more than {percent:.0} %"))
        .fix("undo the change, add workers, or raise --fail-on-regression");
    Err(worse.into_iter().fold(error, |error, d| {
        let (before, after) = (time(d.before), time(d.after));
        error.cause(format!("{}: from {before} to {after}", d.of))
    }))
}

fn table(out: &mut Output, deltas: &[Delta]) -> Result<()> {
    let mut table = Table::new([
        ("", Side::Left),
        ("p99 before", Side::Right),
        ("after", Side::Right),
        ("change", Side::Right),
        ("", Side::Left),
    ]);
    for delta in deltas {
        let sure = if delta.clear {
            ""
        } else {
            "within what is uncertain"
        };
        table.row([
            delta.of.clone(),
            time(delta.before),
            time(delta.after),
            format!("{:+.0} %", 100.0 * delta.growth()),
            sure.to_owned(),
        ]);
    }
    table.write(out)
}

/// A part such as `10%` or `0.1`.
pub(super) fn part(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is not a part such as 10%");
    let number: f64 = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|n| n / 100.0),
        None => text.parse(),
    }
    .map_err(|_| wrong())?;
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(wrong())
    }
}
