//! What became of one pending mutation of a file when power was lost.
//!
//! **Place.** A policy gives every pending mutation a [`Fate`]; `image` turns the fates of a file
//! into sectors and a length.

use crate::stream::scrambled;

/// How finely the finest cut of a crash image divides what was pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tear {
    /// All of it survived, or nothing.
    None,
    /// Some mutations survived whole, others not at all.
    Mutation,
    /// A mutation survived in part: some sectors, or a length without its bytes.
    Sector,
    /// A single sector is a mix of old and new bytes, or garbage.
    TornSector,
}

impl Tear {
    /// Every value, coarsest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Mutation, Self::Sector, Self::TornSector];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mutation => "mutation",
            Self::Sector => "sector",
            Self::TornSector => "torn sector",
        }
    }
}

/// The named ways in which one write survives in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteTear {
    /// The first sector only; the file ends there.
    FirstSector,
    /// All but the last sector; the file ends there.
    AllButLast,
    /// All but the first sector.
    AllButFirst,
    /// The last sector only.
    LastSector,
    /// Every other sector, the first one among them; the file ends with the last of them.
    Alternate,
    /// Full length, every other sector a hole, the first one among them.
    ZeroHoles,
    /// Full length and garbage wherever the file never had durable bytes.
    Garbage,
    /// Full length, no bytes.
    LengthOnly,
}

impl WriteTear {
    /// Every tear.
    pub const ALL: [Self; 8] = [
        Self::FirstSector,
        Self::AllButLast,
        Self::AllButFirst,
        Self::LastSector,
        Self::Alternate,
        Self::ZeroHoles,
        Self::Garbage,
        Self::LengthOnly,
    ];

    /// The word for reports and reproducers.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstSector => "first-sector",
            Self::AllButLast => "all-but-last",
            Self::AllButFirst => "all-but-first",
            Self::LastSector => "last-sector",
            Self::Alternate => "alternate",
            Self::ZeroHoles => "zero-holes",
            Self::Garbage => "garbage",
            Self::LengthOnly => "length-only",
        }
    }

    /// Whether sector `index` of a write that touches `count` sectors survives.
    pub(crate) fn keeps(self, index: u64, count: u64) -> bool {
        match self {
            Self::FirstSector => index == 0,
            Self::AllButLast => index + 1 < count,
            Self::AllButFirst => index > 0,
            Self::LastSector => index + 1 == count,
            Self::Alternate => index.is_multiple_of(2),
            Self::ZeroHoles => !index.is_multiple_of(2),
            Self::Garbage | Self::LengthOnly => false,
        }
    }

    /// Whether the file ends with the last surviving sector rather than where the write ended.
    pub(crate) fn ends_with_the_last_kept_sector(self) -> bool {
        matches!(self, Self::FirstSector | Self::AllButLast | Self::Alternate)
    }
}

/// What became of one pending mutation of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing of it is there.
    Lost,
    /// All of it is there.
    Kept,
    /// The length it made, without its bytes.
    LengthOnly,
    /// A named part of it.
    Torn(WriteTear),
    /// Each sector by a coin of its own that lands on "kept" `eighths` times out of eight.
    Scattered {
        /// Seeds the coins.
        seed: u64,
        /// The bias.
        eighths: u64,
    },
}

impl Fate {
    /// Whether sector `index` of a write that touches `count` sectors survives.
    pub(crate) fn keeps(self, index: u64, count: u64) -> bool {
        match self {
            Self::Lost | Self::LengthOnly => false,
            Self::Kept => true,
            Self::Torn(tear) => tear.keeps(index, count),
            Self::Scattered { seed, eighths } => scrambled(seed ^ scrambled(index)) % 8 < eighths,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tears_of_a_long_write_are_eight_different_ones() {
        let shape = |tear: WriteTear| {
            let kept: Vec<bool> = (0..5).map(|index| tear.keeps(index, 5)).collect();
            (kept, tear.ends_with_the_last_kept_sector(), tear == WriteTear::Garbage)
        };
        let mut shapes: Vec<_> = WriteTear::ALL.map(shape).to_vec();
        shapes.sort();
        shapes.dedup();
        assert_eq!(shapes.len(), 8);
    }
}
