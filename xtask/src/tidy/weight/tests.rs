use super::*;

#[test]
fn the_limit_is_512_kibibytes() {
    let text = "x".repeat(512 * 1024);
    assert_eq!(Findings::of(check, &House::of(&[("a", &text)])), [""; 0]);
    let text = format!("{text}x");
    assert_eq!(Findings::of(check, &House::of(&[("a", &text)])).len(), 1);
}
