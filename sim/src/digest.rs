//! 128-bit digests of rows and collections, made so that a state's digest is a sum.
//!
//! **Place.** The model keeps the digest of its state up to date with each operation; the checker
//! adds up the rows of a recovered store as they stream by. Equal sums mean equal states.
//!
//! - S1. A state's digest is the wrapping sum of one term per collection (name and schema) and one
//!   per row (collection name, id, vector bits, payload). Sums do not depend on order.
//! - S2. Every part is hashed with its length, so parts never run into one another.
//! - S3. Collection ids are no part of it: a creation that nobody acknowledged has an id that
//!   nobody knows. They are compared apart.

use quiver_store::{Descriptor, DistanceMetric, Dtype, FieldType, IndexSpec, VectorEncryption};

const KEYS: [u64; 4] =
    [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];

/// A hash in the making.
#[derive(Clone, Copy, Debug)]
pub struct Digest {
    low: u64,
    high: u64,
}

impl Digest {
    /// Starts a hash of one kind of thing.
    pub const fn new(kind: u64) -> Self {
        Self { low: kind ^ KEYS[0], high: kind.rotate_left(32) ^ KEYS[1] }
    }

    /// Takes in two words.
    #[must_use]
    pub fn pair(self, a: u64, b: u64) -> Self {
        Self {
            low: folded(self.low ^ a, b ^ KEYS[2]) ^ self.high,
            high: folded(self.high ^ b, a ^ KEYS[3]).wrapping_add(self.low),
        }
    }

    /// Takes in bytes and their number (S2).
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let (words, _) = pair.as_chunks::<8>();
            self = self.pair(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
        }
        let mut last = [0u8; 16];
        last[..rest.len()].copy_from_slice(rest);
        let (words, _) = last.as_chunks::<8>();
        self.pair(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]))
            .pair(bytes.len() as u64, 1)
    }

    /// Takes in the bits of a vector and their number (S2).
    #[must_use]
    pub fn vector(mut self, vector: &[f32]) -> Self {
        let (pairs, rest) = vector.as_chunks::<4>();
        let word = |a: f32, b: f32| (u64::from(a.to_bits()) << 32) | u64::from(b.to_bits());
        for [a, b, c, d] in pairs {
            self = self.pair(word(*a, *b), word(*c, *d));
        }
        for element in rest {
            self = self.pair(u64::from(element.to_bits()), 2);
        }
        self.pair(vector.len() as u64, 3)
    }

    /// The hash.
    pub fn finish(self) -> u128 {
        let last = self.pair(KEYS[0], KEYS[1]).pair(KEYS[2], KEYS[3]);
        (u128::from(last.high) << 64) | u128::from(last.low)
    }
}

/// What stands for a collection in the digests of its rows.
pub fn name_key(name: &str) -> u64 {
    let digest = Digest::new(1).bytes(name.as_bytes()).pair(0, 0);
    digest.low ^ digest.high
}

/// The term of a collection (S1).
pub fn of_collection(name_key: u64, descriptor: &Descriptor) -> u128 {
    let metric = match descriptor.metric {
        DistanceMetric::Dot => 1,
        DistanceMetric::Cosine => 2,
        DistanceMetric::L2 => 3,
        _ => 99,
    };
    let dtype = match descriptor.dtype {
        Dtype::F32 => 1,
        Dtype::F16 => 2,
        Dtype::Bf16 => 3,
        Dtype::I8 => 4,
        Dtype::U8 => 5,
        Dtype::Binary => 6,
        _ => 99,
    };
    let mut digest = Digest::new(2).pair(name_key, u64::from(descriptor.dim)).pair(metric, dtype);
    if descriptor.multivector {
        digest = digest.pair(4, 1);
    }
    if descriptor.index != IndexSpec::default()
        || descriptor.vector_encryption != VectorEncryption::default()
    {
        // Rarely drawn, so that its cost does not matter.
        let told = format!("{:?} {:?}", descriptor.index, descriptor.vector_encryption);
        digest = digest.pair(5, 1).bytes(told.as_bytes());
    }
    for field in &descriptor.filterable {
        let field_type = match field.field_type {
            FieldType::Keyword => 1,
            FieldType::Numeric => 2,
            FieldType::Bool => 3,
            _ => 99,
        };
        digest = digest.pair(6, field_type).bytes(field.path.as_bytes());
    }
    digest.finish()
}

/// The term of a row (S1).
pub fn of_row(name_key: u64, id: &str, vector: &[f32], payload: &[u8]) -> u128 {
    Digest::new(3).pair(name_key, 0).bytes(id.as_bytes()).vector(vector).bytes(payload).finish()
}

/// A word that sums up a list of words, for traces.
pub fn of_words(words: &[u64]) -> u64 {
    let mut digest = Digest::new(4);
    for word in words {
        digest = digest.pair(*word, 5);
    }
    let digest = digest.pair(words.len() as u64, 6).pair(0, 0);
    digest.low ^ digest.high
}

fn folded(a: u64, b: u64) -> u64 {
    let bytes = (u128::from(a) * u128::from(b)).to_le_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    u64::from_le_bytes(words[0]) ^ u64::from_le_bytes(words[1])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_part_of_a_row_changes_its_term() {
        let terms: BTreeSet<u128> = [
            of_row(1, "a", &[1.0], b"x"),
            of_row(2, "a", &[1.0], b"x"),
            of_row(1, "b", &[1.0], b"x"),
            of_row(1, "a", &[-1.0], b"x"),
            of_row(1, "a", &[1.0, 0.0], b"x"),
            of_row(1, "a", &[1.0], b"x\0"),
            of_row(1, "a", &[1.0], b""),
            of_row(1, "a", &[], b"x"),
            of_row(1, "a", &[0.0], b"x"),
            of_row(1, "a", &[-0.0], b"x"),
        ]
        .into();
        assert_eq!(terms.len(), 10);
    }

    #[test]
    fn every_bit_of_a_long_payload_counts() {
        let mut payload = [0u8; 100];
        let mut terms = BTreeSet::from([of_row(1, "a", &[], &payload)]);
        for bit in 0..800 {
            payload[bit / 8] ^= 1 << (bit % 8);
            assert!(terms.insert(of_row(1, "a", &[], &payload)), "bit {bit} collides");
            payload[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
