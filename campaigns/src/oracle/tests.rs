//! What the oracle makes of an acknowledgement that is in doubt.

use super::{IN_FLIGHT_MAX, Oracle};
use crate::line::{Line, Stored};
use crate::subject::SOURCE;

fn hear(oracle: &mut Oracle, number: u64, at: u64) {
    let id = number.to_string();
    oracle.hear(&Line::Send {
        id: id.clone(),
        key: "k".to_owned(),
        number,
        hash: number,
        batch: id.clone(),
        size: 1,
    });
    oracle.hear(&Line::Ack {
        id,
        position: number,
        synced: true,
        duplicate: false,
        at,
    });
}

fn stored(number: u64) -> Stored {
    Stored {
        position: number,
        id: number.to_string(),
        source: SOURCE.to_owned(),
        event: "campaign.step".to_owned(),
        key: "k".to_owned(),
        cause: String::new(),
        attempt: 0,
        number,
        hash: number,
    }
}

#[test]
fn what_was_acknowledged_before_the_cut_must_be_there() {
    let mut oracle = Oracle {
        doubt: Some(10),
        ..Oracle::default()
    };
    hear(&mut oracle, 1, 9);
    oracle.check_tail(&[], true);
    assert_eq!((oracle.count.lost, oracle.count.doubtful), (1, 0));
}

#[test]
fn what_was_acknowledged_during_the_cut_may_be_gone() {
    let mut oracle = Oracle {
        doubt: Some(10),
        ..Oracle::default()
    };
    hear(&mut oracle, 1, 9);
    hear(&mut oracle, 2, 10);
    oracle.check_tail(&[stored(1)], true);
    assert_eq!(oracle.problems, Vec::<String>::new());
    assert_eq!((oracle.count.doubtful, oracle.count.doubtful_lost), (1, 1));
}

#[test]
fn nothing_stays_behind_what_is_gone() {
    let mut oracle = Oracle {
        doubt: Some(10),
        ..Oracle::default()
    };
    hear(&mut oracle, 1, 10);
    hear(&mut oracle, 2, 11);
    oracle.check_tail(&[stored(2)], true);
    assert_eq!((oracle.count.doubtful_lost, oracle.count.wrong), (1, 1));
}

#[test]
fn no_more_is_in_doubt_than_can_be_under_way() {
    let mut oracle = Oracle {
        doubt: Some(10),
        ..Oracle::default()
    };
    (1..=IN_FLIGHT_MAX + 1).for_each(|number| hear(&mut oracle, number, 10));
    oracle.check_tail(&[], true);
    assert_eq!(
        (oracle.count.doubtful_lost, oracle.count.wrong),
        (IN_FLIGHT_MAX + 1, 1)
    );
}

#[test]
fn a_position_may_come_back_only_where_its_event_was_in_doubt() {
    for (doubt, disorder) in [(Some(10), 0), (None, 1)] {
        let mut oracle = Oracle {
            doubt,
            ..Oracle::default()
        };
        hear(&mut oracle, 1, 10);
        oracle.check_tail(&[], true);
        oracle.doubt = None;
        let mut other = stored(2);
        other.position = 1;
        oracle.hear(&Line::Send {
            id: other.id.clone(),
            key: other.key.clone(),
            number: 2,
            hash: 2,
            batch: other.id.clone(),
            size: 1,
        });
        oracle.check_tail(&[other], true);
        assert_eq!(oracle.count.disorder, disorder);
    }
}
