use bytes::Bytes;

use super::{compact, json};
use crate::{Attributes, Message, Value};

fn full() -> Message {
    let mut attributes = Attributes::new("A-17", "/shop", "order.placed").unwrap();
    for (name, value) in [
        ("subject", "orders/A-17"),
        ("time", "2026-11-20T10:00:00.123456789+02:00"),
        ("datacontenttype", "application/json; charset=utf-8"),
        ("dataschema", "https://example.org/order.json"),
        ("partitionkey", "A-17"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ] {
        attributes.set(name, value).unwrap();
    }
    attributes.set("sampled", Value::Boolean(true)).unwrap();
    attributes.set("retries", Value::Integer(-7)).unwrap();
    Message::new(
        attributes,
        Some(Bytes::from_static(b"{\"amount\": 99.50, \"z\":1,\"a\":[]}")),
    )
}

#[test]
fn compact_form_returns_the_same_message() {
    let mut bytes = Vec::new();
    compact::encode(&full(), &mut bytes);
    assert_eq!(compact::decode(bytes.into()).unwrap(), full());
}

#[test]
fn texts_of_the_compact_form_are_those_of_the_message() {
    let (message, mut bytes) = (full(), Vec::new());
    compact::encode(&message, &mut bytes);
    let mut found = Vec::new();
    compact::texts(&bytes, |name, text| {
        found.push((name.to_owned(), text.to_owned()));
    })
    .unwrap();
    let attributes = message.attributes();
    let fixed = [
        ("id", Some(attributes.id())),
        ("source", Some(attributes.source())),
        ("type", Some(attributes.event_type())),
        ("subject", attributes.subject()),
        ("time", attributes.time()),
        ("datacontenttype", attributes.datacontenttype()),
        ("dataschema", attributes.dataschema()),
    ];
    let fixed = fixed
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)));
    let mut wanted: Vec<_> = fixed
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    for (name, value) in attributes.extensions() {
        if let Value::String(text) = value {
            wanted.push((name.to_owned(), text.into_owned()));
        }
    }
    assert_eq!(found, wanted);
    assert_eq!(
        compact::event_type(&bytes).unwrap(),
        attributes.event_type()
    );
    bytes[0] = 9;
    assert!(compact::event_type(&bytes).is_err() && compact::texts(&bytes, |_, _| {}).is_err());
}

#[test]
fn compact_form_refuses_every_truncation_of_its_head() {
    let mut bytes = Vec::new();
    compact::encode(&full(), &mut bytes);
    let head = bytes.len() - full().data().unwrap().len();
    for end in 0..head {
        assert!(
            compact::decode(Bytes::copy_from_slice(&bytes[..end])).is_err(),
            "cut at {end}"
        );
    }
}

#[test]
fn json_form_keeps_types_and_the_bytes_of_the_data() {
    let text = json::to_vec(&full());
    assert_eq!(json::from_slice(&text).unwrap(), full());
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("\"data\":{\"amount\": 99.50, \"z\":1,\"a\":[]}")
    );
}

#[test]
fn json_string_data_is_not_parsed_again() {
    let event = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"{\"a\":1}"}"#;
    let message = json::from_slice(event).unwrap();
    assert_eq!(
        message.data().unwrap(),
        &Bytes::from_static(br#""{\"a\":1}""#)
    );
    let text = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t",
        "datacontenttype":"text/plain","data":"hello"}"#;
    assert_eq!(
        json::from_slice(text).unwrap().data().unwrap(),
        &Bytes::from_static(b"hello")
    );
}

#[test]
fn binary_data_travels_as_base64() {
    let mut attributes = Attributes::new("1", "/s", "t").unwrap();
    attributes.set("datacontenttype", "image/png").unwrap();
    let message = Message::new(attributes, Some(Bytes::from_static(&[0x89, 0x50, 0xFF])));
    let text = json::to_vec(&message);
    assert!(String::from_utf8_lossy(&text).contains("\"data_base64\":\"iVD/\""));
    assert_eq!(json::from_slice(&text).unwrap(), message);
}

#[test]
fn what_is_no_cloudevent_is_refused_by_name() {
    let base = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;
    for (event, names) in [
        ("[]".to_owned(), "not a JSON object"),
        ("{".to_owned(), "not a JSON object"),
        (
            r#"{"specversion":"1.0","source":"/s","type":"t"}"#.to_owned(),
            "'id' is missing",
        ),
        (
            r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#.to_owned(),
            "'id' is empty",
        ),
        (
            r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#.to_owned(),
            "only '1.0'",
        ),
        (
            format!("{{{base},\"Big\":\"x\"}}"),
            "'Big' cannot be the name",
        ),
        (format!("{{{base},\"n\":2147483648}}"), "32-bit integer"),
        (
            format!("{{{base},\"n\":{{}}}}"),
            "must be a string, an integer or a boolean",
        ),
        (
            format!("{{{base},\"time\":\"yesterday\"}}"),
            "not an RFC 3339 time",
        ),
        (
            format!("{{{base},\"data\":1,\"data_base64\":\"AA==\"}}"),
            "both 'data'",
        ),
        (format!("{{{base},\"data_base64\":\"%\"}}"), "not base64"),
        (
            format!("{{{base},\"dataschema\":\"relative\"}}"),
            "not an absolute URI",
        ),
        (format!("{{{base},\"subject\":\"a\\u0000b\"}}"), "U+0000"),
    ] {
        let error = json::from_slice(event.as_bytes()).unwrap_err();
        assert_eq!(error.code().as_str(), "HN0102", "{event}");
        assert!(error.to_string().contains(names), "{event}: {error}");
    }
}

#[test]
fn batch_names_the_index_of_the_first_bad_event() {
    let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let batch = format!("[{good},{good},{{}}]");
    let (index, _) = json::batch_from_slice(batch.as_bytes()).unwrap_err();
    assert_eq!(index, Some(2));
    assert_eq!(
        json::batch_from_slice(format!("[{good}]").as_bytes())
            .unwrap()
            .len(),
        1
    );
    assert_eq!(json::batch_from_slice(b"{}").unwrap_err().0, None);
}
