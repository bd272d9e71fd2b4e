//! `Attributes`: the CloudEvents context of one event, all its texts in one piece of memory.
//!
//! An event passes through many hands and has a dozen small texts, so where they lie is most of
//! what it costs. They stand one behind the other; absent is what has no length, because no
//! attribute may be empty.
//!
//! ```text
//! text  id source type subject time datacontenttype dataschema │ extension values and names
//! ends     ▲      ▲    ▲       ▲    ▲               ▲          ▲
//! ```

mod rule;

use std::fmt;
use std::ops::Range;

use crate::envelope::{
    CAUSATION, CORRELATION, DATA_VERSION, DELIVER_AT, DEPTH, EXPIRY, KEY, PRIORITY, Value,
};
use crate::error::{Code, Result};
use crate::time::Timestamp;

/// The most bytes of text that the attributes of one event have together; engines take far less.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Room for what almost every event has beside id, source and type: a time, a media type, a key.
const USUAL_BYTES: usize = 27 + 16 + 21;

/// Bytes that an extension attribute costs beside its texts.
const EXTENSION_BYTES: usize = 64;

const ID: usize = 0;
const SOURCE: usize = 1;
const TYPE: usize = 2;
const SUBJECT: usize = 3;
const TIME: usize = 4;
const CONTENT_TYPE: usize = 5;
const SCHEMA: usize = 6;
const FIXED: usize = 7;

/// The context attributes of one CloudEvent; `specversion` is always `1.0`.
#[derive(Clone)]
pub struct Attributes {
    text: String,
    /// Where each of the fixed attributes ends.
    ends: [u32; FIXED],
    /// In the order of their names.
    extensions: Vec<Extension>,
    /// Which lengths their names have, or once had: an event is asked for several that it lacks,
    /// and mostly this says so.
    lengths: u32,
}

#[derive(Clone, Copy)]
struct Extension {
    name: Span,
    value: Kept,
}

#[derive(Clone, Copy)]
enum Kept {
    Boolean(bool),
    Integer(i32),
    Text(Span),
}

/// Bytes of the text, from and up to.
#[derive(Clone, Copy)]
struct Span(u32, u32);

impl Span {
    fn range(self) -> Range<usize> {
        self.0 as usize..self.1 as usize
    }

    /// Follows what moved when `gone` became so many bytes longer.
    fn follow(&mut self, gone: &Range<usize>, longer: i64) {
        if self.0 as usize >= gone.end {
            self.0 = moved(self.0, longer);
            self.1 = moved(self.1, longer);
        }
    }
}

fn moved(at: u32, longer: i64) -> u32 {
    u32::try_from(i64::from(at) + longer).unwrap_or(u32::MAX)
}

fn at(index: usize) -> u32 {
    // No text is longer than `TEXT_BYTES_MAX`.
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Attributes {
    /// The three attributes that every event must have.
    ///
    /// # Errors
    /// `HN0101` when one of them is empty or holds a control character.
    pub fn new(
        id: impl AsRef<str>,
        source: impl AsRef<str>,
        event_type: impl AsRef<str>,
    ) -> Result<Self> {
        Self::of(id.as_ref(), source.as_ref(), event_type.as_ref())
    }

    fn of(id: &str, source: &str, event_type: &str) -> Result<Self> {
        rule::text("id", id)?;
        rule::uri_reference("source", source)?;
        rule::text("type", event_type)?;
        let length = id.len() + source.len() + event_type.len();
        check_length(length)?;
        let mut text = String::with_capacity(length + USUAL_BYTES);
        let mut ends = [0; FIXED];
        for (end, part) in ends.iter_mut().zip([id, source, event_type]) {
            text.push_str(part);
            *end = at(text.len());
        }
        for end in ends.iter_mut().skip(SUBJECT) {
            *end = at(length);
        }
        Ok(Self {
            text,
            ends,
            extensions: Vec::new(),
            lengths: 0,
        })
    }

    /// About how many bytes of memory the texts take.
    pub(crate) fn footprint(&self) -> usize {
        self.text.len() + EXTENSION_BYTES * self.extensions.len()
    }

    /// The id, unique together with the source.
    #[must_use]
    pub fn id(&self) -> &str {
        self.fixed::<ID>()
    }

    /// The URI-reference of what brought the event in.
    #[must_use]
    pub fn source(&self) -> &str {
        self.fixed::<SOURCE>()
    }

    /// The type, for example `shop.order.placed`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.fixed::<TYPE>()
    }

    /// What the event is about, within its source.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.optional::<SUBJECT>()
    }

    /// When it happened, as it was written (RFC 3339).
    #[must_use]
    pub fn time(&self) -> Option<&str> {
        self.optional::<TIME>()
    }

    /// The media type of the data; absent means `application/json`.
    #[must_use]
    pub fn datacontenttype(&self) -> Option<&str> {
        self.optional::<CONTENT_TYPE>()
    }

    /// The URI of the schema of the data.
    #[must_use]
    pub fn dataschema(&self) -> Option<&str> {
        self.optional::<SCHEMA>()
    }

    /// One extension attribute.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<Value<'_>> {
        self.find(name).map(|kept| self.value(kept))
    }

    /// All extension attributes, by name.
    pub fn extensions(&self) -> impl ExactSizeIterator<Item = (&str, Value<'_>)> {
        self.extensions
            .iter()
            .map(|extension| (self.get(extension.name), self.value(extension.value)))
    }

    /// The ordering key (`partitionkey`), if there is one.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.string(KEY)
    }

    /// The id of the event that caused this one.
    #[inline]
    #[must_use]
    pub fn causation_id(&self) -> Option<&str> {
        self.string(CAUSATION)
    }

    /// The id of the first event of the chain that this one belongs to.
    #[inline]
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.string(CORRELATION)
    }

    /// The moment before which the event is not delivered.
    #[inline]
    #[must_use]
    pub fn deliver_at(&self) -> Option<Timestamp> {
        self.string(DELIVER_AT)
            .and_then(|text| Timestamp::parse(text).ok())
    }

    /// The moment after which the event is not handled any more.
    #[inline]
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.string(EXPIRY)
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

    /// In which version of its type the data is (`dataversion`); the first is 1, and what is no
    /// version is 0.
    #[must_use]
    pub fn data_version(&self) -> u32 {
        match self.find(DATA_VERSION) {
            None => 1,
            Some(_) => u32::try_from(self.integer(DATA_VERSION)).unwrap_or(0),
        }
    }

    /// Whether the data is JSON: the media type is absent, `…/json` or `…+json`.
    #[must_use]
    pub fn has_json_data(&self) -> bool {
        self.datacontenttype().is_none_or(rule::is_json)
    }

    /// Sets any attribute by its CloudEvents name, extension or not.
    ///
    /// # Errors
    /// `HN0101` when the name is not `[a-z0-9]+`, is `data`, or the value breaks its type.
    pub fn set<'v>(&mut self, name: &str, value: impl Into<Value<'v>>) -> Result<()> {
        self.set_value(name, &value.into())
    }

    fn set_value(&mut self, name: &str, value: &Value<'_>) -> Result<()> {
        // An extension may be a number, of which no text is kept.
        let text = match name {
            "id" | "source" | "type" | "subject" | "time" | "datacontenttype" | "dataschema"
            | "specversion" => value.to_text(),
            _ => {
                rule::extension(name, value)?;
                return self.set_extension(name, value);
            }
        };
        let text = &*text;
        match name {
            "id" => self.set_fixed::<ID>(text, rule::text(name, text)),
            "source" => self.set_fixed::<SOURCE>(text, rule::uri_reference(name, text)),
            "type" => self.set_fixed::<TYPE>(text, rule::text(name, text)),
            "subject" => self.set_fixed::<SUBJECT>(text, rule::text(name, text)),
            "time" => {
                rule::text(name, text)?;
                self.set_fixed::<TIME>(text, Timestamp::parse(text).map(drop))
            }
            "datacontenttype" => self.set_fixed::<CONTENT_TYPE>(text, rule::media_type(name, text)),
            "dataschema" => self.set_fixed::<SCHEMA>(text, rule::absolute_uri(name, text)),
            _ => rule::version(text),
        }
    }

    /// Sets when it happened.
    pub fn set_time(&mut self, time: Timestamp) {
        time.with_text(|text| self.replace::<TIME>(text));
    }

    /// Removes an extension attribute; whether it was there.
    pub fn remove_extension(&mut self, name: &str) -> bool {
        if self.lengths & length_bit(name) == 0 {
            return false;
        }
        let Ok(index) = self.index_of(name) else {
            return false;
        };
        let Extension { name, value } = self.extensions.remove(index);
        // The name stands behind the value, so that the value does not move first.
        self.splice(name.range(), "");
        if let Kept::Text(span) = value {
            self.splice(span.range(), "");
        }
        true
    }

    fn set_fixed<const AT: usize>(&mut self, text: &str, valid: Result<()>) -> Result<()> {
        valid?;
        check_length(self.text.len() + text.len())?;
        self.replace::<AT>(text);
        Ok(())
    }

    fn replace<const AT: usize>(&mut self, text: &str) {
        let longer = self.splice(self.range::<AT>(), text);
        for end in self.ends.iter_mut().skip(AT) {
            *end = moved(*end, longer);
        }
    }

    fn set_extension(&mut self, name: &str, value: &Value<'_>) -> Result<()> {
        let length = match value {
            Value::String(text) => text.len(),
            Value::Boolean(_) | Value::Integer(_) => 0,
        };
        check_length(self.text.len() + name.len() + length)?;
        self.remove_extension(name);
        self.lengths |= length_bit(name);
        let value = match value {
            Value::Boolean(flag) => Kept::Boolean(*flag),
            Value::Integer(number) => Kept::Integer(*number),
            Value::String(text) => Kept::Text(self.append(text)),
        };
        let index = match self.index_of(name) {
            Ok(index) | Err(index) => index,
        };
        let name = self.append(name);
        self.extensions.insert(index, Extension { name, value });
        Ok(())
    }

    fn append(&mut self, text: &str) -> Span {
        let begin = at(self.text.len());
        self.text.push_str(text);
        Span(begin, at(self.text.len()))
    }

    /// Puts another text in place of a part, and says how much longer the whole became. What
    /// stands behind it moves, but for the ends of the fixed attributes.
    fn splice(&mut self, gone: Range<usize>, text: &str) -> i64 {
        let longer = i64::from(at(text.len())) - i64::from(at(gone.len()));
        if gone.end == self.text.len() {
            self.text.truncate(gone.start);
            self.text.push_str(text);
            return longer;
        }
        self.text.replace_range(gone.clone(), text);
        for extension in &mut self.extensions {
            extension.name.follow(&gone, longer);
            if let Kept::Text(span) = &mut extension.value {
                span.follow(&gone, longer);
            }
        }
        longer
    }

    fn range<const AT: usize>(&self) -> Range<usize> {
        let begin = match AT.checked_sub(1) {
            Some(before) => self.ends.get(before).map_or(0, |end| *end as usize),
            None => 0,
        };
        begin..self.ends.get(AT).map_or(begin, |end| *end as usize)
    }

    fn fixed<const AT: usize>(&self) -> &str {
        self.text.get(self.range::<AT>()).unwrap_or_default()
    }

    fn optional<const AT: usize>(&self) -> Option<&str> {
        Some(self.fixed::<AT>()).filter(|text| !text.is_empty())
    }

    fn get(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    fn value(&self, kept: Kept) -> Value<'_> {
        match kept {
            Kept::Boolean(flag) => Value::Boolean(flag),
            Kept::Integer(number) => Value::Integer(number),
            Kept::Text(span) => Value::String(self.get(span).into()),
        }
    }

    fn index_of(&self, name: &str) -> Result<usize, usize> {
        self.extensions
            .binary_search_by(|extension| self.get(extension.name).cmp(name))
    }

    #[inline]
    fn find(&self, name: &str) -> Option<Kept> {
        match self.lengths & length_bit(name) {
            0 => None,
            _ => self.search(name),
        }
    }

    fn search(&self, name: &str) -> Option<Kept> {
        // There are few, and most names differ in length, so that most of them are not looked at.
        let text = self.text.as_bytes();
        let named = |found: &&Extension| {
            let range = found.name.range();
            range.len() == name.len() && text.get(range) == Some(name.as_bytes())
        };
        self.extensions
            .iter()
            .find(named)
            .map(|extension| extension.value)
    }

    /// An integer that may have come as text, as it does in an HTTP header; 0 for anything else.
    fn integer(&self, name: &str) -> i32 {
        match self.find(name) {
            Some(Kept::Integer(number)) => number,
            Some(Kept::Text(span)) => self.get(span).parse().unwrap_or(0),
            _ => 0,
        }
    }

    #[inline]
    fn string(&self, name: &str) -> Option<&str> {
        match self.find(name) {
            Some(Kept::Text(span)) => Some(self.get(span)),
            _ => None,
        }
    }

    fn all_fixed(&self) -> [&str; FIXED] {
        [
            self.fixed::<ID>(),
            self.fixed::<SOURCE>(),
            self.fixed::<TYPE>(),
            self.fixed::<SUBJECT>(),
            self.fixed::<TIME>(),
            self.fixed::<CONTENT_TYPE>(),
            self.fixed::<SCHEMA>(),
        ]
    }
}

/// What they say is the same, wherever the texts lie.
impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.all_fixed() == other.all_fixed() && self.extensions().eq(other.extensions())
    }
}

impl Eq for Attributes {}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            "id",
            "source",
            "type",
            "subject",
            "time",
            "datacontenttype",
            "dataschema",
        ];
        let fixed = names.into_iter().zip(self.all_fixed());
        let mut map = f.debug_map();
        map.entries(fixed.filter(|(_, text)| !text.is_empty()));
        map.entries(
            self.extensions()
                .map(|(name, value)| (name, value.to_text().into_owned())),
        );
        map.finish()
    }
}

/// The bit of a name's length; those of the longest names share one.
#[inline]
fn length_bit(name: &str) -> u32 {
    1 << name.len().min(31)
}

fn check_length(bytes: usize) -> Result<()> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("attributes of {bytes} bytes; at most {TEXT_BYTES_MAX} are taken");
    Err(Code::TOO_LARGE.error(detail))
}

#[cfg(test)]
mod tests;
