//! The oracle: what was sent and acknowledged, against what is there.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::line::{Line, Stored};
use crate::subject::{BATCH_MAX, NEVER, PUBLISHERS, SOURCE, THIRD_TIME};

/// Events that can be under way at one moment.
const IN_FLIGHT_MAX: u64 = PUBLISHERS * BATCH_MAX;

/// What was announced of an event before it was published.
#[derive(Clone, Debug)]
struct Sent {
    key: String,
    number: u64,
    hash: u64,
    batch: String,
    size: usize,
}

/// How one kind of finding went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Acknowledged events that are not there.
    pub(crate) lost: u64,
    /// Events, effects or dead letters that are there twice.
    pub(crate) duplicated: u64,
    /// Positions used twice, and handling out of order.
    pub(crate) disorder: u64,
    /// Everything else that must not be.
    pub(crate) wrong: u64,
    /// Events acknowledged as written which a loss of power took, as it may.
    pub(crate) written_lost: u64,
    /// Events acknowledged as synced when a cut had begun that may lie about syncs.
    pub(crate) doubtful: u64,
    /// Of these, the ones that are not there.
    pub(crate) doubtful_lost: u64,
}

/// All that is known of one log, from outside.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    sent: HashMap<String, Sent>,
    /// Position and whether it was synced.
    acked: HashMap<String, (u64, bool)>,
    /// Acknowledged since the last look.
    unchecked: Vec<String>,
    /// Which event was ever seen at a position.
    seen: BTreeMap<u64, String>,
    /// Where an event was found after a disaster.
    found: HashMap<String, u64>,
    /// Attempts begun, by subscription and event.
    tries: HashMap<(String, String), u32>,
    /// Events that a loss of power took.
    gone: HashSet<String>,
    /// Acknowledged when the last cut had begun, and not looked for yet; whether as synced.
    doubted: HashMap<String, bool>,
    /// From when on acknowledgements are in doubt; see [`Struck`](crate::cycle::Struck).
    pub(crate) doubt: Option<u64>,
    /// Whether the power was ever lost: what was only written may have been handled, and be gone.
    lost_power: bool,
    /// The newest position that was found.
    pub(crate) checked: u64,
    /// The findings.
    pub(crate) count: Count,
    /// The findings in words.
    pub(crate) problems: Vec<String>,
}

impl Oracle {
    fn lose(&mut self, text: String) {
        self.count.lost += 1;
        self.problems.push(text);
    }

    fn double(&mut self, text: String) {
        self.count.duplicated += 1;
        self.problems.push(text);
    }

    fn disorder(&mut self, text: String) {
        self.count.disorder += 1;
        self.problems.push(text);
    }

    fn wrong(&mut self, text: String) {
        self.count.wrong += 1;
        self.problems.push(text);
    }

    /// How many events were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acked.len()
    }

    /// Takes note of what a subject said.
    pub(crate) fn hear(&mut self, line: &Line) {
        match line {
            Line::Send {
                id,
                key,
                number,
                hash,
                batch,
                size,
            } => {
                let (key, batch) = (key.clone(), batch.clone());
                let sent = Sent {
                    key,
                    number: *number,
                    hash: *hash,
                    batch,
                    size: *size,
                };
                self.sent.insert(id.clone(), sent);
            }
            Line::Ack {
                id,
                position,
                synced,
                duplicate,
                at,
            } => {
                let doubtful = self.doubt.is_some_and(|begin| *at >= begin);
                if doubtful && !self.acked.contains_key(id) {
                    self.count.doubtful += u64::from(*synced);
                    self.doubted.insert(id.clone(), *synced);
                }
                self.acknowledge(id, *position, *synced && !doubtful, *duplicate);
            }
            Line::Try { by, id, attempt } => {
                let before = self
                    .tries
                    .insert((by.clone(), id.clone()), *attempt)
                    .unwrap_or(0);
                if *attempt < before {
                    let text = format!("{by}: attempt {attempt} at {id} after attempt {before}");
                    self.wrong(text);
                }
            }
            Line::Boot { .. }
            | Line::Refused { .. }
            | Line::Stored(_)
            | Line::Dead { .. }
            | Line::Told
            | Line::Rest
            | Line::Note { .. } => {}
        }
    }

    fn acknowledge(&mut self, id: &str, position: u64, synced: bool, duplicate: bool) {
        if !self.sent.contains_key(id) {
            self.wrong(format!("{id} was acknowledged and never sent"));
        }
        match self.acked.get_mut(id) {
            Some((first, level)) => {
                let first = *first;
                *level |= synced;
                if first != position {
                    self.double(format!("{id} stands at {first} and again at {position}"));
                } else if !duplicate {
                    self.wrong(format!("{id} was acknowledged twice as new"));
                }
            }
            None => {
                self.acked.insert(id.to_owned(), (position, synced));
                self.unchecked.push(id.to_owned());
            }
        }
        self.see(position, id);
    }

    fn see(&mut self, position: u64, id: &str) {
        match self.seen.get(&position) {
            Some(before) if before != id => {
                let text = format!("position {position} was {before} and is {id}");
                self.disorder(text);
            }
            Some(_) => {}
            None => {
                self.seen.insert(position, id.to_owned());
            }
        }
    }

    /// Compares what stands behind `checked` with what was acknowledged since. After a loss of
    /// power what was only written may be gone, as a suffix.
    pub(crate) fn check_tail(&mut self, tail: &[Stored], power_lost: bool) {
        self.lost_power |= power_lost;
        let places: HashMap<&str, u64> = tail
            .iter()
            .map(|entry| (&*entry.id, entry.position))
            .collect();
        for pair in tail.windows(2) {
            if let [before, after] = pair
                && after.position <= before.position
            {
                self.disorder(format!(
                    "{} is read behind {}",
                    after.position, before.position
                ));
            }
        }
        let mut first_gone = u64::MAX;
        let mut doubted_gone = 0;
        for id in std::mem::take(&mut self.unchecked) {
            let Some((position, synced)) = self.acked.get(&id).copied() else {
                continue;
            };
            match places.get(&*id).or_else(|| self.found.get(&id)) {
                Some(found) if *found == position => {}
                Some(found) => self.double(format!("{id}: acknowledged at {position}, at {found}")),
                None if power_lost && !synced => {
                    first_gone = first_gone.min(position);
                    let doubted = self.doubted.remove(&id);
                    if doubted.is_some() {
                        // Also what reserved its position may have been lost by a lie.
                        self.seen.remove(&position);
                    }
                    if doubted == Some(true) {
                        doubted_gone += 1;
                    } else {
                        self.count.written_lost += 1;
                    }
                    self.acked.remove(&id);
                    self.gone.insert(id);
                }
                None => self.lose(format!("{id}, acknowledged at {position}, is not there")),
            }
        }
        self.doubted.clear();
        self.count.doubtful_lost += doubted_gone;
        if doubted_gone > IN_FLIGHT_MAX {
            let text = format!("a cut took {doubted_gone} events, more than were under way");
            self.wrong(text);
        }
        for entry in tail {
            if entry.position > first_gone && self.seen.contains_key(&entry.position) {
                let text = format!(
                    "{} survived, and {first_gone} before it did not",
                    entry.position
                );
                self.wrong(text);
            }
            self.check_origin(entry);
        }
        for entry in tail {
            self.see(entry.position, &entry.id);
            self.found.insert(entry.id.clone(), entry.position);
        }
        self.checked = tail.last().map_or(self.checked, |entry| entry.position);
    }

    fn check_origin(&mut self, entry: &Stored) {
        if entry.source != SOURCE {
            return;
        }
        match self.sent.get(&entry.id) {
            None => self.wrong(format!("{} stands there and was never sent", entry.id)),
            Some(sent) => {
                let same =
                    (&sent.key, sent.number, sent.hash) == (&entry.key, entry.number, entry.hash);
                if !same {
                    self.wrong(format!("{} is not what was sent", entry.id));
                }
            }
        }
        // It may come back when its publisher sends it again.
        self.gone.remove(&entry.id);
    }

    /// Compares all that is there, at rest, with all that is known.
    pub(crate) fn check_all(&mut self, all: &[Stored], dead: &[(String, String)]) {
        self.checked = 0;
        self.unchecked = self.acked.keys().cloned().collect();
        // What was found once must be there for ever, whether it was acknowledged or not.
        for (id, position) in std::mem::take(&mut self.found) {
            if self.acked.insert(id.clone(), (position, true)).is_none() {
                self.unchecked.push(id);
            }
        }
        self.check_tail(all, false);
        let mut places = HashMap::new();
        for entry in all {
            if let Some(before) = places.insert((&*entry.source, &*entry.id), entry.position) {
                let text = format!("{} stands at {before} and {}", entry.id, entry.position);
                self.double(text);
            }
        }
        let there: HashSet<&str> = all.iter().map(|entry| &*entry.id).collect();
        let mut unseen = Vec::new();
        for (by, id) in self.tries.keys().filter(|(_, id)| !there.contains(&**id)) {
            unseen.push(format!("{by} handled {id}, which is not there"));
        }
        if !self.lost_power {
            unseen.into_iter().for_each(|text| self.wrong(text));
        }
        self.check_batches(all);
        self.check_effects(all, dead);
    }

    fn check_batches(&mut self, all: &[Stored]) {
        let mut found: HashMap<String, usize> = HashMap::new();
        let mut sizes = HashMap::new();
        for sent in all.iter().filter_map(|entry| self.sent.get(&entry.id)) {
            *found.entry(sent.batch.clone()).or_default() += 1;
            sizes.insert(sent.batch.clone(), sent.size);
        }
        for (batch, count) in found {
            let size = sizes.get(&batch).copied().unwrap_or(0);
            if count != size {
                self.wrong(format!("batch {batch}: {count} of {size} events"));
            }
        }
    }

    fn check_effects(&mut self, all: &[Stored], dead: &[(String, String)]) {
        let causes: HashMap<&str, &Stored> = all.iter().map(|entry| (&*entry.id, entry)).collect();
        let mut effects: HashMap<(&str, &str), u64> = HashMap::new();
        let mut last: HashMap<(&str, &str), u64> = HashMap::new();
        // What the runtime says of itself follows from no event.
        let emitted =
            |entry: &&Stored| entry.source != SOURCE && !entry.event.starts_with("hence.");
        for entry in all.iter().filter(emitted) {
            *effects.entry((&entry.event, &entry.cause)).or_default() += 1;
            let Some(cause) = causes.get(&*entry.cause) else {
                self.wrong(format!("{} has no cause in the log", entry.id));
                continue;
            };
            let before = last
                .insert((&entry.event, &entry.key), cause.position)
                .unwrap_or(0);
            if cause.position < before {
                let (event, key) = (&entry.event, &entry.key);
                self.disorder(format!(
                    "{event} of {key}: {} behind {before}",
                    cause.position
                ));
            }
            let third = entry.event == "campaign.flaked" && entry.number.is_multiple_of(THIRD_TIME);
            if third && entry.attempt < 3 {
                self.wrong(format!("{}: done at attempt {}", entry.id, entry.attempt));
            }
        }
        let mut letters: HashMap<(&str, &str), u64> = HashMap::new();
        for (by, id) in dead {
            *letters.entry((by, id)).or_default() += 1;
        }
        for step in all {
            let expected: &[(&str, &str)] = match &*step.event {
                "campaign.step" => &[
                    ("plain", "campaign.done"),
                    ("flaky", "campaign.flaked"),
                    ("strict", "campaign.kept"),
                ],
                "campaign.done" => &[("chain", "campaign.chained")],
                _ => &[],
            };
            for (by, event) in expected {
                let rejected = *by == "flaky" && step.number.is_multiple_of(NEVER);
                let count = effects.get(&(*event, &*step.id)).copied().unwrap_or(0);
                let letters = letters.get(&(*by, &*step.id)).copied().unwrap_or(0);
                self.check_effect(by, &step.id, (count, letters), rejected);
            }
        }
    }

    fn check_effect(&mut self, by: &str, id: &str, found: (u64, u64), rejected: bool) {
        let wanted = if rejected { (0, 1) } else { (1, 0) };
        if found == wanted {
            return;
        }
        let text = format!(
            "{by}: {id} has {} effects and {} dead letters",
            found.0, found.1
        );
        if found.0 + found.1 > 1 {
            self.double(text);
        } else {
            self.lose(text);
        }
    }
}

#[cfg(test)]
mod tests;
