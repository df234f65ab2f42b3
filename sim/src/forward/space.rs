//! A disk that is full for a while.
//!
//! **Place.** The part of the forward run that bounds the space, and says what has to work without.
//!
//! - S1. The bound is on the disk as a whole: it outlives processes, and ends where the history says
//!   so or where faults do.
//! - S2. While there is no space, a call may answer `Full` where an I/O call of its own found none
//!   (`blame`); reads go on, nothing that was acknowledged is lost, and behind the end of the bound
//!   every call succeeds again by itself.
//! - S3. A system that keeps a reserve owes more: while the disk is full and no other fault fired,
//!   deletes, drops, checkpoints and opens work. That is owed where the reserve holds what they may
//!   write together: the log twice, what may still be added to it, two steps of its allocation, and
//!   some manifests.

use super::{Invariant, Runner};
use crate::checker::Finding;
use crate::history::{Action, Member, Shape};

/// What manifests, headers and half empty pages of a small history come to (S3).
const BYTES_BESIDE_THE_LOG: u64 = 192 * 1024;

/// The word for calls that found no space, by which they are counted with faults.
pub const FULL_DISK: &str = "full-disk";

/// The word for such calls in what has to work all the same (S3).
pub const RESERVE_OWED: &str = "full-disk-with-reserve";

/// How much space there is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Space {
    /// Bytes that everything on the disk may take, while it is bounded.
    capacity: Option<u64>,
    /// Whether the store set a reserve aside before.
    owed: bool,
    /// Whether the call under way has to work with it.
    must_work: bool,
}

impl Runner<'_> {
    /// Bounds the space to so many bytes more than are taken now, or lifts the bound.
    pub(super) fn limit_space(&mut self, free: Option<u64>) {
        self.disk.set_free_bytes(free);
        let reserve = self.standing.reserve_bytes;
        let whole = reserve >= self.history.options.reserve_bytes && reserve >= self.may_need(free);
        let small = self.history.shape == Shape::Small;
        let owed = self.system.keeps_reserve() && small && whole && !self.excused;
        self.space = Space {
            capacity: self.disk.capacity_bytes(),
            owed: owed && free.is_some(),
            must_work: false,
        };
    }

    /// Bytes that what must work may write before there is space again (S3).
    fn may_need(&self, free: Option<u64>) -> u64 {
        let log = self.bytes_of(|name| name.ends_with(".wal"));
        let steps = 2 * self.history.options.log_step_bytes_max;
        2 * log + free.unwrap_or(0) + steps + BYTES_BESIDE_THE_LOG
    }

    /// Carries the bound over to the disk of the next process (S1).
    pub(super) fn limit_next_disk(&mut self) {
        self.disk.set_capacity_bytes(self.space.capacity);
        self.space.must_work = self.space.owed;
    }

    /// Whether the space is bounded.
    pub(super) fn is_space_limited(&self) -> bool {
        self.space.capacity.is_some()
    }

    /// Notes which action begins.
    pub(super) fn note_action(&mut self, action: &Action) {
        let frees = match action {
            Action::Single(Member::Write(changes)) | Action::Write(changes) => {
                changes.iter().all(|change| change.row.is_none())
            }
            Action::Single(Member::Drop(_)) | Action::Checkpoint => true,
            _ => false,
        };
        self.space.must_work = frees && self.space.owed && self.waiting.is_empty();
    }

    /// Counts I/O calls that found no space.
    pub(super) fn count_full(&mut self, calls: u64) {
        if calls == 0 {
            return;
        }
        self.was_full = true;
        *self.out.faults.entry(FULL_DISK).or_default() += calls;
        self.out.first_struck.get_or_insert(self.out.calls.len());
        if self.space.must_work && !self.excused {
            *self.out.faults.entry(RESERVE_OWED).or_default() += calls;
            self.evaluated(Invariant::I11);
        }
    }

    /// Whether a full disk is no excuse now (S3).
    pub(super) fn check_reserve(&mut self, error: &quiver_store::Error) {
        if !self.space.must_work {
            return;
        }
        if error.kind() == quiver_store::ErrorKind::Full && !self.excused {
            let expected = "what frees space works on a full disk, with the reserve";
            self.found(Finding::new(Invariant::I11, expected, format!("{error:?}")));
            self.stopped = true;
        }
    }
}
