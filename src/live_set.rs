//! What is visible: the collections, and where the rows of each are.
//!
//! **Place.** A [`Version`] is what a reader holds: an immutable list of memtables and segments for
//! each collection. Commits insert into the newest memtables and move the last visible LSN on;
//! creations, drops, seals and merges make a new version. A version and an LSN together are one
//! state of the store, for as long as somebody holds them.
//!
//! **Invariants**
//!
//! - A1. Operations are applied in LSN order, each after it became durable.
//! - A2. The same routine serves the commit of a group and the replay of the log, and checks every
//!   record in both: what was refused on the way in is refused on the way back.
//! - A3. Each id is live in at most one segment. A row in a memtable stands for all that is
//!   beneath it.
//! - A4. What is beneath a memtable means the same for as long as it takes rows, wherever a seal or
//!   a merge puts it meanwhile. So an answer about it stays true while the epoch is the same.

use std::collections::BTreeMap;

use crate::collection::{Collection, check_name, is_name};
use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, KeyId, Lsn};
use crate::limits::{COLLECTIONS_MAX, NUMBER_MAX};
use crate::page_cache::PageCache;
use crate::record::Record;
use crate::sync::{Arc, Ordering};
use crate::wal::frame::{Batch, Section};

/// All collections, as a reader holds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version {
    pub(crate) collections: BTreeMap<CollectionId, Arc<Collection>>,
    names: BTreeMap<String, CollectionId>,
    /// One more with each seal (A4).
    pub(crate) epoch: u64,
}

/// What the answers to a batch's deletions rest on beneath the memtables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Below {
    /// The epoch in which it was found out.
    pub(crate) epoch: u64,
    live: Vec<bool>,
}

impl Version {
    /// The collection of an id, for who wants to read or write it.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnavailable` where its key is missing or destroyed; `Corrupt` where its schema cannot
    /// be read.
    pub(crate) fn collection(&self, id: CollectionId) -> Result<&Arc<Collection>> {
        let found = self
            .collections
            .get(&id)
            .ok_or_else(|| Error::not_found(format!("no collection has the id {id}")))?;
        found.check_key()?;
        Ok(found)
    }

    /// Refuses to give a name while there is a collection whose name is not known: it may be the same.
    ///
    /// # Errors
    /// `KeyUnavailable`, or `Corrupt` where a schema cannot be read.
    pub(crate) fn check_names_known(&self) -> Result<()> {
        let Some(found) = self.collections.values().find(|found| !found.is_known()) else {
            return Ok(());
        };
        let id = found.id;
        let what = format!(
            "the name of collection {id} is not known, so no name can be given until its file is put back \
             or it is dropped by its id"
        );
        found.check_key().map_err(|error| {
            let kind = error.kind();
            error.reported_as(kind, &what)
        })
    }

    /// The id of a name.
    pub(crate) fn id(&self, name: &str) -> Option<CollectionId> {
        self.names.get(name).copied()
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    /// Adds a collection.
    ///
    /// # Errors
    /// `Corrupt` for one that no creation would have been acknowledged for (A2).
    pub(crate) fn insert(&mut self, collection: Collection) -> Result<()> {
        let (id, name) = (collection.id, collection.name.clone());
        if collection.is_known() {
            check_name(id, &name)?;
        }
        if self.collections.len() >= COLLECTIONS_MAX {
            return Err(Error::corrupt(format!("more than {COLLECTIONS_MAX} collections")));
        }
        if collection.is_known() && self.names.contains_key(&name) {
            return Err(Error::corrupt(format!("two collections named {name}")));
        }
        if self.collections.contains_key(&id) {
            return Err(Error::corrupt(format!("two collections of id {id}")));
        }
        if collection.is_known() {
            self.names.insert(name, id);
        }
        self.collections.insert(id, Arc::new(collection));
        Ok(())
    }

    /// A collection to be changed in place; the others stay shared.
    pub(crate) fn collection_mut(&mut self, id: CollectionId) -> Option<&mut Collection> {
        self.collections.get_mut(&id).map(Arc::make_mut)
    }

    /// Gives a collection another name.
    fn rename(&mut self, lsn: Lsn, id: CollectionId, name: &str) -> Result<()> {
        if !is_name(name) || self.names.contains_key(name) {
            return Err(Error::corrupt(format!("LSN {lsn} gives the name {name} twice")));
        }
        let Some(collection) = self.collection_mut(id) else {
            return Err(Error::corrupt(format!(
                "LSN {lsn} renames collection {id}, which is not there"
            )));
        };
        let old = std::mem::replace(&mut collection.name, name.to_owned());
        collection.schema = None;
        self.names.remove(&old);
        self.names.insert(name.to_owned(), id);
        Ok(())
    }

    /// Gives a collection more filterable fields: nothing else of a schema may change, for the rows
    /// stand as it says.
    fn alter(&mut self, lsn: Lsn, id: CollectionId, descriptor: Descriptor) -> Result<()> {
        let Some(collection) = self.collection_mut(id) else {
            return Err(Error::corrupt(format!(
                "LSN {lsn} alters collection {id}, which is not there"
            )));
        };
        if !descriptor.is_alteration_of(&collection.descriptor) {
            let what = format!("LSN {lsn} changes the schema of collection {id} beyond new fields");
            return Err(Error::corrupt(what));
        }
        collection.descriptor = descriptor;
        collection.schema = None;
        Ok(())
    }

    /// What the answers to a batch's deletions rest on; reads from the disk.
    pub(crate) fn below(&self, cache: &PageCache, batch: &Batch) -> Result<Below> {
        let mut live = Vec::new();
        for section in &batch.sections {
            self.collection(section.collection)?.below(cache, section, &mut live)?;
        }
        Ok(Below { epoch: self.epoch, live })
    }

    /// Inserts the rows of a batch whose first record has LSN `first`; how many deletions found a
    /// live row, where `below` is given.
    ///
    /// # Errors
    /// `Corrupt` for a record that could not have been acknowledged after those before it.
    pub(crate) fn insert_rows(
        &self,
        first: Lsn,
        batch: &Batch,
        below: Option<&Below>,
    ) -> Result<u64> {
        let (mut lsn, mut hits) = (first, 0);
        let mut live = below.map(|below| below.live.iter());
        for section in &batch.sections {
            let id = section.collection;
            let found = self.collections.get(&id);
            if section.is_of_catalog() && !found.is_some_and(|found| found.is_closed_book()) {
                lsn = Lsn(lsn.0 + u64::from(section.records));
                continue;
            }
            let collection = found
                .ok_or_else(|| Error::corrupt(format!("LSN {lsn} is of no collection: {id}")))?;
            collection.take(&collection.active, lsn, section, |id, here| {
                let Some(live) = &mut live else { return Ok(()) };
                let beneath = live.next().copied().unwrap_or(false);
                let sealing = match (&here, &collection.sealing) {
                    (None, Some(sealing)) => sealing.get(id, lsn)?.map(|entry| entry.is_live),
                    _ => None,
                };
                hits += u64::from(here.or(sealing).unwrap_or(beneath));
                Ok(())
            })?;
            lsn = Lsn(lsn.0 + u64::from(section.records));
        }
        Ok(hits)
    }
}

/// The version that is current, and its last LSN.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveSet {
    pub(crate) version: Arc<Version>,
    /// LSN of the last operation applied.
    pub(crate) last: Lsn,
    /// Highest collection id that was ever applied.
    pub(crate) last_collection: CollectionId,
    /// Collections that were dropped to be shredded, until somebody takes them over.
    pub(crate) shreds: Vec<Shred>,
}

/// A collection whose key has to be destroyed.
#[derive(Clone, Debug)]
pub(crate) struct Shred {
    /// LSN of its drop.
    pub(crate) lsn: Lsn,
    pub(crate) id: CollectionId,
    /// Empty where its key was missing.
    pub(crate) name: String,
}

impl LiveSet {
    /// Applies a batch whose first record has LSN `first`.
    ///
    /// # Errors
    /// `Corrupt` for a record that could not have been acknowledged after those before it.
    pub(crate) fn apply(&mut self, first: Lsn, batch: &Batch) -> Result<()> {
        let mut lsn = first;
        for section in &batch.sections {
            let found = self.version.collections.get(&section.collection);
            if section.carried.is_some() || found.is_some_and(|found| found.is_closed_book()) {
                self.expect_kept(lsn, section)?;
            } else if section.is_of_catalog() {
                let (id, key) = (section.collection, section.key);
                let mut at = lsn;
                section.for_each(|record| {
                    self.apply_schema(at, id, key, record)?;
                    at = at.next();
                    Ok(())
                })?;
            }
            lsn = Lsn(lsn.0 + u64::from(section.records));
        }
        self.version.insert_rows(first, batch, None)?;
        self.last = lsn.previous();
        Ok(())
    }

    /// Makes a section welcome that cannot be opened, or of which nothing can be told since its schema cannot
    /// be read. Its collection may be one whose creation is in it.
    fn expect_kept(&mut self, lsn: Lsn, section: &Section) -> Result<()> {
        let (id, key) = (section.collection, section.key);
        let what = format!("records of collection {id} from LSN {lsn} on: key {key} is missing");
        let error = Error::new(ErrorKind::KeyUnavailable, what);
        let version = Arc::make_mut(&mut self.version);
        if let Some(collection) = version.collection_mut(id) {
            let through = Lsn(lsn.0 + u64::from(section.records)).previous();
            collection.note_carried(error, through);
            return Ok(());
        }
        self.check_new(lsn, id)?;
        Arc::make_mut(&mut self.version).insert(Collection::keyless(id, key, error))
    }

    /// Takes the id of a creation.
    fn check_new(&mut self, lsn: Lsn, id: CollectionId) -> Result<()> {
        if id <= self.last_collection || id.0 >= NUMBER_MAX {
            return Err(Error::corrupt(format!("LSN {lsn} gives id {id} again")));
        }
        self.last_collection = id;
        Ok(())
    }

    fn apply_schema(
        &mut self,
        lsn: Lsn,
        id: CollectionId,
        key: KeyId,
        record: Record<'_>,
    ) -> Result<()> {
        if (id.0 == 0) != matches!(record, Record::DropCollection { .. }) {
            return Err(Error::corrupt(format!("LSN {lsn} is in the section of collection {id}")));
        }
        match record {
            Record::CreateCollection { name, descriptor } => {
                let descriptor = Descriptor::decode(descriptor)?;
                check_name(id, name)?;
                self.check_new(lsn, id)?;
                let collection = Collection::new(id, key, name.to_owned(), descriptor);
                Arc::make_mut(&mut self.version).insert(collection)
            }
            Record::DropCollection { id, shreds } => {
                let version = Arc::make_mut(&mut self.version);
                let dropped = version.collections.remove(&id).ok_or_else(|| {
                    Error::corrupt(format!("LSN {lsn} drops collection {id}, which is not there"))
                })?;
                version.names.remove(&dropped.name);
                if shreds {
                    dropped.shredded.store(true, Ordering::Release);
                    self.shreds.push(Shred { lsn, id, name: dropped.name.clone() });
                }
                Ok(())
            }
            Record::RenameCollection { name } => {
                Arc::make_mut(&mut self.version).rename(lsn, id, name)
            }
            Record::AlterCollection { descriptor } => {
                let descriptor = Descriptor::decode(descriptor)?;
                Arc::make_mut(&mut self.version).alter(lsn, id, descriptor)
            }
            Record::Upsert { .. } | Record::Delete { .. } => {
                Err(Error::corrupt(format!("LSN {lsn} is a row among schemas")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{DistanceMetric, Dtype};
    use crate::limits::COLLECTION_NAME_BYTES_MAX;
    use crate::limits::PAYLOAD_BYTES_MAX;

    fn descriptor() -> Descriptor {
        Descriptor::new(1, Dtype::F32, DistanceMetric::L2)
    }

    /// Applies one record as a replay does.
    fn apply(live: &mut LiveSet, collection: u64, record: &Record<'_>) -> Result<()> {
        let mut section = Section::new(CollectionId(collection));
        section.push(record);
        live.apply(live.last.next(), &Batch { sections: vec![section] })
    }

    fn create(live: &mut LiveSet, id: u64, name: &str) -> Result<()> {
        let descriptor = &descriptor().encode()[..];
        apply(live, id, &Record::CreateCollection { name, descriptor })
    }

    #[test]
    fn names_that_no_creation_takes_are_corruption() {
        let longest = "n".repeat(COLLECTION_NAME_BYTES_MAX);
        for (id, name) in (1..).zip(["a", "A-b_c.1", "...", &longest]) {
            assert!(create(&mut LiveSet::default(), id, name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "a\0", "\u{e9}"] {
            let error = create(&mut LiveSet::default(), 1, name).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
        }
    }

    #[test]
    fn more_collections_than_a_store_takes_are_corruption() {
        let mut version = Version::default();
        for id in 1..=COLLECTIONS_MAX as u64 {
            let collection =
                Collection::new(CollectionId(id), KeyId::NONE, id.to_string(), descriptor());
            version.insert(collection).expect("a store takes so many");
        }
        let id = CollectionId(NUMBER_MAX);
        let collection = Collection::new(id, KeyId::NONE, "a".to_owned(), descriptor());
        let error = version.insert(collection).expect_err("one too many");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    /// What a salvage shows is the state before the damage: a creation that is refused changes nothing.
    #[test]
    fn name_and_id_that_are_given_twice_stay_with_the_first() {
        let mut live = LiveSet::default();
        create(&mut live, 1, "a").expect("a name");
        let error = create(&mut live, 2, "a").expect_err("the same name");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(live.version.id("a"), Some(CollectionId(1)));
        let again = Collection::new(CollectionId(1), KeyId::NONE, "b".to_owned(), descriptor());
        let error = Arc::make_mut(&mut live.version).insert(again).expect_err("the same id");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(live.version.id("b"), None);
        assert!(live.version.collection(CollectionId(1)).is_ok_and(|found| found.name == "a"));
    }

    #[test]
    fn payload_beyond_the_limit_is_corruption() {
        let mut live = LiveSet::default();
        create(&mut live, 1, "a").expect("a name");
        let payload = vec![0; PAYLOAD_BYTES_MAX + 1];
        let record = |payload| Record::Upsert { external_id: "x", vector: &[0; 4], payload };
        assert!(apply(&mut live, 1, &record(&payload[1..])).is_ok());
        let error = apply(&mut live, 1, &record(&payload)).expect_err("a byte too many");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
