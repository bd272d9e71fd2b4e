//! The codec of binary mode: round trips, and what others send.

use std::collections::BTreeMap;

use hence::core::codec::json;
use hence::core::{Attributes, Message};
use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::super::cloudevents::{
    Mode, accepted, binary, decode, encode, mode, structured, to_headers,
};
use super::*;

fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
    let pair = |(name, value): &(&str, &[u8])| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_bytes(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

#[test]
fn the_mode_goes_by_the_beginning_of_the_media_type_batch_first() {
    let of = |media_type: &'static str| {
        mode(&headers(&[("content-type", media_type.as_bytes())]))
            .map_err(|problem| problem.code().as_str())
    };
    assert_eq!(of("application/cloudevents+json"), Ok(Mode::Structured));
    assert_eq!(
        of("Application/CloudEvents+JSON; charset=UTF-8"),
        Ok(Mode::Structured)
    );
    assert_eq!(of("application/cloudevents"), Ok(Mode::Structured));
    assert_eq!(
        of("application/cloudevents-batch+json;charset=\"utf-8\""),
        Ok(Mode::Batch)
    );
    assert_eq!(of("application/json"), Ok(Mode::Binary));
    assert_eq!(of("application/cloudevents-batch+xml"), Err("HN4151"));
    assert_eq!(of("application/cloudevents+avro"), Err("HN4151"));
    assert_eq!(
        of("application/cloudevents+json; charset=utf-16"),
        Err("HN4151")
    );
    assert_eq!(mode(&HeaderMap::new()).ok(), Some(Mode::Binary));
}

#[test]
fn header_values_come_encoded_quoted_or_raw() {
    for (sent, meant) in [
        (b"plain".as_slice(), "plain"),
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("Euro € 😀".as_bytes(), "Euro € 😀"),
        (b"\"a b\"", "a b"),
        (b"\"a \\\"b\\\\\"", "a \"b\\"),
        (b"%2525", "%25"),
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        (b"%41%62", "Ab"),
        (b"\"", "\""),
        (b"  a  ", "a"),
        (b"\"%22\"", "\""),
    ] {
        assert_eq!(
            decode(sent).as_deref(),
            Some(meant),
            "{}",
            sent.escape_ascii()
        );
    }
    for overlong in [
        b"%C0%A0".as_slice(),
        b"%ED%A0%80",
        b"\xFF",
        b"%E2%82",
        b"%F5%80%80%80",
    ] {
        assert_eq!(decode(overlong), None, "{}", overlong.escape_ascii());
    }
    assert_eq!(
        encode("Euro € \"x\" 100%"),
        "Euro%20%E2%82%AC%20%22x%22%20100%25"
    );
}

#[test]
fn accept_is_weighed() {
    let best = |accept: &'static str| {
        accepted(
            &headers(&[("accept", accept.as_bytes())]),
            &["text/event-stream", "application/x-ndjson"],
        )
        .ok()
    };
    assert_eq!(best("*/*"), Some("text/event-stream"));
    assert_eq!(best("application/x-ndjson"), Some("application/x-ndjson"));
    assert_eq!(
        best("text/event-stream;q=0.5, application/x-ndjson"),
        Some("application/x-ndjson")
    );
    assert_eq!(best("text/*;q=0.1"), Some("text/event-stream"));
    assert_eq!(best("text/event-stream;q=0, image/png"), None);
}

/// Text that CloudEvents allows: no control characters, no noncharacters.
fn allowed() -> impl Strategy<Value = String> {
    let bad = |c: char| {
        c.is_control()
            || (0xFDD0..=0xFDEF).contains(&u32::from(c))
            || u32::from(c) & 0xFFFE == 0xFFFE
    };
    proptest::collection::vec(
        any::<char>().prop_filter("forbidden", move |c| !bad(*c)),
        1..40,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn message() -> impl Strategy<Value = Message> {
    let extensions = proptest::collection::btree_map("x[a-z0-9]{0,18}", allowed(), 0..6);
    let data = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..200));
    let parts = (
        allowed(),
        "/[a-z0-9/%#?=-]{0,20}",
        allowed(),
        proptest::option::of(allowed()),
    );
    (parts, extensions, data).prop_map(|((id, source, kind, subject), extensions, data)| {
        let mut attributes = Attributes::new(id, source, kind).unwrap();
        if let Some(subject) = subject {
            attributes.set("subject", subject).unwrap();
        }
        let media_type = "application/octet-stream";
        attributes.set("datacontenttype", media_type).unwrap();
        for (name, text) in extensions {
            attributes.set(&name, text).unwrap();
        }
        Message::new(attributes, data.map(Into::into))
    })
}

proptest! {
    #[test]
    fn a_header_value_survives_its_round_trip(text in any::<String>()) {
        let sent = encode(&text);
        prop_assert!(sent.bytes().all(|byte| matches!(byte, 0x21..=0x7E)));
        prop_assert_eq!(decode(sent.as_bytes()), Some(text));
    }

    #[test]
    fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_message_survives_binary_mode(message in message()) {
        let data = message.data().cloned().unwrap_or_default();
        let read = binary(&to_headers(&message), data);
        prop_assert_eq!(read.ok(), Some(message));
    }

    #[test]
    fn both_modes_mean_the_same(message in message()) {
        let read = structured(&json::to_vec(&message));
        prop_assert_eq!(read.ok(), Some(message));
    }
}

#[test]
fn integers_and_booleans_keep_their_canonical_text() {
    let mut attributes = Attributes::new("1", "/s", "t").unwrap();
    attributes
        .set("number", hence::core::Value::Integer(-7))
        .unwrap();
    attributes
        .set("flag", hence::core::Value::Boolean(true))
        .unwrap();
    let sent = to_headers(&Message::new(attributes, None));
    let read = binary(&sent, Bytes::new()).unwrap();
    let texts: BTreeMap<_, _> = read
        .attributes()
        .extensions()
        .map(|(name, value)| (name, value.to_text().into_owned()))
        .collect();
    assert_eq!((&*texts["number"], &*texts["flag"]), ("-7", "true"));
}
