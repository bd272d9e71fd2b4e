use super::*;

#[test]
fn the_same_trouble_has_one_fingerprint() {
    let one = fingerprint("order A-17: card 4711 was declined");
    assert_eq!(one, "order #: card # was declined");
    assert_eq!(one, fingerprint("order B-2: card 12 was declined"));
    assert_eq!(fingerprint("time out (30s)"), "time out (#)");
}
