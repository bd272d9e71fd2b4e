use super::*;

#[test]
fn the_distance_of_words() {
    for (a, b, steps) in [
        ("", "", 0),
        ("retry", "retry", 0),
        ("retires", "retry", 3),
        ("", "key", 3),
    ] {
        assert_eq!(distance(a, b), steps, "{a} → {b}");
        assert_eq!(distance(b, a), steps, "{b} → {a}");
    }
}

#[test]
fn a_typo_finds_its_word_and_nonsense_none() {
    let known = ["name", "retry", "timeout", "concurrency"];
    assert_eq!(closest("retries", &known), Some("retry"));
    assert_eq!(closest("retrys", &known), Some("retry"));
    assert_eq!(closest("time_out", &known), Some("timeout"));
    assert_eq!(closest("concurency", &known), Some("concurrency"));
    assert_eq!(closest("colour", &known), None);
}
