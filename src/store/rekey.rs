//! Rekey: a collection under a new key.
//!
//! | step | a crash before the next step leaves |
//! |---|---|
//! | 1 a new key, durable | an orphan |
//! | 2 a checkpoint; then all segments of the collection are merged into one under the new key | orphans |
//! | 3 a publish that names the output and the new key | the old key, or the new one, each with all its files |
//! | 4 a checkpoint, so that no log holds records under the old key | the new key; the old one still there |
//! | 5 the old key is destroyed | the new key |
//!
//! - G1. At each moment all files of a collection are under one key, which the manifest names. Sections of
//!   logs say themselves which they are under.
//! - G2. Readers and writers go on. What is written meanwhile is under the old key in the log, until step 4.
//! - G3. A publish changes no logical state: name and schema stay as of the sealed LSN.

use crate::collection::Collection;
use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, KeyId};
use crate::manifest::index_snapshots::IndexSnapshotEntry;
use crate::manifest::schema::SealedSchema;
use crate::manifest::{KeyEntry, Manifest};
use crate::store::jobs::Jobs;
use crate::store::merge::Merge;
use crate::store::on_disk::OnDisk;
use crate::store::reclaim::discard;
use crate::store::{Inner, Store};
use crate::sync::{Arc, Ordering, reading};

/// What a publish says of a collection that has a new key.
pub(super) struct Rekeyed {
    id: CollectionId,
    key: KeyId,
    schema: Arc<SealedSchema>,
    /// What is sealed in it.
    says: (String, Descriptor),
    index_snapshot: Option<IndexSnapshotEntry>,
}

impl Store {
    /// Writes a collection anew under a new key, and destroys the old one. It is readable and writable
    /// throughout; other background work waits until it ends.
    ///
    /// *Durability*: once this returned, the old key opens nothing on this disk any more, and is on it no
    /// more. If it failed or was cut short by a crash, the collection is whole under one key or the
    /// other; calling it again gives it another. *Units and limits*: needs as much free space as the
    /// collection takes.
    ///
    /// # Errors
    /// `InvalidArgument` where the store has no key for each collection; `NotFound`; `Corrupt` and
    /// `KeyUnavailable` where the collection is damaged or its key missing; those of
    /// [`Store::checkpoint`].
    pub fn rekey_collection(&self, id: CollectionId) -> Result<()> {
        let inner = &*self.inner;
        inner.observing.check_outside()?;
        if !inner.keys.has_key_files() {
            let what = "collections of this store have no keys of their own";
            return Err(Error::invalid(what));
        }
        reading(&inner.live)?.version.collection(id)?.check_well()?;
        self.checkpoint()?;
        inner.guarded("a rekey", || {
            let key = {
                let mut on_disk = self.lock_on_disk()?;
                on_disk.check_latch()?;
                inner.provision(&mut on_disk, id)?
            };
            inner.merge_under(id, key)
        })?;
        self.checkpoint()?;
        inner.guarded("a rekey", || inner.destroy_orphans(id))
    }
}

impl Inner {
    /// Merges all that a collection has into one segment under another key. If that fails the key is
    /// destroyed before any other work is done: a shred may wait for it.
    fn merge_under(&self, id: CollectionId, key: KeyId) -> Result<()> {
        let mut jobs = self.lock_jobs()?;
        let merged = self.merge_all_under(&mut jobs, id, key);
        if merged.is_err() {
            let mut on_disk = self.lock_on_disk()?;
            if on_disk.latched.is_none() && on_disk.manifest.key(id) != key {
                discard(&self.tools(), &mut on_disk, [FileName::Key(key).text()]);
            }
        }
        merged
    }

    fn merge_all_under(&self, jobs: &mut Jobs, id: CollectionId, key: KeyId) -> Result<()> {
        while jobs.rotation.is_some() {
            self.step_checkpoint(jobs)?;
        }
        self.give_up_any_merge(jobs)?;
        let collection = Arc::clone(reading(&self.live)?.version.collection(id)?);
        collection.check_well()?;
        let merge = Merge::under(&collection, key);
        let published = Arc::clone(&merge.published);
        drop(collection);
        jobs.merge = Some(merge);
        while jobs.merge.is_some() {
            self.step_merge(jobs)?;
        }
        if !published.load(Ordering::Relaxed) {
            return Err(Error::not_found(format!("collection {id} was dropped")));
        }
        Ok(())
    }

    fn give_up_any_merge(&self, jobs: &mut Jobs) -> Result<()> {
        let made = jobs.merge.take().map(Merge::into_made).unwrap_or_default();
        discard(&self.tools(), &mut *self.lock_on_disk()?, made);
        Ok(())
    }

    /// The index snapshot of a collection, written anew under the key of a merge. One that is damaged is
    /// left out: it can be built again.
    pub(super) fn rekeyed_index_snapshot(
        &self,
        collection: &Collection,
        merge: &mut Merge,
    ) -> Result<Option<IndexSnapshotEntry>> {
        let (true, Some(entry)) = (merge.rekeys, &collection.index_snapshot) else {
            return Ok(None);
        };
        let keys = (collection.key, merge.inputs.key);
        match self.index_snapshot_under(entry, keys, &mut merge.made) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, "an index snapshot is lost");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What the manifest has to say of a collection under another key. The schema is that of the manifest:
    /// a newer one is in the log above what is sealed, and is replayed on top of it (G3).
    ///
    /// Nothing is left in limbo: a frame under the old key that a crash may bring back must be void before
    /// that key may go.
    pub(super) fn rekeyed(
        &self,
        on_disk: &mut OnDisk,
        (id, old, key): (CollectionId, KeyId, KeyId),
        index_snapshot: Option<IndexSnapshotEntry>,
    ) -> Result<Rekeyed> {
        self.leave_limbo(on_disk)?;
        let entries = &on_disk.manifest.collections;
        let place = entries.binary_search_by_key(&id, |entry| entry.id);
        let place = place.map_err(|_| Error::not_found(format!("collection {id} was dropped")))?;
        let listed = &entries[place].schema;
        let (name, descriptor) = listed.open(self.store, id, &*self.keys.of(id, old)?)?;
        let (codec, salt) = (self.keys.of(id, key)?, self.tools().salt()?);
        let sealed = SealedSchema::seal(self.store, id, salt, &*codec, (&name, &descriptor))?;
        Ok(Rekeyed { id, key, schema: Arc::new(sealed), says: (name, descriptor), index_snapshot })
    }
}

impl Rekeyed {
    /// Takes it over. A schema that was changed since is sealed by the next checkpoint.
    pub(super) fn apply(self, collection: &mut Collection) {
        let is_said = (&collection.name, &collection.descriptor) == (&self.says.0, &self.says.1);
        collection.schema = is_said.then_some(self.schema);
        (collection.key, collection.index_snapshot) = (self.key, self.index_snapshot);
    }

    /// Says it.
    pub(super) fn name(&self, manifest: &mut Manifest) {
        let Self { id, key, schema, index_snapshot, .. } = self;
        manifest.keys.retain(|entry| entry.collection != *id);
        manifest.keys.push(KeyEntry { collection: *id, key: *key });
        manifest.keys.sort_by_key(|entry| entry.collection);
        for entry in manifest.collections.iter_mut().filter(|entry| entry.id == *id) {
            entry.schema = Arc::clone(schema);
        }
        manifest.index_snapshots.retain(|entry| entry.collection != *id);
        manifest.index_snapshots.extend(index_snapshot);
        manifest.index_snapshots.sort_by_key(|entry| entry.collection);
    }
}
