//! The 16 KiB page: the unit of checksum, sealing and I/O of every file but the log.
//!
//! **Invariants**
//!
//! - P1. A page is [`PAGE_SIZE_BYTES`] on disk under every codec.
//! - P2. The checksum covers the bytes as stored, so that a page is verified without keys.
//! - P3. A page binds its store, file, type and index: in another place it is refused with an
//!   error that says which of them differs.
//! - P4. A page is written once. A crash leaves it torn only in a file that nothing names.
//!
//! **Header**, 64 bytes, little-endian; identity first, so that a hex dump can be read from its
//! first line:
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 4 | magic | `QVPG` |
//! | 4 | 2 | format version | 1 |
//! | 6 | 1 | page type | 1 manifest, 2 segment column, 3 segment footer, 4 segment tail, 5 tombstones, 6 index snapshot, 7 changes, 8 parked |
//! | 7 | 1 | codec | 0 plain, 1 AES-256-GCM |
//! | 8 | 4 | page index | position in the file, from 0 |
//! | 12 | 4 | payload length | bytes of the body in use, at most 16,320 |
//! | 16 | 4 | checksum | CRC32C of the page as stored, this field taken as zero |
//! | 20 | 4 | reserved | zero |
//! | 24 | 8 | store tag | first 8 bytes of the store id |
//! | 32 | 16 | salt | the file's |
//! | 48 | 16 | tag | of the codec; zero under the plain one |

use crate::checksum;
use crate::codec::{FileKind, PageCodec, Place};
use crate::cursor::len_u32;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Salt, StoreId};
use crate::limits::PAGE_SIZE_BYTES;

/// Bytes of the header.
pub const PAGE_HEADER_SIZE_BYTES: usize = 64;

/// Bytes of the body.
pub const PAGE_BODY_SIZE_BYTES: usize = PAGE_SIZE_BYTES - PAGE_HEADER_SIZE_BYTES;

/// The first four bytes of every page.
pub const PAGE_MAGIC: [u8; 4] = *b"QVPG";

/// The one version of the layout.
pub const PAGE_FORMAT_VERSION: u16 = 1;

/// Field offsets, each derived from the one before.
pub mod offsets {
    /// `PAGE_MAGIC`.
    pub const MAGIC: usize = 0;
    /// u16.
    pub const VERSION: usize = MAGIC + 4;
    /// u8, a `PageType`.
    pub const TYPE: usize = VERSION + 2;
    /// u8.
    pub const CODEC: usize = TYPE + 1;
    /// u32.
    pub const INDEX: usize = CODEC + 1;
    /// u32.
    pub const PAYLOAD_LEN: usize = INDEX + 4;
    /// u32.
    pub const CHECKSUM: usize = PAYLOAD_LEN + 4;
    /// Four bytes of zero.
    pub const RESERVED: usize = CHECKSUM + 4;
    /// u64.
    pub const STORE_TAG: usize = RESERVED + 4;
    /// 16 bytes.
    pub const SALT: usize = STORE_TAG + 8;
    /// 16 bytes.
    pub const TAG: usize = SALT + 16;
}

const _: () = assert!(offsets::TAG + 16 == PAGE_HEADER_SIZE_BYTES);

/// What a page holds. Stored on disk; numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageType {
    /// A part of a manifest.
    Manifest = 1,
    /// A part of a column of a segment.
    SegmentColumn = 2,
    /// The last page of a segment.
    SegmentFooter = 3,
    /// What the columns of a segment leave over, and where their pages are.
    SegmentTail = 4,
    /// Which rows of a segment are dead.
    Tombstones = 5,
    /// What the layers above keep of an index.
    IndexSnapshot = 6,
    /// Which rows changed since an index snapshot.
    Changes = 7,
    /// Records of a collection that could not be sealed.
    Parked = 8,
}

impl PageType {
    /// The type of a number, if there is one.
    pub fn of(number: u8) -> Option<Self> {
        let all = [
            Self::Manifest,
            Self::SegmentColumn,
            Self::SegmentFooter,
            Self::SegmentTail,
            Self::Tombstones,
            Self::IndexSnapshot,
            Self::Changes,
            Self::Parked,
        ];
        all.into_iter().find(|known| *known as u8 == number)
    }

    fn file_kind(self) -> FileKind {
        match self {
            Self::Manifest => FileKind::Manifest,
            Self::SegmentColumn | Self::SegmentFooter | Self::SegmentTail => FileKind::Segment,
            Self::Tombstones => FileKind::Tombstones,
            Self::IndexSnapshot => FileKind::IndexSnapshot,
            Self::Changes => FileKind::Changes,
            Self::Parked => FileKind::Parked,
        }
    }
}

/// Where a page stands, and so what its header must say.
#[derive(Clone, Copy, Debug)]
pub struct PagePlace {
    /// The store.
    pub store: StoreId,
    /// The file's salt.
    pub salt: Salt,
    /// Whose rows they are; 0 is the catalog.
    pub collection: CollectionId,
    /// What the page holds.
    pub page_type: PageType,
    /// Position in the file, from 0.
    pub index: u32,
}

impl PagePlace {
    /// The same, as a codec takes it.
    pub(crate) fn sealing(&self) -> Place {
        Place {
            store: self.store,
            salt: self.salt,
            kind: self.page_type.file_kind(),
            collection: self.collection,
            position: u64::from(self.index),
        }
    }
}

/// Fills in the header of a page whose body is in place, and seals it; its checksum is returned.
///
/// # Errors
/// Those of the codec.
///
/// # Panics
/// If `page` is not a page long, or `payload_len` is more than a body.
pub fn seal(
    place: &PagePlace,
    codec: &dyn PageCodec,
    page: &mut [u8],
    payload_len: usize,
) -> Result<u32> {
    assert!(page.len() == PAGE_SIZE_BYTES && payload_len <= PAGE_BODY_SIZE_BYTES);
    let (header, body) = page.split_at_mut(PAGE_HEADER_SIZE_BYTES);
    header.fill(0);
    header[offsets::MAGIC..][..4].copy_from_slice(&PAGE_MAGIC);
    header[offsets::VERSION..][..2].copy_from_slice(&PAGE_FORMAT_VERSION.to_le_bytes());
    header[offsets::TYPE] = place.page_type as u8;
    header[offsets::CODEC] = codec.id();
    header[offsets::INDEX..][..4].copy_from_slice(&place.index.to_le_bytes());
    header[offsets::PAYLOAD_LEN..][..4].copy_from_slice(&len_u32(payload_len).to_le_bytes());
    header[offsets::STORE_TAG..][..8].copy_from_slice(&place.store.tag().to_le_bytes());
    header[offsets::SALT..][..16].copy_from_slice(&place.salt.0);
    let tag = codec.seal(&place.sealing(), &header[..offsets::TAG], body)?;
    header[offsets::TAG..].copy_from_slice(&tag);
    let checksum = checksum(page);
    page[offsets::CHECKSUM..][..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(checksum)
}

/// Checks a page as stored, without keys, in its place; its checksum.
///
/// # Errors
/// `Corrupt` naming what differs; `Unsupported` for a version that this one does not know.
pub fn verify(place: &PagePlace, page: &[u8]) -> Result<u32> {
    let found = verify_stored(place.store, place.salt, place.index, page)?;
    if page[offsets::TYPE] != place.page_type as u8 {
        let index = place.index;
        return Err(Error::corrupt(format!("page {index}: of another type")));
    }
    Ok(found)
}

/// As [`verify`], of a page of any type.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_stored(store: StoreId, salt: Salt, index: u32, page: &[u8]) -> Result<u32> {
    if page.len() != PAGE_SIZE_BYTES {
        return Err(Error::corrupt(format!("page {index}: {} bytes long", page.len())));
    }
    let word = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    if page[offsets::MAGIC..][..4] != PAGE_MAGIC {
        return Err(Error::corrupt(format!("page {index}: does not start as a page")));
    }
    let (found, expected) = (word(offsets::CHECKSUM), checksum(page));
    if found != expected {
        return Err(Error::corrupt(format!(
            "page {index}: checksum {found:#010x}, expected {expected:#010x}"
        )));
    }
    let version = u16::from_le_bytes([page[offsets::VERSION], page[offsets::VERSION + 1]]);
    if version != PAGE_FORMAT_VERSION || word(offsets::RESERVED) != 0 {
        return Err(Error::unsupported(format!("page {index}: format version {version}")));
    }
    let differs = |what: &str| Err(Error::corrupt(format!("page {index}: of another {what}")));
    if word(offsets::INDEX) != index {
        let found = word(offsets::INDEX);
        return Err(Error::corrupt(format!("page {index}: says it is page {found}")));
    }
    if page[offsets::STORE_TAG..][..8] != store.tag().to_le_bytes() {
        return differs("store");
    }
    if page[offsets::SALT..][..16] != salt.0 {
        return differs("file");
    }
    if word(offsets::PAYLOAD_LEN) as usize > PAGE_BODY_SIZE_BYTES {
        return Err(Error::corrupt(format!("page {index}: payload longer than a page")));
    }
    Ok(found)
}

/// Verifies and opens a page; its payload is returned.
///
/// # Errors
/// Those of [`verify`] and of the codec; `Corrupt` for a page of another codec.
pub fn open<'a>(place: &PagePlace, codec: &dyn PageCodec, page: &'a mut [u8]) -> Result<&'a [u8]> {
    verify(place, page)?;
    let (header, body) = page.split_at_mut(PAGE_HEADER_SIZE_BYTES);
    if header[offsets::CODEC] != codec.id() {
        let (index, found) = (place.index, header[offsets::CODEC]);
        // The manifest says which codec the store has, so it was not written so.
        return Err(Error::corrupt(format!(
            "page {index}: sealed by codec {found}, expected codec {}",
            codec.id()
        )));
    }
    let (associated, tag) = header.split_at_mut(offsets::TAG);
    let tag: &[u8; 16] = (&*tag).try_into().expect("the tag ends the header");
    let len =
        u32::from_le_bytes(associated[offsets::PAYLOAD_LEN..][..4].try_into().expect("four bytes"));
    // Sealing saw the checksum field as zero.
    associated[offsets::CHECKSUM..][..4].fill(0);
    codec.open(&place.sealing(), associated, body, tag)?;
    Ok(&body[..len as usize])
}

/// CRC32C of a page as stored, its own field taken as zero.
fn checksum(page: &[u8]) -> u32 {
    let start = checksum::crc32c(&page[..offsets::CHECKSUM]);
    let field = checksum::crc32c_append(start, &[0; 4]);
    checksum::crc32c_append(field, &page[offsets::RESERVED..])
}

/// One number for a run of pages: CRC32C of their checksum fields, one after the other. With each
/// page verified it stands for all their bytes, and costs next to nothing.
pub fn digest(pages: &[u8]) -> u32 {
    digest_append(0, pages)
}

/// The number for a run of pages that continues one whose number is `before`; 0 for none.
pub fn digest_append(before: u32, pages: &[u8]) -> u32 {
    let checksums = pages.chunks(PAGE_SIZE_BYTES).filter_map(|page| page.get(offsets::CHECKSUM..));
    checksums.fold(before, |sum, field| checksum::crc32c_append(sum, &field[..field.len().min(4)]))
}

/// Cuts a byte string into sealed pages, one after the other; at least one.
///
/// # Errors
/// Those of the codec.
pub fn seal_stream(first: &PagePlace, codec: &dyn PageCodec, bytes: &[u8]) -> Result<Vec<u8>> {
    let count = bytes.len().div_ceil(PAGE_BODY_SIZE_BYTES).max(1);
    let mut pages = vec![0; count * PAGE_SIZE_BYTES];
    let mut bodies = bytes.chunks(PAGE_BODY_SIZE_BYTES);
    let bound = codec.for_file(&first.sealing());
    let codec = bound.as_deref().unwrap_or(codec);
    for (page, i) in pages.chunks_exact_mut(PAGE_SIZE_BYTES).zip(0u32..) {
        let body = bodies.next().unwrap_or_default();
        page[PAGE_HEADER_SIZE_BYTES..][..body.len()].copy_from_slice(body);
        let place = PagePlace { index: first.index + i, ..*first };
        seal(&place, codec, page, body.len())?;
    }
    Ok(pages)
}

/// Opens pages that follow one another and joins their payloads.
///
/// # Errors
/// Those of [`open`].
pub fn open_stream(first: &PagePlace, codec: &dyn PageCodec, pages: &mut [u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(pages.len());
    let bound = codec.for_file(&first.sealing());
    let codec = bound.as_deref().unwrap_or(codec);
    for (page, i) in pages.chunks_mut(PAGE_SIZE_BYTES).zip(0u32..) {
        let place = PagePlace { index: first.index + i, ..*first };
        bytes.extend_from_slice(open(&place, codec, page)?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PlainCodec;
    use proptest::prelude::*;

    fn place() -> PagePlace {
        PagePlace {
            store: StoreId([7; 16]),
            salt: Salt([9; 16]),
            collection: CollectionId(3),
            page_type: PageType::SegmentColumn,
            index: 5,
        }
    }

    fn sealed() -> Vec<u8> {
        let mut page = vec![0xAB; PAGE_SIZE_BYTES];
        seal(&place(), &PlainCodec, &mut page, 100).expect("plain");
        page
    }

    #[test]
    fn every_single_byte_change_is_refused() {
        let page = sealed();
        for at in 0..PAGE_SIZE_BYTES {
            let mut changed = page.clone();
            changed[at] ^= 1 << (at % 8);
            let error = open(&place(), &PlainCodec, &mut changed).expect_err("one bit differs");
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "byte {at}");
        }
    }

    #[test]
    fn page_in_another_place_is_refused_and_says_which() {
        let refused = |other: PagePlace, what: &str| {
            let error = open(&other, &PlainCodec, &mut sealed()).expect_err(what);
            assert!(error.to_string().contains(what), "{error}");
        };
        refused(PagePlace { index: 6, ..place() }, "page 5");
        refused(PagePlace { store: StoreId([8; 16]), ..place() }, "store");
        refused(PagePlace { salt: Salt([8; 16]), ..place() }, "file");
        refused(PagePlace { page_type: PageType::Manifest, ..place() }, "type");
    }

    proptest! {
        #[test]
        fn stream_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..50_000)) {
            let mut pages = seal_stream(&place(), &PlainCodec, &bytes).expect("plain");
            prop_assert!(pages.len().is_multiple_of(PAGE_SIZE_BYTES));
            prop_assert_eq!(open_stream(&place(), &PlainCodec, &mut pages).expect("own"), bytes);
        }
    }
}
