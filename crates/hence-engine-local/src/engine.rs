//! `Local`: the engine as its users hold it.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use hence_core::commit::{Change, Commit, Durability, Receipt, What};
use hence_core::dead_letter::{DeadLetter, DeadLetterQuery};
use hence_core::delivery::Position;
use hence_core::engine::{
    Capability, CommitNow, Committing, Deliveries, DeliveryReport, Done, Engine, EngineReport,
    Entry, Filter, Read, Reader, SubscriptionReport, TryCommitError,
};
use hence_core::error::{Code, Result};
use hence_core::handler::BoxFuture;
use hence_core::message::Message;
use hence_core::subscription::{Start, SubscriptionSpec};
use hence_log::Storage;
use tokio::sync::{Notify, oneshot};

use crate::Options;
use crate::alarm::{Alarm, Bell};
use crate::beside::on_a_thread;
use crate::core::{Core, attached};
use crate::decide::Prepared;
use crate::deliveries::Attached;
use crate::identity::{Append, IdentityKey};
use crate::index::Indexer;
use crate::journal::{Store, no_entry};
use crate::keeper::{Duty, Keeper};
use crate::lead::{Turn, has_other_workers};
use crate::memory::{self, Taken, closed};
use crate::promise::{capability, check};
use crate::queue::{Queue, Refused, Request, Stop, Subscribe};
use crate::reader::Tailing;
use crate::shared::Shared;
use crate::state::State;
use crate::tail::Tail;
use crate::writer::{self, Lead, Seat};

/// How commits reach the journal.
enum Path {
    /// On the caller's thread; so much memory may be taken by what is not settled.
    Inline { limit: usize, floor: usize },
    /// Through a queue and the writer's thread.
    Writer {
        queue: Arc<Queue>,
        seat: Arc<Seat>,
        thread: Mutex<Option<JoinHandle<()>>>,
        ended: Arc<Notify>,
        keeper: Option<Keeper>,
        indexer: Option<Indexer>,
    },
}

/// The local engine.
pub(crate) struct Local {
    pub(crate) shared: Arc<Shared>,
    capability: Capability,
    path: Path,
    /// Absent where timers wait for commits.
    alarm: Option<Alarm>,
}

/// A commit that was handed in.
enum Submitted {
    Now(Result<Vec<Receipt>>),
    Later(oneshot::Receiver<Result<Vec<Receipt>>>, Option<Turn>),
    Full(Box<Commit>),
}

impl Local {
    pub(crate) fn memory(options: &Options) -> Self {
        let state = State::new(options.dedup_events);
        let tail = Tail::new(state.next, options.memory_keep_bytes, true);
        let core = Core::new(state, tail, Store::Memory, options.ready_events);
        let limit = options.memory_bytes;
        Self {
            shared: Shared::new(core, &options.clock, IdentityKey::random(), None),
            capability: capability("memory", vec![Durability::Accepted]),
            path: Path::Inline {
                limit,
                floor: limit / options.memory_events.max(1),
            },
            alarm: options.alarm.then(Alarm::default),
        }
    }

    /// On the log of a storage, with an index in the directory if there is one.
    pub(crate) fn log(
        storage: Arc<dyn Storage>,
        dir: Option<&std::path::Path>,
        options: &Options,
    ) -> Result<Self> {
        let writer::Opened {
            writer,
            core,
            key,
            snapshots,
        } = writer::open(storage, options)?;
        let indexer = match (&core.store, dir.filter(|_| options.index)) {
            (Store::Log(log, _), Some(dir)) => Indexer::begin(dir, log, key, options),
            _ => None,
        };
        let index = indexer.as_ref().map(|indexer| Arc::clone(&indexer.index));
        let shared = Shared::new(core, &options.clock, key, index);
        let queue = Arc::new(Queue::new(options.queue_commits));
        let ended = Arc::new(Notify::new());
        let lead = Lead::new(Arc::clone(&shared), writer, snapshots);
        let seat = Arc::new(Mutex::new(Some(lead)));
        let thread = writer::Thread {
            seat: Arc::clone(&seat),
            queue: Arc::clone(&queue),
            shared: Arc::clone(&shared),
            ended: Arc::clone(&ended),
        };
        let named = std::thread::Builder::new().name("hence-writer".to_owned());
        let thread = named
            .spawn(move || thread.run())
            .map_err(|error| Code::INTERNAL.caused("no thread could be started", error))?;
        let keeper = Keeper::begin(Duty {
            shared: Arc::clone(&shared),
            queue: Arc::clone(&queue),
            retention: options.retention,
            spares: options.spares,
            interval: options.keep_interval,
        })?;
        let levels = vec![
            Durability::Accepted,
            Durability::Written,
            Durability::Synced,
        ];
        let local = Self {
            shared,
            capability: capability("log", levels),
            path: Path::Writer {
                queue,
                seat,
                thread: Mutex::new(Some(thread)),
                ended,
                keeper,
                indexer,
            },
            alarm: options.alarm.then(Alarm::default),
        };
        let has_timers = local.shared.lock().state.timers.next_due().is_some();
        if has_timers {
            local.begin_alarm()?;
        }
        Ok(local)
    }

    fn begin_alarm(&self) -> Result<()> {
        let bell = match &self.path {
            Path::Inline { limit, .. } => Bell::Inline { limit: *limit },
            Path::Writer { queue, .. } => Bell::Writer(Arc::clone(queue)),
        };
        let alarm = self.alarm.as_ref();
        alarm.map_or(Ok(()), |alarm| alarm.begin(&self.shared, bell))
    }

    #[cfg(test)]
    pub(crate) fn index(&self) -> Option<&crate::index::Index> {
        self.shared.index.as_deref()
    }

    fn submit(&self, commit: Commit, wait: bool) -> Submitted {
        let sets_timer = |change: &Change| matches!(change.what, What::SetTimer { .. });
        let mut checked = check(&self.capability, &commit);
        if commit.change.iter().any(sets_timer) {
            checked = checked.and_then(|()| self.begin_alarm());
        }
        if let Err(error) = checked {
            return Submitted::Now(Err(error));
        }
        if commit.is_empty() {
            return Submitted::Now(Ok(Vec::new()));
        }
        let mut commit = Prepared::new(self.shared.key, commit);
        match &self.path {
            Path::Inline { limit, floor } => {
                for append in &mut commit.publish {
                    append.size = append.size.max(*floor);
                }
                let now = self.shared.clock.now();
                let key = self.shared.key;
                let taken = self
                    .shared
                    .change(|core| memory::submit(core, commit, (*limit, now), key, wait));
                match taken {
                    Taken::Now(receipts) => Submitted::Now(receipts),
                    Taken::Later(receipts) => Submitted::Later(receipts, None),
                    Taken::Full(commit) => Submitted::Full(Box::new(commit.into_commit())),
                }
            }
            Path::Writer { queue, seat, .. } => {
                let (answer, receipts) = oneshot::channel();
                let may_lead = wait && self.shared.figures.may_lead() && has_other_workers();
                let request = Request::Commit(commit, Some(answer));
                let turn = || Turn {
                    seat: Arc::clone(seat),
                    queue: Arc::clone(queue),
                    shared: Arc::clone(&self.shared),
                };
                match queue.push_or_lead(request, wait, may_lead) {
                    Ok(leads) => Submitted::Later(receipts, leads.then(turn)),
                    Err(Refused::Stopped) => Submitted::Now(Err(closed())),
                    Err(Refused::Full(request)) => match *request {
                        Request::Commit(commit, _) => {
                            Submitted::Full(Box::new(commit.into_commit()))
                        }
                        Request::Subscribe(_) => Submitted::Now(Err(closed())),
                    },
                }
            }
        }
    }

    /// Publishes what a commit has, which is one event and nothing else.
    fn publish_now(&self, mut commit: Commit, (limit, floor): (usize, usize)) -> CommitNow {
        if let Err(error) = check(&self.capability, &commit) {
            return CommitNow::Done(Err(error));
        }
        let Some(message) = commit.publish.pop() else {
            return CommitNow::Done(Ok(Vec::new()));
        };
        let mut append = Append::new(self.shared.key, message);
        append.size = append.size.max(floor);
        let (now, key, level) = (self.shared.clock.now(), self.shared.key, commit.durability);
        let published =
            (self.shared).change(|core| memory::publish(core, append, level, (limit, now), key));
        match published {
            Ok(receipt) => CommitNow::Done(receipt.map(|receipt| vec![receipt])),
            Err(append) => {
                commit.publish.push(append.message);
                CommitNow::Waits(commit)
            }
        }
    }

    async fn begin(&self, spec: SubscriptionSpec) -> Result<Box<dyn Deliveries>> {
        loop {
            {
                let mut core = self.shared.lock();
                if core.closed {
                    return Err(closed());
                }
                for first in &spec.after {
                    core.state.named(first)?;
                }
                let known = core.state.id_of(&spec.name);
                if known.is_some_and(|id| core.is_attached(id)) {
                    return Err(attached(&spec.name));
                }
                if let Some(id) = core.known(&spec) {
                    return self.attach(&mut core, id, &spec.after);
                }
            }
            match &self.path {
                Path::Inline { .. } => self.begin_inline(&spec)?,
                Path::Writer { queue, .. } => self.begin_queued(queue, &spec).await?,
            }
        }
    }

    fn attach(&self, core: &mut Core, id: u32, after: &[String]) -> Result<Box<dyn Deliveries>> {
        core.attach(id, after)?;
        let notify = core.notify(id).unwrap_or_default();
        let types = core.state.subscription(id).map(|found| found.types.iter());
        Ok(Box::new(Attached {
            shared: Arc::clone(&self.shared),
            id,
            notify,
            held: core.state.held(id),
            tags: types.into_iter().flatten().map(|taken| taken.tag).collect(),
            cold: None,
        }))
    }

    fn begin_inline(&self, spec: &SubscriptionSpec) -> Result<()> {
        let now = self.shared.clock.now();
        let mut core = self.shared.lock();
        let start = core.start(spec.start);
        let planned = core.plan(spec, start)?;
        let op = core.subscription_op(planned, (0, 0));
        let mut batch = std::mem::take(&mut core.scratch);
        batch.push(op, now);
        core.apply(&mut batch);
        core.scratch = batch;
        Ok(())
    }

    /// Counts what is open on the disk, then has the writer begin the subscription.
    async fn begin_queued(&self, queue: &Queue, spec: &SubscriptionSpec) -> Result<()> {
        let is_new = self.shared.lock().state.id_of(&spec.name).is_none();
        let (start, plan) = match spec.start {
            Start::Latest if is_new => (None, None),
            start => {
                let start = self.start(start)?;
                let core = self.shared.lock();
                let probe = core.plan(spec, start)?.probe;
                let tags = probe.types.iter().map(|taken| taken.tag).collect();
                let reader = core.store.reader(probe.settled.low() + 1, Some(tags));
                let plan = reader.map(|reader| (reader, probe, core.state.last()));
                (Some(start), plan)
            }
        };
        let counted = match plan {
            // Nothing that exists already is open.
            None => (u64::MAX, 0),
            Some((reader, probe, upto)) => {
                let count = move || crate::journal::count(reader, &probe, upto);
                (upto, on_a_thread("hence-count", count).await?)
            }
        };
        let (answer, done) = oneshot::channel();
        let subscribe = Subscribe {
            spec: spec.clone(),
            start,
            counted,
            answer,
        };
        let request = Request::Subscribe(Box::new(subscribe));
        if queue.push(request, true).is_err() {
            return Err(closed());
        }
        done.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Where to begin. A moment is looked up on the disk, under no lock.
    fn start(&self, start: Start) -> Result<u64> {
        let (store, next) = {
            let core = self.shared.lock();
            match (&core.store, start) {
                (Store::Log(..), Start::Time(_)) => (core.store.clone(), core.state.next),
                _ => return Ok(core.start(start)),
            }
        };
        match start {
            Start::Time(moment) => store.position_at(moment, next),
            _ => Ok(next),
        }
    }

    fn reader(&self, from: Start, filter: Filter, follow: bool) -> Result<Tailing> {
        drop(self.open()?);
        let from = self.start(from)?;
        let core = self.open()?;
        let end = (!follow).then(|| core.state.last());
        let from = from.max(core.store.first().unwrap_or(1));
        Ok(Tailing::new(Arc::clone(&self.shared), from, end, filter))
    }

    /// The engine, unless it is closed.
    pub(crate) fn open(&self) -> Result<MutexGuard<'_, Core>> {
        let core = self.shared.lock();
        if core.closed { Err(closed()) } else { Ok(core) }
    }

    pub(crate) fn entry(&self, position: u64) -> Result<Entry> {
        let store = {
            let core = self.open()?;
            // Memory may still have what the log has let go of.
            let first = core.store.first().unwrap_or(1);
            if position < first.max(1) || position >= core.state.next {
                return Err(no_entry(position));
            }
            match core.tail.get(position) {
                Some(kept) => return Ok(kept.entry.clone()),
                None => core.store.clone(),
            }
        };
        store.get(position)
    }

    async fn positions_of(&self, source: Option<&str>, id: &str) -> Result<Vec<Position>> {
        if let Some(source) = source {
            let core = self.open()?;
            let dedup = &core.state.dedup;
            if let Some(known) = dedup.get(self.shared.key.id(source, id)) {
                return Ok(vec![Position(known.position)]);
            }
            if dedup.is_complete() {
                return Ok(Vec::new());
            }
        }
        let filter = Filter {
            source: source.map(str::to_owned),
            id: Some(id.to_owned()),
            ..Filter::default()
        };
        let mut reader = self.reader(Start::Earliest, filter, false)?;
        let mut positions = Vec::new();
        loop {
            let entries = reader.read(crate::reader::READ_SCAN_MAX).await?;
            if entries.is_empty() {
                return Ok(positions);
            }
            positions.extend(entries.iter().map(|entry| entry.position));
        }
    }

    async fn until_settled(&self, position: u64) -> Result<()> {
        let entry = match self.entry(position) {
            Ok(entry) => entry,
            // It is kept no longer, because nobody waits for it.
            Err(error) if error.code() == Code::NOT_FOUND && self.existed(position) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let _forget = Forget(&self.shared, position);
        loop {
            let wait = {
                let mut core = self.shared.lock();
                if core.closed {
                    return Err(closed());
                }
                core.unsettled(&entry)
            };
            match wait {
                None => return Ok(()),
                // Either way it is time to look again.
                Some(wait) => drop(wait.await),
            }
        }
    }

    fn existed(&self, position: u64) -> bool {
        position > 0 && position < self.shared.lock().state.next
    }
}

/// Forgets a wait that is given up.
struct Forget<'a>(&'a Shared, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().forget_waits(self.1);
    }
}

async fn answered(receipts: oneshot::Receiver<Result<Vec<Receipt>>>) -> Result<Vec<Receipt>> {
    receipts.await.unwrap_or_else(|_| Err(closed()))
}

impl Engine for Local {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Vec<Receipt>>> {
        Box::pin(async move {
            match self.submit(commit, true) {
                Submitted::Now(receipts) => receipts,
                Submitted::Later(receipts, None) => answered(receipts).await,
                Submitted::Later(receipts, Some(turn)) => {
                    // Whoever is ready to publish, too, goes first, and then it is a group.
                    tokio::task::yield_now().await;
                    turn.lead();
                    answered(receipts).await
                }
                Submitted::Full(_) => Err(Code::QUEUE_FULL.error("the queue is full")),
            }
        })
    }

    fn commit_now(&self, commit: Commit) -> CommitNow {
        let Path::Inline { limit, floor } = &self.path else {
            return CommitNow::Waits(commit);
        };
        if commit.publish.len() == 1 && commit.only_publishes() {
            return self.publish_now(commit, (*limit, *floor));
        }
        match self.submit(commit, false) {
            Submitted::Now(receipts) => CommitNow::Done(receipts),
            Submitted::Full(commit) => CommitNow::Waits(*commit),
            Submitted::Later(..) => {
                CommitNow::Done(Err(Code::INTERNAL.error("what was not to wait waits")))
            }
        }
    }

    fn done_now(&self, subscription: &str, done: &[Done]) -> bool {
        let Path::Inline { limit, .. } = &self.path else {
            return false;
        };
        let (now, key) = (self.shared.clock.now(), self.shared.key);
        self.shared
            .change(|core| memory::done(core, (subscription, done), (*limit, now), key))
    }

    fn try_commit(&self, commit: Commit) -> Result<Committing, TryCommitError> {
        match self.submit(commit, false) {
            Submitted::Now(Ok(receipts)) => Ok(Box::pin(std::future::ready(Ok(receipts)))),
            Submitted::Now(Err(error)) => Err(TryCommitError::Refused(error)),
            // Only a commit that waits leads.
            Submitted::Later(receipts, _) => Ok(Box::pin(answered(receipts))),
            Submitted::Full(commit) => Err(TryCommitError::Full(commit)),
        }
    }

    fn subscribe(&self, spec: SubscriptionSpec) -> BoxFuture<'_, Result<Box<dyn Deliveries>>> {
        Box::pin(self.begin(spec))
    }

    fn read(&self, read: Read) -> BoxFuture<'_, Result<Box<dyn Reader>>> {
        Box::pin(async move {
            let reader = self.reader(read.from, read.filter, read.follow)?;
            Ok(Box::new(reader) as Box<dyn Reader>)
        })
    }

    fn get(&self, position: Position) -> BoxFuture<'_, Result<Entry>> {
        Box::pin(async move { self.entry(position.0) })
    }

    fn find<'a>(
        &'a self,
        source: Option<&'a str>,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Position>>> {
        Box::pin(self.positions_of(source, id))
    }

    fn report(&self, position: Position) -> BoxFuture<'_, Result<Vec<DeliveryReport>>> {
        Box::pin(self.deliveries_of(position.0))
    }

    fn settled(&self, position: Position) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.until_settled(position.0))
    }

    fn keyed<'a>(
        &'a self,
        subscription: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let core = self.shared.lock();
            if core.closed {
                return Err(closed());
            }
            let (id, _) = core.state.named(subscription)?;
            Ok(core.state.keyed.get(id, key).cloned())
        })
    }

    fn now(&self) -> hence_core::Timestamp {
        self.shared.clock.now()
    }

    fn subscriptions(&self) -> Vec<SubscriptionReport> {
        self.shared.lock().reports()
    }

    fn dead_letters<'a>(
        &'a self,
        wanted: &'a DeadLetterQuery,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>>> {
        Box::pin(async move { self.open()?.state.dead_letters(wanted) })
    }

    fn dead_letter<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(DeadLetter, Message)>> {
        Box::pin(async move { self.letter(id) })
    }

    fn health(&self) -> Result<EngineReport> {
        let core = self.shared.lock();
        if let Some(error) = &core.failed {
            return Err(error.clone());
        }
        if core.closed {
            return Err(closed());
        }
        let last = core.newest;
        let first = core.store.first().or_else(|| core.tail.oldest());
        let (store, in_memory) = (core.store.clone(), core.tail.bytes() as u64);
        drop(core);
        let (syncs, syncing) = self.shared.figures.syncs();
        Ok(EngineReport {
            first: Position(first.unwrap_or(last).min(last)),
            last: Position(last),
            bytes: store.bytes().unwrap_or(in_memory),
            syncs,
            syncing,
            indexed: self.shared.index.as_ref().and_then(|index| index.reached()),
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match &self.path {
                Path::Inline { .. } => {
                    self.shared.lock().close();
                }
                Path::Writer {
                    queue,
                    ended,
                    keeper,
                    indexer,
                    ..
                } => {
                    if let Some(indexer) = indexer {
                        indexer.end();
                    }
                    if let Some(keeper) = keeper {
                        keeper.end();
                    }
                    let mut ended = pin!(ended.notified());
                    ended.as_mut().enable();
                    queue.stop(Stop::Close);
                    if !self.shared.figures.has_ended() {
                        ended.await;
                    }
                }
            }
            self.shared.appended.notify_waiters();
        })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.shared.lock().close();
        self.shared.appended.notify_waiters();
        if let Path::Writer {
            queue,
            thread,
            keeper,
            indexer,
            ..
        } = &self.path
        {
            if let Some(indexer) = indexer {
                indexer.end();
            }
            if let Some(keeper) = keeper {
                keeper.end();
            }
            queue.stop(Stop::Abandon);
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread
                && thread.join().is_err()
            {
                tracing::error!("the writer of the log panicked");
            }
            self.shared.lock().store = Store::Memory;
        }
        if let Some(alarm) = &self.alarm {
            alarm.end();
        }
    }
}
