//! The derives and attributes of Hence.
