//! The tables as bytes, so that opening a log need not replay it from its first frame.
//!
//! ```text
//! version u8 = 2; varint next
//! varint count of subscriptions, each:
//!   text name; types; varint low; varint lag
//!   varint count of ranges, each: varint first, varint last
//!   varint count of open retries, each: varint position, varint attempts, i64 due
//!   varint count of dead letters, each: varint position, text reason, text error,
//!     varint attempts, varint rejections, i64 since, i64 appended, u8 flags;
//!     with the flag ENTRY: text type, u8 1 and text key, or 0; else: varint length, message
//! varint count of ids, oldest first, each: u64 id, u32 content, varint position less the one before
//! varint count of values, each: varint subscription, text key, varint length, value
//! varint count of timers, soonest first, each: varint subscription, text key, text name, i64 due,
//!   varint length, message
//! varint count of senders, each: text sender, varint number, varint first, u64 content
//! ```
//!
//! Version 1 ends with the ids, each: u128 id, u64 content, u64 position, of which the low halves of
//! the first two count.

mod schedule;

use std::collections::BTreeMap;
use std::io;

use bytes::{Buf, BufMut, Bytes};
use hence_core::codec::compact::{self, get_text, get_varint, put_text, put_varint};
use hence_core::dead_letter::Fingerprint;
use hence_core::error::{Code, Result};

use crate::dead_letters::{About, Body, Dead};
use crate::dedup::{Ids, Known};
use crate::keyed::Keyed;
use crate::op::{
    Subscribed, damaged, get_named, get_reason, get_sent, get_time, get_timer_id, get_types,
    get_u32, put_named, put_sent, put_timer_id, put_types,
};
use crate::planted::is_planted;
use crate::senders::Senders;
use crate::settled::Settled;
use crate::state::State;
use crate::subscription::{Subscription, Tried};
use crate::timers::{Timer, TimerId, Timers};

pub use schedule::{SNAPSHOT_BYTES, SNAPSHOT_FRAMES, SNAPSHOT_INTERVAL_MIN};
pub(crate) use schedule::{Schedule, store};

/// Bytes after which a piece of a snapshot is handed over to the disk.
const PIECE_BYTES: usize = 64 << 10;
const VERSION: u8 = 2;
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
    known: Ids,
    keyed: Keyed,
    timers: Timers,
    senders: Senders,
}

impl Frozen {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            next: state.next,
            subscriptions: state.subscriptions().to_vec(),
            known: match is_planted("dedup-lost-at-snapshot") {
                true => Ids::default(),
                false => state.dedup.ids().clone(),
            },
            keyed: match is_planted("keyed-lost-at-snapshot") {
                true => Keyed::default(),
                false => state.keyed.clone(),
            },
            timers: match is_planted("timers-lost-at-snapshot") {
                true => Timers::default(),
                false => state.timers.clone(),
            },
            senders: state.senders.clone(),
        }
    }

    /// Writes it piece by piece, so that it is not in memory a second time.
    pub(crate) fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut piece = vec![VERSION];
        put_varint(&mut piece, self.next);
        put_varint(&mut piece, self.subscriptions.len() as u64);
        for subscription in &self.subscriptions {
            put_subscription(&mut piece, subscription);
            hand_over(&mut piece, out)?;
        }
        put_varint(&mut piece, self.known.len() as u64);
        let mut before = 0;
        for (id, known) in self.known.iter() {
            piece.put_u64_le(id);
            piece.put_u32_le(known.content);
            put_varint(&mut piece, known.position - before);
            before = known.position;
            hand_over(&mut piece, out)?;
        }
        put_varint(&mut piece, self.keyed.room().entries as u64);
        for (subscription, key, value) in self.keyed.iter() {
            put_keyed(&mut piece, (subscription, key, value));
            hand_over(&mut piece, out)?;
        }
        put_varint(&mut piece, self.timers.room().entries as u64);
        for (id, timer) in self.timers.iter() {
            put_timer(&mut piece, id, timer);
            hand_over(&mut piece, out)?;
        }
        put_varint(&mut piece, self.senders.len() as u64);
        for (sender, sent) in self.senders.iter() {
            put_sent(&mut piece, sender, sent);
            hand_over(&mut piece, out)?;
        }
        out.write_all(&piece)
    }
}

/// Hands a piece over that is large enough, and begins the next one.
fn hand_over(piece: &mut Vec<u8>, out: &mut dyn io::Write) -> io::Result<()> {
    if piece.len() >= PIECE_BYTES {
        out.write_all(piece)?;
        piece.clear();
    }
    Ok(())
}

/// Brings back the tables that were frozen.
pub(crate) fn thaw(mut bytes: Bytes, dedup_events: usize) -> Result<State> {
    let buf = &mut bytes;
    let version = buf.try_get_u8().map_err(|_| damaged())?;
    if !(1..=VERSION).contains(&version) {
        return Err(Code::FORMAT.error(format!("snapshot of version {version}")));
    }
    let mut state = State::new(dedup_events);
    state.next = get_varint(buf)?;
    for _ in 0..get_varint(buf)? {
        state.restore(get_subscription(buf)?);
    }
    if version == 1 {
        get_ids_of_version_1(buf, &mut state)?;
    } else {
        get_ids(buf, &mut state)?;
        get_keyed(buf, &mut state)?;
        get_timers(buf, &mut state)?;
        get_senders(buf, &mut state)?;
    }
    // Positions that a crash gave up count as events here: then more is looked through than need be.
    if (state.dedup.ids().len() as u64) < state.next.saturating_sub(1) {
        state.dedup.lacks_some();
    }
    if bytes.is_empty() {
        Ok(state)
    } else {
        Err(damaged())
    }
}

fn get_ids_of_version_1(buf: &mut Bytes, state: &mut State) -> Result<()> {
    for _ in 0..get_varint(buf)? {
        let id = buf.try_get_u64_le().map_err(|_| damaged())?;
        buf.try_get_u64_le().map_err(|_| damaged())?;
        let content = buf.try_get_u32_le().map_err(|_| damaged())?;
        buf.try_get_u32_le().map_err(|_| damaged())?;
        let position = buf.try_get_u64_le().map_err(|_| damaged())?;
        state.dedup.insert(id, Known { position, content });
    }
    Ok(())
}

fn get_ids(buf: &mut Bytes, state: &mut State) -> Result<()> {
    let mut position = 0_u64;
    for _ in 0..get_varint(buf)? {
        let id = buf.try_get_u64_le().map_err(|_| damaged())?;
        let content = buf.try_get_u32_le().map_err(|_| damaged())?;
        position = position.checked_add(get_varint(buf)?).ok_or_else(damaged)?;
        state.dedup.insert(id, Known { position, content });
    }
    Ok(())
}

fn put_keyed(out: &mut Vec<u8>, (subscription, key, value): (u32, &str, &Bytes)) {
    put_varint(out, u64::from(subscription));
    put_text(out, key);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn get_keyed(buf: &mut Bytes, state: &mut State) -> Result<()> {
    for _ in 0..get_varint(buf)? {
        let (subscription, key) = (get_u32(buf)?, get_text(buf)?);
        let value = get_part(buf)?;
        state.keyed.set(subscription, &key, Some(value));
    }
    Ok(())
}

fn put_timer(out: &mut Vec<u8>, id: &TimerId, timer: &Timer) {
    put_varint(out, u64::from(id.subscription));
    put_timer_id(out, id);
    out.put_i64_le(timer.due.as_micros());
    put_message(out, &timer.message);
}

fn get_timers(buf: &mut Bytes, state: &mut State) -> Result<()> {
    for _ in 0..get_varint(buf)? {
        let subscription = get_u32(buf)?;
        let id = get_timer_id(subscription, buf)?;
        let due = get_time(buf)?;
        let message = compact::decode(get_part(buf)?)?;
        state.timers.set(id, Timer { due, message });
    }
    Ok(())
}

fn get_senders(buf: &mut Bytes, state: &mut State) -> Result<()> {
    for _ in 0..get_varint(buf)? {
        let (sender, sent) = get_sent(buf)?;
        state.senders.set(&sender, sent);
    }
    Ok(())
}

fn put_message(out: &mut Vec<u8>, message: &hence_core::Message) {
    let mut bytes = Vec::new();
    compact::encode(message, &mut bytes);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
}

/// A part with its length before it; a copy, so that it does not keep the whole snapshot in memory.
fn get_part(buf: &mut Bytes) -> Result<Bytes> {
    let length = usize::try_from(get_varint(buf)?).map_err(|_| damaged())?;
    if buf.len() < length {
        return Err(damaged());
    }
    Ok(Bytes::copy_from_slice(&buf.split_to(length)))
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
    let mut dead = Vec::new();
    for _ in 0..get_varint(buf)? {
        dead.push((get_varint(buf)?, get_dead(buf)?));
    }
    let mut found = Subscription::new(&Subscribed {
        subscription: 0,
        name,
        types,
        low,
        lag,
    });
    found.settled = Settled::of(low, ranges);
    found.tried = tried;
    Ok(found.with_dead(dead))
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
        Some(message) => put_message(out, message),
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
        let message = compact::decode(get_part(buf)?)?;
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
