use super::*;

#[test]
fn packing_keeps_order_numbers_and_strings() {
    let json = "{ \"z\": 1.50,\n \"a\": [ ],\t\"t\": \"x , \\\" y\" }";
    assert_eq!(compact(json), r#"{"z":1.50,"a":[],"t":"x , \" y"}"#);
}

#[test]
fn laying_out_says_the_same() {
    let json = r#"{"z":{},"a":[1,{"b":"c:d"}]}"#;
    let laid = pretty(json);
    assert_eq!(
        laid,
        "{\n  \"z\": {},\n  \"a\": [\n    1,\n    {\n      \"b\": \"c:d\"\n    }\n  ]\n}"
    );
    assert_eq!(compact(&laid), json);
}
