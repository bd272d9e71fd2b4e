//! What makes two messages the same: keyed hashes in place of the strings.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hence_core::message::Message;
use siphasher::sip128::{Hasher128, SipHasher13};

/// The key of the hashes. It is secret, so that nobody can make an id that collides with another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdentityKey(u64, u64, Marks);

/// Who will compare the marks of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marks {
    /// Whoever opens the journal, for ever.
    Stored,
    /// This process alone: a hash may be quick, and another one in every process.
    Own,
}

impl IdentityKey {
    /// For a journal that ends with the process.
    pub(crate) fn random() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self(random(), random(), Marks::Own)
    }

    /// For a journal with this name.
    pub(crate) fn of(bytes: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        Self(number as u64, (number >> 64) as u64, Marks::Stored)
    }

    /// Stands for source and id together.
    pub(crate) fn id(self, source: &str, id: &str) -> u64 {
        let mut writer = Writer::new(SipHasher13::new_with_keys(self.0, self.1));
        text(&mut writer, source);
        text(&mut writer, id);
        writer.end().finish128().h1
    }

    /// Stands for everything that a batch says.
    pub(crate) fn batch(self, appends: &[Append]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, !self.1);
        for append in appends {
            hasher.write_u64(append.id);
            hasher.write_u32(append.content);
        }
        hasher.finish()
    }

    /// Stands for a text of a kind where a hash that another text may have is good enough.
    pub(crate) fn short(self, kind: u8, name: &str) -> u64 {
        let mut writer = Writer::new(SipHasher13::new_with_keys(self.0, self.1));
        writer.write_u8(kind);
        text(&mut writer, name);
        writer.end().finish()
    }

    /// Stands for what the message says.
    fn content(self, message: &Message) -> u32 {
        let hash = match self.2 {
            Marks::Stored => {
                let mut writer = Writer::new(SipHasher13::new_with_keys(self.1, self.0));
                say(message, &mut writer);
                writer.end().finish()
            }
            Marks::Own => {
                let seed = SharedSeed::global_random();
                let mut hasher = SeedableRandomState::with_seed(self.1, seed).build_hasher();
                say_quickly(message, &mut hasher);
                hasher.finish()
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        let mark = hash as u32;
        mark
    }
}

/// As [`say`], where no other process compares it: all lengths come first, because a hash of few
/// pieces costs less.
fn say_quickly(message: &Message, hasher: &mut impl Hasher) {
    let attributes = message.attributes();
    let optional = [
        attributes.subject(),
        attributes.datacontenttype(),
        attributes.dataschema(),
    ];
    let length = |text: Option<&str>| text.map_or(0, str::len) as u64;
    let [subject, content_type, schema] = optional.map(length);
    let event_type = attributes.event_type();
    // No text has more than 24 bits of length, and none that is there is empty.
    hasher.write_u64(event_type.len() as u64 | subject << 32);
    hasher.write_u64(content_type | schema << 32);
    hasher.write_u64(message.data().map_or(0, |data| data.len() as u64 + 1));
    hasher.write(event_type.as_bytes());
    for found in optional.into_iter().flatten() {
        hasher.write(found.as_bytes());
    }
    for (name, value) in attributes.extensions().filter(|(name, _)| is_said(name)) {
        text(hasher, name);
        text(hasher, &value.to_text());
    }
    hasher.write(message.data().map_or(&[], |data| data));
}

fn is_said(extension: &str) -> bool {
    !matches!(extension, "traceparent" | "tracestate")
}

/// Hashes what a message says. The time and the trace context are left out: a publisher that tries
/// again may set them anew.
fn say(message: &Message, hasher: &mut impl Hasher) {
    let attributes = message.attributes();
    text(hasher, attributes.event_type());
    let optional = [
        attributes.subject(),
        attributes.datacontenttype(),
        attributes.dataschema(),
    ];
    for found in optional {
        hasher.write_u8(u8::from(found.is_some()));
        text(hasher, found.unwrap_or_default());
    }
    for (name, value) in attributes.extensions().filter(|(name, _)| is_said(name)) {
        text(hasher, name);
        text(hasher, &value.to_text());
    }
    hasher.write_u8(u8::from(message.data().is_some()));
    hasher.write(message.data().map_or(&[], |data| data));
}

fn text(hasher: &mut impl Hasher, text: &str) {
    // In the order of bytes that journals hold.
    hasher.write_u64((text.len() as u64).to_le());
    hasher.write(text.as_bytes());
}

/// Bytes that are hashed at a time, at least; a hash of many little pieces costs three times as
/// much.
const ROOM: usize = 256;

/// Gathers the little pieces of which names are made before they are hashed.
struct Writer {
    hasher: SipHasher13,
    room: [u8; ROOM],
    used: usize,
}

impl Writer {
    fn new(hasher: SipHasher13) -> Self {
        Self {
            hasher,
            room: [0; ROOM],
            used: 0,
        }
    }

    fn empty(&mut self) {
        self.hasher
            .write(self.room.get(..self.used).unwrap_or_default());
        self.used = 0;
    }

    fn end(mut self) -> SipHasher13 {
        self.empty();
        self.hasher
    }
}

impl Hasher for Writer {
    fn write(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if let Some(room) = self.room.get_mut(self.used..end) {
            room.copy_from_slice(bytes);
            self.used = end;
        } else {
            self.empty();
            self.hasher.write(bytes);
        }
    }

    /// Of what was hashed already; [`Writer::end`] hashes the rest.
    fn finish(&self) -> u64 {
        self.hasher.finish()
    }
}

/// The number that stands for a type in indexes: FNV-1a, stable for ever. Two types may share one,
/// so whoever uses it compares the name as well. Its top bit is set; tags of other operations have
/// it clear.
pub(crate) fn tag(event_type: &str) -> u32 {
    let hash = event_type.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash | 1 << 31
}

/// A message on its way in, with everything that can be worked out before its turn.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) message: Message,
    pub(crate) tag: u32,
    pub(crate) id: u64,
    pub(crate) content: u32,
    /// About how much memory it takes.
    pub(crate) size: usize,
}

impl Append {
    pub(crate) fn new(key: IdentityKey, message: Message) -> Self {
        let attributes = message.attributes();
        Self {
            tag: tag(attributes.event_type()),
            id: key.id(attributes.source(), attributes.id()),
            content: key.content(&message),
            size: message.footprint(),
            message,
        }
    }
}

/// A map whose keys are hashes, or positions, and need no further hashing.
pub(crate) type Direct = BuildHasherDefault<DirectHasher>;

/// Spreads numbers that are already well spread, or in a row, over a table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DirectHasher(u64);

impl Hasher for DirectHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The odd number is 2^64 over the golden ratio (Knuth, TAOCP 3, 6.4).
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests;
