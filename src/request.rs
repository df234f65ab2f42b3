//! What a caller asks of the commit queue, and what it is answered.

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::sync::{Arc, Mutex, locked};
use crate::write_batch::WriteBatch;

/// What [`crate::Store::submit`] takes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// Row changes.
    Write(WriteBatch),
    /// A new collection.
    CreateCollection {
        /// Its name.
        name: String,
        /// Its schema.
        descriptor: Descriptor,
    },
    /// The end of a collection.
    DropCollection {
        /// Its name.
        name: String,
    },
}

impl From<WriteBatch> for Request {
    fn from(batch: WriteBatch) -> Self {
        Self::Write(batch)
    }
}

/// What became of a request that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The batch is durable.
    Written {
        /// LSN of its last operation.
        last_lsn: Lsn,
        /// How many of its deletes found a live row.
        hits: u64,
    },
    /// The collection exists.
    Created {
        /// Its id.
        id: CollectionId,
        /// LSN of the creation.
        lsn: Lsn,
    },
    /// The collection is gone.
    Dropped {
        /// Whether it was there.
        existed: bool,
        /// LSN of the drop; none if it was not there.
        lsn: Option<Lsn>,
    },
}

/// A request that waits for its commit.
#[derive(Clone, Debug)]
pub struct Ticket {
    answer: Arc<Mutex<Option<Result<Outcome>>>>,
}

impl Ticket {
    pub(crate) fn new() -> Self {
        Self { answer: Arc::new(Mutex::new(None)) }
    }

    /// The answer, or `None` while the request waits.
    ///
    /// *Durability*: `Some(Ok(_))` means durable.
    ///
    /// # Errors
    /// As the call that the request stands for: see [`crate::Store::write`].
    pub fn poll(&self) -> Option<Result<Outcome>> {
        match locked(&self.answer) {
            Ok(answer) => answer.as_ref().map(|answer| match answer {
                Ok(outcome) => Ok(*outcome),
                Err(error) => Err(error.duplicate()),
            }),
            Err(error) => Some(Err(error)),
        }
    }

    pub(crate) fn answer(&self, answer: Result<Outcome, Error>) {
        if let Ok(mut slot) = locked(&self.answer) {
            *slot = Some(answer);
        }
    }
}
