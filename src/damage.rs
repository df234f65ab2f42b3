//! What is wrong with the files of one collection, and what that hides.
//!
//! **Place.** Floor 4. Damage to a segment, to tombstones or to parked records is the collection's own:
//! the store opens, the others work, and the damaged one shows what can still be told for certain.
//!
//! | what cannot be used | hides | a row found in a segment | a row found nowhere | writes |
//! |---|---|---|---|---|
//! | a page of a segment, found later | nothing but what is on it | is shown | there is none | refused |
//! | a segment that did not open, or its tombstones | rows | is shown | `Corrupt` | refused |
//! | parked records | newer rows | `Corrupt` | `Corrupt` | refused |
//! | records whose key is missing | newer rows | `KeyUnavailable` | `KeyUnavailable` | refused |
//!
//! Each id is live in at most one segment, so a row that is live in one that can be read is the row,
//! whatever another one held. Rows of memtables are always shown, but for those that parked records which
//! cannot be read may have replaced.
//!
//! Whoever meets a damaged page first, a mere reader too, is told `Corrupt`, and from then on writes are
//! refused: the open segment keeps it in mind. What was met by a checkpoint, a merge or a verification
//! stands here as well, and so do files that did not open.
//!
//! - D1. What is hidden is never answered as if it were not there: counts, scans, filters and searches
//!   that come to nothing are `Corrupt`, with the file that is the cause.
//! - D2. Damage is never written over: a damaged collection is neither sealed nor merged. It can be
//!   dropped; and it is well again once the file is put back and the store is opened.
//!
//! **A crash leaves** nothing of this: every open finds out again.

use crate::error::Error;
use crate::ids::{CollectionId, Lsn};

/// What cannot be told any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hidden {
    /// Only what stands on a page that does not check out.
    #[default]
    Nothing,
    /// Rows of segments.
    Rows,
    /// Rows that overwrite others, or delete them: parked ones, up to an LSN.
    Newer(Lsn),
}

/// What is wrong with a collection.
#[derive(Debug)]
pub(crate) struct Damage {
    /// The first thing that was found.
    first: Error,
    pub(crate) hidden: Hidden,
    /// The last LSN of its records that are carried, since their key is missing; 0 where none are. They
    /// are in memory, and may say of any row what was newer then.
    pub(crate) carried: Lsn,
}

impl Damage {
    pub(crate) fn new(first: Error, hidden: Hidden) -> Self {
        Self { first, hidden, carried: Lsn(0) }
    }

    /// With something that was found later.
    pub(crate) fn and(&self, hidden: Hidden) -> Self {
        let (first, carried) = (self.first.duplicate(), self.carried);
        Self { first, hidden: self.hidden.max(hidden), carried }
    }

    /// With records that are carried, up to an LSN.
    pub(crate) fn carrying(self, through: Lsn) -> Self {
        let hidden = self.hidden.max(Hidden::Rows);
        Self { hidden, carried: self.carried.max(through), ..self }
    }

    /// What a reader is told who asks for what is hidden.
    pub(crate) fn to_reader(&self) -> Error {
        self.first.duplicate()
    }
}

/// What a writer is told of the first damage to a collection.
pub(crate) fn to_writer(id: CollectionId, first: Error) -> Error {
    let kind = first.kind();
    let before = format!(
        "collection {id} takes no writes until its damaged file is put back, or it is dropped"
    );
    first.reported_as(kind, &before)
}
