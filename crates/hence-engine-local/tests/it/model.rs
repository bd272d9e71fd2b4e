//! Random scripts of commits, pulls and restarts, against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hence_core::engine::Deliveries;
use hence_core::{Commit, DeadLetterQuery, Delivery, Engine, Outcome, Start, Timestamp};
use hence_log::sim::SimStorage;
use proptest::prelude::*;

use crate::common::*;

const NAMES: [&str; 3] = ["one", "two", "three"];
const TYPES: [&str; 3] = ["t", "u", "v"];

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
    ),
    Redrive(usize, prop::sample::Index),
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
    prop_oneof![
        4 => prop::collection::vec(event(), 1..5).prop_map(Step::Publish),
        3 => (0..3usize).prop_map(Step::Subscribe),
        1 => (0..3usize).prop_map(Step::Detach),
        4 => (0..3usize, 1..6usize).prop_map(|(name, max)| Step::Pull(name, max)),
        5 => (0..3usize, ends, prop::option::of(event()), any::<bool>())
            .prop_map(|(name, ends, emit, twice)| Step::Settle(name, ends, emit, twice)),
        3 => (0..3usize, any::<prop::sample::Index>()).prop_map(|(n, i)| Step::Redrive(n, i)),
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
}

#[derive(Debug, Default)]
struct Model {
    events: Vec<(u8, u8)>,
    subscriptions: BTreeMap<usize, Subscription>,
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
                held: BTreeMap::new(),
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

fn message((id, event_type): (u8, u8)) -> hence_core::Message {
    typed(&id.to_string(), TYPES[usize::from(event_type)])
}

impl World {
    async fn publish(&mut self, batch: &[(u8, u8)]) {
        let messages = batch.iter().copied().map(message).collect();
        let receipts = publish(&self.engine, messages).await.ok();
        let told = receipts.map(|receipts| {
            let one = |r: &hence_core::Receipt| (r.position.unwrap().0, r.duplicate);
            receipts.iter().map(one).collect::<Vec<_>>()
        });
        assert_eq!(told, self.model.publish(batch), "publish {batch:?}");
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
            assert_eq!(delivery.message, message(event));
        }
    }

    async fn settle(
        &mut self,
        name: usize,
        ends: &[(prop::sample::Index, End)],
        emit: Option<(u8, u8)>,
        twice: bool,
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
                ran: std::time::Duration::ZERO,
            });
        let commit = Commit {
            settle: settle.collect(),
            publish: emit.into_iter().map(message).collect(),
            durability: strongest(&self.engine),
            ..Commit::default()
        };
        for _ in 0..=usize::from(twice) {
            self.commit(name, &ends, emit, commit.clone()).await;
        }
    }

    async fn commit(
        &mut self,
        name: usize,
        ends: &[((u64, u32), End)],
        emit: Option<(u8, u8)>,
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
        // Mostly what is dead, sometimes what is not.
        let dead = subscription
            .fates
            .iter()
            .filter(|(_, fate)| matches!(fate, Fate::Dead(_)));
        let dead: Vec<u64> = dead.map(|(position, _)| *position).collect();
        let all = subscription.fates.keys().copied().take(2);
        let own: Vec<u64> = dead.iter().chain(&dead).copied().chain(all).collect();
        if own.is_empty() {
            return;
        }
        let position = *index.get(&own);
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
            Step::Settle(name, ends, emit, twice) => self.settle(name, &ends, emit, twice).await,
            Step::Redrive(name, index) => self.redrive(name, index).await,
            Step::Restart(ending) => self.restart(ending).await,
        }
        self.compare();
    }

    fn compare(&self) {
        let reports = self.engine.subscriptions();
        assert_eq!(reports.len(), self.model.subscriptions.len());
        for (name, expected) in &self.model.subscriptions {
            let report = reports
                .iter()
                .find(|report| report.name == NAMES[*name])
                .unwrap();
            let open = |fate: &Fate| matches!(fate, Fate::Open(_) | Fate::Redriven(_));
            assert_eq!(report.lag, expected.count(open), "{report:?}");
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
    if small {
        // So that queues overflow, files end and memory is left all the time.
        bench.options.ready_events = 2;
        bench.options.tail_bytes = 2000;
        bench.options.segment_bytes = 4096;
        bench.options.snapshot_frames = 7;
        bench.options.snapshot_interval = std::time::Duration::ZERO;
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
