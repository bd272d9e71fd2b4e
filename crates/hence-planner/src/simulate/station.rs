//! A job at a station: entering, waiting, being served, making room.
#![allow(
    clippy::indexing_slicing,
    reason = "stations are numbered by the wiring"
)]

use std::cmp::Reverse;

use crate::model::{Discipline, OnFull};
use crate::simulate::calendar::Kind;
use crate::simulate::job::{NONE, Place};
use crate::simulate::line::Line;
use crate::simulate::run::Run;
use crate::simulate::sampler::ticks;
use crate::simulate::state::Outcome;

impl Run<'_> {
    /// A job arrives at a station, which may be full.
    #[inline]
    pub(crate) fn enter(&mut self, slot: u32, s: usize) {
        let plan = &self.wiring.stations[s];
        if self.stations[s].present >= plan.capacity {
            match plan.on_full {
                OnFull::Block => {
                    self.jobs[slot].place = Place::Outside;
                    self.stations[s].blocked.push_back(slot);
                    return;
                }
                OnFull::DropOldest if self.push_out_oldest(s) => {}
                OnFull::Reject | OnFull::DropOldest => {
                    self.stations[s].counts.rejected += 1;
                    self.end(slot, Outcome::Rejected);
                    return;
                }
            }
        }
        self.admit(slot, s);
    }

    fn push_out_oldest(&mut self, s: usize) -> bool {
        let oldest = self.stations[s].line.pop(&mut self.jobs);
        let Some(slot) = oldest else { return false };
        self.stations[s].waiting -= 1;
        self.stations[s].counts.rejected += 1;
        self.depart(slot, s, true);
        self.end(slot, Outcome::Rejected);
        true
    }

    /// A job takes a place: served at once or put in line.
    #[inline]
    fn admit(&mut self, slot: u32, s: usize) {
        let plan = &self.wiring.stations[s];
        self.occupy(slot, s);
        let state = &mut self.stations[s];
        if self.jobs[slot].attempt == 0 {
            self.jobs[slot].rank = state.ranks;
            state.ranks += 1;
        }
        if plan.direct && state.free > 0 {
            self.start(slot, s);
        } else if plan.discipline == Discipline::Sharing {
            self.share(slot, s);
        } else {
            self.queue(slot, s);
        }
    }

    /// Counts a job in and draws its service time.
    #[inline]
    pub(crate) fn occupy(&mut self, slot: u32, s: usize) {
        let plan = &self.wiring.stations[s];
        let state = &mut self.stations[s];
        state.account(plan, self.now);
        state.present += 1;
        state.counts.entered += 1;
        let job = &mut self.jobs[slot];
        job.entered = self.now;
        job.station = s as u16;
        if job.attempt == 0 {
            // What waited for others was due since it was sent.
            if !plan.after.is_empty() {
                job.entered = job.sent;
            }
            job.first = self.now;
            if let Some(classes) = &plan.classes {
                job.class = classes.draw(&mut state.trait_rng) as u16;
            }
            job.deadline = match &plan.expiry {
                Some((share, after)) if state.trait_rng.uniform() <= *share => {
                    self.now + after.draw(&mut state.trait_rng)
                }
                _ => u64::MAX,
            };
        }
        let recorded = self.wiring.sources[job.source as usize]
            .recorded
            .get(job.record as usize)
            .filter(|_| job.attempt == 0)
            .and_then(|record| record.service(s));
        let drawn = match recorded {
            Some(ticks) => ticks,
            None => plan.service[job.class as usize].draw(&mut state.service_rng),
        };
        job.cut = drawn > plan.timeout;
        job.service = drawn.min(plan.timeout);
    }

    fn queue(&mut self, slot: u32, s: usize) {
        let plan = &self.wiring.stations[s];
        let value = self.line_value(slot, plan.discipline);
        let state = &mut self.stations[s];
        self.jobs[slot].place = Place::Waiting;
        state.line.push(slot, value, &mut self.jobs);
        state.waiting += 1;
        if state.free == 0 {
            match plan.discipline {
                Discipline::PriorityPreemptive | Discipline::Srpt => self.preempt_for(slot, s),
                _ => return,
            }
        }
        self.serve_waiting(s);
    }

    fn line_value(&self, slot: u32, discipline: Discipline) -> u64 {
        let job = &self.jobs[slot];
        match discipline {
            Discipline::Deadline => self.deadline(slot),
            Discipline::Srpt => job.service,
            Discipline::Aged { step } => job.first + u64::from(job.class) * ticks(step),
            Discipline::Lifo => u64::MAX - job.rank,
            _ => 0,
        }
    }

    /// When a job is too old: by its station's law, or else by its source's.
    fn deadline(&self, slot: u32) -> u64 {
        let job = &self.jobs[slot];
        if self.wiring.stations[job.station as usize].expiry.is_some() {
            return job.deadline;
        }
        let deadline = self.wiring.sources[job.source as usize].deadline;
        job.born.saturating_add(deadline)
    }

    /// Interrupts the least urgent running job if the new one is more urgent.
    fn preempt_for(&mut self, slot: u32, s: usize) {
        let plan = &self.wiring.stations[s];
        let now = self.now;
        let srpt = plan.discipline == Discipline::Srpt;
        let jobs = &self.jobs;
        let urgency = |slot: u32| {
            let job = &jobs[slot];
            let left = if job.place == Place::Serving {
                job.service - (now - job.started)
            } else {
                job.service
            };
            if srpt {
                (left, job.rank)
            } else {
                (u64::from(job.class), job.rank)
            }
        };
        let Some(victim) = self.stations[s]
            .running
            .iter()
            .copied()
            .max_by_key(|&r| urgency(r))
        else {
            return;
        };
        if urgency(victim).0 <= urgency(slot).0 {
            return;
        }
        let job = &mut self.jobs[victim];
        job.service -= now - job.started;
        job.epoch = job.epoch.wrapping_add(1);
        job.place = Place::Waiting;
        let value = self.line_value(victim, plan.discipline);
        let state = &mut self.stations[s];
        state.account(plan, now);
        state.free += 1;
        state.running.retain(|&r| r != victim);
        state.line.push_front(victim, value, &mut self.jobs);
        state.waiting += 1;
    }

    /// A free worker takes a job.
    #[inline]
    fn start(&mut self, slot: u32, s: usize) {
        let plan = &self.wiring.stations[s];
        let state = &mut self.stations[s];
        state.account(plan, self.now);
        state.free -= 1;
        let job = &mut self.jobs[slot];
        job.place = Place::Serving;
        job.started = self.now;
        job.epoch = job.epoch.wrapping_add(1);
        self.calendar
            .push(self.now + job.service, Kind::Done, slot, job.epoch);
        if job.attempt == 0
            && let Some(spaced) = &mut state.spaced
        {
            spaced.first_attempt();
        }
        if let Some(pace) = plan.pace {
            state.pace_used = state.pace_used.max(self.now) + pace.spacing;
        }
        if matches!(
            plan.discipline,
            Discipline::PriorityPreemptive | Discipline::Srpt
        ) {
            state.running.push(slot);
        }
    }

    /// Free workers take what waits, as far as breaker and batch allow.
    pub(crate) fn serve_waiting(&mut self, s: usize) {
        let plan = &self.wiring.stations[s];
        while self.stations[s].free > 0 && self.stations[s].waiting > 0 {
            if self.stations[s].breaker.open && !self.stations[s].breaker.may_probe {
                return;
            }
            if !self.pace_permits(s) {
                return;
            }
            if let Some(batch) = &plan.batch {
                if !self.batch_is_due(s, batch.max, batch.linger) {
                    return;
                }
                self.start_batch(s, batch.max, batch.per_item);
                continue;
            }
            let Some(slot) = self.next_waiting(s) else {
                return;
            };
            let state = &mut self.stations[s];
            if state.breaker.open {
                state.breaker.may_probe = false;
                state.breaker.probe = Some(slot);
            }
            self.start(slot, s);
        }
    }

    /// Whether a call may begin now; else the station is looked at again when one may.
    fn pace_permits(&mut self, s: usize) -> bool {
        let Some(pace) = self.wiring.stations[s].pace else {
            return true;
        };
        let state = &mut self.stations[s];
        let free = state.pace_used + pace.spacing;
        if free <= self.now + pace.ahead {
            return true;
        }
        let at = free - pace.ahead;
        if state.pace_at > at {
            state.pace_at = at;
            self.calendar.push(at, Kind::Pace, s as u32, 0);
        }
        false
    }

    fn batch_is_due(&mut self, s: usize, max: u32, linger: u64) -> bool {
        let state = &mut self.stations[s];
        if linger == 0 || state.waiting >= max {
            return true;
        }
        let Some(oldest) = state.line.oldest() else {
            return true;
        };
        let due = self.jobs[oldest].entered + linger;
        if due > self.now && state.linger_at > due {
            state.linger_at = due;
            self.calendar.push(due, Kind::Linger, s as u32, 0);
        }
        due <= self.now
    }

    fn start_batch(&mut self, s: usize, max: u32, per_item: u64) {
        let Some(first) = self.next_waiting(s) else {
            return;
        };
        let (mut last, mut size) = (first, 1);
        while size < max && self.stations[s].waiting > 0 {
            let Some(slot) = self.next_waiting(s) else {
                break;
            };
            self.jobs[last].next = slot;
            self.jobs[slot].place = Place::Serving;
            self.jobs[slot].started = self.now;
            last = slot;
            size += 1;
        }
        self.jobs[last].next = NONE;
        self.jobs[first].service += per_item * u64::from(size);
        self.start(first, s);
    }

    /// The next job to be served; those given up or too old are dropped on the way.
    #[inline]
    fn next_waiting(&mut self, s: usize) -> Option<u32> {
        let plan = &self.wiring.stations[s];
        let (congested, slough) = self.congestion(s);
        if congested {
            self.slough_off(s, slough);
        }
        loop {
            let slot = match plan.discipline {
                Discipline::Lifo => match self.stations[s].line.pop_newest() {
                    Some(slot) => Some(slot),
                    None => self.stations[s].line.pop(&mut self.jobs),
                },
                Discipline::AdaptiveLifo { .. } => self.next_adaptive(s, congested),
                _ => self.stations[s].line.pop(&mut self.jobs),
            }?;
            let state = &mut self.stations[s];
            state.waiting -= 1;
            let job = &self.jobs[slot];
            let source = &self.wiring.sources[job.source as usize];
            let withdrawn = job.abandoned && source.patience.as_ref().is_some_and(|p| p.cancel);
            let too_old = plan.drop_expired && self.now > self.deadline(slot);
            if !withdrawn && !too_old {
                return Some(slot);
            }
            self.drop_expired(slot, s);
        }
    }

    /// Whether an adaptive station is congested, and the age it then drops.
    fn congestion(&self, s: usize) -> (bool, u64) {
        let Discipline::AdaptiveLifo {
            congested_after,
            slough,
        } = self.wiring.stations[s].discipline
        else {
            return (false, u64::MAX);
        };
        let standing = self.now - self.stations[s].line_empty_at;
        (standing > ticks(congested_after), ticks(slough))
    }

    /// Drops what has waited longer than the limit, from the old end.
    fn slough_off(&mut self, s: usize, limit: u64) {
        while let Some(oldest) = self.stations[s].line.oldest() {
            if self.now - self.jobs[oldest].entered <= limit {
                break;
            }
            self.stations[s].line.pop(&mut self.jobs);
            self.stations[s].waiting -= 1;
            self.drop_expired(oldest, s);
        }
    }

    fn drop_expired(&mut self, slot: u32, s: usize) {
        self.stations[s].counts.expired += 1;
        self.depart(slot, s, true);
        self.handled(slot, s);
        self.end(slot, Outcome::Expired);
    }

    /// Under congestion the newest; whether it is still young enough is the caller's question.
    fn next_adaptive(&mut self, s: usize, congested: bool) -> Option<u32> {
        let line = &mut self.stations[s].line;
        if congested {
            line.pop_newest()
        } else {
            line.pop(&mut self.jobs)
        }
    }

    /// A job gives its place back; its worker, if it had one, is freed by the caller.
    #[inline]
    pub(crate) fn depart(&mut self, slot: u32, s: usize, free_key: bool) {
        let plan = &self.wiring.stations[s];
        let state = &mut self.stations[s];
        state.account(plan, self.now);
        state.present -= 1;
        if free_key && let Line::Lanes(lanes) = &mut state.line {
            lanes.release(self.jobs[slot].key, &self.jobs);
        }
    }

    /// After something left: senders that wait for a place come in, workers take what waits.
    #[inline]
    pub(crate) fn refill(&mut self, s: usize) {
        let capacity = self.wiring.stations[s].capacity;
        while self.stations[s].present < capacity {
            let Some(slot) = self.stations[s].blocked.pop_front() else {
                break;
            };
            let job = self.jobs[slot];
            let upstream = job.station as usize;
            if job.place == Place::Blocked {
                self.depart(slot, upstream, true);
                self.stations[upstream].free += 1;
            }
            self.admit(slot, s);
            if job.place == Place::Blocked {
                self.refill(upstream);
            }
        }
        if self.stations[s].waiting > 0 {
            self.serve_waiting(s);
        }
        if self.stations[s].free > 0 {
            self.stations[s].line_empty_at = self.now;
        }
    }

    /// A job joins a sharing station.
    fn share(&mut self, slot: u32, s: usize) {
        self.advance_sharing(s, 1);
        let state = &mut self.stations[s];
        let job = &mut self.jobs[slot];
        job.place = Place::Serving;
        job.started = self.now;
        let end = (state.sharing.attained + job.service as f64) as u64;
        state.sharing.ends.push(Reverse((end, job.rank, slot)));
        self.schedule_sharing(s);
    }

    /// The next job of a sharing station is complete.
    pub(crate) fn shared(&mut self, s: usize, stamp: u32) {
        if stamp != self.stations[s].sharing.version {
            return;
        }
        self.advance_sharing(s, 0);
        let Some(Reverse((end, _, slot))) = self.stations[s].sharing.ends.pop() else {
            return;
        };
        let state = &mut self.stations[s];
        state.sharing.attained = state.sharing.attained.max(end as f64);
        self.complete(slot, s);
        self.schedule_sharing(s);
    }

    /// Brings attained service up to now; `joining` jobs are already counted but not yet served.
    fn advance_sharing(&mut self, s: usize, joining: u32) {
        let plan = &self.wiring.stations[s];
        let state = &mut self.stations[s];
        let served = f64::from(state.present - joining);
        let share = if served > 0.0 {
            (f64::from(plan.servers) / served).min(1.0)
        } else {
            0.0
        };
        state.sharing.attained += (self.now - state.sharing.at) as f64 * share;
        state.sharing.at = self.now;
    }

    fn schedule_sharing(&mut self, s: usize) {
        let plan = &self.wiring.stations[s];
        let state = &mut self.stations[s];
        state.account(plan, self.now);
        state.free = plan.servers - state.present.min(plan.servers);
        state.sharing.version = state.sharing.version.wrapping_add(1);
        if let Some(Reverse((end, ..))) = state.sharing.ends.peek() {
            let left = (*end as f64 - state.sharing.attained).max(0.0);
            let slow = (f64::from(state.present) / f64::from(plan.servers)).max(1.0);
            let at = self.now + (left * slow).ceil() as u64;
            self.calendar
                .push(at, Kind::Share, s as u32, state.sharing.version);
        }
    }
}
