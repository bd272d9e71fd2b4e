//! What the pump says when it is asked where a delivery is.

use hence_core::{Order, Timestamp};
use tokio::time::Instant;

use super::Pump;
use crate::runtime::standing::{Asked, Behind, Halt, Place, Question, Standing, Stop};

impl Pump {
    /// Hears what it is asked.
    pub(super) fn hear(&mut self, asked: Asked) {
        match asked {
            Asked::Where(question) => self.tell(question),
            Asked::Halt(Halt { paused, heard }) => {
                self.halted = paused;
                heard.send(()).unwrap_or_default();
            }
        }
    }

    /// Answers one question.
    fn tell(&self, question: Question) {
        let standing = Standing {
            place: self.place(&question),
            stops: self.stops(),
            attempts: self.subscription.options.retry.attempts,
        };
        // Whoever asked may be gone.
        question.answer.send(standing).unwrap_or_default();
    }

    fn place(&self, question: &Question) -> Place {
        let position = question.position;
        if let Some(due) = self.intake.due(position) {
            return Place::Debounced(due);
        }
        match self.lanes.place(position, question.key.as_deref()) {
            Place::Elsewhere => self.suspects.place(position).unwrap_or(Place::Elsewhere),
            Place::Waits {
                ahead,
                behind: Some(Behind::Running),
            } => {
                let is_fifo = self.subscription.options.order == Order::Fifo;
                let is_own = |key: Option<&str>| is_fifo || key == question.key.as_deref();
                let accused = self.suspects.accused(is_own).map(Behind::Alone);
                let behind = accused.or(Some(Behind::Running));
                Place::Waits { ahead, behind }
            }
            place => place,
        }
    }

    fn stops(&self) -> Vec<Stop> {
        let now = Instant::now();
        let mut stops = Vec::new();
        stops.extend(self.halted.clone().map(Stop::Asked));
        if !self.breaker.is_closed() {
            stops.push(Stop::Tripped(self.breaker.wake().map(|at| self.moment(at))));
        }
        if self.paused {
            stops.push(Stop::Paused(self.lanes.limit()));
        } else if self.lanes.room(self.intake.load()) == 0 {
            stops.push(Stop::Full);
        }
        if let Some(again) = self.again.filter(|again| again.at > now) {
            stops.push(Stop::Reading(self.moment(again.at)));
        }
        if let Some(at) = self.pace.wake() {
            stops.push(Stop::Throttle(self.moment(at)));
        }
        let concurrency = self.adaptive.calls();
        if self.calls.len() + self.trials.len() >= concurrency {
            stops.push(Stop::Concurrency(concurrency));
        }
        if let Some(due) = self.batch_due.filter(|due| *due > now) {
            stops.push(Stop::Batch(self.moment(due)));
        }
        stops
    }

    /// An instant of the runtime as a moment of events.
    fn moment(&self, at: Instant) -> Timestamp {
        self.clock.now().after(at.duration_since(Instant::now()))
    }
}
