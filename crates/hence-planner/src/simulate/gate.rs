//! Gates: a copy for a station that goes after others waits until they have handled the event.
//!
//! The copies of one fan-out are siblings. What dies at a station opens no gate, so what waits
//! for it ends with it: in the runtime it would wait for a person.

use crate::simulate::job::{Job, NONE};
use crate::simulate::run::Run;
use crate::simulate::state::Outcome;
use crate::simulate::wiring::EmissionPlan;

/// Siblings of which at least one waits for another.
#[derive(Debug, Default)]
struct Fan {
    /// Stations whose copies have not been handled.
    open: Vec<usize>,
    held: Vec<(Job, usize)>,
}

/// The fans under way, in slots that are used again.
#[derive(Debug, Default)]
pub(crate) struct Fans {
    fans: Vec<Fan>,
    free: Vec<u32>,
}

impl Fans {
    fn add(&mut self, fan: Fan) -> u32 {
        let Some(slot) = self.free.pop() else {
            self.fans.push(fan);
            return (self.fans.len() - 1) as u32;
        };
        if let Some(old) = self.fans.get_mut(slot as usize) {
            *old = fan;
        }
        slot
    }
}

impl Run<'_> {
    /// Sends the copies of a fan-out where some station goes after others.
    ///
    /// The k-th copies for each station are of one event: a type that is emitted twice is two.
    pub(crate) fn fan_out(&mut self, job: Job, to: &[Option<usize>]) {
        let mut rounds: Vec<Vec<usize>> = Vec::new();
        for station in to.iter().flatten() {
            match rounds.iter_mut().find(|round| !round.contains(station)) {
                Some(round) => round.push(*station),
                None => rounds.push(vec![*station]),
            }
        }
        let mut ready = Vec::new();
        for open in rounds {
            self.gate(job, open, &mut ready);
        }
        for copy in ready {
            self.let_go(copy);
        }
        for _ in to.iter().filter(|station| station.is_none()) {
            let slot = self.jobs.add(Job { fan: NONE, ..job });
            self.end(slot, Outcome::Consumed);
        }
    }

    fn let_go(&mut self, copy: Job) {
        let slot = self.jobs.add(copy);
        self.enter(slot, copy.station as usize);
    }

    /// The copies of one event: those that may go at once are listed, the others held.
    fn gate(&mut self, job: Job, open: Vec<usize>, ready: &mut Vec<Job>) {
        let wiring = self.wiring;
        let waits = |s: usize, open: &[usize]| {
            let plan = wiring.stations.get(s);
            plan.is_some_and(|plan| plan.after.iter().any(|first| open.contains(first)))
        };
        let copy = |s: usize, fan: u32| Job {
            fan,
            station: s as u16,
            ..job
        };
        let (held, free): (Vec<usize>, Vec<usize>) = open.iter().partition(|s| waits(**s, &open));
        let fan = if held.is_empty() {
            NONE
        } else {
            self.fans.add(Fan::default())
        };
        if let Some(slot) = self.fans.fans.get_mut(fan as usize) {
            slot.held = held.into_iter().map(|s| (copy(s, fan), s)).collect();
            slot.open = open;
        }
        ready.extend(free.into_iter().map(|s| copy(s, fan)));
    }

    /// A station has handled a copy, or it expired there: what waited for it may go.
    pub(crate) fn handled(&mut self, slot: u32, s: usize) {
        let fan = std::mem::replace(&mut self.jobs[slot].fan, NONE);
        let Some(siblings) = self.fans.fans.get_mut(fan as usize) else {
            return;
        };
        siblings.open.retain(|open| *open != s);
        let wiring = self.wiring;
        let (held, open) = (std::mem::take(&mut siblings.held), &siblings.open);
        let is_shut = |s: usize| {
            let plan = wiring.stations.get(s);
            plan.is_some_and(|plan| plan.after.iter().any(|first| open.contains(first)))
        };
        let (held, freed): (Vec<_>, Vec<_>) = held.into_iter().partition(|(_, s)| is_shut(*s));
        siblings.held = held;
        if siblings.open.is_empty() {
            self.fans.free.push(fan);
        }
        for (copy, _) in freed {
            self.let_go(copy);
        }
    }

    /// A copy has ended without having been handled at its station: what waits for it ends, too.
    pub(crate) fn shut(&mut self, fan: u32, s: usize) {
        let Some(siblings) = self.fans.fans.get_mut(fan as usize) else {
            return;
        };
        siblings.open.retain(|open| *open != s);
        let wiring = self.wiring;
        let waits = |to: usize| {
            let plan = wiring.stations.get(to);
            plan.is_some_and(|plan| plan.after.contains(&s))
        };
        let held = std::mem::take(&mut siblings.held);
        let (lost, held): (Vec<_>, Vec<_>) = held.into_iter().partition(|(_, to)| waits(*to));
        siblings.held = held;
        if siblings.open.is_empty() {
            self.fans.free.push(fan);
        }
        for (job, _) in lost {
            let slot = self.jobs.add(job);
            self.end(slot, Outcome::Dead);
        }
    }
}

/// Where each copy goes.
pub(crate) fn chosen(
    emits: &[EmissionPlan],
    rng: &mut crate::simulate::random::Rng,
) -> Vec<Option<usize>> {
    emits.iter().map(|emission| emission.choose(rng)).collect()
}
