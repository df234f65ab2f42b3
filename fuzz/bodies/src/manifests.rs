//! Manifests: `decode` and `encode`.
//!
//! The input is the stored form, and also what a manifest is made from. It has no checksum of its own:
//! the pages around it have.

use arbitrary::{Result, Unstructured};
use quiver_store::codec::{PageCodec, Place, PlainCodec, TAG_SIZE_BYTES};
use quiver_store::ids::{CollectionId, FileId, KeyId, Lsn, ManifestVersion, Salt, StoreId};
use quiver_store::limits::{COLLECTION_NAME_BYTES_MAX, DIMENSION_MAX, NUMBER_MAX};
use quiver_store::manifest::index_snapshots::{ChangesEntry, IndexSnapshotEntry};
use quiver_store::manifest::parked::ParkedEntry;
use quiver_store::manifest::schema::SealedSchema;
use quiver_store::manifest::{
    CollectionEntry, KeyEntry, LogEnd, LogEntry, Manifest, SegmentEntry, TombstonesEntry,
};
use quiver_store::{Descriptor, DistanceMetric, Dtype};

use crate::damage::damage;

/// Gives every manifest the tag that it had: what it says is checked here, not who said it.
#[derive(Debug)]
struct SameTag {
    id: u8,
    tag: [u8; TAG_SIZE_BYTES],
}

impl PageCodec for SameTag {
    fn id(&self) -> u8 {
        self.id
    }

    fn seal(
        &self,
        _: &Place,
        _: &[u8],
        _: &mut [u8],
    ) -> quiver_store::Result<[u8; TAG_SIZE_BYTES]> {
        Ok(self.tag)
    }

    fn open(
        &self,
        _: &Place,
        _: &[u8],
        _: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> quiver_store::Result<()> {
        assert_eq!(*tag, self.tag);
        Ok(())
    }
}

/// Takes the input for the content of a manifest.
pub(crate) fn content(input: &[u8]) {
    manifest_has_one_byte_string(input, input);
    if let Ok(manifest) = manifest(&mut Unstructured::new(input)) {
        let tag = if manifest.codec == PlainCodec::ID { [0; 16] } else { [0xAB; 16] };
        let codec = SameTag { id: manifest.codec, tag };
        let mut bytes = manifest.encode(&codec).expect("it never fails");
        assert_eq!(Manifest::decode(&bytes).expect("in order"), manifest);
        manifest_has_one_byte_string(&bytes, input);
        damage(&mut bytes, input);
        manifest_has_one_byte_string(&bytes, input);
    }
}

/// M4, and what it brings: whatever is cut off or added is missed or found.
fn manifest_has_one_byte_string(bytes: &[u8], input: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes) else { return };
    assert!(manifest.durable() >= manifest.sealed);
    assert!(!manifest.is_of_an_empty_store() || manifest.logs.is_empty());
    let tag = *bytes.last_chunk().expect("a manifest ends with a tag");
    let codec = SameTag { id: manifest.codec, tag };
    manifest.check_seal(bytes, &codec).expect("it never fails");
    assert_eq!(manifest.encode(&codec).expect("it never fails"), bytes);
    schemas_open_or_are_refused(&manifest);
    let choice = input.iter().fold(0, |sum, byte| sum * 31 % 65_521 + usize::from(*byte));
    let cut = choice % bytes.len();
    assert!(Manifest::decode(&bytes[..cut]).is_err(), "decoded although cut at {cut}");
    let more = [bytes, &[0]].concat();
    assert!(Manifest::decode(&more).is_err(), "decoded although longer");
}

/// Whatever a schema holds, it is an error or has one byte string.
fn schemas_open_or_are_refused(manifest: &Manifest) {
    for CollectionEntry { id, schema } in &manifest.collections {
        let Ok((name, descriptor)) = schema.open(manifest.store, *id, &PlainCodec) else {
            continue;
        };
        let named = (name.as_str(), &descriptor);
        let again = SealedSchema::seal(manifest.store, *id, schema.salt, &PlainCodec, named);
        assert_eq!(again.expect("plain").bytes, schema.bytes);
    }
}

/// A manifest whose tables are in order.
fn manifest(input: &mut Unstructured<'_>) -> Result<Manifest> {
    let store = StoreId(input.arbitrary()?);
    let sealed = Lsn(input.int_in_range(0..=NUMBER_MAX / 2)?);
    let codec = input.int_in_range(0..=2)?;
    let collections = collections(input, store, codec)?;
    let mut last_file = FileId(0);
    let segments = segments(input, &collections, &mut last_file)?;
    let tombstones = tombstones(input, &segments, &mut last_file)?;
    let index_snapshots = index_snapshots(input, &collections, sealed, &mut last_file)?;
    let parked = parked(input, &collections, sealed, &mut last_file)?;
    let logs = logs(input, sealed, &mut last_file)?;
    let above = collections.last().map_or(0, |collection| collection.id.0) + 1;
    Ok(Manifest {
        version: ManifestVersion(input.int_in_range(0..=NUMBER_MAX - 1)?),
        salt: Salt(input.arbitrary()?),
        store,
        sealed,
        next_file: FileId(input.int_in_range(last_file.0 + 1..=NUMBER_MAX - 1)?),
        next_collection: CollectionId(input.int_in_range(above..=NUMBER_MAX - 1)?),
        codec,
        keys: keys(input, &collections, codec)?,
        logs,
        segments,
        tombstones,
        index_snapshots,
        parked,
        collections,
    })
}

/// A number above those of the files before.
fn file(input: &mut Unstructured<'_>, last: &mut FileId) -> Result<FileId> {
    last.0 += 1 + u64::from(input.arbitrary::<u32>()?);
    Ok(*last)
}

fn collections(
    input: &mut Unstructured<'_>,
    store: StoreId,
    codec: u8,
) -> Result<Vec<CollectionEntry>> {
    let mut collections = Vec::new();
    let mut id = CollectionId(0);
    for _ in 0..input.int_in_range(0..=3)? {
        id.0 += 1 + u64::from(input.arbitrary::<u32>()?);
        let mut name = input.arbitrary::<&str>()?;
        if name.len() > COLLECTION_NAME_BYTES_MAX {
            name = "long";
        }
        let dim = input.int_in_range(1..=DIMENSION_MAX)?;
        let metrics = [DistanceMetric::Dot, DistanceMetric::Cosine, DistanceMetric::L2];
        let descriptor = Descriptor::new(dim, Dtype::F32, *input.choose(&metrics)?);
        let (salt, codec) = (Salt(input.arbitrary()?), SameTag { id: codec, tag: [0; 16] });
        let schema = SealedSchema::seal(store, id, salt, &codec, (name, &descriptor));
        collections.push(CollectionEntry { id, schema: schema.expect("it never fails").into() });
    }
    Ok(collections)
}

/// None, or one of the store and one of each collection.
fn keys(
    input: &mut Unstructured<'_>,
    collections: &[CollectionEntry],
    codec: u8,
) -> Result<Vec<KeyEntry>> {
    if codec == PlainCodec::ID || input.arbitrary()? {
        return Ok(Vec::new());
    }
    let owners = [CollectionId(0)].into_iter().chain(collections.iter().map(|entry| entry.id));
    let mut key = |collection| {
        let mut key = KeyId(input.arbitrary()?);
        key.0[0] |= 1;
        Ok(KeyEntry { collection, key })
    };
    owners.map(&mut key).collect()
}

fn segments(
    input: &mut Unstructured<'_>,
    collections: &[CollectionEntry],
    last_file: &mut FileId,
) -> Result<Vec<SegmentEntry>> {
    let mut segments = Vec::new();
    if collections.is_empty() {
        return Ok(segments);
    }
    for _ in 0..input.int_in_range(0..=3)? {
        segments.push(SegmentEntry {
            file: file(input, last_file)?,
            collection: input.choose(collections)?.id,
            salt: Salt(input.arbitrary()?),
            len: input.arbitrary()?,
            rows: input.arbitrary()?,
            footer: input.arbitrary()?,
        });
    }
    Ok(segments)
}

/// Of segments in which not all rows are dead.
fn tombstones(
    input: &mut Unstructured<'_>,
    segments: &[SegmentEntry],
    last_file: &mut FileId,
) -> Result<Vec<TombstonesEntry>> {
    let mut tombstones = Vec::new();
    for segment in segments.iter().filter(|segment| segment.rows > 1) {
        tombstones.push(TombstonesEntry {
            file: file(input, last_file)?,
            segment: segment.file,
            salt: Salt(input.arbitrary()?),
            len: input.arbitrary()?,
            rows: input.int_in_range(1..=segment.rows - 1)?,
            digest: input.arbitrary()?,
        });
    }
    Ok(tombstones)
}

/// One at most for each collection, with or without a list; it covers nothing that is not sealed.
fn index_snapshots(
    input: &mut Unstructured<'_>,
    collections: &[CollectionEntry],
    sealed: Lsn,
    last_file: &mut FileId,
) -> Result<Vec<IndexSnapshotEntry>> {
    let mut snapshots = Vec::new();
    for collection in collections {
        if input.ratio(1, 2)? {
            continue;
        }
        let mut entry = IndexSnapshotEntry {
            collection: collection.id,
            file: file(input, last_file)?,
            salt: Salt(input.arbitrary()?),
            len: input.arbitrary()?,
            digest: input.arbitrary()?,
            covered: Lsn(input.int_in_range(0..=sealed.0)?),
            listed_since: Lsn(input.int_in_range(0..=sealed.0)?),
            changes: None,
        };
        if input.arbitrary()? {
            let (file, salt) = (file(input, last_file)?, Salt(input.arbitrary()?));
            let (len, digest) = (input.arbitrary()?, input.arbitrary()?);
            entry.changes = Some(ChangesEntry { file, salt, len, digest });
        }
        snapshots.push(entry);
    }
    Ok(snapshots)
}

/// One file at most for each collection, below what is sealed.
fn parked(
    input: &mut Unstructured<'_>,
    collections: &[CollectionEntry],
    sealed: Lsn,
    last_file: &mut FileId,
) -> Result<Vec<ParkedEntry>> {
    let mut parked = Vec::new();
    for collection in collections.iter().filter(|_| sealed.0 > 0) {
        if input.ratio(1, 2)? {
            continue;
        }
        let first = Lsn(input.int_in_range(1..=sealed.0)?);
        parked.push(ParkedEntry {
            collection: collection.id,
            file: file(input, last_file)?,
            salt: Salt(input.arbitrary()?),
            len: input.arbitrary()?,
            digest: input.arbitrary()?,
            first,
            through: Lsn(input.int_in_range(first.0..=sealed.0)?),
        });
    }
    Ok(parked)
}

/// The first continues what is sealed, each other the one before; only the last may be open (M3).
fn logs(
    input: &mut Unstructured<'_>,
    sealed: Lsn,
    last_file: &mut FileId,
) -> Result<Vec<LogEntry>> {
    let mut logs = Vec::new();
    let mut base = Lsn(input.int_in_range(1..=sealed.0 + 1)?);
    for _ in 0..input.int_in_range(0..=3)? {
        let is_open = input.ratio(1, 4)?;
        let lsn = Lsn(base.0 + u64::from(input.arbitrary::<u32>()?));
        let end = LogEnd { lsn, offset: input.arbitrary()? };
        logs.push(LogEntry {
            file: file(input, last_file)?,
            salt: Salt(input.arbitrary()?),
            base,
            durable: Lsn(input.int_in_range(0..=lsn.0)?),
            end: (!is_open).then_some(end),
        });
        if is_open {
            break;
        }
        base = lsn.next();
    }
    Ok(logs)
}
