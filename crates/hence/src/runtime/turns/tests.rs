use std::collections::BTreeMap;

use hence_core::flow::Fair;
use hence_core::{Attributes, Delivery, Message, Position, Timestamp};
use proptest::prelude::*;

use super::Turns;

fn of(tenant: u8) -> Delivery {
    let mut attributes = Attributes::new("1", "/test", "tick").unwrap();
    attributes.set("tenantid", tenant.to_string()).unwrap();
    Delivery {
        position: Position(1),
        message: Message::new(attributes, None),
        appended: Timestamp::from_micros(0),
        attempt: 1,
        before: 0,
        due: None,
        redriven: false,
    }
}

proptest! {
    /// While two groups both have something, neither gets ahead of its share by more than a turn.
    #[test]
    fn shares_follow_weights(
        a in 1..5_u32,
        b in 1..5_u32,
        work in proptest::collection::vec(0..2_u8, 50..200),
    ) {
        let weights = BTreeMap::from([("0".to_owned(), a), ("1".to_owned(), b)]);
        let mut turns = Turns::new(Some(&Fair { by: "tenantid".into(), weights }));
        let mut left = [0_u32; 2];
        for tenant in &work {
            turns.push(*tenant, &of(*tenant));
            left[usize::from(*tenant)] += 1;
        }
        let mut given = [0_u32; 2];
        while left[0] > 0 && left[1] > 0 {
            let tenant = usize::from(turns.pop().unwrap());
            given[tenant] += 1;
            left[tenant] -= 1;
            // given ÷ weight differ by one turn at most.
            prop_assert!(given[0] * b <= (given[1] + b) * a && given[1] * a <= (given[0] + a) * b,
                "{:?} of {} and {}", given, a, b);
        }
        while turns.pop().is_some() {
            given[0] += 1;
        }
        prop_assert_eq!(given[0] + given[1], u32::try_from(work.len()).unwrap());
        prop_assert!(turns.is_empty());
    }
}
