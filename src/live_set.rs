//! What is visible: the collections and their rows after the last durable operation.
//!
//! - A1. Operations are applied in LSN order, each after it became durable.
//! - A2. The same routine serves the commit of a group and the replay of the log, and checks every
//!   record in both: what was refused on the way in is refused on the way back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::limits::NUMBER_MAX;
use crate::record::Record;
use crate::segment::Rows;
use crate::wal::frame::Batch;

/// One collection.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) descriptor: Descriptor,
    /// Shared with the scans that started on it; copied by the first change while one lives.
    pub(crate) rows: Arc<Rows>,
    /// LSN of the last operation on it.
    pub(crate) changed: Lsn,
}

/// All collections.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveSet {
    pub(crate) collections: BTreeMap<CollectionId, Collection>,
    names: BTreeMap<String, CollectionId>,
    /// LSN of the last operation applied.
    pub(crate) last: Lsn,
    /// Highest collection id that was ever applied.
    pub(crate) last_collection: CollectionId,
}

impl LiveSet {
    /// The collection of an id.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn collection(&self, id: CollectionId) -> Result<&Collection> {
        self.collections
            .get(&id)
            .ok_or_else(|| Error::not_found(format!("no collection has the id {id}")))
    }

    /// The id of a name.
    pub(crate) fn id(&self, name: &str) -> Option<CollectionId> {
        self.names.get(name).copied()
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    /// Adds a collection as it stands in a manifest.
    pub(crate) fn insert(&mut self, id: CollectionId, collection: Collection) -> Result<()> {
        if self.names.insert(collection.name.clone(), id).is_some() {
            return Err(Error::corrupt(format!("two collections named {}", collection.name)));
        }
        if self.collections.insert(id, collection).is_some() {
            return Err(Error::corrupt(format!("two collections of id {id}")));
        }
        self.last_collection = self.last_collection.max(id);
        Ok(())
    }

    /// Applies a batch whose first record has LSN `first`; how many deletes found a live row.
    ///
    /// # Errors
    /// `Corrupt` for a record that could not have been acknowledged after those before it.
    pub(crate) fn apply(&mut self, first: Lsn, batch: &Batch) -> Result<u64> {
        let (mut lsn, mut hits) = (first, 0);
        for section in &batch.sections {
            if section.collection == CollectionId(0) {
                section.for_each(|record| {
                    self.apply_catalog(lsn, record)?;
                    lsn = lsn.next();
                    Ok(())
                })?;
                continue;
            }
            let collection = self.collections.get_mut(&section.collection).ok_or_else(|| {
                Error::corrupt(format!("LSN {lsn} is of no collection: {}", section.collection))
            })?;
            let rows = Arc::make_mut(&mut collection.rows);
            let stride = collection.descriptor.stride();
            section.for_each(|record| {
                hits += u64::from(apply_row(rows, stride, lsn, record)?);
                lsn = lsn.next();
                Ok(())
            })?;
            collection.changed = lsn.previous();
        }
        self.last = lsn.previous();
        Ok(hits)
    }

    fn apply_catalog(&mut self, lsn: Lsn, record: Record<'_>) -> Result<()> {
        match record {
            Record::CreateCollection { id, name, descriptor } => {
                let descriptor = Descriptor::decode(descriptor)?;
                if id <= self.last_collection || id.0 >= NUMBER_MAX {
                    return Err(Error::corrupt(format!("LSN {lsn} gives id {id} again")));
                }
                let name = name.to_owned();
                self.insert(id, Collection { name, descriptor, rows: Arc::default(), changed: lsn })
            }
            Record::DropCollection { id } => {
                let dropped = self.collections.remove(&id).ok_or_else(|| {
                    Error::corrupt(format!("LSN {lsn} drops collection {id}, which is not there"))
                })?;
                self.names.remove(&dropped.name);
                Ok(())
            }
            Record::Upsert { .. } | Record::Delete { .. } => {
                Err(Error::corrupt(format!("LSN {lsn} is a row of the catalog")))
            }
        }
    }
}

/// Applies one record to the rows of its collection; whether it was a delete of a live row.
fn apply_row(rows: &mut Rows, stride: usize, lsn: Lsn, record: Record<'_>) -> Result<bool> {
    match record {
        Record::Upsert { external_id, vector, payload } => {
            if vector.len() != stride {
                let len = vector.len();
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("LSN {lsn} has a vector of {len} bytes, expected {stride}"),
                ));
            }
            let value: Arc<[u8]> = [vector, payload].concat().into();
            match rows.get_mut(external_id) {
                Some(row) => *row = value,
                None => drop(rows.insert(external_id.into(), value)),
            }
            Ok(false)
        }
        Record::Delete { external_id } => Ok(rows.remove(external_id).is_some()),
        Record::CreateCollection { .. } | Record::DropCollection { .. } => {
            Err(Error::corrupt(format!("LSN {lsn} is a catalog record among rows")))
        }
    }
}
