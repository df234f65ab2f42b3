//! The table of parked records: those of collections that could not be sealed.
//!
//! - M5. The files of a collection follow one another, by LSN as by file id; none holds what another does.

use crate::cursor::Cursor;
use crate::error::Result;
use crate::ids::{CollectionId, FileId, Lsn, Salt};

/// Bytes of one entry.
pub const PARKED_ENTRY_SIZE_BYTES: usize = 60;

/// A file of parked records of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedEntry {
    /// The collection.
    pub collection: CollectionId,
    /// The number in its name.
    pub file: FileId,
    /// Its own salt.
    pub salt: Salt,
    /// Bytes of the file.
    pub len: u64,
    /// Digest of its pages.
    pub digest: u32,
    /// LSN of its first record.
    pub first: Lsn,
    /// LSN of its last record.
    pub through: Lsn,
}

impl ParkedEntry {
    /// Whether it may stand right behind another (M5).
    pub(super) fn follows(&self, before: &Self) -> bool {
        let is_later = self.file > before.file && self.first > before.through;
        self.collection > before.collection || self.collection == before.collection && is_later
    }
}

pub(super) fn put(out: &mut Vec<u8>, entry: &ParkedEntry) {
    out.extend_from_slice(&entry.collection.0.to_le_bytes());
    out.extend_from_slice(&entry.file.0.to_le_bytes());
    out.extend_from_slice(&entry.salt.0);
    out.extend_from_slice(&entry.len.to_le_bytes());
    out.extend_from_slice(&entry.digest.to_le_bytes());
    out.extend_from_slice(&entry.first.0.to_le_bytes());
    out.extend_from_slice(&entry.through.0.to_le_bytes());
}

pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<ParkedEntry> {
    Ok(ParkedEntry {
        collection: CollectionId(cursor.u64()?),
        file: FileId(cursor.u64()?),
        salt: Salt(cursor.array()?),
        len: cursor.u64()?,
        digest: cursor.u32()?,
        first: Lsn(cursor.u64()?),
        through: Lsn(cursor.u64()?),
    })
}
