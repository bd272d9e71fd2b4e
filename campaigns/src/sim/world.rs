//! `World`: an engine on a simulated disk, and the script of its lives, which dice write.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use hence::Durability;
use hence::core::commit::What;
use hence::core::envelope;
use hence::core::{
    Attributes, Code, Commit, DeadLetterQuery, Deliveries, Delivery, Engine, Entry, Message,
    Outcome, Position, Read, Receipt, RejectReason, Settlement, Start, SubscriptionSpec, Timestamp,
};
use hence_engine_local::{Clock as _, ManualClock, Options};
use hence_log::sim::{Dice, EINTR, EIO, ENOSPC, Fault, SimStorage};

use super::model::{Change, Doubt, Model, Timer};

/// Lives of one log.
pub(super) const LIVES: u64 = 6;
/// Steps of one life, at most.
const STEPS_MAX: u64 = 24;
/// Calls to the disk within which a fault happens.
const CALLS_MAX: u64 = 90;
/// Bytes of a segment.
pub(super) const SEGMENT_BYTES: u32 = 8 << 10;
/// How long one step may take.
const STEP_MAX: Duration = Duration::from_secs(20);
/// One event in so many is to be delivered later.
const DELAYED: u64 = 6;
const NAME: &str = "s";
/// The key whose value counts what is done.
const KEY: &str = "k";

/// A log, everything that happens to it, and what must be there.
pub(crate) struct World {
    pub(super) storage: SimStorage,
    clock: ManualClock,
    options: Options,
    model: Model,
    dice: Dice,
    serial: u64,
    pub(super) fired: u64,
    /// Faults that have excused a timer for not firing.
    excused: u64,
}

impl World {
    pub(crate) fn new(dice: Dice) -> Self {
        let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
        let mut options = Options::default();
        options.clock = Arc::new(clock.clone());
        options.segment_bytes = SEGMENT_BYTES;
        // Snapshots are stored by a thread of their own, whenever it runs; at a clean end they are
        // part of the script.
        options.snapshot_frames = u64::MAX;
        // A timer fires with the next commit, and not when some thread comes to it.
        options.alarm = false;
        Self {
            storage: SimStorage::new(),
            clock,
            options,
            model: Model::default(),
            dice,
            serial: 0,
            fired: 0,
            excused: 0,
        }
    }

    /// Lives it through to the end; an error says what is wrong.
    pub(crate) async fn run(&mut self) -> Result<()> {
        for life in 0..LIVES {
            let hostile = life + 1 < LIVES && self.dice.below(4) > 0;
            if hostile {
                let fault = self.fault();
                self.storage.plan(1 + self.dice.below(CALLS_MAX), fault);
            }
            let before = self.storage.fired();
            let ended = tokio::time::timeout(STEP_MAX, self.live()).await;
            let fired = self.storage.fired() - before;
            self.fired += fired;
            match ended {
                Err(_) => return Err(anyhow!("life {life} hangs")),
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let excused = fired > 0 && error.downcast_ref::<hence::Error>().is_some();
                    ensure!(excused, "life {life}, {fired} faults: {error:#}");
                }
            }
            self.end();
        }
        Ok(())
    }

    fn fault(&mut self) -> Fault {
        match self.dice.below(8) {
            0 => Fault::Error(EIO),
            1 => Fault::Error(ENOSPC),
            2 => Fault::Error(EINTR),
            3 => Fault::Short,
            _ => Fault::PowerCut,
        }
    }

    /// The process has ended; so, mostly, has the power.
    fn end(&mut self) {
        if self.dice.below(4) == 0 {
            self.storage.kill();
            self.model.killed();
        } else {
            self.storage.crash(self.dice.roll());
            self.model.lost_power();
        }
    }

    async fn live(&mut self) -> Result<()> {
        let engine = hence_engine_local::log_on(Arc::new(self.storage.clone()), &self.options)?;
        self.model.check_entries(&read(&*engine).await?)?;
        let spec = SubscriptionSpec::new(NAME, vec!["t".to_owned()], Start::Earliest);
        let mut deliveries = engine.subscribe(spec).await?;
        let mut held = ready(&mut *deliveries).await?;
        self.model.check_deliveries(&held, self.clock.now())?;
        for _ in 0..self.dice.below(STEPS_MAX) {
            let value = engine.keyed(NAME, KEY).await?;
            self.model.check_value(value.as_deref())?;
            self.step(&*engine, &mut held).await?;
            let more = ready(&mut *deliveries).await?;
            self.model.check_deliveries(&more, self.clock.now())?;
            held.extend(more);
        }
        self.model
            .check_letters(&engine.dead_letters(&DeadLetterQuery::default()).await?)?;
        if self.dice.below(4) == 0 {
            drop(deliveries);
            engine.close().await;
        }
        Ok(())
    }

    async fn step(&mut self, engine: &dyn Engine, held: &mut Vec<Delivery>) -> Result<()> {
        let mut commit = Commit::default();
        let mut change = Change::None;
        let mut state = StateChange::default();
        match self.dice.below(9) {
            0..=2 => {
                commit.publish = self.events()?;
            }
            3 if self.model.any(&mut self.dice).is_some() => {
                return self.again(engine).await;
            }
            4 => self
                .clock
                .advance(Duration::from_millis(self.dice.below(5000))),
            5 => {
                if let Some(id) = self.model.any_dead(&mut self.dice) {
                    commit.redrive.push(format!("{NAME}.{id}"));
                    change = Change::Redriven(id);
                }
            }
            6 => state.timer = Some(self.timer()),
            _ if !held.is_empty() => {
                let at = self.dice.below(held.len() as u64) as usize;
                let delivery = held.remove(at);
                let (outcome, changed) = self.outcome(&delivery);
                change = changed;
                // Counts what is done, in the commit that settles it.
                let counts = matches!(outcome, Outcome::Done);
                state.value = counts.then(|| self.model.value() + 1);
                commit.settle.push(Settlement {
                    subscription: NAME.into(),
                    position: delivery.position,
                    attempt: delivery.attempt,
                    outcome,
                    ran: Duration::ZERO,
                });
            }
            _ => {}
        }
        commit.change = state.to_commit()?;
        if change != Change::None || !commit.change.is_empty() {
            // What tells afterwards whether the commit took place.
            let id = self.next_id();
            commit.publish.push(message(&id, "e", 0)?);
        }
        if commit.is_empty() {
            return Ok(());
        }
        self.commit(engine, commit, (change, state)).await
    }

    /// A timer that is set, or cancelled.
    fn timer(&mut self) -> Option<Timer> {
        if self.dice.below(3) == 0 {
            return None;
        }
        let wait = Duration::from_millis(self.dice.below(9000));
        let due = self.clock.now_after(wait);
        Some((due, self.next_id()))
    }

    /// Commits, behind the timer that is due, and tells the model whether that has fired.
    async fn take(&mut self, engine: &dyn Engine, commit: Commit) -> Result<Taken> {
        let due = self.model.due(self.clock.now());
        let receipts = engine.commit(commit).await;
        let Some(id) = due else {
            return Ok((receipts, false));
        };
        // With the source it is known in memory, and the disk has no say.
        let found = engine.find(Some("/sim"), &id).await.unwrap_or_default();
        match (found.as_slice(), &receipts) {
            ([place], _) => {
                self.model.stored(Doubt::fires(&id), &[place.0], true)?;
            }
            ([], Err(error)) if error.code() == Code::STORAGE_FULL => {}
            // The disk refused it and took the commit; it fires later, once for each fault.
            ([], Ok(_)) if self.storage.fired() > self.excused => {
                self.excused = self.storage.fired();
                return Ok((receipts, false));
            }
            ([], Err(_)) => self.model.doubt(Doubt::fires(&id)),
            (places, _) => return Err(anyhow!("the timer of {id} is due, and is at {places:?}")),
        }
        Ok((receipts, true))
    }

    /// Commits, and tells the model how that went.
    async fn commit(
        &mut self,
        engine: &dyn Engine,
        mut commit: Commit,
        (change, state): (Change, StateChange),
    ) -> Result<()> {
        commit.durability = match self.dice.below(4) {
            0 => Durability::Written,
            _ => Durability::Synced,
        };
        let ids = commit
            .publish
            .iter()
            .map(|message| message.attributes().id().to_owned());
        let kinds = commit
            .publish
            .iter()
            .map(|message| message.attributes().event_type() == "t");
        let doubt = Doubt {
            publish: ids.zip(kinds).collect(),
            change,
            value: state.value,
            timer: state.timer,
        };
        let synced = commit.durability == Durability::Synced;
        let (receipts, fired) = self.take(engine, commit).await?;
        // A timer that fires syncs the commits of its group.
        let synced = synced || fired;
        match receipts {
            Ok(receipts) => {
                let places = receipts
                    .iter()
                    .map(|receipt| receipt.position.map(|place| place.0));
                let places: Vec<_> = places.map(Option::unwrap_or_default).collect();
                self.model.stored(doubt, &places, synced)
            }
            Err(error) => {
                if error.code() == Code::STORAGE_FULL && self.storage.fired() > 0 {
                    return Ok(()); // nothing of it was stored, and the next one may be
                }
                for (id, _) in &doubt.publish {
                    let seen = engine.find(None, id).await;
                    let hidden = seen.is_err() || seen.is_ok_and(|places| places.is_empty());
                    ensure!(hidden, "{id} was refused ({error}) and is visible");
                }
                self.model.doubt(doubt);
                Err(error.into())
            }
        }
    }

    /// Some new events, a few of them to be delivered later.
    fn events(&mut self) -> Result<Vec<Message>> {
        let mut made_all = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let id = self.next_id();
            let mut made = message(&id, "t", self.dice.below(900))?;
            if self.dice.below(DELAYED) == 0 {
                let due = self
                    .clock
                    .now_after(Duration::from_millis(self.dice.below(9000)));
                self.model.delay(&id, due);
                let due = due.to_string();
                made = made.with_attributes(|all| all.set(envelope::DELIVER_AT, due))?;
            }
            made_all.push(made);
        }
        Ok(made_all)
    }

    /// Publishes something again that is stored already.
    async fn again(&mut self, engine: &dyn Engine) -> Result<()> {
        let Some((id, position)) = self.model.any(&mut self.dice) else {
            return Ok(());
        };
        let found = engine.get(Position(position)).await?;
        let commit = Commit::publish(vec![found.message], Durability::Synced);
        let receipts = self.take(engine, commit).await?.0?;
        self.model.synced();
        let receipt = receipts.first().ok_or_else(|| anyhow!("no receipt"))?;
        let known = receipt.duplicate && receipt.position == Some(Position(position));
        ensure!(
            known,
            "{id}, stored at {position}, was taken as new: {receipt:?}"
        );
        Ok(())
    }

    fn outcome(&mut self, delivery: &Delivery) -> (Outcome, Change) {
        let (position, error) = (delivery.position.0, "no".to_owned());
        match self.dice.below(6) {
            0 => {
                let due = self
                    .clock
                    .now_after(Duration::from_millis(self.dice.below(900)));
                (
                    Outcome::Retry { due, error },
                    Change::Retried(position, delivery.attempt),
                )
            }
            1 => {
                let reason = RejectReason::Rejected;
                (
                    Outcome::Reject {
                        reason,
                        error,
                        hold: false,
                    },
                    Change::Dead(position),
                )
            }
            _ => (Outcome::Done, Change::Done(position)),
        }
    }

    fn next_id(&mut self) -> String {
        self.serial += 1;
        self.serial.to_string()
    }
}

/// What became of a commit, and whether a timer fired with it.
type Taken = (Result<Vec<Receipt>, hence::Error>, bool);

/// What a commit changes of the state of the key.
#[derive(Clone, Debug, Default)]
struct StateChange {
    value: Option<u64>,
    timer: Option<Option<Timer>>,
}

impl StateChange {
    fn to_commit(&self) -> Result<Vec<hence::core::commit::Change>> {
        let change = |what| hence::core::commit::Change {
            subscription: NAME.into(),
            key: KEY.to_owned(),
            what,
        };
        let value = self
            .value
            .map(|value| What::Write(value.to_string().into()));
        let name = || "timer".to_owned();
        let timer = match &self.timer {
            None => None,
            Some(None) => Some(What::CancelTimer { name: name() }),
            Some(Some((due, id))) => Some(What::SetTimer {
                name: name(),
                due: *due,
                message: Box::new(message(id, "t", 0)?),
            }),
        };
        Ok(value.into_iter().chain(timer).map(change).collect())
    }
}

/// The time of a clock that stands still, and a while.
trait After {
    fn now_after(&self, wait: Duration) -> Timestamp;
}

impl After for ManualClock {
    fn now_after(&self, wait: Duration) -> Timestamp {
        self.now().after(wait)
    }
}

fn message(id: &str, event_type: &str, filler: u64) -> Result<Message> {
    let attributes = Attributes::new(id, "/sim", event_type)?;
    let data = format!("\"{}\"", "x".repeat(filler as usize));
    Ok(Message::new(attributes, Some(data.into())))
}

async fn read(engine: &dyn Engine) -> Result<Vec<Entry>> {
    let mut reader = engine
        .read(Read {
            from: Start::Earliest,
            ..Read::default()
        })
        .await?;
    let mut all = Vec::new();
    loop {
        let some = reader.next(256).await?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

/// What can be pulled without waiting.
async fn ready(deliveries: &mut dyn Deliveries) -> Result<Vec<Delivery>> {
    let mut all = Vec::new();
    loop {
        tokio::select! {
            biased;
            some = deliveries.next(usize::MAX) => {
                let some = some?;
                ensure!(!some.is_empty(), Code::CLOSED.error("the engine closed"));
                all.extend(some);
            }
            () = tokio::task::yield_now() => return Ok(all),
        }
    }
}
