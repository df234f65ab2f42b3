//! A small stream of choices whose values never change between versions.
//!
//! **Place.** Everything of the simulated disk that is "chosen" draws from here. A caller hands in
//! any `rand::Rng`; one draw from it seeds a stream of this kind, so that how many draws a crash
//! image takes never shifts the caller's own stream.

use rand::Rng;

/// A SplitMix64 stream.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own, seeded by one draw.
    pub(crate) fn from_rng<R: Rng + ?Sized>(rng: &mut R) -> Self {
        Self(rng.next_u64())
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scrambled(self.0)
    }

    /// A number below `bound`; zero where the bound is zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a product of two u64 is a u64")
    }

    /// An index of something that has `len` elements; zero where it is empty.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index is below a usize")
    }

    /// True `hits` times out of `of`.
    pub(crate) fn chance(&mut self, hits: u64, of: u64) -> bool {
        self.below(of) < hits
    }
}

/// SplitMix64's output function: a bijection that spreads every bit.
pub(crate) const fn scrambled(seed: u64) -> u64 {
    let mut z = seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_of_a_seed_never_changes() {
        let mut dice = Dice::new(7);
        let drawn: Vec<u64> = (0..3).map(|_| dice.below(1000)).collect();
        assert_eq!(drawn, [389, 16, 900]);
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut dice = Dice::new(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[dice.index(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(dice.below(0), 0);
    }
}
