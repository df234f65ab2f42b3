//! Content keys: 128 bits that stand for bytes, names and trees.
//!
//! **Place.** Two crash images with one key are held to be the same image, so a key must not
//! collide by accident; nobody attacks it. It is made of sums, so that changing one sector changes
//! the key of a file without a look at its other sectors.
//!
//! - K1. A sector's part of a key depends on its bytes and its place; an all-zero sector's part
//!   is 0. So a hole, written zeros and the space past the end are the same content.
//! - K2. Sums wrap. The order in which parts are added does not matter.

use crate::stream::scrambled;

/// Bytes of the smallest unit that a medium writes whole.
pub(crate) const SECTOR_BYTES: usize = 512;

const WORDS: usize = SECTOR_BYTES / 8;

/// One word of key for each word of a sector, as in the NH universal hash.
const WORD_KEYS: [u64; WORDS] = word_keys();

/// What [`sum_of_sector`] gives for an all-zero sector.
const SUM_OF_ZEROS: u128 = sum_of_zeros();

const fn word_keys() -> [u64; WORDS] {
    let mut keys = [0; WORDS];
    let mut seed: u64 = 0x5175_6976_6572_5369;
    let mut at = 0;
    while at < WORDS {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        keys[at] = scrambled(seed);
        at += 1;
    }
    keys
}

const fn sum_of_zeros() -> u128 {
    let mut sum: u128 = 0;
    let mut at = 0;
    while at < WORDS {
        sum = sum.wrapping_add(WORD_KEYS[at] as u128 * WORD_KEYS[at + 1] as u128);
        at += 2;
    }
    sum
}

/// NH (Black et al., UMAC, CRYPTO 1999): the sum of the products of keyed word pairs.
fn sum_of_sector(bytes: &[u8; SECTOR_BYTES]) -> u128 {
    let mut sum: u128 = 0;
    for (pair, keys) in bytes.as_chunks::<16>().0.iter().zip(WORD_KEYS.as_chunks::<2>().0) {
        let (words, _) = pair.as_chunks::<8>();
        let a = u64::from_le_bytes(words[0]).wrapping_add(keys[0]);
        let b = u64::from_le_bytes(words[1]).wrapping_add(keys[1]);
        sum = sum.wrapping_add(u128::from(a) * u128::from(b));
    }
    sum
}

/// A sector's part of its file's key (K1).
pub(crate) fn sector_part(bytes: &[u8; SECTOR_BYTES], sector: u64) -> u128 {
    let sum = sum_of_sector(bytes);
    if sum == SUM_OF_ZEROS { 0 } else { mixed(sum, sector) }
}

/// Spreads 128 bits and a 64-bit tag over 128 bits; a bijection for each tag.
pub(crate) fn mixed(value: u128, tag: u64) -> u128 {
    let (mut low, mut high) = halves(value);
    let tag = tag.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ 0xa076_1d64_78bd_642f;
    high ^= folded(low ^ tag, 0xe703_7ed1_a0b4_28db);
    low ^= folded(high ^ tag.rotate_left(32), 0x8ebc_6af0_9c88_c6e3);
    high ^= folded(low ^ 0x5899_65cc_7537_4cc3, 0x1d8e_4e27_c47d_124f);
    low ^= folded(high ^ 0xeb44_acca_b455_d165, 0x9c6e_6877_736c_46e3);
    (u128::from(high) << 64) | u128::from(low)
}

/// The low 64 bits.
pub(crate) fn low_half(value: u128) -> u64 {
    halves(value).0
}

/// The key of a string: names of directory entries, call sites.
pub(crate) fn text_key(text: &str) -> u128 {
    let mut key = mixed(text.len() as u128, 0x7465_7874);
    for piece in text.as_bytes().chunks(16) {
        let mut bytes = [0; 16];
        bytes[..piece.len()].copy_from_slice(piece);
        key = mixed(key ^ u128::from_le_bytes(bytes), 1);
    }
    key
}

fn halves(value: u128) -> (u64, u64) {
    let bytes = value.to_le_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]))
}

fn folded(a: u64, b: u64) -> u64 {
    let (low, high) = halves(u128::from(a) * u128::from(b));
    low ^ high
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn zero_sector_has_no_part_and_every_single_bit_another_one() {
        let mut sector = [0; SECTOR_BYTES];
        assert_eq!(sector_part(&sector, 3), 0);
        let mut parts = BTreeSet::new();
        for bit in 0..SECTOR_BYTES * 8 {
            sector[bit / 8] ^= 1 << (bit % 8);
            assert!(parts.insert(sector_part(&sector, 3)), "bit {bit} collides");
            sector[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn part_depends_on_the_place() {
        let sector = [7; SECTOR_BYTES];
        let parts: BTreeSet<u128> = (0..1000).map(|place| sector_part(&sector, place)).collect();
        assert_eq!(parts.len(), 1000);
    }

    #[test]
    fn text_keys_tell_names_apart() {
        let names = ["", "a", "b", "ab", "ba", "manifest-0000000001", "manifest-0000000010"];
        let keys: BTreeSet<u128> = names.iter().map(|name| text_key(name)).collect();
        assert_eq!(keys.len(), names.len());
    }
}
