//! A mutator for stable, where libFuzzer is not: it knows no coverage, but lengths, offsets and the other
//! seeds.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers at which lengths, counts and kinds break.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 62,
    u64::MAX,
];

/// Makes inputs out of seeds, the same ones in every run of its own seed.
#[derive(Debug)]
pub struct Mutator {
    rng: ChaCha8Rng,
}

impl Mutator {
    /// The mutator of a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// An input made of one of the seeds, no longer than `bytes_max`.
    ///
    /// # Panics
    /// If there is no seed.
    pub fn input(&mut self, seeds: &[Vec<u8>], bytes_max: usize) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, seeds);
        }
        input.truncate(bytes_max);
        input
    }

    /// A number below `bound`, or zero.
    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.rng.random_range(0..bound) }
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.rng.random(),
            2 | 3 => self.put_number(input, at),
            4 => input.truncate(at),
            5 => {
                let end = input.len().min(at + 1 + self.below(16));
                input.drain(at.min(end)..end);
            }
            6 => {
                let end = input.len().min(at + 1 + self.below(32));
                let copy = input[at.min(end)..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                let end = other.len().min(from + 1 + self.below(64));
                let over = if self.below(2) == 0 { end - from.min(end) } else { 0 };
                let over = (at + over).min(input.len());
                input.splice(at.min(over)..over, other[from.min(end)..end].iter().copied());
            }
        }
    }

    /// An edge, or a little more or less than what is there, little-endian.
    fn put_number(&mut self, input: &mut [u8], at: usize) {
        let width = [1, 2, 4, 8][self.below(4)].min(input.len() - at.min(input.len()));
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(&input[at..at + width]);
        let near = u64::from_le_bytes(bytes).wrapping_add(self.below(9) as u64).wrapping_sub(4);
        let number = if self.below(2) == 0 { near } else { EDGES[self.below(EDGES.len())] };
        input[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
    }
}
