//! `Op`: one change of the state, and its bytes in a journal.
//!
//! ```text
//! kind 0 append       tag of the type    the compact form of the message
//!      1 ended        subscription       varints position, after, attempt, microseconds;
//!                                        u8 0 done
//!                                           1 retry: i64 due, text error
//!                                           2 reject: text reason, text error, u8 hold,
//!                                              i64 appended, the compact form of the message
//!                                           3 expired: i64 at
//!                                           4 reject: text reason, text error, u8 hold,
//!                                              i64 appended, text type, u8 1 and text key, or 0
//!                                           5 skipped: text why, varint by
//!      2 redriven     subscription       varint position
//!      3 subscribed   subscription       text name; varint count, each type: text, varint since;
//!                                        varint low, varint lag
//!      8 discarded    subscription       varint position, text reason
//!      9 edited       subscription       varint position, the compact form of the copy
//!      4 keyed        subscription       text key; u8 0 removed, 1 written: the value
//!      5 timer set    subscription       text key, text name; i64 due, the message's compact form
//!      6 timer ended  subscription       text key, text name
//!      7 sent         0                  text sender; varint number, varint first; u64 content
//! ```
//!
//! A reject of form 2 was written until the log's entry became the dead letter's; it is read for ever.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use hence_core::codec::compact::{self, get_text, get_varint, put_text, put_varint};
use hence_core::delivery::RejectReason;
use hence_core::error::{Code, Error, Result};
use hence_core::flow::Skip;
use hence_core::message::Message;
use hence_core::time::Timestamp;

use crate::dead_letters::About;
use crate::identity::{Append, IdentityKey};
use crate::senders::Sent;
use crate::timers::{Timer, TimerId};

/// The kind of an append; the only one that takes a position.
pub(crate) const APPEND: u8 = 0;
/// The kind of an attempt that ended.
pub(crate) const ENDED: u8 = 1;
const REDRIVEN: u8 = 2;
const SUBSCRIBED: u8 = 3;
/// The kind of a dead letter that was given up.
pub(crate) const DISCARDED: u8 = 8;
const EDITED: u8 = 9;
const KEYED: u8 = 4;
const TIMER_SET: u8 = 5;
const TIMER_ENDED: u8 = 6;
const SENT: u8 = 7;

/// One change of the state.
#[derive(Debug)]
pub(crate) enum Op {
    /// A message takes the next position.
    Append(Append),
    /// An attempt ended.
    Ended(Ended),
    /// A dead letter is sent again.
    Redriven { subscription: u32, position: u64 },
    /// A subscription begins, or takes other types.
    Subscribed(Subscribed),
    /// A dead letter is given up for good.
    Discarded(Discarded),
    /// A dead letter is sent again as an edited copy.
    Edited(Edited),
    /// The value of a key is replaced or removed.
    Keyed {
        subscription: u32,
        key: String,
        value: Option<Bytes>,
    },
    /// A timer is set.
    TimerSet(Box<(TimerId, Timer)>),
    /// A timer has fired or is cancelled.
    TimerEnded(TimerId),
    /// A sender is as far as this.
    Sent { sender: String, sent: Sent },
}

/// A dead letter that is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Discarded {
    pub(crate) subscription: u32,
    pub(crate) position: u64,
    pub(crate) reason: String,
}

/// A dead letter whose place an edited copy takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) subscription: u32,
    pub(crate) position: u64,
    pub(crate) message: Message,
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) subscription: u32,
    pub(crate) position: u64,
    /// Nothing is open between here and `position`.
    pub(crate) after: u64,
    pub(crate) attempt: u32,
    pub(crate) ran: Duration,
    pub(crate) how: How,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Done,
    Retry {
        due: Timestamp,
        error: String,
    },
    Reject(Box<Rejected>),
    Expired {
        at: Timestamp,
    },
    /// In favour of the message at this position, or of none.
    Skipped {
        why: Skip,
        by: Option<u64>,
    },
}

/// A message on its way to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) reason: RejectReason,
    pub(crate) error: String,
    pub(crate) hold: bool,
    pub(crate) about: About,
    /// Where no entry of a log will have it.
    pub(crate) message: Option<Message>,
}

/// A subscription as it begins or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) subscription: u32,
    pub(crate) name: String,
    pub(crate) types: Vec<Taken>,
    /// Everything up to here counts as settled; only for a new one.
    pub(crate) low: u64,
    /// Open messages at that time.
    pub(crate) lag: u64,
}

/// A type that a subscription takes, from a position on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) tag: u32,
    pub(crate) since: u64,
}

impl Op {
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Append(_) => APPEND,
            Self::Ended(_) => ENDED,
            Self::Redriven { .. } => REDRIVEN,
            Self::Subscribed(_) => SUBSCRIBED,
            Self::Discarded(_) => DISCARDED,
            Self::Edited(_) => EDITED,
            Self::Keyed { .. } => KEYED,
            Self::TimerSet(_) => TIMER_SET,
            Self::TimerEnded(_) => TIMER_ENDED,
            Self::Sent { .. } => SENT,
        }
    }

    pub(crate) fn tag(&self) -> u32 {
        match self {
            Self::Append(append) => append.tag,
            Self::Ended(ended) => ended.subscription,
            Self::Redriven { subscription, .. } | Self::Keyed { subscription, .. } => *subscription,
            Self::Subscribed(subscribed) => subscribed.subscription,
            Self::Discarded(discarded) => discarded.subscription,
            Self::Edited(edited) => edited.subscription,
            Self::TimerSet(set) => set.0.subscription,
            Self::TimerEnded(id) => id.subscription,
            Self::Sent { .. } => 0,
        }
    }

    /// Appends the bytes that a journal stores.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Append(append) => compact::encode(&append.message, out),
            Self::Ended(ended) => ended.encode(out),
            Self::Redriven { position, .. } => put_varint(out, *position),
            Self::Subscribed(subscribed) => subscribed.encode(out),
            Self::Discarded(Discarded {
                position, reason, ..
            }) => {
                put_varint(out, *position);
                put_text(out, reason);
            }
            Self::Edited(Edited {
                position, message, ..
            }) => {
                put_varint(out, *position);
                compact::encode(message, out);
            }
            Self::Keyed { key, value, .. } => {
                put_text(out, key);
                out.put_u8(u8::from(value.is_some()));
                out.put_slice(value.as_ref().map_or(&[], |value| value));
            }
            Self::TimerSet(set) => {
                let (id, timer) = &**set;
                put_timer_id(out, id);
                out.put_i64_le(timer.due.as_micros());
                compact::encode(&timer.message, out);
            }
            Self::TimerEnded(id) => put_timer_id(out, id),
            Self::Sent { sender, sent } => put_sent(out, sender, *sent),
        }
    }

    /// Reads what [`Op::encode`] wrote.
    pub(crate) fn decode(key: IdentityKey, kind: u8, tag: u32, mut body: Bytes) -> Result<Self> {
        match kind {
            APPEND => {
                let message = compact::decode(body)?;
                Ok(Self::Append(Append::new(key, message)))
            }
            ENDED => Ended::decode(tag, &mut body).map(Self::Ended),
            REDRIVEN => Ok(Self::Redriven {
                subscription: tag,
                position: get_varint(&mut body)?,
            }),
            SUBSCRIBED => Subscribed::decode(tag, &mut body).map(Self::Subscribed),
            DISCARDED => Discarded::decode(tag, &mut body).map(Self::Discarded),
            EDITED => Ok(Self::Edited(Edited {
                subscription: tag,
                position: get_varint(&mut body)?,
                message: compact::decode(body)?,
            })),
            KEYED => {
                let key = get_text(&mut body)?;
                let written = body.try_get_u8().map_err(|_| damaged())? != 0;
                Ok(Self::Keyed {
                    subscription: tag,
                    key,
                    // A copy, so that a value does not keep its whole frame in memory.
                    value: written.then(|| Bytes::copy_from_slice(&body)),
                })
            }
            TIMER_SET => {
                let id = get_timer_id(tag, &mut body)?;
                let due = get_time(&mut body)?;
                let message = compact::decode(Bytes::copy_from_slice(&body))?;
                Ok(Self::TimerSet(Box::new((id, Timer { due, message }))))
            }
            TIMER_ENDED => get_timer_id(tag, &mut body).map(Self::TimerEnded),
            SENT => {
                let (sender, sent) = get_sent(&mut body)?;
                Ok(Self::Sent { sender, sent })
            }
            _ => Err(Code::FORMAT.error(format!("operation of kind {kind}"))),
        }
    }
}

impl Discarded {
    pub(crate) fn decode(subscription: u32, body: &mut Bytes) -> Result<Self> {
        Ok(Self {
            subscription,
            position: get_varint(body)?,
            reason: get_text(body)?,
        })
    }
}

impl Ended {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.position);
        put_varint(out, self.after);
        put_varint(out, u64::from(self.attempt));
        put_varint(out, u64::try_from(self.ran.as_micros()).unwrap_or(u64::MAX));
        match &self.how {
            How::Done => out.put_u8(0),
            How::Retry { due, error } => {
                out.put_u8(1);
                out.put_i64_le(due.as_micros());
                put_text(out, error);
            }
            How::Reject(rejected) => {
                out.put_u8(4);
                put_text(out, rejected.reason.as_str());
                put_text(out, &rejected.error);
                out.put_u8(u8::from(rejected.hold));
                out.put_i64_le(rejected.about.appended.as_micros());
                put_named(out, &rejected.about);
            }
            How::Expired { at } => {
                out.put_u8(3);
                out.put_i64_le(at.as_micros());
            }
            How::Skipped { why, by } => {
                out.put_u8(5);
                put_text(out, why.as_str());
                put_varint(out, by.unwrap_or(0));
            }
        }
    }

    pub(crate) fn decode(subscription: u32, body: &mut Bytes) -> Result<Self> {
        let (position, after) = (get_varint(body)?, get_varint(body)?);
        let attempt = get_u32(body)?;
        let ran = Duration::from_micros(get_varint(body)?);
        let how = match body.try_get_u8().map_err(|_| damaged())? {
            0 => How::Done,
            1 => How::Retry {
                due: get_time(body)?,
                error: get_text(body)?,
            },
            2 => {
                let (reason, error) = (get_reason(body)?, get_text(body)?);
                let hold = get_bool(body)?;
                let appended = get_time(body)?;
                let message = compact::decode(std::mem::take(body))?;
                How::Reject(Box::new(Rejected {
                    reason,
                    error,
                    hold,
                    about: About::of(&message, appended),
                    message: Some(message),
                }))
            }
            4 => {
                let (reason, error) = (get_reason(body)?, get_text(body)?);
                let (hold, appended) = (get_bool(body)?, get_time(body)?);
                How::Reject(Box::new(Rejected {
                    reason,
                    error,
                    hold,
                    about: get_named(body, appended)?,
                    message: None,
                }))
            }
            3 => How::Expired {
                at: get_time(body)?,
            },
            5 => How::Skipped {
                why: Skip::parse(&get_text(body)?).ok_or_else(damaged)?,
                by: Some(get_varint(body)?).filter(|by| *by > 0),
            },
            _ => return Err(damaged()),
        };
        Ok(Self {
            subscription,
            position,
            after,
            attempt,
            ran,
            how,
        })
    }
}

impl Subscribed {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, &self.name);
        put_types(out, &self.types);
        put_varint(out, self.low);
        put_varint(out, self.lag);
    }

    fn decode(subscription: u32, body: &mut Bytes) -> Result<Self> {
        Ok(Self {
            subscription,
            name: get_text(body)?,
            types: get_types(body)?,
            low: get_varint(body)?,
            lag: get_varint(body)?,
        })
    }
}

pub(crate) fn put_timer_id(out: &mut Vec<u8>, id: &TimerId) {
    put_text(out, &id.key);
    put_text(out, &id.name);
}

pub(crate) fn get_timer_id(subscription: u32, body: &mut Bytes) -> Result<TimerId> {
    Ok(TimerId {
        subscription,
        key: get_text(body)?,
        name: get_text(body)?,
    })
}

pub(crate) fn put_sent(out: &mut Vec<u8>, sender: &str, sent: Sent) {
    put_text(out, sender);
    put_varint(out, sent.number);
    put_varint(out, sent.first);
    out.put_u64_le(sent.content);
}

pub(crate) fn get_sent(body: &mut Bytes) -> Result<(String, Sent)> {
    let sender = get_text(body)?;
    let sent = Sent {
        number: get_varint(body)?,
        first: get_varint(body)?,
        content: body.try_get_u64_le().map_err(|_| damaged())?,
    };
    Ok((sender, sent))
}

pub(crate) fn put_types(out: &mut Vec<u8>, types: &[Taken]) {
    put_varint(out, types.len() as u64);
    for taken in types {
        put_text(out, &taken.name);
        put_varint(out, taken.since);
    }
}

pub(crate) fn get_types(body: &mut Bytes) -> Result<Vec<Taken>> {
    let mut types = Vec::new();
    for _ in 0..get_varint(body)? {
        let name = get_text(body)?;
        let (tag, since) = (crate::identity::tag(&name), get_varint(body)?);
        types.push(Taken { name, tag, since });
    }
    Ok(types)
}

pub(crate) fn get_reason(body: &mut Bytes) -> Result<RejectReason> {
    RejectReason::parse(&get_text(body)?).ok_or_else(damaged)
}

/// Type and key of a dead letter's message.
pub(crate) fn put_named(out: &mut Vec<u8>, about: &About) {
    put_text(out, &about.event_type);
    out.put_u8(u8::from(about.key.is_some()));
    if let Some(key) = &about.key {
        put_text(out, key);
    }
}

pub(crate) fn get_named(body: &mut Bytes, appended: Timestamp) -> Result<About> {
    let event_type = get_text(body)?.into();
    let key = get_bool(body)?.then(|| get_text(body)).transpose()?;
    Ok(About {
        event_type,
        key: key.map(Into::into),
        appended,
    })
}

fn get_bool(body: &mut Bytes) -> Result<bool> {
    Ok(body.try_get_u8().map_err(|_| damaged())? != 0)
}

pub(crate) fn get_time(body: &mut Bytes) -> Result<Timestamp> {
    let micros = body.try_get_i64_le().map_err(|_| damaged())?;
    Ok(Timestamp::from_micros(micros))
}

pub(crate) fn get_u32(body: &mut Bytes) -> Result<u32> {
    u32::try_from(get_varint(body)?).map_err(|_| damaged())
}

pub(crate) fn damaged() -> Error {
    Code::CORRUPT.error("a stored operation does not have the form of one")
}

#[cfg(test)]
mod tests;
