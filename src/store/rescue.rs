//! Copies what can be read of a damaged store into a new one.
//!
//! - G1. A row is copied only if it is certain that it was live: rows of a segment whose tombstones are
//!   lost are left out, and so are those that a memtable knows better.
//!   Where parked records are lost, the others are copied as they were before those: it is told.
//! - G2. What is left out is told: the row where its id can be read, else how many rows.
//! - G3. Ids of collections, names and schemas stay; LSNs do not, and index snapshots are left behind.
//! - G4. A collection of which not even the schema can be read is left out, and told as one loss: it stops
//!   none of the others.
//!
//! **A crash leaves** a store with some of the rows: remove it and begin again.

use std::ops::{Bound, ControlFlow};

use crate::collection::{Collection, LiveSegment};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::memtable::{Entry, Memtable};
use crate::options::Options;
use crate::replication::WalOp;
use crate::segment::Rescued;
use crate::store::Store;
use crate::store::snapshot::Snapshot;
use crate::sync::Arc;

/// Rows are written in batches of about so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// Rows that are taken out of a memtable at a time.
const RUN_ROWS: usize = 256;

/// How far [`Store::salvage_to`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageProgress {
    /// The collection that is being copied.
    pub collection: String,
    /// Rows copied so far, of all collections.
    pub rows: u64,
    /// Rows known to be lost so far.
    pub rows_lost: u64,
}

/// What could not be copied.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loss {
    /// Whose rows.
    pub collection: CollectionId,
    /// The row, where its id can be read.
    pub external_id: Option<String>,
    /// How many rows at most: some of them may have been deleted before.
    pub rows_at_most: u64,
    /// Why.
    pub error: Error,
}

/// What [`Store::salvage_to`] did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Collections that were made.
    pub collections: u64,
    /// Rows that were copied.
    pub rows: u64,
    /// What could not be copied, at most [`LOSSES_MAX`] of them one by one.
    pub losses: Vec<Loss>,
    /// Rows that were lost, at most: some of them may have been deleted before.
    pub rows_lost_at_most: u64,
    /// Whether it went to its end.
    pub is_complete: bool,
}

/// The most losses that a report lists; what is beyond is counted.
pub const LOSSES_MAX: usize = 10_000;

/// A salvage under way.
struct Rescue<'a, F> {
    from: &'a Store,
    to: Store,
    snapshot: &'a Snapshot,
    progress: F,
    state: SalvageProgress,
    report: SalvageReport,
    batch: Vec<WalOp>,
    batch_bytes: usize,
    goes_on: bool,
}

impl Store {
    /// Copies every row that can still be read into a new store, and says what could not be. Works on any
    /// handle; [`Store::open_salvage`] opens what no longer opens otherwise.
    ///
    /// The target must hold no store. Collections keep their ids, names and schemas; index snapshots are
    /// left behind. `progress` is called between batches and says whether to go on.
    ///
    /// *Durability*: once this returned, what was copied survives power loss.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a store in the target; those of [`Store::open_with`] and
    /// [`Store::write`] there. What cannot be read here is no error but a [`Loss`].
    ///
    /// # Examples
    /// ```no_run
    /// # use std::ops::ControlFlow;
    /// use quiver_store::{Env, Options, Store};
    /// let (broken, lost) = Store::open_salvage("/var/lib/points")?;
    /// lost.iter().for_each(|error| eprintln!("{error}"));
    /// let target = Env::os("/var/lib/points-salvaged");
    /// let report = broken.salvage_to(target, Options::default(), |_| ControlFlow::Continue(()))?;
    /// println!("{} rows, at most {} lost", report.rows, report.rows_lost_at_most);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn salvage_to(
        &self,
        target: Env,
        options: Options,
        progress: impl FnMut(&SalvageProgress) -> ControlFlow<()>,
    ) -> Result<SalvageReport> {
        self.inner.observing.check_outside()?;
        let snapshot = self.snapshot()?;
        let to = Self::open_with(target, options)?;
        if to.stats()?.last_lsn > Lsn(0) {
            let dir = to.dir().display();
            let what = format!("{dir} holds a store: choose an empty directory");
            return Err(Error::new(ErrorKind::AlreadyExists, what));
        }
        let mut rescue = Rescue {
            from: self,
            to,
            snapshot: &snapshot,
            progress,
            state: SalvageProgress::default(),
            report: SalvageReport::default(),
            batch: Vec::new(),
            batch_bytes: 0,
            goes_on: true,
        };
        for id in snapshot.collection_ids() {
            match snapshot.collection_of(id) {
                Ok(collection) => rescue.collection(collection)?,
                Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
                // Its key is missing, or its schema cannot be read: the others are whole (G4).
                Err(error) => rescue.lose_all(id, error)?,
            }
            if !rescue.goes_on {
                break;
            }
        }
        let Rescue { to, mut report, goes_on, .. } = rescue;
        to.checkpoint()?;
        to.close()?;
        report.is_complete = goes_on;
        Ok(report)
    }
}

impl<F: FnMut(&SalvageProgress) -> ControlFlow<()>> Rescue<'_, F> {
    fn collection(&mut self, collection: &Collection) -> Result<()> {
        let Collection { id, name, descriptor, .. } = collection;
        self.state.collection = name.clone();
        let created = self.to.apply_replicated(WalOp::CreateCollection {
            collection_id: *id,
            name: name.clone(),
            descriptor: descriptor.clone(),
        });
        match created {
            // Nobody could have asked for it: the manifest says what no version writes (G4).
            Err(error)
                if matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::TooLarge) =>
            {
                let error = error.reported_as(ErrorKind::Corrupt, "manifest: no store takes it");
                return self.lose_all(*id, error);
            }
            created => created.map(drop)?,
        }
        self.report.collections += 1;
        self.unread_files(collection)?;
        let memtables: Vec<_> = collection.memtables().cloned().collect();
        for (i, memtable) in memtables.iter().enumerate() {
            self.memtable(*id, memtable, &memtables[..i])?;
        }
        for live in collection.segments.iter() {
            self.segment(collection, live)?;
        }
        self.write()
    }

    /// Counts what a collection has of which nothing is known (G4): what stands in its segments, and each
    /// record that is kept of it.
    fn lose_all(&mut self, id: CollectionId, error: Error) -> Result<()> {
        let mut kept = 0;
        for memtable in self.snapshot.any_collection(id).into_iter().flat_map(|it| it.memtables()) {
            let sections = memtable.sections(Lsn(0), Lsn(u64::MAX))?;
            kept += sections.iter().map(|(_, section)| u64::from(section.records)).sum::<u64>();
        }
        let unread = self.unread_parked(id)?;
        let on_disk = self.from.lock_on_disk()?;
        let of_it = on_disk.manifest.segments.iter().filter(|entry| entry.collection == id);
        let rows = of_it.map(|entry| entry.rows).chain([unread]);
        let rows_at_most = rows.fold(kept, u64::saturating_add);
        drop(on_disk);
        self.lose(Loss { collection: id, external_id: None, rows_at_most, error });
        Ok(())
    }

    /// How many records at most are parked of a collection and not in memory: each has an LSN of its own, and
    /// others may have LSNs between them.
    fn unread_parked(&self, id: CollectionId) -> Result<u64> {
        let parked = self.from.lock_on_disk()?.manifest.parked(id).to_vec();
        let mut unread = 0_u64;
        for entry in parked {
            let mut is_read = false;
            for memtable in
                self.snapshot.any_collection(id).into_iter().flat_map(|it| it.memtables())
            {
                is_read |= !memtable.sections(entry.first, entry.through)?.is_empty();
            }
            let records = if is_read { 0 } else { entry.through.0 - entry.first.0 + 1 };
            unread = unread.saturating_add(records);
        }
        Ok(unread)
    }

    /// Counts what stands in segments that did not open, and in parked records that could not be read.
    fn unread_files(&mut self, collection: &Collection) -> Result<()> {
        let Some(damage) = &collection.damage else { return Ok(()) };
        let unread = self.unread_parked(collection.id)?;
        let on_disk = self.from.lock_on_disk()?;
        let is_open = |file| collection.segments.iter().any(|live| live.entry.file == file);
        let of_it = on_disk
            .manifest
            .segments
            .iter()
            .filter(|entry| entry.collection == collection.id && !is_open(entry.file));
        let rows = of_it.map(|entry| entry.rows).fold(unread, u64::saturating_add);
        drop(on_disk);
        self.lose(Loss {
            collection: collection.id,
            external_id: None,
            rows_at_most: rows,
            error: damage.to_reader(),
        });
        Ok(())
    }

    fn memtable(
        &mut self,
        id: CollectionId,
        memtable: &Memtable,
        newer: &[Arc<Memtable>],
    ) -> Result<()> {
        let (mut run, mut last): (Vec<Entry>, Option<Entry>) = (Vec::new(), None);
        loop {
            let from = last.as_ref().map_or(Bound::Unbounded, |last| Bound::Excluded(last.id()));
            let has_more = memtable.run(from, self.snapshot.lsn(), RUN_ROWS, &mut run)?;
            last = run.last().cloned();
            for entry in run.drain(..) {
                let mut is_newest = entry.is_live;
                for newer in newer {
                    is_newest = is_newest && newer.get(entry.id(), self.snapshot.lsn())?.is_none();
                }
                if is_newest {
                    self.row(id, entry.id(), entry.vector(), entry.payload())?;
                }
            }
            if !has_more || !self.goes_on {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, collection: &Collection, live: &LiveSegment) -> Result<()> {
        let (id, at) = (collection.id, self.snapshot.lsn());
        let is_shadowed = |external_id: &str| -> Result<bool> {
            for memtable in collection.memtables() {
                if memtable.get(external_id, at)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        live.segment.rescue(&self.from.inner.cache, |found| {
            if !self.goes_on {
                return Ok(());
            }
            match found {
                Rescued::Row(row, ..) | Rescued::Lost(row, ..) if live.dead.contains(row) => {}
                Rescued::Row(_, external_id, ..) | Rescued::Lost(_, external_id, _)
                    if is_shadowed(external_id)? => {}
                Rescued::Row(_, external_id, vector, payload) => {
                    self.row(id, external_id, vector, payload)?;
                }
                Rescued::Lost(_, external_id, error) => self.lose(Loss {
                    collection: id,
                    external_id: Some(external_id.to_owned()),
                    rows_at_most: 1,
                    error,
                }),
                Rescued::LostRows(from, end, error) => {
                    let dead = (from..end).filter(|row| live.dead.contains(*row)).count();
                    let rows = u64::from(end - from) - dead as u64;
                    self.lose(Loss {
                        collection: id,
                        external_id: None,
                        rows_at_most: rows,
                        error,
                    });
                }
            }
            Ok(())
        })
    }

    fn lose(&mut self, loss: Loss) {
        let lost = &mut self.report.rows_lost_at_most;
        *lost = lost.saturating_add(loss.rows_at_most);
        self.state.rows_lost = self.report.rows_lost_at_most;
        if self.report.losses.len() < LOSSES_MAX {
            self.report.losses.push(loss);
        }
    }

    fn row(
        &mut self,
        id: CollectionId,
        external_id: &str,
        vector: &[u8],
        payload: &[u8],
    ) -> Result<()> {
        self.batch_bytes += external_id.len() + vector.len() + payload.len();
        self.batch.push(WalOp::Upsert {
            collection_id: id,
            external_id: external_id.to_owned(),
            vector: vector.to_vec(),
            payload: payload.to_vec(),
        });
        if self.batch_bytes < BATCH_BYTES { Ok(()) } else { self.write() }
    }

    /// Writes the rows of the batch, and asks whether to go on.
    fn write(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let rows = batch.len() as u64;
        self.to.apply_replicated_batch(batch)?;
        self.report.rows += rows;
        self.state.rows = self.report.rows;
        self.goes_on = self.goes_on && (self.progress)(&self.state).is_continue();
        Ok(())
    }
}
