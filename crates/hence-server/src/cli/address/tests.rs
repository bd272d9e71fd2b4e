use super::*;
use crate::cli::error::Exit;

#[test]
fn an_address_is_plain_http() {
    assert_eq!(
        read("http://localhost:4362/").unwrap(),
        "http://localhost:4362"
    );
    assert_eq!(read("localhost:4362").unwrap(), "http://localhost:4362");
    assert_eq!(read("http://[::1]:1/a/").unwrap(), "http://[::1]:1/a");
    let refused = read("https://example.org").unwrap_err();
    assert!(refused.to_string().contains("plain HTTP only"), "{refused}");
    for wrong in [
        "",
        "http://",
        "ftp://x",
        "http://user:pw@x",
        "http://x/?a=b",
        "a b",
    ] {
        assert_eq!(read(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
    }
}
