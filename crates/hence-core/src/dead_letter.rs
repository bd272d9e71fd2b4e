//! `DeadLetter`: a delivery that could not be handled, kept with its cause; and how one is found
//! among many.

use std::fmt;
use std::str::FromStr;

use crate::delivery::{Position, RejectReason};
use crate::error::{Code, Error};
use crate::message::Message;
use crate::time::Timestamp;

/// The most dead letters of one answer.
pub const PAGE_LETTERS_MAX: usize = 1_000;
/// Bytes of texts after which an answer ends, however few dead letters it has.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// The longest [`cause`], in bytes.
pub const CAUSE_BYTES_MAX: usize = 200;

/// A message that a subscription could not handle, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// `{subscription}.{position}`.
    pub id: String,
    /// Whose it is.
    pub subscription: String,
    /// Where its message stands.
    pub position: Position,
    /// The type of its event.
    pub event_type: String,
    /// The key of its event.
    pub key: Option<String>,
    /// Why it is here.
    pub reason: RejectReason,
    /// What went wrong, in words.
    pub error: String,
    /// How many attempts were made, those before a redrive included.
    pub attempts: u32,
    /// When it came here.
    pub since: Timestamp,
    /// Whether later events of its key wait for it.
    pub hold: bool,
    /// Whether it was sent again and is not settled yet: it is on its way, or waits behind another
    /// dead letter of its key.
    pub redriven: bool,
    /// Whether an edited copy has taken the place of its message.
    pub edited: bool,
}

impl DeadLetter {
    /// Where it stands in a list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            since: self.since,
            position: self.position,
            subscription: self.subscription.clone(),
        }
    }

    /// What it has in common with others of the same cause.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.reason, &self.error)
    }

    /// About how many bytes its texts have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let key = self.key.as_ref().map_or(0, String::len);
        self.id.len() + self.subscription.len() + self.event_type.len() + key + self.error.len()
    }
}

/// Where a dead letter stands among the others: oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it came.
    pub since: Timestamp,
    /// Where its message stands.
    pub position: Position,
    /// Whose it is.
    pub subscription: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.since.as_micros();
        write!(f, "{micros}.{}.{}", self.position, self.subscription)
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let place = || {
            let (since, rest) = text.split_once('.')?;
            let (position, subscription) = rest.split_once('.')?;
            Some(Self {
                since: Timestamp::from_micros(since.parse().ok()?),
                position: position.parse().ok()?,
                subscription: subscription.to_owned(),
            })
        };
        place().ok_or_else(|| {
            Code::NOT_FOUND.error(format!("'{text}' is no place in a list of dead letters"))
        })
    }
}

/// Which dead letters are asked for; what is absent does not restrict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterQuery {
    /// Of one subscription.
    pub subscription: Option<String>,
    /// Of events of one type.
    pub event_type: Option<String>,
    /// Of events of one key.
    pub key: Option<String>,
    /// Of one cause.
    pub fingerprint: Option<Fingerprint>,
    /// That were sent again and are not settled yet, or that were not.
    pub redriven: Option<bool>,
    /// That came at or after this moment.
    pub since: Option<Timestamp>,
    /// That came before this moment.
    pub until: Option<Timestamp>,
    /// Behind this place.
    pub after: Option<Place>,
    /// Up to and with this place.
    pub upto: Option<Place>,
    /// At most so many, and never more than [`PAGE_LETTERS_MAX`].
    pub limit: usize,
}

impl Default for DeadLetterQuery {
    fn default() -> Self {
        Self {
            subscription: None,
            event_type: None,
            key: None,
            fingerprint: None,
            redriven: None,
            since: None,
            until: None,
            after: None,
            upto: None,
            limit: PAGE_LETTERS_MAX,
        }
    }
}

impl DeadLetterQuery {
    /// Those of one subscription.
    #[must_use]
    pub fn of(subscription: impl Into<String>) -> Self {
        Self {
            subscription: Some(subscription.into()),
            ..Self::default()
        }
    }

    /// Whether a dead letter is one of them.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let place = letter.place();
        same(&self.subscription, Some(&letter.subscription))
            && same(&self.event_type, Some(&letter.event_type))
            && same(&self.key, letter.key.as_deref())
            && self
                .fingerprint
                .is_none_or(|wanted| letter.fingerprint() == wanted)
            && self.redriven.is_none_or(|wanted| letter.redriven == wanted)
            && self.since.is_none_or(|since| letter.since >= since)
            && self.until.is_none_or(|until| letter.since < until)
            && self.after.as_ref().is_none_or(|after| place > *after)
            && self.upto.as_ref().is_none_or(|upto| place <= *upto)
    }

    /// One answer out of all dead letters, for engines that have them all at hand.
    #[must_use]
    pub fn page(&self, all: impl IntoIterator<Item = DeadLetter>) -> Vec<DeadLetter> {
        let mut found: Vec<_> = all
            .into_iter()
            .filter(|letter| self.matches(letter))
            .collect();
        found.sort_by_cached_key(DeadLetter::place);
        found.truncate(self.limit.min(PAGE_LETTERS_MAX));
        let mut bytes = 0;
        let fits = found.iter().take_while(|letter| {
            let before = bytes;
            bytes += letter.bytes();
            before < PAGE_BYTES_MAX
        });
        let fits = fits.count();
        found.truncate(fits);
        found
    }
}

/// A dead letter that is given up for good, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    /// The id of the dead letter.
    pub id: String,
    /// Why nobody needs it, in words.
    pub reason: String,
}

/// A dead letter that is sent again as an edited copy, which takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The id of the dead letter.
    pub id: String,
    /// The copy: of the same type and key, under an id of its own.
    pub message: Message,
}

/// What dead letters of one cause have in common: a number made of the reason and of the
/// [`cause`]; written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of an error.
    #[must_use]
    pub fn of(reason: RejectReason, error: &str) -> Self {
        // FNV-1a: the same in every process and version, and nobody gains by a collision.
        let bytes = reason.as_str().bytes().chain([0]);
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(
            bytes
                .chain(cause(error).bytes())
                .fold(0xcbf2_9ce4_8422_2325, hash),
        )
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then(|| u64::from_str_radix(text, 16).ok())
            .flatten()
            .map(Self)
            .ok_or_else(|| {
                Code::NOT_FOUND.error(format!(
                    "'{text}' is no fingerprint, which has 16 hexadecimal digits"
                ))
            })
    }
}

/// An error without what differs from one time to the next: words with a digit in them and long
/// words of hexadecimal letters become `#`, what stands in quotes becomes `…`, white space becomes
/// one space. Codes of Hence such as `HN0402` stay.
#[must_use]
pub fn cause(error: &str) -> String {
    let mut out = String::with_capacity(error.len().min(CAUSE_BYTES_MAX));
    let mut rest = error.trim();
    while let Some(first) = rest.chars().next() {
        if out.len() >= CAUSE_BYTES_MAX {
            break;
        }
        if let Some(behind) = quoted(&out, rest, first) {
            out.extend([first, '…', first]);
            rest = behind;
        } else if first.is_whitespace() {
            rest = rest.trim_start();
            out.push(' ');
        } else if is_break(first) {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            out.push(first);
        } else {
            let (word, behind) = rest.split_at(rest.find(is_break).unwrap_or(rest.len()));
            out.push_str(if varies(word) { "#" } else { word });
            rest = behind;
        }
    }
    let end = (0..=CAUSE_BYTES_MAX)
        .rev()
        .find(|at| out.is_char_boundary(*at));
    out.truncate(end.unwrap_or(0));
    out
}

/// What comes behind a text in quotes, if one begins here. An apostrophe within a word is none.
fn quoted<'a>(before: &str, rest: &'a str, quote: char) -> Option<&'a str> {
    let is_quote = matches!(quote, '"' | '\'' | '`');
    let begins = before.chars().next_back().is_none_or(is_break);
    if !is_quote || !begins {
        return None;
    }
    let inner = rest.get(1..)?;
    inner.match_indices(quote).find_map(|(at, _)| {
        let behind = inner.get(at + 1..)?;
        let ends = behind.chars().next().is_none_or(is_break);
        ends.then_some(behind)
    })
}

fn is_break(c: char) -> bool {
    c.is_whitespace() || ",;:()[]{}<>=/'\"`".contains(c)
}

/// Whether a word is a number, an id or the like.
fn varies(word: &str) -> bool {
    let is_code = word
        .strip_prefix("HN")
        .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()));
    let is_hex = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    !is_code && (is_hex || word.bytes().any(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
