//! Seeded random numbers: one independent stream per purpose.
//!
//! xoshiro256++ (Blackman & Vigna, ACM TOMS 47 (2021)), seeded through SplitMix64 from (seed,
//! name, purpose, replication). Streams are named, so a changed model keeps the random numbers of
//! what did not change: common random numbers.

use crate::numeric::elementary::ln;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    s: [u64; 4],
}

impl Rng {
    /// The stream of `purpose` at the part called `name`, in one replication of one seed.
    pub fn stream(seed: u64, replication: u64, name: &str, purpose: u64) -> Self {
        // FNV-1a over the name, then SplitMix64 over everything.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut state = seed ^ hash.rotate_left(17);
        state = splitmix(&mut state) ^ replication.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state = splitmix(&mut state) ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Self {
            s: std::array::from_fn(|_| splitmix(&mut state)),
        }
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.s;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.s = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Uniform on (0, 1].
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Exponential of mean 1.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        -ln(self.uniform())
    }

    /// Standard normal, by Marsaglia's polar method.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let r = x * x + y * y;
            if r > 0.0 && r < 1.0 {
                return x * (-2.0 * ln(r) / r).sqrt();
            }
        }
    }

    /// Uniform on 0..n.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from((self.bits() >> 32) as u32) * u64::from(n)) >> 32) as u32
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
