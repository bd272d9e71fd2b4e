//! `Envelope<E>`: an event with its CloudEvents 1.0.2 attributes, and the names that Hence knows.
//!
//! Attributes are kept as they came: extensions that Hence does not know travel unchanged, and
//! nothing is normalised.

use std::borrow::Cow;

pub use crate::attributes::Attributes;

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
pub enum Value<'a> {
    /// `true` or `false`.
    Boolean(bool),
    /// A 32-bit signed integer, as CloudEvents has it.
    Integer(i32),
    /// Anything else, in its canonical text.
    String(Cow<'a, str>),
}

impl Value<'_> {
    /// The canonical text of the value, as it stands in an HTTP header.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Boolean(true) => "true".into(),
            Self::Boolean(false) => "false".into(),
            Self::Integer(number) => number.to_string().into(),
            Self::String(text) => Cow::Borrowed(text),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::String(text)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(text.into())
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

/// The name of the extension that says in which version of its type the data is; without it, in the
/// first.
pub const DATA_VERSION: &str = "dataversion";

/// The longest extension name that is accepted; CloudEvents recommends at most 20 characters.
pub const NAME_LENGTH_MAX: usize = 64;
