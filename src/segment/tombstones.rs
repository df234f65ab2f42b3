//! Tombstones: which rows of a segment are dead, by their numbers.
//!
//! **Place.** A checkpoint writes a new file for each segment of which it overwrites or deletes
//! rows; the manifest names it beside the segment. It is read whole when the store is opened.
//!
//! **Invariants**
//!
//! - X1. A file is written once, under a new name, and lists all dead rows of its segment, not only
//!   the new ones (D4).
//! - X2. It names its segment by number and salt, and every row it lists is one of that segment.
//! - X3. One set has one byte string.
//!
//! **A crash leaves** a file that no manifest names.
//!
//! **Stored form**, a byte string over pages of type 5:
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 8 | segment | its file id |
//! | 8 | 16 | salt | the segment's |
//! | 24 | 8 | rows | of the segment |
//! | 32 | 8 | dead | how many of them are listed; at least 1, fewer than all |
//! | 40 | | set | the portable form of a roaring bitmap |
//!
//! Each container of the bitmap is of the kind that takes the least space; of two that take as much
//! it is an array or a bitset, never runs.
//!
//! *Reference*: the Roaring format specification, version 1.0 of the portable form.

use roaring::RoaringBitmap;

use crate::codec::PageCodec;
use crate::cursor::{Cursor, index};
use crate::error::{Error, Result};
use crate::ids::{FileId, Salt, StoreId};
use crate::limits::PAGE_SIZE_BYTES;
use crate::manifest::{SegmentEntry, TombstonesEntry};
use crate::page::{self, PagePlace, PageType};
use crate::vfs::DiskFile;

/// Bytes before the set.
const HEADER_SIZE_BYTES: usize = 40;

/// How the portable form starts, without containers of runs and with some: in the lower half.
const COOKIE_WITHOUT_RUNS: u32 = 12346;
const COOKIE_WITH_RUNS: u32 = 12347;

/// Rows that one container covers.
const CONTAINER_ROWS: u64 = 1 << 16;

/// A set of rows of one segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tombstones {
    rows: RoaringBitmap,
}

impl Tombstones {
    /// Whether a row is dead.
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.rows.contains(row)
    }

    /// Marks a row dead.
    pub(crate) fn insert(&mut self, row: u32) {
        self.rows.insert(row);
    }

    /// The rows of a set that are not dead.
    pub(crate) fn remove_from(&self, rows: RoaringBitmap) -> RoaringBitmap {
        rows - &self.rows
    }

    /// How many rows are dead.
    pub(crate) fn len(&self) -> u64 {
        self.rows.len()
    }

    /// Writes and syncs a new file; its length and the digest of its pages.
    ///
    /// *Durability*: if it returned Ok, the file's content is durable; its name is not.
    ///
    /// # Errors
    /// Those of the disk and of the codec.
    pub(crate) fn write(
        &self,
        file: &DiskFile,
        store: StoreId,
        salt: Salt,
        segment: &SegmentEntry,
        codec: &dyn PageCodec,
    ) -> Result<(u64, u32)> {
        assert!((1..segment.rows).contains(&self.len()), "some rows are dead and some are not");
        let pages = page::seal_stream(&place(store, salt, segment), codec, &self.encode(segment))?;
        file.write_all_at(&pages, 0)?;
        file.sync_data()?;
        Ok((pages.len() as u64, page::digest(&pages)))
    }

    /// Reads the file that a manifest names for a segment.
    ///
    /// # Errors
    /// `Io`; `Corrupt` naming the file where anything differs from its entry or its segment.
    pub(crate) fn read(
        file: &DiskFile,
        store: StoreId,
        listed: &TombstonesEntry,
        segment: &SegmentEntry,
        codec: &dyn PageCodec,
    ) -> Result<Self> {
        let len = file.len_bytes()?;
        let path = file.path().display();
        if len != listed.len || len == 0 || !len.is_multiple_of(PAGE_SIZE_BYTES as u64) {
            let expected = listed.len;
            return Err(Error::corrupt(format!("{path}: {len} bytes long, expected {expected}")));
        }
        let mut pages = vec![0; index(len)];
        file.read_exact_at(&mut pages, 0)?;
        Self::parse(&mut pages, store, listed, segment, codec).map_err(|error| {
            let kind = error.kind();
            error.reported_as(kind, &path.to_string())
        })
    }

    /// Reads the stored form where nothing is known of its segment: its file id, its rows, and which are
    /// dead. A few bytes of it may stand for very many rows.
    ///
    /// # Errors
    /// `Corrupt` for anything that no version writes.
    #[cfg(feature = "cli")]
    pub(crate) fn parse_any(bytes: &[u8]) -> Result<(FileId, u64, RoaringBitmap)> {
        let mut cursor = Cursor::new(bytes, "tombstones");
        let segment = FileId(cursor.u64()?);
        let _salt: [u8; 16] = cursor.array()?;
        let (rows, _dead) = (cursor.u64()?, cursor.u64()?);
        let set = cursor.bytes(cursor.left())?;
        check_containers(set, rows)?;
        let dead = RoaringBitmap::deserialize_from(set)
            .map_err(|error| Error::corrupt(format!("tombstones: {error}")))?;
        Ok((segment, rows, dead))
    }

    fn encode(&self, segment: &SegmentEntry) -> Vec<u8> {
        // Which containers are runs depends on how the set came about, until they are chosen anew.
        let mut rows = self.rows.clone();
        rows.remove_run_compression();
        rows.optimize();
        let mut bytes = Vec::with_capacity(HEADER_SIZE_BYTES + rows.serialized_size());
        bytes.extend_from_slice(&segment.file.0.to_le_bytes());
        bytes.extend_from_slice(&segment.salt.0);
        bytes.extend_from_slice(&segment.rows.to_le_bytes());
        bytes.extend_from_slice(&self.len().to_le_bytes());
        rows.serialize_into(&mut bytes).expect("a vector takes every byte");
        bytes
    }

    fn parse(
        pages: &mut [u8],
        store: StoreId,
        listed: &TombstonesEntry,
        segment: &SegmentEntry,
        codec: &dyn PageCodec,
    ) -> Result<Self> {
        let found = page::digest(pages);
        if found != listed.digest {
            let expected = listed.digest;
            return Err(Error::corrupt(format!("digest {found:#010x}, expected {expected:#010x}")));
        }
        let bytes = page::open_stream(&place(store, listed.salt, segment), codec, pages)?;
        let mut cursor = Cursor::new(&bytes, "tombstones");
        let named = (FileId(cursor.u64()?), Salt(cursor.array()?), cursor.u64()?);
        if named != (segment.file, segment.salt, segment.rows) {
            let expected = segment.file;
            return Err(Error::corrupt(format!("tombstones of another segment than {expected}")));
        }
        let dead = cursor.u64()?;
        let set = cursor.bytes(cursor.left())?;
        check_containers(set, segment.rows)?;
        let rows = RoaringBitmap::deserialize_from(set)
            .map_err(|error| Error::corrupt(format!("tombstones: {error}")))?;
        let tombstones = Self { rows };
        let counted = tombstones.len();
        let beyond = tombstones.rows.max().is_some_and(|row| u64::from(row) >= segment.rows);
        if counted != dead || counted != listed.rows || beyond {
            return Err(Error::corrupt(format!(
                "tombstones: {counted} dead of {} rows, expected {} (X2)",
                segment.rows, listed.rows
            )));
        }
        if tombstones.encode(segment) != bytes {
            return Err(Error::corrupt("tombstones: not in the one form of their set (X3)"));
        }
        Ok(tombstones)
    }
}

/// Bounds what a decoder allocates for the containers that a set announces: by the bytes that are
/// there, and by the rows that there can be.
fn check_containers(set: &[u8], rows: u64) -> Result<()> {
    let mut cursor = Cursor::new(set, "tombstones");
    let cookie = cursor.u32()?;
    let containers = match cookie {
        COOKIE_WITHOUT_RUNS => cursor.u32()?,
        _ if cookie & 0xffff == COOKIE_WITH_RUNS => (cookie >> 16) + 1,
        _ => return Err(Error::corrupt(format!("tombstones: a set starts with {cookie:#010x}"))),
    };
    // Four bytes describe each, before any of them.
    let most = rows.div_ceil(CONTAINER_ROWS).min(cursor.left() as u64 / 4);
    if u64::from(containers) <= most {
        return Ok(());
    }
    Err(Error::corrupt(format!("tombstones: {containers} containers, room for {most}")))
}

fn place(store: StoreId, salt: Salt, segment: &SegmentEntry) -> PagePlace {
    let (collection, page_type) = (segment.collection, PageType::Tombstones);
    PagePlace { store, salt, collection, page_type, index: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PlainCodec;
    use crate::error::ErrorKind;
    use crate::ids::CollectionId;

    const STORE: StoreId = StoreId([1; 16]);

    fn segment(rows: u64) -> SegmentEntry {
        SegmentEntry {
            file: FileId(7),
            collection: CollectionId(3),
            salt: Salt([2; 16]),
            len: 0,
            rows,
            footer: 0,
        }
    }

    fn sealed(tombstones: &Tombstones, segment: &SegmentEntry) -> (Vec<u8>, TombstonesEntry) {
        let salt = Salt([4; 16]);
        let bytes = tombstones.encode(segment);
        let pages = page::seal_stream(&place(STORE, salt, segment), &PlainCodec, &bytes);
        let pages = pages.expect("plain");
        let (len, digest) = (pages.len() as u64, page::digest(&pages));
        let (file, rows) = (FileId(8), tombstones.len());
        let listed = TombstonesEntry { file, segment: segment.file, salt, len, rows, digest };
        (pages, listed)
    }

    fn of(rows: impl IntoIterator<Item = u32>) -> Tombstones {
        Tombstones { rows: rows.into_iter().collect() }
    }

    /// What is found in a file of other content under good checksums.
    fn crafted(content: &[u8], rows: u64, segment: &SegmentEntry) -> Result<Tombstones> {
        let salt = Salt([4; 16]);
        let pages = page::seal_stream(&place(STORE, salt, segment), &PlainCodec, content);
        let mut pages = pages.expect("plain");
        let (len, digest) = (pages.len() as u64, page::digest(&pages));
        let listed =
            TombstonesEntry { file: FileId(8), segment: segment.file, salt, len, rows, digest };
        Tombstones::parse(&mut pages, STORE, &listed, segment, &PlainCodec)
    }

    #[test]
    fn set_has_one_form_however_it_came_about() {
        let segment = segment(200_000);
        let all = || (0..200_000).filter(|row| row % 7 == 0 || (70_000..90_000).contains(row));
        let bytes = of(all()).encode(&segment);
        // 20,000 rows in a row take the space of one run.
        assert!(bytes.len() < 4 + 2 * 28_600, "{} bytes", bytes.len());
        let mut later = of(all().filter(|row| !row.is_multiple_of(2)));
        later = crafted(&later.encode(&segment), later.len(), &segment).expect("own bytes");
        all().for_each(|row| later.insert(row));
        assert!(later.encode(&segment) == bytes);

        // A list of runs where an array is smaller, and an array where a run is.
        let header = |rows: &RoaringBitmap| {
            let mut content = of(rows.iter()).encode(&segment)[..HEADER_SIZE_BYTES].to_vec();
            rows.serialize_into(&mut content).expect("a vector");
            crafted(&content, rows.len(), &segment)
        };
        let mut runs: RoaringBitmap = (0..9).collect();
        assert!(header(&runs).expect_err("an array").to_string().contains("X3"));
        runs.optimize();
        assert_eq!(header(&runs).expect("one run").len(), 9);
        runs.remove_range(1..8);
        assert!(header(&runs).expect_err("two runs of one row").to_string().contains("X3"));
    }

    #[test]
    fn no_crafted_byte_gives_the_same_set() {
        let segment = segment(100_000);
        let set = of([0, 1, 2, 500, 65_535, 65_536].into_iter().chain(80_000..90_000));
        let content = set.encode(&segment);
        for at in 0..content.len() {
            for xor in 1..=255 {
                let mut other = content.clone();
                other[at] ^= xor;
                // Another set of as many rows is as good as ours.
                if let Ok(found) = crafted(&other, set.len(), &segment) {
                    assert!(found != set && found.len() == set.len(), "byte {at}");
                }
            }
        }
        let mut announced = content[..HEADER_SIZE_BYTES].to_vec();
        announced.extend_from_slice(&[0x3a, 0x30, 0, 0, 0, 0, 1, 0]);
        let error = crafted(&announced, set.len(), &segment).expect_err("65,536 containers");
        assert!(error.to_string().contains("65536 containers, room for 0"), "{error}");
    }

    #[test]
    fn sets_of_every_shape_round_trip() {
        for set in
            [of([0]), of([5, 70_000, 199_999]), of(0..199_999), of((0..100_000).map(|i| i * 2))]
        {
            let segment = segment(200_000);
            let (mut pages, listed) = sealed(&set, &segment);
            let found = Tombstones::parse(&mut pages, STORE, &listed, &segment, &PlainCodec);
            assert_eq!(found.expect("own bytes"), set);
        }
    }

    #[test]
    fn every_single_byte_change_is_refused() {
        let segment = segment(100);
        let (pages, listed) = sealed(&of([3, 50]), &segment);
        for at in 0..pages.len() {
            let mut changed = pages.clone();
            changed[at] ^= 1 << (at % 8);
            let found = Tombstones::parse(&mut changed, STORE, &listed, &segment, &PlainCodec);
            assert_eq!(found.expect_err("one bit differs").kind(), ErrorKind::Corrupt, "byte {at}");
        }
    }

    #[test]
    fn another_segments_tombstones_are_refused() {
        let own = segment(100);
        let refused = |other: SegmentEntry| {
            let (mut pages, listed) = sealed(&of([3, 50]), &other);
            let found = Tombstones::parse(&mut pages, STORE, &listed, &own, &PlainCodec);
            assert_eq!(found.expect_err("not its own").kind(), ErrorKind::Corrupt);
        };
        refused(SegmentEntry { file: FileId(9), ..own });
        refused(SegmentEntry { salt: Salt([9; 16]), ..own });
        refused(SegmentEntry { rows: 101, ..own });
    }

    #[test]
    fn row_beyond_the_segment_is_refused() {
        let segment = segment(50);
        let (mut pages, listed) = sealed(&of([3, 50]), &segment);
        let found = Tombstones::parse(&mut pages, STORE, &listed, &segment, &PlainCodec);
        assert_eq!(found.expect_err("row 50 of 50").kind(), ErrorKind::Corrupt);
    }
}
