//! CloudEvents 1.0.2 over HTTP: binary, structured and batch mode. Strict out, tolerant in.

use bytes::Bytes;
use hence::core::{Attributes, Message};
use hyper::HeaderMap;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::limits::check_depth;
use super::problem::{Code, Problem, not_a_cloudevent};
use super::query::percent_decode;

/// The media type of one structured event.
pub(crate) const STRUCTURED: &str = "application/cloudevents+json";
/// The media type of a batch.
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";
/// What `/v1/events` takes, as the header `Accept-Post` says it.
const ACCEPTED: &str = "application/cloudevents+json, application/cloudevents-batch+json, */*";
/// How header names of attributes begin.
const PREFIX: &str = "ce-";

/// How events stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Attributes in headers, data in the body.
    Binary,
    /// One event as JSON.
    Structured,
    /// An array of events as JSON.
    Batch,
}

/// The header `Accept-Post`, with which the gateway solicits batches.
pub(crate) fn accept_post() -> (HeaderName, HeaderValue) {
    (
        HeaderName::from_static("accept-post"),
        HeaderValue::from_static(ACCEPTED),
    )
}

/// The mode that the headers announce.
///
/// # Errors
/// `HN4151` for a format of CloudEvents that is not JSON.
pub(crate) fn mode(headers: &HeaderMap) -> Result<Mode, Problem> {
    let Some(whole) = content_type(headers)? else {
        return Ok(Mode::Binary);
    };
    let mut parts = whole.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    // The batch comes first, because its name begins with that of the single event.
    let (mode, json) = if essence.starts_with("application/cloudevents-batch") {
        (Mode::Batch, essence == BATCH)
    } else if essence.starts_with("application/cloudevents") {
        let bare = essence == "application/cloudevents";
        (Mode::Structured, bare || essence == STRUCTURED)
    } else {
        return Ok(Mode::Binary);
    };
    let other_charset = parts
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .any(|(_, set)| !set.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
    if !json || other_charset {
        return Err(media_type(format!("'{whole}' is not understood"))
            .hint("CloudEvents are taken as JSON in UTF-8, or in binary mode"));
    }
    Ok(mode)
}

/// `HN4151` with what is taken.
pub(crate) fn media_type(detail: impl Into<String>) -> Problem {
    let (name, value) = accept_post();
    Code::MEDIA_TYPE.problem(detail).header(name, value)
}

/// The media type of a body, as it was written.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(None);
    };
    let text = value.to_str().map(str::trim);
    text.map(|text| Some(text).filter(|text| !text.is_empty()))
        .map_err(|_| media_type("the Content-Type is not text"))
}

/// Reads one structured event.
pub(crate) fn structured(json: &[u8]) -> Result<Message, Problem> {
    check_json(json)?;
    hence::core::codec::json::from_slice(json).map_err(|error| not_a_cloudevent(error.detail()))
}

/// One event of a batch, and its size in bytes.
pub(crate) type Sized = (usize, Result<Message, Problem>);

/// Reads a batch: each event on its own.
pub(crate) fn batch(json: &[u8]) -> Result<Vec<Sized>, Problem> {
    check_json(json)?;
    let items: Vec<&RawValue> = serde_json::from_slice(json)
        .map_err(|_| Code::NOT_A_CLOUDEVENT.problem("a batch is a JSON array of CloudEvents"))?;
    let read = |item: &&RawValue| {
        let json = item.get().as_bytes();
        let message = hence::core::codec::json::from_slice(json);
        (
            json.len(),
            message.map_err(|error| not_a_cloudevent(error.detail())),
        )
    };
    Ok(items.iter().map(read).collect())
}

/// Checks that bytes are JSON that does not nest too deep.
pub(crate) fn check_json(json: &[u8]) -> Result<(), Problem> {
    check_depth(json)?;
    serde_json::from_slice::<serde::de::IgnoredAny>(json)
        .map(drop)
        .map_err(|error| Code::MALFORMED.problem(format!("the body is not JSON: {error}")))
}

/// Reads an event in binary mode.
///
/// # Errors
/// `HN4001` when the headers are not those of a CloudEvent.
pub(crate) fn binary(headers: &HeaderMap, body: Bytes) -> Result<Message, Problem> {
    let found = attributes(headers)?;
    let required = |wanted: &str| {
        let value = found.iter().find(|(name, _)| name == wanted);
        value.map(|(_, text)| text.clone()).ok_or_else(|| {
            not_a_cloudevent(&format!(
                "attribute '{wanted}' is missing (header 'ce-{wanted}')"
            ))
        })
    };
    let version = required("specversion")?;
    if version != "1.0" {
        let detail = format!("attribute 'specversion' is '{version}', only '1.0' is understood");
        return Err(not_a_cloudevent(&detail));
    }
    let mut attributes = Attributes::new(required("id")?, required("source")?, required("type")?)?;
    set_all(
        &mut attributes,
        &found,
        &["specversion", "id", "source", "type"],
    )?;
    if let Some(media_type) = content_type(headers)? {
        attributes.set("datacontenttype", media_type)?;
    }
    let data = Some(body).filter(|body| !body.is_empty());
    Ok(Message::new(attributes, data))
}

/// Sets what headers say, but for some names.
pub(crate) fn set_all(
    attributes: &mut Attributes,
    found: &[(String, String)],
    except: &[&str],
) -> Result<(), Problem> {
    for (name, text) in found {
        if !except.contains(&name.as_str()) {
            attributes.set(name, text.as_str())?;
        }
    }
    Ok(())
}

/// The attributes that stand in headers, decoded.
///
/// # Errors
/// `HN4001` when a value does not decode, stands twice, or is `ce-datacontenttype`.
pub(crate) fn attributes(headers: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    let mut found = Vec::new();
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        if attribute == "datacontenttype" {
            let detail = "attribute 'datacontenttype' stands in the header Content-Type, \
                          not in ce-datacontenttype";
            return Err(not_a_cloudevent(detail));
        }
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            let detail = format!("attribute '{attribute}' stands twice in the headers");
            return Err(not_a_cloudevent(&detail));
        };
        let text = decode(value.as_bytes()).ok_or_else(|| {
            let detail = format!("attribute '{attribute}' does not decode to UTF-8");
            not_a_cloudevent(&detail)
        })?;
        found.push((attribute.to_owned(), text));
    }
    Ok(found)
}

/// Writes an event in binary mode: its headers; the body is its data.
pub(crate) fn to_headers(message: &Message) -> HeaderMap {
    let attributes = message.attributes();
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, text: &str| {
        let name = HeaderName::try_from(format!("{PREFIX}{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(encode(text))) {
            headers.insert(name, value);
        }
    };
    put("specversion", "1.0");
    put("id", attributes.id());
    put("source", attributes.source());
    put("type", attributes.event_type());
    for (name, text) in [
        ("subject", attributes.subject()),
        ("time", attributes.time()),
        ("dataschema", attributes.dataschema()),
    ] {
        if let Some(text) = text {
            put(name, text);
        }
    }
    for (name, value) in attributes.extensions() {
        put(name, &value.to_text());
    }
    let media_type = attributes.datacontenttype().map(HeaderValue::try_from);
    if let Some(Ok(media_type)) = media_type {
        headers.insert(CONTENT_TYPE, media_type);
    }
    headers
}

/// Encodes the value of an attribute for a header: space, `"`, `%` and all outside U+0021–7E as
/// UTF-8 in `%XY`.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, 0x21..=0x7E) && byte != b'"' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Decodes the value of a header: quotes come off, then one round of percent-decoding; raw UTF-8 is
/// taken too. `None` when the result is not UTF-8.
pub(crate) fn decode(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    let unquoted = inner.map_or_else(|| value.to_vec(), unescape);
    String::from_utf8(percent_decode(&unquoted)).ok()
}

/// Takes the backslashes of a quoted string (RFC 7230) away.
fn unescape(quoted: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            byte => out.push(*byte),
        }
    }
    out
}

/// Whether a request takes a media type, and which of several it likes best: the first that it
/// names, or the first of ours when it takes anything.
///
/// # Errors
/// `HN4061` when it takes none of them.
pub(crate) fn accepted<'a>(headers: &HeaderMap, ours: &[&'a str]) -> Result<&'a str, Problem> {
    let mut wanted: Vec<(u32, String)> = Vec::new();
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range
                .split(';')
                .map(|part| part.trim().to_ascii_lowercase());
            let essence = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").and_then(|q| q.parse::<f64>().ok()))
                .unwrap_or(1.0);
            wanted.push(((weight.clamp(0.0, 1.0) * 1_000.0) as u32, essence));
        }
    }
    wanted.retain(|(weight, essence)| *weight > 0 && !essence.is_empty());
    wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let takes = |range: &str, ours: &str| {
        let family = range.strip_suffix("/*").unwrap_or("\0");
        range == "*/*" || range == ours || ours.split('/').next() == Some(family)
    };
    let best = wanted
        .iter()
        .find_map(|(_, range)| ours.iter().find(|ours| takes(range, ours)));
    match (best, ours.first()) {
        (Some(best), _) => Ok(best),
        (None, Some(first)) if wanted.is_empty() => Ok(first),
        _ => {
            Err(Code::NOT_ACCEPTABLE.problem(format!("this resource comes as {}", ours.join(", "))))
        }
    }
}
