use bytes::Bytes;
use hence_core::envelope::Attributes;

use super::*;

/// As it was written before pieces were gathered; stored logs hold such hashes.
fn content(key: IdentityKey, message: &Message) -> u32 {
    let write = |hasher: &mut SipHasher13, text: &str| {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    };
    let attributes = message.attributes();
    let mut hasher = SipHasher13::new_with_keys(key.1, key.0);
    write(&mut hasher, attributes.event_type());
    let optional = [
        attributes.subject(),
        attributes.datacontenttype(),
        attributes.dataschema(),
    ];
    for text in optional {
        hasher.write_u8(u8::from(text.is_some()));
        write(&mut hasher, text.unwrap_or_default());
    }
    for (name, value) in attributes.extensions() {
        write(&mut hasher, name);
        write(&mut hasher, &value.to_text());
    }
    hasher.write_u8(u8::from(message.data().is_some()));
    hasher.write(message.data().map_or(&[], |data| data));
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).unwrap()
}

#[test]
fn hashes_of_gathered_pieces_are_those_that_logs_hold() {
    let key = IdentityKey::of(*b"0123456789abcdef");
    for length in [0, 1, 7, 8, 100, 200, 255, 256, 257, 1_000] {
        let text = "x".repeat(length.max(1));
        let mut attributes = Attributes::new(&text, "/s", &text).unwrap();
        attributes.set("subject", text.as_str()).unwrap();
        attributes.set("comment", text.as_str()).unwrap();
        let message = Message::new(attributes, Some(Bytes::from(vec![b'y'; length])));
        assert_eq!(key.content(&message), content(key, &message), "{length}");
        let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
        for text in ["/s", &text] {
            hasher.write_u64(text.len() as u64);
            hasher.write(text.as_bytes());
        }
        assert_eq!(key.id("/s", &text), hasher.finish128().h1, "{length}");
    }
}
