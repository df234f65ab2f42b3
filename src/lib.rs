//! Embedded, crash-safe storage engine for vector records: an id, a vector, a payload.
//!
//! A store is a directory. What a call acknowledged survives power loss; what a crash
//! interrupted is there whole or not at all. Every access to disk, clock and randomness goes
//! through one seam, [`vfs`], behind which the simulator of the `quiver-sim` crate puts a disk
//! that loses, tears and reorders what it may, and checks recovery at every crash point.
//!
//! ```
//! use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
//!
//! # fn main() -> quiver_store::Result<()> {
//! let store = Store::open_with(Env::memory(), Options::default())?; // or Store::open(dir)
//! let schema = Descriptor::new(3, Dtype::F32, DistanceMetric::Cosine);
//! let id = store.create_collection("articles", schema)?;
//! store.upsert(id, "a1", &[0.1, 0.2, 0.3], br#"{"title":"On logs"}"#)?;
//! assert_eq!(store.len(id)?, 1);
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Threads and asynchronous programs
//!
//! Handles, snapshots and scans may be shared between threads and moved to others. Reads wait for no
//! write, checkpoint or merge, and for each other only where both want the same moment of a lock.
//!
//! The calls are synchronous: they return when the disk has answered. In an asynchronous program
//!
//! - write with [`Store::submit`] and await the [`Ticket`]: a thread of the store commits what waits,
//!   with one sync for all of it; bound how many wait, for each holds its batch in memory;
//! - read where the runtime lets a thread wait for the disk (`spawn_blocking` of tokio), many small
//!   reads in one such call; a read of what is in memory takes about a microsecond and may be done at
//!   once;
//! - open and close there as well, and close before the runtime ends.
//!
//! `examples/async_service.rs` does all of it.

mod change_set;
mod checksum;
mod collection;
mod commit_queue;
mod cursor;
mod damage;
mod env;
mod live_set;
mod matching;
mod memtable;
mod page_cache;
mod paged_file;
mod parked;
mod record;
mod replication;
mod request;
mod row;
mod row_bytes;
mod row_cursor;
mod scan_range;
mod segment;
mod sync;
mod vector;
mod write_batch;

pub mod codec;
#[cfg(feature = "encryption")]
pub mod crypto;
pub mod descriptor;
#[cfg(feature = "cli")]
pub mod dump;

pub mod error;
pub mod file_names;
pub mod ids;
#[cfg(feature = "cli")]
pub mod import;
pub mod key_file;
pub mod keyring;
pub mod keys;
pub mod limits;
pub mod manifest;
pub mod options;
pub mod page;
pub mod sec;
pub mod store;
pub mod vfs;
pub mod wal;

pub use codec::{PageCodec, PlainCodec};
#[cfg(feature = "encryption")]
pub use crypto::{aead::AesGcmCodec, key::Key};
pub use descriptor::{Descriptor, DistanceMetric, Dtype, IndexKind, IndexSpec, VectorEncryption};
pub use env::Env;
pub use error::{Error, ErrorKind, Result};
pub use ids::{CollectionId, Lsn, ManifestVersion};
#[cfg(feature = "encryption")]
pub use keyring::EnvelopeKeyRing;
pub use keyring::{KeyRing, SingleCodecKeyRing};
pub use options::Options;
pub use replication::{CommitObserver, WalEntry, WalOp};
pub use request::{Outcome, Request, Ticket};
/// Of the `roaring` crate: a set of row numbers.
pub use roaring::RoaringBitmap;
pub use row::{Record, RecordRef};
pub use scan_range::ScanRange;
pub use sec::{FieldType, FilterableField, SecPredicate, SecValue};
pub use store::{
    BackupKeys, BackupProgress, BackupReport, CompactProgress, Finding, LOSSES_MAX, Loss,
    PayloadScan, RecoveryTail, ReplicationSnapshot, SalvageProgress, SalvageReport, Scan, Snapshot,
    Stats, Store, VectorSource, VerifyOptions, VerifyProgress, VerifyReport,
};
pub use write_batch::WriteBatch;

/// The program in the README, which has to compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
