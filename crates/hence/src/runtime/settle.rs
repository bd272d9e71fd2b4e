//! From what a handler returned to one commit.

use std::sync::Arc;
use std::time::Duration;

use hence_core::commit::{Change, What};
use hence_core::emit::TimerDraft;
use hence_core::envelope::{CAUSATION, CORRELATION, DEPTH, KEY};
use hence_core::notice::{CycleStopped, EventQuarantined, RESERVED};
use hence_core::{
    AfterDeadLetter, Attributes, Commit, Delivery, Draft, Durability, Effects, Event, Message,
    Options, Outcome, Position, RejectReason, Result, Settlement, Skip, Timestamp, Value,
};

use super::clock::Clock;
use super::intake::Skipped;
use crate::id::Id;
use crate::{bus, id};

/// How a delivery is settled, before it is committed.
pub(crate) enum Verdict {
    /// The handler is done; this follows.
    Done(Effects),
    /// The attempt failed.
    Failed {
        after: Option<Duration>,
        error: String,
    },
    /// It goes to the dead letters without another attempt.
    Rejected { error: String },
    /// The delivery at this position does not decode; the handler was not called.
    Undecodable { position: Position, error: String },
    /// Its time is over; the handler was not called.
    Expired(Timestamp),
    /// By choice of the subscription no handler has done with it.
    Skipped { why: Skip, by: Option<Position> },
    /// There was too much; the handler was not called.
    Shed,
    /// Too many events caused one another before it; the handler was not called.
    Cycle(u32),
    /// It was with a handler at so many crashes in a row; the handler was not called again.
    Quarantined(u32),
}

/// Where settlements of one subscription come from.
pub(crate) struct Settler {
    pub(crate) subscription: Arc<str>,
    /// The source of what it publishes.
    pub(crate) source: String,
    pub(crate) options: Options,
    pub(crate) durability: Durability,
    pub(crate) clock: Clock,
}

impl Settler {
    /// Why a delivery is settled without a call.
    pub(crate) fn unfit(&self, delivery: &Delivery) -> Option<Verdict> {
        let attributes = delivery.message.attributes();
        let depth = attributes.causation_depth();
        if depth > self.options.causation_depth {
            return Some(Verdict::Cycle(depth));
        }
        let expires = attributes.expires()?;
        (expires < self.clock.now()).then_some(Verdict::Expired(expires))
    }

    /// A commit that says what happened to the subscription itself.
    ///
    /// # Errors
    /// `HN0104` when the event cannot be encoded.
    pub(crate) fn notice(&self, event: &impl Event) -> Result<Message> {
        notice(&self.source, &self.subscription, event)
    }

    /// What Hence itself says of a delivery that becomes a dead letter without its handler, if
    /// anything. Of what it says itself it says nothing more: that would have no end.
    fn warning(&self, delivery: &Delivery, verdict: &Verdict) -> Result<Option<Message>> {
        let attributes = delivery.message.attributes();
        if attributes.event_type().starts_with(RESERVED) {
            return Ok(None);
        }
        let subscription = self.subscription.to_string();
        let letter = format!("{subscription}.{}", delivery.position);
        let event = attributes.id().to_owned();
        match verdict {
            Verdict::Cycle(depth) => self.notice(&CycleStopped {
                subscription,
                letter,
                event,
                error: self.cycle(*depth),
            }),
            Verdict::Quarantined(crashes) => self.notice(&EventQuarantined {
                subscription,
                letter,
                event,
                error: quarantine(*crashes),
            }),
            _ => return Ok(None),
        }
        .map(Some)
    }

    fn cycle(&self, depth: u32) -> String {
        let limit = self.options.causation_depth;
        format!("{depth} events caused one another; the limit is {limit}")
    }

    /// One commit for deliveries that are skipped.
    pub(crate) fn skip(&self, skipped: &[Skipped]) -> Commit {
        let settle = skipped.iter().map(|skipped| Settlement {
            subscription: Arc::clone(&self.subscription),
            position: skipped.delivery.position,
            attempt: skipped.delivery.attempt,
            outcome: Outcome::Skipped {
                why: skipped.why,
                by: skipped.by,
            },
            ran: Duration::ZERO,
        });
        Commit {
            settle: settle.collect(),
            durability: self.durability,
            ..Commit::default()
        }
    }

    /// How deliveries are settled that are done, with nothing that follows.
    pub(crate) fn done(&self, delivery: &Delivery, ran: Duration) -> Settlement {
        Settlement {
            subscription: Arc::clone(&self.subscription),
            position: delivery.position,
            attempt: delivery.attempt,
            outcome: Outcome::Done,
            ran,
        }
    }

    /// One commit for all deliveries of a call: they settle together, or not at all. What failed
    /// waits so much longer than its back-off says.
    ///
    /// # Errors
    /// An event that the handler published breaks the rules of CloudEvents.
    pub(crate) fn commit(
        &self,
        deliveries: &[Delivery],
        verdict: Verdict,
        (ran, longer): (Duration, Duration),
    ) -> Result<Commit> {
        let mut commit = Commit {
            durability: self.durability,
            ..Commit::default()
        };
        let wait = self.wait(deliveries, &verdict);
        let due = self.clock.now().after(wait.saturating_add(longer));
        for delivery in deliveries {
            commit.publish.extend(self.warning(delivery, &verdict)?);
            commit.settle.push(Settlement {
                subscription: Arc::clone(&self.subscription),
                position: delivery.position,
                attempt: delivery.attempt,
                outcome: self.outcome(delivery, &verdict, due),
                ran,
            });
        }
        if let (Verdict::Done(effects), Some(cause)) = (verdict, deliveries.first()) {
            let cause = cause.message.attributes();
            let depth = cause.causation_depth().saturating_add(1);
            for (ordinal, draft) in effects.events.into_iter().enumerate() {
                let id = id::derived(cause, &self.subscription, ordinal);
                commit
                    .publish
                    .push(self.message(cause, (id, depth), draft)?);
            }
            if let Some(value) = effects.value {
                let what = value.map_or(What::Remove, What::Write);
                commit.change.push(self.change(cause, what));
            }
            for timer in effects.timers {
                let what = self.timer(cause, timer)?;
                commit.change.push(self.change(cause, what));
            }
        }
        Ok(commit)
    }

    /// What becomes of the state of the key of an event; without one there is no state.
    fn change(&self, cause: &Attributes, what: What) -> Change {
        Change {
            subscription: self.subscription.clone(),
            key: cause.key().unwrap_or_default().to_owned(),
            what,
        }
    }

    fn timer(&self, cause: &Attributes, timer: TimerDraft) -> Result<What> {
        let TimerDraft { name, set } = timer;
        let Some((due, draft)) = set else {
            return Ok(What::CancelTimer { name });
        };
        let key = draft.key.or_else(|| cause.key().map(str::to_owned));
        let id = id::of_timer(cause, &self.subscription, &name);
        // What happens in time is no loop that runs away: it is as deep as its cause.
        let depth = cause.causation_depth();
        let message = self.message(cause, (id, depth), Draft { key, ..draft })?;
        let message = Box::new(message.with_attributes(|all| {
            all.set_time(due);
            Ok(())
        })?);
        Ok(What::SetTimer { name, due, message })
    }

    fn outcome(&self, delivery: &Delivery, verdict: &Verdict, due: Timestamp) -> Outcome {
        let hold = self.options.after_dead_letter == AfterDeadLetter::Hold;
        match verdict {
            Verdict::Done(_) => Outcome::Done,
            Verdict::Expired(at) => Outcome::Expired { at: *at },
            Verdict::Skipped { why, by } => Outcome::Skipped { why: *why, by: *by },
            Verdict::Shed => {
                let error = "there was too much, and others were more urgent";
                rejected(RejectReason::Shed, error, hold)
            }
            Verdict::Cycle(depth) => rejected(RejectReason::Cycle, &self.cycle(*depth), hold),
            Verdict::Quarantined(crashes) => {
                rejected(RejectReason::Quarantined, &quarantine(*crashes), hold)
            }
            Verdict::Rejected { error } => rejected(RejectReason::Rejected, error, hold),
            Verdict::Undecodable { error, .. } => rejected(RejectReason::Undecodable, error, hold),
            Verdict::Failed { error, .. } if delivery.turn() >= self.options.retry.attempts => {
                rejected(RejectReason::RetriesExhausted, error, hold)
            }
            Verdict::Failed { error, .. } => Outcome::Retry {
                due,
                error: error.clone(),
            },
        }
    }

    /// How long a failed call waits for its next attempt: one wait for all of a batch, so that it
    /// stays together and in order.
    fn wait(&self, deliveries: &[Delivery], verdict: &Verdict) -> Duration {
        let Verdict::Failed { after, .. } = verdict else {
            return Duration::ZERO;
        };
        let attempt = deliveries.iter().map(Delivery::turn).max().unwrap_or(1);
        after.unwrap_or_else(|| self.options.retry.bound(attempt).mul_f64(fastrand::f64()))
    }

    /// Gives an event that a handler published its identity and its place in the chain.
    fn message(&self, cause: &Attributes, (id, depth): (Id, u32), draft: Draft) -> Result<Message> {
        bus::check_type(draft.event_type)?;
        let mut attributes = Attributes::new(id, &self.source, draft.event_type)?;
        attributes.set_time(Timestamp::now());
        attributes.set("datacontenttype", "application/json")?;
        attributes.set(CAUSATION, cause.id())?;
        attributes.set(CORRELATION, cause.correlation_id().unwrap_or(cause.id()))?;
        let depth = i32::try_from(depth).unwrap_or(i32::MAX);
        attributes.set(DEPTH, Value::Integer(depth))?;
        if let Some(key) = draft.key {
            attributes.set(KEY, key)?;
        }
        bus::set_version(&mut attributes, draft.version)?;
        for name in ["traceparent", "tracestate"] {
            if let Some(value) = cause.extension(name) {
                attributes.set(name, value)?;
            }
        }
        Ok(Message::new(attributes, Some(draft.data)))
    }
}

fn quarantine(crashes: u32) -> String {
    format!("crashes counted in a row while a handler had it: {crashes}")
}

fn rejected(reason: RejectReason, error: &str, hold: bool) -> Outcome {
    Outcome::Reject {
        reason,
        error: error.to_owned(),
        hold,
    }
}

/// What Hence itself says of a subscription, as a message.
pub(crate) fn notice(source: &str, subscription: &str, event: &impl Event) -> Result<Message> {
    let draft = Draft::of(event)?;
    let now = Timestamp::now();
    let mut attributes = Attributes::new(id::fresh(now), source, draft.event_type)?;
    attributes.set_time(now);
    attributes.set("datacontenttype", "application/json")?;
    attributes.set(KEY, subscription)?;
    Ok(Message::new(attributes, Some(draft.data)))
}
