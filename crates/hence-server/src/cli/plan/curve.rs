//! `hence plan saturation`, `explain` and `calibrate`, and the plots.

use std::path::Path;

use hence_planner::curve::{Curve, calibration_chart, curve, stairs_chart};
use hence_planner::plan::{bottleneck, explain, flows};
use hence_planner::plot::Chart;
use hence_planner::sizing::workers_for;
use serde_json::json;

use super::answer::Answer;
use super::local::{Modelled, unplanned};
use super::time;
use crate::cli::error::{Fault, Result};
use crate::cli::output::{Form, Output};
use crate::cli::table::{Side, Table};

/// Writes a plot to a file.
pub(super) fn write(out: &mut Output, chart: &Chart, path: &Path) -> Result<()> {
    std::fs::write(path, chart.to_svg()).map_err(|error| {
        let sentence = format!("'{}' cannot be written", path.display());
        Fault::OUTPUT.error(sentence).cause(error)
    })?;
    out.note(&format!("plotted to {}", path.display()));
    Ok(())
}

/// What each subscription can do, and how response times grow until then.
pub(super) fn saturation(
    out: &mut Output,
    modelled: &Modelled,
    of: Option<&str>,
    svg: Option<&Path>,
) -> Result<()> {
    let model = &modelled.model;
    let all = flows(model).map_err(|error| unplanned(&error))?;
    let first = bottleneck(model, &all);
    let of = of.unwrap_or(&first.station);
    let grown = curve(model, of, &modelled.options()).map_err(|error| unplanned(&error))?;
    if out.form() == Form::Json {
        let stations = model.stations.iter().zip(&all).map(|(station, flow)| {
            json!({
                "subscription": station.name, "lambda": flow.lambda, "capacity": flow.capacity,
                "rho": flow.rho, "headroom": 1.0 / flow.rho,
            })
        });
        let stations: Vec<_> = stations.collect();
        out.json(&json!({"subscriptions": stations, "curve": grown, "knee": grown.knee()}))?;
    } else {
        let mut table = Table::new([
            ("", Side::Left),
            ("λ/s", Side::Right),
            ("capacity/s", Side::Right),
            ("ρ", Side::Right),
            ("saturates at", Side::Right),
        ]);
        for (station, flow) in model.stations.iter().zip(&all) {
            table.row([
                station.name.clone(),
                format!("{:.1}", flow.lambda),
                format!("{:.1}", flow.capacity),
                format!("{:.2}", flow.rho),
                format!("{:.2}x", 1.0 / flow.rho),
            ]);
        }
        table.write(out)?;
        points(out, &grown)?;
    }
    match svg {
        Some(path) => write(out, &grown.chart(), path),
        None => Ok(()),
    }
}

fn points(out: &mut Output, curve: &Curve) -> Result<()> {
    if out.form() == Form::Plain {
        return Ok(());
    }
    out.line("")?;
    let mut table = Table::new([
        ("load", Side::Right),
        ("art", Side::Right),
        ("p50", Side::Right),
        ("p99", Side::Right),
    ]);
    for point in &curve.points {
        table.row([
            format!("{:.2}x", point.load),
            time(point.art),
            time(point.p50),
            time(point.p99),
        ]);
    }
    out.line(&format!("{} over the load:", curve.of))?;
    table.write(out)?;
    let (first, at) = (&curve.first, curve.saturation);
    out.line(&format!("{first} saturates at {at:.2} times this load"))?;
    if let Some(knee) = curve.knee() {
        out.line(&format!(
            "p99 has doubled from {knee:.2} times this load on"
        ))?;
    }
    Ok(())
}

/// The formulas with the numbers in them.
pub(super) fn explained(out: &mut Output, modelled: &Modelled, of: &str) -> Result<()> {
    if modelled.model.station(of).is_none() {
        let known = modelled.unknown.get(of);
        return Err(match known {
            Some(why) => Fault::UNSAID.error(format!("{of}: {why}")),
            None => Fault::NOT_FOUND
                .error(format!("there is no subscription '{of}' in the model"))
                .fix("`hence plan` lists them"),
        });
    }
    let plan = modelled.plan()?;
    let lines = explain(&modelled.model, &plan, of).map_err(|error| unplanned(&error))?;
    if out.form() == Form::Json {
        return out.json(&json!({"subscription": of, "lines": lines}));
    }
    lines.iter().try_for_each(|line| out.line(line))
}

/// The back-test: what was predicted for each minute, beside what it brought.
pub(super) fn calibration(out: &mut Output, answer: &Answer, svg: Option<&Path>) -> Result<()> {
    if answer.backtest.is_empty() {
        let sentence = "no prediction has been judged yet";
        let fix =
            "the server predicts once a minute and wants 50 attempts in each; ask again later";
        return Err(Fault::UNSAID.error(sentence).fix(fix));
    }
    let mut table = Table::new([
        ("", Side::Left),
        ("inside", Side::Right),
        ("of", Side::Right),
        ("error", Side::Right),
        ("predicted", Side::Right),
        ("from … to", Side::Left),
        ("measured", Side::Right),
    ]);
    let mut pairs = Vec::new();
    for tested in &answer.backtest {
        let Some(last) = &tested.last else { continue };
        pairs.push((last.predicted, last.measured));
        let error = tested.median.unwrap_or_default();
        table.row([
            tested.subscription.clone(),
            tested.inside.to_string(),
            tested.of.to_string(),
            format!("{:.0} %", 100.0 * error),
            time(last.predicted),
            format!("{} … {}", time(last.lo), time(last.hi)),
            time(last.measured),
        ]);
    }
    if out.form() == Form::Json {
        out.json(&json!({"backtest": answer.backtest}))?;
    } else {
        table.write(out)?;
    }
    match svg {
        Some(path) => write(out, &calibration_chart(&[("mean", pairs)]), path),
        None => Ok(()),
    }
}

/// The staircase of workers around the answer.
pub(super) fn staircase(
    out: &mut Output,
    modelled: &Modelled,
    of: &str,
    target: &str,
    path: &Path,
) -> Result<()> {
    let (_, target) = modelled.target(target)?;
    let options = modelled.options();
    let sized = workers_for(&modelled.model, of, &target, &options);
    let sizing = sized.map_err(|error| unplanned(&error))?;
    write(out, &stairs_chart(&sizing, &target), path)
}
