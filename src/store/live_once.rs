//! Tells whether an id is live in two segments of a collection (A3).
//!
//! The segments are read one after the other. Each id of one is looked for in those read before, first by
//! its hash in their filters: nearly all that are not there take no more than that. The others are looked
//! up in the order of the ids, so each id page of a segment is read once more at most for each segment
//! read behind it.

use crate::collection::LiveSegment;
use crate::error::{Error, Result};
use crate::segment::{KnownIds, SeenIds, SegmentProbe};

/// A segment, and those that must not have its live rows.
pub(super) struct LiveOnce<'a> {
    own: &'a LiveSegment,
    others: Vec<Other<'a>>,
}

struct Other<'a> {
    live: &'a LiveSegment,
    known: KnownIds<'a>,
    probe: SegmentProbe,
}

impl<'a> LiveOnce<'a> {
    /// Reads the filters of the others, if need be.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(super) fn new(
        own: &'a LiveSegment,
        others: impl Iterator<Item = &'a LiveSegment>,
    ) -> Result<Self> {
        let other = |live: &'a LiveSegment| {
            let (known, probe) = (live.segment.known_ids()?, live.segment.probe());
            Ok(Other { live, known, probe })
        };
        Ok(Self { own, others: others.map(other).collect::<Result<_>>()? })
    }

    /// Looks for the ids of a page in the others. Pages come in their order.
    ///
    /// # Errors
    /// `Corrupt` if one is live in two; `Io`.
    pub(super) fn check(&mut self, ids: &SeenIds<'_>) -> Result<()> {
        for Other { live, known, probe } in &mut self.others {
            ids.maybe_in(*known, |row, id| {
                if self.own.dead.contains(row) {
                    return Ok(());
                }
                let found = probe.find(id)?;
                if found.is_none_or(|row| live.dead.contains(row)) {
                    return Ok(());
                }
                let file = live.entry.file;
                Err(Error::corrupt(format!("row {id:?} is live in it and in segment {file}")))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::page_cache::PageCache;
    use crate::segment::{RunBytes, Tombstones};
    use crate::sync::Arc;
    use crate::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};

    /// Two segments of 200 rows each, every second of the later being one of the earlier too.
    fn segments() -> (Store, Vec<LiveSegment>) {
        let store = Store::open_with(Env::memory(), Options::default()).expect("a new store");
        let schema = Descriptor::new(1, Dtype::U8, DistanceMetric::L2);
        let rows = store.create_collection("rows", schema).expect("a new one");
        for step in [1, 2] {
            for i in 0..200 {
                let id = format!("{:03}", i * step);
                store.upsert(rows, &id, &[1.0], b"").expect("room");
            }
            store.checkpoint().expect("room");
        }
        let snapshot = store.snapshot().expect("open");
        let segments = snapshot.collection_of(rows).expect("there").segments.to_vec();
        assert_eq!(segments.len(), 2, "they were not merged");
        (store, segments)
    }

    fn check(own: &LiveSegment, other: &LiveSegment) -> Result<()> {
        let mut once = LiveOnce::new(own, [other].into_iter())?;
        let (cache, run) = (PageCache::new(0), RunBytes { file: 0, column: 0 });
        let see = |_| ControlFlow::Continue(());
        own.segment.verify_contents(&cache, run, |ids| once.check(ids), see).map(drop)
    }

    #[test]
    fn a_row_that_is_live_in_two_segments_is_found() {
        let (_store, segments) = segments();
        let (old, new) = (&segments[0], &segments[1]);
        assert_eq!(old.dead.len(), 100, "those that the later one has too");
        check(new, old).expect("as the store made them");
        check(old, new).expect("in any order");
        let all_live = LiveSegment { dead: Arc::<Tombstones>::default(), ..old.clone() };
        for (own, other) in [(new, &all_live), (&all_live, new)] {
            let error = check(own, other).expect_err("row 000 is in both");
            assert!(error.to_string().contains("row \"000\" is live in it"), "{error}");
        }
    }
}
