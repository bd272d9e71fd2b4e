//! What a replay finds: calls that failed, and where a handler would publish something else.

use std::collections::BTreeMap;

use hence_core::{Message, Position};

/// The most failures, and the most differences, that a replay tells.
pub const FINDINGS_MAX: usize = 100;
/// The most bytes of errors and data in what a replay tells; one finding is told however large.
pub const FINDINGS_BYTES_MAX: usize = 1 << 20;

/// Something that a replay found at an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The event.
    pub position: Position,
    /// What was found.
    pub what: What,
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The handler failed; this is its last error.
    Failed(String),
    /// The handler published this then, and would not now.
    Missing(Message),
    /// The handler would publish this now, and did not then.
    Added(Message),
    /// The handler would publish the second in place of the first.
    Changed(Message, Message),
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The first of them.
    pub list: Vec<Finding>,
    /// How many more there were.
    pub more: u64,
    bytes: usize,
}

impl What {
    fn bytes(&self) -> usize {
        let data = |message: &Message| message.data().map_or(0, bytes::Bytes::len);
        match self {
            Self::Failed(error) => error.len(),
            Self::Missing(message) | Self::Added(message) => data(message),
            Self::Changed(then, now) => data(then) + data(now),
        }
    }
}

impl Findings {
    pub(super) fn add(&mut self, position: Position, what: What) {
        let bytes = self.bytes + what.bytes();
        let fits = self.list.len() < FINDINGS_MAX && bytes <= FINDINGS_BYTES_MAX;
        if fits || self.list.is_empty() {
            self.bytes = bytes;
            self.list.push(Finding { position, what });
        } else {
            self.more += 1;
        }
    }
}

/// Tells where what is published differs, by the derived ids.
pub(super) fn differ(
    position: Position,
    then: Vec<Message>,
    now: Vec<Message>,
    findings: &mut Findings,
) {
    let mut then: BTreeMap<String, Message> = then
        .into_iter()
        .map(|message| (message.attributes().id().to_owned(), message))
        .collect();
    for message in now {
        match then.remove(message.attributes().id()) {
            None => findings.add(position, What::Added(message)),
            Some(before) if !is_same(&before, &message) => {
                findings.add(position, What::Changed(before, message));
            }
            Some(_) => {}
        }
    }
    for message in then.into_values() {
        findings.add(position, What::Missing(message));
    }
}

/// Whether two messages say the same; when they were published does not count.
fn is_same(one: &Message, two: &Message) -> bool {
    let (a, b) = (one.attributes(), two.attributes());
    a.event_type() == b.event_type()
        && a.key() == b.key()
        && a.subject() == b.subject()
        && one.data() == two.data()
}

#[cfg(test)]
mod tests;
