//! The manifest: which files exist, and what for. What it does not name is an orphan.
//!
//! **Invariants**
//!
//! - M1. A manifest is written once, under a new version, and made current by a rename.
//! - M2. Versions and file ids only grow: no name comes back.
//! - M3. The logs follow one another without a gap; only the last may be without an end.
//! - M4. The encoding is canonical: one manifest has one byte string.
//! - M5. What a manifest says of files and keys can be read without keys, and was said by one who had
//!   them: the catalog's codec gives a tag over all of it. Names and schemas are sealed, each under its
//!   collection's key ([`schema`]).
//!
//! **A crash leaves** manifests that `CURRENT` does not name; the next process that publishes
//! removes them.
//!
//! **Stored form**: a byte string over plain pages of type 1.
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | version | u64 | as in the file's name and `CURRENT` |
//! | salt | 16 bytes | as in `CURRENT` and this file's pages |
//! | store id | 16 bytes | the store's |
//! | required features | u64 | bits this version must know; bit 0: the codec is not the plain one |
//! | sealed LSN | u64 | every operation up to it is in the segments |
//! | next file id | u64 | above every file id ever given |
//! | next collection id | u64 | above every collection id ever given |
//! | plain table count | u32 | 6 |
//! | tables | | tag u16, entry count u32, entries; in ascending order of tag |
//! | collections table count | u32 | 1 |
//! | tables | | as above |
//! | codec | u8 | of all that is sealed: 0 plain, 1 AES-256-GCM |
//! | tag | 16 bytes | of the catalog's codec over all before; zero under the plain one |
//!
//! | tag | table | entry |
//! |---|---|---|
//! | 1 | logs | file id u64, salt 16, base LSN u64, durable LSN u64, has end u8, end LSN u64, end offset u64 |
//! | 2 | segments | file id u64, collection id u64, salt 16, length u64, rows u64, footer checksum u32 |
//! | 3 | keys | collection id u64, 0 for the store key; key id 16 |
//! | 4 | tombstones | file id u64, segment's file id u64, salt 16, length u64, dead rows u64, digest u32 |
//! | 5 | index snapshots | collection id u64, file id u64, salt 16, length u64, digest u32, covered LSN u64, listed since LSN u64; of the changes: file id u64, salt 16, length u64, digest u32, zeros where there are none |
//! | 6 | parked records | collection id u64, file id u64, salt 16, length u64, digest u32, first LSN u64, last LSN u64 |
//! | 16 | collections | id u64, salt 16, tag 16, length u32, name and schema, sealed |

pub mod current;
mod entries;
pub mod index_snapshots;
pub mod parked;
pub mod schema;

use crate::codec::{FileKind, PageCodec, Place, PlainCodec, TAG_SIZE_BYTES};
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, FileId, KeyId, Lsn, ManifestVersion, Salt, StoreId};
use crate::limits::NUMBER_MAX;
use entries::{
    COLLECTION_ENTRY_BYTES_MIN, expect_count, put_collection, put_key, put_log, put_segment,
    put_table, put_tombstones, table, take_collection, take_key, take_log, take_segment,
    take_tombstones,
};
pub use entries::{
    CollectionEntry, KEY_ENTRY_SIZE_BYTES, KeyEntry, LOG_ENTRY_SIZE_BYTES, LogEnd, LogEntry,
    SEGMENT_ENTRY_SIZE_BYTES, SegmentEntry, TOMBSTONES_ENTRY_SIZE_BYTES, TombstonesEntry,
};
use index_snapshots::{INDEX_SNAPSHOT_ENTRY_SIZE_BYTES, IndexSnapshotEntry};
use parked::{PARKED_ENTRY_SIZE_BYTES, ParkedEntry};

/// Tags of the tables. Stored on disk; numbers never change their meaning.
pub mod tags {
    /// Log files, oldest first.
    pub const LOGS: u16 = 1;
    /// Segments, in ascending order of file id.
    pub const SEGMENTS: u16 = 2;
    /// Keys in key files, in ascending order of collection id; the store key is that of 0.
    pub const KEYS: u16 = 3;
    /// Tombstone files, in ascending order of their segments' file ids.
    pub const TOMBSTONES: u16 = 4;
    /// Index snapshots, in ascending order of their collections' ids.
    pub const INDEX_SNAPSHOTS: u16 = 5;
    /// Parked records, in ascending order of their collections' ids, then of LSNs.
    pub const PARKED: u16 = 6;
    /// Collections, in ascending order of id.
    pub const COLLECTIONS: u16 = 16;
}

const FEATURE_SEALED: u64 = 1;

/// Which files exist, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// One more with each publish.
    pub version: ManifestVersion,
    /// Salt of the manifest's own file.
    pub salt: Salt,
    /// The store.
    pub store: StoreId,
    /// Every operation up to it is in the segments.
    pub sealed: Lsn,
    /// Above every file id ever given.
    pub next_file: FileId,
    /// Above every collection id ever given.
    pub next_collection: CollectionId,
    /// The codec of all that is sealed.
    pub codec: u8,
    /// Keys in key files, in ascending order of collection id.
    pub keys: Vec<KeyEntry>,
    /// Live log files, oldest first.
    pub logs: Vec<LogEntry>,
    /// Live segments, in ascending order of file id.
    pub segments: Vec<SegmentEntry>,
    /// Tombstone files, in ascending order of their segments' file ids; at most one each.
    pub tombstones: Vec<TombstonesEntry>,
    /// Index snapshots, in ascending order of their collections' ids; at most one each.
    pub index_snapshots: Vec<IndexSnapshotEntry>,
    /// Parked records, in ascending order of their collections' ids, then of LSNs.
    pub parked: Vec<ParkedEntry>,
    /// Collections, in ascending order of id.
    pub collections: Vec<CollectionEntry>,
}

impl Manifest {
    /// The manifest of an empty store.
    pub fn empty(store: StoreId, version: ManifestVersion) -> Self {
        Self {
            version,
            salt: Salt::default(),
            store,
            sealed: Lsn(0),
            next_file: FileId(1),
            next_collection: CollectionId(1),
            codec: PlainCodec::ID,
            keys: Vec::new(),
            logs: Vec::new(),
            segments: Vec::new(),
            tombstones: Vec::new(),
            index_snapshots: Vec::new(),
            parked: Vec::new(),
            collections: Vec::new(),
        }
    }

    /// Whether nothing was ever committed to the store.
    pub fn is_of_an_empty_store(&self) -> bool {
        self.sealed == Lsn(0) && self.logs.is_empty()
    }

    /// The highest LSN that this manifest states as durable.
    pub fn durable(&self) -> Lsn {
        let stated = self.logs.iter().map(|log| {
            log.durable.max(log.base.previous()).max(log.end.map_or(Lsn(0), |end| end.lsn))
        });
        stated.max().unwrap_or_default().max(self.sealed)
    }

    /// The stored form, before it is cut into pages, with the tag of the catalog's codec (M5).
    ///
    /// # Errors
    /// Those of the codec.
    pub fn encode(&self, catalog: &dyn PageCodec) -> Result<Vec<u8>> {
        assert!(catalog.id() == self.codec, "the manifest says which codec the store has");
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&self.version.0.to_le_bytes());
        out.extend_from_slice(&self.salt.0);
        out.extend_from_slice(&self.store.0);
        let features = if self.codec == PlainCodec::ID { 0 } else { FEATURE_SEALED };
        out.extend_from_slice(&features.to_le_bytes());
        out.extend_from_slice(&self.sealed.0.to_le_bytes());
        out.extend_from_slice(&self.next_file.0.to_le_bytes());
        out.extend_from_slice(&self.next_collection.0.to_le_bytes());
        out.extend_from_slice(&6u32.to_le_bytes());
        put_table(&mut out, tags::LOGS, &self.logs, put_log);
        put_table(&mut out, tags::SEGMENTS, &self.segments, put_segment);
        put_table(&mut out, tags::KEYS, &self.keys, put_key);
        put_table(&mut out, tags::TOMBSTONES, &self.tombstones, put_tombstones);
        put_table(&mut out, tags::INDEX_SNAPSHOTS, &self.index_snapshots, index_snapshots::put);
        put_table(&mut out, tags::PARKED, &self.parked, parked::put);
        out.extend_from_slice(&1u32.to_le_bytes());
        put_table(&mut out, tags::COLLECTIONS, &self.collections, put_collection);
        out.push(self.codec);
        let tag = catalog.seal(&self.place(), &out, &mut [])?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Where the tag stands.
    fn place(&self) -> Place {
        let (store, salt, collection) = (self.store, self.salt, CollectionId(0));
        Place { store, salt, kind: FileKind::Manifest, collection, position: 0 }
    }

    /// Holds the tag at the end of the stored form against what stands before it (M5).
    ///
    /// # Errors
    /// Those of the codec: `Corrupt` where someone without the key made it.
    pub fn check_seal(&self, bytes: &[u8], catalog: &dyn PageCodec) -> Result<()> {
        let short = || Error::corrupt("manifest without a tag");
        let (stated, tag) = bytes.split_last_chunk::<TAG_SIZE_BYTES>().ok_or_else(short)?;
        catalog.open(&self.place(), stated, &mut [], tag)
    }

    /// Reads the stored form; its tag is not looked at.
    ///
    /// # Errors
    /// `Unsupported` for a feature, table or value that this version does not know; `Corrupt`
    /// for anything that no version writes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, "manifest");
        let version = ManifestVersion(cursor.u64()?);
        let salt = Salt(cursor.array()?);
        let store = StoreId(cursor.array()?);
        let features = cursor.u64()?;
        if features & !FEATURE_SEALED != 0 {
            return Err(Error::unsupported(format!("manifest requires features {features:#x}")));
        }
        let sealed = Lsn(cursor.u64()?);
        let next_file = FileId(cursor.u64()?);
        let next_collection = CollectionId(cursor.u64()?);
        expect_count(&mut cursor, 6)?;
        let logs = table(&mut cursor, tags::LOGS, LOG_ENTRY_SIZE_BYTES, take_log)?;
        let segments = table(&mut cursor, tags::SEGMENTS, SEGMENT_ENTRY_SIZE_BYTES, take_segment)?;
        let keys = table(&mut cursor, tags::KEYS, KEY_ENTRY_SIZE_BYTES, take_key)?;
        let tombstones =
            table(&mut cursor, tags::TOMBSTONES, TOMBSTONES_ENTRY_SIZE_BYTES, take_tombstones)?;
        let entry_bytes = INDEX_SNAPSHOT_ENTRY_SIZE_BYTES;
        let index_snapshots =
            table(&mut cursor, tags::INDEX_SNAPSHOTS, entry_bytes, index_snapshots::take)?;
        let parked = table(&mut cursor, tags::PARKED, PARKED_ENTRY_SIZE_BYTES, parked::take)?;
        expect_count(&mut cursor, 1)?;
        let collections =
            table(&mut cursor, tags::COLLECTIONS, COLLECTION_ENTRY_BYTES_MIN, take_collection)?;
        let codec = cursor.u8()?;
        let tag = cursor.array::<TAG_SIZE_BYTES>()?;
        cursor.finish()?;
        let is_plain = codec == PlainCodec::ID;
        if is_plain != (features == 0) || (is_plain && tag != [0; TAG_SIZE_BYTES]) {
            return Err(Error::corrupt(format!(
                "manifest of features {features:#x}, codec {codec}"
            )));
        }
        let manifest = Self {
            version,
            salt,
            store,
            sealed,
            next_file,
            next_collection,
            codec,
            keys,
            logs,
            segments,
            tombstones,
            index_snapshots,
            parked,
            collections,
        };
        manifest.check_numbers()?;
        manifest.check_logs()?;
        manifest.check_segments()?;
        manifest.check_keys()?;
        manifest.check_index_snapshots()?;
        manifest.check_parked()?;
        Ok(manifest)
    }

    /// No number is one that was never given (M2).
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn check_numbers(&self) -> Result<()> {
        let bases = self.logs.iter().map(|log| log.base.0.max(log.durable.0));
        let ends = self.logs.iter().filter_map(|log| log.end).map(|end| end.lsn.0);
        let counters = [self.version.0, self.sealed.0, self.next_file.0, self.next_collection.0];
        if counters.into_iter().chain(bases).chain(ends).any(|number| number >= NUMBER_MAX) {
            return Err(Error::corrupt("manifest: a number is beyond all that were given"));
        }
        Ok(())
    }

    /// The logs follow one another (M3).
    fn check_logs(&self) -> Result<()> {
        let mut next = None;
        for (i, log) in self.logs.iter().enumerate() {
            if log.end.is_none() && i + 1 < self.logs.len() {
                return Err(Error::corrupt("manifest: a log before the last has no end"));
            }
            let gap = match next {
                None => log.base.0 == 0 || log.base > self.sealed.next(),
                Some(next) => log.base != next,
            };
            let short = log.end.is_some_and(|end| end.lsn < log.base.max(log.durable));
            let given = self.logs[..i].last().is_some_and(|before| before.file >= log.file);
            if gap || short || given || log.file >= self.next_file {
                return Err(Error::corrupt(format!("manifest: log {} is out of order", log.file)));
            }
            next = log.end.map(|end| end.lsn.next());
        }
        Ok(())
    }

    /// Segments are of collections, tombstones are of segments.
    fn check_segments(&self) -> Result<()> {
        let ids = self.segments.iter().map(|segment| segment.file);
        if !ids.clone().is_sorted_by(|a, b| a < b) || ids.max() >= Some(self.next_file) {
            return Err(Error::corrupt("manifest: segments are out of order"));
        }
        let ids = self.collections.iter().map(|collection| collection.id);
        let known = |id| self.collections.binary_search_by_key(&id, |entry| entry.id).is_ok();
        if !ids.clone().is_sorted_by(|a, b| a < b)
            || ids.max() >= Some(self.next_collection)
            || self.collections.first().is_some_and(|entry| entry.id.0 == 0)
            || !self.segments.iter().all(|segment| known(segment.collection))
        {
            return Err(Error::corrupt("manifest: collections are out of order"));
        }
        if !self.tombstones.is_sorted_by(|a, b| a.segment < b.segment) {
            return Err(Error::corrupt("manifest: tombstones are out of order"));
        }
        for tombstones in &self.tombstones {
            let segment = self.segment(tombstones.segment);
            let fits = segment.is_some_and(|segment| (1..segment.rows).contains(&tombstones.rows));
            if !fits || tombstones.file >= self.next_file {
                let file = tombstones.file;
                return Err(Error::corrupt(format!("manifest: tombstones {file} of no segment")));
            }
        }
        Ok(())
    }

    /// Either there are no keys, or one of the store and one of each collection.
    fn check_keys(&self) -> Result<()> {
        let ids = self.collections.iter().map(|entry| entry.id);
        let owners = std::iter::once(CollectionId(0)).chain(ids);
        let has_all = self.keys.iter().map(|entry| entry.collection).eq(owners);
        let is_drawn = self.keys.iter().all(|entry| entry.key != KeyId::NONE);
        if self.keys.is_empty() || (has_all && is_drawn && self.codec != PlainCodec::ID) {
            return Ok(());
        }
        Err(Error::corrupt("manifest: keys are not those of its collections"))
    }

    /// The key of a collection; of the store for 0. None where there are no key files.
    pub fn key(&self, collection: CollectionId) -> KeyId {
        let place = self.keys.binary_search_by_key(&collection, |entry| entry.collection);
        place.map_or(KeyId::NONE, |place| self.keys[place].key)
    }

    /// Index snapshots are of collections, and cover nothing that is not there.
    fn check_index_snapshots(&self) -> Result<()> {
        let ids = self.index_snapshots.iter().map(|entry| entry.collection);
        let known = |id| self.collections.binary_search_by_key(&id, |entry| entry.id).is_ok();
        if !ids.clone().is_sorted_by(|a, b| a < b) || !ids.clone().all(known) {
            return Err(Error::corrupt("manifest: index snapshots are out of order"));
        }
        for entry in &self.index_snapshots {
            let changes = entry.changes.map_or(FileId(0), |changes| changes.file);
            let is_given = entry.file.max(changes) < self.next_file;
            if !is_given || entry.covered.max(entry.listed_since) > self.sealed {
                let id = entry.collection;
                let what = format!("manifest: index snapshot of collection {id} covers too much");
                return Err(Error::corrupt(what));
            }
        }
        Ok(())
    }

    /// Parked records are of collections, and below what is sealed.
    fn check_parked(&self) -> Result<()> {
        let known = |id| self.collections.binary_search_by_key(&id, |entry| entry.id).is_ok();
        let fits = |entry: &ParkedEntry| {
            let is_below = Lsn(1) <= entry.first && entry.through <= self.sealed;
            known(entry.collection)
                && entry.file < self.next_file
                && is_below
                && entry.first <= entry.through
        };
        if self.parked.is_sorted_by(|a, b| b.follows(a)) && self.parked.iter().all(fits) {
            return Ok(());
        }
        Err(Error::corrupt("manifest: parked records are out of order"))
    }

    /// The files of parked records of a collection, in the order of their LSNs.
    pub fn parked(&self, collection: CollectionId) -> &[ParkedEntry] {
        let start = self.parked.partition_point(|entry| entry.collection < collection);
        let end = self.parked.partition_point(|entry| entry.collection <= collection);
        &self.parked[start..end]
    }

    /// The index snapshot of a collection.
    pub fn index_snapshot(&self, collection: CollectionId) -> Option<&IndexSnapshotEntry> {
        let of = |entry: &IndexSnapshotEntry| entry.collection;
        let place = self.index_snapshots.binary_search_by_key(&collection, of).ok()?;
        Some(&self.index_snapshots[place])
    }

    /// The entry of a segment's file.
    pub fn segment(&self, file: FileId) -> Option<&SegmentEntry> {
        let place = self.segments.binary_search_by_key(&file, |segment| segment.file).ok()?;
        Some(&self.segments[place])
    }
}

#[cfg(test)]
mod tests;
