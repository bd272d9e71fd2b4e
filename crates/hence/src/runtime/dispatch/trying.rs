//! The careful side of the pump: calls for deliveries that may have ended the process before.

use std::time::Duration;

use hence_core::Delivery;
use tokio::time::Instant;

use super::Pump;
use crate::runtime::call::Ended;
use crate::runtime::crash::Marked;
use crate::runtime::settle::Verdict;

/// Deliveries on their way to a handler, which have come one step further.
pub(super) struct Tried {
    deliveries: Vec<Delivery>,
    step: Step,
}

enum Step {
    /// How many crashes each was seen at.
    Looked(Vec<u32>),
    /// The marks are stored.
    Marked(Marked),
}

impl Pump {
    /// Looks up what is known of deliveries before they are handled.
    pub(super) fn look(&mut self, deliveries: Vec<Delivery>) {
        self.trying += deliveries.len();
        let looking = self.suspects.look(&deliveries);
        self.trials.push(Box::pin(async move {
            let step = Step::Looked(looking.await);
            Tried { deliveries, step }
        }));
    }

    /// Goes on with deliveries that have come one step further.
    pub(super) fn tried(&mut self, tried: Tried) {
        let Tried { deliveries, step } = tried;
        match step {
            Step::Looked(crashes) => self.looked(deliveries, crashes),
            Step::Marked(marked) => {
                self.trying -= deliveries.len();
                self.suspects.begin(&deliveries, marked);
                // While it waited for its turn its time may have come to an end.
                let unfit = match &*deliveries {
                    [only] => self.needs_no_call(only),
                    _ => None,
                };
                match unfit {
                    Some(verdict) => self.settle_tried(deliveries, verdict),
                    None => self.begin_tried(deliveries),
                }
            }
        }
    }

    /// Begins the call, unless a storm has stopped the subscription meanwhile, or somebody.
    fn begin_tried(&mut self, deliveries: Vec<Delivery>) {
        if self.begins() && self.breaker.still_permits(&deliveries) {
            self.count_first(&deliveries);
            self.start(deliveries);
        } else {
            // Where it was to be tried with, another is.
            self.breaker.neither(&deliveries);
            self.put_back(deliveries);
        }
    }

    fn looked(&mut self, mut deliveries: Vec<Delivery>, mut crashes: Vec<u32>) {
        if deliveries.len() > 1
            && let Some(at) = crashes.iter().position(|crashes| *crashes > 0)
        {
            // One that was seen at a crash is handled in a call of its own, in its order.
            crashes.truncate(at.max(1));
            let later = deliveries.split_off(at.max(1));
            self.trying -= later.len();
            self.put_back(later);
        }
        self.suspects.note(&deliveries, &crashes);
        match crashes.iter().max() {
            Some(most) if self.suspects.are_too_many(*most) => {
                self.trying -= deliveries.len();
                self.settle_tried(deliveries, Verdict::Quarantined(*most));
            }
            _ => {
                let marking = self.suspects.mark(&deliveries, &crashes);
                self.trials.push(Box::pin(async move {
                    let step = Step::Marked(marking.await);
                    Tried { deliveries, step }
                }));
            }
        }
    }

    /// Settles deliveries that have not begun, without a call.
    fn settle_tried(&mut self, deliveries: Vec<Delivery>, verdict: Verdict) {
        self.running += deliveries.len();
        self.settle_without(deliveries, verdict);
    }

    /// Settles deliveries that count as running without a call.
    pub(super) fn settle_without(&mut self, deliveries: Vec<Delivery>, verdict: Verdict) {
        self.settle(Ended {
            deliveries,
            verdict,
            ran: Duration::ZERO,
            at: Instant::now(),
            taken: None,
            at_once: false,
        });
    }

    /// Gives up what has not begun, now that nothing begins any more.
    pub(super) fn begin_no_more(&mut self) {
        self.ending = true;
        self.trials.clear();
        self.trying = 0;
    }
}
