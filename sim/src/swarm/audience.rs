//! What an observer of a run is told (I14).
//!
//! **Place.** The desk sets one in each process and looks at it after each operation.
//!
//! - O1. LSNs come one after another, from the one behind what was committed when it was set; each once.
//! - O2. What is committed was told, and what was told is committed: an observer is neither late nor early.

use std::sync::{Arc, Mutex, PoisonError};

use quiver_store::WalOp;

use crate::checker::{Finding, Invariant};
use crate::system::Listener;

/// An observer.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// LSNs as they were told, and whether each was of a checkpoint.
    told: Arc<Mutex<Vec<(u64, bool)>>>,
    last: u64,
}

impl Audience {
    /// One that is set now, where so much is committed.
    pub(super) fn new(committed: u64) -> (Self, Listener) {
        let audience = Self { told: Arc::default(), last: committed };
        let told = audience.told.clone();
        let listener = Arc::new(move |entry: crate::system::Told| {
            let is_checkpoint = matches!(entry.op, WalOp::Checkpoint { .. });
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push((entry.lsn, is_checkpoint));
        });
        (audience, listener)
    }

    /// Takes in what was told, where so much is committed now; how much it was.
    pub(super) fn hear(&mut self, committed: u64) -> Result<u64, Finding> {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        let wrong = |expected: String, found: String| {
            Err(Finding::new(Invariant::I14, format!("an observer is told of {expected}"), found))
        };
        let mut commits = 0;
        for (lsn, is_checkpoint) in told {
            if is_checkpoint {
                if lsn > committed {
                    let expected = format!("a checkpoint of no more than LSN {committed}");
                    return wrong(expected, format!("one of LSN {lsn}"));
                }
                continue;
            }
            if lsn != self.last + 1 {
                return wrong(format!("LSN {} next, once", self.last + 1), format!("LSN {lsn}"));
            }
            self.last = lsn;
            commits += 1;
        }
        if self.last != committed {
            return wrong(format!("all up to LSN {committed}"), format!("up to {}", self.last));
        }
        Ok(commits)
    }
}
