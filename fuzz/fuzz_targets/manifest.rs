//! Manifests and the descriptors in them: `decode` and `encode`.
//!
//! The input is the stored form of either, and also what a manifest is made from. Neither has a
//! checksum of its own: the pages around them have.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use quiver_fuzz::damage;
use quiver_store::ids::{CollectionId, FileId, Lsn, ManifestVersion, Salt, StoreId};
use quiver_store::limits::{COLLECTION_NAME_BYTES_MAX, DIMENSION_MAX, NUMBER_MAX};
use quiver_store::manifest::{CollectionEntry, LogEnd, LogEntry, Manifest, SegmentEntry};
use quiver_store::{Descriptor, DistanceMetric, Dtype};

fuzz_target!(|input: &[u8]| {
    descriptor_has_one_byte_string(input);
    manifest_has_one_byte_string(input, input);
    if let Ok(manifest) = manifest(&mut Unstructured::new(input)) {
        let mut bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).expect("in order"), manifest);
        manifest_has_one_byte_string(&bytes, input);
        damage(&mut bytes, input);
        manifest_has_one_byte_string(&bytes, input);
    }
});

fn descriptor_has_one_byte_string(bytes: &[u8]) {
    let Ok(descriptor) = Descriptor::decode(bytes) else { return };
    descriptor.validate().expect("decoding checks the limits");
    assert_eq!(descriptor.encode(), bytes);
}

/// M4, and what it brings: whatever is cut off or added is missed or found.
fn manifest_has_one_byte_string(bytes: &[u8], input: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes) else { return };
    assert!(manifest.durable() >= manifest.sealed);
    assert!(!manifest.is_of_an_empty_store() || manifest.logs.is_empty());
    assert_eq!(manifest.encode(), bytes);
    let choice = input.iter().fold(0, |sum, byte| sum * 31 % 65_521 + usize::from(*byte));
    let cut = choice % bytes.len();
    assert!(Manifest::decode(&bytes[..cut]).is_err(), "decoded although cut at {cut}");
    let more = [bytes, &[0]].concat();
    assert!(Manifest::decode(&more).is_err(), "decoded although longer");
}

/// A manifest whose tables are in order.
fn manifest(input: &mut Unstructured<'_>) -> Result<Manifest> {
    let sealed = Lsn(input.int_in_range(0..=NUMBER_MAX / 2)?);
    let collections = collections(input)?;
    let segments = segments(input, &collections)?;
    let above = segments.last().map_or(0, |segment| segment.file.0) + 1;
    let next_file = FileId(input.int_in_range(above..=NUMBER_MAX - 1)?);
    let above = collections.last().map_or(0, |collection| collection.id.0) + 1;
    Ok(Manifest {
        version: ManifestVersion(input.int_in_range(0..=NUMBER_MAX - 1)?),
        salt: Salt(input.arbitrary()?),
        store: StoreId(input.arbitrary()?),
        sealed,
        next_file,
        next_collection: CollectionId(input.int_in_range(above..=NUMBER_MAX - 1)?),
        logs: logs(input, sealed, next_file)?,
        segments,
        collections,
    })
}

fn collections(input: &mut Unstructured<'_>) -> Result<Vec<CollectionEntry>> {
    let mut collections = Vec::new();
    let mut id = 0;
    for _ in 0..input.int_in_range(0..=3)? {
        id += 1 + u64::from(input.arbitrary::<u32>()?);
        let mut name = input.arbitrary::<&str>()?;
        if name.len() > COLLECTION_NAME_BYTES_MAX {
            name = "long";
        }
        let dim = input.int_in_range(1..=DIMENSION_MAX)?;
        let metrics = [DistanceMetric::Dot, DistanceMetric::Cosine, DistanceMetric::L2];
        let descriptor = Descriptor::new(dim, Dtype::F32, *input.choose(&metrics)?);
        collections.push(CollectionEntry {
            id: CollectionId(id),
            name: name.to_owned(),
            descriptor,
        });
    }
    Ok(collections)
}

fn segments(
    input: &mut Unstructured<'_>,
    collections: &[CollectionEntry],
) -> Result<Vec<SegmentEntry>> {
    let mut segments = Vec::new();
    if collections.is_empty() {
        return Ok(segments);
    }
    let mut file = 0;
    for _ in 0..input.int_in_range(0..=3)? {
        file += 1 + u64::from(input.arbitrary::<u32>()?);
        segments.push(SegmentEntry {
            file: FileId(file),
            collection: input.choose(collections)?.id,
            salt: Salt(input.arbitrary()?),
            len: input.arbitrary()?,
            rows: input.arbitrary()?,
            footer: input.arbitrary()?,
        });
    }
    Ok(segments)
}

/// The first continues what is sealed, each other the one before; only the last may be open (M3).
fn logs(input: &mut Unstructured<'_>, sealed: Lsn, next_file: FileId) -> Result<Vec<LogEntry>> {
    let mut logs = Vec::new();
    let mut base = Lsn(input.int_in_range(1..=sealed.0 + 1)?);
    for _ in 0..input.int_in_range(0..=3)? {
        let is_open = input.ratio(1, 4)?;
        let lsn = Lsn(base.0 + u64::from(input.arbitrary::<u32>()?));
        let end = LogEnd { lsn, offset: input.arbitrary()? };
        logs.push(LogEntry {
            file: FileId(input.int_in_range(0..=next_file.0 - 1)?),
            salt: Salt(input.arbitrary()?),
            base,
            durable: Lsn(input.int_in_range(0..=NUMBER_MAX - 1)?),
            end: (!is_open).then_some(end),
        });
        if is_open {
            break;
        }
        base = lsn.next();
    }
    Ok(logs)
}
