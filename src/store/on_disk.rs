//! What this process knows of the disk, behind the one lock of committing and publishing.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, FileId, KeyId, Lsn, ManifestVersion, Salt};
use crate::keys::Keys;
use crate::live_set::Shred;
use crate::manifest::{LogEnd, Manifest};
use crate::options::Options;
use crate::segment::Segment;
use crate::store::reserve::Reserve;
use crate::sync::{Arc, Weak};
use crate::vfs::{Disk, Entropy, Lock};
use crate::wal::writer::LogWriter;

/// The state of the disk, and the numbers that only grow.
#[derive(Debug)]
pub(super) struct OnDisk {
    /// The manifest that is current.
    pub(super) manifest: Manifest,
    /// The log file that takes frames. None before the first write of a process and after a
    /// failed write or sync: then the next write moves the tail.
    pub(super) log: Option<LogWriter>,
    /// Where the last listed log file ends if it takes no more: behind its last durable record.
    pub(super) log_end: LogEnd,
    /// Whether the last listed log file may hold frames whose writers were told `Unknown`.
    pub(super) in_limbo: bool,
    /// Whether records became durable that no frame states as durable yet.
    pub(super) unproved: bool,
    /// Memory that the rows since the last log switch take, about.
    pub(super) memtable_bytes: usize,
    /// Bytes of background work that the writes since the last step have to do.
    pub(super) owed_bytes: u64,
    /// Groups to pass before background work that failed is tried again by itself.
    pub(super) rests: u32,
    /// Files that nothing names any more, to be removed once no reader needs them.
    pub(super) orphans: BTreeSet<String>,
    /// The segments that are open, as long as anyone holds them.
    pub(super) open_segments: BTreeMap<FileId, Weak<Segment>>,
    /// How often a sync of the directory failed: each may have lost any name that no earlier one
    /// made durable, and no later one brings it back.
    pub(super) names_lost: u64,
    /// Whether this process has published: before, it removes nothing.
    pub(super) has_published: bool,
    /// Space set aside for a full disk.
    pub(super) reserve: Reserve,
    /// Whether the last group that would have added rows found the disk full.
    pub(super) found_full: bool,
    /// The newest drop of a collection; 0 where there was none. Until a checkpoint seals it, the
    /// manifest names what the collection had.
    pub(super) last_drop: Lsn,
    /// Keys of collections that no manifest named, or may have named: of those that were dropped, and of
    /// creations that came to nothing. Each is destroyed once everything up to its LSN is sealed, for then
    /// no log refers to it.
    pub(super) key_orphans: Vec<KeyOrphan>,
    /// Files of parked records, as far as they could be read.
    pub(super) parked: BTreeMap<FileId, ParkedFile>,
    /// Shreds that are logged and not yet done.
    pub(super) shreds: Vec<Shred>,
    /// Names of the collections whose shred this open went on with.
    pub(super) shredded_at_open: BTreeSet<String>,
    /// Why writes are refused until a reopen, if they are.
    pub(super) latched: Option<String>,
    pub(super) next_version: ManifestVersion,
    pub(super) next_file: FileId,
    pub(super) next_collection: CollectionId,
    /// Files that a backup has to copy yet, and how many do: they are not removed.
    pub(super) held: BTreeMap<String, u32>,
    /// Whether a manifest or a log is damaged, and what was behind was left out.
    pub(super) is_partial: bool,
    /// Whether nothing may be written.
    pub(super) is_read_only: bool,
    /// Held for the life of the store; given back by a close.
    pub(super) lock: Option<Box<dyn Lock>>,
}

/// Above every LSN: of a key whose frame may be in limbo.
pub(super) const LIMBO: Lsn = Lsn(u64::MAX);

/// A key that nothing will refer to once all up to an LSN is sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyOrphan {
    pub(super) lsn: Lsn,
    pub(super) key: KeyId,
    pub(super) collection: CollectionId,
}

/// What is known of a file of parked records that could be read.
#[derive(Clone, Debug)]
pub(super) struct ParkedFile {
    /// Under which keys its sections are.
    pub(super) keys: BTreeSet<KeyId>,
    /// Whether some of its records change a schema.
    pub(super) alters: bool,
}

/// Whether a collection has parked records under a key, or may have: in a file that cannot be read.
pub(super) fn is_parked_under(
    manifest: &Manifest,
    parked: &BTreeMap<FileId, ParkedFile>,
    collection: CollectionId,
    key: KeyId,
) -> bool {
    let may_hold = |file| parked.get(&file).is_none_or(|found| found.keys.contains(&key));
    manifest.parked(collection).iter().any(|entry| may_hold(entry.file))
}

/// What verbs of the store need beside [`OnDisk`].
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) disk: &'a Disk,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) options: &'a Options,
    pub(super) keys: &'a Arc<Keys>,
}

impl Tools<'_> {
    /// A salt for a new file.
    ///
    /// # Errors
    /// `Io` where the source of randomness fails: there is no weaker one to fall back to.
    pub(super) fn salt(&self) -> Result<Salt> {
        let mut salt = Salt::default();
        self.fill(&mut salt.0)?;
        Ok(salt)
    }

    /// Random bytes; errors as [`Tools::salt`].
    pub(super) fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        self.entropy.fill(bytes).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot draw random bytes: {error}"))
        })
    }
}

impl OnDisk {
    /// The state of a store of which nothing is known but its manifest.
    pub(super) fn new(manifest: Manifest, lock: Option<Box<dyn Lock>>) -> Self {
        Self {
            next_version: ManifestVersion(manifest.version.0 + 1),
            next_file: manifest.next_file,
            next_collection: manifest.next_collection,
            manifest,
            log: None,
            log_end: LogEnd { lsn: Lsn(0), offset: 0 },
            in_limbo: false,
            unproved: false,
            memtable_bytes: 0,
            owed_bytes: 0,
            rests: 0,
            orphans: BTreeSet::new(),
            open_segments: BTreeMap::new(),
            names_lost: 0,
            has_published: false,
            reserve: Reserve::default(),
            found_full: false,
            last_drop: Lsn(0),
            key_orphans: Vec::new(),
            parked: BTreeMap::new(),
            shreds: Vec::new(),
            shredded_at_open: BTreeSet::new(),
            latched: None,
            held: BTreeMap::new(),
            is_partial: false,
            is_read_only: false,
            lock,
        }
    }

    /// The same, where nothing may be written.
    pub(super) fn to_read(manifest: Manifest, lock: Option<Box<dyn Lock>>) -> Self {
        Self { is_read_only: true, ..Self::new(manifest, lock) }
    }

    /// Whether a proof frame has something to prove, and a file to stand in.
    pub(super) fn can_prove(&self) -> bool {
        self.unproved && self.log.is_some()
    }

    /// Bytes of log that recovery would have to read.
    pub(super) fn log_bytes(&self) -> u64 {
        let open = self.log.as_ref().map_or(self.log_end.offset, |log| log.bytes());
        let logs = self.manifest.logs.iter();
        logs.map(|log| log.end.map_or(open, |end| end.offset)).fold(0, u64::saturating_add)
    }

    /// Makes orphans of the keys that no log refers to any more (R4).
    pub(super) fn orphan_keys(&mut self) {
        let Self { manifest, parked, key_orphans, orphans, .. } = self;
        let is_settled = |orphan: &mut KeyOrphan| {
            let KeyOrphan { lsn, key, collection } = *orphan;
            lsn <= manifest.sealed && !is_parked_under(manifest, parked, collection, key)
        };
        let settled = key_orphans.extract_if(.., is_settled);
        orphans.extend(settled.map(|orphan| FileName::Key(orphan.key).text()));
    }

    /// A file id that was never given before.
    pub(super) fn take_file(&mut self) -> FileId {
        let id = self.next_file;
        self.next_file = FileId(id.0 + 1);
        id
    }

    /// A manifest version that was never given before.
    pub(super) fn take_version(&mut self) -> ManifestVersion {
        let version = self.next_version;
        self.next_version = ManifestVersion(version.0 + 1);
        version
    }

    /// Refuses to name files that were made when so many syncs of the directory had failed.
    ///
    /// # Errors
    /// `Io` where another has failed since: the files have to be made again.
    pub(super) fn check_names(&self, names_lost: u64) -> Result<()> {
        if self.names_lost == names_lost {
            return Ok(());
        }
        let what = "a sync of the directory failed while files were made: they are made again";
        Err(Error::new(ErrorKind::Io, what))
    }

    /// Refuses writes where a publish failed from its rename on, and to who opened for reading.
    ///
    /// # Errors
    /// `Latched`; `InvalidArgument`.
    pub(super) fn check_latch(&self) -> Result<()> {
        if self.is_read_only {
            let what = "the store is open for reading only: open it with `open` to write";
            return Err(Error::invalid(what));
        }
        match &self.latched {
            None => Ok(()),
            Some(why) => Err(Error::new(
                ErrorKind::Latched,
                format!("the store takes no writes until it is reopened: {why}"),
            )),
        }
    }
}

/// The files that a manifest accounts for, itself included.
pub(super) fn files_of(manifest: &Manifest) -> impl Iterator<Item = FileName> + '_ {
    let logs = manifest.logs.iter().map(|log| FileName::Log(log.file, log.salt.into()));
    let segments = manifest.segments.iter();
    let segments = segments.map(|segment| FileName::Segment(segment.file, segment.salt.into()));
    let tombstones = manifest.tombstones.iter();
    let tombstones = tombstones.map(|entry| FileName::Tombstones(entry.file, entry.salt.into()));
    let own = FileName::Manifest(manifest.version, manifest.salt.into());
    let index_snapshots = manifest.index_snapshots.iter().flat_map(|entry| {
        let changes = entry.changes.map(|file| FileName::Changes(file.file, file.salt.into()));
        std::iter::once(FileName::IndexSnapshot(entry.file, entry.salt.into())).chain(changes)
    });
    let parked =
        manifest.parked.iter().map(|entry| FileName::Parked(entry.file, entry.salt.into()));
    let keys = manifest.keys.iter().map(|entry| FileName::Key(entry.key));
    let of_collections = segments.chain(tombstones).chain(index_snapshots).chain(parked);
    std::iter::once(own).chain(keys).chain(logs).chain(of_collections)
}
