//! The reference engine as its users hold it, and the harness that starts and kills it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hence_conformance::{Backlog, Harness, Instance};
use hence_core::engine::{
    Committing, DeliveryReport, EngineReport, SubscriptionReport, TryCommitError,
};
use hence_core::engine::{Feature, Filter};
use hence_core::{
    BoxFuture, Capability, Code, Commit, DeadLetter, DeadLetterQuery, Deliveries, Delivery,
    Durability, Engine, Entry, Message, Position, Read, Reader, Receipt, Result, Start,
    SubscriptionSpec, Timestamp,
};

use crate::fault::Fault;
use crate::reference::{
    BACKLOG_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, Outlet, Place, Stored, World, name_of,
    parse,
};

fn closed() -> hence_core::Error {
    Code::CLOSED.error("the engine is closed")
}

impl Place {
    /// Waits until `look` finds something; it looks again at every change, and at a moment.
    async fn until<T>(
        &self,
        mut look: impl FnMut(&mut World) -> Result<T, Option<Timestamp>>,
    ) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            let due = {
                let world = &mut *self.lock();
                let next = self.fire(world);
                match look(world) {
                    Ok(found) => return found,
                    Err(due) => [due, next].into_iter().flatten().min(),
                }
            };
            let wait = due.map_or(Duration::from_secs(3600), |due| {
                due.since(Timestamp::steady())
            });
            // Looked at again in either case.
            let _ = tokio::time::timeout(wait, changed.changed()).await;
        }
    }

    fn run(&self, world: &mut World, commit: &Commit) -> Result<Vec<Receipt>> {
        if world.live.broken {
            let lies = match self.fault {
                Fault::ReceiptForFailedStore => commit.settle.is_empty(),
                Fault::FailedIsKnown => std::mem::replace(&mut world.live.failed_before, true),
                Fault::SettlementForFailedStore => !commit.settle.is_empty(),
                _ => false,
            };
            let position = Position(world.stored.entries.len() as u64 + 1);
            let receipt = |message: &Message| {
                Receipt::new(message.clone(), Some(position), commit.durability)
            };
            let broken = Err(Code::STORAGE.error("the storage is broken"));
            return if lies {
                Ok(commit.publish.iter().map(receipt).collect())
            } else {
                broken
            };
        }
        let receipts = self.apply(world, commit);
        if !(self.is(Fault::WakeLost) && commit.settle.is_empty()) {
            self.wake();
        }
        receipts
    }
}

/// The place of a commit among those that wait; given up when it is dropped.
struct Ticket<'a>(&'a Place, u64);

impl<'a> Ticket<'a> {
    fn draw(place: &'a Place, world: &mut World) -> Self {
        let number = world.live.waiting.back().map_or(0, |last| last + 1);
        world.live.waiting.push_back(number);
        Self(place, number)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0
            .lock()
            .live
            .waiting
            .retain(|number| *number != self.1);
        if !self.0.is(Fault::WakeLost) {
            self.0.wake();
        }
    }
}

pub(crate) struct Reference {
    place: Arc<Place>,
    capability: Capability,
}

impl Reference {
    fn new(place: Place) -> Self {
        let mut levels = vec![
            Durability::Accepted,
            Durability::Written,
            Durability::Synced,
        ];
        if matches!(
            place.fault,
            Fault::UndeclaredLevelTaken | Fault::UndeclaredLevelStored
        ) {
            levels.truncate(1);
        }
        let mut capability =
            Capability::new("reference", levels, EVENT_BYTES_MAX, BATCH_EVENTS_MAX);
        if !place.is(Fault::FeatureIgnored) {
            let all = &[Feature::Keyed, Feature::Timers, Feature::Sequences];
            capability = capability.with_features(all);
        }
        Self {
            place: Arc::new(place),
            capability,
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.place.lock().live.closed {
            Err(closed())
        } else {
            Ok(())
        }
    }

    fn check(&self, commit: &Commit) -> Result<()> {
        let is = |fault| self.place.is(fault);
        let checked = self.place.check_limits(commit, &self.capability.durability);
        if checked.is_err() && is(Fault::UndeclaredLevelStored) {
            self.place.run(&mut self.place.lock(), commit)?;
        }
        checked
    }

    async fn take(&self, commit: Commit) -> Result<Vec<Receipt>> {
        let place = &*self.place;
        let is = |fault| place.is(fault);
        self.check(&commit)?;
        if is(Fault::EmptyRefused) && commit.is_empty() {
            return Err(Code::INTERNAL.error("nothing to do"));
        }
        let id = commit
            .publish
            .first()
            .map(|message| message.attributes().id().len());
        if is(Fault::CommitsOvertake) && id.is_some_and(|length| length % 2 == 1) {
            tokio::task::yield_now().await;
        }
        if let Some(parts) = place.fault.tear(&commit) {
            let mut last = Ok(Vec::new());
            for part in parts {
                last = place.run(&mut place.lock(), &part);
                tokio::task::yield_now().await;
            }
            return last;
        }
        if is(Fault::VisibleBeforeDurable) {
            place.lock().show(&commit);
            place.wake();
            tokio::task::yield_now().await;
            place.lock().live.ghosts.clear();
        }
        let ticket = Ticket::draw(place, &mut place.lock());
        place
            .until(|world| {
                if world.live.closed && !is(Fault::CommitAfterClose) {
                    return Ok(Err(closed()));
                }
                let first = world.live.waiting.front() == Some(&ticket.1);
                let last = world.live.waiting.back() == Some(&ticket.1);
                let turn = if is(Fault::WaitersUnordered) {
                    last
                } else {
                    first
                };
                if !commit.settle.is_empty() || turn && place.fits(world, &commit) {
                    return Ok(place.run(world, &commit));
                }
                if is(Fault::FullIsAnError) {
                    return Ok(Err(Code::QUEUE_FULL.error("no room")));
                }
                Err(None)
            })
            .await
    }

    fn entry(&self, position: Position) -> Result<Entry> {
        let world = self.place.lock();
        let found = world
            .stored
            .entries
            .get((position.0 as usize).wrapping_sub(1))
            .cloned();
        let code = if self.place.is(Fault::UnknownIsInternal) {
            Code::INTERNAL
        } else {
            Code::NOT_FOUND
        };
        found.ok_or_else(|| code.error(format!("there is no position {position}")))
    }
}

impl World {
    /// Shows what is not stored: a fault.
    fn show(&mut self, commit: &Commit) {
        for message in &commit.publish {
            let next = self.stored.entries.len() + self.live.ghosts.len() + 1;
            let (position, appended) = (Position(next as u64), Timestamp::steady());
            self.live.ghosts.push(Entry {
                position,
                appended,
                message: message.clone(),
            });
        }
    }
}

impl Engine for Reference {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Vec<Receipt>>> {
        Box::pin(self.take(commit))
    }

    fn try_commit(&self, commit: Commit) -> Result<Committing, TryCommitError> {
        let place = &*self.place;
        self.check(&commit).map_err(TryCommitError::Refused)?;
        let world = &mut *place.lock();
        if world.live.closed && !place.is(Fault::CommitAfterClose) {
            return Err(TryCommitError::Refused(closed()));
        }
        if !place.fits(world, &commit) || !world.live.waiting.is_empty() {
            if place.is(Fault::GivenBackStored) {
                let _ = place.run(world, &commit);
            }
            let empty = place.is(Fault::GivenBackEmpty);
            let commit = if empty { Commit::default() } else { commit };
            return Err(TryCommitError::Full(Box::new(commit)));
        }
        let receipts = place.run(world, &commit).map_err(TryCommitError::Refused)?;
        if place.is(Fault::TryCommitLoses) && receipts.iter().any(|r| r.id().ends_with("99")) {
            world.stored.truncate(1);
        }
        Ok(Box::pin(async move { Ok(receipts) }))
    }

    fn subscribe(&self, spec: SubscriptionSpec) -> BoxFuture<'_, Result<Box<dyn Deliveries>>> {
        Box::pin(async move {
            let (place, name) = (Arc::clone(&self.place), spec.name.clone());
            let token = place.attach(&mut place.lock(), spec)?;
            if place.is(Fault::AttachLeaks) {
                tokio::task::yield_now().await;
            }
            let held = place.held(&name);
            place.wake();
            Ok(Box::new(Pull {
                place,
                name,
                token,
                held,
            }) as Box<dyn Deliveries>)
        })
    }

    fn read(&self, read: Read) -> BoxFuture<'_, Result<Box<dyn Reader>>> {
        Box::pin(async move {
            self.check_open()?;
            let place = Arc::clone(&self.place);
            let (from, end) = {
                let entries = &place.lock().stored.entries;
                let at = |time| entries.iter().position(|entry| entry.appended >= time);
                let from = match read.from {
                    Start::Latest => entries.len(),
                    Start::Earliest => 0,
                    Start::Position(position) => (position.0.max(1) - 1) as usize,
                    Start::Time(time) => at(time).unwrap_or(entries.len()),
                };
                (from, entries.len())
            };
            Ok(Box::new(Tail {
                place,
                from,
                end,
                read,
            }) as Box<dyn Reader>)
        })
    }

    fn get(&self, position: Position) -> BoxFuture<'_, Result<Entry>> {
        Box::pin(async move { self.entry(position) })
    }

    fn find<'a>(
        &'a self,
        source: Option<&'a str>,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Position>>> {
        Box::pin(async move {
            self.check_open()?;
            let is = |fault| self.place.is(fault);
            let world = self.place.lock();
            let same = |entry: &&Entry| {
                let (found, _) = name_of(&entry.message, Fault::None);
                let source = source.is_none_or(|source| source == found);
                entry.message.attributes().id() == id && (source || is(Fault::FindIgnoresSource))
            };
            let found = world.stored.entries.iter().filter(same);
            let found: Vec<_> = found.map(|entry| entry.position).collect();
            drop(world);
            if is(Fault::Panics) && found.is_empty() {
                // A panic that the hook does not print.
                std::panic::resume_unwind(Box::new("unknown"));
            }
            Ok(found)
        })
    }

    fn keyed<'a>(
        &'a self,
        subscription: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move { self.place.keyed(subscription, key) })
    }

    fn report(&self, position: Position) -> BoxFuture<'_, Result<Vec<DeliveryReport>>> {
        Box::pin(async move {
            let entry = self.entry(position)?;
            let place = &*self.place;
            let world = place.lock();
            let mut reports = Vec::new();
            for (name, progress) in &world.stored.subscriptions {
                if !progress.takes(&entry, place.fault) {
                    continue;
                }
                let outlet = world.live.outlets.get(name);
                let given = outlet.is_some_and(|outlet| outlet.given.contains(&position.0));
                let given = given && !place.is(Fault::RunningNotTold);
                let of = |ended: &&crate::reference::Ended| {
                    ended.subscription == *name && ended.position == position.0
                };
                let ended = world.stored.ended.iter().filter(of);
                reports.push(DeliveryReport {
                    subscription: name.clone(),
                    state: world.stored.state(name, position.0, given),
                    attempts: ended.map(|ended| ended.report.clone()).collect(),
                });
            }
            Ok(reports)
        })
    }

    fn settled(&self, position: Position) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let entry = self.entry(position)?;
            let place = &*self.place;
            let is = |fault| place.is(fault);
            let look = |world: &mut World| {
                if world.live.closed {
                    return Ok(Err(closed()));
                }
                let all = world
                    .stored
                    .subscriptions
                    .iter()
                    .filter(|(name, progress)| {
                        let attached = world.live.outlets.contains_key(*name);
                        let counts = attached || is(Fault::SettledWaitsForDetached);
                        counts
                            && progress.takes(&entry, place.fault)
                            && progress.is_open(position.0)
                    });
                let mut dead = world.stored.subscriptions.values();
                let dead = dead.any(|progress| progress.dead.contains_key(&position.0));
                let is_open = all.count() > 0 && !is(Fault::SettledAtOnce)
                    || dead && is(Fault::DeadIsNotSettled);
                if is_open { Err(None) } else { Ok(Ok(())) }
            };
            place.until(look).await?;
            if is(Fault::SettledNeverWakes) {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }

    fn subscriptions(&self) -> Vec<SubscriptionReport> {
        let place = &*self.place;
        let world = place.lock();
        let stored = &world.stored;
        let report = |(name, progress): (&String, &crate::reference::Progress)| {
            let outlet = world.live.outlets.get(name);
            let lag = progress.lag(&stored.entries, place.fault);
            let dead = progress
                .dead
                .values()
                .filter(|dead| !dead.letter.redriven)
                .count() as u64;
            SubscriptionReport {
                name: name.clone(),
                types: progress.types.clone(),
                since: match place.is(Fault::SinceNotTold) {
                    true => Vec::new(),
                    false => vec![Position(progress.from); progress.types.len()],
                },
                settled: stored.low(name, place.fault),
                lag: lag + if place.is(Fault::LagGrows) { dead } else { 0 },
                in_flight: outlet.map_or(0, |outlet| outlet.given.len() as u64),
                dead,
                attached: outlet.is_some(),
            }
        };
        stored.subscriptions.iter().map(report).collect()
    }

    fn dead_letters<'a>(
        &'a self,
        wanted: &'a DeadLetterQuery,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>>> {
        Box::pin(async move {
            self.check_open()?;
            let is = |fault| self.place.is(fault);
            let world = self.place.lock();
            let known = &world.stored.subscriptions;
            if let Some(name) = wanted
                .subscription
                .as_ref()
                .filter(|name| !known.contains_key(*name))
            {
                return Err(Code::NOT_FOUND.error(format!("no subscription '{name}'")));
            }
            let mut wanted = wanted.clone();
            if is(Fault::DeadLettersOfAll) {
                wanted.subscription = None;
            }
            if is(Fault::PageRepeated) {
                wanted.after = None;
            }
            if is(Fault::LettersUnfiltered) {
                (wanted.event_type, wanted.key, wanted.fingerprint) = (None, None, None);
            }
            let found = known.values().flat_map(|progress| progress.dead.values());
            let found = found.map(|dead| dead.letter.clone());
            Ok(wanted.page(found.filter(|letter| !letter.redriven || !is(Fault::RedrivenHidden))))
        })
    }

    fn dead_letter<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(DeadLetter, Message)>> {
        Box::pin(async move {
            self.check_open()?;
            let world = self.place.lock();
            let known = parse(id).and_then(|(name, position)| {
                world.stored.subscriptions.get(name)?.dead.get(&position)
            });
            let none = || Code::NOT_FOUND.error(format!("no dead letter '{id}'"));
            let dead = known.ok_or_else(none)?;
            Ok((dead.letter.clone(), dead.message.clone()))
        })
    }

    fn health(&self) -> Result<EngineReport> {
        let world = self.place.lock();
        let count = world.stored.entries.len() as u64;
        let lags = u64::from(self.place.is(Fault::HealthLags));
        Ok(EngineReport {
            first: Position(count.min(1)),
            last: Position(count.saturating_sub(lags)),
            ..EngineReport::default()
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut world = self.place.lock();
            if self.place.is(Fault::SecondClosePanics) && world.live.closed {
                drop(world);
                std::panic::resume_unwind(Box::new("closed twice"));
            }
            if self.place.is(Fault::CloseLoses) && !world.live.closed {
                world.stored.truncate(10);
            }
            world.live.closed = true;
            if !self.place.is(Fault::CloseWakesNobody) {
                self.place.wake();
            }
        })
    }
}

impl Place {
    fn held(&self, name: &str) -> BTreeMap<Position, Option<String>> {
        let world = self.lock();
        let dead = world.stored.subscriptions[name].dead.iter();
        let held = dead.filter(|(_, dead)| dead.letter.hold && !self.is(Fault::HoldLost));
        held.map(|(_, dead)| (dead.letter.position, dead.letter.key.clone()))
            .collect()
    }
}

struct Pull {
    place: Arc<Place>,
    name: String,
    token: u64,
    held: BTreeMap<Position, Option<String>>,
}

impl Deliveries for Pull {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Delivery>>> {
        Box::pin(async move {
            let place = &*self.place;
            let look = |world: &mut World| {
                if world.live.closed {
                    return Ok(Vec::new());
                }
                place.take(world, &self.name, max)
            };
            let found = place.until(look).await;
            if place.is(Fault::NextLosesWhenDropped) {
                tokio::task::yield_now().await;
            }
            Ok(found)
        })
    }

    fn held(&self) -> BTreeMap<Position, Option<String>> {
        self.held.clone()
    }

    fn released(&mut self) -> BTreeMap<Position, Option<String>> {
        let world = &mut *self.place.lock();
        let outlet = world.live.outlets.get_mut(&self.name);
        outlet
            .map(|outlet| std::mem::take(&mut outlet.released))
            .unwrap_or_default()
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        let world = &mut *self.place.lock();
        if self.place.is(Fault::NeverDetached) {
            return;
        }
        if let Some(outlet) = world.live.outlets.get(&self.name)
            && let Some(progress) = world.stored.subscriptions.get_mut(&self.name)
        {
            match self.place.fault {
                Fault::DeliveredOnce => progress.forget(&outlet.given),
                Fault::DeliveredOnceOverKill => progress.given.extend(&outlet.given),
                _ => {}
            }
        }
        if world
            .live
            .outlets
            .get(&self.name)
            .is_some_and(|outlet| outlet.token == self.token)
        {
            world.live.outlets.remove(&self.name);
        }
        self.place.wake();
    }
}

struct Tail {
    place: Arc<Place>,
    from: usize,
    end: usize,
    read: Read,
}

impl Reader for Tail {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Entry>>> {
        Box::pin(async move {
            let (place, from, read) = (&*self.place, &mut self.from, &self.read);
            let is = |fault| place.is(fault);
            let end = if read.follow || is(Fault::ReaderDoesNotEnd) {
                usize::MAX
            } else {
                self.end
            };
            let mut filter = read.filter.clone();
            if is(Fault::FollowUnfiltered) && read.follow {
                filter = Filter::default();
            }
            if is(Fault::UntilIgnored) {
                filter.until = None;
            }
            if is(Fault::CauseIgnored) {
                filter.causation_id = None;
            }
            let look = |world: &mut World| {
                if is(Fault::ReadingSettles) {
                    world.live.outlets.values_mut().for_each(Outlet::skip);
                }
                let mut found = Vec::new();
                let all = world.stored.entries.iter().chain(&world.live.ghosts);
                for entry in all.take(end).skip(*from) {
                    *from += 1;
                    let mut entry = entry.clone();
                    if is(Fault::AppendedIsNow) {
                        entry.appended = Timestamp::steady();
                    }
                    let skips = is(Fault::ReaderSkips) && entry.position.0 % 100 == 0;
                    if filter.matches(&entry) && !skips {
                        found.push(entry);
                    }
                    if found.len() == max {
                        break;
                    }
                }
                let ends = !read.follow || world.live.closed || is(Fault::FollowEnds);
                if found.is_empty() && !ends {
                    Err(None)
                } else {
                    Ok(found)
                }
            };
            let found = place.until(look).await;
            if is(Fault::ReaderLosesWhenDropped) {
                tokio::task::yield_now().await;
            }
            Ok(found)
        })
    }
}

/// Starts reference engines with one fault, or none.
pub(crate) struct Workshop {
    fault: Fault,
    patience: Duration,
    places: Mutex<HashMap<String, Arc<Place>>>,
}

impl Workshop {
    pub(crate) fn new(fault: Fault, patience: Duration) -> Self {
        Self {
            fault,
            patience,
            places: Mutex::default(),
        }
    }

    fn start(&self, stored: Stored, name: String) -> Instance {
        let engine = Reference::new(Place::new(stored, self.fault));
        self.places
            .lock()
            .unwrap()
            .insert(name.clone(), Arc::clone(&engine.place));
        Instance::new(Arc::new(engine), name)
    }
}

impl Harness for Workshop {
    fn name(&self) -> &str {
        "reference"
    }

    fn fresh(&self) -> BoxFuture<'_, Result<Instance>> {
        let name = self.places.lock().unwrap().len().to_string();
        Box::pin(async move { Ok(self.start(Stored::default(), name)) })
    }

    fn restart(&self, killed: Instance) -> BoxFuture<'_, Result<Instance>> {
        Box::pin(async move {
            let Instance {
                engine,
                place: name,
            } = killed;
            drop(engine);
            let place = self.places.lock().unwrap()[&name].clone();
            let world = std::mem::take(&mut *place.lock());
            Ok(self.start(world.stored.after_kill(self.fault), name))
        })
    }

    fn backlog(&self) -> Backlog {
        Backlog::Memory {
            bytes: BACKLOG_BYTES_MAX,
        }
    }

    fn fail_storage(&self, running: &Instance) -> bool {
        self.places.lock().unwrap()[&running.place]
            .lock()
            .live
            .broken = true;
        true
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
