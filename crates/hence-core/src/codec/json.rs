//! The CloudEvents JSON format 1.0.2: one event, or a batch as an array.
//!
//! What comes in is kept as it came: JSON data stays the same bytes, extensions keep their type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::attributes::Attributes;
use crate::envelope::Value;
use crate::error::{Code, Error, Result};
use crate::message::Message;

/// Reads one structured event.
///
/// # Errors
/// `HN0102` when it is not a CloudEvent; the message names the attribute.
pub fn from_slice(json: &[u8]) -> Result<Message> {
    let members: Members<'_> = serde_json::from_slice(json).map_err(|error| not_json(&error))?;
    read(&members)
}

/// Reads a batch: a JSON array of structured events.
///
/// # Errors
/// The index of the first event that is not a CloudEvent, and why. The index is absent when the
/// whole is not an array of objects.
pub fn batch_from_slice(json: &[u8]) -> Result<Vec<Message>, (Option<usize>, Error)> {
    let items: Vec<&RawValue> =
        serde_json::from_slice(json).map_err(|error| (None, not_json(&error)))?;
    let read_one = |(index, item): (usize, &&RawValue)| {
        from_slice(item.get().as_bytes()).map_err(|error| (Some(index), error))
    };
    items.iter().enumerate().map(read_one).collect()
}

/// Writes one structured event.
#[must_use]
pub fn to_vec(message: &Message) -> Vec<u8> {
    serde_json::to_vec(&Structured(message, &[])).expect("strings and raw JSON always serialise")
}

/// A message that serialises as a structured event, with further extension members behind it.
pub struct Structured<'a>(pub &'a Message, pub &'a [(&'a str, &'a str)]);

#[derive(Deserialize)]
#[serde(transparent)]
struct Members<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

fn not_json(error: &serde_json::Error) -> Error {
    Code::NOT_A_CLOUDEVENT.error(format!("not a JSON object of a CloudEvent: {error}"))
}

fn bad(detail: String) -> Error {
    Code::NOT_A_CLOUDEVENT.error(detail)
}

fn read(members: &Members<'_>) -> Result<Message> {
    let text = |name: &str| -> Result<Option<String>> {
        match members.0.get(name) {
            None => Ok(None),
            Some(raw) if raw.get() == "null" => Ok(None),
            Some(raw) => serde_json::from_str(raw.get())
                .map(Some)
                .map_err(|_| bad(format!("attribute '{name}' must be a string"))),
        }
    };
    let required = |name: &str| -> Result<String> {
        text(name)?.ok_or_else(|| bad(format!("attribute '{name}' is missing")))
    };
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(bad(format!(
            "specversion is '{version}', only '1.0' is understood"
        )));
    }
    let as_bad = |error: Error| bad(error.detail().to_owned());
    let (id, source, event_type) = (required("id")?, required("source")?, required("type")?);
    let mut attributes = Attributes::new(id, source, event_type).map_err(as_bad)?;
    for (name, raw) in &members.0 {
        if matches!(
            &**name,
            "specversion" | "id" | "source" | "type" | "data" | "data_base64"
        ) {
            continue;
        }
        if let Some(value) = value(name, raw.get())? {
            attributes.set(name, value).map_err(as_bad)?;
        }
    }
    let data = data(members, attributes.has_json_data())?;
    Ok(Message::new(attributes, data))
}

fn value(name: &str, json: &str) -> Result<Option<Value<'static>>> {
    let value =
        serde_json::from_str::<serde_json::Value>(json).map_err(|error| not_json(&error))?;
    match value {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::Bool(flag) => Ok(Some(Value::Boolean(flag))),
        serde_json::Value::String(text) => Ok(Some(Value::from(text))),
        serde_json::Value::Number(number) => number
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .map(|number| Some(Value::Integer(number)))
            .ok_or_else(|| {
                bad(format!(
                    "attribute '{name}' is not a 32-bit integer: {number}"
                ))
            }),
        _ => Err(bad(format!(
            "attribute '{name}' must be a string, an integer or a boolean"
        ))),
    }
}

fn data(members: &Members<'_>, is_json: bool) -> Result<Option<Bytes>> {
    let present = |name: &str| members.0.get(name).filter(|raw| raw.get() != "null");
    match (members.0.get("data"), present("data_base64")) {
        (Some(_), Some(_)) => Err(bad("both 'data' and 'data_base64' are present".into())),
        (None, None) => Ok(None),
        (None, Some(raw)) => {
            let text: String = serde_json::from_str(raw.get())
                .map_err(|_| bad("'data_base64' must be a string".into()))?;
            let bytes = BASE64
                .decode(text)
                .map_err(|error| bad(format!("'data_base64' is not base64: {error}")))?;
            Ok(Some(bytes.into()))
        }
        (Some(raw), None) if is_json => Ok(Some(Bytes::copy_from_slice(raw.get().as_bytes()))),
        (Some(raw), None) if raw.get() == "null" => Ok(None),
        // Text under another media type travels as a JSON string; anything else is JSON all the same.
        (Some(raw), None) => match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Ok(Some(Bytes::copy_from_slice(raw.get().as_bytes()))),
        },
    }
}

impl Serialize for Structured<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attributes = self.0.attributes();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", attributes.id())?;
        map.serialize_entry("source", attributes.source())?;
        map.serialize_entry("type", attributes.event_type())?;
        let optional = [
            ("subject", attributes.subject()),
            ("time", attributes.time()),
            ("datacontenttype", attributes.datacontenttype()),
            ("dataschema", attributes.dataschema()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in attributes.extensions() {
            match value {
                Value::Boolean(flag) => map.serialize_entry(name, &flag)?,
                Value::Integer(number) => map.serialize_entry(name, &number)?,
                Value::String(text) => map.serialize_entry(name, &text)?,
            }
        }
        for (name, text) in self.1 {
            map.serialize_entry(name, text)?;
        }
        if let Some(data) = self.0.data() {
            write_data(&mut map, attributes.has_json_data(), data)?;
        }
        map.end()
    }
}

fn write_data<M: SerializeMap>(map: &mut M, is_json: bool, data: &Bytes) -> Result<(), M::Error> {
    if is_json {
        // Borrowed as it stands: JSON data leaves with the bytes with which it came.
        if let Ok(raw) = serde_json::from_slice::<&RawValue>(data) {
            return map.serialize_entry("data", raw);
        }
    } else if let Ok(text) = std::str::from_utf8(data) {
        return map.serialize_entry("data", text);
    }
    map.serialize_entry("data_base64", &BASE64.encode(data))
}
