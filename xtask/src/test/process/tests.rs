use super::*;

#[test]
fn output_and_status_come_back() {
    let ended = run(
        Command::new("sh").args(["-c", "echo a; exit 3"]),
        Duration::MAX,
    )
    .unwrap();
    assert_eq!(ended.output, "a\n");
    assert_eq!(ended.status.unwrap().code(), Some(3));
}

#[test]
fn a_child_that_never_ends_is_killed() {
    let mut endless = Command::new("tail");
    let ended = run(
        endless.args(["-f", "Cargo.toml"]),
        Duration::from_millis(50),
    )
    .unwrap();
    assert!(ended.status.is_none());
}
