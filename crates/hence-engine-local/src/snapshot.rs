//! The tables as bytes, so that opening a log need not replay it from its first frame.
//!
//! ```text
//! version u8 = 2, or 1 before dead letters left their messages in the log; varint next
//! varint count of subscriptions, each:
//!   text name; types; varint low; varint lag
//!   varint count of ranges, each: varint first, varint last
//!   varint count of open retries, each: varint position, varint attempts, i64 due
//!   varint count of dead letters, each: varint position, text reason, text error,
//!     varint attempts, varint rejections, i64 since, i64 appended, u8 flags;
//!     with the flag ENTRY: text type, u8 1 and text key, or 0; else: varint length, message
//! varint count of ids, oldest first, each: u128 id, u64 content, u64 position
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use hence_core::codec::compact::{self, get_text, get_varint, put_text, put_varint};
use hence_core::dead_letter::Fingerprint;
use hence_core::error::{Code, Result};

use crate::dead_letters::{About, Body, Dead};
use crate::dedup::Known;
use crate::op::{
    damaged, get_named, get_reason, get_time, get_types, get_u32, put_named, put_types,
};
use crate::planted::is_planted;
use crate::settled::Settled;
use crate::state::State;
use crate::subscription::{Subscription, Tried};

/// Commits after which the tables are stored anew.
pub const SNAPSHOT_FRAMES: u64 = 100_000;
/// The least time between two snapshots.
pub const SNAPSHOT_INTERVAL_MIN: Duration = Duration::from_secs(10);

const VERSION: u8 = 2;
/// Read for ever; it differs in no more than the flags of dead letters that it does not know.
const VERSION_OLD: u8 = 1;
const HOLD: u8 = 1;
const REDRIVEN: u8 = 2;
/// The message is the entry of the log at its position.
const ENTRY: u8 = 4;
const EDITED: u8 = 8;

/// A copy of the tables, taken quickly, to be written slowly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frozen {
    next: u64,
    subscriptions: Vec<Subscription>,
    /// In no order.
    known: Vec<(u128, Known)>,
}

impl Frozen {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            next: state.next,
            subscriptions: state.subscriptions().to_vec(),
            known: match is_planted("dedup-lost-at-snapshot") {
                true => Vec::new(),
                false => state.dedup.known(),
            },
        }
    }

    /// The same copy in the one order in which copies can be compared.
    pub(crate) fn sorted(mut self) -> Self {
        self.known.sort_unstable_by_key(|(_, known)| known.position);
        self
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let frozen = self.sorted();
        let mut out = vec![VERSION];
        put_varint(&mut out, frozen.next);
        put_varint(&mut out, frozen.subscriptions.len() as u64);
        for subscription in &frozen.subscriptions {
            put_subscription(&mut out, subscription);
        }
        put_varint(&mut out, frozen.known.len() as u64);
        for (id, known) in &frozen.known {
            out.put_u128_le(*id);
            out.put_u64_le(known.content);
            out.put_u64_le(known.position);
        }
        out
    }
}

/// Brings back the tables that were frozen.
pub(crate) fn thaw(mut bytes: Bytes, dedup_events: usize) -> Result<State> {
    let buf = &mut bytes;
    let version = buf.try_get_u8().map_err(|_| damaged())?;
    if !matches!(version, VERSION | VERSION_OLD) {
        return Err(Code::FORMAT.error(format!("snapshot of version {version}")));
    }
    let mut state = State::new(dedup_events);
    state.next = get_varint(buf)?;
    for _ in 0..get_varint(buf)? {
        state.restore(get_subscription(buf)?);
    }
    for _ in 0..get_varint(buf)? {
        let id = buf.try_get_u128_le().map_err(|_| damaged())?;
        let content = buf.try_get_u64_le().map_err(|_| damaged())?;
        let position = buf.try_get_u64_le().map_err(|_| damaged())?;
        state.dedup.insert(id, Known { position, content });
    }
    if bytes.is_empty() {
        Ok(state)
    } else {
        Err(damaged())
    }
}

fn put_subscription(out: &mut Vec<u8>, subscription: &Subscription) {
    put_text(out, &subscription.name);
    put_types(out, &subscription.types);
    put_varint(out, subscription.settled.low());
    put_varint(out, subscription.lag);
    put_varint(out, subscription.settled.ranges().len() as u64);
    for (first, last) in subscription.settled.ranges() {
        put_varint(out, *first);
        put_varint(out, *last);
    }
    put_varint(out, subscription.tried.len() as u64);
    for (position, tried) in &subscription.tried {
        put_varint(out, *position);
        put_varint(out, u64::from(tried.attempts));
        out.put_i64_le(tried.due.as_micros());
    }
    put_varint(out, subscription.dead.len() as u64);
    for (position, dead) in &subscription.dead {
        put_varint(out, *position);
        put_dead(out, dead);
    }
}

fn get_subscription(buf: &mut Bytes) -> Result<Subscription> {
    let (name, types) = (get_text(buf)?, get_types(buf)?);
    let (low, lag) = (get_varint(buf)?, get_varint(buf)?);
    let mut ranges = BTreeMap::new();
    for _ in 0..get_varint(buf)? {
        ranges.insert(get_varint(buf)?, get_varint(buf)?);
    }
    let mut tried = BTreeMap::new();
    for _ in 0..get_varint(buf)? {
        let position = get_varint(buf)?;
        let (attempts, due) = (get_u32(buf)?, get_time(buf)?);
        tried.insert(position, Tried { attempts, due });
    }
    let mut dead = BTreeMap::new();
    for _ in 0..get_varint(buf)? {
        dead.insert(get_varint(buf)?, get_dead(buf)?);
    }
    Ok(Subscription {
        name,
        types,
        settled: Settled::of(low, ranges),
        lag,
        tried,
        dead,
    })
}

fn put_dead(out: &mut Vec<u8>, dead: &Dead) {
    put_text(out, dead.reason.as_str());
    put_text(out, &dead.error);
    put_varint(out, u64::from(dead.attempts));
    put_varint(out, u64::from(dead.rejections));
    out.put_i64_le(dead.since.as_micros());
    out.put_i64_le(dead.about.appended.as_micros());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.put_u8(
        flag(dead.hold, HOLD)
            | flag(dead.redriven, REDRIVEN)
            | flag(matches!(dead.body, Body::Entry), ENTRY)
            | flag(matches!(dead.body, Body::Edited(_)), EDITED),
    );
    match dead.message() {
        None => put_named(out, &dead.about),
        Some(message) => {
            let mut encoded = Vec::new();
            compact::encode(message, &mut encoded);
            put_varint(out, encoded.len() as u64);
            out.extend_from_slice(&encoded);
        }
    }
}

fn get_dead(buf: &mut Bytes) -> Result<Dead> {
    let (reason, error) = (get_reason(buf)?, get_text(buf)?);
    let (attempts, rejections) = (get_u32(buf)?, get_u32(buf)?);
    let (since, appended) = (get_time(buf)?, get_time(buf)?);
    let flags = buf.try_get_u8().map_err(|_| damaged())?;
    let (body, about) = if flags & ENTRY != 0 {
        (Body::Entry, get_named(buf, appended)?)
    } else {
        let length = usize::try_from(get_varint(buf)?).map_err(|_| damaged())?;
        if buf.len() < length {
            return Err(damaged());
        }
        // A copy, so that one dead letter does not keep the whole snapshot in memory.
        let message = compact::decode(Bytes::copy_from_slice(&buf.split_to(length)))?;
        let about = About::of(&message, appended);
        match flags & EDITED {
            0 => (Body::Kept(message), about),
            _ => (Body::Edited(message), about),
        }
    };
    Ok(Dead {
        body,
        about,
        reason,
        fingerprint: Fingerprint::of(reason, &error),
        error: error.into(),
        attempts,
        since,
        hold: flags & HOLD != 0,
        rejections,
        redriven: flags & REDRIVEN != 0,
    })
}

#[cfg(test)]
mod tests;
