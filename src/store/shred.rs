//! Shred: destroys the key of a collection, so that nothing of it can be read any more.
//!
//! | step | a crash before the next step leaves |
//! |---|---|
//! | 1 the drop is logged as a shred, durable | the collection, or its drop with the intent |
//! | 2 a checkpoint: neither the manifest nor a log names the collection | the same |
//! | 3 random bytes over the key file, synced; its name removed | the key, which nothing names, or random bytes under its name, or nothing |
//!
//! - X1. Acknowledged means destroyed, also where nothing of that name was there: then nothing is left of
//!   any that was. What failed or was killed on the way is gone on with by the next open, or by asking
//!   again, which answers true for as long as the log knows the name.
//! - X2. Names, ids, schemas and rows of a collection are sealed under its own key wherever they stand, so
//!   nothing else need be destroyed. No other collection is touched.
//! - X3. Who holds a snapshot from before is refused: a shred ends what can be read here as well.

use crate::error::{Error, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, KeyId};
use crate::request::{Outcome, Request};
use crate::store::on_disk::OnDisk;
use crate::store::reclaim::destroy;
use crate::store::{Inner, Store};
use crate::sync::Ordering;

impl Store {
    /// Drops a collection and destroys its key; whether it was there.
    ///
    /// *Durability*: once this returned Ok(true), no state in which a crash can leave this disk, and
    /// no master key, yields anything of the collection but its id, its sizes and its times. If it
    /// returned Err, or was cut short by a crash, the collection is there or it is gone and the rest is
    /// done by the next open, if the disk lets it; or at once by calling it again. Ok(false) means that there is nothing of
    /// that name, nor anything left of one that was shredded under it.
    ///
    /// It seals all rows of the other collections first, as [`Store::checkpoint`] does. On media that
    /// copy on write, on flash, and in copies made before, the destruction of a key is best effort: see
    /// `docs/encryption.md`.
    ///
    /// # Errors
    /// `InvalidArgument` where the store has no key for each collection; those of
    /// [`Store::drop_collection`] and [`Store::checkpoint`].
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "encryption")] {
    /// # use std::sync::Arc;
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, EnvelopeKeyRing, Key, Options, Store};
    /// # let ring = EnvelopeKeyRing::new(Key::from_bytes([7; 32]));
    /// # let store = Store::open_with(Env::memory().with_keyring(Arc::new(ring)), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// assert!(store.shred_collection("a")?);
    /// assert_eq!(store.collection_id("a")?, None);
    /// assert!(!store.shred_collection("a")?);
    /// # }
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn shred_collection(&self, name: &str) -> Result<bool> {
        let inner = &*self.inner;
        if !inner.keys.has_key_files() {
            let what = "collections of this store have no keys of their own, so none can be destroyed: \
                        drop it instead";
            return Err(Error::invalid(what));
        }
        let existed = match self.commit(Request::ShredCollection { name: name.to_owned() })? {
            Outcome::Dropped { existed, .. } => existed,
            other => unreachable!("a shred was answered with {other:?}"),
        };
        let is_resumed = {
            let mut on_disk = self.lock_on_disk()?;
            let is_under_way = on_disk.shreds.iter().any(|shred| shred.name == name);
            on_disk.shredded_at_open.remove(name) || is_under_way
        };
        inner.guarded("a shred", || inner.finish_shreds())?;
        Ok(existed || is_resumed)
    }
}

impl Inner {
    /// Does what is left of shreds that are logged (X1).
    pub(super) fn finish_shreds(&self) -> Result<()> {
        let shreds = self.lock_on_disk()?.shreds.clone();
        if let Some(last) = shreds.iter().map(|shred| shred.lsn).max() {
            self.seal_through(last)?;
        }
        // Also those of shreds that an earlier process had logged and sealed: nobody knows their names.
        self.destroy_all_orphans(&mut *self.lock_on_disk()?)?;
        for shred in shreds {
            self.destroy_orphans(shred.id)?;
            self.lock_on_disk()?.shreds.retain(|known| known.lsn != shred.lsn);
            tracing::info!(collection = shred.id.0, "shredded");
        }
        Ok(())
    }

    /// Destroys the keys of a collection that are out of use; those that a log still refers to, behind a
    /// checkpoint.
    pub(super) fn destroy_orphans(&self, id: CollectionId) -> Result<()> {
        let waiting = |on_disk: &OnDisk| {
            let all = on_disk.key_orphans.iter().filter(|orphan| orphan.collection == id);
            all.map(|orphan| orphan.lsn).max()
        };
        let last = waiting(&*self.lock_on_disk()?);
        if let Some(last) = last {
            self.seal_through(last)?;
        }
        let mut on_disk = self.lock_on_disk()?;
        on_disk.orphan_keys();
        self.destroy_all_orphans(&mut on_disk)?;
        match waiting(&on_disk) {
            None => Ok(()),
            Some(_) => {
                let what = format!(
                    "an old key of collection {id} is kept for its parked records: put the damaged file \
                     back, or drop the collection"
                );
                Err(Error::corrupt(what))
            }
        }
    }

    /// Destroys every key that nothing refers to.
    pub(super) fn destroy_all_orphans(&self, on_disk: &mut OnDisk) -> Result<()> {
        on_disk.check_latch()?;
        let key_of = |name: &String| match FileName::parse(name) {
            Some(FileName::Key(key)) => Some(key),
            _ => None,
        };
        let keys: Vec<KeyId> = on_disk.orphans.iter().filter_map(key_of).collect();
        for key in keys {
            destroy(&self.tools(), key)?;
            on_disk.orphans.remove(&FileName::Key(key).text());
        }
        Ok(())
    }

    /// Goes on with shreds that an earlier process left undone. What fails now is tried again when it is
    /// asked for, or by the next open.
    pub(super) fn resume_shreds(&self) -> Result<()> {
        let names: Vec<String> = {
            let on_disk = self.lock_on_disk()?;
            on_disk.shreds.iter().map(|shred| shred.name.clone()).collect()
        };
        if names.is_empty() {
            return Ok(());
        }
        match self.finish_shreds() {
            Ok(()) => {
                let known = names.into_iter().filter(|name| !name.is_empty());
                self.lock_on_disk()?.shredded_at_open.extend(known);
            }
            Err(error) => {
                self.has_work.store(true, Ordering::Relaxed);
                tracing::warn!(%error, "a shred is still unfinished");
            }
        }
        Ok(())
    }
}
