//! Index snapshots: what the layers above keep of their indexes, and what changed since.
//!
//! An index over vectors is built outside of the engine, from a [`crate::VectorSource`], and takes
//! long to build. It is handed over with a checkpoint as bytes that mean nothing here, and the LSN whose
//! operations are in it. From then on every seal lists the ids that it moved, so that the index
//! can be brought up to date after a restart without being built again.
//!
//! - V1. An index snapshot and the rows are published together: no crash leaves one that covers rows
//!   which are not there, or a list without changes that were sealed.
//! - V2. What changed behind the LSN covered is listed, or is in the memtables: a row that is in neither
//!   is as the index has it. Where the list does not go back so far, or is longer than a quarter of the
//!   rows, nothing is told and the index has to be built again.
//! - V3. A list is written whole under a new name; so is an index snapshot.
//!
//! **A crash leaves** the old index snapshot with its list, or the new one with its own, and orphans.

use std::collections::BTreeSet;
use std::io;
use std::ops::Bound;

use crate::change_set::{ChangeSet, is_worth_telling};
use crate::codec::PageCodec;
use crate::collection::Collection;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, KeyId, Lsn, Salt};
use crate::limits::INDEX_SNAPSHOT_BYTES_MAX;
use crate::manifest::index_snapshots::{ChangesEntry, IndexSnapshotEntry};
use crate::memtable::{Entry, Memtable};
use crate::page::{PagePlace, PageType};
use crate::paged_file::{self, Written};
use crate::row::Record;
use crate::store::jobs::Jobs;
use crate::store::reclaim::discard;
use crate::store::seal::Pending;
use crate::store::{Inner, Store};
use crate::sync::{Arc, locked, reading};
use crate::vfs::Access;

/// How many rows are taken out of a memtable at a time.
const RUN_ROWS: usize = 256;

/// What an index misses that was restored from its snapshot.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RecoveryTail {
    /// These rows may have changed since; all others are as the index has them.
    Changes {
        /// The LSN that the index snapshot covers.
        since: Lsn,
        /// Rows that are there, in ascending order of ids: to be inserted or replaced.
        upserts: Vec<(String, Record)>,
        /// Ids that are not there, in ascending order: to be removed, where the index has them.
        deleted: Vec<String>,
    },
    /// Too much has changed, or it is not known what: build the index again.
    Rebuild,
}

impl Store {
    /// As [`Store::checkpoint`], and keeps index snapshots with it: for each collection bytes, and the
    /// LSN whose operations are in the index, such as [`crate::VectorSource::lsn`]. They replace those
    /// that the collections had.
    ///
    /// *Units and limits*: 1 GiB each. The first one of a collection has to cover all that is sealed
    /// when it is handed over, else its [`Store::recovery_tail`] is [`RecoveryTail::Rebuild`]: what
    /// changed is listed from then on. *Durability*: if it returned `Ok`, all of them survive power
    /// loss, together with the rows; if it failed, or a crash came, all or none.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `InvalidArgument` for an LSN that is not
    /// visible yet; `TooLarge`; those of [`Store::checkpoint`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, RecoveryTail, Store};
    /// # let env = Env::memory();
    /// # let store = Store::open_with(env.clone(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], b"")?;
    /// let vectors = store.capture_vector_source(id)?;
    /// let index = format!("an index over {} vectors", vectors.len());
    /// store.checkpoint_with_index_snapshots(&[(id, index.as_bytes(), vectors.lsn())])?;
    /// store.upsert(id, "y", &[2.0], b"")?;
    /// # drop((vectors, store));
    /// // After a restart:
    /// let store = Store::open_with(env, Options::default())?;
    /// let (index, lsn) = store.read_index_snapshot(id)?.expect("it was kept");
    /// assert_eq!(index, b"an index over 1 vectors");
    /// match store.recovery_tail(id)? {
    ///     RecoveryTail::Changes { since, upserts, deleted } => {
    ///         assert_eq!((since, upserts.len(), deleted.len()), (lsn, 1, 0));
    ///     }
    ///     _ => unreachable!("one row changed"),
    /// }
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn checkpoint_with_index_snapshots(
        &self,
        snapshots: &[(CollectionId, &[u8], Lsn)],
    ) -> Result<()> {
        self.check_open()?;
        let inner = &*self.inner;
        inner.observing.check_outside()?;
        inner.check_index_snapshots(snapshots)?;
        inner.guarded("a checkpoint", || inner.checkpoint_index_snapshots(snapshots))?;
        self.checkpoint()
    }

    /// The index snapshot of a collection and the LSN that it covers, if it has one.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `Io` and `Corrupt` from the disk; `Closed`.
    pub fn read_index_snapshot(&self, id: CollectionId) -> Result<Option<(Vec<u8>, Lsn)>> {
        let inner = &*self.inner;
        loop {
            self.check_open()?;
            let version = Arc::clone(&reading(&inner.live)?.version);
            let collection = version.collection(id)?;
            let Some(entry) = collection.index_snapshot else { return Ok(None) };
            match inner.read_index_snapshot(&entry, collection.key) {
                Ok(bytes) => return Ok(Some((bytes, entry.covered))),
                Err(error) => inner.again_if_replaced(id, &entry, error)?,
            }
        }
    }

    /// What has changed in a collection since the operations that its index snapshot covers.
    /// [`RecoveryTail::Rebuild`] where it has none.
    ///
    /// *Units and limits*: up to a quarter of the rows; beyond that the index is to be built again.
    ///
    /// # Errors
    /// Those of [`Store::read_index_snapshot`].
    pub fn recovery_tail(&self, id: CollectionId) -> Result<RecoveryTail> {
        let inner = &*self.inner;
        loop {
            let snapshot = self.snapshot()?;
            let collection = Arc::clone(snapshot.collection_of(id)?);
            let Some(entry) = collection.index_snapshot else { return Ok(RecoveryTail::Rebuild) };
            if entry.listed_since > entry.covered {
                return Ok(RecoveryTail::Rebuild);
            }
            let changes = match inner.read_changes(&entry, collection.key) {
                Ok(changes) => changes,
                Err(error) => match inner.again_if_replaced(id, &entry, error) {
                    Ok(()) => continue,
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        // What is lost can be built again.
                        tracing::warn!(%error, "a list of changes is lost");
                        return Ok(RecoveryTail::Rebuild);
                    }
                    Err(error) => return Err(error),
                },
            };
            let mut ids = changes.since(entry.covered);
            for memtable in collection.memtables() {
                changed_in(memtable, entry.covered, snapshot.lsn(), |found| {
                    ids.insert(found.id().to_owned());
                })?;
            }
            if !is_worth_telling(ids.len() as u64, snapshot.len(id)?) {
                return Ok(RecoveryTail::Rebuild);
            }
            let (mut upserts, mut deleted) = (Vec::new(), Vec::new());
            for external_id in ids {
                match snapshot.get(id, &external_id)? {
                    Some(row) => upserts.push((external_id, row)),
                    None => deleted.push(external_id),
                }
            }
            return Ok(RecoveryTail::Changes { since: entry.covered, upserts, deleted });
        }
    }
}

/// Shows the newest versions of rows that changed behind one LSN, up to another.
fn changed_in(
    memtable: &Memtable,
    behind: Lsn,
    until: Lsn,
    mut see: impl FnMut(&Entry),
) -> Result<()> {
    let mut run: Vec<Entry> = Vec::new();
    let mut last: Option<Entry> = None;
    loop {
        let from = last.as_ref().map_or(Bound::Unbounded, |last| Bound::Excluded(last.id()));
        let has_more = memtable.run(from, until, RUN_ROWS, &mut run)?;
        run.iter().filter(|entry| entry.lsn > behind).for_each(&mut see);
        last = run.pop();
        run.clear();
        if !has_more {
            return Ok(());
        }
    }
}

impl Inner {
    fn check_index_snapshots(&self, snapshots: &[(CollectionId, &[u8], Lsn)]) -> Result<()> {
        let live = reading(&self.live)?.clone();
        let mut ids = BTreeSet::new();
        for (id, bytes, covered) in snapshots {
            live.version.collection(*id)?.check_well()?;
            if !ids.insert(id) {
                let what = format!("two index snapshots of collection {id}");
                return Err(Error::invalid(what));
            }
            if *covered > live.last {
                let last = live.last;
                let what = format!("index snapshot covers LSN {covered}, the last one is {last}");
                return Err(Error::invalid(what));
            }
            let (len, most) = (bytes.len(), INDEX_SNAPSHOT_BYTES_MAX);
            if len > most {
                let what = format!("index snapshot of {len} bytes, expected at most {most}");
                return Err(Error::too_large(what));
            }
        }
        Ok(())
    }

    /// Runs a checkpoint that names them, or undoes what was made of it.
    fn checkpoint_index_snapshots(&self, snapshots: &[(CollectionId, &[u8], Lsn)]) -> Result<()> {
        // Nobody else steps meanwhile, so what is pending goes with this checkpoint or not at all.
        let mut jobs = self.lock_jobs()?;
        self.lock_on_disk()?.check_latch()?;
        while jobs.rotation.is_some() {
            self.step_checkpoint(&mut jobs)?;
        }
        let done = self.publish_index_snapshots(&mut jobs, snapshots);
        if let Some(pending) = jobs.pending.take() {
            let mut on_disk = locked(&self.on_disk)?;
            if on_disk.latched.is_none() {
                discard(&self.tools(), &mut on_disk, pending.made);
            }
        }
        done
    }

    /// Writes the files, and runs a checkpoint to its end, which names them.
    fn publish_index_snapshots(
        &self,
        jobs: &mut Jobs,
        snapshots: &[(CollectionId, &[u8], Lsn)],
    ) -> Result<()> {
        let names_lost = self.lock_on_disk()?.names_lost;
        let pending = jobs.pending.insert(Pending { names_lost, ..Pending::default() });
        for (id, bytes, covered) in snapshots {
            let entry = {
                let key = reading(&self.live)?.version.collection(*id)?.key;
                self.write_index_snapshot((*id, key), bytes, *covered, &mut pending.made)?
            };
            pending.entries.insert(*id, entry);
        }
        self.rotate(jobs)?;
        let catalog = jobs.rotation.as_ref().map(|rotation| Arc::clone(&rotation.catalog));
        let catalog = catalog.expect("a switch leaves a rotation");
        // They may have been dropped since they were checked.
        snapshots.iter().try_for_each(|(id, ..)| catalog.collection(*id).map(drop))?;
        while jobs.rotation.is_some() && jobs.pending.is_some() {
            self.step_checkpoint(jobs)?;
        }
        Ok(())
    }

    fn write_index_snapshot(
        &self,
        (collection, key): (CollectionId, KeyId),
        bytes: &[u8],
        covered: Lsn,
        made: &mut Vec<String>,
    ) -> Result<IndexSnapshotEntry> {
        let codec = self.keys.of(collection, key)?;
        let salt = self.tools().salt()?;
        let (file, sealed) = {
            let mut on_disk = self.lock_on_disk()?;
            (on_disk.take_file(), on_disk.manifest.sealed)
        };
        let name = FileName::IndexSnapshot(file, salt.into()).text();
        made.push(name.clone());
        let disk_file = self.disk.create_new(&name)?;
        let first = self.place(collection, salt, PageType::IndexSnapshot);
        let written = paged_file::write(&disk_file, &first, &*codec, bytes)?;
        let Written { len, digest } = written;
        // What the seal that is to come lists begins behind what is sealed now.
        let listed_since = sealed.max(covered);
        let changes = None;
        Ok(IndexSnapshotEntry {
            collection,
            file,
            salt,
            len,
            digest,
            covered,
            listed_since,
            changes,
        })
    }

    /// The entry of a collection behind a seal through an LSN, which leaves so many rows; nothing where
    /// it has no index snapshot (V1, V2). `pending` is the one that goes with this checkpoint.
    pub(super) fn index_snapshot_behind(
        &self,
        collection: &Collection,
        pending: Option<&Pending>,
        (through, rows): (Lsn, u64),
        made: &mut Vec<String>,
    ) -> Result<Option<IndexSnapshotEntry>> {
        let new = pending.and_then(|pending| pending.entries.get(&collection.id).copied());
        let old = collection.index_snapshot;
        let Some(mut entry) = new.or(old) else { return Ok(None) };
        let mut changes = ChangeSet::default();
        if let Some(old) = &old {
            entry.listed_since = old.listed_since.max(entry.covered);
            match self.read_changes(old, collection.key) {
                Ok(listed) => changes = listed,
                Err(error) => {
                    // What is lost can be built again: it is no reason to stop all checkpoints, and one
                    // that cannot be read now may never be readable again.
                    tracing::warn!(%error, "a list of changes is lost");
                    entry.listed_since = through;
                }
            }
        }
        changes.forget_through(entry.covered);
        if let Some(memtable) = &collection.sealing {
            let mut ids = Vec::new();
            changed_in(memtable, entry.covered, through, |found| ids.push(found.id().to_owned()))?;
            changes.push(through, ids);
        }
        if !is_worth_telling(changes.len(), rows) {
            changes = ChangeSet::default();
            entry.listed_since = through;
        }
        entry.changes = match changes.len() {
            0 => None,
            _ => Some(self.write_changes((collection.id, collection.key), &changes, made)?),
        };
        Ok(Some(entry))
    }

    fn write_changes(
        &self,
        (collection, key): (CollectionId, KeyId),
        changes: &ChangeSet,
        made: &mut Vec<String>,
    ) -> Result<ChangesEntry> {
        let codec = self.keys.of(collection, key)?;
        let salt = self.tools().salt()?;
        let file = self.lock_on_disk()?.take_file();
        let name = FileName::Changes(file, salt.into()).text();
        made.push(name.clone());
        let disk_file = self.disk.create_new(&name)?;
        let first = self.place(collection, salt, PageType::Changes);
        let written = paged_file::write(&disk_file, &first, &*codec, &changes.encode())?;
        Ok(ChangesEntry { file, salt, len: written.len, digest: written.digest })
    }

    /// An index snapshot and its list of changes, written anew under another key.
    pub(super) fn index_snapshot_under(
        &self,
        entry: &IndexSnapshotEntry,
        (old, new): (KeyId, KeyId),
        made: &mut Vec<String>,
    ) -> Result<IndexSnapshotEntry> {
        let bytes = self.read_index_snapshot(entry, old)?;
        let changes = self.read_changes(entry, old)?;
        let place = (entry.collection, new);
        let written = self.write_index_snapshot(place, &bytes, entry.covered, made)?;
        let changes = match entry.changes {
            None => None,
            Some(_) => Some(self.write_changes(place, &changes, made)?),
        };
        let IndexSnapshotEntry { file, salt, len, digest, .. } = written;
        Ok(IndexSnapshotEntry { file, salt, len, digest, changes, ..*entry })
    }

    fn read_index_snapshot(&self, entry: &IndexSnapshotEntry, key: KeyId) -> Result<Vec<u8>> {
        let codec = self.keys.of(entry.collection, key)?;
        let name = FileName::IndexSnapshot(entry.file, entry.salt.into()).text();
        let file = self.disk.open(&name, Access::Read)?;
        let first = self.place(entry.collection, entry.salt, PageType::IndexSnapshot);
        let listed = Written { len: entry.len, digest: entry.digest };
        paged_file::read(&file, &first, &*codec, listed)
    }

    fn read_changes(&self, entry: &IndexSnapshotEntry, key: KeyId) -> Result<ChangeSet> {
        let Some(changes) = entry.changes else { return Ok(ChangeSet::default()) };
        let name = FileName::Changes(changes.file, changes.salt.into()).text();
        let file = self.disk.open(&name, Access::Read)?;
        let first = self.place(entry.collection, changes.salt, PageType::Changes);
        let listed = Written { len: changes.len, digest: changes.digest };
        let codec = self.keys.of(entry.collection, key)?;
        let bytes = paged_file::read(&file, &first, &*codec, listed)?;
        ChangeSet::decode(&bytes).map_err(|error| {
            let kind = error.kind();
            error.reported_as(kind, &file.path().display().to_string())
        })
    }

    /// The codec of a collection as it is now.
    pub(super) fn codec_of(&self, id: CollectionId) -> Result<Arc<dyn PageCodec>> {
        let key = reading(&self.live)?.version.collection(id)?.key;
        self.keys.of(id, key)
    }

    fn place(&self, collection: CollectionId, salt: Salt, page_type: PageType) -> PagePlace {
        PagePlace { store: self.store, salt, collection, page_type, index: 0 }
    }

    /// Whether to read again: a checkpoint may have replaced the files meanwhile.
    fn again_if_replaced(
        &self,
        id: CollectionId,
        entry: &IndexSnapshotEntry,
        error: Error,
    ) -> Result<()> {
        if error.io_kind() != Some(io::ErrorKind::NotFound) {
            return Err(error);
        }
        // A publish removes what it replaced before readers are shown what replaces it, and holds this
        // lock for both. In an observer's own thread it is held already, behind both.
        if self.observing.check_outside().is_ok() {
            drop(self.lock_on_disk()?);
        }
        let version = Arc::clone(&reading(&self.live)?.version);
        let now = version.collections.get(&id).and_then(|found| found.index_snapshot);
        if now == Some(*entry) {
            return Err(error.reported_as(ErrorKind::Corrupt, "index snapshot"));
        }
        Ok(())
    }
}
