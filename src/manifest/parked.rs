//! The table of parked records: those of collections that could not be sealed.

use crate::cursor::Cursor;
use crate::error::Result;
use crate::ids::{CollectionId, FileId, Lsn, Salt};

/// Bytes of one entry.
pub const PARKED_ENTRY_SIZE_BYTES: usize = 52;

/// The parked records of a collection.
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
    /// LSN of its last record.
    pub through: Lsn,
}

pub(super) fn put(out: &mut Vec<u8>, entry: &ParkedEntry) {
    out.extend_from_slice(&entry.collection.0.to_le_bytes());
    out.extend_from_slice(&entry.file.0.to_le_bytes());
    out.extend_from_slice(&entry.salt.0);
    out.extend_from_slice(&entry.len.to_le_bytes());
    out.extend_from_slice(&entry.digest.to_le_bytes());
    out.extend_from_slice(&entry.through.0.to_le_bytes());
}

pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<ParkedEntry> {
    Ok(ParkedEntry {
        collection: CollectionId(cursor.u64()?),
        file: FileId(cursor.u64()?),
        salt: Salt(cursor.array()?),
        len: cursor.u64()?,
        digest: cursor.u32()?,
        through: Lsn(cursor.u64()?),
    })
}
