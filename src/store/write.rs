//! The calls that change something: each is a request to the commit queue, driven at once.

use crate::collection::is_name;
use crate::commit_queue::Work;
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::limits::{COLLECTION_NAME_BYTES_MAX, VECTOR_BYTES_MAX};
use crate::request::{Outcome, Request, Ticket};
use crate::sec::FilterableField;
use crate::store::Store;
use crate::sync::{Arc, reading};
use crate::write_batch::{WriteBatch, check_id, check_payload};

impl Store {
    /// Creates a collection.
    ///
    /// *Units and limits*: a name is 1 to 255 bytes of ASCII letters, digits, `-`, `_` and `.`,
    /// but not `.` or `..`. *Durability*: as [`Store::write`].
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidArgument` for the name or the descriptor; `TooLarge` beyond 65,536
    /// collections; those of [`Store::write`].
    ///
    /// # Examples
    /// ```
    /// use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// let store = Store::open_with(Env::memory(), Options::default())?;
    /// let schema = Descriptor::new(128, Dtype::F32, DistanceMetric::Cosine);
    /// let id = store.create_collection("articles", schema)?;
    /// assert_eq!(store.collection_id("articles")?, Some(id));
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn create_collection(&self, name: &str, descriptor: Descriptor) -> Result<CollectionId> {
        let name = name.to_owned();
        match self.commit(Request::CreateCollection { name, descriptor })? {
            Outcome::Created { id, .. } => Ok(id),
            other => unreachable!("a creation was answered with {other:?}"),
        }
    }

    /// Drops a collection and all its rows; whether it was there.
    ///
    /// *Durability*: as [`Store::write`]. Its id is never given again. Its space is freed by the next
    /// checkpoint, which follows at once where the disk was found full.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn drop_collection(&self, name: &str) -> Result<bool> {
        match self.commit(Request::DropCollection { name: name.to_owned() })? {
            Outcome::Dropped { existed, .. } => Ok(existed),
            other => unreachable!("a drop was answered with {other:?}"),
        }
    }

    /// As [`Store::drop_collection`], of a collection whose name is not known, because its key is
    /// missing or its schema cannot be read.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn drop_collection_by_id(&self, id: CollectionId) -> Result<bool> {
        match self.commit(Request::DropCollectionById { id })? {
            Outcome::Dropped { existed, .. } => Ok(existed),
            other => unreachable!("a drop was answered with {other:?}"),
        }
    }

    /// Gives a collection another name; its id stays.
    ///
    /// *Units and limits*: names as in [`Store::create_collection`]. *Durability*: as
    /// [`Store::write`].
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if the new name is in use, also by the collection itself;
    /// `InvalidArgument` for the new name; those of [`Store::write`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.rename_collection("a", "b")?;
    /// assert_eq!(store.collection_id("b")?, Some(id));
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn rename_collection(&self, name: &str, new_name: &str) -> Result<()> {
        let (name, new_name) = (name.to_owned(), new_name.to_owned());
        match self.commit(Request::RenameCollection { name, new_name })? {
            Outcome::Altered { .. } => Ok(()),
            other => unreachable!("a new name was answered with {other:?}"),
        }
    }

    /// Declares one more filterable field of a collection. Filters may name it at once: in rows that
    /// were sealed before, each payload is looked into, until they are merged, which happens in the
    /// background and at [`Store::compact`].
    ///
    /// *Durability*: as [`Store::write`].
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if the path is declared; `InvalidArgument` for a malformed path or
    /// too many fields; those of [`Store::write`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, FilterableField, Options, SecPredicate, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], br#"{"year":1998}"#)?;
    /// store.add_filterable("a", FilterableField::numeric("year"))?;
    /// let recent = SecPredicate::Eq { field: "year".into(), value: 1998_i64.into() };
    /// assert_eq!(store.matching_ids(id, &recent)?, ["x"]);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn add_filterable(&self, name: &str, field: FilterableField) -> Result<()> {
        match self.commit(Request::AddFilterable { name: name.to_owned(), field })? {
            Outcome::Altered { .. } => Ok(()),
            other => unreachable!("a new field was answered with {other:?}"),
        }
    }

    /// Inserts or replaces one row; its LSN. The elements are converted to the collection's type; see
    /// [`crate::Dtype`].
    ///
    /// *Units and limits*: as many elements as the dimension; in a collection of several vectors a
    /// row, a multiple of it.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(2, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "doc-1", &[0.25, 0.5], br#"{"lang":"en"}"#)?;
    /// assert_eq!(store.get(id, "doc-1")?.expect("just written").vector, [0.25, 0.5]);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn upsert(
        &self,
        id: CollectionId,
        external_id: &str,
        vector: &[f32],
        payload: &[u8],
    ) -> Result<Lsn> {
        let mut batch = WriteBatch::new();
        batch.upsert(id, external_id, vector, payload);
        self.write(batch)
    }

    /// Inserts or replaces one row whose vector is given as it is to be stored, in the form of the
    /// collection's [`crate::Dtype`]; its LSN.
    ///
    /// # Errors
    /// Those of [`Store::write`]; `InvalidArgument` for another length, or for bits of a binary vector
    /// that are no elements.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// let schema = Descriptor::new(10, Dtype::Binary, DistanceMetric::L2);
    /// let id = store.create_collection("bits", schema)?;
    /// store.upsert_raw(id, "x", &[0b1000_0001, 0b10], b"")?;
    /// let vector = store.get_vector(id, "x")?.expect("just written");
    /// assert_eq!(vector, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn upsert_raw(
        &self,
        id: CollectionId,
        external_id: &str,
        vector: &[u8],
        payload: &[u8],
    ) -> Result<Lsn> {
        let mut batch = WriteBatch::new();
        batch.upsert_raw(id, external_id, vector, payload);
        self.write(batch)
    }

    /// Inserts a row where there is none of its id; whether it did.
    ///
    /// *Durability*: as [`Store::write`]. Nothing is written where the row is there.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// assert!(store.put_if_absent(id, "x", &[1.0], b"first")?);
    /// assert!(!store.put_if_absent(id, "x", &[2.0], b"second")?);
    /// assert_eq!(store.get_payload(id, "x")?.as_deref(), Some(&b"first"[..]));
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn put_if_absent(
        &self,
        id: CollectionId,
        external_id: &str,
        vector: &[f32],
        payload: &[u8],
    ) -> Result<bool> {
        self.changes(Request::PutIfAbsent {
            collection: id,
            external_id: external_id.to_owned(),
            vector: vector.to_vec(),
            payload: payload.to_vec(),
        })
    }

    /// Replaces the payload of a row, whose vector stays as it is; whether the row was there.
    ///
    /// *Durability*: as [`Store::write`]. Nothing is written where there is no such row.
    ///
    /// # Errors
    /// Those of [`Store::write`]; `Io` and `Corrupt` if the vector could not be read.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], b"old")?;
    /// assert!(store.update_payload(id, "x", b"new")?);
    /// assert!(!store.update_payload(id, "nobody", b"new")?);
    /// let row = store.get(id, "x")?.expect("it is there");
    /// assert_eq!((row.vector.as_slice(), row.payload.as_slice()), (&[1.0][..], &b"new"[..]));
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn update_payload(
        &self,
        id: CollectionId,
        external_id: &str,
        payload: &[u8],
    ) -> Result<bool> {
        self.changes(Request::UpdatePayload {
            collection: id,
            external_id: external_id.to_owned(),
            payload: payload.to_vec(),
        })
    }

    /// Commits a request that may come to nothing; whether it came to something.
    fn changes(&self, request: Request) -> Result<bool> {
        match self.commit(request)? {
            Outcome::Written { .. } => Ok(true),
            Outcome::Unchanged => Ok(false),
            other => unreachable!("a change of a row was answered with {other:?}"),
        }
    }

    /// Inserts or replaces rows of one collection, all or none; how many.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn upsert_batch(&self, id: CollectionId, rows: &[(&str, &[f32], &[u8])]) -> Result<u64> {
        let mut batch = WriteBatch::new();
        for (external_id, vector, payload) in rows {
            batch.upsert(id, external_id, vector, payload);
        }
        if rows.is_empty() {
            self.descriptor(id)?;
            return Ok(0);
        }
        self.write(batch)?;
        Ok(rows.len() as u64)
    }

    /// Removes one row; whether it was live.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn delete(&self, id: CollectionId, external_id: &str) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.delete(id, external_id);
        match self.commit(batch)? {
            Outcome::Written { hits, .. } => Ok(hits > 0),
            other => unreachable!("a delete was answered with {other:?}"),
        }
    }

    /// Removes rows of one collection, all or none; how many were live.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// store.upsert(id, "x", &[1.0], b"")?;
    /// assert_eq!(store.delete_batch(id, &["x", "nobody"])?, 1);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn delete_batch(&self, id: CollectionId, external_ids: &[&str]) -> Result<u64> {
        let mut batch = WriteBatch::new();
        for external_id in external_ids {
            batch.delete(id, external_id);
        }
        if external_ids.is_empty() {
            self.descriptor(id)?;
            return Ok(0);
        }
        match self.commit(batch)? {
            Outcome::Written { hits, .. } => Ok(hits),
            other => unreachable!("a delete was answered with {other:?}"),
        }
    }

    /// Writes a batch, all or none; the LSN of its last operation.
    ///
    /// *Durability*: if it returned `Ok`, the batch survives power loss. If the crash came during
    /// the call, the whole batch is there or nothing of it.
    ///
    /// # Errors
    /// `NotFound` for a collection that is not there; `InvalidArgument` for an empty batch, an id
    /// or a vector of the wrong length; `TooLarge` beyond a limit; `Full` and `Io`: not written,
    /// try again; `Unknown`: it may or may not be there after a reopen; `Latched`: not written,
    /// reopen first; `Closed`.
    pub fn write(&self, batch: WriteBatch) -> Result<Lsn> {
        match self.commit(batch)? {
            Outcome::Written { last_lsn, .. } => Ok(last_lsn),
            other => unreachable!("a write was answered with {other:?}"),
        }
    }

    /// Enqueues a request without touching the disk. It is committed, in the order of submission, when
    /// its [`Ticket`] is waited for or awaited, when somebody calls [`Store::drive`], or along with the
    /// write of another thread.
    ///
    /// # Errors
    /// What can be told without the disk: `NotFound`, `InvalidArgument`, `TooLarge`, `Closed`.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store, WriteBatch};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// let tickets = ["x", "y", "z"].map(|row| {
    ///     let mut batch = WriteBatch::new();
    ///     batch.upsert(id, row, &[1.0], b"");
    ///     store.submit(batch)
    /// });
    /// assert_eq!(store.drive()?, 3, "one group, one sync");
    /// for ticket in tickets {
    ///     assert!(matches!(ticket?.poll(), Some(Ok(_))));
    /// }
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn submit(&self, request: impl Into<Request>) -> Result<Ticket> {
        let work = self.prepare(request.into(), false)?;
        self.inner.enqueue(work)
    }

    /// Validates and serialises a request, outside any lock. Where `looks_below`, what the hits of
    /// its deletions rest on is read here, so that the leader of its group need not.
    pub(super) fn prepare(&self, request: Request, looks_below: bool) -> Result<Work> {
        self.check_open()?;
        match request {
            Request::Write(batch) => {
                let inner = &*self.inner;
                let version = Arc::clone(&reading(&inner.live)?.version);
                let deletes = batch.deletes();
                let frees_space = deletes == batch.len();
                let descriptor = |id| version.collection(id).map(|found| &found.descriptor);
                let bytes_max = inner.options.batch_bytes_max;
                let batch = batch.finish(bytes_max, &inner.spares, descriptor)?;
                let below = match deletes > 0 && looks_below {
                    true => Some(version.below(&inner.cache, &batch)?),
                    false => None,
                };
                Ok(Work::Write { batch, deletes: deletes > 0, frees_space, below })
            }
            Request::CreateCollection { name, descriptor } => {
                check_name(&name)?;
                descriptor.validate()?;
                Ok(Work::Create { name, descriptor })
            }
            Request::PutIfAbsent { collection, external_id, vector, payload } => {
                let mut batch = WriteBatch::new();
                batch.upsert(collection, &external_id, &vector, &payload);
                match self.prepare(batch.into(), false)? {
                    Work::Write { batch, .. } => Ok(Work::Put { collection, external_id, batch }),
                    other => unreachable!("a batch became {other:?}"),
                }
            }
            Request::UpdatePayload { collection, external_id, payload } => {
                check_id(&external_id)?;
                check_payload(&payload)?;
                let version = Arc::clone(&reading(&self.inner.live)?.version);
                let stride = version.collection(collection)?.descriptor.row_stride();
                let vector_bytes_max =
                    if stride.is_multi { VECTOR_BYTES_MAX } else { stride.bytes };
                Ok(Work::UpdatePayload { collection, external_id, payload, vector_bytes_max })
            }
            Request::DropCollection { name } => Ok(Work::Drop { name, shreds: false }),
            Request::DropCollectionById { id } => Ok(Work::DropById { id }),
            Request::ShredCollection { name } => Ok(Work::Drop { name, shreds: true }),
            Request::RenameCollection { name, new_name } => {
                check_name(&new_name)?;
                Ok(Work::Rename { name, new_name })
            }
            Request::AddFilterable { name, field } => {
                field.validate()?;
                Ok(Work::AddFilterable { name, field })
            }
        }
    }

    /// Submits a request and waits for its answer, leading a commit where nobody else does.
    pub(super) fn commit(&self, request: impl Into<Request>) -> Result<Outcome> {
        let work = self.prepare(request.into(), true)?;
        self.inner.commit_work(work)
    }
}

/// The last LSN that a request took.
pub(super) fn last_lsn_of(outcome: &Outcome) -> Option<Lsn> {
    match *outcome {
        Outcome::Written { last_lsn, .. } => Some(last_lsn),
        Outcome::Created { lsn, .. } | Outcome::Altered { lsn, .. } => Some(lsn),
        Outcome::Dropped { lsn, .. } => lsn,
        Outcome::Unchanged => None,
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(Error::invalid(format!(
        "collection name {shown:?}: expected 1 to {COLLECTION_NAME_BYTES_MAX} ASCII letters, \
         digits, `-`, `_` or `.`, and not `.` or `..`"
    )))
}
