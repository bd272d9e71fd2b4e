//! `Query`: the parameters of a request, percent-encoded.

use std::fmt::Write as _;

/// The parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(String);

impl Query {
    /// Adds a parameter.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        let _ = write!(self.0, "{name}={}", encode(value));
    }

    /// Adds a parameter if it has a value.
    pub(crate) fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The same parameters and one more.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut more = self.clone();
        more.add(name, value);
        more
    }

    /// As it stands behind the path: empty, or from `?` on.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text with everything but the unreserved characters of RFC 3986 percent-encoded, fit for a
/// path segment and for a value of a query.
pub(crate) fn encode(text: &str) -> String {
    encode_but(text, |byte| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
    })
}

/// The text as the value of a `ce-` header: space, `"`, `%` and all outside U+0021–7E encoded.
pub(crate) fn encode_header(text: &str) -> String {
    encode_but(text, |byte| {
        (0x21..=0x7e).contains(&byte) && byte != b'"' && byte != b'%'
    })
}

fn encode_but(text: &str, is_kept: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_kept(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
