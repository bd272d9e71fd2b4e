//! The model compiled for the loop: names become numbers, seconds become ticks.
#![allow(
    clippy::indexing_slicing,
    reason = "branches are never empty when they are indexed"
)]

use crate::arrivals::{Arrivals, BatchSize};
use crate::error::Domain;
use crate::model::{
    Breaker, Budget, Discipline, Emission, Keying, Model, OnFull, Retry, Source, Spacing, Station,
};
use crate::service::Dist;
use crate::simulate::random::Rng;
use crate::simulate::sampler::{Alias, KeySampler, Sampler, ticks};

/// A compiled model.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) stations: Vec<StationPlan>,
    pub(crate) sources: Vec<SourcePlan>,
    /// Number of priority classes.
    pub(crate) classes: usize,
    /// Number of different keys.
    pub(crate) keys: u32,
    /// Whether any station goes after others.
    pub(crate) gated: bool,
}

/// A compiled station.
#[derive(Debug)]
pub(crate) struct StationPlan {
    pub(crate) name: String,
    pub(crate) servers: u32,
    pub(crate) service: Vec<Sampler>,
    pub(crate) discipline: Discipline,
    pub(crate) keying: Keying,
    pub(crate) capacity: u32,
    pub(crate) on_full: OnFull,
    pub(crate) batch: Option<BatchPlan>,
    pub(crate) failure: Option<FailurePlan>,
    pub(crate) timeout: u64,
    pub(crate) drop_expired: bool,
    /// Shares of the classes that arrive; `None`: the class of the source.
    pub(crate) classes: Option<Alias>,
    /// Share that expires, and after how long.
    pub(crate) expiry: Option<(f64, Sampler)>,
    pub(crate) pace: Option<PacePlan>,
    pub(crate) spacing: Option<Spacing>,
    pub(crate) breaker: Option<Breaker>,
    pub(crate) probe_every: u64,
    pub(crate) emits: Vec<EmissionPlan>,
    /// Stations that handle an event before this one may.
    pub(crate) after: Vec<usize>,
    /// A free worker takes an arrival at once, without looking at the line.
    pub(crate) direct: bool,
}

/// A compiled pace, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PacePlan {
    /// Between calls, on average.
    pub(crate) spacing: u64,
    /// How far the calls may run ahead of it.
    pub(crate) ahead: u64,
}

/// A compiled batch service.
#[derive(Debug)]
pub(crate) struct BatchPlan {
    pub(crate) max: u32,
    pub(crate) per_item: u64,
    pub(crate) linger: u64,
}

/// A compiled failure law.
#[derive(Debug)]
pub(crate) struct FailurePlan {
    pub(crate) probability: f64,
    pub(crate) outage: Option<(u64, u64)>,
    pub(crate) retry: Retry,
}

/// A compiled emission: cumulative probabilities and stations.
#[derive(Debug)]
pub(crate) struct EmissionPlan {
    branches: Vec<(f64, usize)>,
    certain: bool,
}

/// A compiled source.
#[derive(Debug)]
pub(crate) struct SourcePlan {
    pub(crate) name: String,
    pub(crate) arrivals: ArrivalPlan,
    pub(crate) emits: Vec<EmissionPlan>,
    pub(crate) class: u16,
    pub(crate) keys: Option<KeySampler>,
    pub(crate) deadline: u64,
    pub(crate) patience: Option<PatiencePlan>,
    pub(crate) recorded: Vec<RecordPlan>,
}

/// What was recorded of an event, compiled: its key, and ticks of service by station.
#[derive(Debug)]
pub(crate) struct RecordPlan {
    pub(crate) key: Option<u32>,
    services: Vec<(usize, u64)>,
}

impl RecordPlan {
    /// How long the event was served at a station.
    pub(crate) fn service(&self, station: usize) -> Option<u64> {
        let found = self.services.iter().find(|(at, _)| *at == station);
        found.map(|(_, ticks)| *ticks)
    }
}

/// A compiled patience.
#[derive(Debug)]
pub(crate) struct PatiencePlan {
    pub(crate) timeout: u64,
    pub(crate) attempts: u32,
    pub(crate) cancel: bool,
    pub(crate) budget: Option<Budget>,
}

/// A compiled arrival process.
#[derive(Debug)]
pub(crate) enum ArrivalPlan {
    Interval {
        interval: Sampler,
        size: Option<BatchSize>,
    },
    Mmpp2 {
        mean: [f64; 2],
        stay: [f64; 2],
        start_in_first: f64,
    },
    Timer {
        period: u64,
        count: u32,
        aligned: bool,
    },
    Profile(Vec<(u64, f64)>),
    Trace(Vec<u64>),
    Never,
}

impl EmissionPlan {
    fn new(emission: &Emission, model: &Model) -> Self {
        let mut sum = 0.0;
        let branches: Vec<(f64, usize)> = emission
            .iter()
            .filter_map(|branch| Some((branch.p, model.station(&branch.to)?)))
            .map(|(p, to)| {
                sum += p;
                (sum, to)
            })
            .collect();
        Self {
            certain: branches.len() == 1 && sum >= 1.0 - 1e-12,
            branches,
        }
    }

    /// The next station, or `None` for the way out.
    #[inline]
    pub(crate) fn choose(&self, rng: &mut Rng) -> Option<usize> {
        if self.certain {
            return Some(self.branches[0].1);
        }
        let u = rng.uniform();
        self.branches
            .iter()
            .find(|(p, _)| u <= *p)
            .map(|(_, to)| *to)
    }
}

impl Wiring {
    pub(crate) fn new(model: &Model) -> Result<Self, Domain> {
        model.check()?;
        let classes = model
            .sources
            .iter()
            .map(|s| s.class as usize + 1)
            .chain(model.stations.iter().map(|s| s.class_shares.len()))
            .max()
            .unwrap_or(1)
            .max(1);
        let sources: Vec<SourcePlan> = model
            .sources
            .iter()
            .map(|s| SourcePlan::new(s, model))
            .collect();
        let keys = sources
            .iter()
            .filter_map(|s| s.keys.as_ref())
            .map(KeySampler::keys)
            .chain(
                sources
                    .iter()
                    .flat_map(|s| &s.recorded)
                    .filter_map(|r| Some(r.key? + 1)),
            )
            .max();
        Ok(Self {
            stations: model
                .stations
                .iter()
                .map(|s| StationPlan::new(s, model, classes))
                .collect(),
            sources,
            classes,
            keys: keys.unwrap_or(1),
            gated: model.stations.iter().any(|s| !s.after.is_empty()),
        })
    }
}

impl StationPlan {
    fn new(station: &Station, model: &Model, classes: usize) -> Self {
        let service = (0..classes as u32)
            .map(|class| Sampler::new(station.service_of(class)))
            .collect();
        let direct = station.keying == Keying::None
            && station.batch.is_none()
            && station.breaker.is_none()
            && station.pace.is_none()
            && station.expiry.is_none()
            && station.discipline != Discipline::Sharing;
        Self {
            name: station.name.clone(),
            servers: station.servers,
            service,
            discipline: station.discipline,
            keying: station.keying,
            capacity: station.capacity.unwrap_or(u32::MAX),
            on_full: station.on_full,
            batch: station.batch.map(|b| BatchPlan {
                max: b.max,
                per_item: ticks(b.per_item),
                linger: ticks(b.linger),
            }),
            failure: station.failure.as_ref().map(|f| FailurePlan {
                probability: f.probability,
                outage: f.outage.map(|(from, to)| (ticks(from), ticks(to))),
                retry: f.retry.clone(),
            }),
            timeout: station.timeout.map_or(u64::MAX, ticks),
            drop_expired: station.drop_expired,
            classes: (!station.class_shares.is_empty()).then(|| Alias::new(&station.class_shares)),
            expiry: station
                .expiry
                .as_ref()
                .map(|e| (e.share, Sampler::new(&e.after))),
            pace: station.pace.map(|pace| PacePlan {
                spacing: ticks(1.0 / pace.per_second),
                ahead: ticks(pace.burst / pace.per_second),
            }),
            spacing: station.spacing,
            breaker: station.breaker,
            probe_every: station.breaker.map_or(0, |b| ticks(b.probe_every)),
            emits: station
                .emits
                .iter()
                .map(|e| EmissionPlan::new(e, model))
                .collect(),
            after: (station.after.iter())
                .filter_map(|first| model.station(first))
                .collect(),
            direct,
        }
    }
}

impl SourcePlan {
    fn new(source: &Source, model: &Model) -> Self {
        Self {
            name: source.name.clone(),
            arrivals: ArrivalPlan::new(&source.arrivals),
            emits: source
                .emits
                .iter()
                .map(|e| EmissionPlan::new(e, model))
                .collect(),
            class: source.class as u16,
            keys: source.keys.as_ref().map(KeySampler::new),
            deadline: source.deadline.map_or(u64::MAX, ticks),
            patience: source.patience.as_ref().map(|p| PatiencePlan {
                timeout: ticks(p.timeout),
                attempts: p.attempts,
                cancel: p.cancel,
                budget: p.budget,
            }),
            recorded: source
                .recorded
                .iter()
                .map(|r| RecordPlan {
                    key: r.key,
                    services: (r.services.iter())
                        .filter_map(|(name, s)| Some((model.station(name)?, ticks(*s))))
                        .collect(),
                })
                .collect(),
        }
    }
}

impl ArrivalPlan {
    fn new(arrivals: &Arrivals) -> Self {
        use crate::simulate::sampler::TICKS;
        if arrivals.rate() <= 0.0 {
            if let Arrivals::Trace { at } = arrivals {
                return Self::Trace(at.iter().map(|t| ticks(*t)).collect());
            }
            return Self::Never;
        }
        let exponential = |rate: f64| Sampler::new(&Dist::Exp { mean: 1.0 / rate });
        match arrivals {
            Arrivals::Poisson { rate } => Self::Interval {
                interval: exponential(*rate),
                size: None,
            },
            Arrivals::Renewal(d) => Self::Interval {
                interval: Sampler::new(d),
                size: None,
            },
            Arrivals::Batch { rate, size } => Self::Interval {
                interval: exponential(*rate),
                size: Some(*size),
            },
            Arrivals::Mmpp2 {
                rate1,
                rate2,
                leave1,
                leave2,
            } => Self::Mmpp2 {
                mean: [TICKS / rate1, TICKS / rate2],
                stay: [TICKS / leave1, TICKS / leave2],
                start_in_first: leave2 / (leave1 + leave2),
            },
            Arrivals::Timer {
                period,
                count,
                aligned,
            } => Self::Timer {
                period: ticks(*period),
                count: *count,
                aligned: *aligned,
            },
            Arrivals::Profile { pieces } => {
                Self::Profile(pieces.iter().map(|(t, r)| (ticks(*t), r / TICKS)).collect())
            }
            Arrivals::Trace { at } => Self::Trace(at.iter().map(|t| ticks(*t)).collect()),
        }
    }
}
