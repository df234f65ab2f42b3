//! Who observes a store, and which thread is inside of the observer at the moment.

use std::thread::{self, ThreadId};

use crate::error::{Error, Result};
use crate::replication::{CommitObserver, Observer};
use crate::sync::{Mutex, locked};

/// The observer of a store, and the thread that is inside of it.
#[derive(Debug, Default)]
pub(super) struct Observing {
    pub(super) observer: Mutex<Observer>,
    pub(super) inside: Mutex<Option<ThreadId>>,
}

impl Observing {
    /// Refuses a call of the thread that is inside the observer (O3).
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn check_outside(&self) -> Result<()> {
        if *locked(&self.inside)? == Some(thread::current().id()) {
            let what =
                "a commit observer may not change, checkpoint or close the store it observes";
            return Err(Error::invalid(what));
        }
        Ok(())
    }

    /// The observer, if there is one.
    pub(super) fn observer(&self) -> Result<Option<CommitObserver>> {
        Ok(locked(&self.observer)?.0.clone())
    }
}
