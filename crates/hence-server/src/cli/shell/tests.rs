use super::*;

#[test]
fn a_shell_reads_back_what_was_quoted() {
    for word in [
        "",
        "a b",
        "it's",
        "$(rm x)",
        "order.*",
        "`x`",
        "a\\b",
        "~",
        "plain-1.2",
    ] {
        let script = format!("printf %s {}", quoted(word));
        let told = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        assert_eq!(told.unwrap().stdout, word.as_bytes(), "{script}");
    }
    assert_eq!(flag("key", "A-17"), "--key A-17");
    assert_eq!(flag("key", "-x"), "--key=-x");
}
