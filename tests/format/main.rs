//! Holds `docs/format.md` against the engine, and the engine against the golden files.
//!
//! The files of a small store are walked by the tables of the document alone, and what is found
//! there is compared with what the engine's own decoders say. `QUIVER_BLESS=1` writes the
//! document's examples anew.
//!
//! Version 1 of the format is frozen: its golden files, `corpus/format-v1`, are never written again.

#![expect(clippy::disallowed_methods, reason = "it reads the document and the golden files")]

mod checksum;
mod document;
#[cfg(feature = "encryption")]
mod encrypted;
#[cfg(feature = "encryption")]
mod known_answers;
mod sample;
mod seals;
mod tables;
mod walk;

use std::fs;

use checksum::crc32c_append;
use document::Document;
use quiver_store::codec::{FileKind, PlainCodec, TAG_SIZE_BYTES};
use quiver_store::file_names::FileName;
use quiver_store::key_file;
use quiver_store::manifest::index_snapshots::INDEX_SNAPSHOT_ENTRY_SIZE_BYTES;
use quiver_store::manifest::parked::PARKED_ENTRY_SIZE_BYTES;
use quiver_store::manifest::{
    KEY_ENTRY_SIZE_BYTES, LOG_ENTRY_SIZE_BYTES, SEGMENT_ENTRY_SIZE_BYTES,
    TOMBSTONES_ENTRY_SIZE_BYTES, current, tags,
};
use quiver_store::page::{self, PageType, offsets};
use quiver_store::wal::{frame, header, section};
use quiver_store::{Descriptor, DistanceMetric, Dtype, ErrorKind, Lsn, RecoveryTail, limits};
use sample::{Files, Golden, Sample};
use seals::Seals;

fn blessing() -> bool {
    std::env::var_os("QUIVER_BLESS").is_some()
}

#[test]
fn constants_are_those_of_the_engine() {
    let expected = [
        ("PAGE_SIZE_BYTES", limits::PAGE_SIZE_BYTES as u64),
        ("PAGE_HEADER_SIZE_BYTES", page::PAGE_HEADER_SIZE_BYTES as u64),
        ("PAGE_BODY_SIZE_BYTES", page::PAGE_BODY_SIZE_BYTES as u64),
        ("SECTOR_SIZE_BYTES", limits::SECTOR_SIZE_BYTES as u64),
        ("CURRENT_SIZE_BYTES", current::CURRENT_SIZE_BYTES as u64),
        ("LOG_HEADER_SIZE_BYTES", header::LOG_HEADER_SIZE_BYTES as u64),
        ("FRAME_HEADER_SIZE_BYTES", frame::FRAME_HEADER_SIZE_BYTES as u64),
        ("SECTION_HEADER_SIZE_BYTES", frame::SECTION_HEADER_SIZE_BYTES as u64),
        ("ORIGIN_SIZE_BYTES", section::ORIGIN_SIZE_BYTES as u64),
        ("TAG_SIZE_BYTES", TAG_SIZE_BYTES as u64),
        ("KEY_FILE_SIZE_BYTES", key_file::KEY_FILE_SIZE_BYTES as u64),
        ("SEALED_KEY_SIZE_BYTES", key_file::SEALED_KEY_SIZE_BYTES as u64),
        ("LOG_ENTRY_SIZE_BYTES", LOG_ENTRY_SIZE_BYTES as u64),
        ("SEGMENT_ENTRY_SIZE_BYTES", SEGMENT_ENTRY_SIZE_BYTES as u64),
        ("TOMBSTONES_ENTRY_SIZE_BYTES", TOMBSTONES_ENTRY_SIZE_BYTES as u64),
        ("KEY_ENTRY_SIZE_BYTES", KEY_ENTRY_SIZE_BYTES as u64),
        ("INDEX_SNAPSHOT_ENTRY_SIZE_BYTES", INDEX_SNAPSHOT_ENTRY_SIZE_BYTES as u64),
        ("PARKED_ENTRY_SIZE_BYTES", PARKED_ENTRY_SIZE_BYTES as u64),
        ("FRAME_BYTES_MAX", limits::FRAME_BYTES_MAX as u64),
        ("EXTERNAL_ID_BYTES_MAX", limits::EXTERNAL_ID_BYTES_MAX as u64),
        ("COLLECTION_NAME_BYTES_MAX", limits::COLLECTION_NAME_BYTES_MAX as u64),
        ("PAYLOAD_BYTES_MAX", limits::PAYLOAD_BYTES_MAX as u64),
        ("DIMENSION_MAX", u64::from(limits::DIMENSION_MAX)),
        ("COLLECTIONS_MAX", limits::COLLECTIONS_MAX as u64),
        ("PAGE_FORMAT_VERSION", u64::from(page::PAGE_FORMAT_VERSION)),
        ("CURRENT_FORMAT_VERSION", u64::from(current::CURRENT_FORMAT_VERSION)),
        ("LOG_FORMAT_VERSION", u64::from(header::LOG_FORMAT_VERSION)),
        ("KEY_FILE_FORMAT_VERSION", u64::from(key_file::KEY_FILE_FORMAT_VERSION)),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value)).into();
    assert_eq!(Document::read().numbers("constants"), expected);
}

#[test]
fn stored_numbers_are_those_of_the_engine() {
    let document = Document::read();
    let check = |table: &str, expected: &[(&str, u64)]| {
        let expected = expected.iter().map(|(name, number)| ((*name).to_owned(), *number));
        assert_eq!(document.numbers(table), expected.collect(), "{table}");
    };
    check(
        "page types",
        &[
            ("manifest", PageType::Manifest as u64),
            ("segment column", PageType::SegmentColumn as u64),
            ("segment footer", PageType::SegmentFooter as u64),
            ("segment tail", PageType::SegmentTail as u64),
            ("tombstones", PageType::Tombstones as u64),
            ("index snapshot", PageType::IndexSnapshot as u64),
            ("changes", PageType::Changes as u64),
            ("parked", PageType::Parked as u64),
        ],
    );
    #[cfg(feature = "encryption")]
    assert_eq!(quiver_store::AesGcmCodec::ID, 1);
    check("codecs", &[("plain", PlainCodec::ID.into()), ("AES-256-GCM", 1)]);
    check(
        "file kinds",
        &[
            ("manifest", FileKind::Manifest as u64),
            ("log", FileKind::Log as u64),
            ("segment", FileKind::Segment as u64),
            ("tombstones", FileKind::Tombstones as u64),
            ("index snapshot", FileKind::IndexSnapshot as u64),
            ("changes", FileKind::Changes as u64),
            ("parked", FileKind::Parked as u64),
            ("key", FileKind::Key as u64),
            ("schema", FileKind::Schema as u64),
        ],
    );
    check(
        "tables",
        &[
            ("logs", tags::LOGS.into()),
            ("segments", tags::SEGMENTS.into()),
            ("keys", tags::KEYS.into()),
            ("tombstones", tags::TOMBSTONES.into()),
            ("index snapshots", tags::INDEX_SNAPSHOTS.into()),
            ("parked", tags::PARKED.into()),
            ("collections", tags::COLLECTIONS.into()),
        ],
    );
    check(
        "frame kinds",
        &[
            ("batch", frame::FrameKind::Batch as u64),
            ("proof", frame::FrameKind::Proof as u64),
            ("closing", frame::FrameKind::Closing as u64),
        ],
    );
}

#[test]
fn layouts_are_without_gaps_and_of_the_declared_size() {
    let document = Document::read();
    for (layout, size) in [
        ("page header", page::PAGE_HEADER_SIZE_BYTES),
        ("CURRENT", current::CURRENT_SIZE_BYTES),
        ("log header", header::LOG_HEADER_SIZE_BYTES),
        ("frame header", frame::FRAME_HEADER_SIZE_BYTES),
        ("section header", frame::SECTION_HEADER_SIZE_BYTES),
        ("origin", section::ORIGIN_SIZE_BYTES),
        ("key file", key_file::KEY_FILE_SIZE_BYTES),
    ] {
        assert_eq!(document.layout_size(layout), size, "{layout}");
    }
    let rows = document.rows("layout: page header");
    let listed: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let declared = [
        offsets::MAGIC,
        offsets::VERSION,
        offsets::TYPE,
        offsets::CODEC,
        offsets::INDEX,
        offsets::PAYLOAD_LEN,
        offsets::CHECKSUM,
        offsets::RESERVED,
        offsets::STORE_TAG,
        offsets::SALT,
        offsets::TAG,
    ];
    assert_eq!(listed, declared.map(|offset| offset.to_string()));
}

#[test]
fn names_are_those_that_the_engine_gives() {
    for row in Document::read().rows("table: names") {
        let name = FileName::parse(&row[0]).unwrap_or_else(|| panic!("{} is foreign", row[0]));
        assert_eq!(name.text(), row[0]);
    }
}

#[test]
fn descriptor_is_as_documented() {
    let document = Document::read();
    let rows = document.rows("table: descriptor");
    for (metric, number) in
        [(DistanceMetric::Dot, 1), (DistanceMetric::Cosine, 2), (DistanceMetric::L2, 3)]
    {
        let bytes = Descriptor::new(65_536, Dtype::F32, metric).encode();
        let mut rest = bytes.as_slice();
        for (row, value) in rows.iter().zip([65_536, 1, number]) {
            let field = document.take("descriptor field", &mut rest);
            assert_eq!(field.number("tag").to_string(), row[0]);
            assert_eq!(field.number("length").to_string(), row[1]);
            assert_eq!(field.number("value"), value, "{}", row[2]);
        }
        assert!(rest.is_empty(), "the document misses a field");
    }
}

/// Walks all files of a store.
fn walk_all(document: &Document, files: &Files, seals: Seals) {
    let mut walk = walk::Walk::new(document, files, seals);
    walk.manifest();
    walk.segments();
    walk.tombstones();
    walk.index_snapshots();
    walk.parked();
    walk.logs();
    walk.assert_all_seen();
}

#[test]
fn files_of_a_store_are_as_documented() {
    let files = sample::write(Golden::Plain).expect("memory does not fail");
    walk_all(&Document::read(), &files, Seals::Plain);
}

#[test]
fn examples_are_what_the_engine_writes() {
    let files = sample::write(Golden::Plain).expect("memory does not fail");
    let mut document = Document::read();
    let mut walk = walk::Walk::new(&document, &files, Seals::Plain);
    walk.manifest();
    let examples = [("CURRENT", walk.current_example()), ("frame", walk.frame_example())];
    if blessing() {
        for (name, text) in &examples {
            document.set_example(name, text);
        }
        fs::write(document::path(), &document.text).expect("the repository is writable");
    }
    for (name, text) in &examples {
        assert_eq!(document.example(name), text, "{name}: run with QUIVER_BLESS=1 if it is meant");
    }
}

fn golden_files(golden: Golden) -> Files {
    let entries = fs::read_dir(golden.dir()).expect("the golden files are there");
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).expect("our names").to_owned();
        (name, fs::read(path).expect("readable"))
    };
    entries.map(|entry| read(entry.expect("listed").path())).collect()
}

/// Holds the golden files of a sample against what the engine writes.
fn assert_written_to_the_byte(golden: Golden) {
    let files = sample::write(golden).expect("memory does not fail");
    let golden = golden_files(golden);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&files), names(&golden), "version 1 is frozen: this needs a new one");
    for (name, bytes) in &files {
        let differs = bytes.iter().zip(&golden[name]).position(|(ours, theirs)| ours != theirs);
        let (found, expected) = ((differs, bytes.len()), (None, golden[name].len()));
        assert_eq!(found, expected, "{name}: version 1 is frozen: this needs a new one");
    }
}

/// A store of version 1 that somebody has must open for good, so nobody adapts these to a change.
#[test]
fn golden_files_of_version_1_are_those_that_were_frozen() {
    let digest = |golden| {
        let files = golden_files(golden).into_iter();
        files.fold(0, |digest, (name, bytes)| {
            crc32c_append(crc32c_append(digest, name.as_bytes()), &bytes)
        })
    };
    assert_eq!(digest(Golden::Plain), 0x7c3b_ec65, "{:#010x}", digest(Golden::Plain));
    #[cfg(feature = "encryption")]
    assert_eq!(digest(Golden::Encrypted), 0xfd7c_03b7, "{:#010x}", digest(Golden::Encrypted));
}

#[test]
fn golden_files_are_written_to_the_byte() {
    assert_written_to_the_byte(Golden::Plain);
}

/// What a sample holds.
const ROWS: [&str; 4] = [
    r#"fruit 1 apple [1.0, -2.0] {"red":true}"#,
    "fruit 1 fig [-0.0, 0.0] []",
    "fruit 1 plum [4.0, 5.0] null",
    "seeds 2 poppy [3.0] {}",
];

#[test]
fn golden_files_are_read_back() {
    let files = golden_files(Golden::Plain);
    let store = Sample::of(&files, Golden::Plain.ring()).open().expect("opens");
    assert_eq!(sample::rows(&store).expect("open"), ROWS);
    assert_eq!(store.stats().expect("open").last_lsn, Lsn(17));
    let id = store.create_collection("next", Descriptor::new(1, Dtype::F32, DistanceMetric::L2));
    assert_eq!(id.expect("free").value(), 4, "the id of a dropped collection does not come back");
}

#[test]
fn a_store_that_misses_any_of_its_files_is_corrupt_or_one_collection_of_it_is() {
    let golden = golden_files(Golden::Plain);
    let mut confined = 0;
    for name in golden.keys() {
        let mut files = golden.clone();
        files.remove(name);
        let is_of_the_store =
            ["CURRENT", "manifest", "log"].iter().any(|kind| name.starts_with(kind));
        let store = match Sample::of(&files, Golden::Plain.ring()).open() {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
                assert!(is_of_the_store, "{name}: {error}");
                continue;
            }
            Ok(store) => store,
        };
        assert!(!is_of_the_store, "{name} is missed by nobody");
        let fruit = store.collection_id("fruit").expect("open").expect("it was created");
        match FileName::parse(name).expect("our names") {
            FileName::IndexSnapshot(..) => {
                let error = store.read_index_snapshot(fruit).expect_err(name);
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
            }
            FileName::Changes(..) => {
                assert_eq!(store.recovery_tail(fruit).expect(name), RecoveryTail::Rebuild);
            }
            _ => {
                let error = store.len(fruit).expect_err(name);
                assert!(error.to_string().contains(name), "{name}: {error}");
                let seeds = store.collection_id("seeds").expect("open").expect("created");
                assert_eq!(store.len(seeds).expect("another collection"), 1);
                confined += 1;
            }
        }
    }
    assert_eq!(confined, 3, "a segment, its tombstones and parked records");
}
