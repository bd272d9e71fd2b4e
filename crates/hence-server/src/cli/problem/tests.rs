use super::*;

#[test]
fn a_problem_becomes_a_sentence_with_its_code() {
    let body = br#"{"type":"x","title":"Not found","status":404,"code":"HN4041",
        "detail":"there is no event 9","hint":"list them","errors":[{"pointer":"/a","detail":"b"}]}"#;
    let error = error(StatusCode::NOT_FOUND, body);
    assert_eq!(error.exit(), Exit::NotFound);
    assert_eq!(error.to_string(), "there is no event 9");
}

#[test]
fn another_server_is_recognised() {
    let error = error(StatusCode::BAD_GATEWAY, b"<html>no</html>");
    assert_eq!(error.exit(), Exit::Failed);
    assert!(format!("{error:?}").contains("HN0605"));
}
