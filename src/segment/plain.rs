//! A segment: the rows of one collection, sealed into a file that is never changed.
//!
//! **Invariants**
//!
//! - S1. Rows are in ascending order of the bytes of their ids, each id once.
//! - S2. The footer holds a checksum over the checksums of all pages before it, and the manifest
//!   holds the footer's: a page of another segment, or of an older one, is refused.
//! - S3. A segment is named by a manifest only after it was synced. A crash before leaves an
//!   orphan.
//!
//! **Layout.** Row pages (type 2) and one footer page (type 3), the last. The rows are a byte
//! string over the bodies of the row pages; a row may straddle pages.
//!
//! | row field | type | meaning and check |
//! |---|---|---|
//! | id length | u16 | 1 to 1024 |
//! | value length | u32 | the vector, then the payload |
//! | id | bytes | UTF-8 |
//! | value | bytes | |
//!
//! | footer field | type | meaning and check |
//! |---|---|---|
//! | rows | u64 | as in the manifest |
//! | row bytes | u64 | length of the byte string |
//! | row pages | u32 | |
//! | checksum | u32 | CRC32C of the checksums of the row pages |

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::PageCodec;
use crate::cursor::{Cursor, index, len_u32};
use crate::error::{Error, Result};
use crate::ids::StoreId;
use crate::limits::{EXTERNAL_ID_BYTES_MAX, PAGE_SIZE_BYTES};
use crate::manifest::SegmentEntry;
use crate::page::{self, PageType};
use crate::segment::layout::SegmentIdentity;
use crate::vfs::DiskFile;

/// Rows by id; a value is the vector's bytes, then the payload's.
pub(crate) type Rows = BTreeMap<Box<str>, Arc<[u8]>>;

const ROW_BYTES_MIN: usize = 7;

/// The bytes of a segment file and the checksum of its footer.
pub(crate) fn build(
    identity: &SegmentIdentity,
    rows: &Rows,
    codec: &dyn PageCodec,
) -> Result<(Vec<u8>, u32)> {
    let mut bytes = Vec::new();
    for (id, value) in rows {
        let id_len = u16::try_from(id.len()).expect("ids are bounded by `limits`");
        bytes.extend_from_slice(&id_len.to_le_bytes());
        bytes.extend_from_slice(&len_u32(value.len()).to_le_bytes());
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(value);
    }
    let first = identity.page(PageType::SegmentColumn, 0);
    let mut file = page::seal_stream(&first, codec, &bytes)?;
    let pages = len_u32(file.len() / PAGE_SIZE_BYTES);
    let mut footer = Vec::with_capacity(24);
    footer.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    footer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    footer.extend_from_slice(&pages.to_le_bytes());
    footer.extend_from_slice(&page::digest(&file).to_le_bytes());
    let place = identity.page(PageType::SegmentFooter, pages);
    let mut page = vec![0; PAGE_SIZE_BYTES];
    page[page::PAGE_HEADER_SIZE_BYTES..][..footer.len()].copy_from_slice(&footer);
    let checksum = page::seal(&place, codec, &mut page, footer.len())?;
    file.append(&mut page);
    Ok((file, checksum))
}

/// Reads a segment back and holds it against its entry in the manifest.
///
/// # Errors
/// `Corrupt` naming the file where anything differs.
pub(crate) fn read(
    file: &DiskFile,
    store: StoreId,
    entry: &SegmentEntry,
    codec: &dyn PageCodec,
) -> Result<Rows> {
    let path = file.path().display();
    let named = |error: Error| {
        let kind = error.kind();
        error.reported_as(kind, &path.to_string())
    };
    let len = file.len_bytes()?;
    let page_bytes = PAGE_SIZE_BYTES as u64;
    if len != entry.len || len < 2 * page_bytes || !len.is_multiple_of(page_bytes) {
        let expected = entry.len;
        return Err(Error::corrupt(format!("{path}: {len} bytes long, expected {expected}")));
    }
    let mut bytes = vec![0; index(len)];
    file.read_exact_at(&mut bytes, 0)?;
    let identity = SegmentIdentity { store, collection: entry.collection, salt: entry.salt };
    parse(&mut bytes, &identity, entry, codec).map_err(named)
}

fn parse(
    file: &mut [u8],
    identity: &SegmentIdentity,
    entry: &SegmentEntry,
    codec: &dyn PageCodec,
) -> Result<Rows> {
    let (pages, footer) = file.split_at_mut(file.len() - PAGE_SIZE_BYTES);
    let page_count = len_u32(pages.len() / PAGE_SIZE_BYTES);
    let place = identity.page(PageType::SegmentFooter, page_count);
    let found = page::verify(&place, footer)?;
    if found != entry.footer {
        return Err(Error::corrupt(format!(
            "footer checksum {found:#010x}, expected {:#010x}",
            entry.footer
        )));
    }
    let mut cursor = Cursor::new(page::open(&place, codec, footer)?, "segment footer");
    let (rows, row_bytes) = (cursor.u64()?, cursor.u64()?);
    let (row_pages, checksum) = (cursor.u32()?, cursor.u32()?);
    cursor.finish()?;
    if rows != entry.rows || row_pages != page_count || checksum != page::digest(pages) {
        return Err(Error::corrupt("footer is not that of these pages"));
    }
    let bytes = page::open_stream(&identity.page(PageType::SegmentColumn, 0), codec, pages)?;
    if bytes.len() as u64 != row_bytes {
        return Err(Error::corrupt(format!("{} bytes of rows, expected {row_bytes}", bytes.len())));
    }
    parse_rows(&bytes, rows)
}

fn parse_rows(bytes: &[u8], count: u64) -> Result<Rows> {
    if count > (bytes.len() / ROW_BYTES_MIN) as u64 {
        return Err(Error::corrupt(format!("{count} rows in {} bytes", bytes.len())));
    }
    let mut cursor = Cursor::new(bytes, "segment rows");
    let mut rows = Vec::with_capacity(index(count));
    let mut previous = "";
    for _ in 0..count {
        let id_len = usize::from(cursor.u16()?);
        let value_len = cursor.u32()? as usize;
        let id = cursor.text(id_len)?;
        if id.len() > EXTERNAL_ID_BYTES_MAX || id <= previous {
            return Err(Error::corrupt("rows are not in ascending order of their ids"));
        }
        previous = id;
        rows.push((Box::from(id), Arc::from(cursor.bytes(value_len)?)));
    }
    cursor.finish()?;
    Ok(rows.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PlainCodec;
    use crate::ids::{CollectionId, FileId, Salt};

    const IDENTITY: SegmentIdentity = SegmentIdentity {
        store: StoreId([1; 16]),
        collection: CollectionId(3),
        salt: Salt([2; 16]),
    };

    fn rows(count: usize) -> Rows {
        (0..count).map(|i| (format!("row-{i:05}").into(), vec![7; i % 300].into())).collect()
    }

    fn entry(file: &[u8], rows: &Rows, footer: u32) -> SegmentEntry {
        SegmentEntry {
            file: FileId(1),
            collection: IDENTITY.collection,
            salt: IDENTITY.salt,
            len: file.len() as u64,
            rows: rows.len() as u64,
            footer,
        }
    }

    #[test]
    fn segment_round_trips() {
        for count in [0, 1, 500] {
            let rows = rows(count);
            let (mut file, footer) = build(&IDENTITY, &rows, &PlainCodec).expect("plain");
            let entry = entry(&file, &rows, footer);
            let found = parse(&mut file, &IDENTITY, &entry, &PlainCodec).expect("own bytes");
            assert_eq!(found, rows);
        }
    }

    #[test]
    fn page_of_an_older_segment_is_refused() {
        let (mut file, footer) = build(&IDENTITY, &rows(500), &PlainCodec).expect("plain");
        let mut older = rows(500);
        older.insert("row-00001".into(), Arc::from([1].as_slice()));
        let (other, _) = build(&IDENTITY, &older, &PlainCodec).expect("plain");
        file[..PAGE_SIZE_BYTES].copy_from_slice(&other[..PAGE_SIZE_BYTES]);
        let entry = entry(&file, &rows(500), footer);
        let error = parse(&mut file, &IDENTITY, &entry, &PlainCodec).expect_err("swapped page");
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    }
}
