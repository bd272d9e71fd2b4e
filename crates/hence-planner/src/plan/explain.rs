//! The formulas with the numbers in them: how the figures of one station come about.

use std::fmt::Write as _;

use crate::error::Domain;
use crate::ggc::gg_c_whitt93;
use crate::mmc::erlang_c;
use crate::model::{Discipline, Keying, Model, Station};
use crate::plan::{Figure, Flow, Plan, PlanError, flows};

/// How the figures of a station come about, line by line.
///
/// # Errors
/// [`PlanError`] for an inconsistent model, or when there is no such station.
pub fn explain(model: &Model, plan: &Plan, name: &str) -> Result<Vec<String>, PlanError> {
    let unknown = || Domain::undefined(format!("no station called {name:?}"));
    let at = model.station(name).ok_or_else(unknown)?;
    let flows = flows(model)?;
    let station = model.stations.get(at).ok_or_else(unknown)?;
    let flow = flows.get(at).ok_or_else(unknown)?;
    let prediction = plan.predictions.get(at).ok_or_else(unknown)?;
    let mut lines = Vec::new();
    arrivals(&mut lines, flow);
    load(&mut lines, station, flow);
    waiting(&mut lines, station, flow);
    let mut say = |name: &str, figure: &Figure| {
        let Figure {
            value,
            lo,
            hi,
            method,
        } = figure;
        let (value, lo, hi) = (time(*value), time(*lo), time(*hi));
        lines.push(format!(
            "{name} = {value}, between {lo} and {hi}, by {method}"
        ));
    };
    say("Wq", &prediction.wq);
    say("ART = Wq + E[S]", &prediction.art);
    say("p99", &prediction.p99);
    for (class, wait) in prediction.class_wq.iter().enumerate() {
        say(&format!("Wq of class {class}"), wait);
    }
    let why = reasons(station, flow);
    if !why.is_empty() {
        let why = why.join(", ");
        lines.push(format!("no formula knows of {why}: simulated"));
    }
    Ok(lines)
}

fn arrivals(lines: &mut Vec<String>, flow: &Flow) {
    let Flow {
        fresh,
        attempts,
        lambda,
        ca2,
        ..
    } = flow;
    let mut line = format!("λ = {fresh:.2}/s");
    if *attempts > 1.0 {
        let _ = write!(line, " new × {attempts:.3} attempts = {lambda:.2}/s");
    }
    let kind = if flow.poisson { ", Poisson" } else { "" };
    lines.push(format!("{line}; ca² = {ca2:.2}{kind}"));
}

fn load(lines: &mut Vec<String>, station: &Station, flow: &Flow) {
    let (es, c) = (flow.es, station.servers);
    lines.push(format!("E[S] = {}; cs² = {:.2}", time(es), flow.cs2));
    let a = flow.lambda * es;
    lines.push(format!(
        "a = λ·E[S] = {a:.3} erlang on c = {c}: a/c = {:.3}",
        a / f64::from(c)
    ));
    let of = match &station.pace {
        Some(pace) if pace.per_second < f64::from(c) / es => "its rate",
        _ => "c/E[S]",
    };
    lines.push(format!(
        "capacity = {of} = {:.2}/s: ρ = {:.3}, and {:.2} times this load saturates it",
        flow.capacity,
        flow.rho,
        1.0 / flow.rho
    ));
}

fn waiting(lines: &mut Vec<String>, station: &Station, flow: &Flow) {
    let (es, c) = (flow.es, station.servers);
    if flow.rho >= 1.0 {
        return;
    }
    let Ok(wait) = erlang_c(c, flow.lambda * es) else {
        return;
    };
    let plain = wait / (f64::from(c) / es - flow.lambda);
    lines.push(format!(
        "C(c, a) = {wait:.4}: so many of the arrivals wait (Erlang C)"
    ));
    lines.push(format!("Wq of M/M/c = C/(c/E[S] - λ) = {}", time(plain)));
    if let Ok(wq) = gg_c_whitt93(flow.lambda, es, c, flow.ca2, flow.cs2) {
        let half = 0.5 * (flow.ca2 + flow.cs2);
        lines.push(format!(
            "Wq of G/G/c = φ·(ca² + cs²)/2·Wq = {:.3}·{half:.3}·{} = {} (Whitt 1993)",
            if half > 0.0 { wq / plain / half } else { 1.0 },
            time(plain),
            time(wq)
        ));
    }
}

/// What of a station no formula describes.
fn reasons(station: &Station, flow: &Flow) -> Vec<String> {
    let mut why = Vec::new();
    let mut note = |is_so: bool, what: &str| {
        if is_so {
            why.push(what.to_owned());
        }
    };
    note(station.keying != Keying::None, "keys in order");
    note(
        station.discipline != Discipline::Fifo,
        "the tail of this order",
    );
    note(station.pace.is_some(), "a rate");
    note(station.expiry.is_some(), "expiry");
    note(station.capacity.is_some(), "a bounded queue");
    note(station.batch.is_some(), "batches");
    note(station.breaker.is_some(), "a breaker");
    note(station.failure.is_some(), "retries with this service time");
    let variable = flow.ca2 > 1.5 || flow.cs2 > 1.5;
    note(variable, "so much variability");
    why
}

fn time(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "no end".to_owned(),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}
