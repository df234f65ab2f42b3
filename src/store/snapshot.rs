//! A snapshot: the store as it was after one operation, for as long as somebody holds it.

use std::fmt;
use std::ops::ControlFlow;

use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::ids::{CollectionId, Lsn};
use crate::live_set::LiveSet;
use crate::row::{Record, RecordRef, elements};
use crate::row_cursor::RowCursor;
use crate::scan_range::ScanRange;
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
    live: Arc<LiveSet>,
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
        let live = Arc::new(reading(&self.inner.live)?.clone());
        Ok(Snapshot { store: self.clone(), live })
    }
}

impl Snapshot {
    /// LSN of the last operation that this view shows.
    pub fn lsn(&self) -> Lsn {
        self.live.last
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
        self.store.check_open()?;
        let collection = self.live.collection(id)?;
        let dtype = collection.descriptor.dtype;
        let value = collection.rows.get(external_id);
        Ok(value.map(|value| {
            let (vector, payload) = value.split_at(collection.descriptor.stride());
            see(RecordRef { vector, payload, dtype })
        }))
    }

    /// As [`Store::get_many`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_many(&self, id: CollectionId, external_ids: &[&str]) -> Result<Vec<Option<Record>>> {
        external_ids.iter().map(|external_id| self.get(id, external_id)).collect()
    }

    /// As [`Store::get_vector`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_vector(&self, id: CollectionId, external_id: &str) -> Result<Option<Vec<f32>>> {
        self.get_with(id, external_id, |row| elements(row.vector, row.dtype))
    }

    /// As [`Store::get_payload`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_payload(&self, id: CollectionId, external_id: &str) -> Result<Option<Vec<u8>>> {
        self.get_with(id, external_id, |row| row.payload.to_vec())
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
        Ok(Scan::new(self.cursor(id, range)?, dtype))
    }

    /// As [`Store::scan_payloads`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn scan_payloads(&self, id: CollectionId, range: ScanRange) -> Result<PayloadScan> {
        Ok(PayloadScan::new(self.cursor(id, range)?))
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
        let mut cursor = self.cursor(id, range)?;
        let mut vector = Vec::new();
        while cursor.advance()? {
            vector.clear();
            vector.extend_from_slice(cursor.vector()?);
            let payload = cursor.payload()?.to_vec();
            let row = RecordRef { vector: &vector, payload: &payload, dtype };
            if see(cursor.id(), row).is_break() {
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
        Ok(self.live.collection(id)?.rows.len() as u64)
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
        Ok(self.live.names().cloned().collect())
    }

    /// As [`Store::collection_id`].
    ///
    /// # Errors
    /// `Closed`.
    pub fn collection_id(&self, name: &str) -> Result<Option<CollectionId>> {
        self.store.check_open()?;
        Ok(self.live.id(name))
    }

    /// As [`Store::descriptor`].
    ///
    /// # Errors
    /// Those of [`Store::descriptor`].
    pub fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
        self.store.check_open()?;
        Ok(self.live.collection(id)?.descriptor.clone())
    }

    pub(in crate::store) fn cursor(&self, id: CollectionId, range: ScanRange) -> Result<RowCursor> {
        self.store.check_open()?;
        let collection = self.live.collection(id)?;
        let stride = collection.descriptor.stride();
        Ok(RowCursor::new(Arc::clone(&collection.rows), stride, range))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("lsn", &self.lsn()).finish_non_exhaustive()
    }
}
