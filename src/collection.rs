//! One collection: its memtables, its segments, and what is wrong with it.
//!
//! **Place.** Floor 4, a part of a [`crate::live_set`], whose invariants it keeps: what a reader holds of it
//! never changes, but for the rows that the newest memtable takes on and for the end of its key.
//!
//! - L1. A row in a memtable stands for all that is beneath it; among segments each id is live in at most
//!   one (A3).
//! - L2. A collection whose key is missing, or whose schema cannot be read, is known by its id alone, and
//!   answers nothing else. Its records are kept as they are.

use crate::damage::{self, Damage, Hidden};
use crate::descriptor::{Descriptor, DistanceMetric, Dtype};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, KeyId, Lsn};
use crate::limits::{COLLECTION_NAME_BYTES_MAX, NUMBER_MAX};
use crate::manifest::index_snapshots::IndexSnapshotEntry;
use crate::manifest::schema::SealedSchema;
use crate::manifest::{SegmentEntry, TombstonesEntry};
use crate::memtable::{Count, Entry, Memtable};
use crate::page_cache::PageCache;
use crate::record::Record;
use crate::row::RecordRef;
use crate::segment::{Segment, Tombstones};
use crate::sync::{Arc, AtomicBool, Ordering, locked_whole};
use crate::wal::frame::Section;

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
    /// What all of it is sealed under.
    pub(crate) key: KeyId,
    /// Name and schema as they were sealed, where that was done since they changed.
    pub(crate) schema: Option<Arc<SealedSchema>>,
    /// Whether the open could read that, but held it against those of the others and took none of it.
    pub(crate) is_refused: bool,
    /// Whether that was destroyed; for all who hold the collection, in whatever version.
    pub(crate) shredded: Arc<AtomicBool>,
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
    pub(crate) fn new(id: CollectionId, key: KeyId, name: String, descriptor: Descriptor) -> Self {
        Self {
            id,
            name,
            descriptor,
            key,
            schema: None,
            is_refused: false,
            shredded: Arc::default(),
            active: Arc::default(),
            sealing: None,
            segments: Arc::default(),
            index_snapshot: None,
            damage: None,
        }
    }

    /// A collection of which nothing can be told: its key is missing, or its schema cannot be read.
    pub(crate) fn keyless(id: CollectionId, key: KeyId, error: Error) -> Self {
        let stands_for_any = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
        let mut collection = Self::new(id, key, String::new(), stands_for_any);
        collection.note_damage(error, Hidden::Newer(Lsn(0)));
        collection
    }

    /// Whether its name and its schema are known.
    pub(crate) fn is_known(&self) -> bool {
        !self.name.is_empty()
    }

    /// Whether nothing of its records can be told (L2).
    pub(crate) fn is_closed_book(&self) -> bool {
        !self.is_known() && self.damage.is_some()
    }

    /// Takes a section into one of its memtables; where nothing of it can be told it is kept as it is. Errors
    /// and `deleted` as [`Memtable::insert`].
    pub(crate) fn take(
        &self,
        memtable: &Memtable,
        first: Lsn,
        section: &Section,
        deleted: impl FnMut(&str, Option<bool>) -> Result<()>,
    ) -> Result<()> {
        if self.is_closed_book() {
            return memtable.keep(first, section);
        }
        memtable.insert(first, section, self.descriptor.row_stride(), deleted)
    }

    /// Refuses to speak of what is sealed under a key that is missing or destroyed, or of which the schema
    /// cannot be read.
    ///
    /// # Errors
    /// `KeyUnavailable`; `Corrupt` naming the manifest.
    pub(crate) fn check_key(&self) -> Result<()> {
        if self.shredded.load(Ordering::Acquire) {
            let what = format!("collection {} was shredded: its key is destroyed", self.id);
            return Err(Error::new(ErrorKind::KeyUnavailable, what));
        }
        match &self.damage {
            Some(damage) if !self.is_known() => Err(damage.to_reader()),
            _ => Ok(()),
        }
    }

    /// The memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.sealing)
    }

    /// A row as of an LSN.
    pub(crate) fn find(&self, cache: &PageCache, id: &str, at: Lsn) -> Result<Option<Found<'_>>> {
        for memtable in self.memtables() {
            if let Some(entry) = memtable.get(id, at)? {
                if entry.lsn <= self.doubtful() {
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

    /// Whether all of its records that are parked were read: its rows are in memory, and its schema is what
    /// they made of it.
    pub(crate) fn is_unparked(&self) -> bool {
        self.is_known() && self.doubtful() == Lsn(0)
    }

    /// Whether rows cannot be told that overwrite others.
    pub(crate) fn hides_newer(&self) -> bool {
        self.doubtful() > Lsn(0)
    }

    /// The last LSN at which a row may have changed that cannot be told.
    fn doubtful(&self) -> Lsn {
        let carried = self.damage.as_ref().map_or(Lsn(0), |damage| damage.carried);
        self.unread().max(carried)
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

    /// Takes what its records say of its name and its schema, where nothing else stands for them.
    ///
    /// # Errors
    /// `Corrupt` for what no version writes.
    pub(crate) fn alter_by(&mut self, section: &Section) -> Result<()> {
        let id = self.id;
        self.schema = None;
        section.for_each(|record| {
            match record {
                Record::CreateCollection { name, descriptor } => {
                    check_name(id, name)?;
                    self.name = name.to_owned();
                    self.descriptor = Descriptor::decode(descriptor)?;
                }
                Record::RenameCollection { name } => {
                    check_name(id, name)?;
                    self.name = name.to_owned();
                }
                Record::AlterCollection { descriptor } => {
                    self.descriptor = Descriptor::decode(descriptor)?;
                }
                _ => return Err(Error::corrupt(format!("a row among schemas of collection {id}"))),
            }
            Ok(())
        })
    }

    /// Notes that records up to an LSN cannot be opened.
    pub(crate) fn note_carried(&mut self, error: Error, through: Lsn) {
        self.note_damage(error, Hidden::Rows);
        let damage = self.damage.take().expect("noted above");
        self.damage = Some(Arc::new(damage.and(Hidden::Rows).carrying(through)));
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
    pub(crate) fn below(
        &self,
        cache: &PageCache,
        section: &Section,
        below: &mut Vec<bool>,
    ) -> Result<()> {
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
    // A codec may panic under it; what was counted before is right all the same.
    let mut count = locked_whole(&memtable.count);
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

/// Refuses a name from a disk that no creation takes (A2).
pub(crate) fn check_name(id: CollectionId, name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::corrupt(format!("collection {id} has the name {name:?}")))
}
