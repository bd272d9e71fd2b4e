//! What the disk keeps through a cut.

use hence_log::sim::Dice;

use super::{Platter, SECTOR};

fn platter() -> Platter {
    Platter {
        durable: vec![0; 64 * SECTOR],
        cache: std::collections::HashMap::new(),
        era: 1,
        powered: true,
    }
}

#[test]
fn what_is_written_is_read_across_sectors() {
    let mut platter = platter();
    let bytes: Vec<u8> = (0..1500).map(|at| at as u8).collect();
    platter.write(SECTOR - 10, &bytes).expect("it fits");
    assert_eq!(platter.read(SECTOR - 10, 1500), bytes);
    assert_eq!(platter.read(SECTOR - 9, 3), [1, 2, 3]);
    platter.flush();
    assert_eq!(platter.read(SECTOR - 10, 1500), bytes);
}

#[test]
fn a_write_over_the_end_is_refused() {
    assert!(platter().write(63 * SECTOR, &[1; SECTOR + 1]).is_none());
}

#[test]
fn a_cut_keeps_what_was_flushed_and_takes_of_the_rest() {
    let mut taken = 0;
    for seed in 0..30 {
        let mut platter = platter();
        platter.write(0, &[1; 8 * SECTOR]).expect("it fits");
        platter.flush();
        platter
            .write(8 * SECTOR, &[2; 8 * SECTOR])
            .expect("it fits");
        platter.cut(&mut Dice::new(seed));
        // What the kernel says without power comes to nothing.
        platter.write(0, &[3; 8 * SECTOR]).expect("it fits");
        platter.flush();
        platter.cache.clear();
        assert_eq!(platter.read(0, 8 * SECTOR), [1; 8 * SECTOR]);
        for number in 8..16 {
            let sector = platter.read(number * SECTOR, SECTOR);
            assert!(sector == [0; SECTOR] || sector == [2; SECTOR]);
            taken += usize::from(sector == [0; SECTOR]);
        }
    }
    assert!(
        (30..210).contains(&taken),
        "{taken} of 240 sectors were taken"
    );
}
