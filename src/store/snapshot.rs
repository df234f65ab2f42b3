//! A snapshot: the store as it was after one operation, for as long as somebody holds it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use crate::collection::Collection;
use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::live_set::Version;
use crate::matching::Ordinals;
use crate::page_cache::PageCache;
use crate::row::{Record, RecordRef};
use crate::row_cursor::RowCursor;
use crate::scan_range::ScanRange;
use crate::sec::SecPredicate;
use crate::segment::Columns;
use crate::store::Store;
use crate::store::scan::{PayloadScan, Scan};
use crate::sync::{Arc, Mutex, locked, reading};

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
    /// Of the collections that were asked for.
    ordinals: Arc<Mutex<BTreeMap<CollectionId, Arc<Ordinals>>>>,
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
        let (version, lsn) = (Arc::clone(&live.version), live.last);
        Ok(Snapshot { store: self.clone(), version, lsn, ordinals: Arc::default() })
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

    /// Collections that are damaged, and why.
    pub(in crate::store) fn damaged(&self) -> Vec<(CollectionId, String)> {
        let all = self.version.collections.values();
        all.filter_map(|found| Some((found.id, found.damage_met()?.to_string()))).collect()
    }

    /// The ids of all collections.
    pub(in crate::store) fn collection_ids(&self) -> impl Iterator<Item = CollectionId> {
        self.version.collections.keys().copied()
    }

    /// Every collection, also those of which nothing is known but their ids.
    pub(in crate::store) fn all_collections(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.version.collections.values()
    }

    /// A collection, also one of which nothing is known but its id.
    pub(in crate::store) fn any_collection(&self, id: CollectionId) -> Option<&Arc<Collection>> {
        self.version.collections.get(&id)
    }

    pub(in crate::store) fn collection_of(&self, id: CollectionId) -> Result<&Arc<Collection>> {
        self.version.collection(id)
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
        let form = self.descriptor(id)?.form();
        let columns = Columns { vectors: true, payloads: true };
        let (cursor, hidden) = self.readable(id, range, columns)?;
        Ok(Scan::new(cursor, hidden, form))
    }

    /// As [`Store::scan_payloads`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn scan_payloads(&self, id: CollectionId, range: ScanRange) -> Result<PayloadScan> {
        let columns = Columns { vectors: false, payloads: true };
        let (cursor, hidden) = self.readable(id, range, columns)?;
        Ok(PayloadScan::new(cursor, hidden))
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
        let form = self.descriptor(id)?.form();
        let columns = Columns { vectors: true, payloads: true };
        let (mut cursor, hidden) = self.readable(id, range, columns)?;
        while cursor.advance()? {
            let (id, vector, payload) = cursor.row()?;
            if see(id, RecordRef::new(vector, payload, form)).is_break() {
                break;
            }
        }
        hidden.map_or(Ok(()), Err)
    }

    /// As [`Store::matching_ids`].
    ///
    /// # Errors
    /// Those of [`Store::matching_ids`].
    pub fn matching_ids(&self, id: CollectionId, predicate: &SecPredicate) -> Result<Vec<String>> {
        let (collection, cache) = self.collection(id)?;
        let ahead = self.store.inner.options.read_ahead_bytes;
        collection.matching_ids(cache, self.lsn, ahead, predicate)
    }

    /// The rows that hold a predicate, by their numbers: row n is the n-th, from 0, that
    /// [`Snapshot::capture_vector_source`] yields.
    ///
    /// *Units and limits*: the first call of a snapshot reads all ids of the collection, and keeps
    /// about four bytes for each row for as long as the snapshot is held; later ones cost what the
    /// answer does.
    ///
    /// # Errors
    /// Those of [`Store::matching_ids`]; `TooLarge` beyond 2^32 rows.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, FilterableField, Options, SecPredicate, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2)
    ///     .with_filterable([FilterableField::boolean("on")]);
    /// let id = store.create_collection("a", schema)?;
    /// store.upsert(id, "x", &[1.0], br#"{"on":false}"#)?;
    /// store.upsert(id, "y", &[2.0], br#"{"on":true}"#)?;
    /// let snapshot = store.snapshot()?;
    /// let is_on = SecPredicate::Eq { field: "on".into(), value: true.into() };
    /// let rows = snapshot.matching_rows(id, &is_on)?;
    /// let vectors = snapshot.capture_vector_source(id)?;
    /// let found: Vec<_> = vectors.iter().zip(0..).filter(|(_, row)| rows.contains(*row)).collect();
    /// assert_eq!(found[0].0.1, [2.0]);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn matching_rows(
        &self,
        id: CollectionId,
        predicate: &SecPredicate,
    ) -> Result<RoaringBitmap> {
        let (collection, cache) = self.collection(id)?;
        let ahead = self.store.inner.options.read_ahead_bytes;
        let ordinals = self.ordinals(id, collection, ahead)?;
        collection.matching_rows(cache, self.lsn, ahead, predicate, &ordinals)
    }

    fn ordinals(
        &self,
        id: CollectionId,
        collection: &Collection,
        read_ahead_bytes: u64,
    ) -> Result<Arc<Ordinals>> {
        if let Some(known) = locked(&self.ordinals)?.get(&id) {
            return Ok(Arc::clone(known));
        }
        // Two first calls at a time both find them out.
        let found = Arc::new(Ordinals::of(collection, self.lsn, read_ahead_bytes)?);
        Ok(Arc::clone(locked(&self.ordinals)?.entry(id).or_insert(found)))
    }

    /// As [`Store::len`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn len(&self, id: CollectionId) -> Result<u64> {
        self.store.check_open()?;
        self.version.collection(id)?.len(&self.store.inner.cache, self.lsn)
    }

    /// Rows of all collections, but of those of which damage hides some.
    pub(in crate::store) fn rows(&self) -> Result<u64> {
        let all = self.version.collections.values();
        let counted = all.map(|collection| {
            let rows = collection.len(&self.store.inner.cache, self.lsn);
            rows.or_else(|error| match error.kind() {
                ErrorKind::Corrupt | ErrorKind::KeyUnavailable => Ok(0),
                _ => Err(error),
            })
        });
        counted.sum()
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
        let (cursor, hidden) = self.readable(id, range, columns)?;
        hidden.map_or(Ok(cursor), Err)
    }

    /// A cursor over the rows that can be read, and why some cannot.
    fn readable(
        &self,
        id: CollectionId,
        range: ScanRange,
        columns: Columns,
    ) -> Result<(RowCursor, Option<Error>)> {
        let (collection, _) = self.collection(id)?;
        let hidden = match collection.check_whole() {
            Err(error) if collection.hides_newer() => return Err(error),
            whole => whole.err(),
        };
        let ahead = self.store.inner.options.read_ahead_bytes;
        let cursor = RowCursor::start(collection, self.lsn, range, ahead, columns)?;
        Ok((cursor, hidden))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("lsn", &self.lsn()).finish_non_exhaustive()
    }
}
