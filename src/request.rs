//! What a caller asks of the commit queue, and what it is answered.

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::sec::FilterableField;
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
    /// A row, where there is none of its id.
    PutIfAbsent {
        /// Its collection.
        collection: CollectionId,
        /// Its id.
        external_id: String,
        /// Its vector.
        vector: Vec<f32>,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// Another payload of a row, where there is one; its vector stays.
    UpdatePayload {
        /// Its collection.
        collection: CollectionId,
        /// Its id.
        external_id: String,
        /// Its new payload.
        payload: Vec<u8>,
    },
    /// The end of a collection.
    DropCollection {
        /// Its name.
        name: String,
    },
    /// The end of a collection whose name need not be known.
    DropCollectionById {
        /// Its id.
        id: CollectionId,
    },
    /// The end of a collection, and the intent to destroy its key: answered once that is durable. The
    /// key is destroyed by [`crate::Store::shred_collection`], or by the next open.
    ShredCollection {
        /// Its name.
        name: String,
    },
    /// Another name of a collection.
    RenameCollection {
        /// Its name.
        name: String,
        /// Its name from then on.
        new_name: String,
    },
    /// One more filterable field of a collection.
    AddFilterable {
        /// The collection's name.
        name: String,
        /// The field.
        field: FilterableField,
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
    /// Nothing was written: the row is there that was to be put, or is not that was to be updated.
    Unchanged,
    /// The collection has its new name, or its new field.
    Altered {
        /// Its id.
        id: CollectionId,
        /// LSN of the change.
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
