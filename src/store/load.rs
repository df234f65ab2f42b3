//! Loads what a manifest names: itself, and the collections with their segments and parked records.
//!
//! What is wrong with the file of one collection is its own ([`crate::damage`]): it is loaded without
//! what cannot be used, and the others are whole. A disk that fails a read is another matter: nothing is
//! known to be damaged then, so the open fails and may be tried again, but for a salvage, which takes
//! what it gets.

use std::collections::BTreeMap;
use std::io;

use crate::cursor::index;
use crate::damage::Hidden;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::{CURRENT, FileName};
use crate::ids::CollectionId;
use crate::limits::PAGE_SIZE_BYTES;
use crate::live_set::{Collection, LiveSegment, Version};
use crate::manifest::current::{CURRENT_SIZE_BYTES, Current};
use crate::manifest::parked::ParkedEntry;
use crate::manifest::{Manifest, SegmentEntry, TombstonesEntry};
use crate::memtable::{Memtable, memory_bytes};
use crate::page::{self, PagePlace, PageType};
use crate::paged_file::{self, Written};
use crate::parked;
use crate::segment::{Segment, Tombstones};
use crate::store::on_disk::Tools;
use crate::sync::Arc;
use crate::vector::Stride;
use crate::vfs::{Access, Disk, DiskFile};
use crate::wal::frame::Batch;

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

/// Reads `CURRENT` and the manifest it names, and holds one against the other.
pub(super) fn read_manifest(tools: &Tools<'_>) -> Result<Manifest> {
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
    let manifest = page::open_stream(&first, &**tools.codec, &mut pages)
        .and_then(|bytes| Manifest::decode(&bytes))
        .map_err(|error| named(error, &file))?;
    let named = (current.version, current.store, current.salt);
    if (manifest.version, manifest.store, manifest.salt) != named {
        let path = file.path().display();
        return Err(Error::corrupt(format!("{path}: is another manifest than CURRENT names")));
    }
    Ok(manifest)
}

/// The collections of a manifest, with their segments and without the log; and about how much memory
/// their parked records take.
pub(super) fn load_collections(
    tools: &Tools<'_>,
    manifest: &Manifest,
    mode: Mode,
) -> Result<(Version, usize)> {
    let mut collections = BTreeMap::new();
    for entry in &manifest.collections {
        let (name, descriptor) = (entry.name.clone(), entry.descriptor.clone());
        let mut collection = Collection::new(entry.id, name, descriptor);
        collection.index_snapshot = manifest.index_snapshot(entry.id).copied();
        collections.insert(entry.id, collection);
    }
    let mut segments: BTreeMap<CollectionId, Vec<LiveSegment>> = BTreeMap::new();
    for entry in &manifest.segments {
        let collection = collections.get_mut(&entry.collection).expect("checked by the manifest");
        let place = manifest.tombstones.binary_search_by_key(&entry.file, |found| found.segment);
        let tombstones = place.ok().map(|place| manifest.tombstones[place]);
        let stride = collection.descriptor.row_stride();
        match load_segment(tools, manifest, *entry, stride, tombstones) {
            Ok(live) => segments.entry(entry.collection).or_default().push(live),
            Err(error) => leave_out(collection, error, Hidden::Rows, mode)?,
        }
    }
    let mut memory = 0;
    for entry in &manifest.parked {
        let collection = collections.get_mut(&entry.collection).expect("checked by the manifest");
        match load_parked(tools, manifest, entry, collection) {
            Ok(bytes) => memory += bytes,
            Err(error) => leave_out(collection, error, Hidden::Newer(entry.through), mode)?,
        }
    }
    let mut version = Version::default();
    for (id, mut collection) in collections {
        collection.segments = segments.remove(&id).unwrap_or_default().into();
        version.insert(collection)?;
    }
    Ok((version, memory))
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
/// memory they take.
fn load_parked(
    tools: &Tools<'_>,
    manifest: &Manifest,
    entry: &ParkedEntry,
    collection: &Collection,
) -> Result<usize> {
    let file = open_named(tools.disk, &FileName::Parked(entry.file, entry.salt.into()).text())?;
    let first = PagePlace {
        store: manifest.store,
        salt: entry.salt,
        collection: entry.collection,
        page_type: PageType::Parked,
        index: 0,
    };
    let listed = Written { len: entry.len, digest: entry.digest };
    let bytes = paged_file::read(&file, &first, &**tools.codec, listed)?;
    let stride = collection.descriptor.row_stride();
    let sections = parked::decode(entry.collection, (entry.first, entry.through), &bytes);
    let replayed = sections.and_then(|sections| {
        // Of a file with a record that cannot be, none is shown.
        let checked = Memtable::default();
        for (first, section) in &sections {
            checked.insert(*first, section, stride, |_, _| Ok(()))?;
        }
        Ok(sections)
    });
    let mut memory = 0;
    for (first, section) in replayed.map_err(|error| named(error, &file))? {
        collection.active.insert(first, &section, stride, |_, _| Ok(()))?;
        memory += memory_bytes(&Batch { sections: vec![section] });
    }
    Ok(memory)
}

pub(super) fn load_segment(
    tools: &Tools<'_>,
    manifest: &Manifest,
    entry: SegmentEntry,
    stride: Stride,
    tombstones: Option<TombstonesEntry>,
) -> Result<LiveSegment> {
    let (disk, store) = (tools.disk, manifest.store);
    let file = open_named(disk, &FileName::Segment(entry.file, entry.salt.into()).text())?;
    let segment = Segment::open(file, store, &entry, stride, Arc::clone(tools.codec))?;
    let dead = match &tombstones {
        None => Arc::default(),
        Some(listed) => {
            let name = FileName::Tombstones(listed.file, listed.salt.into()).text();
            let file = open_named(disk, &name)?;
            Arc::new(Tombstones::read(&file, store, listed, &entry, &**tools.codec)?)
        }
    };
    Ok(LiveSegment { entry, segment: Arc::new(segment), tombstones, dead })
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
