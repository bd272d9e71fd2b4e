//! Query strings: every parameter is known, decodes, and stands once; anything else is an error.

use std::str::FromStr;
use std::time::Duration;

use hence::core::{Filter, Timestamp};
use hyper::Uri;

use super::problem::{Code, Problem};
use super::suggest::did_you_mean;
use crate::config::value;

/// The parameters that filter events, the same everywhere.
pub(crate) const FILTER: [&str; 10] = [
    "type",
    "typeprefix",
    "source",
    "id",
    "subject",
    "key",
    "correlationid",
    "causationid",
    "since",
    "until",
];
/// The parameters that may stand more than once; each further one widens the filter.
const REPEATABLE: [&str; 2] = ["type", "typeprefix"];

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a URL; `known` lists what may stand there.
    ///
    /// # Errors
    /// `HN4002` for an unknown parameter, `HN4003` for one that does not decode or repeats.
    pub(crate) fn of(uri: &Uri, known: &[&[&str]]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let raw = uri.query().unwrap_or_default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, text) = (decode(name)?, decode(text)?);
            let listed = || known.iter().flat_map(|names| names.iter().copied());
            if !listed().any(|known| known == name) {
                let near = did_you_mean(&name, listed());
                let allowed: Vec<_> = listed().collect();
                return Err(Code::UNKNOWN
                    .problem(format!(
                        "'{name}' is not a parameter of this resource{near}"
                    ))
                    .hint(match allowed.as_slice() {
                        [] => "it takes no parameters".to_owned(),
                        names => format!("it takes {}", names.join(", ")),
                    }));
            }
            if pairs.iter().any(|(other, _)| *other == name) && !REPEATABLE.contains(&&*name) {
                return Err(Code::MALFORMED.problem(format!("'{name}' stands twice in the URL")));
            }
            pairs.push((name, text));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, text)| text.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(known, _)| known == name);
        found.map(|(_, text)| text.clone()).collect()
    }

    /// A number or another value that reads from text.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| malformed(name, text, &format!("is not {what}")))
        };
        self.text(name).map(read).transpose()
    }

    /// A moment.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.text(name).map(|text| time(name, text)).transpose()
    }

    /// A duration such as `10s`.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, Problem> {
        let read =
            |text: &str| value::duration(text).map_err(|error| malformed(name, text, &error));
        self.text(name).map(read).transpose()
    }

    /// `true` or `false`; absent is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        self.one_of(name, &["true", "false"])
            .map(|flag| flag == Some("true"))
    }

    /// One of some words.
    pub(crate) fn one_of<'a>(
        &self,
        name: &str,
        words: &[&'a str],
    ) -> Result<Option<&'a str>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let found = words.iter().find(|word| **word == text).copied();
        let reason = || {
            let near = did_you_mean(text, words.iter().copied());
            format!("is not one of {}{near}", words.join(", "))
        };
        found
            .map(Some)
            .ok_or_else(|| malformed(name, text, &reason()))
    }

    /// The filter that the parameters of [`FILTER`] describe.
    pub(crate) fn filter(&self) -> Result<Filter, Problem> {
        let text = |name| self.text(name).map(str::to_owned);
        Ok(Filter {
            types: self.texts("type"),
            type_prefixes: self.texts("typeprefix"),
            source: text("source"),
            id: text("id"),
            subject: text("subject"),
            key: text("key"),
            correlation_id: text("correlationid"),
            causation_id: text("causationid"),
            since: self.time("since")?,
            until: None,
        })
    }

    /// The query with one parameter set anew, encoded.
    pub(crate) fn with(&self, name: &str, text: &str) -> String {
        let others = self.0.iter().filter(|(known, _)| known != name);
        let pairs = others.map(|(name, text)| (name.as_str(), text.as_str()));
        let all: Vec<_> = pairs
            .chain([(name, text)])
            .map(|(name, text)| format!("{}={}", encode(name), encode(text)))
            .collect();
        all.join("&")
    }
}

/// `HN4003` about a parameter.
pub(crate) fn malformed(name: &str, text: &str, reason: &str) -> Problem {
    Code::MALFORMED.problem(format!("'{name}': '{text}' {reason}"))
}

/// A moment; a `+` of the offset that the URL turned into a space counts as `+`.
pub(crate) fn time(name: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(&text.replace(' ', "+")).map_err(|_| {
        malformed(
            name,
            text,
            "is not an RFC 3339 time such as 2026-11-20T10:00:00Z",
        )
    })
}

/// Decodes one name or value of a query: `+` is a space, `%XY` a byte, all of it UTF-8.
fn decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let bytes = percent_decode(spaced.as_bytes());
    String::from_utf8(bytes).map_err(|_| {
        Code::MALFORMED.problem(format!("'{text}' in the URL does not decode to UTF-8"))
    })
}

/// One round of percent-decoding; a `%` without two hex digits stays.
pub(crate) fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let digits = (hex(tail.first()), hex(tail.get(1)));
        if let (b'%', (Some(high), Some(low))) = (*first, digits) {
            out.push(u8::try_from(high * 16 + low).unwrap_or(u8::MAX));
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// Encodes one name or value of a query, or one segment of a path.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
