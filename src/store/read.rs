//! The calls that change nothing. None of them waits for a writer, a checkpoint or a merge.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::collection::Collection;
use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::file_names::{CURRENT, FileName};
use crate::ids::{CollectionId, KeyId, Lsn, ManifestVersion};
use crate::row::{Record, RecordRef};
use crate::scan_range::ScanRange;
use crate::sec::SecPredicate;
use crate::store::on_disk::files_of;
use crate::store::reclaim::is_held;
use crate::store::scan::{PayloadScan, Scan};
use crate::store::vector_source::VectorSource;
use crate::store::{Stats, Store};
use crate::sync::{Arc, locked, reading};

impl Store {
    /// One row, if it is live.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `Io` and `Corrupt` from the disk, of which the
    /// latter has the collection take no more writes, until its file is put back and the store is
    /// opened again; `Closed`.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// assert_eq!(store.get(id, "nobody")?, None);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn get(&self, id: CollectionId, external_id: &str) -> Result<Option<Record>> {
        self.get_with(id, external_id, |row| row.to_record())
    }

    /// One row, if it is live, shown without a copy of its own.
    ///
    /// # Errors
    /// Those of [`Store::get`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], b"payload")?;
    /// assert_eq!(store.get_with(id, "x", |row| row.payload.len())?, Some(7));
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn get_with<R>(
        &self,
        id: CollectionId,
        external_id: &str,
        see: impl FnOnce(RecordRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let (collection, last) = self.collection(id)?;
        collection.get_with(&self.inner.cache, external_id, last, see)
    }

    /// Several rows as of one moment, in the order of the ids asked for.
    ///
    /// # Errors
    /// Those of [`Store::get`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], b"")?;
    /// let found = store.get_many(id, &["nobody", "x"])?;
    /// assert!(found[0].is_none() && found[1].is_some());
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn get_many(&self, id: CollectionId, external_ids: &[&str]) -> Result<Vec<Option<Record>>> {
        self.snapshot()?.get_many(id, external_ids)
    }

    /// The vector of a row, if it is live; its payload is not read.
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_vector(&self, id: CollectionId, external_id: &str) -> Result<Option<Vec<f32>>> {
        let (collection, last) = self.collection(id)?;
        collection.get_vector(&self.inner.cache, external_id, last)
    }

    /// The payload of a row, if it is live; its vector is not read.
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn get_payload(&self, id: CollectionId, external_id: &str) -> Result<Option<Vec<u8>>> {
        let (collection, last) = self.collection(id)?;
        collection.get_payload(&self.inner.cache, external_id, last)
    }

    /// All rows of a collection in id order, as they are now: later writes do not show.
    ///
    /// # Errors
    /// Those of [`Store::get`]; reading on may fail too, which ends the iterator.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "b", &[2.0], b"")?;
    /// store.upsert(id, "a", &[1.0], b"")?;
    /// let ids: Vec<String> = store.scan(id)?.map(|row| row.map(|(id, _)| id)).collect::<Result<_, _>>()?;
    /// assert_eq!(ids, ["a", "b"]);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn scan(&self, id: CollectionId) -> Result<Scan> {
        self.snapshot()?.scan(id)
    }

    /// The rows of a range in id order, as they are now.
    ///
    /// # Errors
    /// Those of [`Store::scan`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, ScanRange, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// for name in ["a/1", "a/2", "b/1"] {
    ///     store.upsert(id, name, &[0.0], b"")?;
    /// }
    /// let range = ScanRange::all().prefix("a/").after("a/1");
    /// assert_eq!(store.scan_range(id, range)?.count(), 1);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn scan_range(&self, id: CollectionId, range: ScanRange) -> Result<Scan> {
        self.snapshot()?.scan_range(id, range)
    }

    /// Ids and payloads of a range in id order; no vector is read.
    ///
    /// # Errors
    /// Those of [`Store::scan`].
    pub fn scan_payloads(&self, id: CollectionId, range: ScanRange) -> Result<PayloadScan> {
        self.snapshot()?.scan_payloads(id, range)
    }

    /// The ids of all rows whose payload holds a predicate, in ascending order of their bytes, as they
    /// are now.
    ///
    /// *Units and limits*: what it costs grows with the answer and with the rows written since the last
    /// checkpoint. In rows that were sealed before a field was declared each payload is looked into,
    /// until they are merged.
    ///
    /// # Errors
    /// `InvalidArgument` for a field that is not declared or a value of another type; those of
    /// [`Store::get`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, FilterableField, Options, SecPredicate, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2)
    ///     .with_filterable([FilterableField::keyword("lang")]);
    /// let id = store.create_collection("a", schema)?;
    /// store.upsert(id, "x", &[1.0], br#"{"lang":"en"}"#)?;
    /// store.upsert(id, "y", &[2.0], br#"{"lang":["de","en"]}"#)?;
    /// let english = SecPredicate::Eq { field: "lang".into(), value: "en".into() };
    /// assert_eq!(store.matching_ids(id, &english)?, ["x", "y"]);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn matching_ids(&self, id: CollectionId, predicate: &SecPredicate) -> Result<Vec<String>> {
        self.snapshot()?.matching_ids(id, predicate)
    }

    /// Shows the rows of a range in id order without copies of their own, until `see` breaks off.
    ///
    /// # Errors
    /// Those of [`Store::get`].
    ///
    /// # Examples
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, ScanRange, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], b"12")?;
    /// store.upsert(id, "y", &[1.0], b"345")?;
    /// let mut bytes = 0;
    /// store.scan_with(id, ScanRange::all(), |_, row| {
    ///     bytes += row.payload.len();
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(bytes, 5);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn scan_with(
        &self,
        id: CollectionId,
        range: ScanRange,
        see: impl FnMut(&str, RecordRef<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.snapshot()?.scan_with(id, range, see)
    }

    /// The vectors of a collection as they are now, for building an index: any number of passes,
    /// in id order, while writes go on.
    ///
    /// # Errors
    /// Those of [`Store::get`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(2, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0, 2.0], b"")?;
    /// let source = store.capture_vector_source(id)?;
    /// for _pass in 0..2 {
    ///     assert_eq!(source.iter().next().expect("one row").1, [1.0, 2.0]);
    ///     assert!(source.take_error().is_none());
    /// }
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn capture_vector_source(&self, id: CollectionId) -> Result<VectorSource> {
        self.snapshot()?.capture_vector_source(id)
    }

    /// How many rows a collection has.
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub fn len(&self, id: CollectionId) -> Result<u64> {
        let (collection, last) = self.collection(id)?;
        collection.len(&self.inner.cache, last)
    }

    /// Whether a collection has no rows; errors as [`Store::len`].
    ///
    /// # Errors
    /// As [`Store::len`].
    pub fn is_empty(&self, id: CollectionId) -> Result<bool> {
        Ok(self.len(id)? == 0)
    }

    /// The names of all collections, sorted.
    ///
    /// # Errors
    /// `Closed`.
    pub fn collection_names(&self) -> Result<Vec<String>> {
        self.snapshot()?.collection_names()
    }

    /// The id of a collection, if there is one of that name.
    ///
    /// # Errors
    /// `Closed`.
    pub fn collection_id(&self, name: &str) -> Result<Option<CollectionId>> {
        self.snapshot()?.collection_id(name)
    }

    /// The schema of a collection.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `Closed`.
    pub fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
        Ok(self.collection(id)?.0.descriptor.clone())
    }

    /// A collection and the last visible LSN: what a read of one row needs. Of all that threads
    /// share it touches the least, a lock and one count, so that reads do not slow each other down.
    fn collection(&self, id: CollectionId) -> Result<(Arc<Collection>, Lsn)> {
        self.check_open()?;
        let live = reading(&self.inner.live)?;
        Ok((Arc::clone(live.version.collection(id)?), live.last))
    }

    /// The version of the newest manifest. Waits for a commit or publish that is under way.
    ///
    /// # Errors
    /// `Closed`; `InvalidArgument` inside a commit observer.
    pub fn manifest_version(&self) -> Result<ManifestVersion> {
        Ok(self.lock_on_disk()?.manifest.version)
    }

    /// Figures of the store. Waits for a step of background work or a commit that is under way, and
    /// counts rows as [`Store::len`] does; what is damaged it tells.
    ///
    /// # Errors
    /// `Io` from the disk; `Closed`; `InvalidArgument` inside a commit observer; `Latched` if a thread
    /// panicked inside the store.
    pub fn stats(&self) -> Result<Stats> {
        // Before the lock of the jobs: a step that publishes holds it while it shows a checkpoint.
        self.inner.observing.check_outside()?;
        let snapshot = self.snapshot()?;
        let rows = snapshot.rows()?;
        let jobs = locked(&self.inner.jobs).map_err(|error| self.inner.told(error))?;
        let on_disk = self.lock_on_disk()?;
        let manifest = &on_disk.manifest;
        let named: BTreeSet<String> = files_of(manifest).map(FileName::text).collect();
        // The log names keys before a manifest does.
        let live = reading(&self.inner.live)?;
        let keys = live.version.collections.values().map(|found| found.key);
        let keys = keys.filter(|key| *key != KeyId::NONE).map(|key| FileName::Key(key).text());
        let of_log: Vec<String> = keys.filter(|name| !named.contains(name)).collect();
        drop(live);
        let reserve = on_disk.reserve.name();
        let pinned = on_disk.orphans.iter().filter(|name| is_held(&on_disk, name)).count() as u64;
        Ok(Stats {
            last_lsn: snapshot.lsn(),
            log_files: manifest.logs.len() as u64,
            log_bytes: on_disk.log.as_ref().map_or(0, |log| log.bytes()),
            segments: manifest.segments.len() as u64,
            tombstones: manifest.tombstones.len() as u64,
            memtable_bytes: on_disk.memtable_bytes as u64,
            checkpoints: jobs.checkpoints,
            merges: jobs.merges,
            log_switches: jobs.log_switches,
            pinned,
            reserve_bytes: reserve.map_or(0, |_| self.inner.options.reserve_bytes),
            manifest_version: manifest.version,
            rows,
            files: std::iter::once(CURRENT.to_owned())
                .chain(named)
                .chain(of_log)
                .chain(reserve.cloned())
                .collect(),
            orphans: (on_disk.orphans.len() + on_disk.key_orphans.len()) as u64 - pinned,
            unfinished_shreds: on_disk.shreds.len() as u64,
            latched: on_disk.latched.clone(),
            background_failure: self.inner.background.failure()?,
            is_read_only: on_disk.is_read_only,
            damaged: snapshot.damaged(),
        })
    }
}
