//! Dead letters through a [`Bus`]: seen one by one and by cause, sent again as they are or edited,
//! and given up.

use std::collections::HashMap;

use bytes::Bytes;
use hence_core::dead_letter::{PAGE_LETTERS_MAX, Place, cause};
use hence_core::envelope::{CAUSATION, CORRELATION};
use hence_core::notice::{DeadLetterDiscarded, DeadLetterEdited};
use hence_core::{
    Attributes, Code, Commit, DeadLetter, DeadLetterQuery, Discard, Draft, Edit, Event,
    Fingerprint, Message, Position, RejectReason, Result, Timestamp,
};

use crate::{Bus, id};

/// The most causes that are told apart at a time.
pub const GROUPS_MAX: usize = 1_000;
/// The most dead letters of one frozen set.
pub const FROZEN_LETTERS_MAX: usize = 100_000;

/// Dead letters of one subscription and one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetterGroup {
    /// Whose they are.
    pub subscription: String,
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// Why they are there.
    pub reason: RejectReason,
    /// The error, without what differs from one to the next.
    pub cause: String,
    /// How many there are.
    pub count: u64,
    /// When the first of them came.
    pub first: Timestamp,
    /// When the last of them came.
    pub last: Timestamp,
    /// The id of the first.
    pub sample: String,
}

/// The dead letters that a query found at one moment. Whatever comes later is not among them, so
/// that who acts on them acts on what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frozen {
    /// Their ids, in the order of their positions within each subscription.
    pub ids: Vec<String>,
    /// Up to which place they were looked for: with this as [`DeadLetterQuery::upto`] the same
    /// query finds the same ones, but for those that are gone.
    pub upto: Option<Place>,
    /// Whether there were more than [`FROZEN_LETTERS_MAX`].
    pub more: bool,
}

/// # Dead letters
impl Bus {
    /// Some dead letters, oldest first and without their bytes; the next ones are found with
    /// [`DeadLetterQuery::after`].
    ///
    /// # Errors
    /// `HN0211` for an unknown subscription, `HN0203` when the engine is closed.
    pub async fn dead_letters(&self, wanted: &DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        self.engine().dead_letters(wanted).await
    }

    /// One dead letter, with its message.
    ///
    /// # Errors
    /// `HN0211` when there is none.
    pub async fn dead_letter(&self, id: &str) -> Result<(DeadLetter, Message)> {
        self.engine().dead_letter(id).await
    }

    /// Calls `each` with every dead letter that a query finds, until it says that it has enough.
    async fn each_dead_letter(
        &self,
        mut wanted: DeadLetterQuery,
        mut each: impl FnMut(DeadLetter) -> bool,
    ) -> Result<()> {
        wanted.limit = PAGE_LETTERS_MAX;
        loop {
            let page = self.dead_letters(&wanted).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            wanted.after = Some(last.place());
            for letter in page {
                if !each(letter) {
                    return Ok(());
                }
            }
        }
    }

    /// The dead letters that a query finds by their causes, those that came first in front; and how
    /// many there are beyond the [`GROUPS_MAX`] causes that are told apart.
    ///
    /// # Errors
    /// As [`Bus::dead_letters`].
    pub async fn dead_letter_groups(
        &self,
        wanted: DeadLetterQuery,
    ) -> Result<(Vec<DeadLetterGroup>, u64)> {
        let (mut groups, mut rest) = (Vec::<DeadLetterGroup>::new(), 0);
        let mut known = HashMap::new();
        self.each_dead_letter(wanted, |letter| {
            let fingerprint = letter.fingerprint();
            let at = known.entry((letter.subscription.clone(), fingerprint));
            let at = *at.or_insert(groups.len());
            match groups.get_mut(at) {
                Some(group) => {
                    group.count += 1;
                    group.last = letter.since;
                }
                None if at < GROUPS_MAX => groups.push(DeadLetterGroup {
                    fingerprint,
                    reason: letter.reason,
                    cause: cause(&letter.error),
                    count: 1,
                    first: letter.since,
                    last: letter.since,
                    subscription: letter.subscription,
                    sample: letter.id,
                }),
                None => {
                    known.remove(&(letter.subscription, fingerprint));
                    rest += 1;
                }
            }
            true
        })
        .await?;
        Ok((groups, rest))
    }

    /// The dead letters that a query finds now.
    ///
    /// # Errors
    /// As [`Bus::dead_letters`].
    pub async fn freeze_dead_letters(&self, wanted: DeadLetterQuery) -> Result<Frozen> {
        let mut found: Vec<(String, Position, String)> = Vec::new();
        let mut frozen = Frozen::default();
        self.each_dead_letter(wanted, |letter| {
            if found.len() == FROZEN_LETTERS_MAX {
                frozen.more = true;
                return false;
            }
            frozen.upto = Some(letter.place());
            found.push((letter.subscription, letter.position, letter.id));
            true
        })
        .await?;
        found.sort_unstable();
        frozen.ids = found.into_iter().map(|(_, _, id)| id).collect();
        Ok(frozen)
    }

    /// Gives dead letters up for good: later events of their keys go on. For each an event of type
    /// `hence.deadletter.discarded` is published in the same commit. It is safe to ask twice, and
    /// one that was handled meanwhile is passed over.
    ///
    /// # Errors
    /// `HN0211` when one of them names no dead letter; then none is given up.
    pub async fn discard(&self, ids: &[String], reason: &str) -> Result<()> {
        let mut commit = Commit {
            durability: self.engine().capability().strongest(),
            ..Commit::default()
        };
        for id in ids {
            match self.dead_letter(id).await {
                Ok((letter, message)) => {
                    let notice = DeadLetterDiscarded {
                        subscription: letter.subscription,
                        letter: id.clone(),
                        event: message.attributes().id().to_owned(),
                        reason: reason.to_owned(),
                    };
                    let about = format!("{id}.discarded");
                    commit.publish.push(self.notice(&about, &notice)?);
                }
                // The engine knows whether there ever was one.
                Err(error) if error.code() == Code::NOT_FOUND => {}
                Err(error) => return Err(error),
            }
            commit.discard.push(Discard {
                id: id.clone(),
                reason: reason.to_owned(),
            });
        }
        match self.engine().commit(commit).await {
            // Somebody else gave the same one up at this moment, with another reason.
            Err(error) if error.code() == Code::DUPLICATE => Ok(()),
            committed => committed.map(drop),
        }
    }

    /// Sends a dead letter again with other data: a copy with an id of its own, caused by the
    /// original, takes its place in the order of its key. The other subscriptions of the event do
    /// not see it. An event of type `hence.deadletter.edited` is published in the same commit. It is
    /// safe to ask twice.
    ///
    /// # Errors
    /// `HN0211` when there is no such dead letter; `HN0105` when the data does not decode; `HN0216` when it is on its way again, or the data
    /// belongs to another key.
    pub async fn redrive_edited(&self, id: &str, data: Bytes) -> Result<Message> {
        let (letter, message) = self.dead_letter(id).await?;
        if letter.edited && letter.redriven && message.data() == Some(&data) {
            return Ok(message);
        }
        let cause = message.attributes();
        let (event_type, version) = (cause.event_type(), cause.data_version());
        // A publisher may have given a key that is not the one in the data.
        let before = message.data().map_or(&[][..], |data| data);
        let before = self.key_of(event_type, version, before);
        let before = before.as_deref().or(cause.key());
        if let Some(key) = self.checked_key(event_type, version, &data)?
            && Some(&*key) != before
        {
            let detail = format!(
                "dead letter '{id}' cannot be edited so: the data has the key '{key}', and would \
                 leave its place"
            );
            return Err(Code::EDIT.error(detail));
        }
        let copy = id::edited(cause, &letter.subscription, &data);
        let mut attributes = Attributes::new(&*copy, self.source(), cause.event_type())?;
        attributes.set_time(Timestamp::now());
        if let Some(subject) = cause.subject() {
            attributes.set("subject", subject)?;
        }
        for name in ["datacontenttype", "dataschema"] {
            let value = match name {
                "dataschema" => cause.dataschema(),
                _ => cause.datacontenttype(),
            };
            if let Some(value) = value {
                attributes.set(name, value)?;
            }
        }
        for (name, value) in cause.extensions() {
            attributes.set(name, value.clone())?;
        }
        attributes.set(CAUSATION, cause.id())?;
        attributes.set(CORRELATION, cause.correlation_id().unwrap_or(cause.id()))?;
        let copied = Message::new(attributes, Some(data));
        let notice = DeadLetterEdited {
            subscription: letter.subscription,
            letter: id.to_owned(),
            event: cause.id().to_owned(),
            copy: copy.clone(),
        };
        let commit = Commit {
            edit: vec![Edit {
                id: id.to_owned(),
                message: copied.clone(),
            }],
            publish: vec![self.notice(&format!("{copy}.edited"), &notice)?],
            durability: self.engine().capability().strongest(),
            ..Commit::default()
        };
        self.engine().commit(commit).await?;
        Ok(copied)
    }

    /// What Hence itself says of a dead letter, under an id that is the same however often.
    fn notice(&self, id: &str, event: &impl Event) -> Result<Message> {
        let draft = Draft::of(event)?;
        let mut attributes = Attributes::new(id, self.source(), draft.event_type)?;
        attributes.set_time(Timestamp::now());
        attributes.set("datacontenttype", "application/json")?;
        if let Some(key) = draft.key {
            attributes.set(hence_core::envelope::KEY, key)?;
        }
        Ok(Message::new(attributes, Some(draft.data)))
    }
}
