//! The compact form in which journals keep a message.
//!
//! ```text
//! version u8 = 1
//! flags   u8   1 subject  2 time  4 datacontenttype  8 dataschema  16 data
//! id, source, type, then each present optional attribute: varint length, UTF-8
//! varint count of extensions, each: name, tag u8 (0 false, 1 true, 2 integer, 3 text), value
//! data: the rest
//! ```

use bytes::{Buf, BufMut, Bytes};

use crate::attributes::Attributes;
use crate::envelope::Value;
use crate::error::{Code, Error, Result};
use crate::message::Message;

const VERSION: u8 = 1;
const SUBJECT: u8 = 1;
const TIME: u8 = 2;
const CONTENT_TYPE: u8 = 4;
const SCHEMA: u8 = 8;
const DATA: u8 = 16;
const OPTIONAL: [(u8, &str); 4] = [
    (SUBJECT, "subject"),
    (TIME, "time"),
    (CONTENT_TYPE, "datacontenttype"),
    (SCHEMA, "dataschema"),
];

/// Appends the compact form of `message` to `out`.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    let attributes = message.attributes();
    let optional = [
        (SUBJECT, attributes.subject()),
        (TIME, attributes.time()),
        (CONTENT_TYPE, attributes.datacontenttype()),
        (SCHEMA, attributes.dataschema()),
    ];
    let present = |(flag, value): &(u8, Option<&str>)| value.map_or(0, |_| *flag);
    let flags: u8 = optional.iter().map(present).sum();
    out.put_u8(VERSION);
    out.put_u8(flags | if message.data().is_some() { DATA } else { 0 });
    put_text(out, attributes.id());
    put_text(out, attributes.source());
    put_text(out, attributes.event_type());
    for (_, value) in optional {
        if let Some(value) = value {
            put_text(out, value);
        }
    }
    put_varint(out, attributes.extensions().len() as u64);
    for (name, value) in attributes.extensions() {
        put_text(out, name);
        match value {
            Value::Boolean(flag) => out.put_u8(u8::from(flag)),
            Value::Integer(number) => {
                out.put_u8(2);
                out.put_i32_le(number);
            }
            Value::String(text) => {
                out.put_u8(3);
                put_text(out, &text);
            }
        }
    }
    if let Some(data) = message.data() {
        out.extend_from_slice(data);
    }
}

/// Reads the compact form; the data shares the memory of `bytes`.
///
/// # Errors
/// `HN0206` when the bytes are not what [`encode`] wrote.
pub fn decode(mut bytes: Bytes) -> Result<Message> {
    let mut rest = &*bytes;
    let (attributes, has_data) = decode_attributes(&mut rest)?;
    let head = bytes.len() - rest.len();
    let data = has_data.then(|| bytes.split_off(head));
    Ok(Message::new(attributes, data))
}

/// Reads the type of a message and nothing else of it.
///
/// # Errors
/// As [`decode`], as far as it has to read.
pub fn event_type(mut bytes: &[u8]) -> Result<&str> {
    let buf = &mut bytes;
    get_flags(buf)?;
    let (_id, _source, event_type) = (get_str(buf)?, get_str(buf)?, get_str(buf)?);
    Ok(event_type)
}

/// Reads the attributes that are texts, in the order in which they stand, and no other.
///
/// # Errors
/// As [`decode`], but for what an attribute must not say.
pub fn texts(mut bytes: &[u8], mut each: impl FnMut(&str, &str)) -> Result<()> {
    let buf = &mut bytes;
    let flags = get_flags(buf)?;
    for name in ["id", "source", "type"] {
        each(name, get_str(buf)?);
    }
    for (flag, name) in OPTIONAL {
        if flags & flag != 0 {
            each(name, get_str(buf)?);
        }
    }
    for _ in 0..get_varint(buf)? {
        let name = get_str(buf)?;
        if let Value::String(text) = get_value(buf)? {
            each(name, &text);
        }
    }
    Ok(())
}

/// Reads the version, which must be the one that is known, and the flags.
fn get_flags(buf: &mut &[u8]) -> Result<u8> {
    let version = buf.try_get_u8().map_err(|_| damaged())?;
    let flags = buf.try_get_u8().map_err(|_| damaged())?;
    if version != VERSION {
        return Err(Code::FORMAT.error(format!("message of version {version}")));
    }
    Ok(flags)
}

/// Reads everything before the data, and whether there is data.
fn decode_attributes(buf: &mut &[u8]) -> Result<(Attributes, bool)> {
    let flags = get_flags(buf)?;
    let (id, source, event_type) = (get_str(buf)?, get_str(buf)?, get_str(buf)?);
    let mut attributes = Attributes::new(id, source, event_type)?;
    for (flag, name) in OPTIONAL {
        if flags & flag != 0 {
            attributes.set(name, get_str(buf)?)?;
        }
    }
    for _ in 0..get_varint(buf)? {
        let name = get_str(buf)?;
        attributes.set(name, get_value(buf)?)?;
    }
    Ok((attributes, flags & DATA != 0))
}

/// Reads the value of an extension attribute.
fn get_value<'a>(buf: &mut &'a [u8]) -> Result<Value<'a>> {
    Ok(match buf.try_get_u8().map_err(|_| damaged())? {
        0 => Value::Boolean(false),
        1 => Value::Boolean(true),
        2 => Value::Integer(buf.try_get_i32_le().map_err(|_| damaged())?),
        3 => Value::from(get_str(buf)?),
        _ => return Err(damaged()),
    })
}

fn damaged() -> Error {
    Code::CORRUPT.error("a stored message does not have the form of one")
}

/// Appends an unsigned number, seven bits a byte, least first.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Reads what [`put_varint`] wrote.
///
/// # Errors
/// `HN0206` when the bytes end early or go on too long.
pub fn get_varint(buf: &mut impl Buf) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = buf.try_get_u8().map_err(|_| damaged())?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(damaged())
}

/// Appends a text behind its length.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what [`put_text`] wrote.
///
/// # Errors
/// `HN0206` when the bytes end early or are not UTF-8.
pub fn get_text(buf: &mut Bytes) -> Result<String> {
    let length = usize::try_from(get_varint(buf)?).map_err(|_| damaged())?;
    if buf.len() < length {
        return Err(damaged());
    }
    let bytes = buf.split_to(length);
    std::str::from_utf8(&bytes)
        .map(str::to_owned)
        .map_err(|_| damaged())
}

/// As [`get_text`], from memory that stays.
fn get_str<'a>(buf: &mut &'a [u8]) -> Result<&'a str> {
    let length = usize::try_from(get_varint(buf)?).map_err(|_| damaged())?;
    let (text, rest) = buf.split_at_checked(length).ok_or_else(damaged)?;
    *buf = rest;
    std::str::from_utf8(text).map_err(|_| damaged())
}
