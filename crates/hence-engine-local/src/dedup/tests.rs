use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{BLOCK, DEDUP_EVENTS_MAX, Dedup, Held, Known};

fn hash(number: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    number.hash(&mut hasher);
    hasher.finish()
}

/// As the compact form, in the most simple way.
#[derive(Default)]
struct Simple {
    known: HashMap<u64, Known>,
    order: VecDeque<u64>,
}

#[test]
fn it_knows_what_a_plain_table_knows() {
    for limit in [1, 2, 7, 100] {
        let (mut dedup, mut simple) = (Dedup::new(limit), Simple::default());
        let mut position = 0;
        for step in 0..1_000 {
            // Positions have a gap now and then, as after a crash.
            position += if step % 37 == 0 { 5 } else { 1 };
            let content = u32::try_from(step % 3).unwrap();
            let known = Known { position, content };
            let id = hash(step);
            assert_eq!(dedup.get(id), None);
            dedup.insert(id, known);
            if simple.order.len() == limit {
                let oldest = simple.order.pop_front().unwrap();
                simple.known.remove(&oldest);
            }
            simple.order.push_back(id);
            simple.known.insert(id, known);
            for id in (step.saturating_sub(110)..=step).map(hash) {
                assert_eq!(dedup.get(id), simple.known.get(&id).copied(), "{step}");
            }
            if step % 41 > 0 {
                continue;
            }
            let listed: Vec<_> = dedup.ids().iter().collect();
            let wanted: Vec<_> = simple
                .order
                .iter()
                .map(|id| (*id, simple.known[id]))
                .collect();
            assert_eq!(listed, wanted);
            assert_eq!(dedup.has_room(), simple.order.len() < limit);
            assert_eq!(dedup.is_complete(), step < limit as u64);
        }
    }
}

#[test]
fn ids_that_share_a_bucket_are_told_apart() {
    let mut dedup = Dedup::new(64);
    for number in 0..200_u64 {
        // The same low bits, so the same bucket.
        let known = Known {
            position: number + 1,
            content: 0,
        };
        dedup.insert(number << 40, known);
        assert_eq!(dedup.get(number << 40), Some(known));
        assert_eq!(dedup.get(number << 40 | 1), None);
    }
    assert_eq!(dedup.get(0), None);
}

#[test]
fn an_id_costs_at_most_24_bytes_however_many_went_before() {
    let mut dedup = Dedup::new(DEDUP_EVENTS_MAX);
    let count = 3 * DEDUP_EVENTS_MAX as u64;
    for position in 1..=count {
        dedup.insert(
            hash(position),
            Known {
                position,
                content: 1,
            },
        );
    }
    let ring = dedup.ids.blocks.len() * BLOCK * size_of::<Held>();
    let runs = dedup.ids.runs.capacity() * size_of::<(u64, u64)>();
    let table = dedup.table.bytes();
    let bytes = ring + runs + table;
    assert!(
        bytes <= 24 * DEDUP_EVENTS_MAX,
        "{bytes} bytes: ring {ring}, runs {runs}, table {table}"
    );
    assert_eq!(dedup.get(hash(count)).unwrap().position, count);
    assert_eq!(dedup.get(hash(1)), None);
}

/// What a snapshot holds stays as it was, however the ring goes on, and is no second ring.
#[test]
fn a_copy_shares_its_blocks_and_stays_as_it_was() {
    let mut dedup = Dedup::new(3 * BLOCK);
    let known = |position| Known {
        position,
        content: 7,
    };
    let numbers = 1..=(3 * BLOCK as u64 + 50);
    numbers
        .clone()
        .for_each(|number| dedup.insert(hash(number), known(number)));
    let copy = dedup.ids().clone();
    let was: Vec<_> = copy.iter().collect();
    let shared = copy.blocks.iter().zip(&dedup.ids().blocks);
    assert!(
        shared
            .into_iter()
            .all(|(one, other)| Arc::ptr_eq(one, other))
    );
    let later = numbers.end() + 1..=numbers.end() + 2 * BLOCK as u64;
    later.for_each(|number| dedup.insert(hash(number), known(number)));
    assert_eq!(copy.iter().collect::<Vec<_>>(), was);
    assert_eq!(was.len(), 3 * BLOCK);
    assert_eq!(was.first(), Some(&(hash(51), known(51))));
    assert_eq!(
        dedup.ids().iter().next(),
        Some((hash(51 + 2 * BLOCK as u64), known(51 + 2 * BLOCK as u64)))
    );
}

/// All ids of a few slots, so that they stand far from their own, and over the end of the table.
#[test]
fn ids_that_stand_far_from_their_slots_are_found_until_they_go() {
    let mut dedup = Dedup::new(40);
    let id =
        |number: u64| (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !0xFF) | (0xFE + number % 3);
    for number in 0..5_000 {
        let position = number + 1;
        let known = Known {
            position,
            content: 0,
        };
        dedup.insert(id(number), known);
        for other in number.saturating_sub(45)..number + 3 {
            let is_known = other <= number && number - other < 40;
            let wanted = is_known.then_some(other + 1);
            let found = dedup.get(id(other)).map(|known| known.position);
            assert_eq!(found, wanted, "{other} at {number}");
        }
    }
}
