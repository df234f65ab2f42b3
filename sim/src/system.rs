//! The system under test, as the simulator sees it.
//!
//! **Place.** The forward run, the checker and the explorer reach a store only through these
//! traits. The engine is one implementation ([`crate::engine`]); the tests of the checker bring
//! small stores of their own, most of them wrong on purpose.
//!
//! - Y1. A session does I/O only inside its calls, through the disk of the [`Env`] it was opened
//!   with.
//! - Y2. Dropping a session without `close` is like a kill of its process.

use std::fmt;
use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, Env, Lsn, Options, Result};

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

    /// Creates or recovers a store.
    ///
    /// # Errors
    /// What the store answers: a violation, unless a fault was injected or a lock is held.
    fn open(&self, env: Env, options: &Options) -> Result<Box<dyn Session>>;
}

/// A vector and a payload.
pub type Row = (Arc<[f32]>, Arc<[u8]>);

/// Takes the id, vector and payload of each row of a scan.
pub type SeeRow<'a> = dyn FnMut(&str, &[f32], &[u8]) + 'a;

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
    /// The version of the newest manifest.
    pub manifest_version: u64,
    /// Names, relative to the directory, of the files that the store says are its own.
    pub files: Vec<String>,
}

/// An open store.
///
/// # Errors
/// Of every call: what the store answers. Which kinds are right is the checker's business.
pub trait Session {
    /// Carries out one request and waits for its end.
    fn perform(&self, request: &Request, call: Call) -> Result<Outcome>;

    /// Enqueues a request; its place among all submitted ones is its ticket.
    fn submit(&self, request: &Request) -> Result<Ticket>;

    /// Commits one group of what waits.
    fn drive(&self) -> Result<usize>;

    /// The outcome of a submitted request, once it was driven; it is told once.
    fn poll(&self, ticket: Ticket) -> Option<Result<Outcome>>;

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

    /// The highest visible LSN, without the rest of what [`Session::standing`] tells.
    fn last_lsn(&self) -> Result<u64>;

    /// What the store says about itself.
    fn standing(&self) -> Result<Standing>;

    /// Seals everything, publishes, drops the log.
    fn checkpoint(&self) -> Result<()>;

    /// One bounded step of background work; whether there was any.
    fn maintain(&self) -> Result<bool>;

    /// A clean end.
    fn close(&self) -> Result<()>;
}

/// The place of a submitted request among all that a session was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub usize);
