//! `History`: the attempts that ended lately, for reports of what became of a message. A log
//! engine reads them from its journal; this is what `memory:` has in its place.

use std::collections::VecDeque;
use std::time::Duration;

use hence_core::delivery::Position;
use hence_core::engine::AttemptReport;
use hence_core::time::Timestamp;

use crate::op::{Discarded, Ended, How};

/// Ended attempts that `memory:` remembers.
pub const HISTORY_ATTEMPTS_MAX: usize = 65_536;

const DISCARDED: &str = "discarded";

/// One ended attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) subscription: u32,
    pub(crate) position: u64,
    attempt: u32,
    ended: Timestamp,
    ran: Duration,
    outcome: &'static str,
    error: Box<str>,
    pub(crate) emitted: Emitted,
}

/// Which attempt is the last one, so that a search through a journal knows its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Nothing,
    Done,
    Rejected(u32),
    Retried(u32),
    /// After so many rejections it was sent again, and retried.
    Again {
        rejections: u32,
        attempt: u32,
    },
}

impl Expected {
    /// Whether the last attempt of a subscription is among these.
    pub(crate) fn is_in(self, subscription: u32, attempts: &[Attempt]) -> bool {
        let mut own = attempts.iter().filter(|a| a.subscription == subscription);
        match self {
            Self::Nothing => true,
            Self::Done => {
                own.any(|a| matches!(a.outcome, "done" | "skipped" | "expired" | DISCARDED))
            }
            Self::Rejected(times) => {
                own.filter(|a| a.outcome == "reject").count() >= times as usize
            }
            Self::Retried(attempt) => own.any(|a| a.is_retry(attempt)),
            // Of logs in which attempts began anew with a redrive, one from before it may have the
            // same number.
            Self::Again {
                rejections,
                attempt,
            } => {
                let mut left = rejections;
                own.any(|a| {
                    left = left.saturating_sub(u32::from(a.outcome == "reject"));
                    left == 0 && a.is_retry(attempt)
                })
            }
        }
    }
}

/// Positions that were appended with it: the first, and how many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Emitted {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl Attempt {
    pub(crate) fn new(ended: &Ended, time: Timestamp, emitted: Emitted) -> Self {
        let (outcome, error) = match &ended.how {
            How::Done => ("done", "".into()),
            How::Retry { error, .. } => ("retry", error.as_str().into()),
            How::Reject(rejected) => ("reject", rejected.error.as_str().into()),
            How::Skipped { why, by: None } => ("skipped", why.as_str().into()),
            How::Skipped { why, by: Some(by) } => (
                "skipped",
                format!("{}, in favour of {by}", why.as_str()).into(),
            ),
            How::Expired { at } => ("expired", format!("it expired at {at}").into()),
        };
        Self {
            subscription: ended.subscription,
            position: ended.position,
            attempt: ended.attempt,
            ended: time,
            ran: ended.ran,
            outcome,
            error,
            emitted,
        }
    }

    /// The end of a dead letter that was given up.
    pub(crate) fn discarded(discarded: &Discarded, time: Timestamp) -> Self {
        Self {
            subscription: discarded.subscription,
            position: discarded.position,
            attempt: 0,
            ended: time,
            ran: Duration::ZERO,
            outcome: DISCARDED,
            error: discarded.reason.as_str().into(),
            emitted: Emitted::default(),
        }
    }

    fn is_retry(&self, attempt: u32) -> bool {
        self.outcome == "retry" && self.attempt == attempt
    }

    /// Whether a dead letter was given up with it.
    pub(crate) fn is_discard(&self) -> bool {
        self.outcome == DISCARDED
    }

    pub(crate) fn to_report(&self) -> AttemptReport {
        let Emitted { first, count } = self.emitted;
        AttemptReport {
            attempt: self.attempt,
            ended: self.ended,
            ran: self.ran,
            outcome: self.outcome,
            error: self.error.to_string(),
            emitted: (first..first + count).map(Position).collect(),
        }
    }
}

/// The newest attempts.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<Attempt>);

impl History {
    pub(crate) fn push(&mut self, attempt: Attempt) {
        if self.0.len() >= HISTORY_ATTEMPTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(attempt);
    }

    /// The attempts at one message, in order.
    pub(crate) fn of(&self, position: u64) -> Vec<Attempt> {
        let at = |attempt: &&Attempt| attempt.position == position;
        self.0.iter().filter(at).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use hence_core::Skip;

    use super::*;

    /// Whoever looks for the last attempt at what is settled has found it, and reads no further.
    #[test]
    fn what_was_skipped_is_the_end_of_a_search() {
        let ended = Ended {
            subscription: 1,
            position: 1,
            after: 0,
            attempt: 1,
            ran: Duration::ZERO,
            how: How::Skipped {
                why: Skip::RateLimited,
                by: None,
            },
        };
        let attempt = Attempt::new(&ended, Timestamp::from_micros(1), Emitted::default());
        assert!(Expected::Done.is_in(1, &[attempt]));
    }

    fn of(outcome: &'static str, attempt: u32) -> Attempt {
        Attempt {
            subscription: 1,
            position: 1,
            attempt,
            ended: Timestamp::from_micros(1),
            ran: Duration::ZERO,
            outcome,
            error: "".into(),
            emitted: Emitted::default(),
        }
    }

    /// Where attempts began anew with a redrive, too, the retry behind the last rejection is the last.
    #[test]
    fn a_retry_after_a_redrive_is_the_end_of_a_search() {
        let life = [of("retry", 1), of("retry", 2), of("reject", 3)];
        let last = Expected::Again {
            rejections: 2,
            attempt: 2,
        };
        let mut found = life.to_vec();
        assert!(!last.is_in(1, &found));
        found.extend_from_slice(&life);
        assert!(!last.is_in(1, &found));
        found.push(of("retry", 1));
        assert!(!last.is_in(1, &found));
        found.push(of("retry", 2));
        assert!(last.is_in(1, &found));
        assert!(!last.is_in(2, &found));
    }
}
