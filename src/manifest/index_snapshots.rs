//! The table of index snapshots: what the layers above left with a checkpoint, and what changed since.

use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, FileId, Lsn, Salt};

/// Bytes of one entry.
pub const INDEX_SNAPSHOT_ENTRY_SIZE_BYTES: usize = 96;

/// The file in which the ids that changed are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangesEntry {
    /// The number in its name.
    pub file: FileId,
    /// Its own salt.
    pub salt: Salt,
    /// Bytes of the file.
    pub len: u64,
    /// Digest of its pages.
    pub digest: u32,
}

/// The index snapshot of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSnapshotEntry {
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
    /// The operations up to it are in the index.
    pub covered: Lsn,
    /// Every row that changed behind it and was sealed is listed.
    pub listed_since: Lsn,
    /// Where it is listed; none where no row is.
    pub changes: Option<ChangesEntry>,
}

pub(super) fn put(out: &mut Vec<u8>, entry: &IndexSnapshotEntry) {
    out.extend_from_slice(&entry.collection.0.to_le_bytes());
    out.extend_from_slice(&entry.file.0.to_le_bytes());
    out.extend_from_slice(&entry.salt.0);
    out.extend_from_slice(&entry.len.to_le_bytes());
    out.extend_from_slice(&entry.digest.to_le_bytes());
    out.extend_from_slice(&entry.covered.0.to_le_bytes());
    out.extend_from_slice(&entry.listed_since.0.to_le_bytes());
    let changes = entry.changes.unwrap_or_default();
    out.extend_from_slice(&changes.file.0.to_le_bytes());
    out.extend_from_slice(&changes.salt.0);
    out.extend_from_slice(&changes.len.to_le_bytes());
    out.extend_from_slice(&changes.digest.to_le_bytes());
}

pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<IndexSnapshotEntry> {
    let collection = CollectionId(cursor.u64()?);
    let file = FileId(cursor.u64()?);
    let salt = Salt(cursor.array()?);
    let (len, digest) = (cursor.u64()?, cursor.u32()?);
    let (covered, listed_since) = (Lsn(cursor.u64()?), Lsn(cursor.u64()?));
    let changes = ChangesEntry {
        file: FileId(cursor.u64()?),
        salt: Salt(cursor.array()?),
        len: cursor.u64()?,
        digest: cursor.u32()?,
    };
    let is_none = changes.file.0 == 0;
    if is_none && changes != ChangesEntry::default() {
        return Err(Error::corrupt(format!("manifest: changes of collection {collection}")));
    }
    let changes = (!is_none).then_some(changes);
    Ok(IndexSnapshotEntry { collection, file, salt, len, digest, covered, listed_since, changes })
}
