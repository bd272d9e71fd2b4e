//! Fitting an arrival process to counts.
//!
//! Rate λ̂ ± 1.96·√(λ̂·IDC/t). Poisson when IDC(w) is near 1 at every window; otherwise a two-state
//! MMPP through the curve IDC(w) = 1 + s·f(rw), f(x) = 1-(1-e^{-x})/x, or Erlang intervals when
//! counts are smoother than Poisson. Timers that fire together are told apart first, see [`timer`].
//! Differences of neighbours measure 2·IDC(w)-IDC(2w) (Cov of
//! neighbours = V(2w)/2-V(w)), so that is what the curve is fitted to. Heffes & Lucantoni, IEEE JSAC 4 (1986) 856, matches the same quantities.

use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;
use crate::fit::{Band, Refusal, Warning, dispersion, stationary, timer};
use crate::service::Dist;

/// A fitted stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArrivalFit {
    /// The process.
    pub arrivals: Arrivals,
    /// Timers that fire together beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<Arrivals>,
    /// Rate of both with its interval, 1/s.
    pub rate: Band,
    /// (window in seconds, dispersion between neighbouring windows).
    pub idc: Vec<(f64, f64)>,
    /// Doubts.
    pub warnings: Vec<Warning>,
}

/// Fits counts of events in neighbouring windows of `window` seconds.
///
/// # Errors
/// [`Refusal`] for fewer than 32 windows or 100 events.
pub fn fit(counts: &[u64], window: f64) -> Result<ArrivalFit, Refusal> {
    if !(window.is_finite() && window > 0.0) {
        return Err(Refusal::Impossible {
            what: "window".into(),
            value: window,
        });
    }
    let mut warnings = Vec::new();
    let counts = match stationary::change_in_counts(counts) {
        Some(at) => {
            let rest = counts.get(at..).unwrap_or_default();
            warnings.push(Warning::NotStationary {
                what: "the rate".into(),
                seconds_ago: rest.len() as f64 * window,
            });
            rest
        }
        None => counts,
    };
    let events: u64 = counts.iter().sum();
    for (what, have, need) in [
        ("windows", counts.len() as u64, 32),
        ("events", events, EVENTS_MIN),
    ] {
        if have < need {
            return Err(Refusal::TooFew {
                what: what.into(),
                have,
                need,
            });
        }
    }
    let time = counts.len() as f64 * window;
    let rate = events as f64 / time;
    let found = timer::aligned(counts, window);
    let fit = found.and_then(|found| beside(&found, rate, time, window));
    let fit = fit.unwrap_or_else(|| random(counts, window));
    warnings.extend(fit.warnings);
    Ok(ArrivalFit { warnings, ..fit })
}

/// The process behind counts in which no timers are told apart.
fn random(counts: &[u64], window: f64) -> ArrivalFit {
    let time = counts.len() as f64 * window;
    let rate = counts.iter().sum::<u64>() as f64 / time;
    let idc = dispersion::curve(counts, window);
    let arrivals = choose(rate, &idc, time);
    // A curve may be continued far beyond what was seen; a band may not.
    let seen = idc.iter().map(|p| p.1).fold(1.0, f64::max);
    let limit = arrivals.idc_limit().clamp(1.0, 2.0 * seen);
    let mut warnings = Vec::new();
    if let Arrivals::Mmpp2 { leave1, leave2, .. } = arrivals {
        let window = 1.0 / (leave1 + leave2);
        warnings.push(Warning::Bursty {
            window,
            idc: arrivals.idc(window),
        });
    }
    let half = 1.96 * (rate * limit / time).sqrt();
    ArrivalFit {
        arrivals,
        timers: None,
        rate: Band::around(rate, half),
        idc,
        warnings,
    }
}

/// Events without which nothing is said.
const EVENTS_MIN: u64 = 100;
/// Less than this share of all is no traffic beside timers.
const BESIDE_MIN: f64 = 0.05;

/// Timers, alone or with what comes beside them; `None` when that is too little to be fitted and
/// too much to be left out.
fn beside(found: &timer::Aligned, rate: f64, time: f64, window: f64) -> Option<ArrivalFit> {
    // Events are whole: the period gives way, so that the rate is what was measured.
    let count = (found.size.round() as u32).max(1);
    let timers = Arrivals::Timer {
        period: found.period * f64::from(count) / found.size,
        count,
        aligned: true,
    };
    let rest = found.rest.iter().sum::<u64>() as f64 / time;
    // Whether the last burst is in the time or just after it.
    let edge = timers.rate() * found.period / time;
    if rest < BESIDE_MIN * rate {
        return Some(ArrivalFit {
            arrivals: timers,
            timers: None,
            rate: Band::around(rate, edge),
            idc: dispersion::curve(&found.rest, window),
            warnings: Vec::new(),
        });
    }
    if found.rest.iter().sum::<u64>() < EVENTS_MIN {
        return None;
    }
    let other = random(&found.rest, window);
    let half = 0.5 * (other.rate.hi - other.rate.lo) + edge;
    Some(ArrivalFit {
        timers: Some(timers),
        rate: Band::around(rate, half),
        ..other
    })
}

/// Windows that a level of the dispersion curve must have to say anything.
const WINDOWS_MIN: f64 = 24.0;

fn choose(rate: f64, idc: &[(f64, f64)], time: f64) -> Arrivals {
    // Standard deviations of the neighbour estimator, √(3/n) each, at n windows. Of a dozen
    // windows one is beyond three of them in every thirtieth stream, so it takes four.
    let slack = |w: f64| 4.0 * (3.0 * w / time).sqrt();
    // Of few windows the estimator is too skew for such a test.
    let idc: Vec<(f64, f64)> = idc
        .iter()
        .copied()
        .filter(|(w, _)| time / w >= WINDOWS_MIN)
        .collect();
    if idc.iter().all(|&(w, i)| (i - 1.0).abs() <= slack(w)) {
        return Arrivals::Poisson { rate };
    }
    let significant = idc.iter().filter(|&&(w, i)| i - 1.0 > slack(w)).count();
    if significant == 0 {
        let lowest = idc.iter().map(|p| p.1).fold(1.0, f64::min).max(0.01);
        let k = (1.0 / lowest).round().clamp(1.0, 100.0);
        return Arrivals::Renewal(Dist::Erlang {
            k: k as u32,
            mean: 1.0 / rate,
        });
    }
    let (spread, leave) = dispersion_curve(&idc, time);
    mmpp(rate, spread, leave)
}

/// Least squares for s and r over a grid of r; points weighted by their number of windows.
fn dispersion_curve(idc: &[(f64, f64)], time: f64) -> (f64, f64) {
    let f = |x: f64| 1.0 + (-x).exp_m1() / x;
    let shape = |x: f64| 2.0 * f(x) - f(2.0 * x);
    let first = idc.first().map_or(1.0, |p| p.0);
    let (mut best, mut found) = (f64::INFINITY, (1.0, 1.0));
    for step in -40..=80 {
        let leave = 2.0_f64.powf(f64::from(-step) / 4.0) / first;
        let (mut top, mut bottom) = (0.0, 0.0);
        for &(w, i) in idc {
            let (f, weight) = (shape(leave * w), time / w / (i * i));
            top += weight * f * (i - 1.0);
            bottom += weight * f * f;
        }
        let spread = (top / bottom).max(0.0);
        let error: f64 = idc
            .iter()
            .map(|&(w, i)| time / w / (i * i) * (i - 1.0 - spread * shape(leave * w)).powi(2))
            .sum();
        if error < best {
            (best, found) = (error, (spread, leave));
        }
    }
    found
}

/// The MMPP(2) of rate λ with IDC(w) = 1 + s(1-(1-e^{-rw})/(rw)).
fn mmpp(rate: f64, spread: f64, leave: f64) -> Arrivals {
    // Symmetric while the calm state keeps a positive rate: s = 2δ²/(λr); else on-off.
    let delta = (0.5 * spread * rate * leave).sqrt();
    if delta <= rate {
        return Arrivals::Mmpp2 {
            rate1: rate + delta,
            rate2: rate - delta,
            leave1: 0.5 * leave,
            leave2: 0.5 * leave,
        };
    }
    let on = 1.0 / (1.0 + 0.5 * spread * leave / rate);
    Arrivals::Mmpp2 {
        rate1: rate / on,
        rate2: 0.0,
        leave1: (1.0 - on) * leave,
        leave2: on * leave,
    }
}
