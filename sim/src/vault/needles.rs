//! Strings that may stand nowhere, found fast wherever bytes go by.
//!
//! - N1. A secret is cut into pieces of 16 bytes, the last of 8 at least: each piece alone gives it
//!   away, also where a page ends within it. What is shorter than 8 bytes stands anywhere by chance,
//!   and so do pieces of few different bytes; they are left out.
//! - N2. Keys are learned while bytes go by, so the pieces are kept in a table that takes more at any
//!   time, which automata of many patterns do not: the first eight bytes of each, behind a filter of
//!   one bit per hash.

use std::collections::BTreeMap;
use std::fmt;

/// Bytes of a piece, but for the last of a secret.
pub(super) const PIECE_BYTES: usize = 16;

/// The shortest piece.
const PIECE_BYTES_MIN: usize = 8;

/// Different bytes that a piece has at least.
const DIFFERENT_BYTES_MIN: usize = 5;

/// Bits of a hash.
const HASH_BITS: u32 = 18;

/// Words of the filter, which stays in the cache next to the processor.
const FILTER_WORDS: usize = 1 << (HASH_BITS - 6);

/// What a piece is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// An id of a row.
    Id,
    /// The name of a collection.
    Name,
    /// A field to filter by.
    Field,
    /// A vector.
    Vector,
    /// A payload.
    Payload,
    /// A key that is not sealed.
    Key,
}

impl Secret {
    fn words(self) -> &'static str {
        match self {
            Self::Id => "the id of a row",
            Self::Name => "the name of a collection",
            Self::Field => "the path of a field",
            Self::Vector => "a vector",
            Self::Payload => "a payload",
            Self::Key => "an unwrapped key",
        }
    }
}

/// What was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) at: usize,
    secret: Secret,
    piece: Box<[u8]>,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.secret.words(), self.piece.escape_ascii())
    }
}

/// A piece, and what it is of.
type Piece = (Secret, Box<[u8]>);

/// The pieces, by their first eight bytes.
pub(super) struct Needles {
    filter: Box<[u64; FILTER_WORDS]>,
    pieces: BTreeMap<u64, Vec<Piece>>,
}

impl Default for Needles {
    fn default() -> Self {
        Self { filter: Box::new([0; FILTER_WORDS]), pieces: BTreeMap::new() }
    }
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").field("pieces", &self.len()).finish_non_exhaustive()
    }
}

fn hash(word: u64) -> (usize, u64) {
    let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS);
    (usize::try_from(hash >> 6).expect("of few bits") % FILTER_WORDS, 1 << (hash & 63))
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("a window of eight bytes"))
}

impl Needles {
    /// How many pieces there are.
    pub(super) fn len(&self) -> usize {
        self.pieces.values().map(Vec::len).sum()
    }

    /// Adds a secret (N1).
    pub(super) fn add(&mut self, secret: Secret, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE_BYTES) {
            if piece.len() < PIECE_BYTES_MIN || different(piece) < DIFFERENT_BYTES_MIN {
                continue;
            }
            let first = word(piece);
            let known = self.pieces.entry(first).or_default();
            if !known.iter().any(|(_, own)| **own == *piece) {
                known.push((secret, piece.into()));
            }
            let (place, bit) = hash(first);
            self.filter[place] |= bit;
        }
    }

    /// The first piece in some bytes; of keys too, if so said.
    pub(super) fn find(&self, bytes: &[u8], keys: bool) -> Option<Hit> {
        for (at, window) in bytes.array_windows::<PIECE_BYTES_MIN>().enumerate() {
            let first = u64::from_le_bytes(*window);
            let (place, bit) = hash(first);
            if self.filter[place] & bit == 0 {
                continue;
            }
            let Some(known) = self.pieces.get(&first) else { continue };
            let mut there = known.iter().filter(|(secret, _)| keys || *secret != Secret::Key);
            if let Some((secret, piece)) = there.find(|(_, piece)| bytes[at..].starts_with(piece)) {
                return Some(Hit { at, secret: *secret, piece: piece.clone() });
            }
        }
        None
    }
}

/// How many different bytes there are.
fn different(bytes: &[u8]) -> usize {
    (0..bytes.len()).filter(|at| !bytes[..*at].contains(&bytes[*at])).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_of_a_secret_is_found_wherever_it_stands() {
        let mut needles = Needles::default();
        let secret: Vec<u8> = (0..44).map(|byte| byte * 5).collect();
        needles.add(Secret::Payload, &secret);
        needles.add(Secret::Key, b"0123456789abcdefghijklmnopqrstuv");
        assert_eq!(needles.len(), 5);
        for piece in [&secret[..16], &secret[16..32], &secret[32..]] {
            for before in 0..20 {
                let bytes = [&vec![7; before][..], piece, &[9; 5]].concat();
                assert_eq!(needles.find(&bytes, false).map(|hit| hit.at), Some(before));
                assert_eq!(needles.find(&bytes[..bytes.len() - 6], false), None);
            }
        }
        assert_eq!(needles.find(b"ghijklmnopqrstuv", false), None);
        assert!(needles.find(b"ghijklmnopqrstuv", true).is_some());
    }

    #[test]
    fn short_and_uniform_pieces_are_left_out() {
        let mut needles = Needles::default();
        for secret in [&b"1234567"[..], &[0; 40], &[1; 16], b"abababababababab"] {
            needles.add(Secret::Id, secret);
        }
        assert_eq!(needles.len(), 0);
    }
}
