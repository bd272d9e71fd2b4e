//! A subscription that gets events after another one has handled them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hence_core::{Code, Delivery, Outcome, Start};
use proptest::prelude::*;

use crate::common::*;

const KEYS: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    /// So many deliveries for the one that goes first.
    Pull(usize),
    /// It handles the oldest that it has of a key.
    Handle(u8),
    /// So many deliveries for the one that waits, which handles them at once.
    Follow(usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..KEYS).prop_map(Step::Publish),
        3 => (1..4usize).prop_map(Step::Pull),
        5 => (0..KEYS).prop_map(Step::Handle),
        3 => (1..3usize).prop_map(Step::Follow),
        1 => Just(Step::Reopen),
    ]
}

fn key(delivery: &Delivery) -> String {
    delivery.message.attributes().key().unwrap().to_owned()
}

/// Runs the steps, then everything to its end.
async fn run(bench: Bench, steps: Vec<Step>) {
    let (mut published, mut handled, mut followed) = (0u64, BTreeSet::new(), BTreeSet::new());
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut engine = bench.open();
    let mut after = spec("second");
    after.after = vec!["first".to_owned()];
    let mut first = subscribe(&engine, "first").await;
    let mut second = engine.subscribe(after.clone()).await.unwrap();
    let mut held: BTreeMap<String, VecDeque<Delivery>> = BTreeMap::new();
    let ending = (0..60).flat_map(|_| {
        let handle = (0..KEYS).map(Step::Handle);
        [Step::Pull(4)]
            .into_iter()
            .chain(handle)
            .chain([Step::Follow(4)])
    });
    for step in steps.into_iter().chain(ending) {
        match step {
            Step::Publish(key) => {
                published += 1;
                let message = with(
                    event(&published.to_string()),
                    "partitionkey",
                    &key.to_string(),
                );
                publish(&engine, vec![message]).await.unwrap();
            }
            Step::Pull(max) => {
                for delivery in at_once(&mut first, max).await {
                    held.entry(key(&delivery)).or_default().push_back(delivery);
                }
            }
            Step::Handle(key) => {
                if let Some(delivery) = held.get_mut(&key.to_string()).and_then(VecDeque::pop_front)
                {
                    done(&engine, "first", std::slice::from_ref(&delivery)).await;
                    handled.insert(delivery.position.0);
                }
            }
            Step::Follow(max) => {
                for delivery in at_once(&mut second, max).await {
                    let position = delivery.position.0;
                    assert!(handled.contains(&position), "{position} came too early");
                    assert!(followed.insert(position), "{position} came twice");
                    let before = last.insert(key(&delivery), position);
                    assert!(
                        before.is_none_or(|before| before < position),
                        "{before:?}, {position}"
                    );
                    done(&engine, "second", &[delivery]).await;
                }
            }
            Step::Reopen if bench.is_log() => {
                drop((first, second));
                engine.close().await;
                engine = bench.open();
                held.clear();
                first = subscribe(&engine, "first").await;
                second = engine.subscribe(after.clone()).await.unwrap();
            }
            Step::Reopen => {}
        }
    }
    assert_eq!(followed.len() as u64, published);
}

async fn at_once(deliveries: &mut Box<dyn hence_core::Deliveries>, max: usize) -> Vec<Delivery> {
    tokio::select! {
        biased;
        some = deliveries.next(max) => some.unwrap(),
        () = tokio::task::yield_now() => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_key_keeps_its_order_behind_a_gate(steps in proptest::collection::vec(step(), 1..80)) {
        block_on(run(Bench::memory(), steps));
    }

}

proptest! {
    // Each commit waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn also_when_memory_forgets(steps in proptest::collection::vec(step(), 1..60)) {
        let mut bench = Bench::log();
        (bench.options.tail_bytes, bench.options.ready_events) = (1, 4);
        block_on(run(bench, steps));
    }
}

on_both! {
    async fn one_that_waits_for_nobody_known_is_refused(bench: Bench) {
        let engine = bench.open();
        let mut spec = spec_of("second", &["t"], Start::Earliest);
        spec.after = vec!["first".to_owned()];
        let error = engine.subscribe(spec).await.map(drop).unwrap_err();
        assert_eq!(error.code(), Code::NOT_FOUND);
        assert!(engine.subscriptions().is_empty());
    }

    async fn another_type_does_not_wait(bench: Bench) {
        let engine = bench.open();
        let first = engine.subscribe(spec_of("first", &["u"], Start::Earliest)).await.unwrap();
        let mut spec = spec_of("second", &["t", "u"], Start::Earliest);
        spec.after = vec!["first".to_owned()];
        let mut second = engine.subscribe(spec).await.unwrap();
        publish(&engine, vec![typed("1", "u"), typed("2", "t")]).await.unwrap();
        assert_eq!(positions(&pull(&mut second, 1).await), [2]);
        drop(first);
        let mut first = engine.subscribe(spec_of("first", &["u"], Start::Earliest)).await.unwrap();
        let delivery = pull(&mut first, 1).await;
        settle(&engine, "first", &delivery[0], Outcome::Done).await.unwrap();
        assert_eq!(positions(&pull(&mut second, 1).await), [1]);
    }

    async fn what_the_other_takes_no_more_need_not_wait(bench: Bench) {
        let mut bench = bench;
        // Of a log, what waits has to be read again.
        bench.options.tail_bytes = 1;
        let engine = bench.open();
        let first = engine.subscribe(spec_of("first", &["t", "u"], Start::Earliest)).await.unwrap();
        let mut spec = spec_of("second", &["t", "u"], Start::Earliest);
        spec.after = vec!["first".to_owned()];
        let mut second = engine.subscribe(spec).await.unwrap();
        publish(&engine, vec![typed("1", "u"), typed("2", "t"), typed("3", "u")]).await.unwrap();
        assert!(ready(&mut second).await.is_empty());
        drop(first);
        let first = spec_of("first", &["t"], Start::Earliest);
        // It waits already, and nothing else would wake it.
        let (first, seen) = tokio::join!(engine.subscribe(first), pull(&mut second, 2));
        assert_eq!(positions(&seen), [1, 3]);
        let delivery = pull(&mut first.unwrap(), 1).await;
        settle(&engine, "first", &delivery[0], Outcome::Done).await.unwrap();
        assert_eq!(positions(&pull(&mut second, 1).await), [2]);
    }
}
