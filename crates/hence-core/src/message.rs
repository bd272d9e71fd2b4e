//! `Message`: attributes and bytes, what engines carry.

mod decoded;

use std::sync::Arc;

use bytes::Bytes;

use self::decoded::Decoded;
use crate::attributes::Attributes;
use crate::envelope::Envelope;
use crate::error::{Code, Result};
use crate::event::Event;

/// Bytes that a message costs beside its texts and data, with what engines keep of it.
const MESSAGE_BYTES: usize = 356;

/// Data up to this size is decoded once for several takers. What is larger is decoded by each: a
/// copy of it could take so much memory that no guess at it would do.
pub const COPIED_BYTES_MAX: usize = 16 << 10;

/// As what a decoded copy is counted, in bytes for each byte of data. Texts and numbers take less;
/// `[[],[],…]` as a vector of vectors takes eight, and room to grow twice that. A type can still take
/// more, such as one map for each `{}`, which [`COPIED_BYTES_MAX`] bounds.
pub const COPY_FACTOR: usize = 16;

/// An encoded envelope: attributes, and the data as bytes that are never written anew.
///
/// Cloning it copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Arc<Inner>);

struct Inner {
    attributes: Attributes,
    data: Option<Bytes>,
    decoded: Decoded,
}

/// What is changed may decode into something else.
impl Clone for Inner {
    fn clone(&self) -> Self {
        Self {
            attributes: self.attributes.clone(),
            data: self.data.clone(),
            decoded: Decoded::default(),
        }
    }
}

impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        self.attributes == other.attributes && self.data == other.data
    }
}

impl Eq for Inner {}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("attributes", &self.attributes)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// A message of these attributes and this data.
    #[must_use]
    pub fn new(attributes: Attributes, data: Option<Bytes>) -> Self {
        let decoded = Decoded::default();
        Self(Arc::new(Inner {
            attributes,
            data,
            decoded,
        }))
    }

    /// Who, what, when.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }

    /// The data, if the event has any.
    #[must_use]
    pub fn data(&self) -> Option<&Bytes> {
        self.0.data.as_ref()
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        MESSAGE_BYTES + self.attributes().footprint() + self.data().map_or(0, Bytes::len)
    }

    /// The same data under changed attributes.
    ///
    /// # Errors
    /// Whatever `change` returns.
    pub fn with_attributes(
        mut self,
        change: impl FnOnce(&mut Attributes) -> Result<()>,
    ) -> Result<Self> {
        let inner = Arc::make_mut(&mut self.0);
        inner.decoded = Decoded::default();
        change(&mut inner.attributes)?;
        Ok(self)
    }

    /// Says how many subscriptions are there to take it. Where that is more than one and the data has
    /// at most [`COPIED_BYTES_MAX`], an event that is `Clone` is decoded once and copied for the
    /// others.
    ///
    /// Returns as how many bytes its copy is to be counted, as long as the message is kept: its data
    /// times [`COPY_FACTOR`], or 0 when there will be none.
    #[must_use]
    pub fn expect_takers(&self, takers: usize) -> usize {
        let bytes = self.data().map_or(0, Bytes::len);
        if takers < 2 || bytes > COPIED_BYTES_MAX {
            return 0;
        }
        self.0.decoded.expect(takers);
        bytes * COPY_FACTOR
    }

    /// Whether a copy may be kept for several that take it.
    #[must_use]
    pub fn expects_takers(&self) -> bool {
        self.0.decoded.expects()
    }

    /// Lets go of the event that was kept for takers of whom none is expected any more.
    pub fn forget_takers(&self) {
        self.0.decoded.forget();
    }

    /// Decodes the data as `E`, which must be the type that the message names. Data of an older
    /// version is brought to that of `E`.
    ///
    /// # Errors
    /// `HN0105` when the type is another or the data does not fit.
    pub fn decode<E: Event>(&self) -> Result<E> {
        let found = self.0.attributes.event_type();
        if found != E::TYPE {
            return Err(Code::UNDECODABLE.error(format!("wanted '{}', found '{found}'", E::TYPE)));
        }
        // An event without fields may come without data.
        let data = self.0.data.as_deref().unwrap_or(b"null");
        E::read(self.0.attributes.data_version(), data)
    }

    /// Decodes for one of those that [`Message::expect_takers`] has said.
    pub(crate) fn decode_as_taker<E: Event>(&self) -> Result<E> {
        if self.0.attributes.event_type() == E::TYPE
            && let Some(event) = self.0.decoded.next()
        {
            return Ok(event);
        }
        let event = self.decode()?;
        self.0.decoded.keep(&event);
        Ok(event)
    }

    /// Decodes into an envelope: the attributes and the typed data.
    ///
    /// # Errors
    /// As [`Message::decode`].
    pub fn to_envelope<E: Event>(&self) -> Result<Envelope<E>> {
        Ok(Envelope {
            attributes: self.attributes().clone(),
            data: self.decode()?,
        })
    }
}
