//! `Sample`: all of what comes slowly, and one in so many of what comes fast.

use fastrand::Rng;

/// What is measured of each window in any case.
const WHOLE: u32 = 32;
/// Of what comes beyond, one in so many is measured, and counts for all of them.
const ONE_IN: u32 = 8;

/// Chooses what is measured.
///
/// Beyond [`WHOLE`] each group of [`ONE_IN`] has one place at random, so that no regular pattern of
/// events can hide from it or be all that is seen. Whatever is chosen has the weight of those that
/// it stands for: sums of weights, and so means and shares, are on average what they would be if all
/// had been measured.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    rng: Rng,
    window: u64,
    /// How many came in this window, up to [`WHOLE`].
    whole: u32,
    /// How many of the group are still to come, and how many at the one that is chosen.
    left: u32,
    chosen: u32,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            // Nobody gains by knowing it, and the same events are measured the same way.
            rng: Rng::with_seed(1),
            window: 0,
            whole: 0,
            left: 0,
            chosen: 0,
        }
    }
}

impl Sample {
    /// What comes now is of this window.
    pub(crate) fn turn(&mut self, window: u64) {
        if window != self.window {
            self.window = window;
            self.whole = 0;
        }
    }

    /// For how many the next stands; `None` when it is not measured.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u32> {
        if self.whole < WHOLE {
            self.whole += 1;
            return Some(1);
        }
        if self.left == 0 {
            self.left = ONE_IN;
            self.chosen = self.rng.u32(1..=ONE_IN);
        }
        let is_chosen = self.left == self.chosen;
        self.left -= 1;
        is_chosen.then_some(ONE_IN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_slowly_is_measured_whole() {
        let mut sample = Sample::default();
        for window in 0..1_000 {
            for _ in 0..WHOLE {
                sample.turn(window);
                assert_eq!(sample.next(), Some(1));
            }
        }
    }

    #[test]
    fn weights_add_up_to_what_came_for_any_pattern() {
        let mut sample = Sample::default();
        // A pattern as long as a group: one kind of the two is always at the same place.
        let mut of_kind = [0_u64; 2];
        let (windows, each) = (500_u64, 4_000_u64);
        let mut measured = 0;
        for window in 0..windows {
            for number in 0..each {
                // Told as often as it is asked: it is the same window all the time.
                sample.turn(window);
                let kind = usize::from(number % u64::from(ONE_IN) == 0);
                let weight = sample.next();
                measured += u64::from(weight.is_some());
                of_kind[kind] += u64::from(weight.unwrap_or(0));
            }
        }
        let all = windows * each;
        let most = windows * u64::from(WHOLE) + all / u64::from(ONE_IN);
        assert!(measured <= most, "{measured} of {all}");
        assert!(of_kind.iter().sum::<u64>().abs_diff(all) <= u64::from(ONE_IN));
        let share = of_kind[1] as f64 / all as f64;
        let expected = 1.0 / f64::from(ONE_IN);
        assert!((share / expected - 1.0).abs() < 0.02, "{share}");
    }
}
