//! How figures grow with the load: the hockey stick, and where it ends.
//!
//! One plan for each load, with the same random numbers, so that neighbours differ by the load.

use serde::{Deserialize, Serialize};

use crate::error::Domain;
use crate::model::Model;
use crate::plan::{PlanError, PlanOptions, bottleneck, flows, plan};
use crate::plot::{Chart, Line};
use crate::sizing::{Percentile, Sizing, Target, pick};
use crate::what_if::{Change, apply};

/// Loads, as parts of that which saturates the first station.
const LOADS: [f64; 14] = [
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98,
];

/// One load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Load as a multiple of that of the model.
    pub load: f64,
    /// Mean, seconds.
    pub art: f64,
    /// Median, seconds.
    pub p50: f64,
    /// 99th percentile, seconds.
    pub p99: f64,
}

/// The response times of a station or source over the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its name.
    pub of: String,
    /// Multiple of the load at which the first station saturates, retries included.
    pub saturation: f64,
    /// The station that does.
    pub first: String,
    /// By rising load.
    pub points: Vec<Point>,
}

/// The curve of a station or source; the budget of events is spent on all loads together.
///
/// # Errors
/// [`PlanError`] for an inconsistent model, or when there is no such name.
pub fn curve(model: &Model, of: &str, options: &PlanOptions) -> Result<Curve, PlanError> {
    let all = flows(model)?;
    let first = bottleneck(model, &all);
    if first.rho <= 0.0 {
        return Err(Domain::undefined("nothing comes in").into());
    }
    let each = PlanOptions {
        events: options.events / LOADS.len() as u64,
        // What is not known of the load now says nothing of a load that is supposed.
        knowledge: Default::default(),
        ..options.clone()
    };
    let mut points = Vec::new();
    for part in LOADS {
        let load = part * first.headroom;
        let changed = apply(model, &[Change::Load { factor: load }])?;
        let planned = plan(&changed, &each)?;
        let figure = |figure| {
            let of = of.to_owned();
            let below = 0.0;
            pick(&planned, &Target { of, figure, below }).map(|figure| figure.value)
        };
        points.push(Point {
            load,
            art: figure(Percentile::Art)?,
            p50: figure(Percentile::P50)?,
            p99: figure(Percentile::P99)?,
        });
    }
    Ok(Curve {
        of: of.to_owned(),
        saturation: first.headroom,
        first: first.station,
        points,
    })
}

impl Curve {
    /// The load from which p99 is more than twice that at a tenth of the saturation.
    pub fn knee(&self) -> Option<f64> {
        let calm = self.points.first()?.p99;
        let bent = self.points.iter().find(|point| point.p99 > 2.0 * calm)?;
        Some(bent.load)
    }

    /// The hockey stick.
    pub fn chart(&self) -> Chart {
        let line = |name: &str, of: fn(&Point) -> f64| Line {
            name: name.to_owned(),
            points: self.points.iter().map(|p| (p.load, 1e3 * of(p))).collect(),
            ..Line::default()
        };
        Chart {
            title: format!("{}: response time against load", self.of),
            x: "load, as a multiple of now".to_owned(),
            y: "ms".to_owned(),
            log_y: true,
            lines: vec![
                line("p50", |p| p.p50),
                line("mean", |p| p.art),
                line("p99", |p| p.p99),
            ],
            marks: vec![
                (1.0, "now".to_owned()),
                (self.saturation, format!("{} saturates", self.first)),
            ],
            ..Chart::default()
        }
    }
}

/// The staircase of workers against a figure, with its target.
pub fn stairs_chart(sizing: &Sizing, target: &Target) -> Chart {
    let known = |step: &crate::sizing::Step| {
        let figure = step.figure?;
        Some((f64::from(step.workers), 1e3 * figure.value))
    };
    let points: Vec<_> = sizing.stairs.iter().filter_map(known).collect();
    let ends = [points.first(), points.last()].into_iter().flatten();
    let limit = ends.map(|(x, _)| (*x, 1e3 * target.below)).collect();
    Chart {
        title: format!("{}: response time against workers", target.of),
        x: "workers".to_owned(),
        y: "ms".to_owned(),
        lines: vec![
            Line {
                name: "predicted".to_owned(),
                points,
                steps: true,
                ..Line::default()
            },
            Line {
                name: "target".to_owned(),
                points: limit,
                dashed: true,
                ..Line::default()
            },
        ],
        marks: vec![(f64::from(sizing.workers), sizing.workers.to_string())],
        ..Chart::default()
    }
}

/// Pairs of a predicted and a measured time in seconds, by what they are a time of, with the line of
/// equality and 25 % on both sides.
pub fn calibration_chart(kinds: &[(&str, Vec<(f64, f64)>)]) -> Chart {
    let all = || kinds.iter().flat_map(|(_, pairs)| pairs);
    let measured = || all().map(|pair| 1e3 * pair.1);
    let (lo, hi) = (
        measured().fold(f64::MAX, f64::min),
        measured().fold(0.0, f64::max),
    );
    let dots = kinds.iter().map(|(name, pairs)| Line {
        name: (*name).to_owned(),
        points: pairs.iter().map(|(p, m)| (1e3 * m, 1e3 * p)).collect(),
        dots: true,
        ..Line::default()
    });
    let straight = |name: &str, factor: f64| Line {
        name: name.to_owned(),
        points: vec![(lo, lo * factor), (hi, hi * factor)],
        dashed: true,
        ..Line::default()
    };
    let straight = [("equal", 1.0), ("+25 %", 1.25), ("-25 %", 0.75)]
        .into_iter()
        .filter(|_| lo <= hi)
        .map(|(name, factor)| straight(name, factor));
    Chart {
        title: "predicted against measured response times".to_owned(),
        x: "measured, ms".to_owned(),
        y: "predicted, ms".to_owned(),
        log_x: true,
        log_y: true,
        lines: dots.chain(straight).collect(),
        marks: Vec::new(),
    }
}
