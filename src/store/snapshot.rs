//! A snapshot: the store as it was after one operation, for as long as somebody holds it.

use std::fmt;
use std::ops::ControlFlow;

use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::ids::{CollectionId, Lsn};
use crate::live_set::{Collection, Version};
use crate::page_cache::PageCache;
use crate::row::{Record, RecordRef};
use crate::row_cursor::RowCursor;
use crate::scan_range::ScanRange;
use crate::segment::Columns;
use crate::store::Store;
use crate::store::scan::{PayloadScan, Scan};
use crate::sync::{Arc, reading};

/// A read view: every call answers as of one LSN, whatever is written, dropped, checkpointed or
/// compacted meanwhile. Cheap to clone.
///
/// It keeps the files it reads from, so a store that holds many old snapshots takes more space,
/// and it keeps the store open: the lock is given back when the last handle and the last snapshot
/// are dropped, or by [`Store::close`], after which a snapshot answers `Closed`.
#[derive(Clone)]
pub struct Snapshot {
    store: Store,
    version: Arc<Version>,
    lsn: Lsn,
}

impl Store {
    /// A view of the store as it is now.
    ///
    /// # Errors
    /// `Closed`.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], b"old")?;
    /// let before = store.snapshot()?;
    /// store.upsert(id, "x", &[2.0], b"new")?;
    /// assert_eq!(before.get_payload(id, "x")?.as_deref(), Some(b"old".as_slice()));
    /// assert_eq!(store.get_payload(id, "x")?.as_deref(), Some(b"new".as_slice()));
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.check_open()?;
        let live = reading(&self.inner.live)?;
        Ok(Snapshot { store: self.clone(), version: Arc::clone(&live.version), lsn: live.last })
    }
}

impl Snapshot {
    /// LSN of the last operation that this view shows.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// As [`Store::get`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get(&self, id: CollectionId, external_id: &str) -> Result<Option<Record>> {
        self.get_with(id, external_id, |row| row.to_record())
    }

    /// As [`Store::get_with`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_with<R>(
        &self,
        id: CollectionId,
        external_id: &str,
        see: impl FnOnce(RecordRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let (collection, cache) = self.collection(id)?;
        collection.get_with(cache, external_id, self.lsn, see)
    }

    /// As [`Store::get_many`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_many(&self, id: CollectionId, external_ids: &[&str]) -> Result<Vec<Option<Record>>> {
        // Also where no row is asked for, the collection has to be there.
        self.collection(id)?;
        external_ids.iter().map(|external_id| self.get(id, external_id)).collect()
    }

    /// As [`Store::get_vector`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_vector(&self, id: CollectionId, external_id: &str) -> Result<Option<Vec<f32>>> {
        let (collection, cache) = self.collection(id)?;
        collection.get_vector(cache, external_id, self.lsn)
    }

    /// As [`Store::get_payload`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_payload(&self, id: CollectionId, external_id: &str) -> Result<Option<Vec<u8>>> {
        let (collection, cache) = self.collection(id)?;
        collection.get_payload(cache, external_id, self.lsn)
    }

    fn collection(&self, id: CollectionId) -> Result<(&Collection, &PageCache)> {
        self.store.check_open()?;
        Ok((self.version.collection(id)?, &self.store.inner.cache))
    }

    /// As [`Store::scan`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn scan(&self, id: CollectionId) -> Result<Scan> {
        self.scan_range(id, ScanRange::all())
    }

    /// As [`Store::scan_range`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn scan_range(&self, id: CollectionId, range: ScanRange) -> Result<Scan> {
        let dtype = self.descriptor(id)?.dtype;
        let columns = Columns { vectors: true, payloads: true };
        Ok(Scan::new(self.cursor(id, range, columns)?, dtype))
    }

    /// As [`Store::scan_payloads`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn scan_payloads(&self, id: CollectionId, range: ScanRange) -> Result<PayloadScan> {
        let columns = Columns { vectors: false, payloads: true };
        Ok(PayloadScan::new(self.cursor(id, range, columns)?))
    }

    /// As [`Store::scan_with`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn scan_with(
        &self,
        id: CollectionId,
        range: ScanRange,
        mut see: impl FnMut(&str, RecordRef<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let dtype = self.descriptor(id)?.dtype;
        let columns = Columns { vectors: true, payloads: true };
        let mut cursor = self.cursor(id, range, columns)?;
        while cursor.advance()? {
            let (id, vector, payload) = cursor.row()?;
            if see(id, RecordRef { vector, payload, dtype }).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// As [`Store::len`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn len(&self, id: CollectionId) -> Result<u64> {
        self.store.check_open()?;
        self.version.collection(id)?.len(&self.store.inner.cache, self.lsn)
    }

    /// Rows of all collections.
    pub(in crate::store) fn rows(&self) -> Result<u64> {
        let cache = &self.store.inner.cache;
        let all = self.version.collections.values();
        all.map(|collection| collection.len(cache, self.lsn)).sum()
    }

    /// As [`Store::is_empty`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn is_empty(&self, id: CollectionId) -> Result<bool> {
        Ok(self.len(id)? == 0)
    }

    /// As [`Store::collection_names`].
    ///
    /// # Errors
    /// `Closed`.
    pub fn collection_names(&self) -> Result<Vec<String>> {
        self.store.check_open()?;
        Ok(self.version.names().cloned().collect())
    }

    /// As [`Store::collection_id`].
    ///
    /// # Errors
    /// `Closed`.
    pub fn collection_id(&self, name: &str) -> Result<Option<CollectionId>> {
        self.store.check_open()?;
        Ok(self.version.id(name))
    }

    /// As [`Store::descriptor`].
    ///
    /// # Errors
    /// Those of [`Store::descriptor`].
    pub fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
        self.store.check_open()?;
        Ok(self.version.collection(id)?.descriptor.clone())
    }

    pub(in crate::store) fn cursor(
        &self,
        id: CollectionId,
        range: ScanRange,
        columns: Columns,
    ) -> Result<RowCursor> {
        self.store.check_open()?;
        let ahead = self.store.inner.options.read_ahead_bytes;
        RowCursor::start(self.version.collection(id)?, self.lsn, range, ahead, columns)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("lsn", &self.lsn()).finish_non_exhaustive()
    }
}
