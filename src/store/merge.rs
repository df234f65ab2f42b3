//! A merge under way: which segments it joins, and how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::collection::{Collection, LiveSegment};
use crate::ids::{FileId, KeyId};
use crate::limits::PAGE_SIZE_BYTES;
use crate::live_set::Version;
use crate::page_cache::PageCache;
use crate::row_cursor::RowCursor;
use crate::segment::{SegmentBuilder, SegmentIdentity};
use crate::store::pace::pressure;
use crate::sync::{Arc, AtomicBool};

/// The most segments that one merge reads.
const INPUTS_MAX: usize = 16;

/// A merge under way.
pub(super) struct Merge {
    /// The collection as it was at the start, with the inputs for its only segments.
    pub(super) inputs: Collection,
    /// Over the inputs; opened by the first step.
    pub(super) cursor: Option<RowCursor>,
    pub(super) output: Option<(FileId, SegmentIdentity, SegmentBuilder)>,
    pub(super) made: Vec<String>,
    /// How many syncs of the directory had failed when it began to make files.
    pub(super) names_lost: u64,
    pub(super) rows_done: u64,
    /// Whether the output, and with it all of the collection, is under another key.
    pub(super) rekeys: bool,
    /// Set when its output is published, for whoever began it: a step of another caller may do that,
    /// or undo the merge.
    pub(super) published: Arc<AtomicBool>,
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").field("made", &self.made).finish_non_exhaustive()
    }
}

impl Merge {
    /// A merge that pays off, if there is one.
    pub(super) fn due(version: &Version, cache: &PageCache, factor: usize) -> Option<Self> {
        let mut well = version.collections.values().filter(|found| found.is_well());
        well.find_map(|collection| {
            let chosen = choose(&collection.segments, factor);
            let inputs = chosen.or_else(|| unindexed(collection, cache))?;
            Some(Self::of(collection, inputs))
        })
    }

    /// A merge of all that a collection has, unless it is one segment without dead rows, and with
    /// indexes of all filterable fields.
    pub(super) fn whole(collection: &Collection, cache: &PageCache) -> Option<Self> {
        let segments = &collection.segments;
        let is_one = segments.len() < 2 && segments.iter().all(|live| live.tombstones.is_none());
        let is_whole = is_one && unindexed(collection, cache).is_none();
        (!is_whole).then(|| Self::of(collection, segments.to_vec()))
    }

    /// A merge of all that a collection has, under another key.
    pub(super) fn under(collection: &Collection, key: KeyId) -> Self {
        let mut merge = Self::of(collection, collection.segments.to_vec());
        (merge.inputs.key, merge.rekeys) = (key, true);
        merge
    }

    fn of(collection: &Collection, inputs: Vec<LiveSegment>) -> Self {
        let Collection { id, key, name, descriptor, .. } = collection.clone();
        let mut alone = Collection::new(id, key, name, descriptor);
        alone.segments = inputs.into();
        Self {
            inputs: alone,
            cursor: None,
            output: None,
            made: Vec::new(),
            names_lost: 0,
            rows_done: 0,
            rekeys: false,
            published: Arc::default(),
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.inputs.segments.iter().map(LiveSegment::rows).sum()
    }

    pub(super) fn into_made(self) -> Vec<String> {
        self.made
    }
}

/// How many segments wait for their merges, as a pressure on the writers: none up to twice as many of a
/// class as make a merge due, full at four times as many.
pub(super) fn merge_pressure(version: &Version, factor: usize) -> u64 {
    let of_class = |segments: &[LiveSegment]| {
        let mut counts = BTreeMap::<u32, u64>::new();
        segments.iter().for_each(|live| *counts.entry(class(live, factor)).or_default() += 1);
        counts.into_values().max().unwrap_or(0)
    };
    let well = version.collections.values().filter(|found| found.is_well());
    let most = well.map(|collection| of_class(&collection.segments)).max().unwrap_or(0);
    let factor = factor as u64;
    pressure(most, factor * 2, factor * 4)
}

/// The segments that should be merged next, if any.
fn choose(segments: &[LiveSegment], factor: usize) -> Option<Vec<LiveSegment>> {
    let classes: BTreeSet<u32> = segments.iter().map(|live| class(live, factor)).collect();
    for wanted in classes {
        let of_class = segments.iter().filter(|live| class(live, factor) == wanted);
        let inputs: Vec<_> = of_class.take(INPUTS_MAX).cloned().collect();
        if inputs.len() >= factor {
            return Some(inputs);
        }
    }
    let wasted = segments.iter().find(|live| live.dead.len() > live.entry.rows / 4)?;
    Some(vec![wasted.clone()])
}

/// A segment that was made before a field was declared, to be written again with its index. One that
/// cannot be read is left as it is.
fn unindexed(collection: &Collection, cache: &PageCache) -> Option<Vec<LiveSegment>> {
    let fields = &collection.descriptor.filterable;
    if fields.is_empty() {
        return None;
    }
    let lacks = |live: &&LiveSegment| !live.segment.indexes_all(cache, fields).unwrap_or(true);
    collection.segments.iter().find(lacks).map(|live| vec![live.clone()])
}

/// Segments of one class are within a factor of each other in size, by what lives.
fn class(live: &LiveSegment, factor: usize) -> u32 {
    let pages = live.entry.len / PAGE_SIZE_BYTES as u64;
    let live_pages =
        u128::from(pages) * u128::from(live.rows()) / u128::from(live.entry.rows.max(1));
    live_pages.max(1).ilog(factor as u128)
}
