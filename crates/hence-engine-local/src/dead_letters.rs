//! `Dead`: a message that a subscription could not handle, kept with its cause.
//!
//! Its bytes stay in the entry of the log where they were published, which retention leaves alone as
//! long as a dead letter needs it; so a dead letter costs memory for its texts only. In `memory:`,
//! where entries go once they are settled, it holds on to the message itself.

use std::collections::BTreeMap;

use hence_core::dead_letter::{
    DeadLetter, DeadLetterQuery, Edit, Fingerprint, PAGE_BYTES_MAX, PAGE_LETTERS_MAX, Place,
};
use hence_core::delivery::{Position, RejectReason};
use hence_core::error::{Code, Error, Result};
use hence_core::message::Message;
use hence_core::time::Timestamp;

use crate::state::State;
use crate::subscription::Subscription;

/// The longest text of an error or a reason that is kept, in bytes.
pub const ERROR_BYTES_MAX: usize = 4096;
/// Memory for edited copies that are not settled, of one engine.
pub const EDITED_BYTES_MAX: usize = 16 << 20;

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) body: Body,
    pub(crate) about: About,
    pub(crate) reason: RejectReason,
    pub(crate) error: Box<str>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) attempts: u32,
    pub(crate) since: Timestamp,
    pub(crate) hold: bool,
    /// How often it came here.
    pub(crate) rejections: u32,
    /// Sent again and not settled yet.
    pub(crate) redriven: bool,
}

/// Where the message of a dead letter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// In the log, at its position.
    Entry,
    /// Here: in `memory:`, and where a former version let its entry go.
    Kept(Message),
    /// Here, because it was edited.
    Edited(Message),
}

/// What is known of a dead letter's message without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) event_type: Box<str>,
    pub(crate) key: Option<Box<str>>,
    /// When the message was taken.
    pub(crate) appended: Timestamp,
}

impl About {
    pub(crate) fn of(message: &Message, appended: Timestamp) -> Self {
        let attributes = message.attributes();
        Self {
            event_type: attributes.event_type().into(),
            key: attributes.key().map(Into::into),
            appended,
        }
    }
}

impl Dead {
    /// The message, unless it has to be read from the log.
    pub(crate) fn message(&self) -> Option<&Message> {
        match &self.body {
            Body::Entry => None,
            Body::Kept(message) | Body::Edited(message) => Some(message),
        }
    }

    fn to_letter(&self, subscription: &str, position: u64) -> DeadLetter {
        DeadLetter {
            id: id(subscription, position),
            subscription: subscription.to_owned(),
            position: Position(position),
            event_type: self.about.event_type.to_string(),
            key: self.key(),
            reason: self.reason,
            error: self.error.to_string(),
            attempts: self.attempts,
            since: self.since,
            hold: self.hold,
            redriven: self.redriven,
            edited: matches!(self.body, Body::Edited(_)),
        }
    }

    pub(crate) fn key(&self) -> Option<String> {
        self.about.key.as_deref().map(str::to_owned)
    }

    /// Memory that it takes because it was edited.
    pub(crate) fn edited_bytes(&self) -> usize {
        match &self.body {
            Body::Edited(message) => message.footprint(),
            Body::Entry | Body::Kept(_) => 0,
        }
    }

    /// Whether a query asks for it, but for its place.
    fn is_wanted(&self, query: &DeadLetterQuery) -> bool {
        let DeadLetterQuery {
            event_type,
            key,
            fingerprint,
            redriven,
            since,
            until,
            ..
        } = query;
        event_type
            .as_deref()
            .is_none_or(|wanted| wanted == &*self.about.event_type)
            && (key.is_none() || key.as_deref() == self.about.key.as_deref())
            && fingerprint.is_none_or(|wanted| wanted == self.fingerprint)
            && redriven.is_none_or(|wanted| wanted == self.redriven)
            && since.is_none_or(|since| self.since >= since)
            && until.is_none_or(|until| self.since < until)
    }
}

impl State {
    /// Some dead letters, oldest first.
    pub(crate) fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        let one = query.subscription.as_deref().map(|name| self.named(name));
        let one = one.transpose()?.map(|(_, subscription)| subscription);
        let asked = match one {
            Some(subscription) => std::slice::from_ref(subscription),
            None => self.subscriptions(),
        };
        let place = |place: &Place| (place.since, place.position.0, place.subscription.clone());
        let (after, upto) = (
            query.after.as_ref().map(place),
            query.upto.as_ref().map(place),
        );
        let mut found = Vec::new();
        for Subscription { name, dead, .. } in asked {
            let is_behind = |place: &Option<(Timestamp, u64, String)>, since, position| {
                let place = place
                    .as_ref()
                    .map(|(at, place, of)| (*at, *place, of.as_str()));
                place.map(|place| (since, position, name.as_str()) > place)
            };
            let wanted = dead.iter().filter(|(position, dead)| {
                dead.is_wanted(query)
                    && is_behind(&after, dead.since, **position) != Some(false)
                    && is_behind(&upto, dead.since, **position) != Some(true)
            });
            found.extend(wanted.map(|(position, dead)| (dead.since, *position, name, dead)));
        }
        let order = |a: &(Timestamp, u64, &String, &Dead), b: &(Timestamp, u64, &String, &Dead)| {
            (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2))
        };
        let limit = query.limit.min(PAGE_LETTERS_MAX);
        if (1..found.len()).contains(&limit) {
            found.select_nth_unstable_by(limit - 1, order);
        }
        found.truncate(limit);
        found.sort_unstable_by(order);
        let mut letters = Vec::with_capacity(found.len());
        let mut bytes = 0;
        for (_, position, name, dead) in found {
            let letter = dead.to_letter(name, position);
            bytes += letter.bytes();
            letters.push(letter);
            if bytes >= PAGE_BYTES_MAX {
                break;
            }
        }
        Ok(letters)
    }

    /// One dead letter, and its message unless that has to be read from the log.
    pub(crate) fn dead_letter(&self, id: &str) -> Result<(DeadLetter, Option<Message>)> {
        let (name, position) = parse(id)?;
        let (_, subscription) = self.named(name).map_err(|_| not_found(id))?;
        let dead = subscription
            .dead
            .get(&position)
            .ok_or_else(|| not_found(id))?;
        Ok((dead.to_letter(name, position), dead.message().cloned()))
    }

    /// The dead letters that later events of a subscription wait for, and the key of each.
    pub(crate) fn held(&self, id: u32) -> BTreeMap<Position, Option<String>> {
        let dead = self.subscription(id).map(|found| found.dead.iter());
        let held = dead.into_iter().flatten().filter(|(_, dead)| dead.hold);
        held.map(|(position, dead)| (Position(*position), dead.key()))
            .collect()
    }

    /// The oldest position whose entry a dead letter needs.
    pub(crate) fn oldest_needed(&self) -> Option<u64> {
        let needed = |found: &Subscription| {
            let mut dead = found.dead.iter();
            let first = dead.find(|(_, dead)| dead.body == Body::Entry);
            first.map(|(position, _)| *position)
        };
        self.subscriptions().iter().filter_map(needed).min()
    }

    /// Lets go of messages that the log has from this position on.
    pub(crate) fn lean_on_entries(&mut self, first: u64) {
        for subscription in self.subscriptions_mut() {
            for (_, dead) in subscription.dead.range_mut(first..) {
                if let Body::Kept(_) = dead.body {
                    dead.body = Body::Entry;
                }
            }
        }
    }

    /// Refuses an edited copy that cannot take the place of its dead letter; gives how much more
    /// memory it takes. `pending` is what others take that are decided and not stored yet.
    pub(crate) fn check_edit(&self, dead: &Dead, edit: &Edit, pending: usize) -> Result<usize> {
        let refused = |why: String| {
            let id = &edit.id;
            Err(Code::EDIT.error(format!("dead letter '{id}' cannot be edited so: {why}")))
        };
        let attributes = edit.message.attributes();
        if attributes.event_type() != &*dead.about.event_type {
            let (own, other) = (&dead.about.event_type, attributes.event_type());
            return refused(format!("its type is '{own}', and the copy's '{other}'"));
        }
        if attributes.key() != dead.about.key.as_deref() {
            return refused("the copy has another key, so it would leave its place".to_owned());
        }
        let subscriptions = self.subscriptions().iter();
        let edited: usize = subscriptions.map(Subscription::edited_bytes).sum();
        let footprint = edit.message.footprint();
        let bytes = edited - dead.edited_bytes() + pending + footprint;
        if bytes > EDITED_BYTES_MAX {
            return refused(format!(
                "edited copies that wait would take more than {EDITED_BYTES_MAX} bytes; let \
                 those be handled, or discard them"
            ));
        }
        Ok(footprint.saturating_sub(dead.edited_bytes()))
    }
}

/// The id of a dead letter.
fn id(subscription: &str, position: u64) -> String {
    format!("{subscription}.{position}")
}

/// The subscription and the position that an id names.
pub(crate) fn parse(id: &str) -> Result<(&str, u64)> {
    id.rsplit_once('.')
        .and_then(|(subscription, position)| {
            Some((subscription, position.parse::<Position>().ok()?.0))
        })
        .ok_or_else(|| not_found(id))
}

pub(crate) fn not_found(id: &str) -> Error {
    Code::NOT_FOUND.error(format!("there is no dead letter '{id}'"))
}

/// The beginning of a text, as much as is kept.
pub(crate) fn clip(mut error: String) -> String {
    if error.len() > ERROR_BYTES_MAX {
        let end = (0..=ERROR_BYTES_MAX)
            .rev()
            .find(|at| error.is_char_boundary(*at));
        error.truncate(end.unwrap_or(0));
    }
    error
}
