//! Background work in bounded steps: at most one checkpoint and one merge, one of them at a time.
//!
//! | lock | held by a step | what it guards |
//! |---|---|---|
//! | jobs | from first to last | the work under way; so segments and tombstones change only here |
//! | disk state | for a log switch and a publish | commits wait for no other part of a step |
//!
//! - J1. They are taken in this order, then the live set's.
//! - J2. A checkpoint goes before a merge, so a merge neither starts nor publishes while one is
//!   under way. One that was under way before goes on behind it, and takes the tombstones that it
//!   added into account.
//! - J3. A step that fails undoes its job: the files made so far are removed, and the next try starts
//!   from what is live then. Memtables that were taken out of use stay readable and are sealed by
//!   it, at the same LSN.
//! - J4. Whoever wrote does steps behind its write, in proportion, while any are due; so memory and
//!   log stay bounded without a thread. [`crate::Store::maintain`] and the store's own thread do them
//!   ahead of time.

use crate::ids::Lsn;
use crate::live_set::Version;
use crate::store::merge::Merge;
use crate::store::seal::{Pending, Seal};
use crate::sync::Arc;

/// Memtables that were taken out of use by a log switch.
#[derive(Debug)]
pub(super) struct Rotation {
    /// The last operation before the switch.
    pub(super) lsn: Lsn,
    /// The collections as of the switch.
    pub(super) catalog: Arc<Version>,
}

/// The work under way, and how much was done since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Memtables that were taken out of use and wait for their seal.
    pub(super) rotation: Option<Rotation>,
    pub(super) seal: Option<Seal>,
    pub(super) merge: Option<Merge>,
    /// Index snapshots that go with the checkpoint under way.
    pub(super) pending: Option<Pending>,
    pub(super) checkpoints: u64,
    pub(super) merges: u64,
    pub(super) log_switches: u64,
}
