//! `Message`: attributes and bytes, what engines carry.

use std::sync::Arc;

use bytes::Bytes;

use crate::attributes::Attributes;
use crate::envelope::Envelope;
use crate::error::{Code, Result};
use crate::event::Event;

/// Bytes that a message costs beside its texts and data, with what engines keep of it.
const MESSAGE_BYTES: usize = 340;

/// An encoded envelope: attributes, and the data as bytes that are never written anew.
///
/// Cloning it copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Arc<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    attributes: Attributes,
    data: Option<Bytes>,
}

impl Message {
    /// A message of these attributes and this data.
    #[must_use]
    pub fn new(attributes: Attributes, data: Option<Bytes>) -> Self {
        Self(Arc::new(Inner { attributes, data }))
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
        change(&mut Arc::make_mut(&mut self.0).attributes)?;
        Ok(self)
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
