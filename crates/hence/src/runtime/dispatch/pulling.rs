//! The pulling side of the pump: how much, and what happens when it fails.

use std::time::Duration;

use hence_core::{Code, Deliveries, Delivery, Result};
use tokio::time::Instant;

use super::Pump;
use crate::runtime::intake::Sorted;
use crate::runtime::pool::{self, CHOICE_MAX};

/// Deliveries that a subscription may hold for each that it handles at a time.
const CREDIT_PER_WORKER: usize = 4;
/// How long the pump waits before it reads again what it could not read.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
/// The longest of these waits; each is twice the one before.
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// What may be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credit {
    None,
    /// Nothing before this moment.
    Later(Instant),
    /// So many deliveries.
    Some(usize),
    /// One that is sent again from the dead letters: too much waits behind these.
    Redriven,
}

impl Credit {
    fn of(count: usize) -> Self {
        if count > 0 {
            Self::Some(count)
        } else {
            Self::None
        }
    }

    /// Whether something may be pulled now.
    pub(super) fn is_any(self) -> bool {
        matches!(self, Self::Some(_) | Self::Redriven)
    }
}

/// When to read again what could not be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    pub(super) at: Instant,
    wait: Duration,
}

impl Again {
    fn after(before: Option<Self>) -> Self {
        let wait = before.map_or(AGAIN_FIRST, |before| (before.wait * 2).min(AGAIN_MAX));
        let at = Instant::now() + wait;
        Self { at, wait }
    }
}

impl Pump {
    /// How many more deliveries may be pulled.
    pub(super) fn credit(&mut self) -> Credit {
        self.say_paused();
        if let Some(again) = self.again.filter(|again| Instant::now() < again.at) {
            return Credit::Later(again.at);
        }
        let room = self.lanes.room(self.intake.load());
        let held = self.lanes.ready() + self.trying + self.running + self.committing;
        // One event to try with, if none is here.
        let wanted = self.breaker.is_waiting() && self.lanes.ready() == 0;
        if self.paused {
            let free = match self.breaker.is_closed() {
                true => held < self.adaptive.calls(),
                false => wanted,
            };
            return if free { Credit::Redriven } else { Credit::None };
        }
        if !self.breaker.is_closed() {
            return Credit::of(usize::from(wanted).min(room));
        }
        let workers = self.adaptive.calls();
        let batch = if self.subscription.signature.batch {
            self.subscription.options.batch_events
        } else {
            1
        };
        let options = &self.subscription.options;
        let shares = options.fair.is_some() || options.shed.is_some();
        let choice = if shares || pool::chooses(options.order) {
            CHOICE_MAX
        } else {
            0
        };
        let most = workers
            .saturating_mul(batch.max(CREDIT_PER_WORKER))
            .max(choice);
        Credit::of(most.saturating_sub(held).min(room))
    }

    /// Takes what was pulled, and says whether to go on pulling.
    pub(super) fn pulled(
        &mut self,
        pulled: Result<Vec<Delivery>>,
        deliveries: &mut dyn Deliveries,
    ) -> bool {
        match pulled {
            Ok(list) if list.is_empty() => {
                let released = deliveries.released();
                let goes_on = !released.is_empty();
                self.lanes.release(released);
                goes_on
            }
            Ok(list) => {
                if self.again.take().is_some() {
                    tracing::info!(subscription = %self.subscription.name, "reading goes on");
                    self.metrics.trouble.clear();
                }
                self.metrics.meter.arrived(&list);
                if self.intake.is_open() {
                    list.into_iter()
                        .for_each(|delivery| self.lanes.push(delivery));
                    return true;
                }
                let (now, mut taken) = (self.clock.now(), Sorted::default());
                for delivery in list {
                    self.intake.take(delivery, now, &mut taken);
                }
                self.taken(taken);
                true
            }
            Err(error) => {
                let name = &self.subscription.name;
                self.metrics.trouble.set(error.to_string());
                // An engine that is well may read the next time what it could not read now; one
                // that is not gives nothing before a restart.
                if error.code() == Code::CLOSED || self.engine.health().is_err() {
                    tracing::error!(subscription = %name, %error, "cannot read");
                    return false;
                }
                let again = Again::after(self.again);
                tracing::error!(subscription = %name, %error, wait = ?again.wait, "cannot read now");
                self.again = Some(again);
                true
            }
        }
    }
}

pub(super) async fn pull(deliveries: &mut dyn Deliveries, credit: Credit) -> Result<Vec<Delivery>> {
    match credit {
        Credit::None | Credit::Later(_) => std::future::pending().await,
        Credit::Some(count) => deliveries.next(count).await,
        Credit::Redriven => deliveries.next(0).await,
    }
}
