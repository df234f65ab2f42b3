//! The store: verbs on one directory.
//!
//! **Place.** Floor 5, on everything below. One file for each verb.
//!
//! **What is where.** `Jobs` is the background work under way, behind a lock that is held for one
//! step of it. `OnDisk` is what this process knows of the disk, behind one lock that is held across
//! I/O by whoever commits or publishes. `LiveSet` is what readers see, behind a lock that is never
//! held across I/O. Locks are taken in this order.
//!
//! **Invariants**
//!
//! - T1. A write is visible only after it is durable.
//! - T2. Every logical change is a frame of the log. Everything else is a publish, which changes
//!   nothing that a reader sees.
//! - T3. `publish` is the only caller of `rename`. If it fails from there on, the store is
//!   latched: reads go on, writes need a reopen.
//! - T4. A failed write or sync of a log file ends the file at the last durable LSN; what was
//!   above is written again elsewhere, before anyone is answered.
//! - T5. A process removes no file of an earlier one before it has itself published.

mod background;
mod backup;
mod backup_keys;
mod checkpoint;
mod close;
mod commit;
mod compaction;
mod create;
mod full_disk;
mod index_snapshot;
mod jobs;
mod live_once;
mod load;
mod maintain;
mod merge;
mod observe;
mod observing;
mod on_disk;
mod pace;
mod panics;
mod park;
mod plan;
mod provision;
mod publish;
mod read;
mod reclaim;
mod recovery;
mod rekey;
mod replicate;
mod rescue;
mod reserve;
#[cfg(feature = "encryption")]
mod rotate;
mod salvage;
mod scan;
mod seal;
mod shred;
mod snapshot;
mod stored;
mod tail;
mod threads;
mod used_keys;
mod vector_source;
mod verify;
mod verify_catalog;
mod wait;
mod work;
mod worker;
mod write;

use std::fmt;
use std::path::Path;

use crate::codec::PageCodec;
use crate::commit_queue::CommitQueue;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn, ManifestVersion, StoreId};
use crate::keyring::{KeyRing, SingleCodecKeyRing};
use crate::keys::Keys;
use crate::live_set::LiveSet;
use crate::options::Options;
use crate::page_cache::PageCache;
use crate::request::wake_all;
use crate::row_bytes::Spares;
use crate::sync::{
    Arc, AtomicBool, AtomicU32, Mutex, MutexGuard, OnceLock, Ordering, RwLock, locked,
};
use crate::vfs::{Clock, Disk, Entropy};
use jobs::Jobs;
use load::Mode;
use observing::Observing;
use on_disk::OnDisk;
use threads::Background;

pub use backup::{BackupProgress, BackupReport};
pub use backup_keys::BackupKeys;
pub use index_snapshot::RecoveryTail;
pub use maintain::CompactProgress;
pub use replicate::ReplicationSnapshot;
pub use rescue::{LOSSES_MAX, Loss, SalvageProgress, SalvageReport};
pub use scan::{PayloadScan, Scan};
pub use snapshot::Snapshot;
pub use vector_source::VectorSource;
pub use verify::{Finding, VerifyOptions, VerifyProgress, VerifyReport};

/// An open store. Cheap to clone; all clones are the same store.
///
/// One process at a time has a store open, and one `open` in it: a second one gets `Locked`.
/// Dropping the last clone without [`Store::close`] is safe and costs the next open some work. Both end
/// the store's own threads and wait for them, which takes as long as the step or the commit that is
/// under way.
#[derive(Clone)]
pub struct Store {
    pub(in crate::store) inner: Arc<Inner>,
    /// Ends the store's threads when the last handle is dropped.
    _handles: Arc<Handles>,
}

pub(in crate::store) struct Inner {
    disk: Disk,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    options: Options,
    keys: Arc<Keys>,
    cache: PageCache,
    spares: Arc<Spares>,
    queue: CommitQueue,
    jobs: Mutex<Jobs>,
    /// How many callers wait for that lock.
    jobs_wanted: AtomicU32,
    /// Whether a checkpoint or merge is under way, or may be due.
    has_work: AtomicBool,
    on_disk: Mutex<OnDisk>,
    live: RwLock<LiveSet>,
    closed: AtomicBool,
    store: StoreId,
    observing: Observing,
    background: Background,
    /// What the first panic inside of the store said.
    panicked: OnceLock<String>,
}

/// Figures of an open store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// LSN of the last visible operation, which is durable.
    pub last_lsn: Lsn,
    /// Live log files.
    pub log_files: u64,
    /// Bytes written to the log file that takes frames; 0 where none does.
    pub log_bytes: u64,
    /// Live segments.
    pub segments: u64,
    /// Live tombstone files: segments of which some rows are dead.
    pub tombstones: u64,
    /// Memory that the rows above the segments take, about, in bytes.
    pub memtable_bytes: u64,
    /// Checkpoints since the store was opened.
    pub checkpoints: u64,
    /// Merges of segments since the store was opened.
    pub merges: u64,
    /// Log files that a checkpoint began since the store was opened.
    pub log_switches: u64,
    /// Files that nothing names any more and a reader still needs.
    pub pinned: u64,
    /// Bytes set aside for a full disk; 0 where there is no room for them.
    pub reserve_bytes: u64,
    /// Version of the newest manifest.
    pub manifest_version: ManifestVersion,
    /// Rows of all collections, but of those of which some are hidden by damage.
    pub rows: u64,
    /// Names, in the store's directory, of every file that the newest manifest accounts for:
    /// `CURRENT`, itself, logs, segments and tombstones; the keys of collections that so far only the
    /// log knows; and the reserve.
    pub files: Vec<String>,
    /// Files known to belong to no manifest, which the next publish removes, and keys that go once no
    /// log refers to them; without the pinned.
    pub orphans: u64,
    /// Shreds that are logged and whose key is not destroyed yet: it is tried again at the next open, or
    /// when it is asked for.
    pub unfinished_shreds: u64,
    /// Why writes are refused until a reopen, if they are.
    pub latched: Option<String>,
    /// What the store's own thread failed with last, where its background work has not succeeded since. It
    /// is tried again; nothing is lost.
    pub background_failure: Option<String>,
    /// Whether the store was opened for reading only.
    pub is_read_only: bool,
    /// Collections that are damaged, with the first file that is the cause: they show what can be read
    /// and take no writes.
    pub damaged: Vec<(CollectionId, String)>,
}

impl Store {
    /// Opens the store in a directory of the operating system, or creates it there.
    ///
    /// *Durability*: once this returns, what it recovered survives power loss.
    ///
    /// # Errors
    /// `Locked` if it is open already; `Corrupt` if files are missing, changed or none of a
    /// store's; `InvalidArgument` if the path is a file or a directory of other things; `Full`
    /// and `Io` from the disk, safe to try again.
    ///
    /// # Examples
    /// ```no_run
    /// let store = quiver_store::Store::open("/var/lib/points")?;
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(Env::os(dir.as_ref()), Options::default())
    }

    /// Opens a store on any disk, with settings; see [`Store::open`].
    ///
    /// # Errors
    /// As [`Store::open`], and `InvalidArgument` for settings that make no sense.
    ///
    /// # Examples
    /// ```
    /// use quiver_store::{Env, Options, Store};
    /// let store = Store::open_with(Env::memory(), Options::default())?;
    /// assert!(store.collection_names()?.is_empty());
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn open_with(env: Env, options: Options) -> Result<Self> {
        Self::open_for(env, options, Mode::Write).map(|(store, _)| store)
    }

    /// As [`Store::open`], of a store in which one codec seals everything. The caller keeps its key.
    ///
    /// # Errors
    /// Those of [`Store::open`]; `KeyUnavailable` and `InvalidArgument` as
    /// [`Store::open_with_keyring`].
    pub fn open_with_codec(dir: impl AsRef<Path>, codec: Arc<dyn PageCodec>) -> Result<Self> {
        Self::open_with_keyring(dir, Arc::new(SingleCodecKeyRing::new(codec)))
    }

    /// As [`Store::open`], of an encrypted store. A store that is created is encrypted from its first
    /// byte on; whether it is encrypted does not change later.
    ///
    /// # Errors
    /// Those of [`Store::open`]; `KeyUnavailable` where the store needs a key that is not there, or
    /// another one than the ring has; `InvalidArgument` where the store is not encrypted.
    ///
    /// # Examples
    /// ```no_run
    /// # #[cfg(feature = "encryption")] {
    /// use std::sync::Arc;
    /// use quiver_store::{EnvelopeKeyRing, Key, Store};
    /// let master = Key::from_file("/etc/points.key")?;
    /// let store = Store::open_with_keyring("points", Arc::new(EnvelopeKeyRing::new(master)))?;
    /// # }
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn open_with_keyring(dir: impl AsRef<Path>, ring: Arc<dyn KeyRing>) -> Result<Self> {
        Self::open_with(Env::os(dir.as_ref()).with_keyring(ring), Options::default())
    }

    /// Opens the store in a directory of the operating system for reading. Nothing is written: it works
    /// on a full disk, and on one that takes no writes. Others may open it for reading as well; as long
    /// as any of them holds it, it cannot be opened for writing.
    ///
    /// Calls that would write answer `InvalidArgument`.
    ///
    /// *Durability*: nothing is settled. What the last writer had not proved durable is shown, and the
    /// next loss of power may still take it.
    ///
    /// # Errors
    /// As [`Store::open`]; `NotFound` where there is no store.
    ///
    /// # Examples
    /// ```no_run
    /// let store = quiver_store::Store::open_read_only("/mnt/copy/points")?;
    /// println!("{:?}", store.collection_names()?);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_read_only_with(Env::os(dir.as_ref()), Options::default())
    }

    /// As [`Store::open_read_only`], on any disk and with settings.
    ///
    /// # Errors
    /// Those of [`Store::open_read_only`], and `InvalidArgument` for settings that make no sense.
    pub fn open_read_only_with(env: Env, options: Options) -> Result<Self> {
        Self::open_for(env, options, Mode::Read).map(|(store, _)| store)
    }

    /// Opens for reading what can still be shown of a damaged store, and says what cannot: the files
    /// that could not be used, in the order in which they were met. None means that the store is whole as
    /// far as an open can tell; [`Store::verify`] reads all of it.
    ///
    /// A store without a damaged log or manifest need not be salvaged: it opens, and each damaged
    /// collection shows what can be read of it. Where a log is damaged, the state before the damage is
    /// shown; where `CURRENT` or the manifest is, that of the newest manifest that is intact.
    ///
    /// *Durability*: as [`Store::open_read_only`].
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Corrupt` where no manifest is intact; `Locked`; `Io`.
    pub fn open_salvage(dir: impl AsRef<Path>) -> Result<(Self, Vec<Error>)> {
        Self::open_salvage_with(Env::os(dir.as_ref()), Options::default())
    }

    /// As [`Store::open_salvage`], on any disk and with settings.
    ///
    /// # Errors
    /// Those of [`Store::open_salvage`], and `InvalidArgument` for settings that make no sense.
    pub fn open_salvage_with(env: Env, options: Options) -> Result<(Self, Vec<Error>)> {
        Self::open_for(env, options, Mode::Salvage)
    }

    fn open_for(env: Env, options: Options, mode: Mode) -> Result<(Self, Vec<Error>)> {
        options.validate()?;
        let started_us = env.clock.monotonic_us();
        let opened = recovery::open(&env, &options, mode)?;
        let elapsed_us = env.clock.monotonic_us().saturating_sub(started_us);
        tracing::info!(path = %env.dir.display(), lsn = opened.live.last.0, elapsed_us, "open");
        let store = opened.on_disk.manifest.store;
        let threads = env.threads.filter(|_| options.background && mode == Mode::Write);
        let inner = Inner {
            disk: opened.disk,
            entropy: env.entropy,
            clock: env.clock,
            keys: opened.keys,
            cache: PageCache::new(options.page_cache_bytes),
            spares: Spares::new(options.memtable_bytes_max),
            queue: CommitQueue::default(),
            options,
            jobs: Mutex::default(),
            jobs_wanted: AtomicU32::new(0),
            has_work: AtomicBool::new(true),
            on_disk: Mutex::new(opened.on_disk),
            live: RwLock::new(opened.live),
            closed: AtomicBool::new(false),
            store,
            observing: Observing::default(),
            background: Background::new(threads),
            panicked: OnceLock::new(),
        };
        if mode == Mode::Write {
            inner.resume_shreds()?;
        }
        let inner = Arc::new(inner);
        Ok((Self { _handles: Arc::new(Handles(Arc::clone(&inner))), inner }, opened.lost))
    }

    /// The codec that a collection is sealed with.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnavailable`; `Closed`.
    pub fn collection_codec_clone(&self, id: CollectionId) -> Result<Arc<dyn PageCodec>> {
        self.check_open()?;
        self.inner.codec_of(id)
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        self.inner.disk.root()
    }

    fn check_open(&self) -> Result<()> {
        self.inner.check_open()
    }

    fn lock_on_disk(&self) -> Result<MutexGuard<'_, OnDisk>> {
        self.inner.lock_on_disk()
    }
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        Ok(())
    }

    /// Takes the lock of the background work, before the store's own thread takes it again.
    fn lock_jobs(&self) -> Result<MutexGuard<'_, Jobs>> {
        self.jobs_wanted.fetch_add(1, Ordering::SeqCst);
        let jobs = locked(&self.jobs);
        self.jobs_wanted.fetch_sub(1, Ordering::SeqCst);
        jobs.map_err(|error| self.told(error))
    }

    /// Takes the lock of the disk state. Whether the store is open is asked under it: a close
    /// may have come while this thread waited, and the directory belongs to someone else now.
    fn lock_on_disk(&self) -> Result<MutexGuard<'_, OnDisk>> {
        self.observing.check_outside()?;
        let on_disk = locked(&self.on_disk).map_err(|error| self.told(error))?;
        self.check_open()?;
        Ok(on_disk)
    }
}

/// What all handles of a store share: the last one of them ends its threads.
struct Handles(Arc<Inner>);

impl Drop for Handles {
    fn drop(&mut self) {
        let Inner { background, observing, .. } = &*self.0;
        if observing.check_outside().is_ok() {
            background.end();
        } else {
            // Inside of an observer the thread holds what the others wait for: they end behind it.
            background.ask_to_end();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Who still has a ticket is told; nothing of it was written.
        wake_all(self.queue.close().unwrap_or_default());
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir()).finish_non_exhaustive()
    }
}
