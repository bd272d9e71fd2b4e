//! One replication: the loop over the calendar, and the sources.
#![allow(
    clippy::indexing_slicing,
    reason = "stations and sources are numbered by the wiring"
)]

use crate::arrivals::BatchSize;
use crate::simulate::calendar::{Calendar, Entry, Kind};
use crate::simulate::gate::{self, Fans};
use crate::simulate::job::{Job, NONE, Place, Slab};
use crate::simulate::random::Rng;
use crate::simulate::state::{Bucket, Roots, SourceCounts, StationState};
use crate::simulate::wiring::{ArrivalPlan, Wiring};

/// Bounds of one replication, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) warm_up: u64,
    pub(crate) horizon: u64,
    /// Go on without new events until all are done.
    pub(crate) drain: bool,
    /// Stop after this many calendar entries.
    pub(crate) max_events: u64,
    /// Keep the response times in order of completion.
    pub(crate) series: bool,
}

pub(crate) struct SourceState {
    pub(crate) interval_rng: Rng,
    pub(crate) key_rng: Rng,
    pub(crate) route_rng: Rng,
    pub(crate) budget: Option<Bucket>,
    pub(crate) counts: SourceCounts,
    /// State of an MMPP, or position in a trace or profile.
    pub(crate) position: usize,
    version: u32,
}

/// A replication in progress.
pub(crate) struct Run<'a> {
    pub(crate) wiring: &'a Wiring,
    pub(crate) bounds: Bounds,
    pub(crate) now: u64,
    pub(crate) calendar: Calendar,
    pub(crate) jobs: Slab,
    pub(crate) roots: Roots,
    pub(crate) fans: Fans,
    pub(crate) stations: Vec<StationState>,
    pub(crate) sources: Vec<SourceState>,
    pub(crate) series: Vec<f64>,
    /// Calendar entries handled.
    pub(crate) events: u64,
    /// (∫ present, ∫ busy, served) of each station at the horizon.
    pub(crate) at_horizon: Vec<(u128, u128, u64)>,
    pub(crate) truncated: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(wiring: &'a Wiring, bounds: Bounds, seed: u64, replication: u64) -> Self {
        let sources = wiring
            .sources
            .iter()
            .enumerate()
            .map(|(i, plan)| {
                // Sources and stations may share a name: purposes differ. So do those of several
                // sources of one name.
                let before = wiring.sources[..i].iter().filter(|s| s.name == plan.name);
                let more = 1_000 * before.count() as u64;
                let stream = |purpose| Rng::stream(seed, replication, &plan.name, purpose + more);
                SourceState {
                    interval_rng: stream(11),
                    key_rng: stream(12),
                    route_rng: stream(13),
                    budget: plan
                        .patience
                        .as_ref()
                        .and_then(|p| p.budget)
                        .map(Bucket::new),
                    counts: SourceCounts::default(),
                    position: 0,
                    version: 0,
                }
            })
            .collect();
        let stations = wiring
            .stations
            .iter()
            .map(|plan| StationState::new(plan, wiring, seed, replication))
            .collect();
        let mut run = Self {
            wiring,
            bounds,
            now: 0,
            calendar: Calendar::default(),
            jobs: Slab::default(),
            roots: Roots::default(),
            fans: Fans::default(),
            stations,
            sources,
            series: Vec::new(),
            events: 0,
            at_horizon: Vec::new(),
            truncated: false,
        };
        (0..wiring.sources.len()).for_each(|i| run.open_source(i));
        run
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) {
        let mut warm = self.bounds.warm_up == 0;
        while let Some(entry) = self.calendar.pop() {
            if !warm && entry.time >= self.bounds.warm_up {
                warm = true;
                self.forget(self.bounds.warm_up);
            }
            if entry.time > self.bounds.horizon {
                if self.at_horizon.is_empty() {
                    self.note_horizon();
                }
                if !self.bounds.drain || self.jobs.live() == 0 {
                    return;
                }
            }
            self.now = entry.time;
            self.events += 1;
            self.handle(entry);
            if self.events >= self.bounds.max_events {
                self.truncated = true;
                break;
            }
        }
        if self.at_horizon.is_empty() {
            self.note_horizon();
        }
    }

    /// The end of the window that is measured: the horizon, or where the run was cut off.
    pub(crate) fn at_horizon_time(&self) -> u64 {
        if self.truncated {
            self.now.min(self.bounds.horizon)
        } else {
            self.bounds.horizon
        }
    }

    #[inline]
    fn handle(&mut self, entry: Entry) {
        let index = entry.index as usize;
        match entry.kind {
            Kind::Arrive => self.arrive(index, entry.stamp),
            Kind::Done => self.done(entry.index, entry.stamp),
            Kind::Retry => self.retry(entry.index, entry.stamp),
            Kind::GiveUp => self.give_up(entry.index, entry.stamp),
            Kind::Switch => self.switch(index),
            Kind::Share => self.shared(index, entry.stamp),
            Kind::Probe => self.probe(index),
            Kind::Pace => {
                self.stations[index].pace_at = u64::MAX;
                self.serve_waiting(index);
            }
            Kind::Linger => {
                self.stations[index].linger_at = u64::MAX;
                self.refill(index);
            }
        }
    }

    fn forget(&mut self, now: u64) {
        for (state, plan) in self.stations.iter_mut().zip(&self.wiring.stations) {
            state.reset(plan, now);
        }
        for source in &mut self.sources {
            source.counts = SourceCounts::default();
        }
    }

    fn note_horizon(&mut self) {
        let at = self.at_horizon_time();
        for (state, plan) in self.stations.iter_mut().zip(&self.wiring.stations) {
            state.account(plan, at.max(state.at));
            self.at_horizon
                .push((state.area, state.busy, state.counts.served));
        }
    }

    fn open_source(&mut self, i: usize) {
        let wiring = self.wiring;
        let state = &mut self.sources[i];
        match &wiring.sources[i].arrivals {
            ArrivalPlan::Timer {
                period,
                count,
                aligned,
            } => {
                let timers = if *aligned { 1 } else { *count };
                for timer in 0..timers {
                    let phase = (state.interval_rng.uniform() * *period as f64) as u64;
                    self.calendar.push(phase, Kind::Arrive, i as u32, timer);
                }
            }
            ArrivalPlan::Mmpp2 {
                stay,
                start_in_first,
                ..
            } => {
                let first = state.interval_rng.uniform() <= *start_in_first;
                state.position = usize::from(!first);
                let at = (stay[state.position] * state.interval_rng.exponential()) as u64;
                self.calendar.push(at, Kind::Switch, i as u32, 0);
                self.next_arrival(i);
            }
            _ => self.next_arrival(i),
        }
    }

    #[inline]
    fn arrive(&mut self, i: usize, stamp: u32) {
        let wiring = self.wiring;
        match &wiring.sources[i].arrivals {
            ArrivalPlan::Interval { size: None, .. }
            | ArrivalPlan::Trace(_)
            | ArrivalPlan::Profile(_)
            | ArrivalPlan::Never => self.create(i),
            ArrivalPlan::Interval {
                size: Some(size), ..
            } => {
                for _ in 0..self.batch_size(i, *size) {
                    self.create(i);
                }
            }
            ArrivalPlan::Mmpp2 { .. } => {
                if stamp != self.sources[i].version {
                    return;
                }
                self.create(i);
            }
            ArrivalPlan::Timer {
                period,
                count,
                aligned,
            } => {
                for _ in 0..if *aligned { *count } else { 1 } {
                    self.create(i);
                }
                let at = self.now + period;
                if at <= self.bounds.horizon {
                    self.calendar.push(at, Kind::Arrive, i as u32, stamp);
                }
                return;
            }
        }
        self.next_arrival(i);
    }

    fn batch_size(&mut self, i: usize, size: BatchSize) -> u32 {
        use crate::numeric::elementary::ln;
        match size {
            BatchSize::Fixed(n) => n,
            BatchSize::Geometric(mean) if mean <= 1.0 => 1,
            BatchSize::Geometric(mean) => {
                let rng = &mut self.sources[i].interval_rng;
                1 + (ln(rng.uniform()) / ln(1.0 - 1.0 / mean)) as u32
            }
        }
    }

    fn next_arrival(&mut self, i: usize) {
        let wiring = self.wiring;
        let state = &mut self.sources[i];
        let rng = &mut state.interval_rng;
        let at = match &wiring.sources[i].arrivals {
            ArrivalPlan::Interval { interval, .. } => self.now + interval.draw(rng),
            ArrivalPlan::Mmpp2 { mean, .. } => {
                let mean = mean[state.position];
                if !mean.is_finite() {
                    return;
                }
                self.now + (mean * rng.exponential()) as u64
            }
            ArrivalPlan::Trace(at) => {
                let Some(&at) = at.get(state.position) else {
                    return;
                };
                state.position += 1;
                at
            }
            ArrivalPlan::Profile(pieces) => match next_in_profile(pieces, self.now, rng) {
                Some(at) => at,
                None => return,
            },
            ArrivalPlan::Timer { .. } | ArrivalPlan::Never => return,
        };
        if at <= self.bounds.horizon {
            self.calendar
                .push(at, Kind::Arrive, i as u32, self.sources[i].version);
        }
    }

    fn switch(&mut self, i: usize) {
        let wiring = self.wiring;
        if let ArrivalPlan::Mmpp2 { stay, .. } = &wiring.sources[i].arrivals {
            let state = &mut self.sources[i];
            state.position = 1 - state.position;
            state.version = state.version.wrapping_add(1);
            let stay = stay[state.position] * state.interval_rng.exponential();
            let at = self.now + stay as u64;
            if at <= self.bounds.horizon {
                self.calendar.push(at, Kind::Switch, i as u32, 0);
            }
            self.next_arrival(i);
        }
    }

    /// A new event of source `i`.
    #[inline]
    fn create(&mut self, i: usize) {
        let wiring = self.wiring;
        let plan = &wiring.sources[i];
        let state = &mut self.sources[i];
        state.counts.offered += 1;
        // The arrival after this one is not scheduled yet, so the position is that behind this one.
        let record = match plan.recorded.len() {
            0 => NONE,
            _ => state.position.saturating_sub(1) as u32,
        };
        let recorded = plan.recorded.get(record as usize);
        let key = match (recorded.and_then(|r| r.key), &plan.keys) {
            (Some(key), _) => key,
            (None, Some(keys)) => keys.draw(&mut state.key_rng),
            (None, None) => 0,
        };
        if let Some(bucket) = &mut state.budget {
            bucket.new_event();
        }
        let copies = plan.emits.len() as u32;
        let root = if copies > 1 {
            self.roots.add(copies)
        } else {
            NONE
        };
        let job = Job {
            born: self.now,
            entered: self.now,
            first: self.now,
            deadline: u64::MAX,
            started: self.now,
            service: 0,
            record,
            rank: 0,
            key,
            next: NONE,
            root,
            fan: NONE,
            sent: self.now,
            serial: 0,
            epoch: 0,
            station: 0,
            source: i as u16,
            class: plan.class,
            attempt: 0,
            client_attempt: 0,
            place: Place::Outside,
            abandoned: false,
            cut: false,
        };
        if wiring.gated && copies > 1 {
            let to = gate::chosen(&plan.emits, &mut self.sources[i].route_rng);
            return self.fan_out(job, &to);
        }
        for emission in &plan.emits {
            let to = emission.choose(&mut self.sources[i].route_rng);
            self.send(job, to);
        }
    }

    /// Sends a fresh copy on its way, and sets its client's alarm.
    pub(crate) fn send(&mut self, job: Job, to: Option<usize>) {
        let slot = self.jobs.add(job);
        if let Some(patience) = &self.wiring.sources[job.source as usize].patience {
            let at = self.now + patience.timeout;
            self.calendar
                .push(at, Kind::GiveUp, slot, self.jobs[slot].serial);
        }
        match to {
            Some(station) => self.enter(slot, station),
            None => self.end(slot, crate::simulate::state::Outcome::Consumed),
        }
    }
}

/// The next event of a Poisson process whose rate (1/tick) is constant on pieces.
fn next_in_profile(pieces: &[(u64, f64)], now: u64, rng: &mut Rng) -> Option<u64> {
    let mut need = rng.exponential();
    let (mut start, mut at) = (0_u64, now);
    for (i, &(length, rate)) in pieces.iter().enumerate() {
        let end = if i + 1 == pieces.len() {
            u64::MAX
        } else {
            start.saturating_add(length)
        };
        if at < end {
            let room = (end - at) as f64 * rate;
            if need <= room {
                return Some(at + (need / rate) as u64);
            }
            need -= room;
            at = end;
        }
        start = end;
    }
    None
}
