use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Settled;

#[test]
fn out_of_order_ranges_meet_at_the_mark() {
    let mut settled = Settled::up_to(10);
    settled.insert(12, 15);
    settled.insert(20, 21);
    assert_eq!((settled.low(), settled.ranges().len()), (10, 2));
    assert_eq!(
        (settled.skip(13), settled.skip(12), settled.skip(3)),
        (16, 12, 11)
    );
    settled.insert(10, 12);
    assert_eq!((settled.low(), settled.ranges().len()), (15, 1));
    settled.insert(15, 20);
    assert_eq!(settled, Settled::up_to(21));
}

proptest! {
    #[test]
    fn behaves_as_a_set(inserts in prop::collection::vec((0u64..60, 0u64..8), 0..40)) {
        let (mut settled, mut model) = (Settled::up_to(5), (0..=5).collect::<BTreeSet<u64>>());
        for (after, length) in inserts {
            settled.insert(after, after + length);
            model.extend(after + 1..=after + length);
            for position in 0..80 {
                prop_assert_eq!(settled.contains(position), model.contains(&position));
                let open = (position..).find(|p| !model.contains(p)).unwrap();
                prop_assert_eq!(settled.skip(position), open);
            }
        }
    }
}
