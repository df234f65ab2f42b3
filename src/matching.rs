//! Which rows of a collection hold a predicate, as of an LSN.
//!
//! **Place.** Floor 4, over [`crate::sec`]: rows of segments are found by their indexes, rows of
//! memtables are looked into one by one, and so are those of a segment that was made before a field
//! was declared.
//!
//! - G1. The answer is that of a scan with the predicate held against every payload (I12): a row of a
//!   memtable stands for all that is beneath it (A3), also where it holds no more what it held.
//! - G2. What is looked at in segments grows with the answer, not with their rows; of memtables every
//!   row is looked at, which are bounded by [`crate::Options::memtable_bytes_max`].

use std::ops::Bound;

use roaring::RoaringBitmap;

use crate::collection::{Collection, LiveSegment};
use crate::error::{Error, Result};
use crate::ids::Lsn;
use crate::memtable::{Entry, Memtable};
use crate::page_cache::PageCache;
use crate::row_cursor::{Place, RowCursor};
use crate::scan_range::ScanRange;
use crate::sec::SecPredicate;
use crate::sec::payload::{Extractor, RowValues};
use crate::sec::predicate::Filter;
use crate::segment::Columns;
use crate::sync::Arc;

/// How many rows are taken out of a memtable at a time.
const RUN_ROWS: usize = 256;

/// A search through one collection.
struct Search<'a> {
    collection: &'a Collection,
    cache: &'a PageCache,
    at: Lsn,
    read_ahead_bytes: u64,
    filter: Filter,
}

/// What was found.
struct Matches {
    /// Rows of memtables.
    memory: Vec<Entry>,
    /// Rows of each segment, those among them that a memtable stands for.
    segments: Vec<RoaringBitmap>,
}

impl Collection {
    /// The ids of all rows that hold a predicate, in ascending order.
    ///
    /// # Errors
    /// `InvalidArgument` for the predicate; `Io` and `Corrupt`.
    pub(crate) fn matching_ids(
        &self,
        cache: &PageCache,
        at: Lsn,
        read_ahead_bytes: u64,
        predicate: &SecPredicate,
    ) -> Result<Vec<String>> {
        let filter = predicate.resolve(&self.descriptor.filterable)?;
        self.check_whole()?;
        let search = Search { collection: self, cache, at, read_ahead_bytes, filter };
        let Matches { memory, segments } = search.run()?;
        let mut ids: Vec<String> = memory.iter().map(|entry| entry.id().to_owned()).collect();
        for (live, rows) in self.segments.iter().zip(segments) {
            live.segment.ids_of(cache, &rows, |_, id| {
                if !search.is_shadowed(id)? {
                    ids.push(id.to_owned());
                }
                Ok(())
            })?;
        }
        // Runs that are in order already.
        ids.sort();
        Ok(ids)
    }

    /// The ordinals, among all rows in ascending order of their ids, of those that hold a predicate.
    ///
    /// # Errors
    /// Those of [`Collection::matching_ids`].
    pub(crate) fn matching_rows(
        &self,
        cache: &PageCache,
        at: Lsn,
        read_ahead_bytes: u64,
        predicate: &SecPredicate,
        ordinals: &Ordinals,
    ) -> Result<RoaringBitmap> {
        let filter = predicate.resolve(&self.descriptor.filterable)?;
        self.check_whole()?;
        let search = Search { collection: self, cache, at, read_ahead_bytes, filter };
        let Matches { memory, segments } = search.run()?;
        let mut found: RoaringBitmap =
            memory.iter().filter_map(|entry| ordinals.of_entry(entry)).collect();
        for (own, rows) in ordinals.segments.iter().zip(segments) {
            let live = rows.iter().map(|row| own[row as usize]).filter(|row| *row != NOWHERE);
            // Ids and so ordinals ascend with the rows of a segment.
            let live = RoaringBitmap::from_sorted_iter(live);
            found |= live.expect("rows of a segment are in the order of their ids");
        }
        Ok(found)
    }
}

impl Search<'_> {
    fn run(&self) -> Result<Matches> {
        let fields = &self.collection.descriptor.filterable;
        let extractor = Extractor::new(fields)?;
        let mut memory = Vec::new();
        let memtables: Vec<_> = self.collection.memtables().collect();
        for (i, memtable) in memtables.iter().enumerate() {
            self.look_into(memtable, &memtables[..i], &extractor, &mut memory)?;
        }
        let segments = self.collection.segments.iter();
        let segments = segments.map(|live| {
            let rows = live.segment.rows_of(self.cache, fields, &self.filter)?;
            let rows = rows.map_or_else(|| self.walk(live, &extractor), Ok)?;
            Ok(live.dead.remove_from(rows))
        });
        Ok(Matches { memory, segments: segments.collect::<Result<_>>()? })
    }

    /// Looks into every row of a memtable that no newer one stands for.
    fn look_into(
        &self,
        memtable: &Memtable,
        newer: &[&Arc<Memtable>],
        extractor: &Extractor,
        found: &mut Vec<Entry>,
    ) -> Result<()> {
        let (mut run, mut values) = (Vec::new(), RowValues::default());
        let mut last: Option<Entry> = None;
        while {
            let from = last.as_ref().map_or(Bound::Unbounded, |last| Bound::Excluded(last.id()));
            memtable.run(from, self.at, RUN_ROWS, &mut run)?
        } | !run.is_empty()
        {
            last = run.last().cloned();
            for entry in run.drain(..) {
                let mut is_newest = entry.is_live;
                for newer in newer {
                    is_newest = is_newest && newer.get(entry.id(), self.at)?.is_none();
                }
                if !is_newest {
                    continue;
                }
                extractor.extract_into(entry.payload(), &mut values);
                if self.filter.matches(&values) {
                    found.push(entry);
                }
            }
        }
        Ok(())
    }

    /// Looks into every row of a segment.
    fn walk(&self, live: &LiveSegment, extractor: &Extractor) -> Result<RoaringBitmap> {
        let columns = Columns { vectors: false, payloads: true };
        let mut cursor = live.segment.cursor(Bound::Unbounded, self.read_ahead_bytes, columns)?;
        let (mut rows, mut values) = (RoaringBitmap::new(), RowValues::default());
        while cursor.advance()? {
            let row = cursor.row();
            if live.dead.contains(row) {
                continue;
            }
            extractor.extract_into(cursor.payload()?, &mut values);
            if self.filter.matches(&values) {
                rows.insert(row);
            }
        }
        Ok(rows)
    }

    /// Whether a memtable stands for a row of a segment.
    fn is_shadowed(&self, id: &str) -> Result<bool> {
        for memtable in self.collection.memtables() {
            if memtable.get(id, self.at)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Where each live row of a collection stands among all of them, in ascending order of ids.
///
/// *Limits*: four bytes for each row of a segment.
#[derive(Debug, Default)]
pub(crate) struct Ordinals {
    /// Rows of memtables, in order.
    memory: Vec<(Entry, u32)>,
    /// Of each segment the ordinal of each row, [`NOWHERE`] for those that are not live.
    segments: Vec<Vec<u32>>,
}

/// The ordinal of no row: one beyond those that are counted by 32 bits.
const NOWHERE: u32 = u32::MAX;

impl Ordinals {
    /// Walks all ids once.
    ///
    /// # Errors
    /// `TooLarge` beyond 2^32 rows; `Io` and `Corrupt`.
    pub(crate) fn of(collection: &Collection, at: Lsn, read_ahead_bytes: u64) -> Result<Self> {
        let columns = Columns { vectors: false, payloads: false };
        let all = ScanRange::all();
        let mut cursor = RowCursor::start(collection, at, all, read_ahead_bytes, columns)?;
        let rows = collection.segments.iter().map(|live| live.segment.rows() as usize);
        let segments = rows.map(|rows| vec![NOWHERE; rows]).collect();
        let mut ordinals = Self { memory: Vec::new(), segments };
        let mut next: u32 = 0;
        while cursor.advance()? {
            match cursor.place() {
                Place::Memtable(entry) => ordinals.memory.push((entry.clone(), next)),
                Place::Segment(segment, row) => {
                    ordinals.segments[segment][row as usize] = next;
                }
            }
            next = next
                .checked_add(1)
                .ok_or_else(|| Error::too_large("a bitmap over more rows than 32 bits count"))?;
        }
        Ok(ordinals)
    }

    fn of_entry(&self, entry: &Entry) -> Option<u32> {
        let place = self.memory.binary_search_by(|(own, _)| own.id_bytes().cmp(entry.id_bytes()));
        place.ok().map(|place| self.memory[place].1)
    }
}
