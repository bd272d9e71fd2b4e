//! `plan`: what the planner predicts beside what happens. Jobs come in, handlers sleep for the drawn
//! time, and the prediction is made from what the runtime measured, by the code of the server.

mod applied;
mod cell;
mod speed;
mod traffic;

#[path = "../../crates/hence-server/src/planning.rs"]
#[expect(
    dead_code,
    reason = "the server shows more of it than is compared here"
)]
mod planning;

use std::io::Write as _;
use std::time::Duration;

use hence_planner::plan::Figure;
use hence_planner::simulate::{Estimate, estimate};

use self::cell::{Cell, Compared, Seen, Shape};
use self::traffic::{Law, Traffic};
use crate::report::{self, Row};

/// By how much a predicted mean may be off.
const MEAN_OFF: f64 = 0.10;
/// By how much a predicted p99 may be off.
const P99_OFF: f64 = 0.20;
/// Beyond this load there is no goal for the figures.
const LOAD_MAX: f64 = 0.81;
/// The part of the applications in which the band should hold the measurement.
const COVERAGE: f64 = 0.9;

/// The cells, with how many applications run side by side for each: the fuller a queue, the less
/// one run of it says.
fn cells(short: bool) -> Vec<(Cell, u64)> {
    let plain = |traffic, law, load| Cell {
        traffic,
        law,
        load,
        shape: Shape::Plain,
    };
    let mut cells = Vec::new();
    let loads = [0.3, 0.6, 0.8, 0.9];
    for traffic in [Traffic::Poisson, Traffic::Bursty, Traffic::Batch] {
        for law in Law::ALL {
            let all = !short
                || matches!(
                    (traffic, law),
                    (Traffic::Poisson, _) | (_, Law::Exponential)
                );
            if all {
                cells.extend(loads.map(|load| plain(traffic, law, load)));
            }
        }
    }
    for shape in [Shape::Retries, Shape::Keys, Shape::FanOut] {
        cells.extend(loads.map(|load| Cell {
            shape,
            ..plain(Traffic::Poisson, Law::Exponential, load)
        }));
    }
    let replicas = |load: f64| match (short, load) {
        (false, _) => 2,
        (true, load) if load < 0.5 => 1,
        (true, load) if load < 0.7 => 2,
        (true, _) => 4,
    };
    let with = |cell: Cell| (cell, replicas(cell.load));
    cells.into_iter().map(with).collect()
}

/// Runs the benchmark: all applications side by side, since they sleep and do not reckon.
pub(crate) fn run(short: bool) -> anyhow::Result<()> {
    let length = Duration::from_secs(if short { 30 } else { 300 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut out = std::io::stdout().lock();
    let mut rows = vec![runtime.block_on(speed::measuring(short))?];
    let excess = runtime.block_on(runtime.spawn(traffic::calibrate()))?;
    let (topology, measured) = runtime.block_on(async {
        let (measured, topology) = cell::at((3.2, 8), Duration::from_secs(2), 7).await?;
        anyhow::Ok((topology, measured))
    })?;
    rows.extend(speed::answers(&topology, &measured));
    writeln!(
        out,
        "a sleep is {:.2} ms longer than asked; every sleep is asked to be shorter by that",
        excess * 1e3
    )?;
    let (compared, applied) = runtime.block_on(async {
        let applied = tokio::spawn(applied::run(length));
        let mut runs = Vec::new();
        for (number, (cell, replicas)) in cells(short).into_iter().enumerate() {
            let seed = |replica: u64| number as u64 * 100 + replica;
            let all = (0..replicas).map(|replica| tokio::spawn(cell.run(length, seed(replica))));
            runs.push((cell, all.collect::<Vec<_>>()));
        }
        let mut compared = Vec::new();
        for (cell, all) in runs {
            let mut done = Vec::new();
            for run in all {
                match run.await? {
                    Ok(one) => done.push(one),
                    Err(error) => writeln!(out, "{}: {error}", cell.name())?,
                }
            }
            compared.push((cell, done));
        }
        anyhow::Ok((compared, applied.await??))
    })?;
    for (cell, done) in &compared {
        rows.extend(compare(cell, done));
    }
    rows.extend(applied);
    rows.push(coverage(&compared));
    drop(out);
    report::finish("plan", &rows)
}

/// The mean and the p99 of a cell.
fn compare(cell: &Cell, done: &[Compared]) -> Vec<Row> {
    let mut all = Seen::default();
    done.iter().for_each(|one| all.add(&one.seen));
    let rho = done.iter().map(|one| one.rho).sum::<f64>() / done.len() as f64;
    let name = format!("{} (ρ {rho:.2})", cell.name());
    if done.is_empty() {
        let mut row = Row::plain(&name, f64::NAN, "ms");
        row.met = Some(false);
        return vec![row];
    }
    let art: Vec<(Figure, f64)> = done.iter().map(|one| (one.art, one.seen.mean())).collect();
    let p99: Vec<(Figure, f64)> = done.iter().map(|one| (one.p99, one.seen.p99())).collect();
    vec![
        row(cell, &format!("{name}: mean"), MEAN_OFF, all.mean(), &art),
        row(cell, &format!("{name}: p99"), P99_OFF, all.p99(), &p99),
    ]
}

/// A measured figure beside its prediction: the mean of what was predicted from each application.
fn row(cell: &Cell, name: &str, off: f64, measured: f64, each: &[(Figure, f64)]) -> Row {
    let mean = |of: fn(&Figure) -> f64| {
        each.iter().map(|(figure, _)| of(figure)).sum::<f64>() / each.len() as f64
    };
    let (value, lo, hi) = (mean(|f| f.value), mean(|f| f.lo), mean(|f| f.hi));
    let ratio = value / measured;
    let within = (ratio - 1.0).abs() <= off;
    let method = each.first().map(|(f, _)| f.method.to_string());
    let ms = |seconds: f64| seconds * 1e3;
    let mut beside = format!(
        "predicted {:.1} ({:.1} … {:.1}), {}",
        ms(value),
        ms(lo),
        ms(hi),
        method.unwrap_or_default()
    );
    if !within {
        let spread = estimate(each.iter().map(|(_, seen)| *seen));
        beside.push_str(&explain((lo, hi), spread, measured, off * value));
    }
    let mut row = Row::plain(name, ms(measured), "ms");
    row.beside = Some(beside);
    row.ratio = Some(ratio);
    if cell.load <= LOAD_MAX {
        row.goal = Some(1.0 + off);
        row.met = Some(within);
    }
    row
}

/// Why a prediction may be off by more than the goal.
fn explain((lo, hi): (f64, f64), spread: Estimate, measured: f64, slack: f64) -> String {
    let half = 0.5 * (spread.hi - spread.lo) / measured;
    let inside = (lo..=hi).contains(&measured);
    let band = if inside {
        "within the band"
    } else {
        "outside the band"
    };
    if !half.is_finite() {
        return format!("; {band}; one run, so nobody knows how far the measurement varies");
    }
    let known = half * measured <= slack;
    let cause = if known {
        "the model is wrong"
    } else {
        "the measurement varies by more than the goal"
    };
    format!(
        "; {band}; measured ± {:.0} % over the runs: {cause}",
        100.0 * half
    )
}

/// In how many applications the bands held what was measured.
fn coverage(compared: &[(Cell, Vec<Compared>)]) -> Row {
    let inside = |figure: &Figure, seen: f64| (figure.lo..=figure.hi).contains(&seen);
    let all = compared.iter().flat_map(|(_, done)| done);
    let held: Vec<bool> = all
        .flat_map(|one| {
            [
                inside(&one.art, one.seen.mean()),
                inside(&one.p99, one.seen.p99()),
            ]
        })
        .collect();
    let share = held.iter().filter(|held| **held).count() as f64 / held.len().max(1) as f64;
    let mut row = Row::plain("bands that held the measurement", 100.0 * share, "%");
    row.beside = Some(format!("of {} figures", held.len()));
    row.goal = Some(100.0 * COVERAGE);
    row.met = Some(share >= COVERAGE);
    row
}
