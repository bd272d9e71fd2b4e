//! From what a handler returned to one commit.

use std::time::Duration;

use hence_core::envelope::{CAUSATION, CORRELATION, KEY};
use hence_core::{
    AfterDeadLetter, Attributes, Commit, Delivery, Draft, Durability, Message, Options, Outcome,
    Position, RejectReason, Result, Settlement, Timestamp,
};

use crate::id;

/// How a delivery is settled, before it is committed.
pub(crate) enum Verdict {
    /// The handler is done; these events follow.
    Done(Vec<Draft>),
    /// The attempt failed.
    Failed {
        after: Option<Duration>,
        error: String,
    },
    /// It goes to the dead letters without another attempt.
    Rejected { error: String },
    /// The delivery at this position does not decode; the handler was not called.
    Undecodable { position: Position, error: String },
}

/// Where settlements of one subscription come from.
pub(crate) struct Settler {
    pub(crate) subscription: String,
    /// The source of what it publishes.
    pub(crate) source: String,
    pub(crate) options: Options,
    pub(crate) durability: Durability,
}

impl Settler {
    /// One commit for all deliveries of a call: they settle together, or not at all.
    ///
    /// # Errors
    /// An event that the handler published breaks the rules of CloudEvents.
    pub(crate) fn commit(
        &self,
        deliveries: &[Delivery],
        verdict: Verdict,
        ran: Duration,
    ) -> Result<Commit> {
        let mut commit = Commit {
            durability: self.durability,
            ..Commit::default()
        };
        let due = Timestamp::now().after(self.wait(deliveries, &verdict));
        for delivery in deliveries {
            commit.settle.push(Settlement {
                subscription: self.subscription.clone(),
                position: delivery.position,
                attempt: delivery.attempt,
                outcome: self.outcome(delivery, &verdict, due),
                ran,
            });
        }
        if let (Verdict::Done(drafts), Some(cause)) = (verdict, deliveries.first()) {
            let cause = cause.message.attributes();
            for (ordinal, draft) in drafts.into_iter().enumerate() {
                commit.publish.push(self.message(cause, ordinal, draft)?);
            }
        }
        Ok(commit)
    }

    fn outcome(&self, delivery: &Delivery, verdict: &Verdict, due: Timestamp) -> Outcome {
        let hold = self.options.after_dead_letter == AfterDeadLetter::Hold;
        match verdict {
            Verdict::Done(_) => Outcome::Done,
            Verdict::Rejected { error } => rejected(RejectReason::Rejected, error, hold),
            Verdict::Undecodable { error, .. } => rejected(RejectReason::Undecodable, error, hold),
            Verdict::Failed { error, .. } if delivery.attempt >= self.options.retry.attempts => {
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
        let attempt = deliveries
            .iter()
            .map(|delivery| delivery.attempt)
            .max()
            .unwrap_or(1);
        after.unwrap_or_else(|| self.options.retry.bound(attempt).mul_f64(fastrand::f64()))
    }

    /// Gives an event that a handler published its identity and its place in the chain.
    fn message(&self, cause: &Attributes, ordinal: usize, draft: Draft) -> Result<Message> {
        let id = id::derived(cause, &self.subscription, ordinal);
        let mut attributes = Attributes::new(id, &*self.source, draft.event_type)?;
        attributes.set_time(Timestamp::now());
        attributes.set("datacontenttype", "application/json")?;
        attributes.set(CAUSATION, cause.id())?;
        attributes.set(CORRELATION, cause.correlation_id().unwrap_or(cause.id()))?;
        if let Some(key) = draft.key {
            attributes.set(KEY, key)?;
        }
        for name in ["traceparent", "tracestate"] {
            if let Some(value) = cause.extension(name) {
                attributes.set(name, value.clone())?;
            }
        }
        Ok(Message::new(attributes, Some(draft.data)))
    }
}

fn rejected(reason: RejectReason, error: &str, hold: bool) -> Outcome {
    Outcome::Reject {
        reason,
        error: error.to_owned(),
        hold,
    }
}
