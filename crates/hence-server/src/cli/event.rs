//! `Event` and `Item`: a CloudEvent as the server sends it, read no further than it is shown.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::{Fault, Result};
use super::raw;

/// The members that are shown before the extensions, in this order.
const FIRST: [&str; 7] = [
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
];

/// A CloudEvent in the JSON format.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Event(BTreeMap<String, Box<RawValue>>);

impl Event {
    /// An attribute as text; nothing when it is absent.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let raw = self.0.get(name)?.get();
        match raw {
            "null" => None,
            _ => Some(serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned())),
        }
    }

    /// An attribute as text, or nothing as empty text.
    pub(crate) fn or_empty(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// What the event is about, for people: its subject, or else its key.
    pub(crate) fn about(&self) -> String {
        self.text("subject")
            .or_else(|| self.text("partitionkey"))
            .unwrap_or_default()
    }

    /// The data on one line.
    pub(crate) fn data(&self) -> Option<String> {
        self.member().map(raw::compact)
    }

    /// The data with one member a line.
    pub(crate) fn data_laid_out(&self) -> Option<String> {
        self.member().map(raw::pretty)
    }

    fn member(&self) -> Option<&str> {
        let data = self.0.get("data").or_else(|| self.0.get("data_base64"));
        data.map(|raw| raw.get())
    }

    /// Every attribute with its text: those of the specification first, then extensions by name.
    pub(crate) fn attributes(&self) -> Vec<(String, String)> {
        let others = self.0.keys().map(String::as_str).filter(|name| {
            !FIRST.contains(name) && !matches!(*name, "specversion" | "data" | "data_base64")
        });
        let names = FIRST.into_iter().chain(others);
        names
            .filter_map(|name| Some((name.to_owned(), self.text(name)?)))
            .collect()
    }
}

/// An event with its place, as lists and `GET /v1/events/{position}` have it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Item {
    pub(crate) position: String,
    #[serde(default)]
    pub(crate) appended: String,
    pub(crate) event: Event,
}

/// One page of a list; the items are kept as they came.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) items: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// Reads JSON of the server.
pub(crate) fn read<T: DeserializeOwned>(json: impl AsRef<[u8]>) -> Result<T> {
    serde_json::from_slice(json.as_ref()).map_err(|error| {
        Fault::ANSWER
            .error("the server sent something that this command does not understand")
            .cause(error)
    })
}

#[cfg(test)]
mod tests;
