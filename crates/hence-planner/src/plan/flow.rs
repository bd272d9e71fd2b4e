//! Flows: rates and variability at every station, retries and loops included.
//!
//! Rates by the traffic equations with λ_eff = λ(1-pⁿ)/(1-p); SCVs by QNA (Whitt 1983).

use serde::{Deserialize, Serialize};

use crate::model::{Discipline, Emission, Model, OnFull, Source, Station};
use crate::network::jackson::traffic;
use crate::network::qna::{Node, qna};
use crate::numeric::matrix::Matrix;
use crate::plan::PlanError;
use crate::retry::attempts;
use crate::service::Dist;

/// What flows through a station.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Attempts per second, retries included.
    pub lambda: f64,
    /// New visits per second.
    pub fresh: f64,
    /// Attempts per visit.
    pub attempts: f64,
    /// Share of visits that fail for good.
    pub dead: f64,
    /// Mean service of an attempt, seconds; a full batch counts per event.
    pub es: f64,
    /// SCV of the intervals between arrivals, by QNA.
    pub ca2: f64,
    /// SCV of the service time.
    pub cs2: f64,
    /// Attempts per second that it can do: its workers, or its pace where that is less.
    pub capacity: f64,
    /// Utilisation, λ over the capacity.
    pub rho: f64,
    /// Whether the arrivals form a Poisson process, exactly.
    pub poisson: bool,
    /// Whether the station stays stable at any load because it drops or blocks.
    pub sheds: bool,
}

/// Flows of all stations.
///
/// # Errors
/// [`PlanError`] for an inconsistent model or a loop without exit.
pub fn flows(model: &Model) -> Result<Vec<Flow>, PlanError> {
    model.check()?;
    let n = model.stations.len();
    let mut routes = Matrix::zeros(n, n);
    for (i, station) in model.stations.iter().enumerate() {
        let alive = 1.0 - failure(station).1;
        add(model, &station.emits, alive, |j, p| routes.add_to(i, j, p));
    }
    let mut gamma = vec![0.0; n];
    let mut weighted = vec![0.0; n];
    for source in &model.sources {
        let rate = source.arrivals.rate();
        let idc = source.arrivals.idc_limit();
        add(model, &source.emits, rate, |j, flow| {
            // A thinned stream is nearer to Poisson: q·idc + 1 - q.
            let q = if rate > 0.0 {
                (flow / rate).min(1.0)
            } else {
                0.0
            };
            if let (Some(g), Some(w)) = (gamma.get_mut(j), weighted.get_mut(j)) {
                *g += flow;
                *w += flow * (q * idc + 1.0 - q);
            }
        });
    }
    let fresh = traffic(&gamma, &routes)
        .map_err(|_| PlanError::LoopWithoutExit(looping(model, &routes)))?;
    let mut nodes = Vec::new();
    for ((station, gamma), weighted) in model.stations.iter().zip(&gamma).zip(&weighted) {
        let (per_visit, _) = failure(station);
        let (es, cs2) = service(model, station);
        let ca2 = if *gamma > 0.0 { weighted / gamma } else { 1.0 };
        // Retries return to the same station: one longer visit in the eyes of QNA.
        nodes.push(Node {
            gamma: *gamma,
            ca2,
            es: es * per_visit,
            cs2,
            c: station.servers,
        });
    }
    let streams = qna(&nodes, &routes)?;
    let poisson = poisson_stations(model, &routes);
    Ok(model
        .stations
        .iter()
        .zip(&fresh)
        .zip(streams.iter().zip(poisson))
        .map(|((station, &fresh), (stream, poisson))| {
            let (attempts, dead) = failure(station);
            let (es, cs2) = service(model, station);
            let lambda = fresh * attempts;
            let capacity = capacity(station, es);
            Flow {
                lambda,
                fresh,
                attempts,
                dead,
                es,
                ca2: stream.ca2,
                cs2,
                capacity,
                rho: lambda / capacity,
                poisson,
                sheds: sheds(model, station),
            }
        })
        .collect())
}

/// Attempts per second: what the workers can do, or the pace where that is less.
fn capacity(station: &Station, es: f64) -> f64 {
    let workers = f64::from(station.servers) / es;
    station.pace.map_or(workers, |p| workers.min(p.per_second))
}

/// (attempts per visit, probability that all fail).
fn failure(station: &Station) -> (f64, f64) {
    let cut = station.timeout.map_or(0.0, |t| station.service.tail(t));
    let Some(failure) = &station.failure else {
        return (1.0, cut);
    };
    let p = 1.0 - (1.0 - failure.probability) * (1.0 - cut);
    let n = failure.retry.attempts;
    (attempts(p, n), p.powi(n as i32))
}

/// Mean and SCV of one attempt's service over the classes, time-outs and full batches included.
fn service(model: &Model, station: &Station) -> (f64, f64) {
    let mean_of = |dist: &Dist| match station.timeout {
        None => (dist.mean(), dist.scv()),
        Some(limit) => truncated(dist, limit),
    };
    let (mut weight, mut first, mut second) = (0.0, 0.0, 0.0);
    for source in &model.sources {
        let rate = source.arrivals.rate();
        let (mean, scv) = mean_of(station.service_of(source.class));
        weight += rate;
        first += rate * mean;
        second += rate * (1.0 + scv) * mean * mean;
    }
    if !station.class_shares.is_empty() {
        (weight, first, second) = (0.0, 0.0, 0.0);
        for (class, share) in (0..).zip(&station.class_shares) {
            let (mean, scv) = mean_of(station.service_of(class));
            weight += share;
            first += share * mean;
            second += share * (1.0 + scv) * mean * mean;
        }
    }
    let (mean, scv) = if weight > 0.0 && !station.service_by_class.is_empty() {
        let mean = first / weight;
        (mean, (second / weight / (mean * mean) - 1.0).max(0.0))
    } else {
        mean_of(&station.service)
    };
    match &station.batch {
        None => (mean, scv),
        Some(batch) => (mean / f64::from(batch.max) + batch.per_item, scv),
    }
}

/// Mean and SCV of min(S, limit), by E\[min(S,l)\] = ∫₀ˡ P(S > t)dt.
fn truncated(dist: &Dist, limit: f64) -> (f64, f64) {
    let steps = 2000;
    let h = limit / f64::from(steps);
    let (mut first, mut second) = (0.0, 0.0);
    for i in 0..steps {
        let t = (f64::from(i) + 0.5) * h;
        let tail = dist.tail(t);
        first += tail * h;
        second += 2.0 * t * tail * h;
    }
    (first, (second / (first * first) - 1.0).max(0.0))
}

fn sheds(model: &Model, station: &Station) -> bool {
    let patient = model
        .sources
        .iter()
        .all(|s| s.patience.as_ref().is_none_or(|patience| !patience.cancel));
    (station.capacity.is_some() && station.on_full != OnFull::Block)
        || station.drop_expired
        || matches!(station.discipline, Discipline::AdaptiveLifo { .. })
        || !patient
}

fn add(model: &Model, emits: &[Emission], rate: f64, mut to: impl FnMut(usize, f64)) {
    for branch in emits.iter().flatten() {
        if let Some(j) = model.station(&branch.to) {
            to(j, rate * branch.p);
        }
    }
}

/// Stations whose arrivals are Poisson: fed by Poisson sources, or downstream of M/M/c without
/// loops (Burke's theorem, Oper. Res. 4 (1956) 699).
fn poisson_stations(model: &Model, routes: &Matrix) -> Vec<bool> {
    let n = model.stations.len();
    let source_ok = |source: &Source| source.arrivals.is_poisson() && source.patience.is_none();
    let mut poisson = vec![true; n];
    for (j, ok) in poisson.iter_mut().enumerate() {
        *ok = model.sources.iter().all(|source| {
            let feeds = source
                .emits
                .iter()
                .flatten()
                .any(|b| model.station(&b.to) == Some(j));
            // Two copies of one event to one station arrive together.
            let copies = source
                .emits
                .iter()
                .filter(|e| e.iter().any(|b| model.station(&b.to) == Some(j)))
                .count();
            !feeds || (source_ok(source) && copies == 1)
        });
    }
    let order = topological(routes);
    for i in 0..n {
        let markov = |i: usize| {
            model.stations.get(i).is_some_and(|s| {
                crate::plan::engine::is_plain(s)
                    && matches!(s.service, Dist::Exp { .. })
                    && s.failure.is_none()
                    && s.emits.len() <= 1
            })
        };
        // Walk in topological order; on a loop nothing is claimed.
        let Some(order) = &order else {
            if let Some(ok) = poisson.get_mut(i) {
                *ok &= (0..n).all(|k| routes.at(k, i) == 0.0);
            }
            continue;
        };
        let Some(&j) = order.get(i) else { continue };
        let feeders: Vec<usize> = (0..n).filter(|&k| routes.at(k, j) > 0.0).collect();
        let good = feeders
            .iter()
            .all(|&k| markov(k) && poisson.get(k).copied().unwrap_or(false));
        // Streams that split and merge again are dependent: only one feeder is safe.
        if let Some(ok) = poisson.get_mut(j) {
            *ok &= feeders.is_empty() || (good && feeders.len() == 1);
        }
    }
    poisson
}

fn topological(routes: &Matrix) -> Option<Vec<usize>> {
    let n = routes.rows();
    let mut order: Vec<usize> = Vec::with_capacity(n);
    while order.len() < n {
        let next = (0..n).find(|j| {
            !order.contains(j) && (0..n).all(|i| order.contains(&i) || routes.at(i, *j) == 0.0)
        })?;
        order.push(next);
    }
    Some(order)
}

/// Stations from which the way out cannot be reached, or that feed a growing loop.
fn looping(model: &Model, routes: &Matrix) -> Vec<String> {
    let n = model.stations.len();
    let mut reach = routes.clone();
    for _ in 0..n.ilog2() + 1 {
        reach = reach.plus(&reach.times(&reach), 1.0);
        let top = reach.max_abs().max(1.0);
        reach = reach.scaled(1.0 / top);
    }
    let names = model
        .stations
        .iter()
        .enumerate()
        .filter(|(i, _)| reach.at(*i, *i) > 0.0);
    names.map(|(_, s)| s.name.clone()).collect()
}
