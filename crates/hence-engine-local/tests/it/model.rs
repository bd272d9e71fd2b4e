//! Random scripts of commits, pulls and restarts, against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hence_core::commit::{Change, Sequence, What};
use hence_core::engine::Deliveries;
use hence_core::{Code, Commit, DeadLetterQuery, Delivery, Engine, Outcome, Start, Timestamp};
use hence_log::sim::SimStorage;
use proptest::prelude::*;

use crate::common::*;

const NAMES: [&str; 3] = ["one", "two", "three"];
const TYPES: [&str; 3] = ["t", "u", "v"];
const SENDERS: [&str; 2] = ["a", "b"];
const TIMERS: [&str; 2] = ["soon", "later"];
/// The key whose state each subscription has.
const KEY: &str = "k";

#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<(u8, u8)>),
    Subscribe(usize),
    Detach(usize),
    Pull(usize, usize),
    /// Settles some of what is held, and publishes; sometimes a settlement is repeated.
    Settle(
        usize,
        Vec<(prop::sample::Index, End)>,
        Option<(u8, u8)>,
        bool,
        Option<Option<u8>>,
    ),
    Redrive(usize, prop::sample::Index),
    Discard(usize, prop::sample::Index),
    /// Sends an edited copy; sometimes the same one again.
    Edit(usize, prop::sample::Index, bool),
    /// The batch of a sender, so many behind its newest: the same one, the next one, or too far.
    Send(usize, u64, Vec<(u8, u8)>),
    /// Sets a timer of a subscription, or cancels it.
    Timer(usize, usize, Option<(u8, u8)>),
    /// Lets the time of all timers come, and publishes something.
    Fire((u8, u8)),
    Restart(Ending),
}

/// How the process ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Clean,
    Kill,
    /// The power goes; the seed says what of the unsynced sectors is lost.
    PowerCut(u64),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    Retry,
    Reject,
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly new ids, and seldom one that has another type than before.
    let event = || {
        let types = prop_oneof![20 => Just(0u8), 1 => Just(1u8)];
        (0u8..120, types).prop_map(|(id, other)| (id, (id + other) % 3))
    };
    let end = prop_oneof![2 => Just(End::Done), 1 => Just(End::Retry), 1 => Just(End::Reject)];
    let power_cut = any::<u64>().prop_map(Ending::PowerCut);
    let ending = prop_oneof![Just(Ending::Clean), Just(Ending::Kill), power_cut];
    let ends = prop::collection::vec((any::<prop::sample::Index>(), end), 1..4);
    let letter = || (0..3usize, any::<prop::sample::Index>());
    let value = prop::option::of(prop::option::of(any::<u8>()));
    prop_oneof![
        4 => prop::collection::vec(event(), 1..5).prop_map(Step::Publish),
        3 => (0..3usize).prop_map(Step::Subscribe),
        1 => (0..3usize).prop_map(Step::Detach),
        4 => (0..3usize, 1..6usize).prop_map(|(name, max)| Step::Pull(name, max)),
        5 => (0..3usize, ends, prop::option::of(event()), any::<bool>(), value)
            .prop_map(|(name, ends, emit, twice, value)| {
                Step::Settle(name, ends, emit, twice, value)
            }),
        3 => letter().prop_map(|(name, index)| Step::Redrive(name, index)),
        1 => letter().prop_map(|(name, index)| Step::Discard(name, index)),
        2 => (letter(), any::<bool>()).prop_map(|((n, i), again)| Step::Edit(n, i, again)),
        2 => (0..2usize, 0..3u64, prop::collection::vec(event(), 1..4))
            .prop_map(|(sender, behind, batch)| Step::Send(sender, behind, batch)),
        2 => (0..3usize, 0..2usize, prop::option::of(event()))
            .prop_map(|(name, timer, event)| Step::Timer(name, timer, event)),
        1 => event().prop_map(Step::Fire),
        2 => ending.prop_map(Step::Restart),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// So many attempts have ended, which count on over a redrive.
    Open(u32),
    Done,
    Dead(u32),
    Redriven(u32),
}

#[derive(Debug, Default)]
struct Subscription {
    fates: BTreeMap<u64, Fate>,
    held: BTreeMap<u64, u32>,
    /// The copies that were sent in the place of dead letters.
    copies: BTreeMap<u64, u64>,
    /// The value of its key.
    value: Option<u8>,
    /// Its timers: when each is due, and what it publishes.
    timers: BTreeMap<usize, (u64, (u8, u8))>,
}

#[derive(Debug, Default)]
struct Model {
    events: Vec<(u8, u8)>,
    subscriptions: BTreeMap<usize, Subscription>,
    /// The newest batch of each sender, and its number.
    sent: BTreeMap<usize, (u64, Vec<(u8, u8)>)>,
    /// Counts copies and timers.
    serial: u64,
}

/// The types of a subscription: each takes one alone, and the third all.
fn takes(name: usize, event_type: u8) -> bool {
    name == 2 || usize::from(event_type) == name
}

impl Model {
    /// Positions and whether they are duplicates, or `None` for a conflict.
    fn publish(&mut self, batch: &[(u8, u8)]) -> Option<Vec<(u64, bool)>> {
        let mut events = self.events.clone();
        let mut told = Vec::new();
        for event in batch {
            match events.iter().position(|(id, _)| *id == event.0) {
                Some(at) if events[at].1 != event.1 => return None,
                Some(at) => told.push((at as u64 + 1, true)),
                None => {
                    events.push(*event);
                    told.push((events.len() as u64, false));
                }
            }
        }
        for (at, event) in events.iter().enumerate().skip(self.events.len()) {
            for (name, subscription) in &mut self.subscriptions {
                if takes(*name, event.1) {
                    subscription.fates.insert(at as u64 + 1, Fate::Open(0));
                }
            }
        }
        self.events = events;
        Some(told)
    }

    fn subscribe(&mut self, name: usize) {
        let events = &self.events;
        self.subscriptions.entry(name).or_insert_with(|| {
            let own = events
                .iter()
                .enumerate()
                .filter(|(_, event)| takes(name, event.1));
            let fates = own.map(|(at, _)| (at as u64 + 1, Fate::Open(0))).collect();
            Subscription {
                fates,
                ..Subscription::default()
            }
        });
    }
}

impl Subscription {
    fn pull(&mut self, max: usize) -> Vec<(u64, u32, bool)> {
        let mut next = Vec::new();
        for redriven in [true, false] {
            for (position, fate) in &self.fates {
                match fate {
                    Fate::Redriven(attempts) if redriven => {
                        next.push((*position, attempts + 1, true));
                    }
                    Fate::Open(attempts) if !redriven => {
                        next.push((*position, attempts + 1, false));
                    }
                    _ => {}
                }
            }
        }
        next.retain(|(position, _, _)| !self.held.contains_key(position));
        next.truncate(max);
        self.held.extend(
            next.iter()
                .map(|(position, attempt, _)| (*position, *attempt)),
        );
        next
    }

    /// Whether the settlement of an attempt changes anything.
    fn settle(&mut self, position: u64, attempt: u32, end: End) -> bool {
        let fate = self.fates.get_mut(&position).unwrap();
        let (ended, redriven) = match fate {
            Fate::Open(ended) => (*ended, false),
            Fate::Redriven(ended) => (*ended, true),
            Fate::Done | Fate::Dead(_) => return false,
        };
        if attempt <= ended {
            return false;
        }
        *fate = match end {
            End::Done => Fate::Done,
            End::Reject => Fate::Dead(attempt),
            End::Retry if redriven => Fate::Redriven(attempt),
            End::Retry => Fate::Open(attempt),
        };
        match end {
            End::Done | End::Reject => drop(self.held.remove(&position)),
            End::Retry => drop(self.held.insert(position, attempt + 1)),
        }
        true
    }

    /// Some delivery, mostly one that is dead.
    fn any(&self, index: prop::sample::Index) -> Option<u64> {
        let dead = self
            .fates
            .iter()
            .filter(|(_, fate)| matches!(fate, Fate::Dead(_)));
        let dead: Vec<u64> = dead.map(|(position, _)| *position).collect();
        let all = self.fates.keys().copied().take(2);
        let own: Vec<u64> = dead.iter().chain(&dead).copied().chain(all).collect();
        (!own.is_empty()).then(|| *index.get(&own))
    }

    fn count(&self, test: impl Fn(&Fate) -> bool) -> u64 {
        self.fates.values().filter(|fate| test(fate)).count() as u64
    }
}

struct World {
    bench: Bench,
    disk: Option<SimStorage>,
    engine: Arc<dyn Engine>,
    attached: BTreeMap<usize, Box<dyn Deliveries>>,
    model: Model,
}

/// The edited copy of a dead letter.
fn copy(serial: u64, event_type: u8) -> hence_core::Message {
    typed(&format!("copy {serial}"), TYPES[usize::from(event_type)])
}

fn change(name: usize, what: What) -> Change {
    Change {
        subscription: NAMES[name].into(),
        key: KEY.to_owned(),
        what,
    }
}

/// Where events are, and whether they were there.
fn told(receipts: Vec<hence_core::Receipt>) -> Vec<(u64, bool)> {
    let one = |r: &hence_core::Receipt| (r.position.unwrap().0, r.duplicate);
    receipts.iter().map(one).collect()
}

fn message((id, event_type): (u8, u8)) -> hence_core::Message {
    typed(&id.to_string(), TYPES[usize::from(event_type)])
}

impl World {
    async fn publish(&mut self, batch: &[(u8, u8)]) {
        let messages = batch.iter().copied().map(message).collect();
        let told = publish(&self.engine, messages).await.ok().map(told);
        assert_eq!(told, self.model.publish(batch), "publish {batch:?}");
    }

    async fn send(&mut self, sender: usize, behind: u64, batch: Vec<(u8, u8)>) {
        let known = self.model.sent.get(&sender).cloned();
        let (newest, before) = known.unwrap_or_default();
        let batch = if behind == 0 { before } else { batch };
        let number = newest + behind;
        let commit = Commit {
            publish: batch.iter().copied().map(message).collect(),
            sequence: Some(Sequence {
                sender: SENDERS[sender].to_owned(),
                number,
            }),
            durability: strongest(&self.engine),
            ..Commit::default()
        };
        let result = self.engine.commit(commit).await;
        if number != newest + 1 && (number == 0 || number != newest) {
            assert_eq!(result.unwrap_err().code(), Code::SEQUENCE_GAP);
            return;
        }
        let expected = self.model.publish(&batch);
        assert_eq!(
            result.ok().map(told),
            expected,
            "{sender} {number} {batch:?}"
        );
        if expected.is_some() {
            self.model.sent.insert(sender, (number, batch));
        }
    }

    async fn timer(&mut self, name: usize, timer: usize, event: Option<(u8, u8)>) {
        let Some(subscription) = self.model.subscriptions.get_mut(&name) else {
            return;
        };
        self.model.serial += 1;
        let serial = self.model.serial;
        let of = || TIMERS[timer].to_owned();
        let what = match event {
            None => What::CancelTimer { name: of() },
            Some(event) => What::SetTimer {
                name: of(),
                due: self.bench.clock_now().after(Duration::from_secs(serial)),
                message: Box::new(message(event)),
            },
        };
        match event {
            None => drop(subscription.timers.remove(&timer)),
            Some(event) => drop(subscription.timers.insert(timer, (serial, event))),
        }
        let commit = Commit {
            change: vec![change(name, what)],
            durability: strongest(&self.engine),
            ..Commit::default()
        };
        self.engine.commit(commit).await.unwrap();
    }

    /// All timers are due and fire in their order, before what is published behind them.
    async fn fire(&mut self, event: (u8, u8)) {
        self.bench
            .clock
            .advance(Duration::from_secs(self.model.serial + 1));
        let mut due = Vec::new();
        for subscription in self.model.subscriptions.values_mut() {
            due.extend(std::mem::take(&mut subscription.timers).into_values());
        }
        due.sort_unstable();
        for (_, event) in due {
            // An event that is known is not published again, whatever it says.
            self.model.publish(&[event]);
        }
        self.publish(&[event]).await;
    }

    async fn discard(&mut self, name: usize, index: prop::sample::Index) {
        let Some(subscription) = self.model.subscriptions.get_mut(&name) else {
            return;
        };
        let Some(position) = subscription.any(index) else {
            return;
        };
        let id = format!("{}.{position}", NAMES[name]);
        let result = discard(&self.engine, &[&id]).await;
        let fate = subscription.fates.get_mut(&position).unwrap();
        assert_eq!(result.is_ok(), !matches!(fate, Fate::Open(_)));
        if matches!(fate, Fate::Dead(_) | Fate::Redriven(_)) {
            *fate = Fate::Done;
            subscription.held.remove(&position);
            if let Some(deliveries) = self.attached.get_mut(&name) {
                assert!(deliveries.next(1).await.unwrap().is_empty());
                let released: Vec<_> = deliveries.released().into_keys().collect();
                assert_eq!(released, [hence_core::Position(position)]);
            }
        }
    }

    async fn edit(&mut self, name: usize, index: prop::sample::Index, again: bool) {
        let Some(subscription) = self.model.subscriptions.get_mut(&name) else {
            return;
        };
        let Some(position) = subscription.any(index) else {
            return;
        };
        self.model.serial += 1;
        let before = subscription.copies.get(&position).copied();
        let serial = before.filter(|_| again).unwrap_or(self.model.serial);
        let event_type = self.model.events[usize::try_from(position).unwrap() - 1].1;
        let id = format!("{}.{position}", NAMES[name]);
        let result = edit(&self.engine, &id, copy(serial, event_type)).await;
        let code = result.err().map(|error| error.code());
        let fate = subscription.fates.get_mut(&position).unwrap();
        let expected = match *fate {
            Fate::Open(_) | Fate::Done => Some(Code::NOT_FOUND),
            Fate::Redriven(_) if before == Some(serial) => None,
            Fate::Redriven(_) => Some(Code::EDIT),
            Fate::Dead(attempts) => {
                *fate = Fate::Redriven(attempts);
                subscription.copies.insert(position, serial);
                None
            }
        };
        assert_eq!(code, expected, "{id}");
    }

    async fn pull(&mut self, name: usize, max: usize) {
        let Some(deliveries) = self.attached.get_mut(&name) else {
            return;
        };
        let expected = self.model.subscriptions.get_mut(&name).unwrap().pull(max);
        let got = pull(deliveries, expected.len()).await;
        let told = |d: &Delivery| (d.position.0, d.attempt, d.redriven);
        assert_eq!(got.iter().map(told).collect::<Vec<_>>(), expected);
        for delivery in got {
            let event = self.model.events[usize::try_from(delivery.position.0).unwrap() - 1];
            let copies = &self.model.subscriptions[&name].copies;
            let expected = match copies.get(&delivery.position.0) {
                Some(serial) => copy(*serial, event.1),
                None => message(event),
            };
            assert_eq!(delivery.message, expected);
        }
    }

    async fn settle(
        &mut self,
        name: usize,
        ends: &[(prop::sample::Index, End)],
        emit: Option<(u8, u8)>,
        (twice, value): (bool, Option<Option<u8>>),
    ) {
        let Some(subscription) = self.model.subscriptions.get(&name) else {
            return;
        };
        let held: Vec<_> = subscription.held.iter().map(|(p, a)| (*p, *a)).collect();
        if held.is_empty() {
            return;
        }
        let ends: Vec<_> = ends
            .iter()
            .map(|(index, end)| (*index.get(&held), *end))
            .collect();
        let settle = ends
            .iter()
            .map(|((position, attempt), end)| hence_core::Settlement {
                subscription: NAMES[name].into(),
                position: hence_core::Position(*position),
                attempt: *attempt,
                outcome: match end {
                    End::Done => Outcome::Done,
                    End::Retry => retry(Timestamp::from_micros(i64::from(*attempt))),
                    End::Reject => reject(true),
                },
                ran: Duration::ZERO,
            });
        let write = |value: Option<u8>| match value {
            Some(value) => What::Write(vec![value].into()),
            None => What::Remove,
        };
        let commit = Commit {
            settle: settle.collect(),
            publish: emit.into_iter().map(message).collect(),
            change: value
                .map(|value| change(name, write(value)))
                .into_iter()
                .collect(),
            durability: strongest(&self.engine),
            ..Commit::default()
        };
        for _ in 0..=usize::from(twice) {
            self.commit(name, &ends, (emit, value), commit.clone())
                .await;
        }
    }

    async fn commit(
        &mut self,
        name: usize,
        ends: &[((u64, u32), End)],
        (emit, value): (Option<(u8, u8)>, Option<Option<u8>>),
        commit: Commit,
    ) {
        let result = self.engine.commit(commit).await;
        let subscription = &self.model.subscriptions[&name];
        let fresh =
            ends.iter().any(
                |((position, attempt), _)| match subscription.fates[position] {
                    Fate::Open(ended) | Fate::Redriven(ended) => *attempt > ended,
                    Fate::Done | Fate::Dead(_) => false,
                },
            );
        let emit: Vec<_> = emit.into_iter().collect();
        if fresh {
            let told = self.model.publish(&emit);
            assert_eq!(result.is_ok(), told.is_some());
            if told.is_some() {
                let subscription = self.model.subscriptions.get_mut(&name).unwrap();
                subscription.value = value.unwrap_or(subscription.value);
                for ((position, attempt), end) in ends {
                    subscription.settle(*position, *attempt, *end);
                }
            }
        } else {
            assert!(result.unwrap().iter().all(|receipt| receipt.duplicate));
        }
    }

    async fn redrive(&mut self, name: usize, index: prop::sample::Index) {
        let Some(subscription) = self.model.subscriptions.get_mut(&name) else {
            return;
        };
        let Some(position) = subscription.any(index) else {
            return;
        };
        let id = format!("{}.{position}", NAMES[name]);
        let result = redrive(&self.engine, &[&id]).await;
        let fate = subscription.fates.get_mut(&position).unwrap();
        assert_eq!(result.is_ok(), !matches!(fate, Fate::Open(_)));
        if let Fate::Dead(attempts) = *fate {
            *fate = Fate::Redriven(attempts);
        }
    }

    async fn restart(&mut self, ending: Ending) {
        if !self.bench.is_log() {
            return;
        }
        if let Ending::Clean = ending {
            self.engine.close().await;
        }
        self.attached.clear();
        // The old engine goes before the new one comes.
        self.engine = hence_engine_local::memory(&self.bench.options);
        match (&self.disk, ending) {
            (None, _) | (_, Ending::Clean) => {}
            (Some(disk), Ending::Kill) => disk.kill(),
            (Some(disk), Ending::PowerCut(seed)) => disk.crash(seed),
        }
        self.engine = self.bench.open();
        for subscription in self.model.subscriptions.values_mut() {
            subscription.held.clear();
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Publish(batch) => self.publish(&batch).await,
            Step::Subscribe(name) => {
                let types: Vec<_> = (0..3u8).filter(|t| takes(name, *t)).collect();
                let types: Vec<_> = types.iter().map(|t| TYPES[usize::from(*t)]).collect();
                let spec = spec_of(NAMES[name], &types, Start::Earliest);
                let result = self.engine.subscribe(spec).await;
                assert_eq!(result.is_err(), self.attached.contains_key(&name));
                if let Ok(deliveries) = result {
                    self.attached.insert(name, deliveries);
                    self.model.subscribe(name);
                }
            }
            Step::Detach(name) => {
                if self.attached.remove(&name).is_some() {
                    self.model
                        .subscriptions
                        .get_mut(&name)
                        .unwrap()
                        .held
                        .clear();
                }
            }
            Step::Pull(name, max) => self.pull(name, max).await,
            Step::Settle(name, ends, emit, twice, value) => {
                self.settle(name, &ends, emit, (twice, value)).await;
            }
            Step::Redrive(name, index) => self.redrive(name, index).await,
            Step::Discard(name, index) => self.discard(name, index).await,
            Step::Edit(name, index, again) => self.edit(name, index, again).await,
            Step::Send(sender, behind, batch) => self.send(sender, behind, batch).await,
            Step::Timer(name, timer, event) => self.timer(name, timer, event).await,
            Step::Fire(event) => self.fire(event).await,
            Step::Restart(ending) => self.restart(ending).await,
        }
        self.compare().await;
    }

    async fn compare(&self) {
        let reports = self.engine.subscriptions();
        assert_eq!(reports.len(), self.model.subscriptions.len());
        for (name, expected) in &self.model.subscriptions {
            let report = reports
                .iter()
                .find(|report| report.name == NAMES[*name])
                .unwrap();
            let open = |fate: &Fate| matches!(fate, Fate::Open(_) | Fate::Redriven(_));
            assert_eq!(report.lag, expected.count(open), "{report:?}");
            let value = self.engine.keyed(NAMES[*name], KEY).await.unwrap();
            assert_eq!(
                value.as_deref(),
                expected.value.as_ref().map(std::slice::from_ref)
            );
            assert_eq!(
                report.dead,
                expected.count(|fate| matches!(fate, Fate::Dead(_)))
            );
            assert_eq!(report.in_flight, expected.held.len() as u64);
            assert_eq!(report.attached, self.attached.contains_key(name));
            let mut below = expected.fates.range(..=report.settled.0);
            assert!(
                below.all(|(_, fate)| !open(fate)),
                "{report:?}: {expected:?}"
            );
        }
    }

    async fn finish(mut self) {
        // Whatever is open in the end is delivered, once more, to whoever subscribes then.
        self.attached.clear();
        for (name, subscription) in &mut self.model.subscriptions {
            subscription.held.clear();
            let report = self
                .engine
                .subscriptions()
                .into_iter()
                .find(|r| r.name == NAMES[*name]);
            let types = report.unwrap().types;
            let spec = hence_core::SubscriptionSpec::new(NAMES[*name], types, Start::Latest);
            let mut deliveries = self.engine.subscribe(spec).await.unwrap();
            let got = ready(&mut deliveries).await;
            let told = |d: &Delivery| (d.position.0, d.attempt, d.redriven);
            let expected = subscription.pull(usize::MAX);
            assert_eq!(got.iter().map(told).collect::<Vec<_>>(), expected);
        }
        let entries = all_entries(&self.engine).await;
        let messages: Vec<_> = entries.into_iter().map(|entry| entry.message).collect();
        let expected: Vec<_> = self.model.events.iter().copied().map(message).collect();
        assert_eq!(messages, expected);
        let dead: BTreeSet<_> = self
            .engine
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap()
            .into_iter()
            .filter(|letter| !letter.redriven)
            .map(|letter| letter.id)
            .collect();
        let expected = self
            .model
            .subscriptions
            .iter()
            .flat_map(|(name, subscription)| {
                let dead = subscription
                    .fates
                    .iter()
                    .filter(|(_, fate)| matches!(fate, Fate::Dead(_)));
                dead.map(|(position, _)| format!("{}.{position}", NAMES[*name]))
            });
        assert_eq!(dead, expected.collect());
    }
}

fn run(mut bench: Bench, disk: Option<SimStorage>, small: bool, steps: Vec<Step>) {
    // A timer fires with the next commit, and not when some thread comes to it.
    bench.options.alarm = false;
    if small {
        // So that queues overflow, files end and memory is left all the time.
        bench.options.ready_events = 2;
        bench.options.tail_bytes = 2000;
        bench.options.segment_bytes = 4096;
        bench.options.snapshot_frames = 7;
        bench.options.snapshot_interval = Duration::ZERO;
    }
    block_on(async {
        let engine = bench.open();
        let (attached, model) = (BTreeMap::new(), Model::default());
        let mut world = World {
            bench,
            disk,
            engine,
            attached,
            model,
        };
        world.step(Step::Subscribe(2)).await;
        for step in steps {
            world.step(step).await;
        }
        world.finish().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn memory_behaves_as_the_model(
        small in any::<bool>(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        run(Bench::memory(), None, small, steps);
    }

    #[test]
    fn log_behaves_as_the_model_on_a_simulated_disk_whose_power_goes(
        small in any::<bool>(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let disk = SimStorage::new();
        run(Bench::storage(Arc::new(disk.clone())), Some(disk), small, steps);
    }
}

proptest! {
    // Few, because every commit waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn log_behaves_as_the_model(
        small in any::<bool>(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        run(Bench::log(), None, small, steps);
    }
}
