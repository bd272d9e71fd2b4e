//! Several deliveries for one call.

use std::collections::HashMap;

use hence_core::{By, Delivery, Options};

use super::{Lane, Lanes, Load};

/// How much one call takes at most, and what its events have in common.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) by: Option<By>,
}

impl Batch {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            events: options.batch_events,
            bytes: options.batch_bytes,
            by: options.batch_by.clone(),
        }
    }

    fn group(&self, delivery: &Delivery) -> Box<str> {
        let by = self.by.as_ref();
        let name = by.and_then(|by| by.group(delivery.message.attributes()));
        name.unwrap_or_default().into()
    }

    fn is_full(&self, load: Load) -> bool {
        load.events >= self.events || load.bytes >= self.bytes
    }
}

/// A batch that is being filled.
struct Filling<'a> {
    batch: &'a Batch,
    group: Option<Box<str>>,
    load: Load,
    deliveries: Vec<Delivery>,
}

impl Filling<'_> {
    /// Whether one more belongs into it; the first does in any case.
    fn fits(&mut self, delivery: &Delivery) -> bool {
        let name = self.batch.group(delivery);
        if *self.group.get_or_insert_with(|| name.clone()) != name {
            return false;
        }
        let mut with = self.load;
        with.add(Load::of(delivery));
        let fits = with.events <= self.batch.events && with.bytes <= self.batch.bytes;
        if fits || self.load.events == 0 {
            self.load = with;
            return true;
        }
        false
    }

    fn is_of(&self, delivery: &Delivery) -> bool {
        let name = self.batch.group(delivery);
        self.group.as_ref().is_none_or(|group| *group == name)
    }
}

impl Lanes {
    /// The group of which there is enough for a whole batch, if there is one.
    pub(crate) fn full_batch(&self, batch: &Batch) -> Option<Box<str>> {
        let all = Load {
            events: self.ready.events,
            bytes: self.ready.bytes + self.parked.bytes,
        };
        if !batch.is_full(all) {
            return None;
        }
        let mut groups: HashMap<Box<str>, Load> = HashMap::new();
        let lanes = self
            .listed
            .iter()
            .filter_map(|number| self.lanes.get(*number));
        for lane in lanes {
            if let Some(head) = lane.head() {
                let load = Load {
                    events: lane.len().min(batch.events),
                    bytes: lane.bytes,
                };
                groups.entry(batch.group(head)).or_default().add(load);
            }
        }
        for delivery in self.free.iter() {
            let load = groups.entry(batch.group(delivery)).or_default();
            load.add(Load::of(delivery));
        }
        let full = groups.into_iter().find(|(_, load)| batch.is_full(*load));
        full.map(|(name, _)| name)
    }

    /// Gives deliveries for one call: of this group, or of whose turn it is.
    pub(crate) fn pop_batch(&mut self, batch: &Batch, group: Option<Box<str>>) -> Vec<Delivery> {
        let mut filling = Filling {
            batch,
            group: group.filter(|_| batch.by.is_some()),
            load: Load::default(),
            deliveries: Vec::new(),
        };
        self.fill_from_lanes(&mut filling);
        let mut others = Vec::new();
        while !batch.is_full(filling.load)
            && let Some(delivery) = self.free.pop(|| self.clock.now())
        {
            if !filling.is_of(&delivery) {
                others.push(delivery);
            } else if filling.fits(&delivery) {
                self.ready.take(Load::of(&delivery));
                filling.deliveries.push(delivery);
            } else {
                self.free.put_back(delivery);
                break;
            }
        }
        for delivery in others.into_iter().rev() {
            self.free.put_back(delivery);
        }
        filling.deliveries
    }

    fn fill_from_lanes(&mut self, filling: &mut Filling<'_>) {
        let mut others = Vec::new();
        while !filling.batch.is_full(filling.load)
            && let Some(number) = self.listed.pop()
        {
            let head = self.lanes.get(number).and_then(Lane::head);
            if head.is_some_and(|head| !filling.is_of(head)) {
                others.push(number);
                continue;
            }
            let mut fits = true;
            self.change(number, |lane| {
                lane.listed = false;
                if lane.has_next() {
                    let mut taken = Vec::new();
                    fits = lane.take_while(|delivery| filling.fits(delivery), &mut taken) > 0;
                    filling.deliveries.append(&mut taken);
                }
            });
            // What does not fit any more is listed again.
            if !fits {
                break;
            }
        }
        for number in others.into_iter().rev() {
            if let Some(head) = self.lanes.get(number).and_then(Lane::head) {
                self.listed.put_back(number, head);
            }
        }
    }
}
