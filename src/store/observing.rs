//! Who observes a store, and which thread is inside of the observer at the moment.

use std::fmt;

use crate::error::{Error, Result};
use crate::replication::{CommitObserver, Observer};
use crate::sync::{Mutex, ThreadId, locked, thread_id};

/// The observer of a store, and the thread that is inside of it.
#[derive(Default)]
pub(super) struct Observing {
    pub(super) observer: Mutex<Observer>,
    pub(super) inside: Mutex<Option<ThreadId>>,
    /// Observers that are called no more, to be dropped where no lock is held (O5).
    retired: Mutex<Vec<CommitObserver>>,
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observing").field("inside", &self.inside).finish_non_exhaustive()
    }
}

impl Observing {
    /// Refuses a call of the thread that is inside the observer (O3).
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn check_outside(&self) -> Result<()> {
        if *locked(&self.inside)? == Some(thread_id()) {
            let what =
                "a commit observer may not change, checkpoint or close the store it observes";
            return Err(Error::invalid(what));
        }
        Ok(())
    }

    /// Puts an observer, or none, in the place of the one before. Errors as [`locked`].
    pub(super) fn replace(&self, observer: Option<CommitObserver>) -> Result<()> {
        let before = std::mem::replace(&mut locked(&self.observer)?.0, observer);
        locked(&self.retired)?.extend(before);
        Ok(())
    }

    /// Drops the observers that are called no more. The caller holds no lock.
    pub(super) fn let_go(&self) {
        if let Ok(mut retired) = locked(&self.retired) {
            let gone = std::mem::take(&mut *retired);
            drop(retired);
            drop(gone);
        }
    }

    /// The observer, if there is one.
    pub(super) fn observer(&self) -> Result<Option<CommitObserver>> {
        Ok(locked(&self.observer)?.0.clone())
    }
}
