//! `Idempotency-Key`: a request that is sent again is not done again.
//!
//! What is remembered are receipts, in bounded memory; what falls out of it is still absorbed by
//! the engine, because an event that is published under a key carries the key as its id.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hence::Receipt;
use hyper::HeaderMap;

use super::problem::{Code, Problem};

/// The longest key.
const KEY_BYTES_MAX: usize = 255;
/// Keys whose request may be running at a time.
const RUNNING_MAX: usize = 10_000;

/// What one event of a request came to.
pub(crate) type Stored = Result<Receipt, Problem>;

/// What makes a request: its resource, its attributes and its body, hashed.
pub(crate) type Fingerprint = [u8; 32];

/// A key and whose it is: the name of the token, then the key.
type Scope = (String, String);

/// The requests that are running or done, by key.
#[derive(Debug)]
pub(crate) struct Keys {
    inner: Mutex<Inner>,
    receipts_max: usize,
    window: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Scope, Known>,
    /// The keys that are done, oldest first.
    done: VecDeque<(Scope, Instant)>,
    receipts: usize,
    running: usize,
}

#[derive(Debug)]
struct Known {
    fingerprint: Fingerprint,
    /// Absent while the request is running.
    stored: Option<Vec<Stored>>,
}

/// A request that has the right to run under its key, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    keys: &'a Keys,
    scope: Option<Scope>,
}

/// What a key says about a request.
pub(crate) enum Turn<'a> {
    /// It is the first: do it.
    First(Claim<'a>),
    /// It was done; this is what came of it.
    Again(Vec<Stored>),
}

impl Keys {
    /// Keys that keep up to so many receipts, for up to so long.
    pub(crate) fn new(receipts_max: usize, window: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            receipts_max,
            window,
        }
    }

    /// Asks whether a request may run.
    ///
    /// # Errors
    /// `HN4091` while the first one runs, `HN4223` when it was another request.
    pub(crate) fn turn(
        &self,
        caller: &str,
        key: &str,
        fingerprint: Fingerprint,
    ) -> Result<Turn<'_>, Problem> {
        let scope = (caller.to_owned(), key.to_owned());
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget(self.window, self.receipts_max);
        if let Some(known) = inner.known.get(&scope) {
            if known.fingerprint != fingerprint {
                return Err(Code::KEY_REUSED
                    .problem(format!("the key '{key}' was used for another request"))
                    .hint("a key names one request: take a new key for a new one"));
            }
            return known.stored.clone().map(Turn::Again).ok_or_else(|| {
                let detail = format!("the first request with the key '{key}' is still running");
                Code::KEY_RUNNING
                    .problem(detail)
                    .hint("ask again in a moment")
            });
        }
        if inner.running >= RUNNING_MAX {
            let detail = format!("{RUNNING_MAX} requests with a key are running");
            return Err(Code::OVERLOADED.problem(detail));
        }
        let stored = None;
        inner.known.insert(
            scope.clone(),
            Known {
                fingerprint,
                stored,
            },
        );
        inner.running += 1;
        let scope = Some(scope);
        Ok(Turn::First(Claim { keys: self, scope }))
    }
}

impl Inner {
    /// Drops what is too old or too much.
    fn forget(&mut self, window: Duration, receipts_max: usize) {
        while let Some((_, since)) = self.done.front() {
            if self.receipts <= receipts_max && since.elapsed() < window {
                return;
            }
            if let Some((scope, _)) = self.done.pop_front() {
                let known = self.known.remove(&scope).and_then(|known| known.stored);
                self.receipts -= known.map_or(0, |stored| stored.len().max(1));
            }
        }
    }
}

impl Claim<'_> {
    /// Remembers what came of the request.
    pub(crate) fn done(mut self, stored: &[Stored]) {
        let Some(scope) = self.scope.take() else {
            return;
        };
        let mut inner = self
            .keys
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        inner.running -= 1;
        if let Some(known) = inner.known.get_mut(&scope) {
            let alone = |stored: &Stored| stored.as_ref().map(Receipt::alone).map_err(Clone::clone);
            known.stored = Some(stored.iter().map(alone).collect());
            inner.receipts += stored.len().max(1);
            inner.done.push_back((scope, Instant::now()));
        }
        inner.forget(self.keys.window, self.keys.receipts_max);
    }
}

/// A request that failed, or whose client went away, leaves its key free.
impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(scope) = self.scope.take() {
            let mut inner = self
                .keys
                .inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            inner.running -= 1;
            inner.known.remove(&scope);
        }
    }
}

/// The key of a request: a structured-field string (`"k-17"`) or a bare token.
///
/// # Errors
/// `HN4003` when it is neither, or not of 1 to 255 visible characters.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    text(headers, "Idempotency-Key", "\"k-17\"")
}

/// The text of a header: a string of structured fields, or the bare text.
pub(super) fn text(
    headers: &HeaderMap,
    name: &str,
    example: &str,
) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let bad = |reason: &str| {
        Code::MALFORMED
            .problem(format!("the {name} {reason}"))
            .hint(format!("write {name}: {example}"))
    };
    if values.next().is_some() {
        return Err(bad("stands twice"));
    }
    let text = value.to_str().map_err(|_| bad("is not ASCII"))?.trim();
    let text = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => unquote(rest).ok_or_else(|| bad("has no end of its quotes"))?,
    };
    let visible = text.bytes().all(|byte| matches!(byte, 0x21..=0x7E));
    if !visible || !(1..=KEY_BYTES_MAX).contains(&text.len()) {
        return Err(bad(&format!(
            "must have 1 to {KEY_BYTES_MAX} visible characters"
        )));
    }
    Ok(Some(text))
}

/// The inside of a structured-field string, from behind its first quote (RFC 8941 §3.3.3).
fn unquote(text: &str) -> Option<String> {
    let mut key = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '\\' => key.push(rest.next().filter(|c| "\"\\".contains(*c))?),
            '"' => break,
            c => key.push(c),
        }
    }
    // Parameters may follow a structured field; none is known, so they say nothing.
    let end = rest.as_str().trim_start();
    (end.is_empty() || end.starts_with(';')).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(id: &str) -> Stored {
        let attributes = hence::core::Attributes::new(id, "/s", "t").unwrap();
        let message = hence::core::Message::new(attributes, None);
        Ok(Receipt::new(message, None, hence::Durability::Synced))
    }

    fn first<'a>(keys: &'a Keys, key: &str) -> Claim<'a> {
        match keys.turn("me", key, [0; 32]).unwrap() {
            Turn::First(claim) => claim,
            Turn::Again(_) => panic!("'{key}' was known"),
        }
    }

    #[test]
    fn a_key_runs_once_and_is_free_again_after_a_failure() {
        let keys = Keys::new(10, Duration::from_secs(60));
        let claim = first(&keys, "k");
        assert_eq!(
            keys.turn("me", "k", [0; 32]).err().unwrap().code(),
            Code::KEY_RUNNING
        );
        drop(claim);
        first(&keys, "k").done(&[receipt("k")]);
        assert!(
            matches!(keys.turn("me", "k", [0; 32]), Ok(Turn::Again(stored)) if stored.len() == 1)
        );
        assert_eq!(
            keys.turn("me", "k", [1; 32]).err().unwrap().code(),
            Code::KEY_REUSED
        );
        assert!(matches!(keys.turn("you", "k", [1; 32]), Ok(Turn::First(_))));
    }

    #[test]
    fn memory_is_bounded_by_receipts() {
        let keys = Keys::new(3, Duration::from_secs(60));
        for number in 0..100 {
            first(&keys, &number.to_string()).done(&[receipt("a"), receipt("b")]);
        }
        let inner = keys.inner.lock().unwrap();
        assert!(inner.receipts <= 3 && inner.known.len() == 1, "{inner:?}");
    }

    #[test]
    fn keys_are_read_as_strings_or_tokens() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", text.parse().unwrap());
            key(&headers)
                .map(Option::unwrap)
                .map_err(|problem| problem.code())
        };
        assert_eq!(read("\"k-17\"").unwrap(), "k-17");
        assert_eq!(read("k-17").unwrap(), "k-17");
        assert_eq!(read(r#""a\"b";x=1"#).unwrap(), "a\"b");
        for bad in ["\"k", "\"\"", "a b", "\"a\\b\""] {
            assert_eq!(read(bad).unwrap_err(), Code::MALFORMED, "{bad}");
        }
    }
}
