//! How a manifest on the disk differs from what the engine meant, for as long as it does.
//!
//! The engine writes each manifest as an edit of its last one, of which it has its own copy. A wrong
//! edit would be put right by the next publish; here it stays, as in an engine that made it
//! itself: until the engine says something else of the same thing.

use std::collections::{BTreeMap, BTreeSet};

use quiver_store::ids::{FileId, StoreId};
use quiver_store::manifest::{CollectionEntry, LogEnd, Manifest, SegmentEntry, TombstonesEntry};
use quiver_store::{Lsn, PlainCodec};

/// What manifests say otherwise than the engine.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// By segment: the tombstones that the engine names, and those that stand in their place.
    pub(super) tombstones: BTreeMap<FileId, (Option<TombstonesEntry>, Option<TombstonesEntry>)>,
    /// Segments that stay named, with their tombstones.
    pub(super) kept: Vec<(SegmentEntry, Option<TombstonesEntry>)>,
    /// Segments that are not named.
    pub(super) left_out: BTreeSet<FileId>,
    /// Collections that stay in the catalog.
    pub(super) undead: Vec<CollectionEntry>,
    /// Logs that are not named.
    pub(super) dropped_logs: BTreeSet<FileId>,
    /// Where frames end, by the offset at which the engine believes they do.
    pub(super) ends: BTreeMap<(FileId, u64), u64>,
    /// The end of the last log, for one publish.
    pub(super) end_once: Option<LogEnd>,
    /// The sealed LSN that the engine states, and the one in its place.
    pub(super) sealed: Option<(Lsn, Lsn)>,
    /// Whether no parked records are named.
    pub(super) parks_nothing: bool,
    /// Whether of each collection only the last file of parked records is named.
    pub(super) parks_once: bool,
    /// Whether collection ids are counted from the collections that there are.
    pub(super) counts_back: bool,
}

impl Overlay {
    /// Says it all; the manifest as it was meant where the reader would refuse the result for its
    /// form, which no engine would get past.
    pub(super) fn over(&mut self, meant: &Manifest) -> Manifest {
        let mut said = meant.clone();
        self.lay_over_catalog(&mut said);
        self.lay_over_segments(&mut said);
        self.lay_over_logs(&mut said);
        match said.encode(&PlainCodec).and_then(|bytes| Manifest::decode(&bytes)) {
            Ok(_) => said,
            Err(_) => meant.clone(),
        }
    }

    fn lay_over_catalog(&mut self, said: &mut Manifest) {
        let store = said.store;
        let collections = &mut said.collections;
        self.undead.retain(|undead| {
            collections.iter().all(|entry| {
                entry.id != undead.id && name_of(store, entry) != name_of(store, undead)
            })
        });
        collections.extend(self.undead.iter().cloned());
        collections.sort_by_key(|entry| entry.id);
        if self.parks_nothing {
            said.parked.clear();
        }
        if self.parks_once {
            let last: BTreeMap<_, _> =
                said.parked.iter().map(|entry| (entry.collection, entry.file)).collect();
            said.parked.retain(|entry| last[&entry.collection] == entry.file);
        }
        if self.counts_back {
            let last = collections.last().map(|entry| entry.id).unwrap_or_default();
            said.next_collection = quiver_store::CollectionId(last.0 + 1);
        }
    }

    fn lay_over_segments(&mut self, said: &mut Manifest) {
        let Manifest { segments, tombstones, collections, .. } = said;
        let known = |entry: &SegmentEntry| {
            collections.binary_search_by_key(&entry.collection, |found| found.id).is_ok()
        };
        self.kept.retain(|(entry, _)| known(entry));
        for (entry, dead) in &self.kept {
            if segments.iter().all(|found| found.file != entry.file) {
                segments.push(*entry);
                tombstones.extend(*dead);
            }
        }
        segments.retain(|entry| !self.left_out.contains(&entry.file));
        segments.sort_by_key(|entry| entry.file);
        self.tombstones.retain(|segment, (meant, _)| {
            let found = tombstones.iter().find(|entry| entry.segment == *segment);
            found.copied() == *meant
        });
        tombstones.retain(|entry| !self.tombstones.contains_key(&entry.segment));
        tombstones.extend(self.tombstones.values().filter_map(|(_, instead)| *instead));
        let named = |file| segments.binary_search_by_key(&file, |entry| entry.file).is_ok();
        tombstones.retain(|entry| named(entry.segment));
        tombstones.sort_by_key(|entry| entry.segment);
    }

    fn lay_over_logs(&mut self, said: &mut Manifest) {
        said.logs.retain(|log| !self.dropped_logs.contains(&log.file));
        for log in &mut said.logs {
            if let Some(end) = &mut log.end
                && let Some(offset) = self.ends.get(&(log.file, end.offset))
            {
                end.offset = *offset;
            }
        }
        if let (Some(log), Some(end)) = (said.logs.last_mut(), self.end_once.take()) {
            log.end = Some(end);
        }
        match self.sealed {
            Some((meant, instead)) if meant == said.sealed => said.sealed = instead,
            _ => self.sealed = None,
        }
    }
}

/// The name of a collection, which is not encrypted here.
fn name_of(store: StoreId, entry: &CollectionEntry) -> Option<String> {
    entry.schema.open(store, entry.id, &PlainCodec).ok().map(|(name, _)| name)
}
