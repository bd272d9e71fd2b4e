//! What the subject publishes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hence::core::{Attributes, Event as _, Message, Position};
use hence::{Bus, Durability, Running};
use hence_log::sim::Dice;

use super::handling::Step;
use super::{Mode, Subject};
use crate::line::{Line, Pipe, hash, is_synced, now};

/// The source of published events.
pub(crate) const SOURCE: &str = "/publisher";
/// Publishers side by side, each of which waits for its acknowledgement.
pub(crate) const PUBLISHERS: u64 = 6;
/// Keys of each of them.
const KEYS: u64 = 4;
/// Events of one batch, at most.
pub(crate) const BATCH_MAX: u64 = 5;
/// One in so many commits is sent again.
const AGAIN: u64 = 12;
/// Old events that are sent again when a life begins, at most.
const OLD: u64 = 6;
/// Bytes that a large event carries, at most.
const FILLER_MAX: u64 = 3000;
/// How long the publishers stay at one level of durability.
const PHASE: Duration = Duration::from_millis(5);
/// One phase in so many is synced while handlers commit, and while nobody does.
const SYNCED_PHASE: (u128, u128) = (2, 5);
/// How long a publisher waits before it tries again what may succeed later.
const AGAIN_AFTER: Duration = Duration::from_millis(2);
/// Refusals in a row after which a publisher gives up.
const REFUSALS_MAX: u32 = 5000;
/// What the subject notes when everything was settled while the disk was full.
pub(crate) const DRAINED: &str = "settled all while the disk was full";
/// Bytes that an event carries which is to fill a disk.
const FILL_BYTES: usize = 8 << 10;

struct Publisher {
    bus: Bus,
    pipe: Pipe,
    dice: Dice,
    life: u64,
    name: u64,
    count: u64,
    numbers: Vec<u64>,
    written: bool,
    quiet: bool,
    begin: Instant,
}

impl Publisher {
    fn new(bus: &Bus, subject: &Subject, pipe: &Pipe, name: u64) -> Self {
        Self {
            bus: bus.clone(),
            pipe: pipe.clone(),
            dice: Dice::new(subject.seed ^ (name << 32) ^ subject.life),
            life: subject.life,
            name,
            count: 0,
            // Numbers go on rising in later lives.
            numbers: vec![subject.life * 10_000; KEYS as usize],
            written: subject.written,
            quiet: subject.mode == Mode::Quiet,
            begin: Instant::now(),
        }
    }

    fn level(&self) -> Durability {
        let phase = self.begin.elapsed().as_micros() / PHASE.as_micros();
        let every = if self.quiet {
            SYNCED_PHASE.1
        } else {
            SYNCED_PHASE.0
        };
        match self.written && !phase.is_multiple_of(every) {
            true => Durability::Written,
            false => Durability::Synced,
        }
    }

    fn next_message(&mut self, filler: usize) -> Option<(Message, String, u64)> {
        self.count += 1;
        let lane = self.dice.below(KEYS);
        let number = self.numbers.get_mut(usize::try_from(lane).ok()?)?;
        *number += 1;
        let key = format!("p{}k{lane}", self.name);
        let step = Step {
            key: key.clone(),
            number: *number,
            filler: "x".repeat(filler),
        };
        let id = format!("{}.{}.{}", self.life, self.name, self.count);
        let mut attributes = Attributes::new(id, SOURCE, Step::TYPE).ok()?;
        attributes
            .set(hence::core::envelope::KEY, key.clone())
            .ok()?;
        let data = serde_json::to_vec(&step).ok()?;
        Some((
            Message::new(attributes, Some(Bytes::from(data))),
            key,
            *number,
        ))
    }

    fn batch(&mut self) -> Vec<Message> {
        let size = if self.dice.below(4) == 0 {
            1 + self.dice.below(BATCH_MAX)
        } else {
            1
        };
        let mut batch = Vec::new();
        for _ in 0..size {
            let filler = match self.dice.below(8) {
                0 => self.dice.below(FILLER_MAX),
                _ => self.dice.below(64),
            };
            batch.extend(self.next_message(filler as usize));
        }
        self.announce(&batch);
        batch.into_iter().map(|(message, ..)| message).collect()
    }

    fn announce(&self, batch: &[(Message, String, u64)]) {
        let first = batch
            .first()
            .map(|(message, ..)| message.attributes().id().to_owned());
        for (message, key, number) in batch {
            self.pipe.say(&Line::Send {
                id: message.attributes().id().to_owned(),
                key: key.clone(),
                number: *number,
                hash: hash(message),
                batch: first.clone().unwrap_or_default(),
                size: batch.len(),
            });
        }
    }

    /// Publishes; true when it was acknowledged, nothing when it never will be.
    async fn send(&self, batch: &[Message]) -> Option<bool> {
        match self.bus.commit(batch.to_vec(), self.level()).await {
            Ok(receipts) => {
                let at = now();
                for receipt in receipts {
                    self.pipe.say(&Line::Ack {
                        position: receipt.position.map_or(0, |position| position.0),
                        synced: is_synced(receipt.durability),
                        duplicate: receipt.duplicate,
                        at,
                        id: receipt.id().to_owned(),
                    });
                }
                Some(true)
            }
            Err(error) => {
                for message in batch {
                    self.pipe.say(&Line::Refused {
                        id: message.attributes().id().to_owned(),
                        code: error.code().as_str().to_owned(),
                    });
                }
                error.is_retryable().then_some(false)
            }
        }
    }

    /// Publishes until it is acknowledged; false when it never will be.
    async fn insist(&self, batch: &[Message]) -> bool {
        for _ in 0..REFUSALS_MAX {
            match self.send(batch).await {
                Some(true) => return true,
                Some(false) => tokio::time::sleep(AGAIN_AFTER).await,
                None => return false,
            }
        }
        false
    }

    async fn run(mut self) {
        loop {
            let batch = self.batch();
            if !self.insist(&batch).await {
                return;
            }
            if self.dice.below(AGAIN) == 0 && !self.insist(&batch).await {
                return;
            }
        }
    }
}

/// Publishes from all sides until the process ends.
pub(crate) async fn load(running: &Running, subject: &Subject, pipe: &Pipe) {
    resend(running, subject, pipe).await;
    let mut all = tokio::task::JoinSet::new();
    for name in 0..PUBLISHERS {
        all.spawn(Publisher::new(running, subject, pipe, name).run());
    }
    while all.join_next().await.is_some() {}
    let text = "no publisher goes on".to_owned();
    pipe.say(&Line::Note { text });
    std::future::pending::<()>().await;
}

/// Sends some old events again: the engine must know them, however long ago they were stored.
async fn resend(running: &Running, subject: &Subject, pipe: &Pipe) {
    let last = running.engine().health().map_or(0, |health| health.last.0);
    let publisher = Publisher::new(running, subject, pipe, PUBLISHERS);
    let mut dice = Dice::new(subject.seed ^ subject.life);
    for _ in 0..OLD.min(last) {
        let position = Position(1 + dice.below(last));
        let Ok(entry) = running.engine().get(position).await else {
            continue; // positions may have gaps
        };
        if entry.message.attributes().source() == SOURCE {
            publisher.send(&[entry.message]).await;
        }
    }
}

/// Publishes a fixed number of events, one after the other, with two batches among them.
pub(crate) async fn script(running: &Running, subject: &Subject, pipe: &Pipe) {
    let mut publisher = Publisher::new(running, subject, pipe, 0);
    for round in 0..subject.events {
        let size = if round % 8 == 3 { 3 } else { 1 };
        let batch: Vec<_> = (0..size)
            .filter_map(|_| publisher.next_message(900))
            .collect();
        publisher.announce(&batch);
        let batch: Vec<_> = batch.into_iter().map(|(message, ..)| message).collect();
        publisher.send(&batch).await;
    }
}

/// Publishes large events until the disk is full, waits until its handler has settled all there
/// is all the same, and publishes on once there is room, for a while.
pub(crate) async fn fill(running: &Running, subject: &Subject, pipe: &Pipe) {
    let mut publisher = Publisher::new(running, subject, pipe, 0);
    let mut after = None;
    while after != Some(subject.events) {
        let batch: Vec<_> = publisher.next_message(FILL_BYTES).into_iter().collect();
        publisher.announce(&batch);
        let batch: Vec<_> = batch.into_iter().map(|(message, ..)| message).collect();
        match publisher.send(&batch).await {
            Some(true) => after = after.map(|count: u64| count + 1),
            Some(false) => {
                let drained = super::rest(running, &[]).await;
                if after.is_none() && drained.is_ok_and(|rested| rested) {
                    pipe.say(&Line::Note {
                        text: DRAINED.to_owned(),
                    });
                }
                after = after.or(Some(0));
                if !publisher.insist(&batch).await {
                    return;
                }
            }
            None => return,
        }
    }
    pipe.say(&Line::Rest);
}
