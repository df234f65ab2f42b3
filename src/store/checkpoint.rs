//! Checkpoint: seals memtables into segments, publishes them and drops the log.
//!
//! | step | under the lock of commits | a crash leaves |
//! |---|---|---|
//! | 1 switch: a new log file, published; new memtables | yes | the log, in two files |
//! | 2 seal: for each collection that changed a segment, and tombstones for the rows in older segments that it overwrites or deletes; bounded steps | no | orphans |
//! | 3 publish: segments and tombstones in, log up to the switch out | yes | the old manifest or the new one: the same rows |
//!
//! - C1. A segment holds the newest version of each row as of the switch, and none that was deleted.
//! - C2. A row that the memtables know is marked dead in whichever older segment has it live: each
//!   id is live in at most one segment (A3).
//! - C3. Tombstones are written whole under a new name (D4): a snapshot keeps those it had.
//! - C4. A log is dropped only when every record in it is at or below the switch, and so in a segment or,
//!   where its collection is damaged, parked.
//! - C5. Collections stand in the manifest as of the switch; what was created or dropped since is in
//!   the log above it.

use std::collections::BTreeMap;

use crate::codec::PlainCodec;
use crate::collection::{Collection, LiveSegment};
use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::{CollectionId, FileId, KeyId, Lsn, Salt};
use crate::live_set::Version;
use crate::manifest::schema::SealedSchema;
use crate::manifest::{CollectionEntry, KeyEntry, Manifest, SegmentEntry, TombstonesEntry};
use crate::memtable::Entry;
use crate::segment::{Segment, SegmentBuilder, SegmentIdentity, SegmentPlan, Tombstones};
use crate::store::jobs::{Jobs, Rotation};
use crate::store::on_disk::OnDisk;
use crate::store::park::{join, name_parked};
use crate::store::publish::publish;
use crate::store::reclaim::{discard, reclaim};
use crate::store::seal::{Pending, Seal, SealOne, Sealed};
use crate::store::tail::move_tail;
use crate::store::{Inner, full_disk};
use crate::sync::{Arc, reading, writing};
use crate::vfs::Access;

/// What looking for a row in older segments counts as, in bytes of work.
const PROBE_BYTES: u64 = 64;

impl Inner {
    /// Switches the log and takes the memtables out of use.
    pub(super) fn rotate(&self, jobs: &mut Jobs) -> Result<u64> {
        let tools = self.tools();
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        if on_disk.in_limbo || on_disk.has_records() {
            move_tail(&tools, &mut on_disk, &[])?;
            jobs.log_switches += 1;
        }
        let mut live = writing(&self.live)?;
        let lsn = live.last;
        let version = Arc::make_mut(&mut live.version);
        let (mut changed, mut joined) = (Vec::new(), BTreeMap::new());
        for (id, collection) in &version.collections {
            if collection.active.is_empty() {
                continue;
            }
            changed.push(*id);
            if let Some(before) = &collection.sealing {
                joined.insert(*id, join(collection, before, &collection.active)?);
            }
        }
        for id in changed {
            let collection = version.collection_mut(id).expect("listed above");
            let active = std::mem::take(&mut collection.active);
            collection.sealing = Some(joined.remove(&id).unwrap_or(active));
        }
        jobs.rotation = Some(Rotation { lsn, catalog: Arc::clone(&live.version) });
        on_disk.memtable_bytes = 0;
        tracing::debug!(lsn = lsn.0, "log switch");
        Ok(0)
    }

    /// One step of the seal: rows into segments, or the publish at its end.
    pub(super) fn step_seal(&self, jobs: &mut Jobs) -> Result<u64> {
        self.give_up_seal(jobs)?;
        let seal = match &mut jobs.seal {
            Some(seal) => seal,
            None => jobs.seal.insert(Seal {
                queue: {
                    let live = reading(&self.live)?;
                    let all = live.version.collections.values();
                    all.filter(|collection| collection.sealing.is_some()).cloned().collect()
                },
                names_lost: self.lock_on_disk()?.names_lost,
                ..Seal::default()
            }),
        };
        let mut done = 0;
        while done < self.options.step_bytes {
            let Some(one) = &mut seal.current else {
                let Some(collection) = seal.queue.pop_front() else {
                    self.take_index_snapshots(jobs)?;
                    self.publish_seal(jobs)?;
                    return Ok(done);
                };
                if !collection.is_well() {
                    done += self.park(seal, &collection)?;
                } else {
                    seal.current = Some(SealOne::start(collection, seal.made.len())?);
                }
                continue;
            };
            let stepped = match one.next()? {
                Some(entry) => self.seal_row(one, &entry, &mut seal.made),
                None => {
                    let through = jobs.rotation.as_ref().expect("a seal has its rotation").lsn;
                    let pending = jobs.pending.as_ref();
                    let finished = self.finish_one(one, pending, through, &mut seal.made);
                    finished.map(|sealed| {
                        seal.current = None;
                        seal.sealed.push(sealed);
                        0
                    })
                }
            };
            match stepped {
                Ok(bytes) => done += bytes,
                Err(error) => {
                    let one = seal.current.take().expect("it is being stepped");
                    self.give_up_one(seal, one, error)?;
                }
            }
        }
        Ok(done)
    }

    /// Gives up the seal under way where the names of its files may be lost; it begins again.
    fn give_up_seal(&self, jobs: &mut Jobs) -> Result<()> {
        let mut on_disk = self.lock_on_disk()?;
        if let Some(seal) = jobs.seal.take_if(|seal| seal.names_lost != on_disk.names_lost) {
            discard(&self.tools(), &mut on_disk, seal.into_made());
        }
        Ok(())
    }

    /// Marks a row dead where it was (C2), and takes it over if it lives (C1).
    fn seal_row(&self, one: &mut SealOne, entry: &Entry, made: &mut Vec<String>) -> Result<u64> {
        let segments = Arc::clone(&one.collection.segments);
        for (live, (probe, dead)) in segments.iter().zip(&mut one.older) {
            if let Some(row) = probe.find(entry.id())?
                && !live.dead.contains(row)
            {
                dead.get_or_insert_with(|| (*live.dead).clone()).insert(row);
                break;
            }
        }
        if !entry.is_live {
            return Ok(PROBE_BYTES);
        }
        let (_, _, builder) = match &mut one.made {
            Some(made) => made,
            None => {
                let rows_max = one.memtable.entries() as u64;
                one.made.insert(self.start_segment(&one.collection, rows_max, made)?)
            }
        };
        let (vector, payload) = (entry.vector(), entry.payload());
        builder.push(entry.id(), vector, payload)?;
        Ok(PROBE_BYTES + (entry.id().len() + vector.len() + payload.len()) as u64)
    }

    /// Creates a segment's file.
    pub(super) fn start_segment(
        &self,
        collection: &Collection,
        rows_max: u64,
        made: &mut Vec<String>,
    ) -> Result<(FileId, SegmentIdentity, SegmentBuilder)> {
        let salt = self.tools().salt()?;
        let (file_id, store) = {
            let mut on_disk = self.lock_on_disk()?;
            (on_disk.take_file(), on_disk.manifest.store)
        };
        let name = FileName::Segment(file_id, salt.into()).text();
        made.push(name.clone());
        let file = self.disk.create_new(&name)?;
        let identity = SegmentIdentity { store, collection: collection.id, salt };
        let plan = SegmentPlan {
            stride: collection.descriptor.row_stride(),
            rows_max,
            fields: collection.descriptor.filterable.clone(),
            index_bytes_max: self.options.index_bytes_max,
        };
        let codec = self.keys.of(collection.id, collection.key)?;
        let builder = SegmentBuilder::start(file, identity, plan, codec);
        Ok((file_id, identity, builder))
    }

    /// Ends a segment's file and opens it for readers.
    pub(super) fn finish_segment(
        &self,
        (file, identity, builder): (FileId, SegmentIdentity, SegmentBuilder),
        collection: &Collection,
    ) -> Result<LiveSegment> {
        let SegmentIdentity { salt, store, .. } = identity;
        let codec = self.keys.of(collection.id, collection.key)?;
        let stride = collection.descriptor.row_stride();
        let collection = collection.id;
        let sealed = builder.finish()?;
        let entry = SegmentEntry {
            file,
            collection,
            salt,
            len: sealed.len,
            rows: sealed.rows,
            footer: sealed.footer,
        };
        let name = FileName::Segment(file, salt.into()).text();
        let reader = self.disk.open(&name, Access::Read)?;
        let segment = Segment::open(reader, store, &entry, stride, codec)?;
        let segment = Arc::new(segment);
        self.lock_on_disk()?.open_segments.insert(file, Arc::downgrade(&segment));
        Ok(LiveSegment { entry, segment, tombstones: None, dead: Arc::default() })
    }

    /// Writes the tombstones of a segment under a new name (C3).
    pub(super) fn write_tombstones(
        &self,
        live: &LiveSegment,
        key: KeyId,
        dead: Tombstones,
        made: &mut Vec<String>,
    ) -> Result<LiveSegment> {
        let codec = self.keys.of(live.entry.collection, key)?;
        let salt = self.tools().salt()?;
        let (file_id, store) = {
            let mut on_disk = self.lock_on_disk()?;
            (on_disk.take_file(), on_disk.manifest.store)
        };
        let name = FileName::Tombstones(file_id, salt.into()).text();
        made.push(name.clone());
        let file = self.disk.create_new(&name)?;
        let (len, digest) = dead.write(&file, store, salt, &live.entry, &*codec)?;
        let (segment, rows) = (live.entry.file, dead.len());
        let entry = TombstonesEntry { file: file_id, segment, salt, len, rows, digest };
        Ok(LiveSegment { tombstones: Some(entry), dead: Arc::new(dead), ..live.clone() })
    }

    /// Index snapshots that go with this checkpoint, of collections that have nothing to seal.
    fn take_index_snapshots(&self, jobs: &mut Jobs) -> Result<()> {
        let Jobs { rotation, seal, pending: Some(pending), .. } = jobs else { return Ok(()) };
        let rotation = rotation.as_ref().expect("a seal has its rotation");
        let through = rotation.lsn;
        let seal = seal.as_mut().expect("it is being stepped");
        for id in pending.entries.keys() {
            if seal.sealed.iter().any(|sealed| sealed.id == *id) {
                continue;
            }
            // Also of one that was dropped since: a crash may bring it back.
            let collection = rotation.catalog.collection(*id)?;
            let rows = collection.segments.iter().map(LiveSegment::rows).sum();
            let made = &mut seal.made;
            let at = (through, rows);
            let entry = self.index_snapshot_behind(collection, Some(pending), at, made)?;
            seal.index_snapshots.extend(entry);
        }
        Ok(())
    }

    fn finish_one(
        &self,
        one: &mut SealOne,
        pending: Option<&Pending>,
        through: Lsn,
        made: &mut Vec<String>,
    ) -> Result<Sealed> {
        let key = one.collection.key;
        let mut segments = Vec::with_capacity(one.older.len() + 1);
        for (live, (_, dead)) in one.collection.segments.iter().zip(one.older.drain(..)) {
            match dead {
                None => segments.push(live.clone()),
                // Nothing of it lives: it goes whole.
                Some(dead) if dead.len() == live.entry.rows => {}
                Some(dead) => segments.push(self.write_tombstones(live, key, dead, made)?),
            }
        }
        if let Some(built) = one.made.take() {
            segments.push(self.finish_segment(built, &one.collection)?);
        }
        let rows = segments.iter().map(LiveSegment::rows).sum();
        let index_snapshot =
            self.index_snapshot_behind(&one.collection, pending, (through, rows), made)?;
        Ok(Sealed { id: one.collection.id, segments, index_snapshot })
    }

    fn publish_seal(&self, jobs: &mut Jobs) -> Result<()> {
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        let rotation = jobs.rotation.as_ref().expect("a seal has its rotation");
        let seal = jobs.seal.as_ref().expect("it is being stepped");
        on_disk.check_names(seal.names_lost)?;
        if let Some(pending) = &jobs.pending {
            on_disk.check_names(pending.names_lost)?;
        }
        let lsn = rotation.lsn;
        let sealed: BTreeMap<CollectionId, &Sealed> =
            seal.sealed.iter().map(|sealed| (sealed.id, sealed)).collect();
        let last_end = (on_disk.log.is_none()).then_some(on_disk.log_end.lsn);
        let schemas = self.seal_schemas(&rotation.catalog)?;
        publish(&self.tools(), &mut on_disk, |manifest| {
            manifest.sealed = lsn;
            drop_logs(manifest, lsn, last_end);
            manifest.keys = self.key_entries(&rotation.catalog);
            let entry = |(id, schema): (&CollectionId, &Arc<SealedSchema>)| CollectionEntry {
                id: *id,
                schema: Arc::clone(schema),
            };
            manifest.collections = schemas.iter().map(entry).collect();
            name_segments(manifest, &sealed);
            name_index_snapshots(manifest, seal);
            name_parked(manifest, &seal.parked, &sealed, &rotation.catalog);
        })?;
        let mut live = writing(&self.live)?;
        let version = Arc::make_mut(&mut live.version);
        for Sealed { id, segments, index_snapshot } in &seal.sealed {
            if let Some(collection) = version.collection_mut(*id) {
                collection.sealing = None;
                collection.segments = segments.as_slice().into();
                collection.index_snapshot = *index_snapshot;
            }
        }
        for (id, before) in &rotation.catalog.collections {
            // Of a collection that was changed since, it is sealed by the next checkpoint.
            if before.schema.is_none()
                && let Some(now) = version.collection_mut(*id)
                && (&now.name, &now.descriptor) == (&before.name, &before.descriptor)
            {
                now.schema = schemas.get(id).cloned();
            }
        }
        for entry in &seal.index_snapshots {
            if let Some(collection) = version.collection_mut(entry.collection) {
                collection.index_snapshot = Some(*entry);
            }
        }
        version.epoch += 1;
        drop(live);
        jobs.seal = None;
        jobs.pending = None;
        jobs.rotation = None;
        jobs.checkpoints += 1;
        reclaim(&self.tools(), &mut on_disk);
        let _ = full_disk::set_aside(&self.tools(), &mut on_disk);
        tracing::debug!(lsn = lsn.0, "checkpoint");
        self.observe_checkpoint(&mut on_disk);
        Ok(())
    }
}

impl Inner {
    /// Names and schemas as of the switch, sealed; those that did not change as they are.
    fn seal_schemas(&self, catalog: &Version) -> Result<BTreeMap<CollectionId, Arc<SealedSchema>>> {
        let mut schemas = BTreeMap::new();
        for (id, collection) in &catalog.collections {
            let schema = match &collection.schema {
                Some(schema) => Arc::clone(schema),
                // Its creation is parked, and no more is known of it.
                None if !collection.is_known() => Arc::default(),
                None => {
                    let codec = self.keys.of(*id, collection.key)?;
                    let what = (&*collection.name, &collection.descriptor);
                    let salt = match codec.id() {
                        PlainCodec::ID => Salt::default(),
                        _ => self.tools().salt()?,
                    };
                    Arc::new(SealedSchema::seal(self.store, *id, salt, &*codec, what)?)
                }
            };
            schemas.insert(*id, schema);
        }
        Ok(schemas)
    }

    /// The keys of the collections; that of the store is added by the publish.
    fn key_entries(&self, catalog: &Version) -> Vec<KeyEntry> {
        if !self.keys.has_key_files() {
            return Vec::new();
        }
        let all = catalog.collections.values();
        all.map(|found| KeyEntry { collection: found.id, key: found.key }).collect()
    }
}

/// Drops the logs whose every record is sealed (C4). `last_end` is where the last one ends, if it
/// takes no more frames.
fn drop_logs(manifest: &mut Manifest, sealed: Lsn, last_end: Option<Lsn>) {
    let last = manifest.logs.last().map(|log| log.file);
    manifest.logs.retain(|log| {
        let unlisted = if Some(log.file) == last { last_end } else { None };
        let end = log.end.map(|end| end.lsn).or(unlisted);
        end.is_none_or(|end| end > sealed)
    });
}

/// Names the segments and tombstones of the collections that were sealed, keeps those of the
/// others, and leaves out those of collections that are no more.
fn name_segments(manifest: &mut Manifest, sealed: &BTreeMap<CollectionId, &Sealed>) {
    let Manifest { segments, tombstones, collections, .. } = manifest;
    let known = |id| collections.binary_search_by_key(&id, |entry| entry.id).is_ok();
    segments.retain(|entry| known(entry.collection) && !sealed.contains_key(&entry.collection));
    let kept = |file| segments.binary_search_by_key(&file, |entry| entry.file).is_ok();
    tombstones.retain(|entry| kept(entry.segment));
    for live in sealed.values().flat_map(|sealed| &sealed.segments) {
        segments.push(live.entry);
        tombstones.extend(live.tombstones);
    }
    segments.sort_by_key(|entry| entry.file);
    tombstones.sort_by_key(|entry| entry.segment);
}

/// Names the index snapshots with their lists as they are behind a seal, keeps those of the other
/// collections, and leaves out those of collections that are no more.
fn name_index_snapshots(manifest: &mut Manifest, seal: &Seal) {
    let Manifest { index_snapshots, collections, .. } = manifest;
    let sealed = seal.sealed.iter().filter_map(|sealed| sealed.index_snapshot);
    for entry in sealed.chain(seal.index_snapshots.iter().copied()) {
        index_snapshots.retain(|before| before.collection != entry.collection);
        index_snapshots.push(entry);
    }
    let known = |id| collections.binary_search_by_key(&id, |entry| entry.id).is_ok();
    index_snapshots.retain(|entry| known(entry.collection));
    index_snapshots.sort_by_key(|entry| entry.collection);
}

impl OnDisk {
    /// Whether the log file that takes frames has any records.
    fn has_records(&self) -> bool {
        self.log.as_ref().is_some_and(|log| self.log_end.lsn >= log.header.base)
    }
}
