//! `Keyed`: a value for each subscription and key, in memory; the snapshot and the journal have it
//! on the disk.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

/// The largest value of a key, in bytes.
pub const KEYED_VALUE_BYTES_MAX: usize = 1 << 20;
/// Values and timers that one engine keeps.
pub const STATE_ENTRIES_MAX: usize = 1_000_000;
/// Memory that these may take, in bytes.
pub const STATE_BYTES_MAX: usize = 64 << 20;

/// Bytes that a value costs beside its key and itself.
const VALUE_BYTES: usize = 96;

/// The values of all keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keyed {
    values: HashMap<u32, HashMap<Arc<str>, Bytes>>,
    room: Room,
}

/// The room that something takes, as far as limits are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

impl Room {
    pub(crate) fn one(bytes: usize) -> Self {
        Self { entries: 1, bytes }
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.entries += more.entries;
        self.bytes += more.bytes;
    }

    pub(crate) fn sub(&mut self, less: Self) {
        self.entries -= less.entries;
        self.bytes -= less.bytes;
    }

    /// What this is more than something that it replaces.
    pub(crate) fn beyond(self, before: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(before.entries),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }
}

/// About how much memory a value takes.
pub(crate) fn weigh(key: &str, value: &Bytes) -> Room {
    Room::one(VALUE_BYTES + key.len() + value.len())
}

impl Keyed {
    pub(crate) fn room(&self) -> Room {
        self.room
    }

    pub(crate) fn get(&self, subscription: u32, key: &str) -> Option<&Bytes> {
        self.values.get(&subscription)?.get(key)
    }

    /// How much a key has now.
    pub(crate) fn weight(&self, subscription: u32, key: &str) -> Room {
        let value = self.get(subscription, key);
        value.map_or(Room::default(), |value| weigh(key, value))
    }

    /// Replaces the value of a key, or removes it.
    pub(crate) fn set(&mut self, subscription: u32, key: &str, value: Option<Bytes>) {
        self.room.sub(self.weight(subscription, key));
        match value {
            Some(value) => {
                self.room.add(weigh(key, &value));
                let values = self.values.entry(subscription).or_default();
                match values.get_mut(key) {
                    Some(known) => *known = value,
                    None => drop(values.insert(key.into(), value)),
                }
            }
            None => {
                if let Some(values) = self.values.get_mut(&subscription) {
                    values.remove(key);
                    if values.is_empty() {
                        self.values.remove(&subscription);
                    }
                }
            }
        }
    }

    /// Every value, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &str, &Bytes)> {
        self.values.iter().flat_map(|(subscription, values)| {
            let of = |(key, value)| (*subscription, key, value);
            values.iter().map(|(key, value)| (&**key, value)).map(of)
        })
    }
}
