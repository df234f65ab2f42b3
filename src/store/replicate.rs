//! Replication: a store that follows another, operation by operation.
//!
//! A follower keeps the leader's collection ids and gives LSNs of its own. It begins with a
//! [`ReplicationSnapshot`] and goes on with what a commit observer is shown.
//!
//! - R1. An operation is validated as if a caller had asked for it, before anything is logged.
//! - R2. An operation may come again: creating what is there in the same way, dropping what is gone,
//!   a name or a schema that is there already come to nothing; rows are replaced.
//! - R3. A collection id is never given twice. What concerns a collection that was dropped here comes
//!   to nothing; what concerns one that was never here is an error.

use std::collections::VecDeque;
use std::fmt;

use crate::commit_queue::Work;
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::replication::WalOp;
use crate::request::Outcome;
use crate::row_cursor::RowCursor;
use crate::scan_range::ScanRange;
use crate::segment::Columns;
use crate::store::Store;
use crate::store::snapshot::Snapshot;
use crate::store::write::{check_name, last_lsn_of};
use crate::sync::reading;
use crate::write_batch::WriteBatch;

/// The operations that make an empty store equal to a snapshot of another: each collection's creation,
/// and then its rows in ascending order of their ids. Ends behind the first error.
pub struct ReplicationSnapshot {
    snapshot: Snapshot,
    left: VecDeque<CollectionId>,
    rows: Option<(CollectionId, RowCursor)>,
}

impl Store {
    /// The operations that make an empty store equal to this one as it is now.
    ///
    /// To follow on: set an observer first that keeps what it is shown, take the snapshot, apply it,
    /// and then what the observer was shown behind [`ReplicationSnapshot::lsn`].
    ///
    /// # Errors
    /// `Closed`; reading on may fail too.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let leader = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = leader.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// # leader.upsert(id, "x", &[1.0], b"payload")?;
    /// let follower = Store::open_with(Env::memory(), Options::default())?;
    /// for op in leader.replication_snapshot()? {
    ///     follower.apply_replicated(op?)?;
    /// }
    /// assert_eq!(follower.get(id, "x")?, leader.get(id, "x")?);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn replication_snapshot(&self) -> Result<ReplicationSnapshot> {
        let snapshot = self.snapshot()?;
        let left = snapshot.collection_ids().collect();
        Ok(ReplicationSnapshot { snapshot, left, rows: None })
    }

    /// Does what another store did; the LSN of it here, or none where there was nothing to do.
    ///
    /// An operation may be applied again: what is so already comes to nothing. One on a collection that
    /// was dropped here comes to nothing too. One exception: a rename that comes again when another
    /// collection has the name since is `AlreadyExists`, for it cannot be told from one that was never
    /// possible. So note the position behind an operation on a collection before the next is applied, as
    /// `examples/replicate.rs` does. [`WalOp::Checkpoint`] comes to nothing.
    ///
    /// *Durability*: as [`Store::write`].
    ///
    /// # Errors
    /// `NotFound` for a collection that was never here; `AlreadyExists` for a name or an id that
    /// another collection has; `InvalidArgument` and `TooLarge` for what contradicts the schema or a
    /// limit: nothing is logged then; those of [`Store::write`].
    pub fn apply_replicated(&self, op: WalOp) -> Result<Option<Lsn>> {
        self.apply_replicated_batch(vec![op])
    }

    /// As [`Store::apply_replicated`], of several changes of rows that commit together, or of one
    /// operation of another kind.
    ///
    /// # Errors
    /// Those of [`Store::apply_replicated`]; `InvalidArgument` for an operation on a collection among
    /// several.
    pub fn apply_replicated_batch(&self, ops: Vec<WalOp>) -> Result<Option<Lsn>> {
        let mut ops = ops;
        ops.retain(|op| !matches!(op, WalOp::Checkpoint { .. }));
        if ops.len() > 1 && !ops.iter().all(WalOp::is_of_a_row) {
            let what = "an operation on a collection is applied by itself";
            return Err(Error::invalid(what));
        }
        let work = match ops.pop() {
            None => return Ok(None),
            Some(last) if last.is_of_a_row() => {
                ops.push(last);
                match self.replicated_rows(&ops)? {
                    Some(work) => work,
                    None => return Ok(None),
                }
            }
            Some(op) => {
                check_catalog(&op)?;
                Work::Replicated { op }
            }
        };
        Ok(match self.inner.commit_work(work)? {
            Outcome::Unchanged => None,
            outcome => last_lsn_of(&outcome),
        })
    }

    /// Changes of rows, without those of collections that were dropped here (R3).
    fn replicated_rows(&self, ops: &[WalOp]) -> Result<Option<Work>> {
        let given = self.lock_on_disk()?.next_collection;
        let version = crate::sync::Arc::clone(&reading(&self.inner.live)?.version);
        let is_gone = |id: &CollectionId| *id < given && !version.collections.contains_key(id);
        let mut batch = WriteBatch::new();
        for op in ops {
            match op {
                WalOp::Upsert { collection_id, external_id, vector, payload } => {
                    if !is_gone(collection_id) {
                        batch.upsert_raw(*collection_id, external_id, vector, payload);
                    }
                }
                WalOp::Delete { collection_id, external_id } => {
                    if !is_gone(collection_id) {
                        batch.delete(*collection_id, external_id);
                    }
                }
                other => unreachable!("{other:?} is of no row"),
            }
        }
        if batch.is_empty() && !batch.is_refused() {
            return Ok(None);
        }
        self.prepare(batch.into(), true).map(Some)
    }

    /// The operation that [`Store::create_collection`] would log now; nothing is changed. The id is not
    /// set aside: of two that are prepared before one is applied only the first creates a collection.
    /// The other is taken for the same one, renamed since, and comes to nothing where their schemas
    /// are alike; else it is refused. So apply the one before you prepare the next.
    ///
    /// # Errors
    /// Those of [`Store::create_collection`] that can be told without the disk.
    pub fn prepare_create_collection(&self, name: &str, descriptor: Descriptor) -> Result<WalOp> {
        check_name(name)?;
        descriptor.validate()?;
        let snapshot = self.snapshot()?;
        if snapshot.collection_id(name)?.is_some() {
            let kind = crate::error::ErrorKind::AlreadyExists;
            return Err(Error::new(kind, format!("collection {name} exists")));
        }
        let collection_id = self.lock_on_disk()?.next_collection;
        Ok(WalOp::CreateCollection { collection_id, name: name.to_owned(), descriptor })
    }

    /// The operation that [`Store::upsert`] would log now; nothing is changed.
    ///
    /// # Errors
    /// Those of [`Store::upsert`] that can be told without the disk.
    pub fn prepare_upsert(
        &self,
        id: CollectionId,
        external_id: &str,
        vector: &[f32],
        payload: &[u8],
    ) -> Result<WalOp> {
        let mut batch = WriteBatch::new();
        batch.upsert(id, external_id, vector, payload);
        self.prepared_row(batch)
    }

    /// The operation that [`Store::delete`] would log now; nothing is changed.
    ///
    /// # Errors
    /// Those of [`Store::delete`] that can be told without the disk.
    pub fn prepare_delete(&self, id: CollectionId, external_id: &str) -> Result<WalOp> {
        let mut batch = WriteBatch::new();
        batch.delete(id, external_id);
        self.prepared_row(batch)
    }

    fn prepared_row(&self, batch: WriteBatch) -> Result<WalOp> {
        match self.prepare(batch.into(), false)? {
            Work::Write { batch, .. } => {
                let mut prepared = None;
                crate::replication::entries(Lsn(1), &batch, |entry| {
                    prepared = Some(entry.op);
                    Ok(())
                })?;
                Ok(prepared.expect("a batch of one record"))
            }
            other => unreachable!("a batch became {other:?}"),
        }
    }
}

/// Holds an operation on a collection against the limits (R1).
fn check_catalog(op: &WalOp) -> Result<()> {
    match op {
        WalOp::CreateCollection { collection_id, name, descriptor } => {
            let most = crate::limits::NUMBER_MAX / 2;
            if !(1..most).contains(&collection_id.0) {
                let what = format!("collection id {collection_id}, expected 1 to {most}");
                return Err(Error::invalid(what));
            }
            check_name(name)?;
            descriptor.validate()
        }
        WalOp::RenameCollection { name, .. } => check_name(name),
        WalOp::AlterCollection { descriptor, .. } => descriptor.validate(),
        _ => Ok(()),
    }
}

impl ReplicationSnapshot {
    /// LSN, of the store that it is taken from, of the last operation that it shows.
    pub fn lsn(&self) -> Lsn {
        self.snapshot.lsn()
    }

    fn step(&mut self) -> Result<Option<WalOp>> {
        if let Some((collection_id, cursor)) = &mut self.rows
            && cursor.advance()?
        {
            let (id, vector, payload) = cursor.row()?;
            return Ok(Some(WalOp::Upsert {
                collection_id: *collection_id,
                external_id: id.to_owned(),
                vector: vector.to_vec(),
                payload: payload.to_vec(),
            }));
        }
        self.rows = None;
        let Some(collection_id) = self.left.pop_front() else { return Ok(None) };
        let columns = Columns { vectors: true, payloads: true };
        let cursor = self.snapshot.cursor(collection_id, ScanRange::all(), columns)?;
        self.rows = Some((collection_id, cursor));
        let collection = self.snapshot.collection_of(collection_id)?;
        let (name, descriptor) = (collection.name.clone(), collection.descriptor.clone());
        Ok(Some(WalOp::CreateCollection { collection_id, name, descriptor }))
    }
}

impl Iterator for ReplicationSnapshot {
    type Item = Result<WalOp>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if !matches!(step, Ok(Some(_))) {
            self.left.clear();
            self.rows = None;
        }
        step.transpose()
    }
}

impl fmt::Debug for ReplicationSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicationSnapshot").field("lsn", &self.lsn()).finish_non_exhaustive()
    }
}
