//! A seal under way: memtables on their way into segments, as far as they are.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::collection::{Collection, LiveSegment};
use crate::error::Result;
use crate::ids::{CollectionId, FileId, Lsn};
use crate::manifest::index_snapshots::IndexSnapshotEntry;
use crate::manifest::parked::ParkedEntry;
use crate::memtable::{Entry, Memtable};
use crate::segment::{SegmentBuilder, SegmentIdentity, SegmentProbe, Tombstones};
use crate::sync::Arc;

/// How many rows are taken out of a memtable at a time.
const RUN_ROWS: usize = 256;

/// A seal under way.
#[derive(Debug, Default)]
pub(super) struct Seal {
    pub(super) queue: VecDeque<Arc<Collection>>,
    pub(super) current: Option<SealOne>,
    pub(super) sealed: Vec<Sealed>,
    /// Records of collections that cannot be sealed.
    pub(super) parked: Vec<ParkedEntry>,
    /// Index snapshots of collections that have nothing to seal.
    pub(super) index_snapshots: Vec<IndexSnapshotEntry>,
    /// How many syncs of the directory had failed when it began.
    pub(super) names_lost: u64,
    /// Names of the files made so far.
    pub(super) made: Vec<String>,
}

/// One collection's memtable on its way into a segment.
#[derive(Debug)]
pub(super) struct SealOne {
    pub(super) collection: Arc<Collection>,
    pub(super) memtable: Arc<Memtable>,
    ahead: VecDeque<Entry>,
    has_more: bool,
    /// One for each segment of the collection: where to look, and the rows found dead so far.
    pub(super) older: Vec<(SegmentProbe, Option<Tombstones>)>,
    pub(super) made: Option<(FileId, SegmentIdentity, SegmentBuilder)>,
    /// How many files the seal had made before it.
    pub(super) made_before: usize,
}

/// What became of a collection.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) id: CollectionId,
    pub(super) segments: Vec<LiveSegment>,
    pub(super) index_snapshot: Option<IndexSnapshotEntry>,
}

/// Index snapshots that wait for the publish of a checkpoint, and the files made for them.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) entries: BTreeMap<CollectionId, IndexSnapshotEntry>,
    pub(super) made: Vec<String>,
    /// How many syncs of the directory had failed when they were made.
    pub(super) names_lost: u64,
}

impl Seal {
    pub(super) fn into_made(self) -> Vec<String> {
        self.made
    }
}

impl SealOne {
    pub(super) fn start(collection: Arc<Collection>, made_before: usize) -> Result<Self> {
        let memtable = collection.sealing.clone().expect("only those with one are queued");
        let mut ahead = VecDeque::new();
        let has_more = memtable.run(Bound::Unbounded, Lsn(u64::MAX), RUN_ROWS, &mut ahead)?;
        let older = collection.segments.iter().map(|live| (live.segment.probe(), None));
        let older = older.collect();
        Ok(Self { collection, memtable, ahead, has_more, older, made: None, made_before })
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let next = self.ahead.pop_front();
        if let (true, true, Some(last)) = (self.ahead.is_empty(), self.has_more, &next) {
            let from = Bound::Excluded(last.id());
            self.has_more = self.memtable.run(from, Lsn(u64::MAX), RUN_ROWS, &mut self.ahead)?;
        }
        Ok(next)
    }
}
