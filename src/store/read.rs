//! The calls that change nothing. None of them waits for the disk.

use std::collections::VecDeque;

use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::file_names::{CURRENT, FileName};
use crate::ids::{CollectionId, ManifestVersion};
use crate::segment::Rows;
use crate::store::on_disk::files_of;
use crate::store::{Stats, Store};
use crate::sync::{Arc, reading};

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The vector, bit-exact as it was written.
    pub vector: Vec<f32>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Record {
    fn from_value(value: &[u8], stride: usize) -> Self {
        let (vector, payload) = value.split_at(stride);
        let elements = vector.as_chunks::<4>().0.iter();
        let vector = elements.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Self { vector, payload: payload.to_vec() }
    }
}

/// The rows of a collection in ascending order of the bytes of their ids, as they were when the
/// scan started.
#[derive(Debug)]
pub struct Scan {
    rows: Arc<Rows>,
    stride: usize,
    /// Rows taken out of the map, a run at a time, and the last of them.
    ahead: VecDeque<(Box<str>, Arc<[u8]>)>,
    last: Option<Box<str>>,
    left: usize,
}

/// How many rows a scan takes out of the map at a time.
const SCAN_RUN_ROWS: usize = 256;

impl Scan {
    fn read_ahead(&mut self) {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.last.as_deref().map_or(Unbounded, Excluded);
        let run = self.rows.range::<str, _>((from, Unbounded)).take(SCAN_RUN_ROWS);
        self.ahead.extend(run.map(|(id, value)| (id.clone(), Arc::clone(value))));
        self.last = self.ahead.back().map(|(id, _)| id.clone());
    }
}

impl Iterator for Scan {
    type Item = Result<(String, Record)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ahead.is_empty() && self.left > 0 {
            self.read_ahead();
        }
        let (id, value) = self.ahead.pop_front()?;
        self.left -= 1;
        Some(Ok((id.into(), Record::from_value(&value, self.stride))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl Store {
    /// One row, if it is live.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `Closed`.
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
        self.check_open()?;
        let live = reading(&self.inner.live)?;
        let collection = live.collection(id)?;
        let stride = collection.descriptor.stride();
        let value = collection.rows.get(external_id).cloned();
        drop(live);
        Ok(value.map(|value| Record::from_value(&value, stride)))
    }

    /// All rows of a collection in id order, as they are now: later writes do not show.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `Closed`.
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
        self.check_open()?;
        let live = reading(&self.inner.live)?;
        let collection = live.collection(id)?;
        Ok(Scan {
            rows: Arc::clone(&collection.rows),
            stride: collection.descriptor.stride(),
            ahead: VecDeque::new(),
            last: None,
            left: collection.rows.len(),
        })
    }

    /// How many rows a collection has.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `Closed`.
    pub fn len(&self, id: CollectionId) -> Result<u64> {
        self.check_open()?;
        Ok(reading(&self.inner.live)?.collection(id)?.rows.len() as u64)
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
        self.check_open()?;
        Ok(reading(&self.inner.live)?.names().cloned().collect())
    }

    /// The id of a collection, if there is one of that name.
    ///
    /// # Errors
    /// `Closed`.
    pub fn collection_id(&self, name: &str) -> Result<Option<CollectionId>> {
        self.check_open()?;
        Ok(reading(&self.inner.live)?.id(name))
    }

    /// The schema of a collection.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `Closed`.
    pub fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
        self.check_open()?;
        Ok(reading(&self.inner.live)?.collection(id)?.descriptor.clone())
    }

    /// The version of the newest manifest. Waits for a commit or publish that is under way.
    ///
    /// # Errors
    /// `Closed`.
    pub fn manifest_version(&self) -> Result<ManifestVersion> {
        Ok(self.lock_on_disk()?.manifest.version)
    }

    /// Figures of the store. Waits for a commit or publish that is under way.
    ///
    /// # Errors
    /// `Closed`.
    pub fn stats(&self) -> Result<Stats> {
        let on_disk = self.lock_on_disk()?;
        let live = reading(&self.inner.live)?;
        let manifest = &on_disk.manifest;
        let named = files_of(manifest).map(FileName::text);
        Ok(Stats {
            last_lsn: live.last,
            log_files: manifest.logs.len() as u64,
            log_bytes: on_disk.log.as_ref().map_or(0, |log| log.bytes()),
            segments: manifest.segments.len() as u64,
            manifest_version: manifest.version,
            rows: live.collections.values().map(|found| found.rows.len() as u64).sum(),
            files: std::iter::once(CURRENT.to_owned()).chain(named).collect(),
            orphans: on_disk.orphans.len() as u64,
            latched: on_disk.latched.clone(),
        })
    }
}
