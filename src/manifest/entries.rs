//! The entries of the manifest's tables, but for those that have a file of their own.

use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, FileId, KeyId, Lsn, Salt};
use crate::manifest::schema::SealedSchema;
use crate::sync::Arc;

/// Bytes of one entry of the table of logs.
pub const LOG_ENTRY_SIZE_BYTES: usize = 57;

/// Bytes of one entry of the table of segments.
pub const SEGMENT_ENTRY_SIZE_BYTES: usize = 52;

/// Bytes of one entry of the table of tombstones.
pub const TOMBSTONES_ENTRY_SIZE_BYTES: usize = 52;

/// Bytes of one entry of the table of keys.
pub const KEY_ENTRY_SIZE_BYTES: usize = 24;

pub(super) const COLLECTION_ENTRY_BYTES_MIN: usize = 44;

/// Where a log file that takes no more frames ends. Frames behind it are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// LSN of the last record.
    pub lsn: Lsn,
    /// Offset behind the last record's frame.
    pub offset: u64,
}

/// A live log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The number in its name.
    pub file: FileId,
    /// Its own salt.
    pub salt: Salt,
    /// LSN of its first record.
    pub base: Lsn,
    /// Highest LSN known durable when the manifest was made.
    pub durable: Lsn,
    /// Its end; none while it may take frames: only the last.
    pub end: Option<LogEnd>,
}

/// A live segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// The number in its name.
    pub file: FileId,
    /// Whose rows.
    pub collection: CollectionId,
    /// Its own salt.
    pub salt: Salt,
    /// Bytes of the file.
    pub len: u64,
    /// How many rows.
    pub rows: u64,
    /// Checksum of its footer page, which holds those of the others.
    pub footer: u32,
}

/// The file that lists the dead rows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TombstonesEntry {
    /// The number in its name.
    pub file: FileId,
    /// The number in the segment's name.
    pub segment: FileId,
    /// Its own salt.
    pub salt: Salt,
    /// Bytes of the file.
    pub len: u64,
    /// How many rows of the segment are dead.
    pub rows: u64,
    /// Digest of its pages.
    pub digest: u32,
}

/// A key in a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Whose; 0 is the store.
    pub collection: CollectionId,
    /// The key.
    pub key: KeyId,
}

/// A collection as of the sealed LSN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionEntry {
    /// Its id.
    pub id: CollectionId,
    /// Its name and schema.
    pub schema: Arc<SealedSchema>,
}

pub(super) fn put_table<T>(
    out: &mut Vec<u8>,
    tag: u16,
    entries: &[T],
    put: impl Fn(&mut Vec<u8>, &T),
) {
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&len_u32(entries.len()).to_le_bytes());
    entries.iter().for_each(|entry| put(out, entry));
}

pub(super) fn table<T>(
    cursor: &mut Cursor<'_>,
    tag: u16,
    entry_bytes_min: usize,
    mut take: impl FnMut(&mut Cursor<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let found = cursor.u16()?;
    if found != tag {
        return Err(Error::unsupported(format!("manifest table {found}, expected {tag}")));
    }
    let count = cursor.count(entry_bytes_min)?;
    (0..count).map(|_| take(cursor)).collect()
}

pub(super) fn expect_count(cursor: &mut Cursor<'_>, expected: u32) -> Result<()> {
    let found = cursor.u32()?;
    if found == expected {
        return Ok(());
    }
    Err(Error::unsupported(format!("manifest of {found} tables, expected {expected}")))
}

pub(super) fn put_log(out: &mut Vec<u8>, log: &LogEntry) {
    let end = log.end.unwrap_or(LogEnd { lsn: Lsn(0), offset: 0 });
    out.extend_from_slice(&log.file.0.to_le_bytes());
    out.extend_from_slice(&log.salt.0);
    out.extend_from_slice(&log.base.0.to_le_bytes());
    out.extend_from_slice(&log.durable.0.to_le_bytes());
    out.push(u8::from(log.end.is_some()));
    out.extend_from_slice(&end.lsn.0.to_le_bytes());
    out.extend_from_slice(&end.offset.to_le_bytes());
}

pub(super) fn take_log(cursor: &mut Cursor<'_>) -> Result<LogEntry> {
    let file = FileId(cursor.u64()?);
    let salt = Salt(cursor.array()?);
    let base = Lsn(cursor.u64()?);
    let durable = Lsn(cursor.u64()?);
    let has_end = cursor.u8()?;
    let (lsn, offset) = (Lsn(cursor.u64()?), cursor.u64()?);
    let end = match has_end {
        0 if lsn.0 == 0 && offset == 0 => None,
        1 => Some(LogEnd { lsn, offset }),
        _ => return Err(Error::corrupt(format!("manifest: end of log {file}"))),
    };
    Ok(LogEntry { file, salt, base, durable, end })
}

pub(super) fn put_segment(out: &mut Vec<u8>, segment: &SegmentEntry) {
    out.extend_from_slice(&segment.file.0.to_le_bytes());
    out.extend_from_slice(&segment.collection.0.to_le_bytes());
    out.extend_from_slice(&segment.salt.0);
    out.extend_from_slice(&segment.len.to_le_bytes());
    out.extend_from_slice(&segment.rows.to_le_bytes());
    out.extend_from_slice(&segment.footer.to_le_bytes());
}

pub(super) fn take_segment(cursor: &mut Cursor<'_>) -> Result<SegmentEntry> {
    Ok(SegmentEntry {
        file: FileId(cursor.u64()?),
        collection: CollectionId(cursor.u64()?),
        salt: Salt(cursor.array()?),
        len: cursor.u64()?,
        rows: cursor.u64()?,
        footer: cursor.u32()?,
    })
}

pub(super) fn put_tombstones(out: &mut Vec<u8>, tombstones: &TombstonesEntry) {
    out.extend_from_slice(&tombstones.file.0.to_le_bytes());
    out.extend_from_slice(&tombstones.segment.0.to_le_bytes());
    out.extend_from_slice(&tombstones.salt.0);
    out.extend_from_slice(&tombstones.len.to_le_bytes());
    out.extend_from_slice(&tombstones.rows.to_le_bytes());
    out.extend_from_slice(&tombstones.digest.to_le_bytes());
}

pub(super) fn take_tombstones(cursor: &mut Cursor<'_>) -> Result<TombstonesEntry> {
    Ok(TombstonesEntry {
        file: FileId(cursor.u64()?),
        segment: FileId(cursor.u64()?),
        salt: Salt(cursor.array()?),
        len: cursor.u64()?,
        rows: cursor.u64()?,
        digest: cursor.u32()?,
    })
}

pub(super) fn put_key(out: &mut Vec<u8>, entry: &KeyEntry) {
    out.extend_from_slice(&entry.collection.0.to_le_bytes());
    out.extend_from_slice(&entry.key.0);
}

pub(super) fn take_key(cursor: &mut Cursor<'_>) -> Result<KeyEntry> {
    Ok(KeyEntry { collection: CollectionId(cursor.u64()?), key: KeyId(cursor.array()?) })
}

pub(super) fn put_collection(out: &mut Vec<u8>, collection: &CollectionEntry) {
    let SealedSchema { salt, tag, bytes } = &*collection.schema;
    out.extend_from_slice(&collection.id.0.to_le_bytes());
    out.extend_from_slice(&salt.0);
    out.extend_from_slice(tag);
    out.extend_from_slice(&len_u32(bytes.len()).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn take_collection(cursor: &mut Cursor<'_>) -> Result<CollectionEntry> {
    let id = CollectionId(cursor.u64()?);
    let (salt, tag) = (Salt(cursor.array()?), cursor.array()?);
    let len = cursor.u32()? as usize;
    Ok(CollectionEntry {
        id,
        schema: Arc::new(SealedSchema { salt, tag, bytes: cursor.bytes(len)?.to_vec() }),
    })
}
