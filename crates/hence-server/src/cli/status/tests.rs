use super::*;

#[test]
fn members_become_rows() {
    let value = serde_json::json!({"a": {"b": 1, "c": ["x", "y"]}, "d": [{"e": null}]});
    let mut rows = Vec::new();
    flatten("", &value, &mut rows);
    let rows: Vec<_> = rows.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(rows, [("a.b", "1"), ("a.c", "x y"), ("d.0.e", "null")]);
}
