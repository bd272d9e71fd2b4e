use bytes::Bytes;
use hence_core::Attributes;
use hence_core::message::Message;

use super::*;
use crate::gates::Gates;
use crate::identity::tag;
use crate::op::{Op, Subscribed, Taken};
use crate::state::State;

const TYPE: &str = "t";

/// Two subscriptions of one type, of which the second waits for the first.
struct House {
    state: State,
    gates: Gates,
    tail: Tail,
    next: u64,
}

impl House {
    fn new() -> Self {
        let mut house = Self {
            state: State::new(0),
            gates: Gates::default(),
            tail: Tail::new(1, usize::MAX, false),
            next: 1,
        };
        house.subscribe(0, "first", &[TYPE]);
        house.subscribe(1, "second", &[TYPE]);
        house.gates.set(1, vec![0]);
        house
    }

    fn subscribe(&mut self, subscription: u32, name: &str, types: &[&str]) {
        let taken = |name: &&str| Taken {
            name: (*name).to_owned(),
            tag: tag(name),
            since: 1,
        };
        let subscribed = Subscribed {
            subscription,
            name: name.to_owned(),
            types: types.iter().map(taken).collect(),
            low: 0,
            lag: 0,
        };
        let now = Timestamp::from_micros(0);
        self.state.apply(&Op::Subscribed(subscribed), now);
    }

    fn publish(&mut self) -> Entry {
        let attributes = Attributes::new("e", "/test", TYPE).unwrap();
        let entry = Entry {
            position: Position(self.next),
            appended: Timestamp::from_micros(0),
            message: Message::new(attributes, Some(Bytes::new())),
        };
        self.tail.push(entry.clone(), tag(TYPE), 1, 1);
        self.next += 1;
        entry
    }

    /// What the second has, in one hold of the lock.
    fn take(&self, outlet: &mut Outlet, max: usize) -> (Found, Vec<u64>) {
        let mut out = Vec::new();
        let second = self.state.subscription(1).unwrap();
        let gate = self.gates.of(&self.state, 1);
        let now = Timestamp::from_micros(1);
        let found = outlet.take((second, gate), &self.tail, self.next, now, (max, &mut out));
        (found, out.iter().map(|it| it.position.0).collect())
    }
}

/// An outlet with as much behind its gate as there may be.
fn full(house: &mut House) -> Outlet {
    (0..DELAYED_EVENTS_MAX).for_each(|_| drop(house.publish()));
    let mut outlet = Outlet::new(house.state.subscription(1).unwrap(), 1024);
    while house.take(&mut outlet, 1).0 == Found::Again {}
    assert_eq!(outlet.waiting.len(), DELAYED_EVENTS_MAX);
    outlet
}

/// How often the lock is taken until nothing is left to do, if nothing is given out.
fn holds(house: &House, outlet: &mut Outlet) -> usize {
    let mut holds = 1;
    while house.take(outlet, 1) == (Found::Again, Vec::new()) {
        holds += 1;
    }
    holds
}

#[test]
fn what_is_looked_at_again_at_a_gate_is_looked_at_in_many_holds_of_the_lock() {
    let mut house = House::new();
    let mut outlet = full(&mut house);
    outlet.open_all();
    let most = DELAYED_EVENTS_MAX / SCAN_EVENTS_MAX;
    assert_eq!(holds(&house, &mut outlet), most + 1);
    // Each was looked at once, and all are shut as before.
    assert_eq!(holds(&house, &mut outlet), 1);
    assert_eq!(outlet.waiting.len(), DELAYED_EVENTS_MAX);
}

#[test]
fn what_goes_through_a_gate_piece_by_piece_keeps_its_order() {
    let mut house = House::new();
    let mut outlet = full(&mut house);
    // Half of the way through the gates, those that are left need not wait any longer.
    outlet.open_all();
    assert_eq!(house.take(&mut outlet, 1), (Found::Again, Vec::new()));
    house.subscribe(0, "first", &["other"]);
    outlet.open_all();
    let mut given = house.take(&mut outlet, 10).1;
    assert_eq!(given, (1..=10).collect::<Vec<_>>());
    let newest = house.publish();
    outlet.offer(newest.position.0, When::Now);
    loop {
        let (found, more) = house.take(&mut outlet, 1000);
        given.extend(more);
        if matches!(found, Found::Nothing(_)) {
            break;
        }
    }
    assert_eq!(given, (1..house.next).collect::<Vec<_>>());
}
