//! Walks the rows of one collection as a reader sees them, in ascending order of their ids.
//!
//! It merges the runs of the memtables with the cursors of the segments. Of one id the newest
//! memtable decides, and a segment only where no memtable knows it (A3). Rows are shown where they
//! lie: a value is copied only where it straddles pages.

use std::collections::VecDeque;
use std::ops::Bound;

use crate::collection::{Collection, LiveSegment};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Lsn;
use crate::memtable::{Entry, Memtable, prefix};
use crate::scan_range::ScanRange;
use crate::segment::{Columns, SegmentCursor, Tombstones};
use crate::sync::{Arc, AtomicBool, Ordering};

/// How many rows are taken out of a memtable at a time.
const RUN_ROWS: usize = 256;

/// A place between rows, and the row before it.
pub(crate) struct RowCursor {
    /// Newest first.
    memtables: Vec<MemtableRun>,
    segments: Vec<SegmentRun>,
    current: Option<Source>,
    range: ScanRange,
    left: u64,
    /// Whether the key of the collection was destroyed meanwhile.
    shredded: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Memtable(usize),
    Segment(usize),
}

/// Where a row stands.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// In a memtable.
    Memtable(&'a Entry),
    /// In a segment, by its place among those of the collection: the number of the row.
    Segment(usize, u32),
}

struct MemtableRun {
    memtable: Arc<Memtable>,
    at: Lsn,
    /// The row that is next or current is the first.
    ahead: VecDeque<Entry>,
    has_more: bool,
    /// The prefix of its id.
    prefix: u64,
}

impl MemtableRun {
    fn start(memtable: &Arc<Memtable>, at: Lsn, from: Bound<&str>) -> Result<Self> {
        let mut ahead = VecDeque::new();
        let has_more = memtable.run(from, at, RUN_ROWS, &mut ahead)?;
        let prefix = ahead.front().map_or(0, |entry: &Entry| entry.prefix);
        Ok(Self { memtable: Arc::clone(memtable), at, ahead, has_more, prefix })
    }

    fn step(&mut self) -> Result<()> {
        let last = self.ahead.pop_front();
        if let (true, true, Some(last)) = (self.ahead.is_empty(), self.has_more, last) {
            let from = Bound::Excluded(last.id());
            self.has_more = self.memtable.run(from, self.at, RUN_ROWS, &mut self.ahead)?;
        }
        self.prefix = self.ahead.front().map_or(0, |entry| entry.prefix);
        Ok(())
    }
}

struct SegmentRun {
    cursor: SegmentCursor,
    dead: Arc<Tombstones>,
    has_row: bool,
    /// The prefix of the current row's id.
    prefix: u64,
}

impl SegmentRun {
    fn start(
        live: &LiveSegment,
        from: Bound<&str>,
        read_ahead_bytes: u64,
        columns: Columns,
    ) -> Result<Self> {
        let cursor = live.segment.cursor(from, read_ahead_bytes, columns)?;
        let mut run = Self { cursor, dead: Arc::clone(&live.dead), has_row: true, prefix: 0 };
        run.step()?;
        Ok(run)
    }

    fn step(&mut self) -> Result<()> {
        loop {
            self.has_row = self.cursor.advance()?;
            if !self.has_row || !self.dead.contains(self.cursor.row()) {
                self.prefix = prefix(self.cursor.id().as_bytes());
                return Ok(());
            }
        }
    }
}

impl RowCursor {
    /// Before the first row of a range, as of an LSN.
    pub(crate) fn start(
        collection: &Collection,
        at: Lsn,
        range: ScanRange,
        read_ahead_bytes: u64,
        columns: Columns,
    ) -> Result<Self> {
        let from = range.lower();
        let memtables =
            collection.memtables().map(|memtable| MemtableRun::start(memtable, at, from));
        let segments = collection.segments.iter();
        let segments =
            segments.map(|live| SegmentRun::start(live, from, read_ahead_bytes, columns));
        Ok(Self {
            memtables: memtables.collect::<Result<_>>()?,
            segments: segments.collect::<Result<_>>()?,
            current: None,
            left: range.rows_max(),
            range,
            shredded: Arc::clone(&collection.shredded),
        })
    }

    /// Goes to the next row; whether there is one.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        if self.shredded.load(Ordering::Acquire) {
            self.current = None;
            let what = "the collection was shredded while it was read: its key is destroyed";
            return Err(Error::new(ErrorKind::KeyUnavailable, what));
        }
        if self.left == 0 {
            self.current = None;
            return Ok(false);
        }
        if let Some(source) = self.current.take() {
            self.step(source)?;
        }
        while let Some(source) = self.lowest() {
            self.pass_over_older(source)?;
            if self.range.ends_before(self.id_of(source)) {
                self.left = 0;
                return Ok(false);
            }
            if let Source::Memtable(i) = source
                && !self.memtables[i].ahead[0].is_live
            {
                self.step(source)?;
                continue;
            }
            self.current = Some(source);
            self.left -= 1;
            return Ok(true);
        }
        Ok(false)
    }

    /// The id of the current row; empty where there is none.
    pub(crate) fn id(&self) -> &str {
        self.current.map_or("", |source| self.id_of(source))
    }

    /// The vector of the current row; empty where there is none.
    pub(crate) fn vector(&mut self) -> Result<&[u8]> {
        match self.current {
            Some(Source::Memtable(i)) => Ok(self.memtables[i].ahead[0].vector()),
            Some(Source::Segment(i)) => self.segments[i].cursor.vector(),
            None => Ok(&[]),
        }
    }

    /// The payload of the current row; empty where there is none.
    pub(crate) fn payload(&mut self) -> Result<&[u8]> {
        match self.current {
            Some(Source::Memtable(i)) => Ok(self.memtables[i].ahead[0].payload()),
            Some(Source::Segment(i)) => self.segments[i].cursor.payload(),
            None => Ok(&[]),
        }
    }

    /// Id, vector and payload of the current row at once; empty where there is none.
    pub(crate) fn row(&mut self) -> Result<(&str, &[u8], &[u8])> {
        match self.current {
            Some(Source::Memtable(i)) => {
                let entry = &self.memtables[i].ahead[0];
                Ok((entry.id(), entry.vector(), entry.payload()))
            }
            Some(Source::Segment(i)) => self.segments[i].cursor.row_ref(),
            None => Ok(("", &[], &[])),
        }
    }

    /// Where the current row stands.
    ///
    /// # Panics
    /// If there is no current row.
    pub(crate) fn place(&self) -> Place<'_> {
        match self.current.expect("a cursor is asked for a place only where it has a row") {
            Source::Memtable(i) => Place::Memtable(&self.memtables[i].ahead[0]),
            Source::Segment(i) => Place::Segment(i, self.segments[i].cursor.row()),
        }
    }

    fn id_of(&self, source: Source) -> &str {
        match source {
            Source::Memtable(i) => self.memtables[i].ahead[0].id(),
            Source::Segment(i) => self.segments[i].cursor.id(),
        }
    }

    fn step(&mut self, source: Source) -> Result<()> {
        match source {
            Source::Memtable(i) => self.memtables[i].step(),
            Source::Segment(i) => self.segments[i].step(),
        }
    }

    /// The source with the lowest id; of equal ones the newest.
    fn lowest(&self) -> Option<Source> {
        let mut best: Option<(Source, u64)> = None;
        let mut take = |source, prefix: u64| {
            let is_lower = match best {
                None => true,
                Some((other, lowest)) if prefix == lowest => self.id_of(source) < self.id_of(other),
                Some((_, lowest)) => prefix < lowest,
            };
            if is_lower {
                best = Some((source, prefix));
            }
        };
        for (i, run) in self.memtables.iter().enumerate() {
            if !run.ahead.is_empty() {
                take(Source::Memtable(i), run.prefix);
            }
        }
        for (i, run) in self.segments.iter().enumerate() {
            if run.has_row {
                take(Source::Segment(i), run.prefix);
            }
        }
        best.map(|(source, _)| source)
    }

    /// Steps over what is older than a row of a memtable and of the same id. Two segments never
    /// show one id (A3).
    fn pass_over_older(&mut self, newest: Source) -> Result<()> {
        let Source::Memtable(newest) = newest else { return Ok(()) };
        let (newer, older) = self.memtables.split_at_mut(newest + 1);
        let (prefix, id) = (newer[newest].prefix, newer[newest].ahead[0].id_bytes());
        for run in older {
            let first = run.ahead.front().filter(|_| run.prefix == prefix);
            if first.is_some_and(|entry| entry.id_bytes() == id) {
                run.step()?;
            }
        }
        for run in &mut self.segments {
            if run.has_row && run.prefix == prefix && run.cursor.id().as_bytes() == id {
                run.step()?;
            }
        }
        Ok(())
    }
}
