//! A stream of choices whose values never change between versions.
//!
//! **Place.** Everything that a seed decides is drawn from here: the workload, which images of a
//! crash point are looked at, what survives in them.
//!
//! - R1. A stream is a pure function of its seed, and its seed of an address. Two addresses have
//!   unrelated streams, so an image can be rebuilt without those before it.

use std::convert::Infallible;

use rand::{Rng, TryRng};

/// A SplitMix64 stream.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own, seeded by one draw: how much is drawn from it never shifts the other.
    pub fn from_rng<R: Rng + ?Sized>(rng: &mut R) -> Self {
        Self(rng.next_u64())
    }

    /// The stream of a seed and the numbers of an address below it.
    pub fn at(seed: u64, path: &[u64]) -> Self {
        let mut state = scrambled(seed ^ 0x9fb2_1c65_1e98_df25);
        for (depth, number) in path.iter().enumerate() {
            let place = (depth as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            state = scrambled(state ^ scrambled(number.wrapping_add(place)));
        }
        Self(state)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scrambled(self.0)
    }

    /// A number below `bound`; zero where the bound is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a product of two u64 is a u64")
    }

    /// A number from `low` to `high`, both included.
    ///
    /// # Panics
    /// If `low` is above `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "no number is at least {low} and at most {high}");
        match (high - low).checked_add(1) {
            Some(count) => low + self.below(count),
            None => self.draw(),
        }
    }

    /// An index of something that has `len` elements; zero where it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// A length from `low` to `high`, both included.
    ///
    /// # Panics
    /// If `low` is above `high`.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        let size = self.between(low as u64, high as u64);
        usize::try_from(size).expect("it is at most a usize")
    }

    /// True `hits` times out of `of`.
    pub fn chance(&mut self, hits: u64, of: u64) -> bool {
        self.below(of) < hits
    }

    /// One of some.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        assert!(!some.is_empty(), "one of none is asked for");
        &some[self.index(some.len())]
    }

    /// An index drawn by weight; zero where all weights are zero.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        0
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(self.draw() >> 32).expect("the high half of a u64 is a u32"))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.draw().to_le_bytes()[..piece.len()]);
        }
        Ok(())
    }
}

/// SplitMix64's output function: a bijection that spreads every bit.
pub const fn scrambled(seed: u64) -> u64 {
    let mut z = seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_an_address_never_change() {
        let mut stream = Stream::at(7, &[3, 1]);
        let drawn: Vec<u64> = (0..3).map(|_| stream.below(1000)).collect();
        let mut again = Stream::at(7, &[3, 1]);
        assert_eq!(drawn, (0..3).map(|_| again.below(1000)).collect::<Vec<_>>());
        assert_ne!(Stream::at(7, &[3, 1]).draw(), Stream::at(7, &[1, 3]).draw());
        assert_ne!(Stream::at(7, &[]).draw(), Stream::at(7, &[0]).draw());
    }

    #[test]
    fn values_of_a_seed_never_change() {
        let mut stream = Stream::new(7);
        let drawn: Vec<u64> = (0..3).map(|_| stream.below(1000)).collect();
        assert_eq!(drawn, [389, 16, 900]);
        assert_eq!(stream.below(0), 0);
    }

    #[test]
    fn bounds_are_included_up_to_all_numbers() {
        let mut stream = Stream::new(3);
        let drawn: Vec<u64> = (0..200).map(|_| stream.between(u64::MAX - 2, u64::MAX)).collect();
        assert!((u64::MAX - 2..=u64::MAX).all(|number| drawn.contains(&number)));
        assert_eq!(stream.clone().between(0, u64::MAX), stream.draw());
        assert_eq!(stream.size(usize::MAX, usize::MAX), usize::MAX);
        assert_eq!(stream.between(7, 7), 7);
    }

    #[test]
    fn weights_are_kept_to() {
        let mut stream = Stream::new(1);
        let mut drawn = [0u32; 3];
        for _ in 0..4000 {
            drawn[stream.weighted(&[3, 0, 1])] += 1;
        }
        assert_eq!(drawn[1], 0);
        assert!(drawn[0] > 2 * drawn[2], "{drawn:?}");
    }
}
