//! A model as a program for another tool, so that its answers can be checked by someone else's.
//!
//! What the tool cannot express is not left out in silence: the export is refused with all of it.

use std::fmt::Write as _;

use crate::arrivals::Arrivals;
use crate::model::{Discipline, Keying, Model, Station};
use crate::service::Dist;

/// Quantiles with which a measured law is written.
const QUANTILES: usize = 1_000;

/// The model as a Python program for Ciw 3, which prints the mean wait and response of each station.
///
/// # Errors
/// Everything that Ciw cannot express, as sentences.
pub fn to_ciw(model: &Model) -> Result<String, Vec<String>> {
    check(model)?;
    let mut missing = Vec::new();
    let mut list = |items: Vec<Result<String, String>>| {
        let mut out = Vec::new();
        for item in items {
            match item {
                Ok(text) => out.push(text),
                Err(why) => missing.push(why),
            }
        }
        format!("[{}]", out.join(", "))
    };
    let stations = &model.stations;
    let arrivals = list(stations.iter().map(|s| ciw_arrivals(model, s)).collect());
    let services = list(stations.iter().map(|s| ciw_law(&s.service)).collect());
    if !missing.is_empty() {
        return Err(missing);
    }
    let servers: Vec<String> = stations.iter().map(|s| s.servers.to_string()).collect();
    let names: Vec<String> = stations.iter().map(|s| format!("{:?}", s.name)).collect();
    let mut out =
        String::from("import statistics\n\nimport ciw\n\nnetwork = ciw.create_network(\n");
    let _ = writeln!(out, "    arrival_distributions={arrivals},");
    let _ = writeln!(out, "    service_distributions={services},");
    let _ = writeln!(out, "    number_of_servers=[{}],", servers.join(", "));
    let _ = writeln!(out, "    routing={},\n)", routing(model));
    let _ = writeln!(out, "names = [{}]", names.join(", "));
    let rate: f64 = model.sources.iter().map(|s| s.arrivals.rate()).sum();
    let _ = writeln!(out, "horizon = {:?}", 100_000.0 / rate.max(1e-9));
    out.push_str(
        "ciw.seed(1)\nsimulation = ciw.Simulation(network)\n\
         simulation.simulate_until_max_time(horizon)\n\
         records = [r for r in simulation.get_all_records() if r.arrival_date > 0.1 * horizon]\n\
         for node, name in enumerate(names, 1):\n\
         \x20   here = [r for r in records if r.node == node]\n\
         \x20   waits = statistics.fmean(r.waiting_time for r in here)\n\
         \x20   served = statistics.fmean(r.service_time for r in here)\n\
         \x20   print(name, waits, waits + served)\n",
    );
    Ok(out)
}

/// The model as a Python program for LINE (`line-solver`), which prints its table of averages.
///
/// Laws that it has no name for are written with their first two moments.
///
/// # Errors
/// Everything that LINE cannot express, as sentences.
pub fn to_line(model: &Model) -> Result<String, Vec<String>> {
    check(model)?;
    let rates: Vec<Result<String, String>> = model
        .sources
        .iter()
        .map(|s| line_arrivals(&s.arrivals))
        .collect();
    let missing: Vec<String> = rates.iter().filter_map(|r| r.clone().err()).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let mut out = String::from("from line_solver import *\n\nmodel = Network('hence')\n");
    out.push_str("source = Source(model, 'source')\nsink = Sink(model, 'sink')\n");
    for (i, station) in model.stations.iter().enumerate() {
        let name = &station.name;
        let _ = writeln!(out, "q{i} = Queue(model, {name:?}, SchedStrategy.FCFS)");
        let _ = writeln!(out, "q{i}.setNumberOfServers({})", station.servers);
    }
    for (k, (source, rate)) in model.sources.iter().zip(rates).enumerate() {
        let rate = rate.unwrap_or_default();
        let _ = writeln!(out, "k{k} = OpenClass(model, {:?})", source.name);
        let _ = writeln!(out, "source.setArrival(k{k}, {rate})");
        for (i, station) in model.stations.iter().enumerate() {
            let _ = writeln!(out, "q{i}.setService(k{k}, {})", line_law(&station.service));
        }
    }
    out.push_str("P = model.initRoutingMatrix()\n");
    for (k, source) in model.sources.iter().enumerate() {
        let mut link = |from: &str, to: &str, p: f64| {
            if p > 1e-12 {
                let _ = writeln!(out, "P.set(k{k}, k{k}, {from}, {to}, {p:?})");
            }
        };
        let branches = |emits: &[crate::model::Emission]| -> Vec<(usize, f64)> {
            let all = emits.iter().flatten();
            all.filter_map(|b| Some((model.station(&b.to)?, b.p)))
                .collect()
        };
        for (to, p) in branches(&source.emits) {
            link("source", &format!("q{to}"), p);
        }
        for (i, station) in model.stations.iter().enumerate() {
            let next = branches(&station.emits);
            let left = 1.0 - next.iter().map(|(_, p)| p).sum::<f64>();
            for (to, p) in next {
                link(&format!("q{i}"), &format!("q{to}"), p);
            }
            link(&format!("q{i}"), "sink", left);
        }
    }
    out.push_str("model.link(P)\nprint(SolverMVA(model).avg_table())\n");
    Ok(out)
}

/// What neither tool expresses as we mean it.
fn check(model: &Model) -> Result<(), Vec<String>> {
    let mut missing = Vec::new();
    for Station {
        name,
        emits,
        discipline,
        keying,
        failure,
        batch,
        capacity,
        expiry,
        pace,
        breaker,
        timeout,
        after,
        ..
    } in &model.stations
    {
        for (is_so, what) in [
            (
                *discipline != Discipline::Fifo,
                "another order than first come",
            ),
            (*keying != Keying::None, "keys in order"),
            (failure.is_some(), "retries"),
            (batch.is_some(), "batches"),
            (capacity.is_some(), "a bounded queue"),
            (expiry.is_some(), "expiry"),
            (pace.is_some(), "a rate"),
            (breaker.is_some(), "a breaker"),
            (timeout.is_some(), "a time-out"),
            (emits.len() > 1, "several copies"),
            (!after.is_empty(), "others that go before it"),
        ] {
            if is_so {
                missing.push(format!("{name} has {what}"));
            }
        }
    }
    for source in &model.sources {
        if source.emits.len() != 1 {
            missing.push(format!("{} goes to several stations at once", source.name));
        }
        if source.patience.is_some() {
            missing.push(format!("clients of {} give up", source.name));
        }
    }
    if let Err(wrong) = model.check() {
        missing.push(wrong.to_string());
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing)
    }
}

fn routing(model: &Model) -> String {
    let n = model.stations.len();
    let row = |station: &Station| {
        let mut to = vec![0.0; n];
        for branch in station.emits.iter().flatten() {
            if let Some(p) = model.station(&branch.to).and_then(|j| to.get_mut(j)) {
                *p += branch.p;
            }
        }
        format!("{to:?}")
    };
    let rows: Vec<String> = model.stations.iter().map(row).collect();
    format!("[{}]", rows.join(", "))
}

/// What comes from outside to one station: of one source only, since Ciw takes one law for each.
fn ciw_arrivals(model: &Model, station: &Station) -> Result<String, String> {
    let mut laws = Vec::new();
    for source in &model.sources {
        let branches = source.emits.iter().flatten();
        let p: f64 = branches.filter(|b| b.to == station.name).map(|b| b.p).sum();
        if p > 0.0 {
            laws.push((&source.arrivals, p));
        }
    }
    let poisson: Option<f64> = laws
        .iter()
        .map(|(arrivals, p)| arrivals.is_poisson().then(|| arrivals.rate() * p))
        .sum();
    match (laws.as_slice(), poisson) {
        ([], _) => Ok("None".to_owned()),
        (_, Some(rate)) => Ok(format!("ciw.dists.Exponential(rate={rate:?})")),
        ([(Arrivals::Renewal(law), p)], _) if *p >= 1.0 => ciw_law(law),
        ([(arrivals @ Arrivals::Mmpp2 { .. }, p)], _) if *p >= 1.0 => Ok(ciw_mmpp(arrivals)),
        _ => Err(format!(
            "the arrivals at {} have no law in Ciw",
            station.name
        )),
    }
}

fn ciw_mmpp(arrivals: &Arrivals) -> String {
    let Arrivals::Mmpp2 {
        rate1,
        rate2,
        leave1,
        leave2,
    } = arrivals
    else {
        return String::new();
    };
    let (out1, out2) = (-rate1 - leave1, -rate2 - leave2);
    format!(
        "ciw.dists.MarkovianArrivalProcess(D0=[[{out1:?}, {leave1:?}], [{leave2:?}, {out2:?}]], \
         D1=[[{rate1:?}, 0.0], [0.0, {rate2:?}]])"
    )
}

fn ciw_law(law: &Dist) -> Result<String, String> {
    Ok(match law {
        Dist::Det { mean } => format!("ciw.dists.Deterministic(value={mean:?})"),
        Dist::Exp { mean } => format!("ciw.dists.Exponential(rate={:?})", 1.0 / mean),
        Dist::Erlang { k, mean } => format!(
            "ciw.dists.Erlang(rate={:?}, num_phases={k})",
            f64::from(*k) / mean
        ),
        Dist::Hyper2 { p, mean1, mean2 } => format!(
            "ciw.dists.HyperExponential(rates=[{:?}, {:?}], probs=[{p:?}, {:?}])",
            1.0 / mean1,
            1.0 / mean2,
            1.0 - p
        ),
        Dist::LogNormal { mean, scv } => {
            let variance = scv.ln_1p();
            let (mu, sd) = (mean.ln() - 0.5 * variance, variance.sqrt());
            format!("ciw.dists.Lognormal(mean={mu:?}, sd={sd:?})")
        }
        Dist::Empirical(hist) => {
            let at = |i: usize| hist.quantile((i as f64 + 0.5) / QUANTILES as f64);
            let values: Vec<String> = (0..QUANTILES).map(|i| format!("{:.6e}", at(i))).collect();
            format!("ciw.dists.Empirical(observations=[{}])", values.join(", "))
        }
        Dist::Lomax { .. } | Dist::Ph(_) => {
            return Err("a heavy tail or a phase-type law has no name in Ciw".to_owned());
        }
    })
}

fn line_arrivals(arrivals: &Arrivals) -> Result<String, String> {
    Ok(match arrivals {
        Arrivals::Poisson { rate } => format!("Exp({rate:?})"),
        Arrivals::Renewal(law) => line_law(law),
        Arrivals::Mmpp2 {
            rate1,
            rate2,
            leave1,
            leave2,
        } => format!("MMPP2({rate1:?}, {rate2:?}, {leave1:?}, {leave2:?})"),
        _ => return Err("timers, batches and recorded arrivals have no law in LINE".to_owned()),
    })
}

fn line_law(law: &Dist) -> String {
    let (mean, scv) = (law.mean(), law.scv());
    match law {
        Dist::Exp { mean } => format!("Exp({:?})", 1.0 / mean),
        Dist::Det { mean } => format!("Det({mean:?})"),
        Dist::Erlang { k, mean } => format!("Erlang.fitMeanAndOrder({mean:?}, {k})"),
        _ if scv > 1.0 => format!("HyperExp.fitMeanAndSCV({mean:?}, {scv:?})"),
        _ => format!("APH.fitMeanAndSCV({mean:?}, {scv:?})"),
    }
}
