//! `plan`: what the planner predicts beside what happens. Jobs come in, handlers sleep for the drawn
//! time, and the prediction is made from what the runtime measured, by the code of the server.
//!
//! Two clocks. In time that jumps to the next timer whenever nothing is left to do, the whole runtime
//! runs as it is and no other process disturbs it: what is off there is the model, or chance. By the
//! clock of the wall, the machine has its say.

mod applied;
mod cell;
mod clock;
mod speed;
mod traffic;
mod truth;

#[path = "../../crates/hence-server/src/planning.rs"]
#[expect(
    dead_code,
    reason = "the server shows more of it than is compared here"
)]
mod planning;

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use hence_planner::curve::calibration_chart;
use hence_planner::plan::Figure;
use hence_planner::simulate::{Estimate, Timing, estimate};

use self::cell::{Cell, Compared, Seen, Shape};
use self::clock::paused;
use self::traffic::{Law, Traffic};
use self::truth::Truth;
use crate::report::{self, Row};

/// By how much a predicted mean may be off.
const MEAN_OFF: f64 = 0.10;
/// By how much a predicted p99 may be off.
const P99_OFF: f64 = 0.20;
/// Beyond this load there is no goal for the figures.
const LOAD_MAX: f64 = 0.81;
/// The name of what was measured by the clock of the wall begins so.
const WALL: &str = "wall: ";
/// The part of the applications in which the band should hold the measurement.
const COVERAGE: f64 = 0.9;

/// The cells: every kind of arrivals, of service, and of work at every load; fewer of them to look
/// whether all of it works.
fn cells(all: bool) -> Vec<Cell> {
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
            let usual = matches!(
                (traffic, law),
                (Traffic::Poisson, _) | (_, Law::Exponential)
            );
            if all || usual {
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
    cells
}

/// How many applications a cell has: the fuller a queue, the less one run of it says.
fn replicas(cell: &Cell) -> u64 {
    if cell.load < 0.7 { 2 } else { 4 }
}

type Done = Vec<(Cell, Vec<Compared>)>;

/// Runs the benchmark.
pub(crate) fn run(short: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let load = busy().map_or("unknown".to_owned(), |busy| format!("{busy:.1}"));
    say(&format!("load of the machine at the start: {load}"))?;
    let mut rows = vec![runtime.block_on(speed::measuring(short))?];
    // As much as a server has when it is asked: eleven minutes.
    let history = Duration::from_secs(650);
    let (measured, topology) = paused(cell::at((3.2, 8), history, 7, true))?;
    rows.extend(speed::answers(&topology, &measured));

    say(&format!(
        "a sleep is {:.2} ms longer than asked, and {:.2} ms in time that jumps; every sleep is \
         asked to be shorter by that",
        1e3 * runtime.block_on(async { tokio::spawn(traffic::calibrate()).await })?,
        1e3 * paused(async { Ok(traffic::calibrate().await) })?,
    ))?;
    let virtual_length = Duration::from_secs(if short { 60 } else { 300 });
    let compared = in_jumps(cells(!short), virtual_length)?;
    for (cell, done) in &compared {
        rows.extend(compare("", cell, virtual_length, done));
    }
    rows.push(coverage("", &compared));
    rows.push(answered("", &compared, replicas));
    rows.extend(applied::run()?);

    let real_length = Duration::from_secs(if short { 12 } else { 300 });
    let compared = runtime.block_on(async {
        traffic::calibrate().await;
        on_the_wall(short, real_length).await
    })?;
    for (cell, done) in &compared {
        rows.extend(compare(WALL, cell, real_length, done));
    }
    rows.push(coverage(WALL, &compared));
    let asked = |cell: &Cell| if short { replicas(cell) } else { 1 };
    rows.push(answered(WALL, &compared, asked));
    plot(&rows)?;
    report::finish("plan", &rows)
}

/// Where the plot of `docs/concepts/capacity.md` is.
const PLOT: &str = "docs/concepts/capacity-calibration.svg";

/// Draws what was predicted against what was measured, in time that jumps; with `HENCE_UPDATE=1` in
/// place of the plot that is committed.
fn plot(rows: &[Row]) -> anyhow::Result<()> {
    let pairs = |figure: &str| {
        let of = rows
            .iter()
            .filter(|row| row.row.ends_with(figure) && !row.row.starts_with(WALL));
        of.filter_map(|row| Some((1e-3 * row.value * row.ratio?, 1e-3 * row.value)))
            .collect()
    };
    let chart = calibration_chart(&[("mean", pairs(": mean")), ("p99", pairs(": p99"))]);
    let path = match std::env::var("HENCE_UPDATE") {
        Ok(_) => PLOT,
        Err(_) => "target/bench/plan.svg",
    };
    std::fs::create_dir_all("target/bench")?;
    std::fs::write(path, chart.to_svg())?;
    say(&format!("drawn in {path}"))
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Every cell in time that jumps, two threads side by side: what is off is the model, or chance.
fn in_jumps(cells: Vec<Cell>, length: Duration) -> anyhow::Result<Done> {
    let next = AtomicUsize::new(0);
    let jobs: Vec<(usize, u64)> = (0..cells.len())
        .zip(&cells)
        .flat_map(|(at, cell)| (0..replicas(cell)).map(move |replica| (at, replica)))
        .collect();
    let work = || {
        let mut done = Vec::new();
        while let Some(&(at, replica)) = jobs.get(next.fetch_add(1, Relaxed)) {
            if let Some(cell) = cells.get(at) {
                let seed = at as u64 * 100 + replica;
                done.push((at, paused(cell.run(length, seed, true))));
            }
        }
        done
    };
    let all = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut all = work();
        all.extend(other.join().unwrap_or_default());
        all
    });
    let mut compared: Done = cells.into_iter().map(|cell| (cell, Vec::new())).collect();
    for (at, result) in all {
        if let Some((cell, done)) = compared.get_mut(at) {
            match result {
                Ok(one) => done.push(one),
                Err(error) => say(&format!("{}: {error}", cell.name()))?,
            }
        }
    }
    Ok(compared)
}

/// Cells by the clock of the wall, all side by side, since they sleep and do not reckon: everything
/// in the long form, a few in the short one.
async fn on_the_wall(short: bool, length: Duration) -> anyhow::Result<Done> {
    let chosen = cells(!short).into_iter().filter(|cell| {
        let usual = matches!(
            (cell.traffic, cell.law),
            (Traffic::Poisson, Law::Exponential)
        );
        !short || (usual && cell.load < LOAD_MAX)
    });
    let mut runs = Vec::new();
    for (number, cell) in chosen.enumerate() {
        let run = |replica| tokio::spawn(cell.run(length, number as u64 * 100 + replica, false));
        let all: Vec<_> = (0..if short { replicas(&cell) } else { 1 })
            .map(run)
            .collect();
        runs.push((cell, all));
    }
    let mut compared = Vec::new();
    for (cell, all) in runs {
        let mut done = Vec::new();
        for run in all {
            match run.await? {
                Ok(one) => done.push(one),
                Err(error) => say(&format!("{}: {error}", cell.name()))?,
            }
        }
        compared.push((cell, done));
    }
    Ok(compared)
}

/// The mean and the p99 of a cell.
fn compare(clock: &str, cell: &Cell, length: Duration, done: &[Compared]) -> Vec<Row> {
    let mut all = Seen::default();
    done.iter().for_each(|one| all.add(&one.seen));
    let mean = |of: fn(&Compared) -> f64| done.iter().map(of).sum::<f64>() / done.len() as f64;
    let (rho, es) = (mean(|one| one.rho), 1e3 * mean(|one| one.es));
    let name = format!("{clock}{} (ρ {rho:.2}, E[S] {es:.1})", cell.name());
    if done.is_empty() {
        let mut row = Row::plain(&name, f64::NAN, "ms");
        row.met = Some(false);
        return vec![row];
    }
    let art: Vec<(Figure, f64)> = done.iter().map(|one| (one.art, one.seen.mean())).collect();
    let p99: Vec<(Figure, f64)> = done.iter().map(|one| (one.p99, one.seen.p99())).collect();
    let runs = done.len() as u64;
    let truth = |figure: fn(&Timing) -> Estimate| truth::of(cell, length, runs, figure);
    let (name_of_mean, name_of_p99) = (format!("{name}: mean"), format!("{name}: p99"));
    vec![
        row(cell, &name_of_mean, MEAN_OFF, all.mean(), &art, || {
            truth(|timing| timing.mean)
        }),
        row(cell, &name_of_p99, P99_OFF, all.p99(), &p99, || {
            truth(|timing| timing.p99)
        }),
    ]
}

/// A measured figure beside its prediction: the mean of what was predicted from each application.
fn row(
    cell: &Cell,
    name: &str,
    off: f64,
    measured: f64,
    each: &[(Figure, f64)],
    truth: impl FnOnce() -> Option<Truth>,
) -> Row {
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
        let wall = name.starts_with(WALL);
        let both = (value, measured);
        beside.push_str(&explain(wall, (lo, hi), spread, both, truth()));
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

/// Processes that wait for a processor, over the last minute; `None` where the system does not say.
fn busy() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// A machine with more than this many processes that wait stalls whole applications.
const BUSY: f64 = 3.0;

/// Why a prediction may be off by more than the goal.
fn explain(
    wall: bool,
    band: (f64, f64),
    spread: Estimate,
    (predicted, measured): (f64, f64),
    truth: Option<Truth>,
) -> String {
    let half = 0.5 * (spread.hi - spread.lo) / measured;
    let inside = (band.0..=band.1).contains(&measured);
    let mut why = match inside {
        true => "; within the band".to_owned(),
        false => "; outside the band".to_owned(),
    };
    if half.is_finite() {
        why.push_str(&format!("; the runs differ by ± {:.0} %", 100.0 * half));
    } else {
        why.push_str("; one run, so nobody knows how far it varies");
    }
    if let Some(busy) = busy().filter(|busy| wall && *busy > BUSY) {
        why.push_str(&format!(
            "; the machine is busy (load {busy:.0}), and its stalls are no queue of the model"
        ));
    }
    if let Some(Truth { value, chance }) = truth {
        why.push_str(&format!(
            "; by its own laws this load has {:.1}, of which {:.2} was predicted and {:.2} measured; \
             runs of this length and number differ from it by ± {:.0} % by chance",
            1e3 * value,
            predicted / value,
            measured / value,
            100.0 * chance
        ));
    }
    why
}

/// How many of the runs that were asked for were compared: a refusal or an error leaves no figure, and
/// is a miss all the same.
fn answered(clock: &str, compared: &[(Cell, Vec<Compared>)], asked: impl Fn(&Cell) -> u64) -> Row {
    let asked: u64 = compared.iter().map(|(cell, _)| asked(cell)).sum();
    let answers: usize = compared.iter().map(|(_, done)| done.len()).sum();
    let name = format!("{clock}runs that were answered");
    let mut row = Row::plain(&name, answers as f64, "runs");
    row.beside = Some(format!("asked {asked}, answered {answers}"));
    row.goal = Some(asked as f64);
    row.met = Some(answers as u64 == asked);
    row
}

/// In how many applications the bands held what was measured.
fn coverage(clock: &str, compared: &[(Cell, Vec<Compared>)]) -> Row {
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
    let name = format!("{clock}bands that held the measurement");
    let mut row = Row::plain(&name, 100.0 * share, "%");
    row.beside = Some(format!("of {} figures", held.len()));
    row.goal = Some(100.0 * COVERAGE);
    row.met = Some(share >= COVERAGE);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poisson() -> Cell {
        Cell {
            traffic: Traffic::Poisson,
            law: Law::Exponential,
            load: 0.3,
            shape: Shape::Plain,
        }
    }

    fn ran() -> Compared {
        let figure = Figure {
            value: 1.0,
            lo: 1.0,
            hi: 1.0,
            method: hence_planner::plan::Method::Mmc,
        };
        Compared {
            art: figure,
            p99: figure,
            seen: Seen::default(),
            rho: 0.3,
            es: 0.02,
        }
    }

    #[test]
    fn a_run_without_an_answer_is_a_miss() {
        let runs = replicas(&poisson());
        for missing in [0, 1] {
            let done = (missing..runs).map(|_| ran()).collect();
            let row = answered("", &[(poisson(), done)], replicas);
            assert_eq!(row.met, Some(missing == 0));
            let said = format!("asked {runs}, answered {}", runs - missing);
            assert_eq!(row.beside, Some(said));
        }
    }

    #[test]
    fn a_miss_tells_which_of_the_two_is_off() {
        let truth = Truth {
            value: 0.1,
            chance: 0.2,
        };
        let spread = estimate([0.08]);
        let why = explain(false, (0.09, 0.11), spread, (0.1, 0.08), Some(truth));
        assert!(
            why.contains("of which 1.00 was predicted and 0.80 measured"),
            "{why}"
        );
    }
}
