//! The end of an attempt: what follows, failures, retries, breakers, clients who give up.
#![allow(
    clippy::indexing_slicing,
    reason = "stations and sources are numbered by the wiring"
)]

use crate::model::{Discipline, OnFull};
use crate::simulate::calendar::Kind;
use crate::simulate::gate;
use crate::simulate::job::{Job, NONE, Place};
use crate::simulate::line::Line;
use crate::simulate::run::Run;
use crate::simulate::sampler::{TICKS, ticks};
use crate::simulate::state::Outcome;

impl Run<'_> {
    /// A worker has finished; `stamp` tells whether it was interrupted meanwhile.
    #[inline]
    pub(crate) fn done(&mut self, slot: u32, stamp: u32) {
        let job = &self.jobs[slot];
        if job.place != Place::Serving || job.epoch != stamp {
            return;
        }
        let s = job.station as usize;
        let plan = &self.wiring.stations[s];
        if plan.batch.is_some() {
            return self.done_batch(slot, s);
        }
        if matches!(
            plan.discipline,
            Discipline::PriorityPreemptive | Discipline::Srpt
        ) {
            self.stations[s].running.retain(|&r| r != slot);
        }
        self.complete(slot, s);
    }

    fn done_batch(&mut self, first: u32, s: usize) {
        let mut at = first;
        let mut members = Vec::new();
        while at != NONE {
            members.push(at);
            at = std::mem::replace(&mut self.jobs[at].next, NONE);
        }
        let plan = &self.wiring.stations[s];
        self.stations[s].account(plan, self.now);
        self.stations[s].free += 1;
        for &slot in &members {
            let failed = self.record(slot, s);
            self.depart(slot, s, true);
            if failed {
                self.fail(slot, s, false);
            } else {
                self.pass_on(slot, s);
            }
        }
        self.refill(s);
    }

    /// One job of a station that serves singly is complete.
    pub(crate) fn complete(&mut self, slot: u32, s: usize) {
        let plan = &self.wiring.stations[s];
        let failed = self.record(slot, s);
        if failed {
            let hold = self.holds_key(slot, s);
            self.depart(slot, s, !hold);
            self.stations[s].free += 1;
            self.fail(slot, s, hold);
            self.refill(s);
            return;
        }
        self.handled(slot, s);
        let single = match plan.emits.as_slice() {
            [] => Some(None),
            [emission] => Some(emission.choose(&mut self.stations[s].route_rng)),
            _ => None,
        };
        if let Some(Some(to)) = single
            && self.is_blocked(to)
        {
            self.jobs[slot].place = Place::Blocked;
            self.stations[s].counts.blocked += 1;
            self.stations[to].blocked.push_back(slot);
            return;
        }
        self.depart(slot, s, true);
        self.stations[s].free += 1;
        self.refill(s);
        match single {
            Some(Some(to)) => self.forward(slot, to),
            Some(None) => self.end(slot, Outcome::Consumed),
            None => self.pass_on(slot, s),
        }
    }

    fn is_blocked(&self, to: usize) -> bool {
        let plan = &self.wiring.stations[to];
        plan.on_full == OnFull::Block && self.stations[to].present >= plan.capacity
    }

    /// Notes the visit; returns whether the attempt failed.
    #[inline]
    fn record(&mut self, slot: u32, s: usize) -> bool {
        let plan = &self.wiring.stations[s];
        let job = self.jobs[slot];
        let state = &mut self.stations[s];
        state.counts.served += 1;
        if job.entered >= self.bounds.warm_up {
            let response = self.now - job.entered;
            // Interrupted jobs start more than once: the wait is what was not service.
            let wait = match plan.discipline {
                Discipline::PriorityPreemptive | Discipline::Srpt => {
                    response.saturating_sub(job.service)
                }
                _ => job.started - job.entered,
            };
            let visits = &mut state.classes[job.class as usize];
            visits.wait.record(wait);
            visits.response.record(response);
        }
        let failed = match &plan.failure {
            None => job.cut,
            Some(failure) => {
                let out = failure
                    .outage
                    .is_some_and(|(a, b)| (a..b).contains(&self.now));
                state.failure_rng.uniform() <= failure.probability || out || job.cut
            }
        };
        if failed {
            state.counts.failed += 1;
        }
        if plan.breaker.is_some() {
            self.judge(slot, s, failed);
        }
        failed
    }

    fn holds_key(&self, slot: u32, s: usize) -> bool {
        let Some(failure) = &self.wiring.stations[s].failure else {
            return false;
        };
        failure.retry.hold_key
            && u32::from(self.jobs[slot].attempt) + 1 < failure.retry.attempts
            && matches!(self.stations[s].line, Line::Lanes(_))
    }

    /// After a failed attempt: back off and try again, or die.
    fn fail(&mut self, slot: u32, s: usize, hold: bool) {
        let now = self.now;
        let state = &mut self.stations[s];
        let job = &mut self.jobs[slot];
        job.attempt += 1;
        let attempt = u32::from(job.attempt);
        if let Some(failure) = &self.wiring.stations[s].failure {
            let retry = &failure.retry;
            if attempt == 1
                && let Some(bucket) = &mut state.budget
            {
                bucket.new_event();
            }
            let allowed = attempt < retry.attempts
                && state.budget.as_mut().is_none_or(|bucket| bucket.take(now));
            if allowed {
                let full = (retry.base * retry.factor.powi(attempt as i32 - 1)).min(retry.cap);
                let share = if retry.jitter {
                    state.failure_rng.uniform()
                } else {
                    1.0
                };
                job.place = Place::BackingOff;
                let stamp = job.serial;
                let longer = state.spaced.as_mut().map_or(0, |spaced| spaced.wait(now));
                let due = now + ticks(full * share) + longer;
                self.calendar.push(due, Kind::Retry, slot, stamp);
                return;
            }
        }
        state.counts.dead += 1;
        if hold && let Line::Lanes(lanes) = &mut state.line {
            lanes.release(job.key, &self.jobs);
        }
        self.end(slot, Outcome::Dead);
    }

    /// A back-off is over.
    pub(crate) fn retry(&mut self, slot: u32, stamp: u32) {
        let job = &self.jobs[slot];
        if job.place != Place::BackingOff || job.serial != stamp {
            return;
        }
        let s = job.station as usize;
        let hold = self.wiring.stations[s]
            .failure
            .as_ref()
            .is_some_and(|f| f.retry.hold_key);
        if hold && matches!(self.stations[s].line, Line::Lanes(_)) {
            self.occupy(slot, s);
            self.jobs[slot].place = Place::Waiting;
            let state = &mut self.stations[s];
            state.waiting += 1;
            state.line.push_front(slot, 0, &mut self.jobs);
            self.serve_waiting(s);
        } else {
            self.enter(slot, s);
        }
    }

    /// The breaker looks at a first attempt.
    fn judge(&mut self, slot: u32, s: usize, failed: bool) {
        let plan = &self.wiring.stations[s];
        let Some(breaker) = plan.breaker else { return };
        let state = &mut self.stations[s];
        if state.breaker.open {
            if state.breaker.probe == Some(slot) {
                state.breaker.probe = None;
                if failed {
                    let at = self.now + plan.probe_every;
                    self.calendar.push(at, Kind::Probe, s as u32, 0);
                } else {
                    state.breaker.open = false;
                    state.breaker.row = 0;
                }
            }
            return;
        }
        if self.jobs[slot].attempt > 0 {
            return;
        }
        state.breaker.row = if failed { state.breaker.row + 1 } else { 0 };
        if state.breaker.row >= breaker.consecutive {
            state.breaker.open = true;
            state.counts.tripped += 1;
            self.calendar
                .push(self.now + plan.probe_every, Kind::Probe, s as u32, 0);
        }
    }

    /// An open breaker lets one event through.
    pub(crate) fn probe(&mut self, s: usize) {
        self.stations[s].breaker.may_probe = true;
        self.serve_waiting(s);
    }

    /// A client's patience is over.
    pub(crate) fn give_up(&mut self, slot: u32, stamp: u32) {
        let job = self.jobs[slot];
        if job.place == Place::Free || job.serial != stamp {
            return;
        }
        let plan = &self.wiring.sources[job.source as usize];
        let Some(patience) = &plan.patience else {
            return;
        };
        self.jobs[slot].abandoned = true;
        if u32::from(job.client_attempt) + 1 >= patience.attempts {
            return;
        }
        let now = self.now;
        let source = &mut self.sources[job.source as usize];
        if source
            .budget
            .as_mut()
            .is_some_and(|bucket| !bucket.take(now))
        {
            return;
        }
        if job.born >= self.bounds.warm_up {
            source.counts.resent += 1;
        }
        let mut again = job;
        again.client_attempt += 1;
        again.attempt = 0;
        again.next = NONE;
        again.fan = NONE;
        again.abandoned = false;
        again.place = Place::Outside;
        let to = plan
            .emits
            .first()
            .and_then(|e| e.choose(&mut source.route_rng));
        self.send(again, to);
    }

    /// Sends the copies of a handled event on.
    fn pass_on(&mut self, slot: u32, s: usize) {
        let wiring = self.wiring;
        let emits = &wiring.stations[s].emits;
        let Some((first, others)) = emits.split_first() else {
            return self.end(slot, Outcome::Consumed);
        };
        if !others.is_empty() {
            let copies = others.len() as u32;
            match self.jobs[slot].root {
                NONE => self.jobs[slot].root = self.roots.add(copies + 1),
                root => self.roots.more(root, copies),
            }
        }
        if wiring.gated && !others.is_empty() {
            let to = gate::chosen(emits, &mut self.stations[s].route_rng);
            let job = Job {
                attempt: 0,
                next: NONE,
                sent: self.now,
                place: Place::Outside,
                ..self.jobs[slot]
            };
            self.jobs.remove(slot);
            return self.fan_out(job, &to);
        }
        let copy = self.jobs[slot];
        for emission in others {
            let to = emission.choose(&mut self.stations[s].route_rng);
            let slot = self.jobs.add(copy);
            match to {
                Some(to) => self.forward(slot, to),
                None => self.end(slot, Outcome::Consumed),
            }
        }
        match first.choose(&mut self.stations[s].route_rng) {
            Some(to) => self.forward(slot, to),
            None => self.end(slot, Outcome::Consumed),
        }
    }

    #[inline]
    fn forward(&mut self, slot: u32, to: usize) {
        self.jobs[slot].attempt = 0;
        self.jobs[slot].next = NONE;
        self.jobs[slot].sent = self.now;
        self.enter(slot, to);
    }

    /// A copy leaves the network.
    #[inline]
    pub(crate) fn end(&mut self, slot: u32, outcome: Outcome) {
        let job = self.jobs[slot];
        self.jobs.remove(slot);
        if job.fan != NONE {
            self.shut(job.fan, job.station as usize);
        }
        let Some(outcome) = self.roots.end(job.root, outcome) else {
            return;
        };
        if job.born < self.bounds.warm_up {
            return;
        }
        let response = self.now - job.born;
        let deadline = self.wiring.sources[job.source as usize].deadline;
        let counts = &mut self.sources[job.source as usize].counts;
        if job.abandoned {
            return;
        }
        match outcome {
            Outcome::Consumed => {
                counts.consumed += 1;
                counts.in_time += u64::from(response <= deadline);
                counts.response.record(response);
            }
            Outcome::Dead => {
                counts.dead += 1;
                counts.response.record(response);
            }
            Outcome::Expired => counts.expired += 1,
            Outcome::Rejected => counts.rejected += 1,
        }
        if self.bounds.series {
            self.series.push(response as f64 / TICKS);
        }
    }
}
