//! Damage to a log that the engine wrote, with a subscription and its dead letters.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use hence::core::{
    Attributes, Code, Commit, DeadLetterQuery, Engine, Message, Outcome, Read, RejectReason,
    Settlement, Start, SubscriptionSpec,
};
use hence_engine_local::Options;
use hence_log::sim::SimStorage;
use hence_log::sim::damage::Tally;
use tokio::runtime::{Builder, Runtime};

/// Events in the log.
const EVENTS: u64 = 60;
/// Bytes of a segment.
const SEGMENT_BYTES: u32 = 8 << 10;
/// Commits between two snapshots.
const SNAPSHOT_FRAMES: u64 = 25;
/// How long one case may take.
const CASE_MAX: std::time::Duration = std::time::Duration::from_secs(20);
const NAME: &str = "s";

/// What an engine tells of itself.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    events: Vec<(u64, String, Option<Bytes>)>,
    subscriptions: Vec<(String, u64, u64, u64)>,
    dead: Vec<(String, u32, String)>,
}

struct Specimen {
    storage: SimStorage,
    told: Told,
    runtime: Runtime,
}

fn options() -> Options {
    let mut options = Options::default();
    options.segment_bytes = SEGMENT_BYTES;
    options.snapshot_frames = SNAPSHOT_FRAMES;
    options.snapshot_interval = std::time::Duration::ZERO;
    options
}

impl Specimen {
    fn new() -> Result<Self> {
        let storage = SimStorage::new();
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let told = runtime.block_on(write(&storage))?;
        Ok(Self {
            storage,
            told,
            runtime,
        })
    }

    fn try_out(
        &self,
        file: &str,
        damage: impl FnOnce(&mut Vec<u8>),
        tally: &mut Tally,
    ) -> Result<()> {
        let storage = self.storage.fork();
        storage.damage(file, damage);
        tally.cases += 1;
        let told = self
            .runtime
            .block_on(async { tokio::time::timeout(CASE_MAX, read(&storage)).await });
        match told.with_context(|| format!("{file}: no end within {CASE_MAX:?}"))? {
            Ok(told) if told == self.told => tally.harmless += 1,
            Ok(told) => {
                let (found, of) = (told.events.len(), self.told.events.len());
                bail!(
                    "{file}: {found} of {of} events, subscriptions {:?}, no error",
                    told.subscriptions
                );
            }
            Err(error) => {
                let coded = [Code::CORRUPT, Code::FORMAT].contains(&error.code());
                let named = error.detail().contains(file) || error.detail().contains("segment-");
                ensure!(coded && named, "{file}: refused without a place: {error}");
                tally.refused += 1;
            }
        }
        Ok(())
    }
}

async fn write(storage: &SimStorage) -> Result<Told> {
    let engine = hence_engine_local::log_on(Arc::new(storage.clone()), &options())?;
    let spec = SubscriptionSpec::new(NAME, vec!["t".to_owned()], Start::Earliest);
    let mut deliveries = engine.subscribe(spec).await?;
    let durability = engine.capability().strongest();
    for number in 0..EVENTS {
        let attributes = Attributes::new(number.to_string(), "/damage", "t")?;
        let data = format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(200));
        let message = Message::new(attributes, Some(Bytes::from(data)));
        engine
            .commit(Commit::publish(vec![message], durability))
            .await?;
        let delivery = deliveries
            .next(1)
            .await?
            .pop()
            .context("nothing was delivered")?;
        let error = "never".to_owned();
        let outcome = match number % 5 {
            0 => continue,
            1 => Outcome::Reject {
                reason: RejectReason::Rejected,
                error,
                hold: false,
            },
            _ => Outcome::Done,
        };
        let settlement = Settlement {
            subscription: NAME.into(),
            position: delivery.position,
            attempt: delivery.attempt,
            outcome,
            ran: std::time::Duration::ZERO,
        };
        let settle = vec![settlement];
        engine
            .commit(Commit {
                settle,
                durability,
                ..Commit::default()
            })
            .await?;
    }
    drop(deliveries);
    let told = tell(&*engine).await?;
    engine.close().await;
    ensure!(
        told.events.len() as u64 == EVENTS,
        "the specimen is not whole"
    );
    Ok(told)
}

async fn read(storage: &SimStorage) -> hence::Result<Told> {
    let engine = hence_engine_local::log_on(Arc::new(storage.clone()), &options())?;
    let told = tell(&*engine).await;
    engine.close().await;
    told
}

async fn tell(engine: &dyn Engine) -> hence::Result<Told> {
    let mut reader = engine
        .read(Read {
            from: Start::Earliest,
            ..Read::default()
        })
        .await?;
    let mut events = Vec::new();
    loop {
        let some = reader.next(64).await?;
        if some.is_empty() {
            break;
        }
        events.extend(some.into_iter().map(|entry| {
            let id = entry.message.attributes().id().to_owned();
            (entry.position.0, id, entry.message.data().cloned())
        }));
    }
    let reports = engine.subscriptions().into_iter();
    let letters = engine
        .dead_letters(&DeadLetterQuery::default())
        .await?
        .into_iter();
    Ok(Told {
        events,
        subscriptions: reports
            .map(|it| (it.name, it.settled.0, it.lag, it.dead))
            .collect(),
        dead: letters.map(|it| (it.id, it.attempts, it.error)).collect(),
    })
}

/// Flips every `step`th bit.
pub(super) fn flips(step: u64) -> Result<Tally> {
    let (specimen, mut tally) = (Specimen::new()?, Tally::default());
    for file in specimen.storage.names() {
        let bits = specimen.storage.contents(&file).len() * 8;
        for bit in (0..bits).step_by(step as usize) {
            let flip = |bytes: &mut Vec<u8>| {
                if let Some(byte) = bytes.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            };
            let tried = specimen.try_out(&file, flip, &mut tally);
            tried.with_context(|| format!("bit {} of byte {}", bit % 8, bit / 8))?;
        }
    }
    Ok(tally)
}

/// Truncates at every `step`th byte.
pub(super) fn truncations(step: u64) -> Result<Tally> {
    let (specimen, mut tally) = (Specimen::new()?, Tally::default());
    for file in specimen.storage.names() {
        let length = specimen.storage.contents(&file).len();
        for at in (0..length).step_by((step / 8).max(1) as usize) {
            let tried = specimen.try_out(&file, |bytes| bytes.truncate(at), &mut tally);
            tried.with_context(|| format!("truncated at {at}"))?;
        }
    }
    Ok(tally)
}
