//! What happens to a delivery between the engine and its lane: it goes on, waits for others of its
//! kind, or is skipped.
//!
//! What was tried before and what comes from the dead letters goes on: it was let in once.

use std::collections::{BTreeSet, HashMap};

use hence_core::flow::{Debounce, RateLimit, Singleton, While};
use hence_core::{By, Delivery, Options, Position, Skip, Timestamp};

use super::lanes::Load;

/// The most groups whose rate is counted one by one; those beyond share one count.
const RATED_GROUPS_MAX: usize = 100_000;

/// A delivery that is settled without a call.
#[derive(Clone, Debug)]
pub(crate) struct Skipped {
    pub(crate) delivery: Delivery,
    pub(crate) why: Skip,
    /// In favour of which one.
    pub(crate) by: Option<Position>,
}

/// What becomes of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// To their lanes.
    pub(crate) go: Vec<Delivery>,
    pub(crate) skipped: Vec<Skipped>,
    /// Those that went on before and are to be given up, each in favour of another.
    pub(crate) cancel: Vec<(Position, Position)>,
}

/// Lets deliveries in.
#[derive(Debug)]
pub(crate) struct Intake {
    rates: Option<Rates>,
    debounce: Option<Debouncer>,
    singles: Option<Singles>,
}

impl Intake {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            rates: options.rate_limit.clone().map(Rates::new),
            debounce: options.debounce.clone().map(Debouncer::new),
            singles: options.singleton.clone().map(Singles::new),
        }
    }

    /// Whether everything goes on as it comes.
    pub(crate) fn is_open(&self) -> bool {
        self.rates.is_none() && self.debounce.is_none() && self.singles.is_none()
    }

    /// Takes a delivery from the engine.
    pub(crate) fn take(&mut self, delivery: Delivery, now: Timestamp, taken: &mut Sorted) {
        let fresh = delivery.attempt == 1 && !delivery.redriven;
        if fresh
            && let Some(rates) = &mut self.rates
            && !rates.admits(&delivery)
        {
            let why = Skip::RateLimited;
            let by = None;
            return taken.skipped.push(Skipped { delivery, why, by });
        }
        if fresh && let Some(debounce) = &mut self.debounce {
            return debounce.take(delivery, now, taken);
        }
        if let Some(singles) = &mut self.singles {
            return singles.take(delivery, fresh, taken);
        }
        taken.go.push(delivery);
    }

    /// Lets go what has waited long enough.
    pub(crate) fn wake(&mut self, now: Timestamp, taken: &mut Sorted) {
        if let Some(debounce) = &mut self.debounce {
            debounce.wake(now, taken);
        }
    }

    /// When something will have waited long enough.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.debounce.as_ref()?.dues.first().map(|(due, _)| *due)
    }

    /// When a delivery that waits here goes on.
    pub(crate) fn due(&self, position: Position) -> Option<Timestamp> {
        let mut all = self.debounce.as_ref()?.last.values();
        let last = all.find(|last| last.delivery.position == position)?;
        Some(last.due)
    }

    /// A delivery is settled for good.
    pub(crate) fn ended(&mut self, delivery: &Delivery) {
        if let Some(singles) = &mut self.singles {
            singles.ended(delivery);
        }
    }

    /// What waits here.
    pub(crate) fn load(&self) -> Load {
        self.debounce
            .as_ref()
            .map_or_else(Load::default, |d| d.load)
    }
}

fn group(by: &By, delivery: &Delivery) -> Option<Box<str>> {
    by.group(delivery.message.attributes()).map(Into::into)
}

/// A token bucket for each group, over the times at which the engine took the events: a bucket has
/// room for `events`, and one of them comes back each `per ÷ events`.
#[derive(Debug)]
struct Rates {
    limit: RateLimit,
    /// When the tokens that were used will all have come back, in microseconds.
    used: HashMap<Box<str>, i64>,
}

impl Rates {
    fn new(limit: RateLimit) -> Self {
        let used = HashMap::new();
        Self { limit, used }
    }

    fn admits(&mut self, delivery: &Delivery) -> bool {
        let now = delivery.appended.as_micros();
        let mut name = self.limit.by.as_ref().and_then(|by| group(by, delivery));
        if self.used.len() >= RATED_GROUPS_MAX {
            self.used.retain(|_, used| *used > now);
            if self.used.len() >= RATED_GROUPS_MAX {
                name = None;
            }
        }
        let per = i64::try_from(self.limit.per.as_micros()).unwrap_or(i64::MAX);
        let spacing = (per / i64::from(self.limit.events.max(1))).max(1);
        let used = self.used.entry(name.unwrap_or_default()).or_insert(now);
        let next = (*used).max(now).saturating_add(spacing);
        if next > now.saturating_add(per) {
            return false;
        }
        *used = next;
        true
    }
}

/// The last of several events, and when it is let go.
#[derive(Debug)]
struct Last {
    delivery: Delivery,
    due: Timestamp,
    /// When it is let go in any case.
    latest: Timestamp,
}

#[derive(Debug)]
struct Debouncer {
    options: Debounce,
    last: HashMap<Box<str>, Last>,
    dues: BTreeSet<(Timestamp, Box<str>)>,
    load: Load,
}

impl Debouncer {
    fn new(options: Debounce) -> Self {
        Self {
            options,
            last: HashMap::new(),
            dues: BTreeSet::new(),
            load: Load::default(),
        }
    }

    fn take(&mut self, delivery: Delivery, now: Timestamp, taken: &mut Sorted) {
        let Some(name) = group(&self.options.by, &delivery) else {
            return taken.go.push(delivery);
        };
        let before = self.last.remove(&name);
        let latest = before.as_ref().map(|before| before.latest);
        let latest = latest.unwrap_or_else(|| now.after(self.options.most));
        if let Some(before) = before {
            self.dues.remove(&(before.due, name.clone()));
            self.load.take(Load::of(&before.delivery));
            taken.skipped.push(Skipped {
                delivery: before.delivery,
                why: Skip::Debounced,
                by: Some(delivery.position),
            });
        }
        let due = now.after(self.options.quiet).min(latest);
        self.load.add(Load::of(&delivery));
        self.dues.insert((due, name.clone()));
        let last = Last {
            delivery,
            due,
            latest,
        };
        self.last.insert(name, last);
    }

    fn wake(&mut self, now: Timestamp, taken: &mut Sorted) {
        while self.dues.first().is_some_and(|(due, _)| *due <= now)
            && let Some((_, name)) = self.dues.pop_first()
        {
            if let Some(last) = self.last.remove(&name) {
                self.load.take(Load::of(&last.delivery));
                taken.go.push(last.delivery);
            }
        }
    }
}

#[derive(Debug)]
struct Singles {
    options: Singleton,
    /// The one that is there, by group.
    there: HashMap<Box<str>, Position>,
}

impl Singles {
    fn new(options: Singleton) -> Self {
        let there = HashMap::new();
        Self { options, there }
    }

    fn take(&mut self, delivery: Delivery, fresh: bool, taken: &mut Sorted) {
        let position = delivery.position;
        let Some(name) = group(&self.options.by, &delivery) else {
            return taken.go.push(delivery);
        };
        match self.there.get(&name).copied() {
            None => drop(self.there.insert(name, position)),
            // What has been let in once is not skipped, and stands in nobody's way.
            Some(_) if !fresh => {}
            Some(there) if self.options.then == While::Skip => {
                let (why, by) = (Skip::Singleton, Some(there));
                return taken.skipped.push(Skipped { delivery, why, by });
            }
            Some(there) => {
                taken.cancel.push((there, position));
                self.there.insert(name, position);
            }
        }
        taken.go.push(delivery);
    }

    fn ended(&mut self, delivery: &Delivery) {
        if let Some(name) = group(&self.options.by, delivery)
            && self.there.get(&name) == Some(&delivery.position)
        {
            self.there.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests;
