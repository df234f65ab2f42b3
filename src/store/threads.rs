//! The threads of a store, and what is known of their work. What they do is in
//! [`crate::store::background`].

use crate::error::Result;
use crate::store::pace::Pace;
use crate::store::worker::Worker;
use crate::sync::{Arc, Mutex, locked};
use crate::vfs::Threads;

/// The threads of a store.
#[derive(Debug)]
pub(super) struct Background {
    /// Does background work.
    pub(super) maintenance: Worker,
    /// Commits what is awaited.
    pub(super) commits: Worker,
    pub(super) pace: Pace,
    /// What background work failed with last, if it has not succeeded since.
    failure: Mutex<Option<String>>,
}

impl Background {
    /// The threads of a store, none of them begun.
    pub(super) fn new(threads: Option<Arc<dyn Threads>>) -> Self {
        Self {
            maintenance: Worker::new("quiver-work", threads.clone()),
            commits: Worker::new("quiver-commit", threads.clone()),
            pace: Pace::new(threads),
            failure: Mutex::default(),
        }
    }

    /// Asks the threads to end, without waiting for it.
    pub(super) fn ask_to_end(&self) {
        self.maintenance.ask_to_end();
        self.commits.ask_to_end();
    }

    /// Ends the threads and waits for that (G3).
    pub(super) fn end(&self) {
        self.ask_to_end();
        self.commits.end();
        self.maintenance.end();
    }

    /// What background work failed with last, if it has not succeeded since.
    pub(super) fn failure(&self) -> Result<Option<String>> {
        Ok(locked(&self.failure)?.clone())
    }

    /// Notes how background work went.
    pub(super) fn note(&self, failure: Option<String>) {
        if let Ok(mut noted) = locked(&self.failure)
            && *noted != failure
        {
            *noted = failure;
        }
    }
}
