//! Loads what a manifest names: itself, and the collections with their segments and parked records.
//!
//! What is wrong with the file of one collection is its own ([`crate::damage`]): it is loaded without
//! what cannot be used, and the others are whole. A disk that fails a read is another matter: nothing is
//! known to be damaged then, so the open fails and may be tried again, but for a salvage, which takes
//! what it gets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::codec::PlainCodec;
use crate::collection::{Collection, LiveSegment, check_name};
use crate::cursor::index;
use crate::damage::Hidden;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::{CURRENT, FileName};
use crate::ids::{CollectionId, FileId, KeyId, Lsn};
use crate::keyring::KeyRing;
use crate::keys::{Keys, Stated};
use crate::limits::PAGE_SIZE_BYTES;
use crate::live_set::Version;
use crate::manifest::current::{CURRENT_SIZE_BYTES, Current};
use crate::manifest::parked::ParkedEntry;
use crate::manifest::{CollectionEntry, Manifest, SegmentEntry, TombstonesEntry};
use crate::memtable::{Memtable, memory_bytes};
use crate::page::{self, PagePlace, PageType};
use crate::paged_file::{self, Written};
use crate::parked;
use crate::segment::{Segment, Tombstones};
use crate::store::on_disk::{ParkedFile, Tools};
use crate::sync::Arc;
use crate::vector::Stride;
use crate::vfs::{Access, Disk, DiskFile};
use crate::wal::codecs::{LogCodecs, LogFileIdentity};
use crate::wal::frame::{Batch, Section};

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Reads and writes.
    Write,
    /// Reads; nothing is written, and so nothing is settled.
    Read,
    /// Reads of what stands, whatever does not.
    Salvage,
}

impl Mode {
    /// Whether what could not be used is left out, where it is a part of the whole.
    pub(super) fn leaves_out(self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Corrupt => true,
            ErrorKind::Io | ErrorKind::Unsupported => self == Self::Salvage,
            _ => false,
        }
    }
}

/// Reads `CURRENT` and the manifest it names, and holds one against the other. The stored form comes
/// with it: its tag is looked at once there are keys ([`unlock`]).
pub(super) fn read_manifest(tools: &Tools<'_>) -> Result<(Manifest, Vec<u8>)> {
    let file = open_named(tools.disk, CURRENT)?;
    let mut bytes = [0; CURRENT_SIZE_BYTES + 1];
    let len = file.read_up_to(&mut bytes, 0)?;
    let current = Current::decode(&bytes[..len]).map_err(|error| named(error, &file))?;
    let file =
        open_named(tools.disk, &FileName::Manifest(current.version, current.salt.into()).text())?;
    let len = file.len_bytes()?;
    if len != current.len || len == 0 || !len.is_multiple_of(PAGE_SIZE_BYTES as u64) {
        let (path, expected) = (file.path().display(), current.len);
        return Err(Error::corrupt(format!("{path}: {len} bytes long, expected {expected}")));
    }
    let mut pages = vec![0; index(len)];
    file.read_exact_at(&mut pages, 0)?;
    let found = page::digest(&pages);
    if found != current.digest {
        let (path, expected) = (file.path().display(), current.digest);
        return Err(Error::corrupt(format!(
            "{path}: digest {found:#010x}, expected {expected:#010x}"
        )));
    }
    let first = PagePlace {
        store: current.store,
        salt: current.salt,
        collection: CollectionId(0),
        page_type: PageType::Manifest,
        index: 0,
    };
    let (manifest, bytes) = page::open_stream(&first, &PlainCodec, &mut pages)
        .and_then(|bytes| Ok((Manifest::decode(&bytes)?, bytes)))
        .map_err(|error| named(error, &file))?;
    let named = (current.version, current.store, current.salt);
    if (manifest.version, manifest.store, manifest.salt) != named {
        let path = file.path().display();
        return Err(Error::corrupt(format!("{path}: is another manifest than CURRENT names")));
    }
    Ok((manifest, bytes))
}

/// The keys of a store, by what its manifest says of them; the manifest is held against its tag.
///
/// # Errors
/// `KeyUnavailable` where the keys are not those of the store; `InvalidArgument` where there are keys
/// and nothing is encrypted; `Corrupt` where someone without the keys made the manifest.
pub(super) fn unlock(
    tools: &Tools<'_>,
    ring: &Arc<dyn KeyRing>,
    manifest: &Manifest,
    bytes: &[u8],
) -> Result<Arc<Keys>> {
    let store_key = manifest.keys.first().map(|entry| entry.key);
    let stated = Stated { store: manifest.store, codec: manifest.codec, store_key };
    let keys = Keys::open(ring, tools.disk, stated)?;
    manifest.check_seal(bytes, &**keys.catalog()).map_err(|error| {
        let name = FileName::Manifest(manifest.version, manifest.salt.into()).text();
        let path = tools.disk.path(&name);
        if store_key.is_none() && manifest.codec != PlainCodec::ID {
            let what = "does not open: it is another key, or the file was changed";
            return error
                .reported_as(ErrorKind::KeyUnavailable, &format!("{}: {what}", path.display()));
        }
        let kind = error.kind();
        error.reported_as(kind, &path.display().to_string())
    })?;
    Ok(Arc::new(keys))
}

/// What a manifest names, as it was read.
pub(super) struct Loaded {
    pub(super) version: Version,
    /// What the parked records take, about, in bytes.
    pub(super) memory: usize,
    /// The files of those, as far as they could be read.
    pub(super) parked: BTreeMap<FileId, ParkedFile>,
}

/// The collections of a manifest, with their segments and without the log.
pub(super) fn load_collections(
    tools: &Tools<'_>,
    manifest: &Manifest,
    mode: Mode,
) -> Result<Loaded> {
    let mut collections = BTreeMap::new();
    for entry in &manifest.collections {
        let mut collection = match load_collection(tools, manifest, entry) {
            Err(error) if mode.leaves_out(&error) => keyless(manifest, entry, error),
            loaded => loaded?,
        };
        collection.index_snapshot = manifest.index_snapshot(entry.id).copied();
        collections.insert(entry.id, collection);
    }
    let mut segments: BTreeMap<CollectionId, Vec<LiveSegment>> = BTreeMap::new();
    for entry in &manifest.segments {
        let collection = collections.get_mut(&entry.collection).expect("checked by the manifest");
        let place = manifest.tombstones.binary_search_by_key(&entry.file, |found| found.segment);
        let tombstones = place.ok().map(|place| manifest.tombstones[place]);
        if collection.check_key().is_err() {
            // What is sealed under its key stays as it is.
            continue;
        }
        let shape = (collection.descriptor.row_stride(), collection.key);
        match load_segment(tools, manifest, *entry, shape, tombstones) {
            Ok(live) => segments.entry(entry.collection).or_default().push(live),
            Err(error) => leave_out(collection, error, Hidden::Rows, mode)?,
        }
    }
    let (mut memory, mut parked) = (0, BTreeMap::new());
    for entry in &manifest.parked {
        let collection = collections.get_mut(&entry.collection).expect("checked by the manifest");
        match load_parked(tools, manifest, entry, collection) {
            Ok((bytes, file)) => {
                memory += bytes;
                parked.insert(entry.file, file);
            }
            Err(error) => leave_out(collection, error, Hidden::Newer(entry.through), mode)?,
        }
    }
    let mut version = Version::default();
    let clashes = clashes(&collections);
    for (id, mut collection) in collections {
        collection.segments = segments.remove(&id).unwrap_or_default().into();
        if let Some(error) = schema_is_none(tools, manifest, &clashes, &collection) {
            let entry = manifest.collections.binary_search_by_key(&id, |entry| entry.id);
            let entry = &manifest.collections[entry.expect("each is of an entry")];
            collection = keyless(manifest, entry, error);
            collection.is_refused = true;
        }
        version.insert(collection)?;
    }
    Ok(Loaded { version, memory, parked })
}

/// The collections that are named as another, each with one of those. Which of them has the name by right
/// cannot be told, so none has it; but one whose newer records cannot be read may have been renamed in them,
/// and leaves it to the one that was not.
fn clashes(
    collections: &BTreeMap<CollectionId, Collection>,
) -> BTreeMap<CollectionId, CollectionId> {
    let mut by_name: BTreeMap<&str, Vec<&Collection>> = BTreeMap::new();
    for collection in collections.values().filter(|found| found.is_known()) {
        by_name.entry(&collection.name).or_default().push(collection);
    }
    let mut clashes = BTreeMap::new();
    for named in by_name.into_values() {
        let has_one_owner = named.iter().filter(|found| !found.hides_newer()).count() == 1;
        for found in named.iter().filter(|found| !has_one_owner || found.hides_newer()) {
            let other = named.iter().find(|other| other.id != found.id);
            clashes.extend(other.map(|other| (found.id, other.id)));
        }
    }
    clashes
}

/// Why a schema is none that this collection can have, although it could be read.
fn schema_is_none(
    tools: &Tools<'_>,
    manifest: &Manifest,
    clashes: &BTreeMap<CollectionId, CollectionId>,
    collection: &Collection,
) -> Option<Error> {
    let what = match clashes.get(&collection.id) {
        Some(other) => format!("gives it the name of collection {other}"),
        None if collection.is_known() || collection.damage.is_some() => return None,
        None => "is neither listed nor parked".to_owned(),
    };
    Some(of_schema(tools, manifest, collection.id, Error::corrupt(what)))
}

/// What is wrong with a schema, with the file and the collection.
fn of_schema(tools: &Tools<'_>, manifest: &Manifest, id: CollectionId, error: Error) -> Error {
    let path = tools.disk.path(&FileName::Manifest(manifest.version, manifest.salt.into()).text());
    let kind = error.kind();
    error.reported_as(kind, &format!("{}: schema of collection {id}", path.display()))
}

/// A collection as the manifest has it, without its files. One whose key is missing or damaged is known
/// by its id alone.
///
/// # Errors
/// `Corrupt` and `Unsupported` naming the manifest where its schema cannot be read; `Io`.
pub(super) fn load_collection(
    tools: &Tools<'_>,
    manifest: &Manifest,
    entry: &CollectionEntry,
) -> Result<Collection> {
    let (id, key) = (entry.id, manifest.key(entry.id));
    let codec = match tools.keys.of(id, key) {
        Ok(codec) => codec,
        Err(error) if matches!(error.kind(), ErrorKind::KeyUnavailable | ErrorKind::Corrupt) => {
            return Ok(keyless(manifest, entry, error));
        }
        Err(error) => return Err(error),
    };
    if !entry.schema.is_known() && manifest.codec != PlainCodec::ID {
        // Its creation is the first of its parked records.
        let mut collection = Collection::keyless(id, key, Error::corrupt("no schema"));
        collection.damage = None;
        return Ok(collection);
    }
    let opened = entry.schema.open(manifest.store, id, &*codec);
    let opened = opened.and_then(|(name, descriptor)| {
        check_name(id, &name)?;
        Ok((name, descriptor))
    });
    let (name, descriptor) = opened.map_err(|error| of_schema(tools, manifest, id, error))?;
    let mut collection = Collection::new(id, key, name, descriptor);
    collection.schema = Some(Arc::clone(&entry.schema));
    Ok(collection)
}

/// A collection of which nothing is known but what stands in plain.
fn keyless(manifest: &Manifest, entry: &CollectionEntry, error: Error) -> Collection {
    tracing::error!(collection = entry.id.0, %error, "nothing of it can be told");
    let mut collection = Collection::keyless(entry.id, manifest.key(entry.id), error);
    collection.schema = Some(Arc::clone(&entry.schema));
    collection
}

/// Goes on without a file of a collection.
fn leave_out(collection: &mut Collection, error: Error, hidden: Hidden, mode: Mode) -> Result<()> {
    if !mode.leaves_out(&error) {
        return Err(error);
    }
    tracing::error!(collection = collection.id.0, %error, "damaged");
    collection.note_damage(error, hidden);
    Ok(())
}

/// Replays a file of parked records, below the log and behind the files before it; about how much
/// memory they take, the keys that they are under, and whether some of them change the schema.
pub(super) fn load_parked(
    tools: &Tools<'_>,
    manifest: &Manifest,
    entry: &ParkedEntry,
    collection: &mut Collection,
) -> Result<(usize, ParkedFile)> {
    let (file, sections) = read_parked(tools, manifest, entry)?;
    if !collection.is_closed_book() {
        alter_by_parked(collection, &sections).map_err(|error| named(error, &file))?;
    }
    let alters = sections.iter().any(|(_, section)| section.is_of_catalog());
    let (mut memory, mut keys) = (0, BTreeSet::new());
    for (first, section) in sections {
        keys.insert(section.key);
        if section.carried.is_some() || collection.is_closed_book() {
            let what = format!("records of collection {}: a key is missing", collection.id);
            let error = Error::new(ErrorKind::KeyUnavailable, what);
            collection.note_carried(error, last_of(first, &section));
        }
        if collection.is_closed_book() || !section.is_of_catalog() {
            collection.take(&collection.active, first, &section, |_, _| Ok(()))?;
        }
        memory += memory_bytes(&Batch { sections: vec![section] });
    }
    Ok((memory, ParkedFile { keys, alters }))
}

/// The sections of a file of parked records, and the file.
pub(super) fn read_parked(
    tools: &Tools<'_>,
    manifest: &Manifest,
    entry: &ParkedEntry,
) -> Result<(DiskFile, Vec<(Lsn, Section)>)> {
    let file = open_named(tools.disk, &FileName::Parked(entry.file, entry.salt.into()).text())?;
    let first = PagePlace {
        store: manifest.store,
        salt: entry.salt,
        collection: entry.collection,
        page_type: PageType::Parked,
        index: 0,
    };
    let listed = Written { len: entry.len, digest: entry.digest };
    let bytes = paged_file::read(&file, &first, &**tools.keys.catalog(), listed)?;
    let log = LogFileIdentity { store: manifest.store, salt: entry.salt };
    let mut codecs = LogCodecs::new(Arc::clone(tools.keys), log);
    let listed = (entry.first, entry.through);
    let sections = parked::decode(entry.collection, listed, &bytes, &mut codecs);
    let sections = sections.map_err(|error| named(error, &file))?;
    Ok((file, sections))
}

/// Takes over what parked records say of a schema. Of a file with a record that cannot be, nothing is.
fn alter_by_parked(collection: &mut Collection, sections: &[(Lsn, Section)]) -> Result<()> {
    let (checked, mut changed) = (Memtable::default(), collection.clone());
    for (first, section) in sections {
        if section.is_of_catalog() {
            changed.alter_by(section)?;
        } else {
            let stride = changed.descriptor.row_stride();
            checked.insert(*first, section, stride, |_, _| Ok(()))?;
        }
    }
    (collection.name, collection.descriptor) = (changed.name, changed.descriptor);
    collection.schema = changed.schema;
    Ok(())
}

pub(super) fn load_segment(
    tools: &Tools<'_>,
    manifest: &Manifest,
    entry: SegmentEntry,
    (stride, key): (Stride, KeyId),
    tombstones: Option<TombstonesEntry>,
) -> Result<LiveSegment> {
    let (disk, store) = (tools.disk, manifest.store);
    let file = open_named(disk, &FileName::Segment(entry.file, entry.salt.into()).text())?;
    let codec = tools.keys.of(entry.collection, key)?;
    let segment = Segment::open(file, store, &entry, stride, Arc::clone(&codec))?;
    let dead = match &tombstones {
        None => Arc::default(),
        Some(listed) => {
            let name = FileName::Tombstones(listed.file, listed.salt.into()).text();
            let file = open_named(disk, &name)?;
            Arc::new(Tombstones::read(&file, store, listed, &entry, &*codec)?)
        }
    };
    Ok(LiveSegment { entry, segment: Arc::new(segment), tombstones, dead })
}

fn last_of(first: Lsn, section: &Section) -> Lsn {
    Lsn(first.0 + u64::from(section.records)).previous()
}

/// Opens a file that has to be there.
pub(super) fn open_named(disk: &Disk, name: &str) -> Result<DiskFile> {
    disk.open(name, Access::Read).map_err(|error| match error.io_kind() {
        Some(io::ErrorKind::NotFound) => {
            let path = disk.path(name);
            Error::corrupt(format!("{}: the file is missing", path.display()))
        }
        _ => error,
    })
}

pub(super) fn named(error: Error, file: &DiskFile) -> Error {
    let kind = error.kind();
    error.reported_as(kind, &file.path().display().to_string())
}
