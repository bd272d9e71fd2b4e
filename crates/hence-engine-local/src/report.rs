//! What became of one message in each subscription, and one dead letter with its message.

use hence_core::dead_letter::DeadLetter;
use hence_core::engine::{DeliveryReport, DeliveryState};
use hence_core::error::Result;
use hence_core::message::Message;

use crate::beside::on_a_thread;
use crate::engine::Local;
use crate::history::Attempt;
use crate::journal::{AttemptScan, REPORT_COMMITS_MAX, Store};

impl Local {
    pub(crate) fn letter(&self, id: &str) -> Result<(DeadLetter, Message)> {
        let (letter, message) = self.open()?.state.dead_letter(id)?;
        match message {
            Some(message) => Ok((letter, message)),
            None => Ok((letter.clone(), self.entry(letter.position.0)?.message)),
        }
    }

    pub(crate) async fn deliveries_of(&self, position: u64) -> Result<Vec<DeliveryReport>> {
        let entry = self.entry(position)?;
        let places = self.shared.index.as_ref();
        let places = places.and_then(|index| index.attempts(position));
        let (reports, attempts, store, shown) = {
            let core = self.shared.lock();
            let (store, attempts) = (core.store.clone(), core.attempts(position));
            (core.deliveries_of(&entry), attempts, store, core.shown)
        };
        let attempts = match (attempts, store) {
            (Some(attempts), _) => attempts,
            (None, Store::Memory) => Vec::new(),
            (None, Store::Log(log, _)) => {
                let wanted: Vec<_> = reports
                    .iter()
                    .map(|(id, wanted, _)| (*id, *wanted))
                    .collect();
                let scan = AttemptScan {
                    log,
                    position,
                    places,
                    shown,
                    most: REPORT_COMMITS_MAX,
                };
                on_a_thread("hence-report", move || scan.all(&wanted)).await?
            }
        };
        let with_attempts = |(id, _, mut report): (u32, _, DeliveryReport)| {
            let own = attempts.iter().filter(|attempt| attempt.subscription == id);
            report.attempts = own.map(Attempt::to_report).collect();
            let last = attempts.iter().rfind(|attempt| attempt.subscription == id);
            if report.state == DeliveryState::Done && last.is_some_and(Attempt::is_discard) {
                report.state = DeliveryState::Discarded;
            }
            report
        };
        Ok(reports.into_iter().map(with_attempts).collect())
    }
}
