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

use crate::damage::{self, Damage, Hidden};
use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::limits::{COLLECTION_NAME_BYTES_MAX, COLLECTIONS_MAX, NUMBER_MAX};
use crate::manifest::index_snapshots::IndexSnapshotEntry;
use crate::manifest::{CollectionEntry, SegmentEntry, TombstonesEntry};
use crate::memtable::{Count, Entry, Memtable};
use crate::page_cache::PageCache;
use crate::record::Record;
use crate::row::RecordRef;
use crate::segment::{Segment, Tombstones};
use crate::sync::{Arc, locked};
use crate::wal::frame::{Batch, Section};

/// A segment and which of its rows are dead.
#[derive(Clone, Debug)]
pub(crate) struct LiveSegment {
    pub(crate) entry: SegmentEntry,
    pub(crate) segment: Arc<Segment>,
    /// The file that lists the dead rows, if there are any.
    pub(crate) tombstones: Option<TombstonesEntry>,
    pub(crate) dead: Arc<Tombstones>,
}

impl LiveSegment {
    /// Rows that are not dead.
    pub(crate) fn rows(&self) -> u64 {
        self.entry.rows - self.dead.len()
    }
}

/// One collection.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub(crate) id: CollectionId,
    pub(crate) name: String,
    pub(crate) descriptor: Descriptor,
    /// Takes the rows that are committed now.
    pub(crate) active: Arc<Memtable>,
    /// Took them before, and is being sealed.
    pub(crate) sealing: Option<Arc<Memtable>>,
    /// In ascending order of file id.
    pub(crate) segments: Arc<[LiveSegment]>,
    /// What the layers above left with a checkpoint.
    pub(crate) index_snapshot: Option<IndexSnapshotEntry>,
    /// What is wrong with its files, as far as the open or background work met it.
    pub(crate) damage: Option<Arc<Damage>>,
}

/// Where a row was found.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Memory(Entry),
    Sealed(&'a LiveSegment, u32),
}

impl Collection {
    /// A collection without rows.
    pub(crate) fn new(id: CollectionId, name: String, descriptor: Descriptor) -> Self {
        let segments = Arc::default();
        let (active, sealing, index_snapshot, damage) = (Arc::default(), None, None, None);
        Self { id, name, descriptor, active, sealing, segments, index_snapshot, damage }
    }

    /// As a manifest has it.
    pub(crate) fn entry(&self) -> CollectionEntry {
        let Self { id, ref name, ref descriptor, .. } = *self;
        CollectionEntry { id, name: name.clone(), descriptor: descriptor.clone() }
    }

    /// The memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.sealing)
    }

    /// A row as of an LSN.
    pub(crate) fn find(&self, cache: &PageCache, id: &str, at: Lsn) -> Result<Option<Found<'_>>> {
        for memtable in self.memtables() {
            if let Some(entry) = memtable.get(id, at)? {
                if entry.lsn <= self.unread() {
                    self.check_whole()?;
                }
                return Ok(entry.is_live.then_some(Found::Memory(entry)));
            }
        }
        let sealed = self.find_sealed(cache, id)?;
        Ok(sealed.map(|(segment, row)| Found::Sealed(segment, row)))
    }

    /// The row in the one segment that has it live. A segment that cannot tell does not matter where
    /// another one has it (A3).
    fn find_sealed(&self, cache: &PageCache, id: &str) -> Result<Option<(&LiveSegment, u32)>> {
        if self.hides_newer() {
            self.check_whole()?;
        }
        let mut cannot_tell = None;
        for live in self.segments.iter().rev() {
            match live.segment.find(cache, id) {
                Ok(Some(row)) if !live.dead.contains(row) => return Ok(Some((live, row))),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => cannot_tell = Some(error),
                Err(error) => return Err(error),
            }
        }
        self.check_whole()?;
        cannot_tell.map_or(Ok(None), Err)
    }

    /// Whether rows cannot be told that overwrite others.
    pub(crate) fn hides_newer(&self) -> bool {
        self.unread() > Lsn(0)
    }

    /// The last LSN of its parked records that could not be read; 0 where all could be.
    pub(crate) fn unread(&self) -> Lsn {
        match self.damage.as_ref().map(|damage| damage.hidden) {
            Some(Hidden::Newer(through)) => through,
            _ => Lsn(0),
        }
    }

    /// Refuses to speak of all rows where some are hidden.
    ///
    /// # Errors
    /// `Corrupt` naming the file that hides them.
    pub(crate) fn check_whole(&self) -> Result<()> {
        match &self.damage {
            Some(damage) if damage.hidden > Hidden::Nothing => Err(damage.to_reader()),
            _ => Ok(()),
        }
    }

    /// The first damage to its files that anybody has met, mere readers included.
    pub(crate) fn damage_met(&self) -> Option<Error> {
        let in_segments = || self.segments.iter().find_map(|live| live.segment.damage());
        let met = self.damage.as_ref().map(|damage| damage.to_reader());
        met.or_else(|| in_segments().map(Error::duplicate))
    }

    /// Whether nobody has met any damage to its files.
    pub(crate) fn is_well(&self) -> bool {
        self.damage.is_none() && self.segments.iter().all(|live| live.segment.damage().is_none())
    }

    /// Refuses writes where anything is known to be damaged.
    ///
    /// # Errors
    /// `Corrupt` naming the file.
    pub(crate) fn check_well(&self) -> Result<()> {
        self.damage_met().map_or(Ok(()), |error| Err(damage::to_writer(self.id, error)))
    }

    /// Notes that something of its files cannot be used.
    pub(crate) fn note_damage(&mut self, error: Error, hidden: Hidden) {
        let damage = match &self.damage {
            None => Damage::new(error, hidden),
            Some(known) => known.and(hidden),
        };
        self.damage = Some(Arc::new(damage));
    }

    /// Shows a row as of an LSN, if it is live.
    pub(crate) fn get_with<R>(
        &self,
        cache: &PageCache,
        id: &str,
        at: Lsn,
        see: impl FnOnce(RecordRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let form = self.descriptor.form();
        let Some(found) = self.find(cache, id, at)? else { return Ok(None) };
        match found {
            Found::Memory(entry) => {
                Ok(Some(see(RecordRef::new(entry.vector(), entry.payload(), form))))
            }
            Found::Sealed(live, row) => {
                let mut bytes = Vec::new();
                let vector_len = live.segment.row_into(cache, row, &mut bytes)?;
                let (vector, payload) = bytes.split_at(vector_len);
                Ok(Some(see(RecordRef::new(vector, payload, form))))
            }
        }
    }

    /// The vector of a row as of an LSN; its payload is not read.
    pub(crate) fn get_vector(
        &self,
        cache: &PageCache,
        id: &str,
        at: Lsn,
    ) -> Result<Option<Vec<f32>>> {
        let form = self.descriptor.form();
        Ok(match self.find(cache, id, at)? {
            None => None,
            Some(Found::Memory(entry)) => Some(form.elements(entry.vector())),
            Some(Found::Sealed(live, row)) => {
                let mut bytes = Vec::new();
                live.segment.vector_into(cache, row, &mut bytes)?;
                Some(form.elements(&bytes))
            }
        })
    }

    /// The payload of a row as of an LSN; its vector is not read.
    pub(crate) fn get_payload(
        &self,
        cache: &PageCache,
        id: &str,
        at: Lsn,
    ) -> Result<Option<Vec<u8>>> {
        Ok(match self.find(cache, id, at)? {
            None => None,
            Some(Found::Memory(entry)) => Some(entry.payload().to_vec()),
            Some(Found::Sealed(live, row)) => {
                let mut bytes = Vec::new();
                live.segment.payload_into(cache, row, &mut bytes)?;
                Some(bytes)
            }
        })
    }

    /// How many rows there are as of an LSN. The first call behind a write looks for the rows
    /// written since the one before, in what is beneath them.
    pub(crate) fn len(&self, cache: &PageCache, at: Lsn) -> Result<u64> {
        self.check_whole()?;
        let sealed: u64 = self.segments.iter().map(LiveSegment::rows).sum();
        let mut change = 0;
        if let Some(sealing) = &self.sealing {
            change += settled(sealing, at, |id| Ok(self.find_sealed(cache, id)?.is_some()))?;
        }
        change += settled(&self.active, at, |id| {
            if let Some(sealing) = &self.sealing
                && let Some(entry) = sealing.get(id, at)?
            {
                return Ok(entry.is_live);
            }
            Ok(self.find_sealed(cache, id)?.is_some())
        })?;
        Ok(sealed.saturating_add_signed(change))
    }

    /// For each deletion of a section, whether its row is live in the segments: what its writer's
    /// answer rests on if no memtable knows the row when it is applied.
    fn below(&self, cache: &PageCache, section: &Section, below: &mut Vec<bool>) -> Result<()> {
        section.for_each(|record| {
            if let Record::Delete { external_id } = record {
                let mut known = false;
                for memtable in self.memtables() {
                    known = known || memtable.get(external_id, Lsn(NUMBER_MAX))?.is_some();
                }
                below.push(!known && self.find_sealed(cache, external_id)?.is_some());
            }
            Ok(())
        })
    }
}

/// How many rows a memtable adds to what is beneath it, as of an LSN.
fn settled(
    memtable: &Memtable,
    at: Lsn,
    is_live_beneath: impl Fn(&str) -> Result<bool>,
) -> Result<i64> {
    let mut count = locked(&memtable.count)?;
    let mut own = if count.through <= at { *count } else { Count::default() };
    for (first, section) in memtable.sections(own.through.next(), at)? {
        let mut lsn = first;
        section.for_each(|record| {
            let (id, is_live) = match record {
                Record::Upsert { external_id, .. } => (external_id, true),
                Record::Delete { external_id } => (external_id, false),
                Record::CreateCollection { .. }
                | Record::DropCollection { .. }
                | Record::RenameCollection { .. }
                | Record::AlterCollection { .. } => {
                    unreachable!("refused by the insertion")
                }
            };
            let was_live = match memtable.get(id, lsn.previous())? {
                Some(entry) => entry.is_live,
                None => is_live_beneath(id)?,
            };
            own.change += i64::from(is_live) - i64::from(was_live);
            lsn = lsn.next();
            Ok(())
        })?;
    }
    own.through = at;
    if count.through <= at {
        *count = own;
    }
    Ok(own.change)
}

/// Whether a collection may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_sized = (1..=COLLECTION_NAME_BYTES_MAX).contains(&name.len());
    is_sized && name.bytes().all(allowed) && name != "." && name != ".."
}

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
    /// The collection of an id.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn collection(&self, id: CollectionId) -> Result<&Arc<Collection>> {
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

    /// Adds a collection.
    ///
    /// # Errors
    /// `Corrupt` for one that no creation would have been acknowledged for (A2).
    pub(crate) fn insert(&mut self, collection: Collection) -> Result<()> {
        let (id, name) = (collection.id, collection.name.clone());
        if !is_name(&name) {
            return Err(Error::corrupt(format!("collection {id} has the name {name:?}")));
        }
        if self.collections.len() >= COLLECTIONS_MAX {
            return Err(Error::corrupt(format!("more than {COLLECTIONS_MAX} collections")));
        }
        if self.names.insert(name, id).is_some() {
            let name = collection.name;
            return Err(Error::corrupt(format!("two collections named {name}")));
        }
        if self.collections.insert(id, Arc::new(collection)).is_some() {
            return Err(Error::corrupt(format!("two collections of id {id}")));
        }
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
            let collection = self
                .collections
                .get(&id)
                .ok_or_else(|| Error::corrupt(format!("LSN {lsn} is of no collection: {id}")))?;
            let stride = collection.descriptor.row_stride();
            collection.active.insert(lsn, section, stride, |id, here| {
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
}

impl LiveSet {
    /// Applies a batch whose first record has LSN `first`.
    ///
    /// # Errors
    /// `Corrupt` for a record that could not have been acknowledged after those before it.
    pub(crate) fn apply(&mut self, first: Lsn, batch: &Batch) -> Result<()> {
        match batch.sections.as_slice() {
            [catalog] if catalog.collection == CollectionId(0) => {
                let mut lsn = first;
                catalog.for_each(|record| {
                    self.apply_catalog(lsn, record)?;
                    lsn = lsn.next();
                    Ok(())
                })?;
            }
            _ => drop(self.version.insert_rows(first, batch, None)?),
        }
        self.last = Lsn(first.0 + u64::from(batch.records())).previous();
        Ok(())
    }

    fn apply_catalog(&mut self, lsn: Lsn, record: Record<'_>) -> Result<()> {
        let version = Arc::make_mut(&mut self.version);
        match record {
            Record::CreateCollection { id, name, descriptor } => {
                let descriptor = Descriptor::decode(descriptor)?;
                if id <= self.last_collection || id.0 >= NUMBER_MAX {
                    return Err(Error::corrupt(format!("LSN {lsn} gives id {id} again")));
                }
                self.last_collection = id;
                version.insert(Collection::new(id, name.to_owned(), descriptor))
            }
            Record::DropCollection { id } => {
                let dropped = version.collections.remove(&id).ok_or_else(|| {
                    Error::corrupt(format!("LSN {lsn} drops collection {id}, which is not there"))
                })?;
                version.names.remove(&dropped.name);
                Ok(())
            }
            Record::RenameCollection { id, name } => version.rename(lsn, id, name),
            Record::AlterCollection { id, descriptor } => {
                version.alter(lsn, id, Descriptor::decode(descriptor)?)
            }
            Record::Upsert { .. } | Record::Delete { .. } => {
                Err(Error::corrupt(format!("LSN {lsn} is a row of the catalog")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{DistanceMetric, Dtype};
    use crate::error::ErrorKind;
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
        apply(live, 0, &Record::CreateCollection { id: CollectionId(id), name, descriptor })
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
            let collection = Collection::new(CollectionId(id), id.to_string(), descriptor());
            version.insert(collection).expect("a store takes so many");
        }
        let collection = Collection::new(CollectionId(NUMBER_MAX), "a".to_owned(), descriptor());
        let error = version.insert(collection).expect_err("one too many");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
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
