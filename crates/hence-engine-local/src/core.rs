//! `Core`: the state with everything that hangs on it in memory, behind the engine's one lock.

mod at_once;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use hence_core::commit::Receipt;
use hence_core::delivery::{Delivery, Position};
use hence_core::engine::{DeliveryReport, Entry, SubscriptionReport};
use hence_core::error::{Code, Error, Result};
use hence_core::subscription::{Start, SubscriptionSpec};
use hence_core::time::Timestamp;
use tokio::sync::{Notify, oneshot};

use crate::dead_letters::Dead;
use crate::decide::{self, Pending, Prepared, Undecided, Window, decide};
use crate::gates::Gates;
use crate::history::{Attempt, Emitted, Expected, History};
use crate::identity::{self, Append, IdentityKey};
use crate::journal::Store;
use crate::memory::Waiting;
use crate::op::{Discarded, Edited, Ended, How, Op, Subscribed, Taken};
use crate::outlet::{Found, Outlet, behind, delay};
use crate::planted::is_planted;
use crate::state::{SUBSCRIPTIONS_MAX, State};
use crate::subscription::{Status, Subscription};
use crate::tail::Tail;
use crate::timers::{TIMERS_AT_A_TIME, Timer, TimerId};

/// Commits that are decided and not applied yet.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    ops: Vec<Op>,
    frames: Vec<Decided>,
}

/// A subscription that is to begin or to change.
pub(crate) struct Planned {
    pub(crate) subscribed: Subscribed,
    /// What it will be, with what is settled already.
    pub(crate) probe: Subscription,
}

/// One decided commit: its operations end here.
#[derive(Clone, Copy, Debug)]
struct Decided {
    end: usize,
    time: Timestamp,
}

/// The state, the newest entries, and the attached subscriptions.
pub(crate) struct Core {
    pub(crate) state: State,
    pending: Pending,
    pub(crate) tail: Tail,
    pub(crate) store: Store,
    /// The newest event; positions behind it may have been given up by a crash.
    pub(crate) newest: u64,
    /// The last commit of the log that the tables reflect.
    pub(crate) shown: u64,
    outlets: Vec<Option<Outlet>>,
    gates: Gates,
    history: Option<History>,
    /// Who waits for a message to be settled.
    waiting: HashMap<u64, Vec<oneshot::Sender<()>>>,
    ready_events: usize,
    /// Wakes whoever waits for the next timer, because it is another one now.
    pub(crate) alarm: Arc<Notify>,
    /// Commits that wait for room, in the order in which they came; of `memory:` alone.
    pub(crate) queue: VecDeque<Waiting>,
    /// Kept for its memory.
    pub(crate) scratch: Batch,
    /// A reader waits at the end for more.
    pub(crate) followed: bool,
    /// Kept for its memory: who has to settle the message that is being applied.
    open: Vec<u32>,
    pub(crate) closed: bool,
    /// Why no more commits are taken.
    pub(crate) failed: Option<Error>,
}

struct View<'a> {
    outlets: &'a [Option<Outlet>],
    tail: &'a Tail,
    keeps_entries: bool,
}

impl Window for View<'_> {
    fn after(&self, subscription: u32, position: u64) -> u64 {
        let outlet = self.outlets.get(subscription as usize);
        let after = outlet.and_then(|outlet| outlet.as_ref()?.after(position));
        // Not given out, or given back meanwhile: settles this position alone.
        after.unwrap_or(position - 1)
    }

    fn holds(&self, subscription: u32, position: u64) -> bool {
        let outlet = self.outlets.get(subscription as usize);
        outlet.is_some_and(|outlet| outlet.as_ref().is_some_and(|o| o.holds(position)))
    }

    fn entry(&self, position: u64) -> Option<&Entry> {
        self.tail.get(position).map(|kept| &kept.entry)
    }

    fn keeps_entries(&self) -> bool {
        self.keeps_entries
    }
}

impl Core {
    pub(crate) fn new(state: State, tail: Tail, store: Store, ready_events: usize) -> Self {
        let history = matches!(store, Store::Memory).then(History::default);
        let outlets = state.subscriptions().iter().map(|_| None).collect();
        Self {
            state,
            pending: Pending::default(),
            newest: 0,
            shown: store.last_commit(),
            tail,
            store,
            outlets,
            gates: Gates::default(),
            history,
            waiting: HashMap::new(),
            ready_events,
            alarm: Arc::new(Notify::new()),
            queue: VecDeque::new(),
            scratch: Batch::default(),
            followed: false,
            open: Vec::new(),
            closed: false,
            failed: None,
        }
    }

    /// Decides one commit behind those of the batch.
    pub(crate) fn decide(
        &mut self,
        commit: Prepared,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<Vec<Receipt>, Undecided> {
        let view = View {
            outlets: &self.outlets,
            tail: &self.tail,
            keeps_entries: matches!(self.store, Store::Log(..)),
        };
        let ops = &mut batch.ops;
        let receipts = decide(&self.state, &mut self.pending, &view, commit, ops)?;
        batch.end(now);
        Ok(receipts)
    }

    /// The first position that the commit gets that was decided last.
    pub(crate) fn first_of_last(&self) -> u64 {
        self.state.next + self.pending.appends_before_last()
    }

    /// Takes back the commit that was decided last.
    pub(crate) fn undo(&mut self, batch: &mut Batch) {
        self.pending.undo();
        batch.frames.pop();
        let end = batch.frames.last().map_or(0, |frame| frame.end);
        batch.ops.truncate(end);
    }

    /// Gives up everything that was decided and not stored.
    pub(crate) fn forget(&mut self, batch: &mut Batch) {
        self.pending.clear();
        batch.ops.clear();
        batch.frames.clear();
    }

    /// Applies what was stored, and shows it.
    pub(crate) fn apply(&mut self, batch: &mut Batch) {
        self.pending.clear();
        let mut ops = batch.ops.drain(..);
        let mut begin = 0;
        for Decided { end, time } in batch.frames.drain(..) {
            let frame = ops.as_slice().get(..end - begin).unwrap_or_default();
            let appends = frame.iter().filter(|op| matches!(op, Op::Append(_)));
            let emitted = Emitted {
                first: self.state.next,
                count: appends.count() as u64,
            };
            for op in ops.by_ref().take(end - begin) {
                self.apply_one(op, time, emitted);
            }
            begin = end;
        }
        self.shown = self.store.last_commit();
    }

    fn apply_one(&mut self, op: Op, time: Timestamp, emitted: Emitted) {
        match op {
            Op::Append(append) => self.append(append, time),
            Op::Ended(ended) => self.end(&ended, time, emitted),
            Op::Redriven {
                subscription,
                position,
            } => {
                self.state.apply(&op, time);
                if let Some(outlet) = self.outlet(subscription) {
                    outlet.redrive(position);
                }
            }
            Op::Discarded(discarded) => self.discard(discarded, time),
            Op::Edited(Edited {
                subscription,
                position,
                ..
            }) => {
                self.state.apply(&op, time);
                if let Some(outlet) = self.outlet(subscription) {
                    outlet.redrive(position);
                }
            }
            Op::Subscribed(_) => self.subscribed(&op, time),
            Op::TimerSet(_) => {
                let before = self.state.timers.next_due();
                self.state.apply(&op, time);
                if self.state.timers.next_due() != before {
                    self.alarm.notify_one();
                }
            }
            Op::Keyed { .. } | Op::TimerEnded(_) | Op::Sent { .. } => self.state.apply(&op, time),
        }
    }

    /// Gives up a dead letter, and tells whoever holds its key.
    fn discard(&mut self, discarded: Discarded, time: Timestamp) {
        let (id, position) = (discarded.subscription, discarded.position);
        if let Some(history) = &mut self.history {
            history.push(Attempt::discarded(&discarded, time));
        }
        let dead = self
            .state
            .subscription(id)
            .and_then(|found| found.dead.get(&position));
        let key = dead.map(Dead::key);
        self.state.apply(&Op::Discarded(discarded), time);
        if let (Some(key), Some(outlet)) = (key, self.outlet(id)) {
            outlet.release(position, key);
        }
        self.open_followers(id, position);
        self.wake_settled(position);
    }

    /// Timers that are due, as many as end at a time.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<(TimerId, Timer)> {
        let now = match is_planted("timer-on-wall-clock") {
            true => Timestamp::now(),
            false => now,
        };
        if self.state.timers.next_due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let due = self.state.timers.due_by(now).take(TIMERS_AT_A_TIME);
        due.map(|(id, timer)| (id.clone(), timer.clone())).collect()
    }

    /// Decides that a timer fires, behind the commits of the batch.
    pub(crate) fn fire(
        &mut self,
        (id, timer): &(TimerId, Timer),
        (key, now): (IdentityKey, Timestamp),
        batch: &mut Batch,
    ) {
        let ops = &mut batch.ops;
        decide::fire(&self.state, &mut self.pending, (id, timer), key, ops);
        batch.end(now);
    }

    fn append(&mut self, append: Append, time: Timestamp) {
        let mut open = std::mem::take(&mut self.open);
        let position = self.state.append(&append, |id| open.push(id));
        self.newest = position;
        let Append {
            message, tag, size, ..
        } = append;
        let entry = Entry {
            position: Position(position),
            appended: time,
            message,
        };
        let delay = delay(&entry, time);
        let mut takers = 0;
        for id in &open {
            if let Some(Some(outlet)) = self.outlets.get_mut(*id as usize) {
                takers += 1;
                let gate = self.gates.of(&self.state, *id);
                outlet.offer(position, behind(gate, &entry, delay));
            }
        }
        // Who is not attached may never come, and need not be waited for with a decoded event.
        let decoded = entry.message.expect_takers(takers);
        self.tail.push(entry, tag, size + decoded, open.len());
        open.clear();
        self.open = open;
    }

    fn end(&mut self, ended: &Ended, time: Timestamp, emitted: Emitted) {
        let Ended {
            subscription: id,
            position,
            ..
        } = *ended;
        if let Some(history) = &mut self.history {
            history.push(Attempt::new(ended, time, emitted));
        }
        let was_redriven = self.state.end(ended, time);
        if matches!(ended.how, How::Retry { .. }) {
            return;
        }
        if let Some(outlet) = self.outlet(id) {
            outlet.settle(position);
        }
        self.settled(id, position, was_redriven);
    }

    /// Tells everyone of a delivery that is settled for good.
    fn settled(&mut self, id: u32, position: u64, was_redriven: bool) {
        self.open_followers(id, position);
        if !was_redriven {
            self.tail.release(position);
        }
        self.wake_settled(position);
    }

    /// Lets those look again that wait until a subscription has dealt with a message.
    fn open_followers(&mut self, id: u32, position: u64) {
        for follower in self.gates.followers(id) {
            if let Some(Some(outlet)) = self.outlets.get_mut(follower as usize) {
                outlet.open(position);
            }
        }
    }

    fn outlet(&mut self, id: u32) -> Option<&mut Outlet> {
        self.outlets.get_mut(id as usize)?.as_mut()
    }

    /// Applies a subscription, and counts it in for what the tail keeps.
    fn subscribed(&mut self, op: &Op, time: Timestamp) {
        let id = op.tag();
        let own = |core: &Self| -> Vec<u64> {
            let found = core.state.subscription(id);
            let Some(subscription) = found.filter(|_| core.tail.counts()) else {
                return Vec::new();
            };
            let entries = core.tail.from(subscription.settled.low() + 1);
            entries
                .filter(|kept| subscription.is_open(&kept.entry))
                .map(|kept| kept.entry.position.0)
                .collect()
        };
        let before = own(self);
        self.state.apply(op, time);
        for position in own(self) {
            self.tail.reopen(position);
        }
        for position in before {
            self.tail.release(position);
        }
        let known = self.state.subscriptions().len();
        self.outlets.resize_with(known, || None);
        // What it takes no more need not wait for it any longer, wherever that is.
        for follower in self.gates.followers(id) {
            if let Some(Some(outlet)) = self.outlets.get_mut(follower as usize) {
                outlet.open_all();
            }
        }
    }

    /// The number of a subscription that is known with just these types.
    pub(crate) fn known(&self, spec: &SubscriptionSpec) -> Option<u32> {
        let id = self.state.id_of(&spec.name)?;
        let found = self.state.subscription(id)?;
        found.has_types(&spec.types).then_some(id)
    }

    /// How a subscription begins or changes, and as what its open messages are to be counted.
    pub(crate) fn plan(&self, spec: &SubscriptionSpec, start: u64) -> Result<Planned> {
        let known = self.state.id_of(&spec.name);
        let found = known.and_then(|id| self.state.subscription(id));
        let count = self.state.subscriptions().len();
        if found.is_none() && count >= SUBSCRIPTIONS_MAX {
            let limit = format!("an engine keeps at most {SUBSCRIPTIONS_MAX} subscriptions");
            return Err(Code::WIRING.error(limit));
        }
        let mut names = spec.types.clone();
        names.sort_unstable();
        names.dedup();
        let since = |name: &str| match found {
            Some(found) => found.since(name).unwrap_or(self.state.next),
            None => start,
        };
        let types = names.into_iter().map(|name| Taken {
            tag: identity::tag(&name),
            since: since(&name),
            name,
        });
        let subscribed = Subscribed {
            subscription: known.unwrap_or(u32::try_from(count).unwrap_or(u32::MAX)),
            name: spec.name.clone(),
            types: types.collect(),
            low: start.saturating_sub(1),
            lag: 0,
        };
        let mut probe = Subscription::new(&subscribed);
        if let Some(found) = found {
            probe.settled.clone_from(&found.settled);
            probe.lag = found.redriven().len() as u64;
        }
        Ok(Planned { subscribed, probe })
    }

    /// The operation with which a subscription begins or changes. `counted` says up to which
    /// position open messages were counted, and how many there were; the rest is in the tail.
    pub(crate) fn subscription_op(&self, planned: Planned, counted: (u64, u64)) -> Op {
        let Planned {
            mut subscribed,
            probe,
        } = planned;
        let (upto, open) = counted;
        let entries = self.tail.from(upto.saturating_add(1));
        let rest = entries.filter(|kept| probe.is_open(&kept.entry)).count() as u64;
        subscribed.lag = probe.lag + open + rest;
        Op::Subscribed(subscribed)
    }

    /// Where a new subscription begins, as far as memory knows; time is looked up by the caller.
    pub(crate) fn start(&self, start: Start) -> u64 {
        match start {
            Start::Latest => self.state.next,
            Start::Earliest => 1,
            Start::Position(position) => position.0.max(1),
            Start::Time(time) => self
                .tail
                .from(0)
                .find(|kept| kept.entry.appended >= time)
                .map_or(self.state.next, |kept| kept.entry.position.0),
        }
    }

    /// Attaches a known subscription.
    pub(crate) fn attach(&mut self, id: u32, after: &[String]) -> Result<()> {
        let first = |name: &String| self.state.named(name).map(|(first, _)| first);
        let after = after.iter().map(first).collect::<Result<_>>()?;
        let Some(subscription) = self.state.subscription(id) else {
            return Err(Code::INTERNAL.error("a subscription without a number"));
        };
        match self.outlets.get_mut(id as usize) {
            Some(slot @ None) => {
                *slot = Some(Outlet::new(subscription, self.ready_events));
                self.gates.set(id, after);
                Ok(())
            }
            _ => Err(attached(&subscription.name)),
        }
    }

    pub(crate) fn is_attached(&self, id: u32) -> bool {
        matches!(self.outlets.get(id as usize), Some(Some(_)))
    }

    /// Gives back what an attached subscription held.
    pub(crate) fn detach(&mut self, id: u32) {
        if let Some(slot) = self.outlets.get_mut(id as usize) {
            *slot = None;
        }
        // Whoever waited for this one need not any longer.
        self.waiting.clear();
    }

    /// What an attached subscription may have now; see [`Outlet::take`].
    pub(crate) fn take(
        &mut self,
        id: u32,
        now: Timestamp,
        (max, out): (usize, &mut Vec<Delivery>),
    ) -> Option<Found> {
        let subscription = self.state.subscription(id)?;
        let outlet = self.outlets.get_mut(id as usize)?.as_mut()?;
        let next = self.state.next;
        let gate = self.gates.of(&self.state, id);
        Some(outlet.take((subscription, gate), &self.tail, next, now, (max, out)))
    }

    /// Gives entries from the disk to an attached subscription; see [`Outlet::feed`].
    pub(crate) fn feed(&mut self, id: u32, entries: Vec<Entry>, upto: u64, now: Timestamp) {
        let subscription = self.state.subscription(id);
        let outlet = self.outlets.get_mut(id as usize).and_then(Option::as_mut);
        if let (Some(subscription), Some(outlet)) = (subscription, outlet) {
            let gate = self.gates.of(&self.state, id);
            outlet.feed((subscription, gate), entries, upto, now);
        }
    }

    /// Gives one entry from the disk to an attached subscription, which is due or redriven.
    pub(crate) fn feed_one(&mut self, id: u32, entry: Entry) {
        if let Some(outlet) = self.outlet(id) {
            outlet.feed_one(entry);
        }
    }

    /// Lets an attached subscription do without a dead letter that was redriven and cannot be read;
    /// false when it is no such thing.
    pub(crate) fn pass_over(&mut self, id: u32, position: u64) -> bool {
        self.outlet(id)
            .is_some_and(|outlet| outlet.pass_over(position))
    }

    /// The dead letters that were discarded since an attached subscription was last told.
    pub(crate) fn released(&mut self, id: u32) -> BTreeMap<Position, Option<String>> {
        let outlet = self.outlet(id);
        outlet.map(Outlet::released).unwrap_or_default()
    }

    /// What wakes an attached subscription.
    pub(crate) fn notify(&mut self, id: u32) -> Option<Arc<Notify>> {
        self.outlet(id).map(|outlet| outlet.notify.clone())
    }

    /// How every subscription stands.
    pub(crate) fn reports(&self) -> Vec<SubscriptionReport> {
        let last = self.state.last();
        let in_flight = self
            .outlets
            .iter()
            .map(|o| o.as_ref().map(Outlet::in_flight));
        let found = self.state.subscriptions().iter().zip(in_flight);
        found
            .map(|(found, held)| found.report(last, held))
            .collect()
    }

    /// What became of an entry in every subscription that takes it, without the attempts; and what
    /// the last of these will be.
    pub(crate) fn deliveries_of(&self, entry: &Entry) -> Vec<(u32, Expected, DeliveryReport)> {
        let position = entry.position.0;
        let report = |id: u32| {
            let subscription = self.state.subscription(id)?;
            let outlet = self.outlets.get(id as usize)?.as_ref();
            let held = outlet.is_some_and(|outlet| outlet.holds(position));
            let report = DeliveryReport {
                subscription: subscription.name.clone(),
                state: subscription.delivery_state(position, held),
                attempts: Vec::new(),
            };
            Some((id, subscription.expected(position), report))
        };
        let event_type = entry.message.attributes().event_type();
        let takers = self.state.takers(event_type, position);
        takers.filter_map(report).collect()
    }

    /// The attempts at a message that memory remembers; `None` when the journal has to be asked.
    pub(crate) fn attempts(&self, position: u64) -> Option<Vec<Attempt>> {
        self.history.as_ref().map(|history| history.of(position))
    }

    /// Waits for an attached subscription to settle an entry; `None` when all have.
    pub(crate) fn unsettled(&mut self, entry: &Entry) -> Option<oneshot::Receiver<()>> {
        let position = entry.position.0;
        let is_open = |id: u32| {
            let subscription = self.state.subscription(id);
            self.is_attached(id)
                && subscription
                    .is_some_and(|found| matches!(found.status(position), Status::Open { .. }))
        };
        let event_type = entry.message.attributes().event_type();
        if !self.state.takers(event_type, position).any(is_open) {
            return None;
        }
        let (settled, wait) = oneshot::channel();
        let waiting = self.waiting.entry(position).or_default();
        waiting.retain(|waiting| !waiting.is_closed());
        waiting.push(settled);
        Some(wait)
    }

    fn wake_settled(&mut self, position: u64) {
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.remove(&position)
        {
            for settled in waiting {
                // Whoever gave up waiting is not told.
                settled.send(()).unwrap_or_default();
            }
        }
    }

    /// Forgets waits for a position that were given up.
    pub(crate) fn forget_waits(&mut self, position: u64) {
        if let Some(waiting) = self.waiting.get_mut(&position) {
            waiting.retain(|waiting| !waiting.is_closed());
            if waiting.is_empty() {
                self.waiting.remove(&position);
            }
        }
    }

    /// Tells everyone who waits that there will be no more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.alarm.notify_one();
        self.queue.clear();
        self.waiting.clear();
        self.outlets.iter_mut().flatten().for_each(Outlet::wake);
    }
}

impl Batch {
    fn end(&mut self, time: Timestamp) {
        let end = self.ops.len();
        self.frames.push(Decided { end, time });
    }

    /// Adds an operation as a commit of its own.
    pub(crate) fn push(&mut self, op: Op, time: Timestamp) {
        self.ops.push(op);
        self.end(time);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The operations of the commit that was decided last.
    pub(crate) fn last(&self) -> &[Op] {
        let end = self.frames.len().checked_sub(2);
        let begin = end
            .and_then(|at| self.frames.get(at))
            .map_or(0, |frame| frame.end);
        self.ops.get(begin..).unwrap_or_default()
    }
}

pub(crate) fn attached(name: &str) -> Error {
    Code::CLOSED.error(format!("subscription '{name}' is attached already"))
}
