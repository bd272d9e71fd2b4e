use std::sync::Arc;
use std::time::Duration;

use hence_core::Attributes;
use hence_core::commit::{Commit, Durability};
use hence_core::engine::{Engine, Filter};
use hence_core::message::Message;
use hence_log::DiskStorage;
use proptest::prelude::*;

use super::term::{Entry, Term};
use super::*;
use crate::Options;
use crate::engine::Local;

proptest! {
    #[test]
    fn an_entry_is_what_was_written_and_sorts_as_its_bytes(
        one in (any::<u64>(), 0..u64::MAX >> 24),
        two in (any::<u64>(), 0..u64::MAX >> 24),
    ) {
        let key = IdentityKey::of([7; 16]);
        let entry = |(text, number): (u64, u64)| Term::attempts(key, text).at(number);
        let (one, two) = (entry(one), entry(two));
        prop_assert_eq!(Entry::from_bytes(&one.to_bytes()), Some(one));
        prop_assert_eq!(one.cmp(&two), one.to_bytes().cmp(&two.to_bytes()));
        prop_assert!(one.is_by_commit());
    }

    #[test]
    fn the_place_of_an_entry_is_the_block_of_its_number(
        text in any::<u64>(),
        number in 0..u64::MAX >> 24,
    ) {
        let entry = Term::attempts(IdentityKey::of([7; 16]), text).at(number);
        prop_assert!((entry.number()..entry.number() + BLOCK).contains(&number));
    }
}

/// Events of the log that is searched.
const EVENTS: u64 = 2_000;

#[test]
fn what_is_looked_for_is_in_few_places() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        index_entries: 500,
        index_interval: Duration::from_millis(1),
        index_gives_way: false,
        ..Options::default()
    };
    let storage = Arc::new(DiskStorage::new(dir.path()).unwrap());
    let local = Local::log(storage, Some(dir.path()), &options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for number in 1..=EVENTS {
        let mut attributes = Attributes::new(format!("id-{number}"), "/test", "t").unwrap();
        attributes
            .set("partitionkey", format!("key-{}", number % 2))
            .unwrap();
        let message = Message::new(attributes, None);
        let commit = Commit::publish(vec![message], Durability::Written);
        runtime.block_on(local.commit(commit)).unwrap();
    }
    while local.health().unwrap().indexed != Some(Position(EVENTS)) {
        std::thread::yield_now();
    }
    let index = local.index().unwrap();
    let id = Filter {
        id: Some("id-700".to_owned()),
        ..Filter::default()
    };
    assert_eq!(
        index.events(&id, 1),
        Some(Places {
            blocks: vec![(640, 703)],
            upto: EVENTS + 1
        })
    );
    // Neighbours are one place, and nothing is before the place from which it is wanted.
    let key = Filter {
        key: Some("key-1".to_owned()),
        ..Filter::default()
    };
    assert_eq!(
        index.events(&key, 70),
        Some(Places {
            blocks: vec![(70, EVENTS)],
            upto: EVENTS + 1
        })
    );
    assert_eq!(
        index.events(&id, EVENTS + 1),
        None,
        "nothing is known of what is to come"
    );
    assert_eq!(index.events(&Filter::default(), 1), None);
    let view = index.lock().view.clone().unwrap();
    assert!(
        view.checkpoint().unwrap().unwrap().position > 1,
        "runs were written"
    );
}
