use super::*;

#[test]
fn parameters_are_encoded() {
    let mut query = Query::default();
    query.add("type", "order.placed");
    query.add_some("key", None);
    assert_eq!(
        query.with("durability", "a+b c/é").as_str(),
        "?type=order.placed&durability=a%2Bb%20c%2F%C3%A9"
    );
    assert_eq!(encode_header("50% \"ü\"/x"), "50%25%20%22%C3%BC%22/x");
}
