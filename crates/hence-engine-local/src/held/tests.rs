use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever comes and goes in whatever order, it is what a map would be.
    #[test]
    fn it_holds_what_a_map_would(steps in prop::collection::vec((1..400_u64, any::<bool>()), 1..900)) {
        let (mut held, mut model) = (Held::default(), BTreeMap::new());
        for (position, comes) in steps {
            if comes {
                held.insert(position, position / 2);
                model.insert(position, position / 2);
            } else {
                prop_assert_eq!(held.remove(position), model.remove(&position));
            }
            prop_assert_eq!(held.len(), model.len());
        }
        for position in 0..401 {
            prop_assert_eq!(held.after(position), model.get(&position).copied());
        }
    }
}

#[test]
fn places_of_what_has_gone_are_given_up_behind_one_that_stays() {
    let mut held = Held::default();
    for position in 1..=10_000 {
        held.insert(position, position - 1);
        if position > 1 {
            assert_eq!(held.remove(position), Some(position - 1));
        }
    }
    assert_eq!(held.len(), 1);
    assert!(held.ring.len() <= EMPTY_MAX + 2, "{}", held.ring.len());
}
