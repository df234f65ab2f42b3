//! The engine as a system under test: `quiver_store::Store` through its public calls.
//!
//! **Place.** The one implementation of [`System`] outside the tests.

mod stored;
mod views;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use quiver_store::{
    BackupKeys, BackupReport, CollectionId, Env, KeyRing, Lsn, Options, RecoveryTail, Result,
    Snapshot, Store, VerifyOptions, WalEntry, WalOp, WriteBatch,
};

pub(crate) use self::stored::stored;
use crate::disk::Onlooker;
use crate::system::{
    BackedUp, Call, Copied, GoesOn, Listener, Look, Looked, Outcome, Request, Restored, RowChange,
    Session, Standing, System, Ticket, Told, Verified, View,
};

/// The engine of this workspace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engine;

#[derive(Debug)]
struct EngineSession {
    store: Store,
    tickets: RefCell<Vec<quiver_store::Ticket>>,
}

/// A snapshot of the engine's.
#[derive(Debug)]
struct EngineSnapshot(Snapshot);

impl System for Engine {
    fn name(&self) -> &'static str {
        "quiver-store"
    }

    fn version(&self) -> &'static str {
        // One version for the whole workspace.
        env!("CARGO_PKG_VERSION")
    }

    fn keeps_reserve(&self) -> bool {
        true
    }

    fn keeps_indexes(&self) -> bool {
        true
    }

    fn replicates(&self) -> bool {
        true
    }

    fn backs_up(&self) -> bool {
        true
    }

    fn encrypts(&self) -> bool {
        true
    }

    fn open(&self, env: Env, options: &Options) -> Result<Box<dyn Session>> {
        let store = Store::open_with(env, options.clone())?;
        Ok(Box::new(EngineSession { store, tickets: RefCell::default() }))
    }

    fn look(&self, env: Env, options: &Options, look: Look) -> Result<Looked> {
        let (store, lost) = match look {
            Look::ReadOnly => (Store::open_read_only_with(env, options.clone())?, Vec::new()),
            Look::Salvage => Store::open_salvage_with(env, options.clone())?,
        };
        Ok((Box::new(EngineSession { store, tickets: RefCell::default() }), lost))
    }
}

/// A batch of changes. Every other upsert gives its vector in stored form, where there is one.
fn batch_of(store: &Store, changes: &[RowChange]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (i, RowChange { collection, id, row }) in changes.iter().enumerate() {
        let Some((vector, payload)) = row else {
            batch.delete(*collection, id);
            continue;
        };
        let schema = if i % 2 == 1 { store.descriptor(*collection).ok() } else { None };
        let raw = schema.and_then(|schema| stored(vector, schema.dtype, schema.dim));
        match raw {
            Some(raw) => batch.upsert_raw(*collection, id, &raw, payload),
            None => batch.upsert(*collection, id, vector, payload),
        };
    }
    batch
}

/// A row as `upsert_batch` takes it.
type BatchRow<'a> = (&'a str, &'a [f32], &'a [u8]);

/// The collection and the rows, where all changes are upserts of one collection.
fn upserts_of_one(changes: &[RowChange]) -> Option<(CollectionId, Vec<BatchRow<'_>>)> {
    let first = changes.first()?.collection;
    let row = |change: &RowChange| change.collection == first && change.row.is_some();
    if !changes.iter().all(row) {
        return None;
    }
    let rows = changes.iter().filter_map(|change| {
        let (vector, payload) = change.row.as_ref()?;
        Some((&*change.id, &**vector, &**payload))
    });
    Some((first, rows.collect()))
}

fn outcome_of(outcome: quiver_store::Outcome) -> Outcome {
    match outcome {
        quiver_store::Outcome::Written { last_lsn, hits } => {
            Outcome::Written { last_lsn: Some(last_lsn), hits: Some(hits) }
        }
        quiver_store::Outcome::Created { id, lsn } => Outcome::Created { id, lsn: Some(lsn) },
        quiver_store::Outcome::Dropped { existed, lsn } => Outcome::Dropped { existed, lsn },
        quiver_store::Outcome::Unchanged => Outcome::Unchanged,
        quiver_store::Outcome::Altered { lsn, .. } => Outcome::Altered { lsn: Some(lsn) },
        other => unreachable!("an outcome that the simulator does not know: {other:?}"),
    }
}

/// What a change of a row came to.
fn changed(is_changed: bool) -> Outcome {
    match is_changed {
        true => Outcome::Written { last_lsn: None, hits: None },
        false => Outcome::Unchanged,
    }
}

impl EngineSession {
    /// The part of a shred that commits: the key is still there.
    fn shred_as_far_as_a_drop(&self, name: &str) -> Result<Outcome> {
        let name = name.to_owned();
        let ticket = self.store.submit(quiver_store::Request::ShredCollection { name })?;
        loop {
            self.store.drive()?;
            if let Some(answer) = ticket.poll() {
                return answer.map(outcome_of);
            }
        }
    }

    fn write(&self, changes: &[RowChange], call: Call) -> Result<Outcome> {
        let written = |last_lsn, hits| Ok(Outcome::Written { last_lsn, hits });
        match (call, changes) {
            (Call::Single, [RowChange { collection, id, row: Some((vector, payload)) }]) => {
                written(Some(self.store.upsert(*collection, id, vector, payload)?), Some(0))
            }
            (Call::Single, [RowChange { collection, id, row: None }]) => {
                written(None, Some(u64::from(self.store.delete(*collection, id)?)))
            }
            (Call::Batch, changes) => match upserts_of_one(changes) {
                Some((collection, rows)) => {
                    let count = self.store.upsert_batch(collection, &rows)?;
                    assert_eq!(count, rows.len() as u64, "upsert_batch answers another count");
                    written(None, Some(0))
                }
                None => written(Some(self.store.write(batch_of(&self.store, changes))?), None),
            },
            _ => written(Some(self.store.write(batch_of(&self.store, changes))?), None),
        }
    }
}

impl Session for EngineSession {
    fn perform(&self, request: &Request, call: Call) -> Result<Outcome> {
        match request {
            Request::Write(changes) => self.write(changes, call),
            Request::Create { name, descriptor } => {
                let id = self.store.create_collection(name, descriptor.clone())?;
                Ok(Outcome::Created { id, lsn: None })
            }
            Request::Drop { name } => {
                Ok(Outcome::Dropped { existed: self.store.drop_collection(name)?, lsn: None })
            }
            Request::Shred { name } => self.shred_as_far_as_a_drop(name),
            Request::Put(RowChange { collection, id, row }) => {
                let (vector, payload) = row.as_ref().expect("what is put is a row");
                Ok(changed(self.store.put_if_absent(*collection, id, vector, payload)?))
            }
            Request::Update { collection, id, payload } => {
                Ok(changed(self.store.update_payload(*collection, id, payload)?))
            }
            Request::Rename { name, new_name } => {
                self.store.rename_collection(name, new_name)?;
                Ok(Outcome::Altered { lsn: None })
            }
            Request::AddField { name, field } => {
                self.store.add_filterable(name, field.clone())?;
                Ok(Outcome::Altered { lsn: None })
            }
        }
    }

    fn submit(&self, request: &Request) -> Result<Ticket> {
        let ticket = match request {
            Request::Write(changes) => self.store.submit(batch_of(&self.store, changes))?,
            Request::Create { name, descriptor } => {
                let (name, descriptor) = (name.to_string(), descriptor.clone());
                self.store.submit(quiver_store::Request::CreateCollection { name, descriptor })?
            }
            Request::Drop { name } => {
                let name = name.to_string();
                self.store.submit(quiver_store::Request::DropCollection { name })?
            }
            Request::Shred { name } => {
                let name = name.to_string();
                self.store.submit(quiver_store::Request::ShredCollection { name })?
            }
            Request::Put(RowChange { collection, id, row }) => {
                let (vector, payload) = row.as_ref().expect("what is put is a row");
                self.store.submit(quiver_store::Request::PutIfAbsent {
                    collection: *collection,
                    external_id: id.to_string(),
                    vector: vector.to_vec(),
                    payload: payload.to_vec(),
                })?
            }
            Request::Update { collection, id, payload } => {
                self.store.submit(quiver_store::Request::UpdatePayload {
                    collection: *collection,
                    external_id: id.to_string(),
                    payload: payload.to_vec(),
                })?
            }
            Request::Rename { name, new_name } => {
                let (name, new_name) = (name.to_string(), new_name.to_string());
                self.store.submit(quiver_store::Request::RenameCollection { name, new_name })?
            }
            Request::AddField { name, field } => {
                let (name, field) = (name.to_string(), field.clone());
                self.store.submit(quiver_store::Request::AddFilterable { name, field })?
            }
        };
        let mut tickets = self.tickets.borrow_mut();
        tickets.push(ticket);
        Ok(Ticket(tickets.len() - 1))
    }

    fn drive(&self) -> Result<usize> {
        self.store.drive()
    }

    fn poll(&self, ticket: Ticket) -> Option<Result<Outcome>> {
        self.tickets.borrow()[ticket.0].poll().map(|answer| answer.map(outcome_of))
    }

    fn standing(&self) -> Result<Standing> {
        let stats = self.store.stats()?;
        Ok(Standing {
            last_lsn: stats.last_lsn.value(),
            rows: stats.rows,
            log_files: stats.log_files,
            segments: stats.segments,
            tombstones: stats.tombstones,
            pinned: stats.pinned,
            orphans: stats.orphans,
            reserve_bytes: stats.reserve_bytes,
            checkpoints: stats.checkpoints,
            merges: stats.merges,
            log_switches: stats.log_switches,
            manifest_version: stats.manifest_version.value(),
            files: stats.files,
        })
    }

    fn snapshot(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(EngineSnapshot(self.store.snapshot()?)))
    }

    fn checkpoint(&self) -> Result<()> {
        self.store.checkpoint()
    }

    fn keep_indexes(&self, indexes: &[(CollectionId, &[u8], u64)]) -> Result<()> {
        let given = |(id, bytes, lsn): &(_, _, _)| (*id, *bytes, Lsn(*lsn));
        let given: Vec<(CollectionId, &[u8], Lsn)> = indexes.iter().map(given).collect();
        self.store.checkpoint_with_index_snapshots(&given)
    }

    fn restored_index(&self, id: CollectionId) -> Result<Option<Restored>> {
        let Some((bytes, covered)) = self.store.read_index_snapshot(id)? else { return Ok(None) };
        let tail = match self.store.recovery_tail(id)? {
            RecoveryTail::Changes { since, upserts, deleted } => {
                assert_eq!(since, covered, "nothing comes between two reads here");
                let there = upserts
                    .into_iter()
                    .map(|(id, row)| (id, Some((Arc::from(row.vector), Arc::from(row.payload)))));
                Some(there.chain(deleted.into_iter().map(|id| (id, None))).collect())
            }
            _ => None,
        };
        Ok(Some(Restored { bytes, covered: covered.value(), tail }))
    }

    fn observe(&self, after: Option<u64>, listener: Listener) -> Result<()> {
        let observer = Arc::new(move |entry: &WalEntry| {
            let (lsn, op) = (entry.lsn.value(), entry.op.clone());
            listener(Told { lsn, op, ends_batch: entry.ends_batch });
        });
        match after {
            Some(lsn) => self.store.set_commit_observer_from(Lsn(lsn), observer),
            None => self.store.set_commit_observer(observer),
        }
    }

    fn copied(&self) -> Result<Copied> {
        let copy = self.store.replication_snapshot()?;
        Ok(Copied { lsn: copy.lsn().value(), ops: Box::new(copy) })
    }

    fn follow(&self, ops: Vec<WalOp>) -> Result<Option<u64>> {
        let lsn = match <[WalOp; 1]>::try_from(ops) {
            Ok([op]) => self.store.apply_replicated(op)?,
            Err(ops) => self.store.apply_replicated_batch(ops)?,
        };
        Ok(lsn.map(Lsn::value))
    }

    fn maintain(&self) -> Result<bool> {
        self.store.maintain()
    }

    fn compact(&self, steps: Option<u64>) -> Result<()> {
        let Some(mut left) = steps else { return self.store.compact() };
        self.store.compact_with(|_| {
            let go_on = left > 0;
            left = left.saturating_sub(1);
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    fn verify(&self, contents: bool) -> Result<Verified> {
        let mut options = VerifyOptions::default();
        options.contents = contents;
        let report = self.store.verify(options, |_| ControlFlow::Continue(()))?;
        assert!(report.is_complete, "nobody called it off");
        let findings = report.findings.into_iter().map(|finding| finding.error).collect();
        Ok(Verified { findings, rows: report.rows })
    }

    fn back_up(&self, to: &Path, keys: &BackupKeys, goes_on: &mut GoesOn<'_>) -> Result<BackedUp> {
        let report = self.store.backup_with(to, keys, |_| goes_on())?;
        let BackupReport { lsn: Lsn(lsn), files_kept, is_complete, .. } = report;
        Ok(BackedUp { lsn, files_kept, is_complete })
    }

    fn shred(&self, name: &str) -> Result<bool> {
        self.store.shred_collection(name)
    }

    fn rotate(&self, ring: &dyn KeyRing) -> Result<()> {
        self.store.rotate_master_key(ring)
    }

    fn rekey(&self, id: CollectionId) -> Result<()> {
        self.store.rekey_collection(id)
    }

    fn onlooker(&self) -> Option<Onlooker> {
        let store = self.store.clone();
        let visible = move || store.snapshot().map_or(0, |snapshot| snapshot.lsn().value());
        Some(Onlooker(Arc::new(visible)))
    }

    fn damaged(&self) -> Result<Vec<CollectionId>> {
        Ok(self.store.stats()?.damaged.into_iter().map(|(id, _)| id).collect())
    }

    fn close(&self) -> Result<()> {
        self.store.close()
    }
}
