//! Which errors a call of the store may answer, told from what its I/O calls came to.
//!
//! **Place.** The forward run shows it the I/O calls of each call of the store. An error that none of
//! them stands for is a violation of I10, and so is a success where the contract says `Latched`.
//!
//! | answer | legal where |
//! |---|---|
//! | `Io` | an I/O call of this call failed, other than for want of space |
//! | `Full` | an I/O call of this call found the disk full |
//! | `Unknown` | a write or sync of a log file that was in use failed, and then something of the move of its tail; or a publish failed from its rename on |
//! | `Latched` | a publish of this process failed from its rename on |
//! | success of a write or a checkpoint | no publish of this process did so before |
//!
//! A system that says so may latch at any failed I/O call, and answer accordingly.
//!
//! - L1. Whoever judges has shown the I/O calls of that call of the store, and of no other.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use quiver_store::ErrorKind;

use crate::backup::BACKUP_DIR;
use crate::disk::{IoCall, IoKind};

/// What the I/O calls of one process excuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blame {
    /// An I/O call of the last call failed.
    failed: bool,
    /// One of them found the disk full.
    full: bool,
    /// What became of a write cannot be told.
    unknown: bool,
    /// A publish failed from its rename on.
    latched: bool,
    /// It did so before the last call began.
    was_latched: bool,
    /// The system may latch at any failure, and there was one.
    early: Early,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Early {
    #[default]
    Never,
    AtFailures,
    Latched,
}

impl Blame {
    /// Of a process that begins.
    pub(crate) fn new(latches_early: bool) -> Self {
        let early = if latches_early { Early::AtFailures } else { Early::Never };
        Self { early, ..Self::default() }
    }

    /// Takes in the I/O calls of one call of the store (L1).
    pub(crate) fn take_in(&mut self, calls: &[IoCall]) {
        let (mut renamed, mut tail_failed) = (false, false);
        let mut created: BTreeSet<&Arc<str>> = BTreeSet::new();
        let Self { latched, early, .. } = *self;
        *self = Self { latched, was_latched: latched, early, ..Self::default() };
        for call in calls {
            let Some(kind) = failure(call) else {
                renamed |= call.kind == IoKind::Rename && !call.path.starts_with(BACKUP_DIR);
                renamed &= call.kind != IoKind::SyncDir;
                if call.kind == IoKind::Create {
                    created.insert(&call.path);
                }
                continue;
            };
            let full = matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            self.full |= full;
            self.failed |= !full;
            if self.early == Early::AtFailures {
                self.early = Early::Latched;
            }
            // What becomes of a copy of the store is not what becomes of the store.
            if call.path.starts_with(BACKUP_DIR) {
                continue;
            }
            if call.kind == IoKind::Rename || (renamed && call.kind == IoKind::SyncDir) {
                self.latched = true;
                self.unknown = true;
            }
            self.unknown |= tail_failed;
            tail_failed |= matches!(call.kind, IoKind::Write | IoKind::Sync)
                && call.path.ends_with(".wal")
                && !created.contains(&call.path);
        }
    }

    /// Whether a call that changes something may answer this.
    pub(crate) fn excuses(self, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Io => self.failed,
            ErrorKind::Full => self.full,
            ErrorKind::Unknown => self.unknown || self.early == Early::Latched,
            ErrorKind::Latched => self.latched || self.early == Early::Latched,
            _ => false,
        }
    }

    /// Whether an open, which nobody was told of if it failed, may answer this.
    pub(crate) fn excuses_open(self, kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::Io | ErrorKind::Full) && self.excuses(kind)
    }

    /// Whether a call that only reads may answer this.
    pub(crate) fn excuses_read(self, kind: ErrorKind) -> bool {
        kind == ErrorKind::Io && self.failed
    }

    /// Whether nothing may be written any more, and this was so before the last call.
    pub(crate) fn forbids_writes(self) -> bool {
        self.was_latched
    }
}

/// How a call failed that a store cannot carry on after; a name that is missing or taken is an
/// answer like any other, and whoever reads a file that it has removed has itself to blame.
fn failure(call: &IoCall) -> Option<io::ErrorKind> {
    use io::ErrorKind::{
        AlreadyExists, Interrupted, NotADirectory, NotFound, StaleNetworkFileHandle, WouldBlock,
    };
    let kind = call.result.err()?;
    let answer =
        [AlreadyExists, Interrupted, NotADirectory, NotFound, StaleNetworkFileHandle, WouldBlock];
    let answer = answer.contains(&kind);
    (!answer || call.fault.is_some_and(|fault| !fault.is_benign())).then_some(kind)
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;

    fn call(kind: IoKind, path: &str, result: Result<u64, io::ErrorKind>) -> IoCall {
        IoCall {
            index: 0,
            kind,
            path: path.into(),
            to: None,
            offset: 0,
            len: 0,
            result,
            fault: None,
            elided: false,
            site: Location::caller(),
            node: None,
        }
    }

    fn excused(calls: &[IoCall]) -> Vec<ErrorKind> {
        let mut blame = Blame::default();
        blame.take_in(calls);
        let kinds = [ErrorKind::Io, ErrorKind::Full, ErrorKind::Unknown, ErrorKind::Latched];
        kinds.into_iter().filter(|kind| blame.excuses(*kind)).collect()
    }

    #[test]
    fn unknown_needs_a_failed_tail_and_a_failed_move() {
        use ErrorKind::{Full, Io, Latched, Unknown};
        let eio = Err(io::ErrorKind::Other);
        let space = Err(io::ErrorKind::StorageFull);
        let write = call(IoKind::Write, "/s/a.wal", eio);
        let (create, sync) = (call(IoKind::Create, "/s/b.wal", Ok(0)), IoKind::Sync);
        assert_eq!(excused(&[call(IoKind::Create, "/s/b.wal", eio)]), [Io]);
        assert_eq!(excused(std::slice::from_ref(&write)), [Io]);
        assert_eq!(
            excused(&[write.clone(), call(IoKind::Create, "/s/b.wal", space)]),
            [Io, Full, Unknown]
        );
        // A file that this call made, and that nothing names, is no tail.
        let own = [create, call(sync, "/s/b.wal", eio), call(IoKind::Unlink, "/s/b.wal", eio)];
        assert_eq!(excused(&own), [Io]);
        assert_eq!(excused(&[call(IoKind::Rename, "/s/t", eio)]), [Io, Unknown, Latched]);
        let renamed = [call(IoKind::Rename, "/s/t", Ok(0)), call(IoKind::SyncDir, "/s", eio)];
        assert_eq!(excused(&renamed), [Io, Unknown, Latched]);
        let before = [call(IoKind::SyncDir, "/s", eio), call(IoKind::Rename, "/s/t", Ok(0))];
        assert_eq!(excused(&before), [Io]);
    }

    #[test]
    fn latch_stays_and_other_excuses_last_for_one_call() {
        let mut blame = Blame::default();
        blame.take_in(&[call(IoKind::Rename, "/s/t", Err(io::ErrorKind::Other))]);
        assert!(blame.excuses(ErrorKind::Unknown) && !blame.forbids_writes());
        blame.take_in(&[]);
        assert!(blame.excuses(ErrorKind::Latched) && blame.forbids_writes());
        assert!(!blame.excuses(ErrorKind::Unknown) && !blame.excuses(ErrorKind::Io));
    }

    #[test]
    fn missing_name_is_no_failure() {
        let calls = [call(IoKind::Open, "/s/CURRENT", Err(io::ErrorKind::NotFound))];
        assert_eq!(excused(&calls), []);
    }
}
