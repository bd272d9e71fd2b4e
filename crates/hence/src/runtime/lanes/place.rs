//! Where one delivery is among those that wait.

use hence_core::{Order, Position};

use super::{Lane, Lanes};
use crate::runtime::standing::{Behind, Place};

impl Lanes {
    /// Where the delivery at a position is, of an event with this key.
    pub(crate) fn place(&self, position: Position, key: Option<&str>) -> Place {
        if let Some(delivery) = self.waiting.get(&position) {
            return Place::BacksOff(delivery.due.unwrap_or_else(|| self.clock.now()));
        }
        let Some(key) = self.lane_of(key) else {
            return match self.free.holds(position) {
                false => Place::Elsewhere,
                true => Place::Waits {
                    ahead: self.free.ahead(position),
                    behind: None,
                },
            };
        };
        let lane = self.lanes.get(key);
        let Some((lane, ahead)) = lane.and_then(|lane| Some((lane, lane.ahead(position)?))) else {
            return Place::Elsewhere;
        };
        let behind = self.behind(key, lane, position);
        Place::Waits {
            ahead: Some(ahead),
            behind,
        }
    }

    fn behind(&self, key: &str, lane: &Lane, position: Position) -> Option<Behind> {
        if let Some(dead) = lane.held.range(..position).next() {
            return Some(Behind::DeadLetter(*dead));
        }
        if lane.retrying > 0 {
            let own = self.waiting.values().filter(|delivery| {
                self.order == Order::Fifo || delivery.message.attributes().key() == Some(key)
            });
            let first = own.min_by_key(|delivery| delivery.position)?;
            let due = first.due.unwrap_or_else(|| self.clock.now());
            return Some(Behind::BacksOff(first.position, due));
        }
        (lane.busy > 0).then_some(Behind::Running)
    }
}

impl Lane {
    /// How many stand before a delivery that waits in this lane.
    fn ahead(&self, position: Position) -> Option<usize> {
        let at = |queue: &std::collections::VecDeque<hence_core::Delivery>| {
            queue.iter().position(|other| other.position == position)
        };
        let behind = || at(&self.queue).map(|ahead| self.redriven.len() + ahead);
        at(&self.redriven).or_else(behind)
    }
}
