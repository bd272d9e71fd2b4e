use super::*;

#[test]
fn numbers_stand_to_the_right_and_nothing_trails() {
    let mut table = Table::new([
        ("NAME", Side::Left),
        ("LAG", Side::Right),
        ("X", Side::Left),
    ]);
    table.row(["charge-card".into(), "7".into(), "one".into()]);
    table.row(["ship".into(), "1200".into(), String::new()]);
    let out = Output::to(std::io::sink(), std::io::sink());
    assert_eq!(
        table.lines(&out),
        [
            "NAME          LAG  X",
            "charge-card     7  one",
            "ship         1200"
        ]
    );
}

#[test]
fn long_text_is_cut_with_a_mark() {
    assert_eq!(shorten("abcdef", 4), "abc…");
    assert_eq!(shorten("abcd", 4), "abcd");
    assert_eq!(counted(1_u64, "event"), "1 event");
    assert_eq!(counted(0_u64, "event"), "0 events");
}
