//! `Envelope<E>` and `Attributes`: CloudEvents 1.0.2 context beside the data.
//!
//! Attributes are kept as they came: extensions that Hence does not know travel unchanged, and
//! nothing is normalised.

use std::collections::BTreeMap;

use crate::error::{Code, Result};
use crate::time::Timestamp;

/// An event together with its attributes, for handlers that want both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<E> {
    /// Who, what, when: the CloudEvents attributes.
    pub attributes: Attributes,
    /// The event itself.
    pub data: E,
}

/// The value of an extension attribute.
///
/// The JSON format keeps booleans and integers apart from text; the other types of CloudEvents
/// (URI, time, binary) are text on every wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A 32-bit signed integer, as CloudEvents has it.
    Integer(i32),
    /// Anything else, in its canonical text.
    String(String),
}

impl Value {
    /// The canonical text of the value, as it stands in an HTTP header.
    #[must_use]
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Boolean(true) => "true".into(),
            Self::Boolean(false) => "false".into(),
            Self::Integer(number) => number.to_string().into(),
            Self::String(text) => text.as_str().into(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

/// The name of the extension that carries the ordering key.
pub const KEY: &str = "partitionkey";
/// The name of the extension that carries the id of the event that caused this one.
pub const CAUSATION: &str = "causationid";
/// The name of the extension that carries the id of the first event of a chain.
pub const CORRELATION: &str = "correlationid";
/// The name of the extension before whose time an event is not delivered.
pub const DELIVER_AT: &str = "deliverat";

/// The name of the extension after whose time an event is not handled any more.
pub const EXPIRY: &str = "expirytime";
/// The name of the extension that says how many events caused one another before this one.
pub const DEPTH: &str = "causationdepth";
/// The name of the extension that says how urgent an event is; more is sooner, and 0 is usual.
pub const PRIORITY: &str = "priority";

/// The longest extension name that is accepted; CloudEvents recommends at most 20 characters.
pub const NAME_LENGTH_MAX: usize = 64;

/// The context attributes of one CloudEvent; `specversion` is always `1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    id: String,
    source: String,
    event_type: String,
    subject: Option<String>,
    time: Option<String>,
    datacontenttype: Option<String>,
    dataschema: Option<String>,
    extensions: BTreeMap<String, Value>,
}

impl Attributes {
    /// The three attributes that every event must have.
    ///
    /// # Errors
    /// `HN0101` when one of them is empty or holds a control character.
    pub fn new(
        id: impl Into<String>,
        source: impl Into<String>,
        event_type: impl Into<String>,
    ) -> Result<Self> {
        let attributes = Self {
            id: id.into(),
            source: source.into(),
            event_type: event_type.into(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: BTreeMap::new(),
        };
        check_text("id", &attributes.id)?;
        check_uri_reference("source", &attributes.source)?;
        check_text("type", &attributes.event_type)?;
        Ok(attributes)
    }

    /// The id, unique together with the source.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The URI-reference of what brought the event in.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type, for example `shop.order.placed`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// What the event is about, within its source.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When it happened, as it was written (RFC 3339).
    #[must_use]
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// The media type of the data; absent means `application/json`.
    #[must_use]
    pub fn datacontenttype(&self) -> Option<&str> {
        self.datacontenttype.as_deref()
    }

    /// The URI of the schema of the data.
    #[must_use]
    pub fn dataschema(&self) -> Option<&str> {
        self.dataschema.as_deref()
    }

    /// One extension attribute.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&Value> {
        self.extensions.get(name)
    }

    /// All extension attributes, by name.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.extensions
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// The ordering key (`partitionkey`), if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.text(KEY)
    }

    /// The id of the event that caused this one.
    #[must_use]
    pub fn causation_id(&self) -> Option<&str> {
        self.text(CAUSATION)
    }

    /// The id of the first event of the chain that this one belongs to.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.text(CORRELATION)
    }

    /// The moment before which the event is not delivered.
    #[must_use]
    pub fn deliver_at(&self) -> Option<Timestamp> {
        self.text(DELIVER_AT)
            .and_then(|text| Timestamp::parse(text).ok())
    }

    /// The moment after which the event is not handled any more.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.text(EXPIRY)
            .and_then(|text| Timestamp::parse(text).ok())
    }

    /// How many events caused one another before this one; 0 for what no handler has emitted.
    #[must_use]
    pub fn causation_depth(&self) -> u32 {
        u32::try_from(self.integer(DEPTH)).unwrap_or(0)
    }

    /// How urgent it is; more is sooner.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.integer(PRIORITY)
    }

    /// Whether the data is JSON: the media type is absent, `…/json` or `…+json`.
    #[must_use]
    pub fn has_json_data(&self) -> bool {
        self.datacontenttype.as_deref().is_none_or(is_json)
    }

    /// Sets any attribute by its CloudEvents name, extension or not.
    ///
    /// # Errors
    /// `HN0101` when the name is not `[a-z0-9]+`, is `data`, or the value breaks its type.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        match name {
            "id" => self.id = required(name, &value)?,
            "source" => {
                self.source = required(name, &value)?;
                check_uri_reference(name, &self.source)?;
            }
            "type" => self.event_type = required(name, &value)?,
            "subject" => self.subject = Some(required(name, &value)?),
            "time" => {
                let text = required(name, &value)?;
                Timestamp::parse(&text)?;
                self.time = Some(text);
            }
            "datacontenttype" => self.datacontenttype = Some(media_type(name, &value)?),
            "dataschema" => self.dataschema = Some(absolute_uri(name, &value)?),
            "specversion" if value == Value::from("1.0") => {}
            "specversion" => return invalid("specversion must be '1.0'"),
            _ => {
                check_extension(name, &value)?;
                self.extensions.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// Sets when it happened.
    pub fn set_time(&mut self, time: Timestamp) {
        self.time = Some(time.to_string());
    }

    /// Removes an extension attribute and gives its value back.
    pub fn remove_extension(&mut self, name: &str) -> Option<Value> {
        self.extensions.remove(name)
    }

    /// An integer that may have come as text, as it does in an HTTP header; 0 for anything else.
    fn integer(&self, name: &str) -> i32 {
        match self.extensions.get(name) {
            Some(Value::Integer(number)) => *number,
            Some(Value::String(text)) => text.parse().unwrap_or(0),
            _ => 0,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.extensions.get(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }
}

fn is_json(media_type: &str) -> bool {
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

fn required(name: &str, value: &Value) -> Result<String> {
    let text = value.to_text().into_owned();
    check_text(name, &text)?;
    Ok(text)
}

/// The rule for CloudEvents strings: not empty, no control characters, no noncharacters.
fn check_text(name: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return invalid(format!("attribute '{name}' is empty"));
    }
    check_characters(name, text)
}

fn check_characters(name: &str, text: &str) -> Result<()> {
    // Almost every attribute is plain ASCII; only others are looked at character by character.
    if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
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

fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

fn check_uri_reference(name: &str, text: &str) -> Result<()> {
    check_text(name, text)?;
    if text.bytes().any(|byte| br#" <>"{}|\^`"#.contains(&byte)) {
        return invalid(format!(
            "attribute '{name}' is not a URI-reference: '{text}'"
        ));
    }
    Ok(())
}

fn absolute_uri(name: &str, value: &Value) -> Result<String> {
    let text = required(name, value)?;
    check_uri_reference(name, &text)?;
    let scheme = text.split(':').next().unwrap_or_default();
    let is_scheme = text.contains(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if is_scheme {
        Ok(text)
    } else {
        invalid(format!("attribute '{name}' is not an absolute URI"))
    }
}

fn media_type(name: &str, value: &Value) -> Result<String> {
    let text = required(name, value)?;
    let essence = text.split(';').next().unwrap_or_default().trim();
    let whole = essence
        .split_once('/')
        .is_some_and(|(kind, sub)| !kind.is_empty() && !sub.is_empty());
    if whole {
        Ok(text)
    } else {
        invalid(format!("attribute '{name}' is not a media type: '{text}'"))
    }
}

fn check_extension(name: &str, value: &Value) -> Result<()> {
    let shape = !name.is_empty()
        && name.len() <= NAME_LENGTH_MAX
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !shape || name == "data" {
        return invalid(format!(
            "'{name}' cannot be the name of an attribute: use 1 to {NAME_LENGTH_MAX} of a-z and 0-9"
        ));
    }
    if let Value::String(text) = value {
        if matches!(name, KEY | CAUSATION | CORRELATION) {
            return check_text(name, text);
        }
        if matches!(name, DELIVER_AT | EXPIRY | "recordedtime") {
            return Timestamp::parse(text).map(drop);
        }
        return check_characters(name, text);
    }
    Ok(())
}
