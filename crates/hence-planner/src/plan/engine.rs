//! Which engine answers for a station, and with what error.
//!
//! Errors by class: exact 0; Markov chain 0; Whitt (1993) 5 %; tail of renewal queues 20 %;
//! simulation its own 95 % interval.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fit::Band;
use crate::ggc::gg_c_whitt93;
use crate::mg1::{mg1, mph1};
use crate::mmc::{Mmc, erlang_c, mmc};
use crate::model::{Discipline, Keying, Model, Station};
use crate::modulated::{mmpp_mc, mph2_c};
use crate::plan::flow::Flow;
use crate::plan::{Figure, Knowledge};
use crate::priority::{Class, cobham, mmc_non_preemptive};
use crate::service::Dist;
use crate::simulate::Estimate;
use crate::tail::WaitTail;

/// Part of a retry budget below which it is taken for none.
const SPACING_FREE: f64 = 0.5;

/// The engine behind a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// M/M/c, exact.
    Mmc,
    /// Pollaczek-Khinchine, exact.
    PollaczekKhinchine,
    /// Phase-type distribution, exact.
    PhaseType,
    /// A Markov chain, solved.
    Chain,
    /// Whitt's approximation of 1993.
    Whitt93,
    /// Exponential tail and convolution.
    Tail,
    /// Cobham's priorities, exact.
    Cobham,
    /// Simulation with this many replications.
    Simulation(u32),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mmc => f.write_str("M/M/c exact"),
            Self::PollaczekKhinchine => f.write_str("P-K exact"),
            Self::PhaseType => f.write_str("PH exact"),
            Self::Chain => f.write_str("CTMC"),
            Self::Whitt93 => f.write_str("Whitt93"),
            Self::Tail => f.write_str("tail"),
            Self::Cobham => f.write_str("Cobham exact"),
            Self::Simulation(n) => write!(f, "DES n={n}"),
        }
    }
}

/// A figure before parameter uncertainty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    band: Band,
    method: Method,
}

/// What formulas and chains say about a station; `None` is left to the simulation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    pub(crate) wq: Option<Answer>,
    pub(crate) art: Option<Answer>,
    pub(crate) p50: Option<Answer>,
    pub(crate) p95: Option<Answer>,
    pub(crate) p99: Option<Answer>,
    pub(crate) remark: Option<String>,
}

impl Answer {
    fn exact(value: f64, method: Method) -> Self {
        Self {
            band: Band::exact(value),
            method,
        }
    }

    fn within(value: f64, error: f64, method: Method) -> Self {
        Self {
            band: Band::around(value, error * value),
            method,
        }
    }

    pub(crate) fn simulated(e: Estimate, replications: u32) -> Self {
        let band = Band {
            value: e.value,
            lo: e.lo.max(0.0),
            hi: e.hi,
        };
        Self {
            band,
            method: Method::Simulation(replications),
        }
    }

    pub(crate) fn figure(self) -> Figure {
        let Band { value, lo, hi } = self.band;
        Figure {
            value,
            lo,
            hi,
            method: self.method,
        }
    }

    /// Widened by what is not known of λ and E\[S\].
    pub(crate) fn banded(self, flow: &Flow, known: &Knowledge) -> Figure {
        let mut figure = self.figure();
        figure.lo *= stretch(flow, known, -1.0);
        figure.hi *= stretch(flow, known, 1.0);
        figure
    }
}

/// How a response time changes when λ and E\[S\] are at the low (-1) or high (1) end of what is
/// known: it stretches with E\[S\] and, as far as it is waiting, with 1/(1-ρ).
pub(crate) fn stretch(flow: &Flow, known: &Knowledge, sign: f64) -> f64 {
    let es = 1.0 + sign * known.es;
    let rho = (flow.rho * es * (1.0 + sign * known.lambda)).clamp(0.0, 0.999);
    (es * (1.0 - flow.rho.min(0.999)) / (1.0 - rho)).max(0.0)
}

/// A station of plain first-come-first-served workers: what the formulas describe.
pub(crate) fn is_plain(station: &Station) -> bool {
    station.discipline == Discipline::Fifo && is_plain_but_for_order(station)
}

/// Whether only the order of service, if anything, makes it other than plain.
fn is_plain_but_for_order(station: &Station) -> bool {
    station.keying == Keying::None
        && station.capacity.is_none()
        && station.batch.is_none()
        && station.timeout.is_none()
        && station.breaker.is_none()
        && station.pace.is_none()
        && (!station.drop_expired || station.expiry.is_none())
        && station.service_by_class.is_empty()
        && station.after.is_empty()
}

/// Whether the order of service looks at the size of no job and interrupts none: then the number
/// present, and so the mean wait over all classes, is that of first come, first served.
fn keeps_the_mean(station: &Station) -> bool {
    matches!(
        station.discipline,
        Discipline::Lifo | Discipline::Priority | Discipline::Aged { .. }
    ) && is_plain_but_for_order(station)
}

/// Whether every event makes exactly one visit, so that the station's time is the journey's.
pub(crate) fn is_one_visit(model: &Model) -> bool {
    let certain = |emits: &[crate::model::Emission]| match emits {
        [only] => matches!(only.as_slice(), [branch] if branch.p >= 1.0 - 1e-12),
        _ => false,
    };
    model
        .stations
        .iter()
        .all(|s| s.emits.iter().all(Vec::is_empty) && s.failure.is_none())
        && model
            .sources
            .iter()
            .all(|s| certain(&s.emits) && s.patience.is_none())
}

/// Formula answers for every station.
pub(crate) fn answers(model: &Model, flows: &[Flow]) -> Vec<Answers> {
    model
        .stations
        .iter()
        .zip(flows)
        .map(|(s, f)| station(model, s, f))
        .collect()
}

fn station(model: &Model, station: &Station, flow: &Flow) -> Answers {
    if keeps_the_mean(station) {
        let plain = Station {
            discipline: Discipline::Fifo,
            class_shares: Vec::new(),
            ..station.clone()
        };
        let Answers {
            wq, art, remark, ..
        } = self::station(model, &plain, flow);
        return Answers {
            wq,
            art,
            remark,
            ..Answers::default()
        };
    }
    let outage = station
        .failure
        .as_ref()
        .is_some_and(|f| f.outage.is_some() || f.retry.budget.is_some());
    // Far below its budget a retry hardly ever waits for it: ten seconds' worth may come at once.
    let spaced = station
        .spacing
        .is_some_and(|s| flow.lambda - flow.fresh > SPACING_FREE * s.rate(flow.fresh));
    let outage = outage || spaced;
    if !is_plain(station) || outage || flow.rho >= 1.0 || flow.lambda <= 0.0 {
        return Answers::default();
    }
    let c = station.servers;
    let service = &station.service;
    // Retries keep M/M/c exact (a Kelly network), and only that.
    if flow.poisson
        && let Dist::Exp { mean } = service
    {
        return mmc(flow.lambda, 1.0 / mean, c)
            .map(|q| markov(&q))
            .unwrap_or_default();
    }
    if station.failure.is_some() {
        return Answers::default();
    }
    if flow.poisson && c == 1 {
        return poisson_one_worker(flow, service);
    }
    chains(model, station, flow).unwrap_or_else(|| approximated(model, station, flow))
}

/// Answers of Markov chains: two-phase service, or a source of two states.
fn chains(model: &Model, station: &Station, flow: &Flow) -> Option<Answers> {
    let (c, service) = (station.servers, &station.service);
    if flow.poisson
        && let Some(ph) = service.to_phase_type()
        && let Ok(q) = mph2_c(flow.lambda, &ph, c)
    {
        let rest = renewal(flow, service, c, q.wq, Some(q.p_wait));
        let chain = |value| Some(Answer::exact(value, Method::Chain));
        return Some(Answers {
            wq: chain(q.wq),
            art: chain(q.w),
            ..rest
        });
    }
    if let Dist::Exp { mean } = service
        && let [source] = model.sources.as_slice()
        && let [only] = model.stations.as_slice()
        && only.emits.is_empty()
        && let Ok(q) = mmpp_mc(&source.arrivals, 1.0 / mean, c)
    {
        let chain = |value| Some(Answer::exact(value, Method::Chain));
        return Some(Answers {
            wq: chain(q.wq),
            art: chain(q.w),
            ..Answers::default()
        });
    }
    None
}

/// Whitt's mean with an exponential tail, where both are within their published error.
fn approximated(model: &Model, station: &Station, flow: &Flow) -> Answers {
    let (c, service) = (station.servers, &station.service);
    if flow.ca2 > 1.5 || flow.cs2 > 1.5 || !service.is_light_tailed() {
        return Answers {
            remark: Some(format!(
                "ca² {:.2}, cs² {:.2}: too variable for a formula",
                flow.ca2, flow.cs2
            )),
            ..Answers::default()
        };
    }
    let merged = model.sources.len() + model.stations.len() > 2;
    if merged && !flow.poisson {
        // QNA is 20 % off where streams merge: its ca² ranks, it does not measure.
        return Answers::default();
    }
    match gg_c_whitt93(flow.lambda, flow.es, c, flow.ca2, flow.cs2) {
        Ok(wq) => renewal(flow, service, c, wq, None),
        Err(_) => Answers::default(),
    }
}

/// Mean waits of the classes of a non-preemptive station; `None` where no formula holds.
pub(crate) fn class_waits(station: &Station, flow: &Flow) -> Option<Vec<Answer>> {
    let classes = &station.class_shares;
    let step = match station.discipline {
        Discipline::Priority => f64::INFINITY,
        Discipline::Aged { step } => step,
        _ => return None,
    };
    let plain = is_plain_but_for_order(station) && station.failure.is_none();
    if classes.is_empty() || !plain || !flow.poisson || flow.rho >= 1.0 {
        return None;
    }
    let waits: Vec<Option<f64>> = match &station.service {
        Dist::Exp { mean } => {
            let lambdas: Vec<f64> = classes.iter().map(|share| share * flow.lambda).collect();
            let waits = mmc_non_preemptive(&lambdas, 1.0 / mean, station.servers).ok()?;
            waits.into_iter().map(Some).collect()
        }
        _ if station.servers == 1 => {
            let class = |share: &f64| Class {
                lambda: share * flow.lambda,
                es: flow.es,
                cs2: flow.cs2,
            };
            cobham(&classes.iter().map(class).collect::<Vec<_>>()).ok()?
        }
        _ => return None,
    };
    let waits: Vec<f64> = waits.into_iter().collect::<Option<_>>()?;
    // Ageing is not felt while even the least urgent wait is a small part of a step.
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let exact = |wait: f64| Answer::exact(wait, Method::Cobham);
    (100.0 * longest <= step).then(|| waits.into_iter().map(exact).collect())
}

fn markov(q: &Mmc) -> Answers {
    let exact = |value| Some(Answer::exact(value, Method::Mmc));
    let quantile = |p| q.response_quantile(p).ok().and_then(exact);
    Answers {
        wq: exact(q.wq()),
        art: exact(q.w()),
        p50: quantile(0.5),
        p95: quantile(0.95),
        p99: quantile(0.99),
        remark: None,
    }
}

fn poisson_one_worker(flow: &Flow, service: &Dist) -> Answers {
    let Ok(q) = mg1(flow.lambda, service) else {
        return Answers::default();
    };
    if !q.wq.is_finite() {
        return Answers::default();
    }
    let mut answers = Answers {
        wq: Some(Answer::exact(q.wq, Method::PollaczekKhinchine)),
        art: Some(Answer::exact(q.w(), Method::PollaczekKhinchine)),
        ..Answers::default()
    };
    if let Some(ph) = service.to_phase_type()
        && let Ok(both) = mph1(flow.lambda, &ph)
    {
        let quantile = |p| {
            let value = both.response.quantile(p).ok()?;
            Some(Answer::exact(value, Method::PhaseType))
        };
        (answers.p50, answers.p95, answers.p99) = (quantile(0.5), quantile(0.95), quantile(0.99));
    } else if flow.cs2 <= 1.5 && service.is_light_tailed() {
        let rest = renewal(flow, service, 1, q.wq, Some(flow.rho));
        (answers.p50, answers.p95, answers.p99) = (rest.p50, rest.p95, rest.p99);
    }
    answers
}

/// Mean by Whitt within 5 %, percentiles by an exponential tail within 20 %.
fn renewal(flow: &Flow, service: &Dist, c: u32, wq: f64, p_wait: Option<f64>) -> Answers {
    let light = flow.ca2 <= 1.5 && flow.cs2 <= 1.5 && service.is_light_tailed();
    let p_wait = match p_wait {
        Some(p) => p,
        None => erlang_c(c, flow.lambda * flow.es).unwrap_or(1.0),
    };
    let tail = WaitTail::from_two_moments(p_wait, wq)
        .ok()
        .filter(|_| light);
    let quantile = |p: f64| {
        let value = tail?.response_quantile(service, p).ok()?;
        Some(Answer::within(value, 0.20, Method::Tail))
    };
    Answers {
        wq: Some(Answer::within(wq, 0.05, Method::Whitt93)),
        art: Some(Answer::within(wq + flow.es, 0.05, Method::Whitt93)),
        p50: quantile(0.5),
        p95: quantile(0.95),
        p99: quantile(0.99),
        remark: None,
    }
}
