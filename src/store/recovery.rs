//! Open: finds the newest manifest, loads its segments, replays its logs, settles the tail.
//!
//! | step | outcome if it fails |
//! |---|---|
//! | 1 lock | `Locked` |
//! | 2 `CURRENT` and the manifest it names | `Corrupt`; creation where nothing is there |
//! | 3 segments | `Corrupt` |
//! | 4 closed logs, whole | `Corrupt` |
//! | 5 the last log, to where it stops | `Corrupt` if what is missing was proved |
//! | 6 settle | the error of the disk; nothing was changed |
//!
//! **Settling.** What recovery read is not durable because it was read. Records above d, the highest
//! durable LSN that anything states, may stand on pages of a failed sync, which read well, count as
//! clean and are lost with power. And `CURRENT` may be a rename that no sync of the directory ever
//! covered. Syncing again helps with neither. So before anyone may read:
//!
//! | the last log | settled by |
//! |---|---|
//! | ends in a closing frame | nothing: its writer had published durably and synced all of it |
//! | holds records above d | `move_tail`: they are written again into a new file, and published |
//! | holds none above d | a publish that ends it at d: what is torn behind stays void |
//! | there is none | a publish: a log file whose `CURRENT` is lost would look like a lost store |

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::codec::{PageCodec, PlainCodec};
use crate::cursor::index;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::{CURRENT, FileName, LOCK};
use crate::ids::{CollectionId, FileId, Lsn, ManifestVersion};
use crate::limits::PAGE_SIZE_BYTES;
use crate::live_set::{Collection, LiveSegment, LiveSet, Version};
use crate::manifest::current::{CURRENT_SIZE_BYTES, Current};
use crate::manifest::index_snapshots::IndexSnapshotEntry;
use crate::manifest::{CollectionEntry, LogEnd, LogEntry, Manifest, SegmentEntry, TombstonesEntry};
use crate::memtable::memory_bytes;
use crate::options::Options;
use crate::page::{self, PagePlace, PageType};
use crate::paged_file::{self, Written};
use crate::segment::{Segment, Tombstones};
use crate::store::create::{Listing, create, create_dirs};
use crate::store::full_disk::with_reserve;
use crate::store::on_disk::{OnDisk, Tools, files_of};
use crate::store::publish::publish;
use crate::store::reserve::Reserve;
use crate::store::tail::{end_last_log, move_tail};
use crate::sync::Arc;
use crate::vector::Stride;
use crate::vfs::{Access, Disk, DiskFile, Env, Lock};
use crate::wal::frame::Batch;
use crate::wal::header::LOG_HEADER_SIZE_BYTES;
use crate::wal::reader::{Expected, FrameRead, LogReader};

/// An opened store, before its first caller.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) codec: Arc<dyn PageCodec>,
    pub(super) on_disk: OnDisk,
    pub(super) live: LiveSet,
}

/// Opens or creates; see the table at the top.
pub(super) fn open(env: &Env, options: &Options) -> Result<Opened> {
    let disk = Disk::new(Arc::clone(&env.vfs), &env.dir);
    let codec: Arc<dyn PageCodec> = Arc::new(PlainCodec);
    let tools = Tools { disk: &disk, entropy: &*env.entropy, options, codec: &codec };
    // Before the lock, which makes a file: a directory that is no store is left as it is.
    if !has_current(&disk)? {
        prepare_creation(&disk, options)?;
    }
    let lock = disk.lock(LOCK).map_err(|error| match error.io_kind() {
        Some(io::ErrorKind::WouldBlock) => Error::new(
            ErrorKind::Locked,
            format!("{} is open already, here or in another process", disk.root().display()),
        ),
        _ => error,
    })?;
    let listing = Listing::of(disk.read_dir(disk.root())?);
    let (on_disk, live) = if listing.has_current {
        recover(&tools, listing, lock)?
    } else {
        listing.check_creatable(&disk)?;
        (create(&tools, listing, lock).map_err(unfinished)?, LiveSet::default())
    };
    Ok(Opened { disk, codec, on_disk, live })
}

/// Whether there is a store to open, told without changing or listing anything.
fn has_current(disk: &Disk) -> Result<bool> {
    match disk.open(CURRENT, Access::Read) {
        Ok(_) => Ok(true),
        Err(error) => match error.io_kind() {
            Some(io::ErrorKind::NotFound) => Ok(false),
            Some(io::ErrorKind::NotADirectory) => Err(Error::invalid(format!(
                "{} is a file; a store is a directory",
                disk.root().display()
            ))),
            _ => Err(error),
        },
    }
}

fn prepare_creation(disk: &Disk, options: &Options) -> Result<()> {
    if !options.create {
        let dir = disk.root().display();
        return Err(Error::not_found(format!("{dir} holds no store, and `create` is off")));
    }
    match disk.read_dir(disk.root()) {
        Ok(entries) => {
            let listing = Listing::of(entries);
            if listing.has_current {
                // Someone else has just created it.
                return Ok(());
            }
            listing.check_creatable(disk)?;
        }
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => {}
        Err(error) => return Err(error),
    }
    create_dirs(disk)
}

fn recover(tools: &Tools<'_>, listing: Listing, lock: Box<dyn Lock>) -> Result<(OnDisk, LiveSet)> {
    let manifest = read_manifest(tools)?;
    let version = load_collections(tools, &manifest)?;
    let last_collection = version.collections.keys().next_back().copied().unwrap_or_default();
    let live = LiveSet { version: Arc::new(version), last: manifest.sealed, last_collection };
    let mut replay = Replay::new(&manifest, live);
    for log in &manifest.logs {
        replay.read_log(tools, &manifest, log)?;
    }
    let (settled, memtable_bytes) = (replay.closed, replay.memtable_bytes);
    let (live, log_end, tail) = replay.finish(tools.disk)?;
    let reserve = Reserve::adopt(tools.disk, &listing.reserves, tools.options.reserve_bytes);
    let mut named: BTreeSet<String> = files_of(&manifest).map(FileName::text).collect();
    named.extend(reserve.name().cloned());
    let orphans = listing.files.into_iter().filter(|name| !named.contains(name)).collect();
    let next_collection = CollectionId(live.last_collection.0 + 1).max(manifest.next_collection);
    let segments = live.version.collections.values().flat_map(|found| found.segments.iter());
    let open_segments =
        segments.map(|live| (live.entry.file, Arc::downgrade(&live.segment))).collect();
    let is_dropped = |entry: &CollectionEntry| !live.version.collections.contains_key(&entry.id);
    let was_drop = manifest.collections.iter().any(is_dropped);
    let mut on_disk = OnDisk {
        last_drop: if was_drop { live.last } else { Lsn(0) },
        next_version: listing.next_version.max(ManifestVersion(manifest.version.0 + 1)),
        next_file: listing.next_file.max(FileId(manifest.next_file.0)),
        next_collection,
        log_end,
        memtable_bytes,
        orphans,
        open_segments,
        reserve,
        ..OnDisk::new(manifest, lock)
    };
    if !settled {
        with_reserve(tools, &mut on_disk, |on_disk| settle(tools, on_disk, &tail))
            .map_err(unfinished)?;
    }
    Ok((on_disk, live))
}

/// Makes durable what was recovered; see the table at the top.
fn settle(tools: &Tools<'_>, on_disk: &mut OnDisk, tail: &[Batch]) -> Result<()> {
    let end = on_disk.log_end;
    tracing::debug!(lsn = end.lsn.0, batches = tail.len(), "settle");
    if tail.is_empty() {
        return publish(tools, on_disk, |manifest| end_last_log(manifest, end));
    }
    let tail: Vec<&Batch> = tail.iter().collect();
    move_tail(tools, on_disk, &tail)
}

/// A publish of an open that nobody has been told of: the next open finds the one manifest or the
/// other, so there is nothing to be latched.
fn unfinished(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Latched => error.reported_as(ErrorKind::Io, "the open is unfinished; try again"),
        _ => error,
    }
}

/// Reads `CURRENT` and the manifest it names, and holds one against the other.
fn read_manifest(tools: &Tools<'_>) -> Result<Manifest> {
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

/// The collections of a manifest, with their segments and without the log.
fn load_collections(tools: &Tools<'_>, manifest: &Manifest) -> Result<Version> {
    let mut segments: BTreeMap<CollectionId, Vec<LiveSegment>> = BTreeMap::new();
    for entry in &manifest.segments {
        let place = manifest.collections.binary_search_by_key(&entry.collection, |found| found.id);
        let collection = &manifest.collections[place.expect("checked by the manifest")];
        let place = manifest.tombstones.binary_search_by_key(&entry.file, |found| found.segment);
        let tombstones = place.ok().map(|place| manifest.tombstones[place]);
        let stride = collection.descriptor.row_stride();
        let live = load_segment(tools, manifest, *entry, stride, tombstones)?;
        segments.entry(entry.collection).or_default().push(live);
    }
    let mut version = Version::default();
    for entry in &manifest.collections {
        let (name, descriptor) = (entry.name.clone(), entry.descriptor.clone());
        let mut collection = Collection::new(entry.id, name, descriptor);
        if let Some(segments) = segments.remove(&entry.id) {
            collection.segments = segments.into();
        }
        collection.index_snapshot = manifest.index_snapshot(entry.id).copied();
        if let Some(listed) = &collection.index_snapshot {
            check_index_snapshot(tools.disk, listed)?;
        }
        version.insert(collection)?;
    }
    Ok(version)
}

/// Looks whether the files of an index snapshot are there; their content is read when it is asked for.
fn check_index_snapshot(disk: &Disk, listed: &IndexSnapshotEntry) -> Result<()> {
    let name = FileName::IndexSnapshot(listed.file, listed.salt.into()).text();
    let written = Written { len: listed.len, digest: listed.digest };
    paged_file::check_len(&open_named(disk, &name)?, written)?;
    if let Some(changes) = listed.changes {
        let name = FileName::Changes(changes.file, changes.salt.into()).text();
        let written = Written { len: changes.len, digest: changes.digest };
        paged_file::check_len(&open_named(disk, &name)?, written)?;
    }
    Ok(())
}

fn load_segment(
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

/// The state of a replay through the logs.
struct Replay {
    live: LiveSet,
    sealed: Lsn,
    /// The highest durable LSN stated so far.
    durable: Lsn,
    /// Where the last listed log ends if it ends at `durable`.
    end: LogEnd,
    /// Batches above `durable`.
    tail: Vec<FrameRead>,
    memtable_bytes: usize,
    /// Whether the last log ends in a closing frame.
    closed: bool,
}

impl Replay {
    fn new(manifest: &Manifest, live: LiveSet) -> Self {
        let durable = manifest.durable();
        let end = LogEnd { lsn: manifest.sealed, offset: 0 };
        let (sealed, tail) = (manifest.sealed, Vec::new());
        Self { live, sealed, durable, end, tail, memtable_bytes: 0, closed: false }
    }

    fn read_log(&mut self, tools: &Tools<'_>, manifest: &Manifest, log: &LogEntry) -> Result<()> {
        let file = open_named(tools.disk, &FileName::Log(log.file, log.salt.into()).text())?;
        let expected =
            Expected { store: manifest.store, file: log.file, salt: log.salt, base: log.base };
        let window = tools.options.log_window_bytes;
        let mut reader = LogReader::start(file, &expected, window, &**tools.codec)?;
        self.end = LogEnd { lsn: log.base.previous(), offset: LOG_HEADER_SIZE_BYTES as u64 };
        match log.end {
            Some(end) => {
                reader.read_closed(end.lsn, end.offset, |frame| self.apply(&frame))?;
                self.end = end;
            }
            None => {
                let last = reader.read_last(|frame| {
                    self.apply(&frame)?;
                    let stated = frame.durable;
                    self.tail.push(frame);
                    self.prove(stated);
                    Ok(())
                })?;
                self.prove(last.durable);
                self.closed = last.closed;
                if last.torn {
                    tracing::warn!(lsn = last.last.0, "a torn tail was dropped");
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, frame: &FrameRead) -> Result<()> {
        if frame.last <= self.sealed {
            return Ok(());
        }
        if frame.first <= self.sealed {
            let sealed = self.sealed;
            return Err(Error::corrupt(format!("LSN {sealed} was sealed within its batch")));
        }
        self.memtable_bytes += memory_bytes(&frame.batch);
        self.live.apply(frame.first, &frame.batch)
    }

    /// Takes a statement into account: the batches up to it need not be written again.
    fn prove(&mut self, stated: Lsn) {
        self.durable = self.durable.max(stated);
        let proved = self.tail.partition_point(|frame| frame.last <= self.durable);
        if let Some(frame) = self.tail.drain(..proved).next_back() {
            self.end = LogEnd { lsn: frame.last, offset: frame.end };
        }
    }

    /// What is live, where the last log ends, and what is above it.
    fn finish(self, disk: &Disk) -> Result<(LiveSet, LogEnd, Vec<Batch>)> {
        let Self { live, durable, end, tail, .. } = self;
        if durable > live.last {
            let (dir, last) = (disk.root().display(), live.last);
            return Err(Error::corrupt(format!(
                "{dir}: LSN {durable} is proved durable, but the log ends at LSN {last}"
            )));
        }
        if end.lsn != durable {
            let (dir, last) = (disk.root().display(), end.lsn);
            return Err(Error::corrupt(format!(
                "{dir}: LSN {durable} is proved durable within the batch behind LSN {last}"
            )));
        }
        Ok((live, end, tail.into_iter().map(|frame| frame.batch).collect()))
    }
}

/// Opens a file that has to be there.
fn open_named(disk: &Disk, name: &str) -> Result<DiskFile> {
    disk.open(name, Access::Read).map_err(|error| match error.io_kind() {
        Some(io::ErrorKind::NotFound) => {
            let path = disk.path(name);
            Error::corrupt(format!("{}: the file is missing", path.display()))
        }
        _ => error,
    })
}

fn named(error: Error, file: &DiskFile) -> Error {
    let kind = error.kind();
    error.reported_as(kind, &file.path().display().to_string())
}
