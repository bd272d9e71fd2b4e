//! How a [`Message`](crate::Message) is written: the CloudEvents JSON format for the outside, a
//! compact binary form for journals.

pub mod compact;
pub mod json;

#[cfg(test)]
mod tests;
