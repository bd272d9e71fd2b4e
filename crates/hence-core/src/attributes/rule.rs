//! The rules of CloudEvents 1.0.2 for the values of attributes.

use crate::envelope::{
    CAUSATION, CORRELATION, DATA_VERSION, DELIVER_AT, DEPTH, EXPIRY, KEY, NAME_LENGTH_MAX, Value,
};
use crate::error::{Code, Result};
use crate::time::Timestamp;

/// What almost every event has as its media type.
const JSON: &str = "application/json";

pub(super) fn is_json(media_type: &str) -> bool {
    if media_type == JSON {
        return true;
    }
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn invalid<T>(detail: impl Into<String>) -> Result<T> {
    Err(Code::ATTRIBUTE.error(detail.into()))
}

pub(super) fn version(text: &str) -> Result<()> {
    match text {
        "1.0" => Ok(()),
        _ => invalid("specversion must be '1.0'"),
    }
}

/// The rule for CloudEvents strings: not empty, no control characters, no noncharacters.
pub(super) fn text(name: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return invalid(format!("attribute '{name}' is empty"));
    }
    characters(name, text)
}

fn characters(name: &str, text: &str) -> Result<()> {
    // Almost every attribute is plain ASCII; only others are looked at character by character.
    if is_plain(text.as_bytes()) {
        return Ok(());
    }
    match text.chars().find(|c| is_forbidden(*c)) {
        None => Ok(()),
        Some(bad) => {
            let code = u32::from(bad);
            invalid(format!(
                "attribute '{name}' holds the character U+{code:04X}"
            ))
        }
    }
}

/// Whether all bytes are from 0x20 to 0x7E; eight are looked at in one go.
fn is_plain(bytes: &[u8]) -> bool {
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // Borrows and carries go from one byte to the next only where a byte is not plain anyway.
    let odd = |eight: [u8; 8]| {
        let word = u64::from_ne_bytes(eight);
        let low = word.wrapping_sub(u64::from_ne_bytes([0x20; 8])) & !word;
        let high = word.wrapping_add(u64::from_ne_bytes([1; 8])) | word;
        (low | high) & HIGH
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [b' '; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    words.iter().fold(odd(last), |all, word| all | odd(*word)) == 0
}

fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// The bytes that no URI-reference has, one bit for each; every event has one to look at.
const ODD: u128 = 1 << b' '
    | 1 << b'<'
    | 1 << b'>'
    | 1 << b'"'
    | 1 << b'{'
    | 1 << b'}'
    | 1 << b'|'
    | 1 << b'\\'
    | 1 << b'^'
    | 1 << b'`';

pub(super) fn uri_reference(name: &str, reference: &str) -> Result<()> {
    text(name, reference)?;
    if reference
        .bytes()
        .any(|byte| byte < 128 && ODD >> byte & 1 == 1)
    {
        return invalid(format!(
            "attribute '{name}' is not a URI-reference: '{reference}'"
        ));
    }
    Ok(())
}

pub(super) fn absolute_uri(name: &str, uri: &str) -> Result<()> {
    uri_reference(name, uri)?;
    let scheme = uri.split(':').next().unwrap_or_default();
    let is_scheme = uri.contains(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if is_scheme {
        Ok(())
    } else {
        invalid(format!("attribute '{name}' is not an absolute URI"))
    }
}

pub(super) fn media_type(name: &str, media_type: &str) -> Result<()> {
    if media_type == JSON {
        return Ok(());
    }
    text(name, media_type)?;
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let whole = essence
        .split_once('/')
        .is_some_and(|(kind, sub)| !kind.is_empty() && !sub.is_empty());
    if whole {
        Ok(())
    } else {
        invalid(format!(
            "attribute '{name}' is not a media type: '{media_type}'"
        ))
    }
}

pub(super) fn extension(name: &str, value: &Value<'_>) -> Result<()> {
    // Our own need not be looked at, and are set for each event.
    let is_ours = matches!(name, KEY | CAUSATION | CORRELATION | DEPTH | DATA_VERSION);
    let shape = is_ours
        || !name.is_empty()
            && name.len() <= NAME_LENGTH_MAX
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !shape || name == "data" {
        return invalid(format!(
            "'{name}' cannot be the name of an attribute: use 1 to {NAME_LENGTH_MAX} of a-z and 0-9"
        ));
    }
    let Value::String(value) = value else {
        return Ok(());
    };
    if matches!(name, KEY | CAUSATION | CORRELATION) {
        return text(name, value);
    }
    if matches!(name, DELIVER_AT | EXPIRY | "recordedtime") {
        return Timestamp::parse(value).map(drop);
    }
    characters(name, value)
}
