//! The system under test, as the simulator sees it.
//!
//! **Place.** The forward run, the checker and the explorer reach a store only through these
//! traits. The engine is one implementation ([`crate::engine`]); the tests of the checker bring
//! small stores of their own, most of them wrong on purpose.
//!
//! - Y1. A session does I/O only inside its calls, through the disk of the [`Env`] it was opened
//!   with.
//! - Y2. Dropping a session without `close` is like a kill of its process. What stands on it
//!   (snapshots, iterators) is dropped before it.
//! - Y3. Reads are the calls of [`View`], which a store and each of its snapshots answer.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use quiver_store::{
    BackupKeys, CollectionId, Descriptor, Env, Error, ErrorKind, FilterableField, KeyRing, Lsn,
    Options, Result, SecPredicate, WalOp,
};

use crate::disk::Onlooker;
use crate::predicate;
use crate::row_range::RowRange;

/// A kind of store.
pub trait System: Send + Sync + fmt::Debug {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// The version in reports.
    fn version(&self) -> &'static str;

    /// Whether any failed I/O call may latch the store, and be answered with `Unknown` or `Latched`:
    /// a store that cannot carry on behind a failure. The engine can, and must.
    fn latches_early(&self) -> bool {
        false
    }

    /// Whether the store sets space aside, so that what frees some works on a full disk.
    fn keeps_reserve(&self) -> bool {
        false
    }

    /// Whether the store keeps index snapshots, and says what has changed since.
    fn keeps_indexes(&self) -> bool {
        false
    }

    /// Whether the store is observed, copied and followed by other stores.
    fn replicates(&self) -> bool {
        false
    }

    /// Whether the store verifies itself, and copies itself into another directory.
    fn backs_up(&self) -> bool {
        false
    }

    /// Whether the store can be encrypted, with a key for each collection.
    fn encrypts(&self) -> bool {
        false
    }

    /// Creates or recovers a store.
    ///
    /// # Errors
    /// What the store answers: a violation, unless a fault was injected or a lock is held.
    fn open(&self, env: Env, options: &Options) -> Result<Box<dyn Session>>;

    /// Opens for reading only; what could not be used is returned as well, where that is a salvage.
    ///
    /// # Errors
    /// What the store answers; `Unsupported` for a store that has no such call.
    fn look(&self, _env: Env, _options: &Options, _look: Look) -> Result<Looked> {
        Err(Error::new(ErrorKind::Unsupported, "no such call"))
    }
}

/// What a store is opened for that nobody writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// To be read, if it is whole.
    ReadOnly,
    /// To be read as far as it can be.
    Salvage,
}

/// A store that nobody writes to, and what could not be used of it.
pub type Looked = (Box<dyn Session>, Vec<Error>);

/// A vector and a payload.
pub type Row = (Arc<[f32]>, Arc<[u8]>);

/// Takes the id, vector and payload of each row of a scan.
pub type SeeRow<'a> = dyn FnMut(&str, &[f32], &[u8]) + 'a;

/// As [`SeeRow`], and may end the scan.
pub type SeeSome<'a> = dyn FnMut(&str, &[f32], &[u8]) -> ControlFlow<()> + 'a;

/// A row as an iterator gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// Its vector, unless the iterator leaves it out.
    pub vector: Option<Vec<f32>>,
    /// Its payload, unless the iterator leaves it out.
    pub payload: Option<Vec<u8>>,
}

/// Rows one at a time: a scan that can be left and gone on with. Ends behind the first error.
pub type Scan = Box<dyn Iterator<Item = Result<Shown>>>;

/// One change of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The collection.
    pub collection: CollectionId,
    /// The external id.
    pub id: Arc<str>,
    /// The new vector and payload; `None` deletes.
    pub row: Option<Row>,
}

/// Something that commits as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Changes of rows, in one or more collections.
    Write(Vec<RowChange>),
    /// A new collection.
    Create {
        /// Its name.
        name: Arc<str>,
        /// Its schema.
        descriptor: Descriptor,
    },
    /// The end of a collection.
    Drop {
        /// Its name.
        name: Arc<str>,
    },
    /// The same, and the collection's key is to be destroyed: [`Session::shred`] does that.
    Shred {
        /// Its name.
        name: Arc<str>,
    },
    /// A new row, where there is none of its id.
    Put(RowChange),
    /// Another payload of a row, where there is one.
    Update {
        /// The collection.
        collection: CollectionId,
        /// The external id.
        id: Arc<str>,
        /// The new payload.
        payload: Arc<[u8]>,
    },
    /// Another name of a collection.
    Rename {
        /// Its name.
        name: Arc<str>,
        /// Its name from then on.
        new_name: Arc<str>,
    },
    /// One more filterable field of a collection.
    AddField {
        /// The collection's name.
        name: Arc<str>,
        /// The field.
        field: FilterableField,
    },
}

/// What a committed request answered. A call that does not tell a number leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a write.
    Written {
        /// The LSN of its last operation.
        last_lsn: Option<Lsn>,
        /// How many of its deletes found a live row.
        hits: Option<u64>,
    },
    /// Of a creation.
    Created {
        /// The new collection.
        id: CollectionId,
        /// The creation's LSN.
        lsn: Option<Lsn>,
    },
    /// Of a change of a row that came to nothing.
    Unchanged,
    /// Of a new name or a new field.
    Altered {
        /// The change's LSN.
        lsn: Option<Lsn>,
    },
    /// Of a drop.
    Dropped {
        /// Whether there was such a collection.
        existed: bool,
        /// The drop's LSN, where it existed.
        lsn: Option<Lsn>,
    },
}

/// Which call carries a request to the store. All mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The shortest one: `upsert` or `delete` for one row.
    Single,
    /// `upsert_batch`, where all rows are upserts of one collection.
    Batch,
    /// `write`.
    Write,
}

/// What a store says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The highest visible LSN.
    pub last_lsn: u64,
    /// Rows in all collections.
    pub rows: u64,
    /// Live log files.
    pub log_files: u64,
    /// Live segments.
    pub segments: u64,
    /// Files of tombstones.
    pub tombstones: u64,
    /// Files that nothing names any more and a reader keeps.
    pub pinned: u64,
    /// Files known to belong to no manifest, which are still to be removed.
    pub orphans: u64,
    /// Bytes that are kept back for a full disk.
    pub reserve_bytes: u64,
    /// Checkpoints since the store was opened.
    pub checkpoints: u64,
    /// Merges of segments since the store was opened.
    pub merges: u64,
    /// Switches to a new log file since the store was opened.
    pub log_switches: u64,
    /// The version of the newest manifest.
    pub manifest_version: u64,
    /// Names, relative to the directory, of the files that the store says are its own.
    pub files: Vec<String>,
}

/// The calls that change nothing: of a store as it is now, or of a snapshot of it.
///
/// # Errors
/// Of every call: what the store answers. Which kinds are right is the checker's business.
pub trait View {
    /// The names of all collections, in order.
    fn names(&self) -> Result<Vec<String>>;

    /// A collection by name.
    fn id_of(&self, name: &str) -> Result<Option<CollectionId>>;

    /// A collection's schema.
    fn descriptor(&self, id: CollectionId) -> Result<Descriptor>;

    /// A collection's number of rows.
    fn len(&self, id: CollectionId) -> Result<u64>;

    /// One row, shown to `see` if it is there; whether it was.
    fn get(&self, id: CollectionId, row: &str, see: &mut dyn FnMut(&[f32], &[u8])) -> Result<bool>;

    /// All rows, shown to `see` in the order of their ids.
    fn scan(&self, id: CollectionId, see: &mut SeeRow<'_>) -> Result<()>;

    /// The highest LSN that is visible in it.
    fn last_lsn(&self) -> Result<u64>;

    /// Several rows, in the order asked for.
    fn get_many(&self, id: CollectionId, rows: &[&str]) -> Result<Vec<Option<Row>>> {
        rows.iter().map(|row| row_of(self, id, row)).collect()
    }

    /// One row's vector.
    fn get_vector(&self, id: CollectionId, row: &str) -> Result<Option<Vec<f32>>> {
        Ok(row_of(self, id, row)?.map(|(vector, _)| vector.to_vec()))
    }

    /// One row's payload.
    fn get_payload(&self, id: CollectionId, row: &str) -> Result<Option<Vec<u8>>> {
        Ok(row_of(self, id, row)?.map(|(_, payload)| payload.to_vec()))
    }

    /// One row, borrowed for the time of a call; whether it is there.
    fn get_with(
        &self,
        id: CollectionId,
        row: &str,
        see: &mut dyn FnMut(&[f32], &[u8]),
    ) -> Result<bool> {
        self.get(id, row, see)
    }

    /// The rows of a range.
    fn scan_range(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
        let mut shown = Vec::new();
        self.scan(id, &mut |row, vector, payload| {
            if range.admits(row) && shown.len() < range.rows_max() {
                let (vector, payload) = (Some(vector.to_vec()), Some(payload.to_vec()));
                shown.push(Ok(Shown { id: row.to_owned(), vector, payload }));
            }
        })?;
        Ok(Box::new(shown.into_iter()))
    }

    /// The rows of a range without their vectors.
    fn scan_payloads(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
        let rows = self.scan_range(id, range)?;
        Ok(Box::new(rows.map(|row| row.map(|row| Shown { vector: None, ..row }))))
    }

    /// The rows of a range, each borrowed for the time of a call.
    fn scan_with(&self, id: CollectionId, range: &RowRange, see: &mut SeeSome<'_>) -> Result<()> {
        for row in self.scan_range(id, range)? {
            let row = row?;
            let vector = row.vector.unwrap_or_default();
            if see(&row.id, &vector, &row.payload.unwrap_or_default()).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// All vectors of a collection, as often as wanted.
    fn vectors(&self, id: CollectionId) -> Result<Box<dyn Vectors>> {
        let descriptor = self.descriptor(id)?;
        let mut rows = Vec::new();
        self.scan(id, &mut |row, vector, _| rows.push((row.to_owned(), vector.to_vec())))?;
        Ok(Box::new(Captured { dim: descriptor.dim, rows: rows.into() }))
    }

    /// The ids of the rows that hold a predicate, in order.
    fn matching_ids(&self, id: CollectionId, predicate: &SecPredicate) -> Result<Vec<String>> {
        let found = matching(self, id, predicate)?;
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// The numbers of the rows that hold a predicate, as [`View::vectors`] yields them, in order.
    fn matching_rows(&self, id: CollectionId, predicate: &SecPredicate) -> Result<Vec<u32>> {
        let found = matching(self, id, predicate)?;
        Ok(found.into_iter().map(|(place, _)| place).collect())
    }
}

/// The rows that hold a predicate, by a look at every payload: their numbers and ids.
///
/// # Errors
/// What the view answers, and `InvalidArgument` for a predicate that cannot be asked.
pub fn matching(
    view: &(impl View + ?Sized),
    id: CollectionId,
    predicate: &SecPredicate,
) -> Result<Vec<(u32, String)>> {
    let fields = view.descriptor(id)?.filterable;
    if !predicate::is_good(predicate, &fields) {
        return Err(Error::new(ErrorKind::InvalidArgument, "refused: a predicate"));
    }
    let (mut next, mut found) = (0, Vec::new());
    view.scan(id, &mut |row, _, payload| {
        if predicate::holds(predicate, &fields, payload) {
            found.push((next, row.to_owned()));
        }
        next += 1;
    })?;
    Ok(found)
}

fn row_of(view: &(impl View + ?Sized), id: CollectionId, row: &str) -> Result<Option<Row>> {
    let mut found = None;
    view.get(id, row, &mut |vector, payload| found = Some((vector.into(), payload.into())))?;
    Ok(found)
}

/// The vectors of one collection as they were when it was captured.
pub trait Vectors {
    /// How many there are.
    fn count(&self) -> u64;

    /// Elements of each.
    fn dim(&self) -> u32;

    /// All of them, in the order of their ids, from the first on; without payloads.
    fn pass(&self) -> Scan;

    /// Why the last pass ended early, if it did and nobody was told yet.
    fn take_error(&self) -> Option<Error>;
}

/// The vectors that a view without a source of its own read.
struct Captured {
    dim: u32,
    rows: Arc<[(String, Vec<f32>)]>,
}

impl Vectors for Captured {
    fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    fn dim(&self) -> u32 {
        self.dim
    }

    fn pass(&self) -> Scan {
        let rows = self.rows.clone();
        Box::new((0..rows.len()).map(move |place| {
            let (id, vector) = rows[place].clone();
            Ok(Shown { id, vector: Some(vector), payload: None })
        }))
    }

    fn take_error(&self) -> Option<Error> {
        None
    }
}

/// An open store.
///
/// # Errors
/// Of every call: what the store answers. Which kinds are right is the checker's business.
pub trait Session: View {
    /// Carries out one request and waits for its end.
    fn perform(&self, request: &Request, call: Call) -> Result<Outcome>;

    /// Enqueues a request; its place among all submitted ones is its ticket.
    fn submit(&self, request: &Request) -> Result<Ticket>;

    /// Commits one group of what waits.
    fn drive(&self) -> Result<usize>;

    /// The outcome of a submitted request, once it was driven; it is told once.
    fn poll(&self, ticket: Ticket) -> Option<Result<Outcome>>;

    /// What the store says about itself.
    fn standing(&self) -> Result<Standing>;

    /// A view of the store as it is now.
    fn snapshot(&self) -> Result<Box<dyn View>>;

    /// Seals everything, publishes, drops the log.
    fn checkpoint(&self) -> Result<()>;

    /// One bounded step of background work; whether there was any.
    fn maintain(&self) -> Result<bool>;

    /// Seals everything and joins the segments of each collection; gives up after so many steps.
    fn compact(&self, steps: Option<u64>) -> Result<()> {
        if steps == Some(0) { Ok(()) } else { self.checkpoint() }
    }

    /// Seals everything, and keeps index snapshots with it: for each collection bytes, and the LSN that
    /// they cover. A store that keeps none only seals.
    fn keep_indexes(&self, _indexes: &[(CollectionId, &[u8], u64)]) -> Result<()> {
        self.checkpoint()
    }

    /// The index snapshot of a collection, if there is one.
    fn restored_index(&self, _id: CollectionId) -> Result<Option<Restored>> {
        Ok(None)
    }

    /// Tells a listener of every operation that commits from now on, in the place of the one before;
    /// first of what was committed behind an LSN, if one is given.
    fn observe(&self, _after: Option<u64>, _listener: Listener) -> Result<()> {
        Err(no_replication())
    }

    /// What makes an empty store equal to this one as it is now.
    fn copied(&self) -> Result<Copied> {
        Err(no_replication())
    }

    /// Does what another store did as one batch; the last LSN of it here, or none where there was
    /// nothing to do.
    fn follow(&self, _ops: Vec<WalOp>) -> Result<Option<u64>> {
        Err(no_replication())
    }

    /// Reads everything that is stored and holds it against its checksums, with `contents` also against
    /// itself.
    fn verify(&self, _contents: bool) -> Result<Verified> {
        Err(Error::new(ErrorKind::Unsupported, "verification"))
    }

    /// Copies the store into another directory of its disk, or goes on with that; `goes_on` is asked
    /// between reads. A store without keys copies none.
    fn back_up(&self, _: &Path, _: &BackupKeys, _goes_on: &mut GoesOn<'_>) -> Result<BackedUp> {
        Err(Error::new(ErrorKind::Unsupported, "backups"))
    }

    /// Destroys the key of a collection that was dropped so that it be destroyed; whether there was
    /// any such.
    fn shred(&self, _name: &str) -> Result<bool> {
        Err(no_keys())
    }

    /// Puts another master key in the place of the one that the store was opened with.
    fn rotate(&self, _ring: &dyn KeyRing) -> Result<()> {
        Err(no_keys())
    }

    /// Writes a collection anew under a new key.
    fn rekey(&self, _id: CollectionId) -> Result<()> {
        Err(no_keys())
    }

    /// A reader that may look while another call is under way, if there can be one.
    fn onlooker(&self) -> Option<Onlooker> {
        None
    }

    /// The collections of which something is known to be damaged.
    fn damaged(&self) -> Result<Vec<CollectionId>> {
        Ok(Vec::new())
    }

    /// A clean end.
    fn close(&self) -> Result<()>;
}

/// Says between two steps whether to go on.
pub type GoesOn<'a> = dyn FnMut() -> ControlFlow<()> + 'a;

/// What a verification came to.
#[derive(Debug, Default)]
pub struct Verified {
    /// What is not as it should be.
    pub findings: Vec<Error>,
    /// Rows that were looked at.
    pub rows: u64,
}

/// What a try of a backup came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// The LSN that the backup shows.
    pub lsn: u64,
    /// Files that an earlier try had copied.
    pub files_kept: u64,
    /// Whether it is there: false where it was called off.
    pub is_complete: bool,
}

fn no_replication() -> Error {
    Error::new(ErrorKind::Unsupported, "replication")
}

fn no_keys() -> Error {
    Error::new(ErrorKind::Unsupported, "keys")
}

/// An operation as an observer is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its LSN.
    pub lsn: u64,
    /// What was done.
    pub op: WalOp,
    /// Whether it is the last one of what committed together.
    pub ends_batch: bool,
}

/// Is told of committed operations.
pub type Listener = Arc<dyn Fn(Told) + Send + Sync>;

/// The operations that make an empty store equal to another.
pub struct Copied {
    /// The LSN of the last operation of the other that they show.
    pub lsn: u64,
    /// They, in order.
    pub ops: Box<dyn Iterator<Item = Result<WalOp>>>,
}

/// An index snapshot, and what a store says has changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// What was kept.
    pub bytes: Vec<u8>,
    /// The LSN that it covers.
    pub covered: u64,
    /// Rows that may have changed, as they are now, or that they are gone; `None` where the store says
    /// that the index has to be built again.
    pub tail: Option<Vec<(String, Option<Row>)>>,
}

/// The place of a submitted request among all that a session was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub usize);
