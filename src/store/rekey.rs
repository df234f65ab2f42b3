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

use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, KeyId};
use crate::manifest::index_snapshots::IndexSnapshotEntry;
use crate::manifest::schema::SealedSchema;
use crate::manifest::{KeyEntry, Manifest};
use crate::store::jobs::Jobs;
use crate::store::merge::Merge;
use crate::store::reclaim::discard;
use crate::store::{Inner, Store};
use crate::sync::{Arc, locked, reading};

/// What a publish says of a collection that has a new key.
pub(super) struct Rekeyed {
    id: CollectionId,
    pub(super) key: KeyId,
    pub(super) schema: Arc<SealedSchema>,
    pub(super) index_snapshot: Option<IndexSnapshotEntry>,
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
        self.checkpoint()?;
        let key = {
            let mut on_disk = self.lock_on_disk()?;
            on_disk.check_latch()?;
            inner.provision(&mut on_disk, id)?
        };
        let old = inner.merge_under(id, key).inspect_err(|_| {
            // No log refers to it.
            if let Ok(mut on_disk) = self.lock_on_disk()
                && on_disk.latched.is_none()
                && on_disk.manifest.key(id) != key
            {
                let name = crate::file_names::FileName::Key(key).text();
                discard(&inner.tools(), &mut on_disk, [name]);
            }
        })?;
        self.checkpoint()?;
        let mut on_disk = self.lock_on_disk()?;
        inner.destroy_orphan(&mut on_disk, old)
    }
}

impl Inner {
    /// Merges all that a collection has into one segment under another key; its key before.
    fn merge_under(&self, id: CollectionId, key: KeyId) -> Result<KeyId> {
        let mut jobs = locked(&self.jobs)?;
        while jobs.rotation.is_some() {
            self.step_checkpoint(&mut jobs)?;
        }
        self.give_up_any_merge(&mut jobs)?;
        let collection = Arc::clone(reading(&self.live)?.version.collection(id)?);
        collection.check_well()?;
        let old = collection.key;
        let merge = Merge::under(&collection, key);
        let published = Arc::clone(&merge.published);
        drop(collection);
        jobs.merge = Some(merge);
        while jobs.merge.is_some() {
            self.step_merge(&mut jobs)?;
        }
        if !published.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::not_found(format!("collection {id} was dropped")));
        }
        Ok(old)
    }

    fn give_up_any_merge(&self, jobs: &mut Jobs) -> Result<()> {
        let made = jobs.merge.take().map(Merge::into_made).unwrap_or_default();
        discard(&self.tools(), &mut *self.lock_on_disk()?, made);
        Ok(())
    }

    /// What the manifest has to say of a collection under the key of a merge: its schema, and its index
    /// snapshot, written anew. One that cannot be read is left out: it can be built again.
    pub(super) fn rekeyed(
        &self,
        collection: &Collection,
        merge: &mut Merge,
    ) -> Result<Option<Rekeyed>> {
        if !merge.rekeys {
            return Ok(None);
        }
        let (id, key) = (collection.id, merge.inputs.key);
        let what = (&*collection.name, &collection.descriptor);
        let (codec, salt) = (self.keys.of(id, key)?, self.tools().salt()?);
        let schema = SealedSchema::seal(self.store, id, salt, &*codec, what)?;
        let mut index_snapshot = None;
        if let Some(entry) = &collection.index_snapshot {
            match self.index_snapshot_under(entry, (collection.key, key), &mut merge.made) {
                Ok(entry) => index_snapshot = Some(entry),
                Err(error) => tracing::warn!(%error, "an index snapshot is lost"),
            }
        }
        Ok(Some(Rekeyed { id, key, schema: Arc::new(schema), index_snapshot }))
    }
}

impl Rekeyed {
    /// Says it.
    pub(super) fn name(&self, manifest: &mut Manifest) {
        let Self { id, key, schema, index_snapshot } = self;
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
