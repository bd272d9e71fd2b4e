use super::*;

fn add(findings: &mut Findings, bytes: usize) {
    findings.add(Position(1), What::Failed("x".repeat(bytes)));
}

#[test]
fn findings_are_bounded_in_number_and_in_bytes() {
    let mut many = Findings::default();
    (0..FINDINGS_MAX + 7).for_each(|_| add(&mut many, 1));
    assert_eq!((many.list.len(), many.more), (FINDINGS_MAX, 7));
    let mut large = Findings::default();
    (0..3).for_each(|_| add(&mut large, FINDINGS_BYTES_MAX / 2));
    assert_eq!((large.list.len(), large.more), (2, 1));
    let mut one = Findings::default();
    add(&mut one, FINDINGS_BYTES_MAX + 1);
    assert_eq!(
        (one.list.len(), one.more),
        (1, 0),
        "one is told however large"
    );
}
