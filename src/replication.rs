//! Committed operations as they are handed to others: to observers, and to stores that follow.
//!
//! **Place.** Floor 4. An operation is what a record of the log says, owned and with the id of its
//! collection. An observer gets them behind the commit; a follower validates each as if a caller had
//! asked for it, and gives it an LSN of its own.

use std::fmt;

use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::ids::{CollectionId, Lsn, ManifestVersion};
use crate::record::Record;
use crate::sync::Arc;
use crate::wal::frame::Batch;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WalOp {
    /// A new collection.
    CreateCollection {
        /// Its id.
        collection_id: CollectionId,
        /// Its name.
        name: String,
        /// Its schema.
        descriptor: Descriptor,
    },
    /// The end of a collection.
    DropCollection {
        /// Its id.
        collection_id: CollectionId,
    },
    /// Another name of a collection.
    RenameCollection {
        /// Its id.
        collection_id: CollectionId,
        /// Its name from then on.
        name: String,
    },
    /// More filterable fields of a collection.
    AlterCollection {
        /// Its id.
        collection_id: CollectionId,
        /// Its schema from then on.
        descriptor: Descriptor,
    },
    /// A new row, or another one in its place.
    Upsert {
        /// Its collection.
        collection_id: CollectionId,
        /// Its id.
        external_id: String,
        /// Its vectors as stored, in the form of the collection's [`crate::Dtype`].
        vector: Vec<u8>,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// The end of a row.
    Delete {
        /// Its collection.
        collection_id: CollectionId,
        /// Its id.
        external_id: String,
    },
    /// A checkpoint was published: told to observers, and no operation.
    Checkpoint {
        /// Every operation up to it is in segments.
        last_checkpointed_lsn: Lsn,
        /// The manifest that says so.
        manifest_version: ManifestVersion,
    },
}

/// What an observer is shown.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WalEntry {
    /// The operation's LSN; of a checkpoint, the last one that is in segments.
    pub lsn: Lsn,
    /// The operation.
    pub op: WalOp,
    /// Whether it is the last one of its batch: what commits together ends with it.
    pub ends_batch: bool,
}

/// Is shown every committed operation; see [`crate::Store::set_commit_observer`].
pub type CommitObserver = Arc<dyn Fn(&WalEntry) + Send + Sync>;

/// Shows the operations of a batch whose first record has LSN `first`, in order.
///
/// # Errors
/// Those of bytes that are no records, and of `see`.
pub(crate) fn entries(
    first: Lsn,
    batch: &Batch,
    mut see: impl FnMut(WalEntry) -> Result<()>,
) -> Result<()> {
    let last = Lsn(first.0 + u64::from(batch.records())).previous();
    let mut lsn = first;
    for section in &batch.sections {
        let collection = section.collection;
        section.for_each(|record| {
            let op = WalOp::of(collection, &record)?;
            see(WalEntry { lsn, op, ends_batch: lsn == last })?;
            lsn = lsn.next();
            Ok(())
        })?;
    }
    Ok(())
}

impl WalOp {
    /// What a record of a section says.
    fn of(collection: CollectionId, record: &Record<'_>) -> Result<Self> {
        Ok(match *record {
            Record::CreateCollection { name, descriptor } => Self::CreateCollection {
                collection_id: collection,
                name: name.to_owned(),
                descriptor: Descriptor::decode(descriptor)?,
            },
            Record::DropCollection { id, .. } => Self::DropCollection { collection_id: id },
            Record::RenameCollection { name } => {
                Self::RenameCollection { collection_id: collection, name: name.to_owned() }
            }
            Record::AlterCollection { descriptor } => Self::AlterCollection {
                collection_id: collection,
                descriptor: Descriptor::decode(descriptor)?,
            },
            Record::Upsert { external_id, vector, payload } => Self::Upsert {
                collection_id: collection,
                external_id: external_id.to_owned(),
                vector: vector.to_vec(),
                payload: payload.to_vec(),
            },
            Record::Delete { external_id } => {
                Self::Delete { collection_id: collection, external_id: external_id.to_owned() }
            }
        })
    }

    /// Whether it changes a row, and so may commit together with others.
    pub(crate) fn is_of_a_row(&self) -> bool {
        matches!(self, Self::Upsert { .. } | Self::Delete { .. })
    }
}

/// An observer, and whether somebody is in it.
#[derive(Default)]
pub(crate) struct Observer(pub(crate) Option<CommitObserver>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}
