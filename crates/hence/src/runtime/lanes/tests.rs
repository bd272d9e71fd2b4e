use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use hence_core::flow;
use hence_core::{Attributes, Delivery, Message, Options, Order, Position, Timestamp, envelope};
use proptest::prelude::*;

use super::super::standing::{Behind, Place};
use super::{BLOCKED_PER_KEY_MAX, Batch, Clock, Lanes, Load, PARKED_MAX, WAITING_BYTES_MAX};

fn delivery(position: u64, key: Option<&str>) -> Delivery {
    let mut attributes = Attributes::new(position.to_string(), "/test", "tick").unwrap();
    if let Some(key) = key {
        attributes.set(envelope::KEY, key).unwrap();
    }
    Delivery {
        position: Position(position),
        message: Message::new(attributes, None),
        appended: Timestamp::from_micros(0),
        attempt: 1,
        before: 0,
        due: None,
        redriven: false,
    }
}

fn lanes(order: Order) -> Lanes {
    Lanes::new(
        &Options::default().with(|options| options.order = order),
        BTreeMap::new(),
        Clock::start(),
        1,
    )
}

/// Deliveries that could run now or once their lane is free.
fn runnable(lanes: &Lanes) -> usize {
    lanes.ready.events + lanes.parked.events
}

/// Dead letters of the key `a`.
fn held(positions: &[u64]) -> BTreeMap<Position, Option<String>> {
    let of_a = |position: &u64| (Position(*position), Some("a".to_owned()));
    positions.iter().map(of_a).collect()
}

fn redriven(position: u64) -> Delivery {
    Delivery {
        redriven: true,
        ..delivery(position, Some("a"))
    }
}

/// So many at most, one after the other.
fn pop(lanes: &mut Lanes, max: usize) -> Vec<Delivery> {
    std::iter::from_fn(|| lanes.pop()).take(max).collect()
}

/// So many at most, for one call.
fn pop_batch(lanes: &mut Lanes, max: usize) -> Vec<Delivery> {
    let batch = Batch {
        events: max,
        bytes: usize::MAX,
        by: None,
    };
    lanes.pop_batch(&batch, None)
}

fn pop_one(lanes: &mut Lanes) -> Option<Delivery> {
    lanes.pop()
}

fn soon(wait: Duration) -> Option<Timestamp> {
    Some(Timestamp::now().after(wait))
}

const HOUR: Duration = Duration::from_secs(3_600);

fn in_an_hour() -> Timestamp {
    Timestamp::now().after(HOUR + HOUR)
}

/// A delivery of a key of its own, that waits in a lane or for nobody.
fn of_group(position: u64, key: Option<&str>) -> Delivery {
    let mut delivery = delivery(position, key);
    let mut attributes = delivery.message.attributes().clone();
    attributes.set("tenantid", "acme").unwrap();
    delivery.message = Message::new(attributes, None);
    delivery
}

#[test]
fn a_place_names_the_limit_of_a_group() {
    let options = Options::default().with(|options| {
        let by = "tenantid".into();
        options.limit = Some(flow::Limit { by, most: 1 });
    });
    let mut lanes = Lanes::new(&options, BTreeMap::new(), Clock::start(), 1);
    for (position, key) in [
        (1, Some("a")),
        (2, Some("b")),
        (3, None),
        (4, None),
        (5, Some("b")),
    ] {
        lanes.push(of_group(position, key));
    }
    assert_eq!(
        pop_one(&mut lanes).map(|first| first.position),
        Some(Position(1))
    );
    assert!(pop_one(&mut lanes).is_none());
    let group = || {
        let name = Some("acme".to_owned());
        Some(Behind::Group { name, most: 1 })
    };
    let place = |position, key| lanes.place(Position(position), key);
    assert_eq!(place(1, Some("a")), Place::Elsewhere);
    for (position, key, ahead) in [(2, Some("b"), 0), (5, Some("b"), 1)] {
        let wanted = Place::Waits {
            ahead: Some(ahead),
            behind: group(),
        };
        assert_eq!(place(position, key), wanted, "{position}");
    }
    for position in [3, 4] {
        let place = place(position, None);
        assert!(matches!(place, Place::Waits { ahead: Some(_), behind } if behind == group()));
    }
}

#[test]
fn a_place_tells_what_was_shed_from_what_failed() {
    let mut lanes = lanes(Order::PerKey);
    let due = soon(HOUR);
    for (position, key) in [(1, "a"), (2, "b"), (3, "b")] {
        lanes.push(delivery(position, Some(key)));
    }
    let (shed, failed) = (pop_one(&mut lanes).unwrap(), pop_one(&mut lanes).unwrap());
    lanes.shed(Delivery { due, ..shed });
    lanes.back_off(Delivery { due, ..failed });
    let (due, place) = (due.unwrap(), |position, key| {
        lanes.place(Position(position), key)
    });
    assert_eq!(place(1, Some("a")), Place::Shed(due));
    assert_eq!(place(2, Some("b")), Place::BacksOff(due));
    let behind = Some(Behind::BacksOff(Position(2), due));
    assert_eq!(
        place(3, Some("b")),
        Place::Waits {
            ahead: Some(0),
            behind: behind.clone()
        }
    );
    // One that has not been pulled waits for the same.
    assert_eq!(
        place(9, Some("b")),
        Place::Waits {
            ahead: None,
            behind
        }
    );
    lanes.wake(in_an_hour());
    let next = Place::Waits {
        ahead: Some(0),
        behind: None,
    };
    assert_eq!(lanes.place(Position(1), Some("a")), next);
}

#[test]
fn a_place_behind_a_dead_letter_is_known_before_it_is_pulled() {
    let lanes = Lanes::new(&Options::default(), held(&[4]), Clock::start(), 1);
    let behind = Some(Behind::DeadLetter(Position(4)));
    assert_eq!(
        lanes.place(Position(9), Some("a")),
        Place::Waits {
            ahead: None,
            behind
        }
    );
    assert_eq!(lanes.place(Position(4), Some("a")), Place::Elsewhere);
    assert_eq!(lanes.place(Position(9), Some("b")), Place::Elsewhere);
}

#[test]
fn keys_run_side_by_side_and_each_key_one_after_the_other() {
    let mut lanes = lanes(Order::PerKey);
    for (position, key) in [(1, "a"), (2, "a"), (3, "b")] {
        lanes.push(delivery(position, Some(key)));
    }
    let first = pop_one(&mut lanes).unwrap();
    let other = pop_one(&mut lanes).unwrap();
    assert_eq!((first.position.0, other.position.0), (1, 3));
    assert!(pop_one(&mut lanes).is_none(), "the lane of 'a' is busy");
    lanes.done(&first);
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 2);
}

#[test]
fn a_key_that_backs_off_keeps_its_order_and_stops_no_other_key() {
    let mut lanes = lanes(Order::PerKey);
    for (position, key) in [(1, "a"), (2, "a"), (3, "b")] {
        lanes.push(delivery(position, Some(key)));
    }
    let failed = pop_one(&mut lanes).unwrap();
    lanes.back_off(Delivery {
        due: soon(HOUR),
        attempt: 2,
        ..failed
    });
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 3);
    assert!(pop_one(&mut lanes).is_none());
    lanes.wake(Timestamp::now());
    assert!(pop_one(&mut lanes).is_none(), "not due yet");
    lanes.wake(in_an_hour());
    let again = pop_one(&mut lanes).unwrap();
    assert_eq!((again.position.0, again.attempt), (1, 2));
    lanes.done(&again);
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 2);
}

#[test]
fn a_batch_that_failed_comes_back_in_order() {
    let mut lanes = lanes(Order::Fifo);
    (1..=5).for_each(|position| lanes.push(delivery(position, None)));
    let batch = pop_batch(&mut lanes, 3);
    assert_eq!(batch.len(), 3);
    assert!(pop_batch(&mut lanes, 3).is_empty(), "the one lane is busy");
    // The engine may answer in any order.
    for failed in batch.into_iter().rev() {
        lanes.back_off(Delivery {
            due: soon(HOUR),
            ..failed
        });
    }
    lanes.wake(in_an_hour());
    let positions: Vec<_> = pop_batch(&mut lanes, 9)
        .iter()
        .map(|delivery| delivery.position.0)
        .collect();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
}

#[test]
fn a_held_key_waits_until_each_of_its_dead_letters_is_handled() {
    let mut lanes = Lanes::new(&Options::default(), held(&[3, 5]), Clock::start(), 1);
    lanes.push(delivery(7, Some("a")));
    assert!(pop_one(&mut lanes).is_none());
    for position in [3, 5] {
        lanes.push(Delivery {
            redriven: true,
            ..delivery(position, Some("a"))
        });
    }
    for position in [3, 5] {
        let redriven = pop_one(&mut lanes).unwrap();
        assert_eq!(redriven.position.0, position);
        assert!(pop_one(&mut lanes).is_none());
        lanes.done(&redriven);
    }
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 7);
}

#[test]
fn a_redriven_delivery_that_dies_again_is_counted_once() {
    let mut lanes = Lanes::new(&Options::default(), held(&[3]), Clock::start(), 1);
    for _ in 0..3 {
        lanes.push(Delivery {
            redriven: true,
            ..delivery(3, Some("a"))
        });
        let redriven = pop_one(&mut lanes).unwrap();
        lanes.hold(&redriven);
    }
    lanes.push(delivery(4, Some("a")));
    lanes.push(Delivery {
        redriven: true,
        ..delivery(3, Some("a"))
    });
    let redriven = pop_one(&mut lanes).unwrap();
    lanes.done(&redriven);
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 4);
}

#[test]
fn what_was_redriven_before_a_restart_holds_its_key_when_it_dies_again() {
    let mut lanes = Lanes::new(&Options::default(), held(&[3]), Clock::start(), 1);
    lanes.push(redriven(3));
    lanes.push(delivery(4, Some("a")));
    let again = pop_one(&mut lanes).unwrap();
    lanes.hold(&again);
    assert!(pop_one(&mut lanes).is_none(), "4 waits behind 3");
}

#[test]
fn one_dead_letter_that_is_handled_frees_no_key_of_another() {
    let mut lanes = Lanes::new(&Options::default(), held(&[3, 5]), Clock::start(), 1);
    lanes.push(redriven(3));
    lanes.push(delivery(6, Some("a")));
    let again = pop_one(&mut lanes).unwrap();
    lanes.done(&again);
    assert!(pop_one(&mut lanes).is_none(), "6 waits behind 5");
}

fn of_a(position: u64) -> BTreeMap<Position, Option<String>> {
    held(&[position])
}

#[test]
fn a_discarded_dead_letter_frees_its_key_and_no_other_does() {
    let mut lanes = Lanes::new(&Options::default(), held(&[3, 5]), Clock::start(), 1);
    lanes.push(delivery(7, Some("a")));
    lanes.release(of_a(3));
    assert!(pop_one(&mut lanes).is_none(), "7 waits behind 5");
    lanes.release(of_a(5));
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 7);
}

#[test]
fn what_is_discarded_while_it_waits_again_is_not_handled() {
    let mut lanes = Lanes::new(&Options::default(), held(&[3, 5]), Clock::start(), 1);
    lanes.push(redriven(5));
    lanes.push(delivery(7, Some("a")));
    lanes.release(of_a(5));
    lanes.release(of_a(3));
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 7);
    assert!(pop_one(&mut lanes).is_none());

    // The same while it backs off, and without a key.
    for key in [Some("a"), None] {
        let mut lanes = self::lanes(Order::PerKey);
        lanes.push(Delivery {
            redriven: true,
            due: Some(in_an_hour()),
            ..delivery(3, key)
        });
        lanes.push(delivery(7, Some("a")));
        lanes.release([(Position(3), key.map(str::to_owned))].into());
        assert_eq!(pop_one(&mut lanes).unwrap().position.0, 7);
        lanes.wake(in_an_hour().after(HOUR));
        assert!(pop_one(&mut lanes).is_none());
    }
    for order in [
        Order::Any,
        Order::Lifo,
        Order::AdaptiveLifo,
        Order::PriorityAuto,
    ] {
        let mut lanes = self::lanes(order);
        lanes.push(redriven(3));
        lanes.release(of_a(3));
        assert_eq!((pop_one(&mut lanes).is_none(), lanes.ready()), (true, 0));
    }
}

#[test]
fn what_is_discarded_while_it_runs_holds_nothing_afterwards() {
    for dies in [true, false] {
        let mut lanes = Lanes::new(&Options::default(), held(&[3]), Clock::start(), 1);
        lanes.push(redriven(3));
        lanes.push(delivery(7, Some("a")));
        let running = pop_one(&mut lanes).unwrap();
        lanes.release(of_a(3));
        assert!(pop_one(&mut lanes).is_none(), "one of a key at a time");
        match dies {
            true => lanes.hold(&running),
            false => lanes.back_off(running),
        }
        assert_eq!(lanes.next_due(), None);
        assert_eq!(pop_one(&mut lanes).unwrap().position.0, 7);
    }
}

#[test]
fn what_is_redriven_waits_for_the_dead_letters_before_it() {
    let mut lanes = Lanes::new(&Options::default(), held(&[3, 5]), Clock::start(), 1);
    lanes.push(redriven(5));
    assert!(pop_one(&mut lanes).is_none(), "5 waits behind 3");
    lanes.push(redriven(3));
    let first = pop_one(&mut lanes).unwrap();
    assert_eq!(first.position.0, 3);
    lanes.hold(&first);
    assert!(pop_one(&mut lanes).is_none(), "3 died again");
    lanes.push(redriven(3));
    let first = pop_batch(&mut lanes, 9);
    assert_eq!(first.len(), 1, "not in one batch: 3 may die again");
    lanes.done(&first[0]);
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 5);
}

#[test]
fn a_dead_letter_without_a_key_holds_all_that_is_in_one_line() {
    let mut lanes = Lanes::new(
        &Options::default().with(|options| options.order = Order::Fifo),
        BTreeMap::from([(Position(3), None)]),
        Clock::start(),
        1,
    );
    lanes.push(delivery(4, None));
    assert!(pop_one(&mut lanes).is_none(), "4 waits behind 3");
}

#[test]
fn a_retry_from_before_a_restart_frees_no_busy_lane() {
    let mut lanes = lanes(Order::PerKey);
    lanes.push(delivery(3, Some("a")));
    let running = pop_one(&mut lanes).unwrap();
    lanes.push(Delivery {
        due: soon(HOUR),
        ..delivery(5, Some("a"))
    });
    lanes.wake(in_an_hour());
    assert!(pop_one(&mut lanes).is_none(), "3 is running");
    lanes.done(&running);
    assert_eq!(pop_one(&mut lanes).unwrap().position.0, 5);
}

#[test]
fn idle_keys_cost_nothing() {
    let mut lanes = lanes(Order::PerKey);
    for position in 0..1_000 {
        lanes.push(delivery(position, Some(&position.to_string())));
    }
    while let Some(popped) = pop_one(&mut lanes) {
        lanes.done(&popped);
    }
    assert!(lanes.lanes.len() == 0 && lanes.listed.is_empty());
    assert_eq!(lanes.lanes.room(), 0, "memory is kept for lanes");
    assert_eq!(runnable(&lanes), 0);
}

#[test]
fn a_crowd_behind_one_key_stops_the_pull() {
    let mut lanes = Lanes::new(&Options::default(), held(&[0]), Clock::start(), 1);
    for position in 1..=BLOCKED_PER_KEY_MAX as u64 {
        assert!(!lanes.is_crowded());
        lanes.push(delivery(position, Some("a")));
    }
    assert!(lanes.is_crowded());
    lanes.push(Delivery {
        redriven: true,
        ..delivery(0, Some("a"))
    });
    let redriven = pop_one(&mut lanes).unwrap();
    lanes.done(&redriven);
    assert!(!lanes.is_crowded());
    assert_eq!(runnable(&lanes), BLOCKED_PER_KEY_MAX);
}

#[test]
fn what_waits_behind_a_busy_key_takes_no_place_of_others() {
    let mut lanes = lanes(Order::PerKey);
    for position in 0..=PARKED_MAX as u64 {
        assert!(lanes.room(Load::default()) > 0);
        lanes.push(delivery(position, Some("hot")));
    }
    assert_eq!((lanes.ready(), lanes.room(Load::default())), (1, 0));
    let running = pop_one(&mut lanes).unwrap();
    assert_eq!(lanes.ready(), 0, "all others wait for it");
    lanes.push(delivery(1_000_000, Some("cold")));
    assert_eq!(lanes.ready(), 1);
    lanes.done(&running);
    let again = pop_one(&mut lanes).unwrap();
    let next = pop_one(&mut lanes).unwrap();
    assert_eq!((again.position.0, next.position.0), (1_000_000, 1));
    assert!(lanes.room(Load::default()) > 0);
}

fn of_tenant(position: u64, key: Option<&str>, tenant: &str) -> Delivery {
    let delivery = delivery(position, key);
    let message = delivery.message.clone();
    let message = message.with_attributes(|all| all.set("tenantid", tenant));
    Delivery {
        message: message.unwrap(),
        ..delivery
    }
}

fn positions(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|d| d.position.0).collect()
}

#[test]
fn a_limit_lets_so_many_of_a_group_go_and_all_of_others() {
    let limit = Some(flow::Limit {
        by: "tenantid".into(),
        most: 2,
    });
    let options = Options::default().with(|options| options.limit = limit);
    let mut lanes = Lanes::new(&options, BTreeMap::new(), Clock::start(), 1);
    for position in 1..=4 {
        lanes.push(of_tenant(position, Some(&position.to_string()), "a"));
    }
    lanes.push(of_tenant(5, None, "a"));
    lanes.push(of_tenant(6, None, "b"));
    let running = pop(&mut lanes, 9);
    assert_eq!(positions(&running), [1, 2, 6]);
    assert_eq!(
        (lanes.ready(), lanes.parked.events),
        (0, 3),
        "they take no place of others"
    );
    lanes.done(&running[0]);
    let next = pop(&mut lanes, 9);
    assert_eq!(positions(&next), [3]);
    lanes.back_off(running[1].clone());
    assert_eq!(positions(&pop(&mut lanes, 9)), [4]);
    lanes.done(&next[0]);
    assert_eq!(positions(&pop(&mut lanes, 9)), [5]);
}

#[test]
fn fair_turns_are_by_weight_and_not_by_number() {
    let fair = Some(flow::Fair {
        by: "tenantid".into(),
        weights: [("gold".to_owned(), 2)].into(),
    });
    let options = Options::default().with(|options| options.fair = fair);
    for keyed in [true, false] {
        let mut lanes = Lanes::new(&options, BTreeMap::new(), Clock::start(), 1);
        for position in 1..=100_u64 {
            let key = position.to_string();
            let key = keyed.then_some(&*key);
            lanes.push(of_tenant(position, key, "many"));
        }
        for position in 101..=104_u64 {
            let key = position.to_string();
            let key = keyed.then_some(&*key);
            lanes.push(of_tenant(position, key, "gold"));
        }
        let first = pop(&mut lanes, 6);
        assert_eq!(positions(&first), [1, 101, 102, 2, 103, 104]);
        assert_eq!(
            positions(&pop(&mut lanes, 2)),
            [3, 4],
            "nobody else wants anything"
        );
    }
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    let mut lanes = Lanes::new(&Options::default(), held(&[0]), Clock::start(), 1);
    let large = |position, key| {
        let small = delivery(position, Some(key));
        let data = bytes::Bytes::from(vec![0; 1 << 20]);
        let message = Message::new(small.message.attributes().clone(), Some(data));
        Delivery { message, ..small }
    };
    let many = (WAITING_BYTES_MAX >> 20) as u64;
    for position in 1..many {
        lanes.push(large(position, "a"));
    }
    assert!(!lanes.is_crowded() && lanes.room(Load::default()) > 0);
    lanes.push(large(many, "b"));
    assert!(!lanes.is_crowded(), "one of them may go on");
    assert_eq!(lanes.room(Load::default()), 0);
    lanes.push(large(many + 1, "a"));
    assert!(lanes.is_crowded());
    assert_eq!(lanes.limit(), "events of 64 MiB wait");
    let free = pop_one(&mut lanes).unwrap();
    lanes.done(&free);
    lanes.push(redriven(0));
    let again = pop_one(&mut lanes).unwrap();
    lanes.done(&again);
    assert!(!lanes.is_crowded());
    while let Some(next) = pop_one(&mut lanes) {
        lanes.done(&next);
    }
    let none = Load::default();
    assert_eq!(
        [lanes.ready, lanes.parked, lanes.blocked, lanes.retrying],
        [none; 4]
    );
}

proptest! {
    /// Whatever fails, and in whatever order calls end, each key is handled in order, nothing is
    /// lost, and the counts stay true.
    #[test]
    fn g3_every_delivery_is_handled_once_and_in_order(
        keys in proptest::collection::vec(proptest::option::of(0..4_u8), 1..60),
        choices in proptest::collection::vec((0..4_u8, 1..5_usize, any::<proptest::sample::Index>()), 400),
        (limited, fair) in any::<(bool, bool)>(),
    ) {
        let by = || flow::By::from("tenantid");
        let options = Options::default().with(|options| {
            options.limit = limited.then(|| flow::Limit { by: by(), most: 2 });
            options.fair = fair.then(|| flow::Fair { by: by(), ..flow::Fair::default() });
        });
        let mut begun: HashMap<u8, u64> = HashMap::new();
        let mut lanes = Lanes::new(&options, BTreeMap::new(), Clock::start(), 1);
        let mut incoming = keys.iter().enumerate();
        let (mut running, mut now) = (Vec::<Delivery>::new(), Timestamp::now());
        let mut done: Vec<Delivery> = Vec::new();
        let mut choices = choices.into_iter().cycle();
        for step in 0.. {
            prop_assert!(step < 20_000, "no progress");
            if done.len() == keys.len() { break }
            let (choice, size, index) = choices.next().unwrap();
            match choice {
                0 => if let Some((position, key)) = incoming.next() {
                    let name = key.map(|key| key.to_string());
                    let tenant = (key.unwrap_or(0) % 2).to_string();
                    lanes.push(of_tenant(position as u64, name.as_deref(), &tenant));
                },
                1 => {
                    // Of a batch several of one key end together; with these there are none.
                    running.extend(match limited || fair {
                        true => pop(&mut lanes, 1),
                        false => pop_batch(&mut lanes, size),
                    });
                    for tenant in ["0", "1"] {
                        let of = |d: &&Delivery| by().group(d.message.attributes()).as_deref() == Some(tenant);
                        let together = running.iter().filter(of).count();
                        prop_assert!(!limited || together <= 2, "{} of {}", together, tenant);
                    }
                }
                _ if running.is_empty() => {
                    now = now.after(HOUR);
                    lanes.wake(now);
                }
                2 => {
                    let ended = running.swap_remove(index.index(running.len()));
                    lanes.done(&ended);
                    if let Some(key) = ended.message.attributes().key() {
                        let key = key.parse().unwrap();
                        let before = begun.insert(key, ended.position.0);
                        let later = before.is_none_or(|before| before < ended.position.0);
                        prop_assert!(later || !(limited || fair), "G3");
                    }
                    done.push(ended);
                }
                _ => {
                    let failed = running.swap_remove(index.index(running.len()));
                    lanes.back_off(Delivery { due: Some(now.after(HOUR)), ..failed });
                }
            }
        }
        prop_assert_eq!((runnable(&lanes), lanes.blocked, lanes.lanes.len()), (0, Load::default(), 0));
        prop_assert!(lanes.gate.is_none_or(|gate| gate.is_idle()));
        let all: BTreeSet<_> = done.iter().map(|delivery| delivery.position).collect();
        prop_assert_eq!(all.len(), keys.len());
    }
}

#[test]
fn single_calls_of_one_key_end_in_the_order_of_positions() {
    let mut lanes = lanes(Order::PerKey);
    let mut last: HashMap<String, u64> = HashMap::new();
    for position in 1..=200_u64 {
        lanes.push(delivery(position, Some(&(position % 7).to_string())));
    }
    let mut seed = 1_u64;
    let mut running: Vec<Delivery> = Vec::new();
    let mut now = Timestamp::now();
    while runnable(&lanes) + running.len() > 0 || lanes.next_due().is_some() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if seed >> 62 == 0 || running.is_empty() {
            now = now.after(HOUR);
            lanes.wake(now);
            running.extend(pop(&mut lanes, 1));
        } else {
            let ended = running.swap_remove((seed >> 33) as usize % running.len());
            if seed >> 61 & 1 == 0 {
                lanes.back_off(Delivery {
                    due: Some(now.after(HOUR)),
                    ..ended
                });
                continue;
            }
            let key = ended.message.attributes().key().unwrap().to_owned();
            assert!(
                last.insert(key, ended.position.0)
                    .is_none_or(|before| before < ended.position.0)
            );
            lanes.done(&ended);
        }
    }
    assert_eq!(last.len(), 7);
}
