//! Batches that their senders count: each is stored once, and none is left out.

use hence_core::commit::{Durability, Receipt, Sequence};
use hence_core::error::{Code, Result};

use super::{Turn, Undo, Window, receipt};
use crate::identity::Append;
use crate::senders::{SENDER_BYTES_MAX, SENDERS_MAX, Sent};

impl<W: Window> Turn<'_, W> {
    fn sent(&self, sender: &str) -> Option<Sent> {
        let pending = self.pending.senders.get(sender).copied();
        pending.or_else(|| self.state.senders.get(sender))
    }

    /// What is known of a batch that was sent before; `None` when it is the next one.
    ///
    /// The batch before the newest one has no place of its own any more: its first position is 0.
    pub(super) fn is_sent(&self, sequence: &Sequence, content: u64) -> Result<Option<Sent>> {
        let Sequence { sender, number } = sequence;
        let sent = self.sent(sender);
        let newest = sent.map_or(0, |sent| sent.number);
        if *number == 0 || *number > newest.saturating_add(1) {
            return Err(Code::SEQUENCE_GAP.error(format!(
                "'{sender}' sent number {number}, and the next one is {}",
                newest.saturating_add(1)
            )));
        }
        let Some(sent) = sent else {
            return self.is_welcome(sender).map(|()| None);
        };
        if *number < newest {
            return Ok(Some(Sent { first: 0, ..sent }));
        }
        if *number == newest && sent.content != content {
            return Err(Code::DUPLICATE.error(format!(
                "'{sender}' sent number {number} before, with other events"
            )));
        }
        Ok((*number == newest).then_some(sent))
    }

    /// Whether a new sender may be remembered.
    fn is_welcome(&self, sender: &str) -> Result<()> {
        if sender.is_empty() || sender.len() > SENDER_BYTES_MAX {
            return Err(Code::ATTRIBUTE.error(format!(
                "the name of a sender has 1 to {SENDER_BYTES_MAX} bytes"
            )));
        }
        let known = self.state.senders.len();
        let is_new = |sender: &&String| self.state.senders.get(sender).is_none();
        if known + self.pending.senders.len() >= SENDERS_MAX
            && known + self.pending.senders.keys().filter(is_new).count() >= SENDERS_MAX
        {
            return Err(Code::STATE_FULL.error(format!(
                "'{sender}' is one sender too many: {SENDERS_MAX} are remembered, and none of them \
                 may be forgotten"
            )));
        }
        Ok(())
    }

    /// The receipts of a batch that was sent before.
    pub(super) fn sent_before(
        &self,
        appends: &[Append],
        sent: Sent,
        level: Durability,
    ) -> Vec<Receipt> {
        let place = |(at, append): (u64, &Append)| match sent.first {
            0 => self.repeated(append, level),
            first => receipt(append, Some(first + at), level, true),
        };
        (0..).zip(appends).map(place).collect()
    }

    pub(super) fn send(&mut self, sequence: Sequence, first: u64, content: u64) {
        let Sequence { sender, number } = sequence;
        let sent = Sent {
            number,
            first,
            content,
        };
        let before = self.pending.senders.insert(sender.clone(), sent);
        let undo = Undo::Sender(sender.clone(), before);
        self.pending.undo.push(undo);
        self.ops.push(crate::op::Op::Sent { sender, sent });
    }
}
