//! The writer of `log:`, which decides, stores and shows commits, group by group.
//!
//! Whoever leads takes what waits, decides each commit in order, stores all of them with one write
//! and one sync, applies them, and only then answers. While it syncs, the next group gathers.
//!
//! There is one lead. The writer's thread has it under load. A commit that comes when nobody is at
//! work may lead itself, if syncs are short and its runtime has more than one thread: the task lets
//! others that are ready go first, and if none of them commits it stores on its own thread. Two
//! threads fewer have to be woken for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hence_core::commit::{Durability, Receipt};
use hence_core::error::{Code, Error, Result};
use hence_core::time::Timestamp;
use hence_log::{ErrorKind, Level, Log, Op as Stored, Storage, Writer};
use tokio::sync::Notify;

use crate::Options;
use crate::core::{Batch, Core};
use crate::decide::{Prepared, Undecided};
use crate::identity::IdentityKey;
use crate::journal::{Store, count, translate};
use crate::op::Op;
use crate::planted::is_planted;
use crate::queue::{Answer, Queue, Request, Stop, Subscribe, Wake};
use crate::recovery::recover;
use crate::shared::Shared;
use crate::snapshot::{self, Frozen, Schedule};
use crate::tail::Tail;

/// How long nothing is published before the log is marked as being at rest, and before what was
/// only written is synced.
pub const IDLE_MAX: Duration = Duration::from_millis(50);
/// The time of a sync, in nanoseconds, from which on callers leave all storing to the thread.
const LEAD_SYNC_MAX: u64 = 1_000_000;
/// Memory for frames in the log itself: its readers here are those that are far behind.
const LOG_TAIL_BYTES: usize = 1 << 20;

/// What the writer counts.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    syncs: AtomicU64,
    syncing_nanos: AtomicU64,
    ended: AtomicBool,
    snapshot_wanted: AtomicBool,
    seal_wanted: AtomicBool,
    /// The time of one sync lately, in nanoseconds; 0 before the first.
    lately: AtomicU64,
}

impl Figures {
    /// Whether a caller may store its commit itself. To wake the thread and to be woken by it costs
    /// more than a tenth of a short sync, and nothing beside a long one, which no caller's thread
    /// should be held up for.
    pub(crate) fn may_lead(&self) -> bool {
        (1..LEAD_SYNC_MAX).contains(&self.lately.load(Ordering::Relaxed))
    }

    /// Only whoever leads calls this.
    fn note_sync(&self, nanos: u64) {
        let lately = match self.lately.load(Ordering::Relaxed) {
            0 => nanos,
            // So that one long sync ends it, and several short ones bring it back.
            lately => nanos.max((lately * 7 + nanos) / 8),
        };
        self.lately.store(lately.max(1), Ordering::Relaxed);
    }

    /// How often and how long it waited for stable storage.
    pub(crate) fn syncs(&self) -> (u64, Duration) {
        let nanos = self.syncing_nanos.load(Ordering::Relaxed);
        (
            self.syncs.load(Ordering::Relaxed),
            Duration::from_nanos(nanos),
        )
    }

    /// Asks for the tables to be stored sooner than usual.
    pub(crate) fn want_snapshot(&self) {
        self.snapshot_wanted.store(true, Ordering::Release);
    }

    /// Asks for a new segment, so that the one that is being written can go.
    pub(crate) fn want_seal(&self) {
        self.seal_wanted.store(true, Ordering::Release);
    }

    /// Whether the writer has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// A log that was opened.
pub(crate) struct Opened {
    pub(crate) writer: Writer,
    pub(crate) core: Core,
    pub(crate) key: IdentityKey,
    pub(crate) snapshots: Schedule,
}

/// Opens the log and brings the tables to where it ends.
pub(crate) fn open(storage: Arc<dyn Storage>, options: &Options) -> Result<Opened> {
    let settings = hence_log::Options::default()
        .segment_bytes(options.segment_bytes)
        .tail_bytes(LOG_TAIL_BYTES.min(options.tail_bytes));
    let opened = Log::open_on(Arc::clone(&storage), settings);
    let (writer, log, recovered) = opened.map_err(translate)?;
    let key = IdentityKey::of(log.id());
    let mut state = recover(&recovered, log.watermark(), key, options)?;
    state.lean_on_entries(log.first_position());
    let last = state.last();
    // Positions that a crash made doubtful are never used again.
    state.next = writer.next_position();
    let tail = Tail::new(state.next, options.tail_bytes, false);
    let frame = recovered.snapshot.map_or(0, |snapshot| snapshot.frame);
    let snapshots = Schedule::new(options, frame, log.bytes_behind(frame));
    let store = Store::Log(log, storage);
    let newest = store.newest(last)?;
    let mut core = Core::new(state, tail, store, options.ready_events);
    core.newest = newest;
    Ok(Opened {
        writer,
        core,
        key,
        snapshots,
    })
}

/// What storing takes. Whoever leads has it: the writer's thread, or a caller whose commit found
/// nobody at work.
pub(crate) struct Lead {
    shared: Arc<Shared>,
    writer: Writer,
    snapshots: Schedule,
    encoded: Encoded,
    batch: Batch,
    /// The commit that was staged last.
    frame: u64,
}

/// Where the lead is kept between two turns; nothing is there any more when the writer has ended.
pub(crate) type Seat = Mutex<Option<Lead>>;

/// The writer's thread.
pub(crate) struct Thread {
    pub(crate) seat: Arc<Seat>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) ended: Arc<Notify>,
}

/// The operations of one frame as bytes, kept for its memory.
#[derive(Default)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A commit of the group, with what its publisher will hear once the group is stored. A refusal waits,
/// too: it may rest on what is in the group.
struct Decided {
    result: Result<Vec<Receipt>>,
    answer: Option<Answer<Vec<Receipt>>>,
}

impl Thread {
    /// Works until it is told to stop.
    pub(crate) fn run(self) {
        let mut patience = Some(IDLE_MAX);
        let mut work = VecDeque::new();
        let ending = Ending {
            shared: Arc::clone(&self.shared),
            queue: Arc::clone(&self.queue),
            ended: Arc::clone(&self.ended),
        };
        let stop = loop {
            let wake = self.queue.take(&mut work, patience);
            let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(lead) = seat.as_mut() else {
                break None;
            };
            match wake {
                Wake::Work => {
                    patience = Some(IDLE_MAX);
                    lead.store_all(&mut work);
                    lead.seal();
                    lead.snapshot();
                }
                Wake::Idle => {
                    patience = None;
                    lead.rest();
                    // After a crash there may be much to reflect, and nothing that is published.
                    lead.snapshot();
                }
                Wake::Stop(stop) => break Some((stop, seat.take())),
            }
        };
        if let Some((stop, Some(lead))) = stop {
            lead.end(stop);
        }
        drop(ending);
    }
}

impl Lead {
    pub(crate) fn new(shared: Arc<Shared>, writer: Writer, snapshots: Schedule) -> Self {
        Self {
            shared,
            writer,
            snapshots,
            encoded: Encoded::default(),
            batch: Batch::default(),
            frame: 0,
        }
    }

    /// Stores this, group by group.
    pub(crate) fn store_all(&mut self, work: &mut VecDeque<Request>) {
        let mut batch = std::mem::take(&mut self.batch);
        while !work.is_empty() {
            self.group(work, &mut batch);
        }
        self.batch = batch;
    }

    /// Whether there is something to do that is left to the thread.
    pub(crate) fn wants_thread(&mut self) -> bool {
        let figures = &self.shared.figures;
        let wanted = figures.snapshot_wanted.load(Ordering::Acquire);
        self.snapshots.are_due(self.frame, wanted) || figures.seal_wanted.load(Ordering::Acquire)
    }

    /// Goes on to a new segment, if that was asked for.
    fn seal(&mut self) {
        let wanted = &self.shared.figures.seal_wanted;
        if wanted.swap(false, Ordering::AcqRel)
            && let Err(error) = self.writer.seal()
        {
            self.fail(error);
        }
    }

    /// Stores a commit that changes nothing, so that there can be one more snapshot: a segment waits
    /// for two that reflect what it says, and where nothing is published there would be no second.
    fn pass(&mut self) -> Result<()> {
        let now = self.shared.clock.now();
        let time = u64::try_from(now.as_micros()).unwrap_or(0);
        let staged = self.writer.stage(time, []);
        self.frame = staged.map_err(|error| self.fail(error))?.frame;
        self.store(Level::Synced)
    }

    /// Stores the tables when it is time, beside the commits that go on.
    fn snapshot(&mut self) {
        let shared = Arc::clone(&self.shared);
        let wanted = &shared.figures.snapshot_wanted;
        let is_wanted = wanted.load(Ordering::Acquire);
        let newest = |core: &Core| match &core.store {
            Store::Log(log, _) => Some((log.clone(), log.durable_frame())),
            Store::Memory => None,
        };
        let Some((_, frame)) = newest(&shared.lock()) else {
            return;
        };
        self.snapshots.settle();
        let again = is_wanted && frame == self.snapshots.frame();
        if again && (!self.snapshots.are_due(frame + 1, true) || self.pass().is_err()) {
            return;
        }
        let core = shared.lock();
        let Some((log, frame)) = newest(&core) else {
            return;
        };
        // Only what is durable may be in it: then the tables are those of the last commit.
        if frame != log.last_frame() || !self.snapshots.are_due(frame, is_wanted) {
            return;
        }
        wanted.store(false, Ordering::Release);
        let frozen = Frozen::of(&core.state);
        drop(core);
        self.snapshots.store(&log, frame, frozen);
    }

    fn rest(&mut self) {
        if let Err(error) = self.writer.mark() {
            self.fail(error);
        }
    }

    /// Decides, stores, shows and answers as many requests as make one group.
    fn group(&mut self, work: &mut VecDeque<Request>, batch: &mut Batch) {
        let mut decided = Vec::new();
        let mut level = Level::Written;
        let shared = Arc::clone(&self.shared);
        let mut core = shared.lock();
        if self.fire(&mut core, batch) {
            level = Level::Synced;
        }
        while !self.writer.is_full()
            && let Some(request) = work.pop_front()
        {
            match request {
                Request::Commit(commit, answer) => {
                    if commit.durability == Durability::Synced {
                        level = Level::Synced;
                    }
                    let (locked, result) = self.decide((&shared, core), commit, batch);
                    core = locked;
                    match result {
                        // It rests on nothing that is not stored yet.
                        Err(error) if batch.is_empty() => refuse(answer, error),
                        result => decided.push(Decided { result, answer }),
                    }
                }
                Request::Subscribe(subscribe) if batch.is_empty() => {
                    drop(core);
                    self.subscribe(*subscribe, batch);
                    return;
                }
                subscribe @ Request::Subscribe(_) => {
                    work.push_front(subscribe);
                    break;
                }
            }
        }
        drop(core);
        if is_planted("visible-before-stored") {
            self.show(batch);
        }
        match self.store(level) {
            Ok(()) => {
                self.show(batch);
                for Decided { result, answer } in decided {
                    match result {
                        // Whoever gave up waiting is not told.
                        Ok(receipts) => drop(answer.map(|answer| answer.send(Ok(receipts)))),
                        Err(error) => refuse(answer, error),
                    }
                }
            }
            Err(error) => {
                self.shared.lock().forget(batch);
                for Decided { answer, .. } in decided {
                    refuse(answer, error.clone());
                }
            }
        }
    }

    /// Lets timers fire that are due, and says whether any did. What cannot be staged fires later.
    fn fire(&mut self, core: &mut Core, batch: &mut Batch) -> bool {
        let now = self.shared.clock.now();
        if core.failed.is_some() {
            return false;
        }
        for timer in core.due(now) {
            if self.writer.is_full() {
                break;
            }
            core.fire(&timer, (self.shared.key, now), batch);
            let first = core.first_of_last();
            if let Err(error) = self.stage(batch.last(), now, first) {
                let (error, _) = note(core, error);
                tracing::warn!(%error, "a timer could not fire; trying again");
                core.undo(batch);
                break;
            }
        }
        !batch.is_empty()
    }

    /// Decides one commit and stages its frame, or refuses it. For what it has to read from the
    /// disk to decide, it lets go of the lock: nothing else changes the state meanwhile.
    fn decide<'a>(
        &mut self,
        (shared, mut core): (&'a Shared, MutexGuard<'a, Core>),
        mut commit: Prepared,
        batch: &mut Batch,
    ) -> (MutexGuard<'a, Core>, Result<Vec<Receipt>>) {
        let now = self.shared.clock.now();
        let decided = loop {
            if let Some(error) = &core.failed {
                let error = error.clone();
                return (core, Err(error));
            }
            match core.decide(commit, now, batch) {
                Ok(receipts) => break Ok(receipts),
                Err(Undecided::Refused(error)) => break Err(error),
                // Each turn brings one entry more, so it ends.
                Err(Undecided::Lacks(lacking, position)) => {
                    let store = core.store.clone();
                    drop(core);
                    commit = *lacking;
                    commit.read.insert(position, store.get(position));
                    core = shared.lock();
                }
            }
        };
        let first = core.first_of_last();
        let staged = decided.and_then(|receipts| {
            let staged = self.stage(batch.last(), now, first);
            staged.map_err(|error| {
                core.undo(batch);
                note(&mut core, error).0
            })?;
            Ok(receipts)
        });
        (core, staged)
    }

    /// Stages one frame, whose first append is to get this position.
    fn stage(&mut self, ops: &[Op], now: Timestamp, first: u64) -> hence_log::Result<()> {
        if ops.is_empty() {
            return Ok(());
        }
        let appends = ops.iter().take_while(|op| matches!(op, Op::Append(_)));
        let appends = appends.count();
        if is_planted("state-before-settle")
            && let Some(at) = ops.iter().position(|op| matches!(op, Op::Keyed { .. }))
            && at > appends
        {
            let (settled, state) = ops.split_at(at);
            self.stage(state, now, 0)?;
            self.writer.commit(Level::Synced)?;
            return self.stage(settled, now, first);
        }
        if is_planted("cursor-before-effect") && (1..ops.len()).contains(&appends) {
            let (effects, settled) = ops.split_at(appends);
            self.stage(settled, now, first)?;
            self.writer.commit(Level::Synced)?;
            return self.stage(effects, now, first);
        }
        let Encoded { bytes, ends } = &mut self.encoded;
        bytes.clear();
        ends.clear();
        for op in ops {
            op.encode(bytes);
            ends.push(bytes.len());
        }
        let begins = std::iter::once(&0).chain(ends.iter());
        let stored = ops
            .iter()
            .zip(begins.zip(ends.iter()))
            .map(|(op, (begin, end))| Stored {
                kind: op.kind(),
                tag: op.tag(),
                body: bytes.get(*begin..*end).unwrap_or_default(),
            });
        let time = u64::try_from(now.as_micros()).unwrap_or(0);
        let staged = self.writer.stage(time, stored)?;
        self.frame = staged.frame;
        self.snapshots.grow(bytes.len());
        assert!(
            staged.count == 0 || staged.first_position == first,
            "the log gives position {}, the state {first}",
            staged.first_position
        );
        Ok(())
    }

    fn store(&mut self, level: Level) -> Result<()> {
        let begin = Instant::now();
        // What repeats and what is refused stage nothing, and no disk is so fast.
        let syncs = level == Level::Synced && !(self.writer.is_empty() && self.writer.is_synced());
        let stored = self.writer.commit(level);
        if syncs {
            let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let figures = &self.shared.figures;
            figures.syncs.fetch_add(1, Ordering::Relaxed);
            figures.syncing_nanos.fetch_add(nanos, Ordering::Relaxed);
            figures.note_sync(nanos);
        }
        stored.map_err(|error| self.fail(error))
    }

    /// Notes a failure of a group.
    fn fail(&self, error: hence_log::Error) -> Error {
        let (error, is_final) = note(&mut self.shared.lock(), error);
        tracing::error!(%error, is_final, "a group of commits was not stored");
        error
    }

    fn show(&self, batch: &mut Batch) {
        let mut core = self.shared.lock();
        core.apply(batch);
        let gone = core.tail.take_gone();
        drop(core);
        drop(gone);
        self.shared.appended.notify_waiters();
    }

    fn subscribe(&mut self, subscribe: Subscribe, batch: &mut Batch) {
        let Subscribe {
            spec,
            start,
            counted,
            answer,
        } = subscribe;
        let now = self.shared.clock.now();
        let (upto, open) = counted;
        let core = self.shared.lock();
        if core.known(&spec).is_some() {
            drop(answer.send(Ok(())));
            return;
        }
        let last = core.state.last();
        let planned = core.plan(&spec, start.unwrap_or(core.state.next));
        // What was appended since it was counted may have left the memory already.
        let left = upto < last && !core.tail.covers(upto.saturating_add(1));
        let reader = left.then(|| core.store.reader(upto.saturating_add(1), None));
        drop(core);
        let op = planned.and_then(|planned| {
            let counted = match reader.flatten() {
                // Under no lock: nothing is appended meanwhile, because that is this thread's work.
                Some(reader) => (last, open + count(reader, &planned.probe, last)?),
                None => counted,
            };
            Ok(self.shared.lock().subscription_op(planned, counted))
        });
        let stored = op.and_then(|op| {
            batch.push(op, now);
            let staged = self.stage(batch.last(), now, 0);
            staged.map_err(|error| self.fail(error))?;
            self.store(Level::Synced)
        });
        match stored {
            Ok(()) => self.show(batch),
            Err(_) => self.shared.lock().forget(batch),
        }
        // Whoever asked may be gone; the subscription is there all the same.
        drop(answer.send(stored));
    }

    fn end(mut self, stop: Stop) {
        self.snapshots.wait();
        let Self {
            shared,
            mut writer,
            snapshots,
            ..
        } = self;
        let mut core = shared.lock();
        core.close();
        let store = std::mem::replace(&mut core.store, Store::Memory);
        let frozen = Frozen::of(&core.state);
        drop(core);
        if stop == Stop::Close {
            if let Err(error) = writer.commit(Level::Synced) {
                tracing::error!(%error, "the log could not be synced at its end");
            }
            if let Store::Log(log, _) = &store
                && log.last_frame() > snapshots.frame()
            {
                snapshot::store(log, log.last_frame(), &frozen);
            }
            if let Err(error) = writer.close() {
                tracing::error!(%error, "the log could not be closed cleanly");
            }
        }
    }
}

/// Tells everyone that the writer has ended, also when it panicked: nobody may wait for it then.
struct Ending {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    ended: Arc<Notify>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.queue.stop(Stop::Abandon);
        self.shared.lock().close();
        self.shared.figures.ended.store(true, Ordering::Release);
        self.ended.notify_waiters();
        self.shared.appended.notify_waiters();
    }
}

/// Notes a failure, and says whether it is final. Most pass, such as a full disk; a poisoned log
/// stores nothing any more.
fn note(core: &mut Core, error: hence_log::Error) -> (Error, bool) {
    // Of what is stored nothing is damaged: nothing more can be stored.
    let is_gone = matches!(error.kind(), ErrorKind::MissingSegment { .. });
    let is_final = is_gone || *error.kind() == ErrorKind::Poisoned;
    let error = match is_gone {
        true => Code::STORAGE.caused(error.to_string(), error),
        false => translate(error),
    };
    if is_final {
        core.failed.get_or_insert_with(|| error.clone());
    }
    (error, is_final)
}

fn refuse(answer: Option<Answer<Vec<Receipt>>>, error: Error) {
    match answer {
        // Whoever gave up waiting is not told.
        Some(answer) => drop(answer.send(Err(error))),
        None => tracing::warn!(%error, "a commit that was only accepted is lost"),
    }
}

#[cfg(test)]
mod tests;
