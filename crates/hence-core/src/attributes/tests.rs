use super::Attributes;
use crate::envelope::{KEY, Value};

fn full() -> Attributes {
    let mut all = Attributes::new("id", "/source", "type").unwrap();
    for (name, value) in [
        ("traceparent", "00-1-2-3"),
        ("subject", "subject"),
        (KEY, "key"),
        ("dataschema", "https://example.org/schema"),
        ("time", "2026-11-20T10:00:00Z"),
        ("comment", "über"),
        ("datacontenttype", "text/plain"),
    ] {
        all.set(name, value).unwrap();
    }
    all.set("sampled", Value::Boolean(true)).unwrap();
    all.set("times", Value::Integer(-7)).unwrap();
    all
}

/// Every attribute by its name, as text.
fn texts(all: &Attributes) -> Vec<(String, String)> {
    let fixed = [
        ("id", Some(all.id())),
        ("source", Some(all.source())),
        ("type", Some(all.event_type())),
        ("subject", all.subject()),
        ("time", all.time()),
        ("datacontenttype", all.datacontenttype()),
        ("dataschema", all.dataschema()),
    ];
    let mut texts = Vec::new();
    for (name, text) in fixed {
        texts.extend(text.map(|text| (name.to_owned(), text.to_owned())));
    }
    let extensions = all.extensions();
    texts.extend(extensions.map(|(name, value)| (name.to_owned(), value.to_text().into_owned())));
    texts
}

#[test]
fn what_is_set_in_any_order_reads_back_by_name() {
    let found = texts(&full());
    let wanted = [
        ("id", "id"),
        ("source", "/source"),
        ("type", "type"),
        ("subject", "subject"),
        ("time", "2026-11-20T10:00:00Z"),
        ("datacontenttype", "text/plain"),
        ("dataschema", "https://example.org/schema"),
        ("comment", "über"),
        (KEY, "key"),
        ("sampled", "true"),
        ("times", "-7"),
        ("traceparent", "00-1-2-3"),
    ];
    let wanted = wanted.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(found, wanted);
}

#[test]
fn a_change_of_any_length_moves_nothing_else() {
    let names: Vec<_> = texts(&full()).into_iter().map(|(name, _)| name).collect();
    for changed in &names {
        for value in ["a/b", "https://example.org/a-much-longer-text-than-before"] {
            let value = match changed.as_str() {
                "time" => "2026-11-20T10:00:00.123456789+02:00",
                "dataschema" => "a:b",
                _ => value,
            };
            let mut all = full();
            all.set(changed, value).unwrap();
            for ((name, before), (same, after)) in texts(&full()).iter().zip(texts(&all)) {
                assert_eq!(name, &same);
                let wanted = if name == changed { value } else { before };
                assert_eq!(after, wanted, "{name} after {changed} was set");
            }
        }
    }
}

#[test]
fn a_removed_extension_leaves_the_others() {
    for gone in ["comment", KEY, "sampled", "times", "traceparent"] {
        let mut all = full();
        assert!(all.remove_extension(gone));
        assert!(!all.remove_extension(gone));
        assert_eq!(all.extension(gone), None);
        let mut wanted = texts(&full());
        wanted.retain(|(name, _)| name != gone);
        assert_eq!(texts(&all), wanted, "without {gone}");
    }
}

#[test]
fn the_same_attributes_are_equal_however_they_were_made() {
    let mut other = Attributes::new("id", "/other", "another").unwrap();
    other.set("times", "soon").unwrap();
    other.set(KEY, "another").unwrap();
    for (name, text) in texts(&full()) {
        match name.as_str() {
            "sampled" => other.set(&name, Value::Boolean(true)).unwrap(),
            "times" => other.set(&name, Value::Integer(-7)).unwrap(),
            _ => other.set(&name, text).unwrap(),
        }
    }
    assert_eq!(other, full());
    other.set("times", "-7").unwrap();
    assert_ne!(other, full(), "a text is no integer");
}

#[test]
fn more_text_than_fits_is_refused_and_changes_nothing() {
    let mut all = full();
    let long = "x".repeat(super::TEXT_BYTES_MAX);
    for name in ["subject", "comment"] {
        let error = all.set(name, long.as_str()).unwrap_err();
        assert_eq!(error.code().as_str(), "HN0103");
        assert_eq!(all, full());
    }
    assert!(Attributes::new(&long, "/s", "t").is_err());
}

#[test]
fn a_value_that_breaks_a_rule_is_refused_and_changes_nothing() {
    for (name, value) in [
        ("id", ""),
        ("id", "a\nb"),
        ("source", "not a uri"),
        ("source", "a|b"),
        ("type", "\u{FFFE}"),
        ("time", "yesterday"),
        ("datacontenttype", "json"),
        ("dataschema", "relative"),
        ("specversion", "0.3"),
        ("Big", "x"),
        ("data", "x"),
        (KEY, ""),
        ("deliverat", "soon"),
        ("comment", "a\u{0}b"),
    ] {
        let mut all = full();
        let error = all.set(name, value).unwrap_err();
        assert_eq!(error.code().as_str(), "HN0101", "{name} {value}");
        assert_eq!(all, full(), "{name} {value}");
    }
}

#[test]
fn every_character_is_judged_wherever_it_stands() {
    for code in 0..=0x2FF_u32 {
        let Some(odd) = char::from_u32(code) else {
            continue;
        };
        for before in 0..18 {
            let text = format!("{}{odd}{}", "x".repeat(before), "y".repeat(17 - before));
            let valid = Attributes::new(text, "/s", "t").is_ok();
            assert_eq!(valid, !odd.is_control(), "U+{code:04X} behind {before}");
        }
    }
}

#[test]
fn a_name_is_found_among_others_of_its_length_and_after_it_was_gone() {
    let mut all = Attributes::new("id", "/source", "type").unwrap();
    let long = "x".repeat(40);
    assert!(all.extension(&long).is_none() && !all.remove_extension(&long));
    all.set(&"y".repeat(50), "other").unwrap();
    assert!(all.extension(&long).is_none(), "another that is as long");
    all.set(&long, "one").unwrap();
    assert_eq!(all.extension(&long), Some(Value::from("one")));
    assert!(all.remove_extension(&long) && all.extension(&long).is_none());
    all.set(&long, "two").unwrap();
    assert_eq!(all.clone().extension(&long), Some(Value::from("two")));
}
