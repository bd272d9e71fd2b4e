//! What an event can be found by, as short hashes.
//!
//! ```text
//!   entry, 80 bits:  hash 40 | place 40     hash: its top bit is clear for events, set for attempts
//!                                           place: position / 64, or number of the commit / 64
//! ```
//!
//! A hash stands for a kind and a text. Whoever looks something up reads what stands at the place
//! and compares, so that two texts with one hash cost a look and never an answer. A place is a
//! block, because reading one event from a disk brings its neighbours along; so a key that comes
//! back again and again, and the attempts at neighbouring events, take one entry for many.

use hence_core::codec::compact;
use hence_core::engine::Filter;
use hence_core::envelope::{CAUSATION, CORRELATION, KEY};
use hence_core::error::Result;

use crate::identity::IdentityKey;

/// Positions, or commits, in one place.
pub(super) const BLOCK: u64 = 1 << BLOCK_BITS;
const BLOCK_BITS: u32 = 6;
const PLACE_BITS: u32 = 40;
const HASH_BITS: u32 = 40;
/// Set in the hash of what is found by commits.
const BY_COMMIT: u64 = 1 << (HASH_BITS - 1);
/// Entries that are looked at before one more is added.
const NEIGHBOURS: usize = 8;
/// Types that one question may name and still be answered from the index.
const TYPES_MAX: usize = 16;

/// What a text is to an event.
#[derive(Clone, Copy)]
enum Kind {
    Id = 1,
    Cause,
    Chain,
    Key,
    Subject,
    Type,
    Attempts,
}

/// A hash of a kind and a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term(u64);

impl Term {
    fn of(key: IdentityKey, kind: Kind, text: &str) -> Self {
        Self(key.short(kind as u8, text) & (BY_COMMIT - 1))
    }

    /// Stands for the attempts at the events of the block of a position.
    pub(super) fn attempts(key: IdentityKey, position: u64) -> Self {
        let block = (position >> BLOCK_BITS).to_string();
        Self(key.short(Kind::Attempts as u8, &block) & (BY_COMMIT - 1) | BY_COMMIT)
    }

    /// The entry of this term in the block of a position or of a commit.
    pub(super) fn at(self, number: u64) -> Entry {
        Entry(u128::from(self.0) << PLACE_BITS | u128::from(number >> BLOCK_BITS))
    }

    /// The last entry that this term can have.
    pub(super) fn last(self) -> Entry {
        Entry(u128::from(self.0) << PLACE_BITS | ((1 << PLACE_BITS) - 1))
    }
}

/// A term in a place; they sort by term, then by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(u128);

impl Entry {
    /// Bytes of an entry in a view.
    pub(super) const BYTES: usize = (HASH_BITS + PLACE_BITS) as usize / 8;

    /// Sorts as the entry does.
    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let all = self.0.to_be_bytes();
        bytes.copy_from_slice(
            all.last_chunk::<{ Self::BYTES }>()
                .unwrap_or(&[0; Self::BYTES]),
        );
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut all = [0; 16];
        all.last_chunk_mut::<{ Self::BYTES }>()?
            .copy_from_slice(bytes);
        Some(Self(u128::from_be_bytes(all)))
    }

    /// The first position, or commit, of its place.
    pub(super) fn number(self) -> u64 {
        let place = self.0 & ((1 << PLACE_BITS) - 1);
        u64::try_from(place).unwrap_or(u64::MAX) << BLOCK_BITS
    }

    /// Whether its place is one of commits.
    pub(super) fn is_by_commit(self) -> bool {
        self.0 >> PLACE_BITS & u128::from(BY_COMMIT) != 0
    }
}

/// Adds an entry, unless one of the last is the same: events of one type, and attempts at them, come
/// one after the other.
pub(super) fn add(entry: Entry, out: &mut Vec<Entry>) {
    if !out.iter().rev().take(NEIGHBOURS).any(|last| *last == entry) {
        out.push(entry);
    }
}

/// Adds the entries of a message in its compact form.
///
/// # Errors
/// As the compact form has none.
pub(super) fn entries(
    key: IdentityKey,
    message: &[u8],
    position: u64,
    out: &mut Vec<Entry>,
) -> Result<()> {
    compact::texts(message, |name, text| {
        let kind = match name {
            "id" => Kind::Id,
            CAUSATION => Kind::Cause,
            CORRELATION => Kind::Chain,
            KEY => Kind::Key,
            "subject" => Kind::Subject,
            "type" => Kind::Type,
            _ => return,
        };
        add(Term::of(key, kind, text).at(position), out);
    })
}

/// The terms of which an event has at least one when it passes the filter; none when the filter
/// names nothing that an index knows.
pub(super) fn wanted(key: IdentityKey, filter: &Filter) -> Vec<Term> {
    let term = |kind, text: &String| Term::of(key, kind, text);
    // What fewer events have comes first.
    if let Some(id) = &filter.id {
        return vec![term(Kind::Id, id)];
    }
    if let Some(id) = &filter.causation_id {
        return vec![term(Kind::Cause, id)];
    }
    if let Some(id) = &filter.correlation_id {
        return vec![term(Kind::Chain, id), term(Kind::Id, id)];
    }
    if let Some(subject) = &filter.subject {
        return vec![term(Kind::Subject, subject)];
    }
    if let Some(of) = &filter.key {
        return vec![term(Kind::Key, of)];
    }
    if !filter.type_prefixes.is_empty() || filter.types.len() > TYPES_MAX {
        return Vec::new();
    }
    filter
        .types
        .iter()
        .map(|name| term(Kind::Type, name))
        .collect()
}
