//! Round trips and refusals of the manifest's stored form.

use super::*;
use crate::descriptor::{Descriptor, DistanceMetric, Dtype};
use crate::manifest::index_snapshots::ChangesEntry;
use crate::manifest::schema::SealedSchema;
use crate::sync::Arc;

fn schema() -> SealedSchema {
    let descriptor = Descriptor::new(4, Dtype::F32, DistanceMetric::L2);
    let what = ("points", &descriptor);
    let (store, id) = (StoreId([1; 16]), CollectionId(3));
    SealedSchema::seal(store, id, Salt([7; 16]), &PlainCodec, what).expect("plain")
}

/// The stored form of one that is not encrypted.
fn stored(manifest: &Manifest) -> Vec<u8> {
    manifest.encode(&PlainCodec).expect("plain")
}

fn manifest() -> Manifest {
    let log = |file, base, end| LogEntry {
        file: FileId(file),
        salt: Salt([3; 16]),
        base: Lsn(base),
        durable: Lsn(base + 1),
        end,
    };
    Manifest {
        version: ManifestVersion(12),
        salt: Salt([6; 16]),
        store: StoreId([1; 16]),
        sealed: Lsn(40),
        next_file: FileId(9),
        next_collection: CollectionId(5),
        codec: PlainCodec::ID,
        keys: Vec::new(),
        logs: vec![log(6, 41, Some(LogEnd { lsn: Lsn(50), offset: 2048 })), log(8, 51, None)],
        segments: vec![SegmentEntry {
            file: FileId(4),
            collection: CollectionId(3),
            salt: Salt([4; 16]),
            len: 32_768,
            rows: 7,
            footer: 99,
        }],
        tombstones: vec![TombstonesEntry {
            file: FileId(7),
            segment: FileId(4),
            salt: Salt([5; 16]),
            len: 16_384,
            rows: 6,
            digest: 77,
        }],
        index_snapshots: vec![IndexSnapshotEntry {
            collection: CollectionId(3),
            file: FileId(2),
            salt: Salt([7; 16]),
            len: 16_384,
            digest: 5,
            covered: Lsn(30),
            listed_since: Lsn(31),
            changes: Some(ChangesEntry {
                file: FileId(3),
                salt: Salt([8; 16]),
                len: 32_768,
                digest: 6,
            }),
        }],
        parked: vec![ParkedEntry {
            collection: CollectionId(3),
            file: FileId(1),
            salt: Salt([9; 16]),
            len: 16_384,
            digest: 7,
            first: Lsn(31),
            through: Lsn(40),
        }],
        collections: vec![CollectionEntry { id: CollectionId(3), schema: Arc::new(schema()) }],
    }
}

#[test]
fn manifest_round_trips() {
    for manifest in [manifest(), Manifest::empty(StoreId([1; 16]), ManifestVersion(1))] {
        assert_eq!(Manifest::decode(&stored(&manifest)).expect("own bytes"), manifest);
    }
}

#[test]
fn entry_sizes_are_those_of_the_table() {
    let mut bytes = Vec::new();
    put_log(&mut bytes, &manifest().logs[0]);
    assert_eq!(bytes.len(), LOG_ENTRY_SIZE_BYTES);
    bytes.clear();
    put_segment(&mut bytes, &manifest().segments[0]);
    assert_eq!(bytes.len(), SEGMENT_ENTRY_SIZE_BYTES);
    bytes.clear();
    put_tombstones(&mut bytes, &manifest().tombstones[0]);
    assert_eq!(bytes.len(), TOMBSTONES_ENTRY_SIZE_BYTES);
    bytes.clear();
    index_snapshots::put(&mut bytes, &manifest().index_snapshots[0]);
    assert_eq!(bytes.len(), INDEX_SNAPSHOT_ENTRY_SIZE_BYTES);
    bytes.clear();
    parked::put(&mut bytes, &manifest().parked[0]);
    assert_eq!(bytes.len(), PARKED_ENTRY_SIZE_BYTES);
}

#[test]
fn tombstones_of_no_segment_are_refused() {
    let refused = |change: &dyn Fn(&mut TombstonesEntry)| {
        let mut manifest = manifest();
        change(&mut manifest.tombstones[0]);
        let error = Manifest::decode(&stored(&manifest)).expect_err("out of order");
        assert!(error.to_string().contains("tombstones"), "{error}");
    };
    refused(&|entry| entry.segment = FileId(5));
    refused(&|entry| entry.rows = 0);
    refused(&|entry| entry.rows = 7);
    refused(&|entry| entry.file = FileId(9));
}

#[test]
fn every_cut_is_refused() {
    let bytes = stored(&manifest());
    for cut in 0..bytes.len() {
        assert!(Manifest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn unknown_feature_is_unsupported() {
    let mut bytes = stored(&manifest());
    bytes[40] = 2;
    let error = Manifest::decode(&bytes).expect_err("feature bit");
    assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
}

#[test]
fn tables_that_contradict_one_another_are_corrupt() {
    let refused = |spoil: fn(&mut Manifest), what: &str| {
        let mut spoiled = manifest();
        spoil(&mut spoiled);
        let error = Manifest::decode(&stored(&spoiled)).expect_err(what);
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{what}");
    };
    refused(|m| m.logs[1].base = Lsn(52), "a gap between logs");
    refused(|m| m.logs[0].base = Lsn(42), "a gap behind the segments");
    refused(|m| m.logs[0].end = None, "two open-ended logs");
    refused(|m| m.logs[1].file = FileId(6), "two logs of one file");
    refused(|m| m.logs[0].durable = Lsn(51), "a log that ends below what it proves");
    refused(|m| m.next_file = FileId(8), "a file id that would be given again");
    refused(|m| m.next_collection = CollectionId(3), "a collection id that would be given again");
    refused(|m| m.segments[0].collection = CollectionId(2), "a segment of no collection");
    refused(|m| m.index_snapshots[0].covered = Lsn(41), "an index over rows that are not there");
    refused(|m| m.index_snapshots[0].listed_since = Lsn(41), "a list from the future");
    refused(|m| m.index_snapshots[0].file = FileId(9), "an index file that was never made");
    refused(|m| m.index_snapshots[0].collection = CollectionId(2), "an index of no collection");
    refused(|m| m.index_snapshots.push(m.index_snapshots[0]), "two of one collection");
    refused(|m| m.parked[0].through = Lsn(41), "parked records above what is sealed");
    refused(|m| m.parked[0].through = Lsn(30), "nothing is parked");
    refused(|m| m.parked[0].first = Lsn(0), "parked records of no LSN");
    refused(|m| m.parked[0].file = FileId(9), "a parked file that was never made");
    refused(|m| m.parked[0].collection = CollectionId(2), "parked records of no collection");
    refused(|m| m.parked.push(m.parked[0]), "a parked file twice");
    refused(|m| park_before(m, Lsn(31), FileId(0)), "two parked files of one LSN");
    refused(|m| park_before(m, Lsn(30), FileId(1)), "parked files not in the order of their ids");
}

/// Names one more file of parked records, in front of the one that there is.
fn park_before(manifest: &mut Manifest, through: Lsn, file: FileId) {
    let later = manifest.parked[0];
    manifest.parked.insert(0, ParkedEntry { file, first: Lsn(20), through, ..later });
}

#[test]
fn parked_files_of_a_collection_stand_in_the_order_of_their_records() {
    let mut manifest = manifest();
    park_before(&mut manifest, Lsn(30), FileId(0));
    let read = Manifest::decode(&stored(&manifest)).expect("own bytes");
    assert_eq!(read.parked(CollectionId(3)), manifest.parked);
    assert_eq!(read.parked(CollectionId(2)), []);
    assert_eq!(read.parked(CollectionId(4)), []);
}

#[test]
fn durable_is_the_highest_statement() {
    assert_eq!(manifest().durable(), Lsn(52));
    assert_eq!(Manifest::empty(StoreId([1; 16]), ManifestVersion(1)).durable(), Lsn(0));
}
