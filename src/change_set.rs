//! Which rows of a collection changed in segments since an LSN: what an index snapshot misses.
//!
//! **Place.** A seal adds a *generation*, the ids that it sealed or buried; an index snapshot makes
//! older ones superfluous. It is kept as a file of its own, written whole under a new name each time,
//! for as long as the collection has an index snapshot.
//!
//! - H1. Every row that changed behind `since`, up to what is sealed, is in a generation. A generation
//!   may hold more than that.
//! - H2. Generations ascend, and so do the ids of each.
//!
//! **Stored form**, a byte string over pages of type 7:
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | generation count | u32 | |
//! | generations | | through LSN u64, above the one before; id count u32; the ids |
//! | ids | | length u16, UTF-8; ascending |

use std::collections::BTreeSet;

use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::ids::Lsn;
use crate::limits::EXTERNAL_ID_BYTES_MAX;

/// Changes up to so many are kept whatever the number of rows is.
const KEPT_IDS_MIN: u64 = 64;

/// The rows that changed, by the seals that found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeSet {
    generations: Vec<Generation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Generation {
    through: Lsn,
    ids: Vec<String>,
}

impl ChangeSet {
    /// Adds the ids of a seal, in order.
    pub(crate) fn push(&mut self, through: Lsn, ids: Vec<String>) {
        if !ids.is_empty() {
            self.generations.push(Generation { through, ids });
        }
    }

    /// Leaves out what an index snapshot covers.
    pub(crate) fn forget_through(&mut self, covered: Lsn) {
        self.generations.retain(|generation| generation.through > covered);
    }

    /// How many ids it lists.
    pub(crate) fn len(&self) -> u64 {
        self.generations.iter().map(|generation| generation.ids.len() as u64).sum()
    }

    /// The ids that may have changed behind an LSN.
    pub(crate) fn since(self, covered: Lsn) -> BTreeSet<String> {
        let behind = self.generations.into_iter().filter(|found| found.through > covered);
        behind.flat_map(|generation| generation.ids).collect()
    }

    /// The generations: the LSN of the seal, and the ids.
    #[cfg(feature = "cli")]
    pub(crate) fn generations(&self) -> impl Iterator<Item = (Lsn, &[String])> {
        self.generations.iter().map(|found| (found.through, found.ids.as_slice()))
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = len_u32(self.generations.len()).to_le_bytes().to_vec();
        for Generation { through, ids } in &self.generations {
            out.extend_from_slice(&through.0.to_le_bytes());
            out.extend_from_slice(&len_u32(ids.len()).to_le_bytes());
            for id in ids {
                let len = u16::try_from(id.len()).expect("ids are bounded by `limits`");
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(id.as_bytes());
            }
        }
        out
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Corrupt` for anything that no version writes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, "changes");
        let count = cursor.count(12)?;
        let mut generations: Vec<Generation> = Vec::with_capacity(count);
        for _ in 0..count {
            let through = Lsn(cursor.u64()?);
            let count = cursor.count(3)?;
            let mut ids: Vec<String> = Vec::with_capacity(count);
            for _ in 0..count {
                let len = usize::from(cursor.u16()?);
                let id = cursor.text(len)?;
                let is_above = ids.last().is_none_or(|before| **before < *id);
                if !is_above || !(1..=EXTERNAL_ID_BYTES_MAX).contains(&len) {
                    return Err(Error::corrupt("changes: ids are out of order"));
                }
                ids.push(id.to_owned());
            }
            if generations.last().is_some_and(|before| before.through >= through) || ids.is_empty()
            {
                return Err(Error::corrupt("changes: generations are out of order"));
            }
            generations.push(Generation { through, ids });
        }
        cursor.finish()?;
        Ok(Self { generations })
    }
}

/// Whether so many changes are worth being told one by one, of a collection of so many rows.
pub(crate) fn is_worth_telling(changes: u64, rows: u64) -> bool {
    changes <= (rows / 4).max(KEPT_IDS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> ChangeSet {
        let mut changes = ChangeSet::default();
        changes.push(Lsn(3), vec!["a".to_owned(), "b\u{e9}".to_owned()]);
        changes.push(Lsn(5), Vec::new());
        changes.push(Lsn(9), vec!["a".to_owned()]);
        changes
    }

    #[test]
    fn changes_round_trip_and_are_forgotten_by_generation() {
        let mut changes = sample();
        assert_eq!(ChangeSet::decode(&changes.encode()).expect("own bytes"), changes);
        assert_eq!(changes.len(), 3);
        assert_eq!(changes.clone().since(Lsn(2)).len(), 2);
        changes.forget_through(Lsn(3));
        assert_eq!(changes.since(Lsn(0)).into_iter().collect::<Vec<_>>(), ["a"]);
    }

    proptest! {
        #[test]
        fn a_changed_byte_gives_an_error_or_another_set(
            at in any::<proptest::sample::Index>(),
            flip in 1..=u8::MAX,
        ) {
            let changes = sample();
            let mut bytes = changes.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = ChangeSet::decode(&bytes) {
                prop_assert_ne!(&other, &changes);
                prop_assert_eq!(other.encode(), bytes, "one set has one form");
            }
        }
    }

    #[test]
    fn a_quarter_of_the_rows_is_told_one_by_one_and_no_more() {
        assert!(is_worth_telling(64, 1) && !is_worth_telling(65, 1));
        assert!(is_worth_telling(250, 1000) && !is_worth_telling(251, 1000));
    }
}
