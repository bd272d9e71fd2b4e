//! The planner's own input: sources, stations and routes as plain serde data.
//!
//! Times in seconds, rates in 1/s. A station is a subscription: workers, service time, order,
//! bounds, failures. An *emission* is one copy of what leaves a source or a station; it goes to
//! one of its branches, or out with the probability that is left. Several emissions are a fan-out
//! and the event ends when all its copies have.

mod limit;

use serde::{Deserialize, Serialize};

pub use self::limit::{Expiry, Pace, Spacing};
use crate::arrivals::Arrivals;
use crate::error::{Domain, non_negative, positive, probability};
use crate::service::Dist;

/// A network of stations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Where events are handled.
    pub stations: Vec<Station>,
    /// Where events come from.
    pub sources: Vec<Source>,
}

/// One copy of an event: branches with probabilities; the rest leaves the network.
pub type Emission = Vec<Branch>;

/// A possible next station.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Name of the station.
    pub to: String,
    /// Probability.
    pub p: f64,
}

/// A stream of new events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Name; what several sources of one name bring counts together.
    pub name: String,
    /// When they come.
    pub arrivals: Arrivals,
    /// Copies of each event.
    pub emits: Vec<Emission>,
    /// Priority class; 0 is the most urgent.
    #[serde(default)]
    pub class: u32,
    /// Ordering keys.
    #[serde(default)]
    pub keys: Option<KeyLaw>,
    /// Age at which an event is late, seconds.
    #[serde(default)]
    pub deadline: Option<f64>,
    /// Clients that give up and send again.
    #[serde(default)]
    pub patience: Option<Patience>,
    /// What was recorded of each event of a trace of arrivals, in their order.
    #[serde(default)]
    pub recorded: Vec<Recorded>,
}

/// What was recorded of one event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The number of its key.
    #[serde(default)]
    pub key: Option<u32>,
    /// How long it was served, by station, seconds; where nothing is said the station's law draws.
    #[serde(default)]
    pub services: std::collections::BTreeMap<String, f64>,
}

/// A station: workers behind one queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// Name, unique among stations.
    pub name: String,
    /// Workers c.
    pub servers: u32,
    /// Service time.
    pub service: Dist,
    /// Service time by priority class; classes beyond its length use `service`.
    #[serde(default)]
    pub service_by_class: Vec<Dist>,
    /// Shares of the priority classes among what arrives, class 0 first; empty: the class of the
    /// source.
    #[serde(default)]
    pub class_shares: Vec<f64>,
    /// Order of service.
    #[serde(default)]
    pub discipline: Discipline,
    /// What a key keeps in order.
    #[serde(default)]
    pub keying: Keying,
    /// Places, **including** those in service.
    #[serde(default)]
    pub capacity: Option<u32>,
    /// What happens to an arrival that finds it full.
    #[serde(default)]
    pub on_full: OnFull,
    /// Handling several events at once.
    #[serde(default)]
    pub batch: Option<BatchService>,
    /// Failures and their retries.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// Handler time-out, seconds: the attempt ends there and has failed.
    #[serde(default)]
    pub timeout: Option<f64>,
    /// Drop events older than their source's deadline instead of handling them.
    #[serde(default)]
    pub drop_expired: bool,
    /// How long after their arrival here events expire; needs `drop_expired` to matter.
    #[serde(default)]
    pub expiry: Option<Expiry>,
    /// Limit of calls over time.
    #[serde(default)]
    pub pace: Option<Pace>,
    /// Limit of retries beyond which they wait longer.
    #[serde(default)]
    pub spacing: Option<Spacing>,
    /// Circuit breaker.
    #[serde(default)]
    pub breaker: Option<Breaker>,
    /// What each handled event leads to.
    #[serde(default)]
    pub emits: Vec<Emission>,
    /// Stations that handle an event before this one may: a copy waits for those of the same
    /// fan-out that go there. Its wait and response count from when the copies were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// Order of service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Discipline {
    /// First come, first served.
    #[default]
    Fifo,
    /// Newest first.
    Lifo,
    /// Oldest first until no worker has been idle for `congested_after` seconds; then newest first,
    /// dropping what has waited longer than `slough` seconds.
    AdaptiveLifo {
        /// Seconds without an idle worker that count as congestion.
        congested_after: f64,
        /// Age limit under congestion, seconds.
        slough: f64,
    },
    /// Processor sharing over `servers` cores.
    Sharing,
    /// Classes, a running handler is never interrupted.
    Priority,
    /// Classes without interruption, where each class below is worth so much waiting: nobody waits
    /// for ever.
    Aged {
        /// Seconds.
        step: f64,
    },
    /// Classes, preemptive-resume.
    PriorityPreemptive,
    /// Earliest deadline first.
    Deadline,
    /// Shortest remaining time first, preemptive.
    Srpt,
}

/// What a key keeps in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keying {
    /// Nothing: keys are ignored.
    #[default]
    None,
    /// One event in flight per key; an idle worker takes the ready key whose head is oldest.
    Lanes,
    /// One event in flight per key; ready keys take turns, so that a hot one keeps no other waiting.
    Turns,
    /// Keys hashed to this many partitions, each owned by one worker.
    Partitions(u32),
}

/// Popularity of keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLaw {
    /// Key k = 0..n with p ∝ (k+1)^-z; z = 0 is uniform.
    Zipf {
        /// Number of keys.
        n: u32,
        /// Exponent.
        z: f64,
    },
    /// Measured shares of the top keys; the rest is spread evenly over `others` keys.
    Measured {
        /// Shares of the top keys.
        top: Vec<f64>,
        /// Number of other keys.
        others: u32,
    },
}

/// What happens at a full station.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The arrival is refused.
    #[default]
    Reject,
    /// The oldest waiting event makes room.
    DropOldest,
    /// The sender waits: an upstream worker stays occupied (block after service).
    Block,
}

/// Several events per service: service time = sample + k·`per_item`, closed when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchService {
    /// Largest batch.
    pub max: u32,
    /// Additional seconds per event.
    #[serde(default)]
    pub per_item: f64,
    /// A batch below `max` starts when its oldest event has waited this long, seconds.
    #[serde(default)]
    pub linger: f64,
}

/// Failing attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Probability that an attempt fails.
    pub probability: f64,
    /// A time (from, to), seconds, in which every attempt fails.
    #[serde(default)]
    pub outage: Option<(f64, f64)>,
    /// What follows a failure.
    pub retry: Retry,
}

/// A retry policy; the delay before attempt k+1 is min(cap, base·factor^(k-1)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// First delay, seconds.
    pub base: f64,
    /// Growth of the delay.
    pub factor: f64,
    /// Largest delay, seconds.
    pub cap: f64,
    /// Full jitter: the delay is uniform between 0 and its value.
    #[serde(default)]
    pub jitter: bool,
    /// The key waits for the retry (lanes only).
    #[serde(default)]
    pub hold_key: bool,
    /// Limit of retries.
    #[serde(default)]
    pub budget: Option<Budget>,
}

/// A token bucket; every retry takes one token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Tokens per new event.
    pub per_event: f64,
    /// Tokens per second.
    #[serde(default)]
    pub per_second: f64,
    /// Tokens at the start.
    pub initial: f64,
    /// Most tokens kept.
    pub cap: f64,
}

/// Clients that give up on an attempt and send another, without cancelling the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    /// Seconds until a client gives up.
    pub timeout: f64,
    /// Attempts in all.
    pub attempts: u32,
    /// Withdraw the attempt if it is still waiting.
    #[serde(default)]
    pub cancel: bool,
    /// Limit of retries.
    #[serde(default)]
    pub budget: Option<Budget>,
}

/// A circuit breaker on first attempts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    /// Failures in a row that trip it.
    pub consecutive: u32,
    /// Seconds between probes while it is open.
    pub probe_every: f64,
}

impl Source {
    /// A source that sends every event to one station.
    pub fn new(name: &str, arrivals: Arrivals, to: &str) -> Self {
        Self {
            name: name.to_owned(),
            arrivals,
            emits: vec![all_to(to)],
            class: 0,
            keys: None,
            deadline: None,
            patience: None,
            recorded: Vec::new(),
        }
    }
}

impl Station {
    /// A first-come-first-served station without bounds or failures, from which events leave.
    pub fn new(name: &str, servers: u32, service: Dist) -> Self {
        Self {
            name: name.to_owned(),
            servers,
            service,
            service_by_class: Vec::new(),
            class_shares: Vec::new(),
            discipline: Discipline::Fifo,
            keying: Keying::None,
            capacity: None,
            on_full: OnFull::Reject,
            batch: None,
            failure: None,
            timeout: None,
            drop_expired: false,
            expiry: None,
            pace: None,
            spacing: None,
            breaker: None,
            emits: Vec::new(),
            after: Vec::new(),
        }
    }

    /// The service time of a priority class.
    pub fn service_of(&self, class: u32) -> &Dist {
        self.service_by_class
            .get(class as usize)
            .unwrap_or(&self.service)
    }
}

/// One copy, always to the same station.
pub fn all_to(station: &str) -> Emission {
    vec![Branch {
        to: station.to_owned(),
        p: 1.0,
    }]
}

impl Retry {
    /// Mean delay before attempt `k + 1`, k ≥ 1, seconds.
    pub fn mean_delay(&self, k: u32) -> f64 {
        let full = (self.base * self.factor.powi(k as i32 - 1)).min(self.cap);
        if self.jitter { 0.5 * full } else { full }
    }
}

impl Model {
    /// The rate of all sources of a name together, 1/s; `None` when there is none.
    pub fn rate(&self, name: &str) -> Option<f64> {
        let of = self.sources.iter().filter(|source| source.name == name);
        of.map(|source| source.arrivals.rate()).reduce(|a, b| a + b)
    }

    /// Position of a station.
    pub fn station(&self, name: &str) -> Option<usize> {
        self.stations.iter().position(|s| s.name == name)
    }

    /// Checks names, probabilities and parameters.
    ///
    /// # Errors
    /// [`Domain`] naming the first problem.
    pub fn check(&self) -> Result<(), Domain> {
        let mut names: Vec<&str> = self.stations.iter().map(|s| s.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w.first() == w.last()) {
            return Err(Domain::undefined(format!(
                "two stations are called {:?}",
                twice.first()
            )));
        }
        for station in &self.stations {
            crate::error::workers(station.servers)?;
            station.service.check()?;
            station.service_by_class.iter().try_for_each(Dist::check)?;
            self.check_emissions(&station.emits)?;
            if let Some(failure) = &station.failure {
                probability("failure probability", failure.probability)?;
                positive("attempts", f64::from(failure.retry.attempts))?;
                non_negative("base", failure.retry.base)?;
                non_negative("factor", failure.retry.factor)?;
                non_negative("cap", failure.retry.cap)?;
            }
            if let Some(batch) = &station.batch {
                positive("batch max", f64::from(batch.max))?;
                non_negative("per_item", batch.per_item)?;
                non_negative("linger", batch.linger)?;
            }
            if let Some(timeout) = station.timeout {
                positive("timeout", timeout)?;
            }
            if let Some(capacity) = station.capacity {
                positive("capacity", f64::from(capacity))?;
            }
            if let Keying::Partitions(n) = station.keying {
                positive("partitions", f64::from(n))?;
            }
            if let Some(breaker) = &station.breaker {
                positive("probe_every", breaker.probe_every)?;
            }
            station.check_limits()?;
        }
        self.check_precedence()?;
        for source in &self.sources {
            source.arrivals.check()?;
            self.check_emissions(&source.emits)?;
            if let Some(patience) = &source.patience {
                positive("patience", patience.timeout)?;
            }
            match &source.keys {
                Some(KeyLaw::Zipf { n, z }) => {
                    positive("number of keys", f64::from(*n))?;
                    non_negative("z", *z)?;
                }
                Some(KeyLaw::Measured { top, .. }) => {
                    probability("sum of key shares", top.iter().sum())?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Stations that go after others: all known, and none after itself by a way around.
    fn check_precedence(&self) -> Result<(), Domain> {
        let mut left: Vec<&Station> = self.stations.iter().collect();
        let gated = left.iter().any(|s| !s.after.is_empty());
        if gated && self.sources.iter().any(|s| s.patience.is_some()) {
            return Err(Domain::undefined(
                "clients that give up are not modelled where stations go after others",
            ));
        }
        if let Some(first) = (left.iter())
            .flat_map(|s| &s.after)
            .find(|first| self.station(first).is_none())
        {
            return Err(Domain::undefined(format!("no station called {first:?}")));
        }
        // Each round takes out those that wait for nobody that is left.
        for _ in 0..self.stations.len() {
            let names: Vec<&str> = left.iter().map(|s| s.name.as_str()).collect();
            left.retain(|s| s.after.iter().any(|first| names.contains(&first.as_str())));
        }
        match left.first() {
            None => Ok(()),
            Some(station) => Err(Domain::undefined(format!(
                "{} goes after itself by a way around",
                station.name
            ))),
        }
    }

    fn check_emissions(&self, emits: &[Emission]) -> Result<(), Domain> {
        for emission in emits {
            let sum: f64 = emission.iter().map(|b| b.p).sum();
            probability("sum of branch probabilities", sum - 1e-9)
                .or_else(|e| if sum == 0.0 { Ok(0.0) } else { Err(e) })?;
            for branch in emission {
                probability("branch probability", branch.p)?;
                if self.station(&branch.to).is_none() {
                    return Err(Domain::undefined(format!(
                        "no station called {:?}",
                        branch.to
                    )));
                }
            }
        }
        Ok(())
    }
}
