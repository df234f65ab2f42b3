//! Open: finds the newest manifest, loads its segments, replays its logs, settles the tail.
//!
//! | step | outcome if it fails |
//! |---|---|
//! | 1 lock | `Locked` |
//! | 2 `CURRENT` and the manifest it names | `Corrupt`; creation where nothing is there |
//! | 3 segments, parked records | the collection is damaged; the others are whole |
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

use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::{CURRENT, FileName, LOCK};
use crate::ids::{CollectionId, FileId, KeyId, Lsn, ManifestVersion};
use crate::keyring::KeyRing;
use crate::keys::Keys;
use crate::live_set::LiveSet;
use crate::manifest::{LogEnd, LogEntry, Manifest};
use crate::memtable::memory_bytes;
use crate::options::Options;
use crate::segment::Segment;
use crate::store::create::{Listing, create, create_dirs};
use crate::store::full_disk::with_reserve;
use crate::store::load::{Loaded, Mode, load_collections, open_named, read_manifest, unlock};
use crate::store::on_disk::{OnDisk, ParkedFile, Tools, files_of};
use crate::store::publish::publish;
use crate::store::reserve::Reserve;
use crate::store::salvage;
use crate::store::tail::{end_last_log, move_tail};
use crate::store::used_keys::UsedKeys;
use crate::sync::{Arc, Weak};
use crate::vfs::{Access, Disk, Lock};
use crate::wal::frame::Batch;
use crate::wal::header::LOG_HEADER_SIZE_BYTES;
use crate::wal::reader::{Expected, FrameRead, LogReader};

/// An opened store, before its first caller.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) keys: Arc<Keys>,
    pub(super) on_disk: OnDisk,
    pub(super) live: LiveSet,
    /// What could not be used.
    pub(super) lost: Vec<Error>,
}

/// Opens or creates; see the table at the top.
pub(super) fn open(env: &Env, options: &Options, mode: Mode) -> Result<Opened> {
    let disk = Disk::new(Arc::clone(&env.vfs), &env.dir);
    // Which keys there are is in the manifest, which can be read without.
    let keys = Arc::new(Keys::plain());
    let tools = Tools { disk: &disk, entropy: &*env.entropy, options, keys: &keys };
    let Recovered { keys, on_disk, live, lost } = match mode {
        Mode::Write => open_to_write(&tools, &env.keyring)?,
        Mode::Read | Mode::Salvage => open_to_read(&tools, &env.keyring, mode)?,
    };
    Ok(Opened { disk, keys, on_disk, live, lost })
}

/// What an open found.
struct Recovered {
    keys: Arc<Keys>,
    on_disk: OnDisk,
    live: LiveSet,
    lost: Vec<Error>,
}

fn open_to_write(tools: &Tools<'_>, ring: &Arc<dyn KeyRing>) -> Result<Recovered> {
    let disk = tools.disk;
    // Before the lock, which makes a file: a directory that is no store is left as it is.
    if !has_current(disk)? {
        prepare_creation(disk, tools.options)?;
    }
    let lock = disk.lock(LOCK, Access::ReadWrite).map_err(|error| locked(disk, error))?;
    let listing = Listing::of(disk.read_dir(disk.root())?);
    if listing.has_current {
        return recover(tools, ring, listing, Some(lock), Mode::Write);
    }
    listing.check_creatable(disk)?;
    let (on_disk, keys) = create(tools, ring, listing, lock).map_err(unfinished)?;
    let (live, lost) = (LiveSet::default(), Vec::new());
    Ok(Recovered { keys, on_disk, live, lost })
}

/// Opens what is there, and writes nothing.
fn open_to_read(tools: &Tools<'_>, ring: &Arc<dyn KeyRing>, mode: Mode) -> Result<Recovered> {
    let (lock, listing) = lock_to_read(tools.disk, mode)?;
    recover(tools, ring, listing, lock, mode)
}

/// Looks what is there, and keeps those out who would write. No lock is made: it is held only where
/// there is one, and a copy that was never opened has none.
pub(super) fn lock_to_read(disk: &Disk, mode: Mode) -> Result<(Option<Box<dyn Lock>>, Listing)> {
    let has_current = has_current(disk)?;
    let lock = match disk.lock(LOCK, Access::Read) {
        Ok(lock) => Some(lock),
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => None,
        Err(error) => return Err(locked(disk, error)),
    };
    let none = || Error::not_found(format!("{} holds no store", disk.root().display()));
    let listing = Listing::of(disk.read_dir(disk.root()).map_err(|error| {
        if error.io_kind() == Some(io::ErrorKind::NotFound) { none() } else { error }
    })?);
    if !has_current && (mode == Mode::Read || listing.files.is_empty()) {
        listing.check_creatable(disk)?;
        return Err(none());
    }
    Ok((lock, listing))
}

fn locked(disk: &Disk, error: Error) -> Error {
    if error.io_kind() != Some(io::ErrorKind::WouldBlock) {
        return error;
    }
    let dir = disk.root().display();
    Error::new(ErrorKind::Locked, format!("{dir} is open already, here or in another process"))
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

/// Recovers what the manifest and its logs hold; what of it could not be used is returned as well.
fn recover(
    tools: &Tools<'_>,
    ring: &Arc<dyn KeyRing>,
    listing: Listing,
    lock: Option<Box<dyn Lock>>,
    mode: Mode,
) -> Result<Recovered> {
    let mut lost = Vec::new();
    let (manifest, bytes) = match read_manifest(tools) {
        Err(error) if mode == Mode::Salvage => salvage::manifest(tools, error, &mut lost)?,
        read => read?,
    };
    let keys = unlock(tools, ring, &manifest, &bytes)?;
    let tools = &Tools { keys: &keys, ..*tools };
    let (replay, parked) = load_and_replay(tools, &manifest, mode, &mut lost)?;
    let Replay { mut live, end: log_end, tail, memtable_bytes, keys_seen, closed: settled, .. } =
        replay;
    let is_partial = !lost.is_empty();
    let damaged = live.version.collections.values().filter_map(|found| found.damage.as_ref());
    lost.extend(damaged.map(|damage| damage.to_reader()));
    if mode != Mode::Write {
        // Nothing is settled: it ends where it is read to.
        let log_end = tail.last().map_or(log_end, end_of);
        let on_disk = OnDisk { log_end, is_partial, ..OnDisk::to_read(manifest, lock) };
        return Ok(Recovered { keys, on_disk, live, lost });
    }
    let tail: Vec<Batch> = tail.into_iter().map(|frame| frame.batch).collect();
    let reserve = Reserve::adopt(tools.disk, &listing.reserves, tools.options.reserve_bytes);
    let mut named: BTreeSet<String> = files_of(&manifest).map(FileName::text).collect();
    named.extend(reserve.name().cloned());
    let used = UsedKeys { manifest: &manifest, parked: &parked, seen: keys_seen };
    let key_orphans = used.sort(tools.disk, &listing, &live, &mut named)?;
    let orphans: BTreeSet<String> =
        listing.files.into_iter().filter(|name| !named.contains(name)).collect();
    let next_collection = CollectionId(live.last_collection.0 + 1).max(manifest.next_collection);
    let mut on_disk = OnDisk {
        last_drop: last_drop(&manifest, &live),
        next_version: listing.next_version.max(ManifestVersion(manifest.version.0 + 1)),
        next_file: listing.next_file.max(FileId(manifest.next_file.0)),
        next_collection,
        log_end,
        memtable_bytes,
        orphans,
        open_segments: open_segments(&live),
        reserve,
        key_orphans,
        parked,
        shreds: std::mem::take(&mut live.shreds),
        ..OnDisk::new(manifest, lock)
    };
    // A key that nothing refers to is destroyed by this open, not by the next publish there will be.
    let is_key = |name: &String| matches!(FileName::parse(name), Some(FileName::Key(_)));
    if !settled || on_disk.orphans.iter().any(is_key) {
        with_reserve(tools, &mut on_disk, |on_disk| settle(tools, on_disk, &tail))
            .map_err(unfinished)?;
    }
    Ok(Recovered { keys, on_disk, live, lost })
}

type Parked = BTreeMap<FileId, ParkedFile>;

/// Loads what the manifest lists, and replays its logs; what a salvage had to stop at is added to `lost`.
fn load_and_replay(
    tools: &Tools<'_>,
    manifest: &Manifest,
    mode: Mode,
    lost: &mut Vec<Error>,
) -> Result<(Replay, Parked)> {
    let (replay, parked, stop) = replay_until(tools, manifest, mode, None)?;
    let Some(error) = stop else { return Ok((replay, parked)) };
    if mode != Mode::Salvage {
        return Err(error);
    }
    lost.push(error);
    if !replay.refused {
        return Ok((replay, parked));
    }
    // A batch that was refused at one of its records has left what came before that. Both replays at once
    // would take twice the memory.
    let last = replay.live.last;
    drop((replay, parked));
    let (replay, parked, _) = replay_until(tools, manifest, mode, Some(last))?;
    Ok((replay, parked))
}

/// Loads, and replays what is not behind `until`; with the error that it stopped at, if it did.
fn replay_until(
    tools: &Tools<'_>,
    manifest: &Manifest,
    mode: Mode,
    until: Option<Lsn>,
) -> Result<(Replay, Parked, Option<Error>)> {
    let Loaded { version, memory, parked } = load_collections(tools, manifest, mode)?;
    let last_collection = version.collections.keys().next_back().copied().unwrap_or_default();
    let (last, version, shreds) = (manifest.sealed, Arc::new(version), Vec::new());
    let live = LiveSet { version, last, last_collection, shreds };
    let mut replay = Replay { until, memtable_bytes: memory, ..Replay::new(manifest, live) };
    let stop = replay.read_all(tools, manifest).err();
    Ok((replay, parked, stop))
}

/// Up to where collections of the manifest were dropped in the log; 0 where none was.
fn last_drop(manifest: &Manifest, live: &LiveSet) -> Lsn {
    let there = &live.version.collections;
    let was_drop = manifest.collections.iter().any(|entry| !there.contains_key(&entry.id));
    if was_drop { live.last } else { Lsn(0) }
}

/// The segments that are open, as long as anyone holds them.
fn open_segments(live: &LiveSet) -> BTreeMap<FileId, Weak<Segment>> {
    let segments = live.version.collections.values().flat_map(|found| found.segments.iter());
    segments.map(|live| (live.entry.file, Arc::downgrade(&live.segment))).collect()
}

/// Where a log ends whose last frame this is.
fn end_of(frame: &FrameRead) -> LogEnd {
    LogEnd { lsn: frame.last, offset: frame.end }
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

/// The state of a replay through the logs.
struct Replay {
    live: LiveSet,
    /// It stops in front of batches behind this.
    until: Option<Lsn>,
    /// Whether it stopped at a batch that was read well and cannot have been acknowledged.
    refused: bool,
    sealed: Lsn,
    /// The highest durable LSN stated so far.
    durable: Lsn,
    /// Where the last listed log ends if it ends at `durable`.
    end: LogEnd,
    /// Batches above `durable`.
    tail: Vec<FrameRead>,
    memtable_bytes: usize,
    /// Keys of collections that have records in the logs.
    keys_seen: BTreeMap<KeyId, CollectionId>,
    /// Whether the last log ends in a closing frame.
    closed: bool,
    /// The name of the last listed log; that of `CURRENT` where none is listed.
    last_log: String,
}

impl Replay {
    fn new(manifest: &Manifest, live: LiveSet) -> Self {
        let durable = manifest.durable();
        let end = LogEnd { lsn: manifest.sealed, offset: 0 };
        let (sealed, tail) = (manifest.sealed, Vec::new());
        let name = |log: &LogEntry| FileName::Log(log.file, log.salt.into()).text();
        let last_log = manifest.logs.last().map_or(CURRENT.to_owned(), name);
        let keys_seen = BTreeMap::new();
        let (until, refused, memtable_bytes, closed) = (None, false, 0, false);
        Self {
            live,
            until,
            refused,
            sealed,
            durable,
            end,
            tail,
            memtable_bytes,
            keys_seen,
            closed,
            last_log,
        }
    }

    /// Reads all logs, and holds what they end in against what is proved.
    fn read_all(&mut self, tools: &Tools<'_>, manifest: &Manifest) -> Result<()> {
        self.read_logs(tools, manifest)?;
        self.check(tools.disk)
    }

    fn read_logs(&mut self, tools: &Tools<'_>, manifest: &Manifest) -> Result<()> {
        manifest.logs.iter().try_for_each(|log| self.read_log(tools, manifest, log))
    }

    fn read_log(&mut self, tools: &Tools<'_>, manifest: &Manifest, log: &LogEntry) -> Result<()> {
        let file = open_named(tools.disk, &FileName::Log(log.file, log.salt.into()).text())?;
        let expected =
            Expected { store: manifest.store, file: log.file, salt: log.salt, base: log.base };
        let window = tools.options.log_window_bytes;
        let mut reader = LogReader::start(file, &expected, window, tools.keys)?;
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
        if self.until.is_some_and(|until| frame.last > until) {
            return Err(Error::corrupt(format!("LSN {} is behind what is shown", frame.last)));
        }
        self.memtable_bytes += memory_bytes(&frame.batch);
        let keys = frame.batch.sections.iter().map(|section| (section.key, section.collection));
        self.keys_seen.extend(keys.filter(|(key, _)| *key != KeyId::NONE));
        let applied = self.live.apply(frame.first, &frame.batch);
        self.refused = applied.is_err();
        applied
    }

    /// Takes a statement into account: the batches up to it need not be written again.
    fn prove(&mut self, stated: Lsn) {
        self.durable = self.durable.max(stated);
        let proved = self.tail.partition_point(|frame| frame.last <= self.durable);
        if let Some(frame) = self.tail.drain(..proved).next_back() {
            self.end = end_of(&frame);
        }
    }

    /// Whether all that was proved is there.
    fn check(&self, disk: &Disk) -> Result<()> {
        let Self { live, durable, end, .. } = self;
        let path = disk.path(&self.last_log);
        let path = path.display();
        if *durable > live.last {
            let last = live.last;
            return Err(Error::corrupt(format!(
                "{path}: LSN {durable} is proved durable, but the log ends at LSN {last}"
            )));
        }
        if end.lsn != *durable {
            let last = end.lsn;
            return Err(Error::corrupt(format!(
                "{path}: LSN {durable} is proved durable within the batch behind LSN {last}"
            )));
        }
        Ok(())
    }
}
