//! Where one delivery is among those that wait.

use hence_core::{Order, Position};

use super::{Lane, Lanes};
use crate::runtime::standing::{Behind, Place};

impl Lanes {
    /// Where the delivery at a position is, of an event with this key.
    pub(crate) fn place(&self, position: Position, key: Option<&str>) -> Place {
        if let Some(waiting) = self.waiting.get(&position) {
            let due = waiting.delivery.due.unwrap_or_else(|| self.clock.now());
            return match waiting.shed {
                true => Place::Shed(due),
                false => Place::BacksOff(due),
            };
        }
        let Some(key) = self.lane_of(key) else {
            return self.place_without_a_lane(position);
        };
        let Some(lane) = self.lanes.find(key) else {
            return Place::Elsewhere;
        };
        let ahead = lane.ahead(position);
        let behind = self.behind(key, lane, position);
        // What has not been pulled waits for these, too; what runs waits for none.
        let is_pulled = ahead.is_some();
        let waits = matches!(behind, Some(Behind::DeadLetter(_) | Behind::BacksOff(..)));
        match is_pulled || waits {
            true => Place::Waits { ahead, behind },
            false => Place::Elsewhere,
        }
    }

    fn place_without_a_lane(&self, position: Position) -> Place {
        if self.free.holds(position) {
            return Place::Waits {
                ahead: self.free.ahead(position),
                behind: None,
            };
        }
        let gated = self.gate.as_ref().and_then(|gate| {
            let (ahead, delivery) = gate.waits(position)?;
            let (name, most) = gate.group_of(delivery);
            let behind = Some(Behind::Group { name, most });
            let ahead = Some(ahead);
            Some(Place::Waits { ahead, behind })
        });
        gated.unwrap_or(Place::Elsewhere)
    }

    fn behind(&self, key: &str, lane: &Lane, position: Position) -> Option<Behind> {
        if let Some(dead) = lane.dead_before(position) {
            return Some(Behind::DeadLetter(dead));
        }
        if lane.retrying() > 0 {
            let all = self.waiting.values().map(|waiting| &waiting.delivery);
            let own = all.filter(|delivery| {
                self.order == Order::Fifo || delivery.message.attributes().key() == Some(key)
            });
            let first = own.min_by_key(|delivery| delivery.position)?;
            let due = first.due.unwrap_or_else(|| self.clock.now());
            return Some(Behind::BacksOff(first.position, due));
        }
        if lane.gated {
            let (name, most) = self.gate.as_ref()?.group_of(lane.head()?);
            return Some(Behind::Group { name, most });
        }
        (lane.busy > 0).then_some(Behind::Running)
    }
}
