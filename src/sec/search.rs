//! Reads an index: which rows have a term of a set.
//!
//! A search goes down the tree once, for all intervals of its set together, and reads a node only if
//! one of them may begin or end within. What it reads is bounded by what the index holds (K3), whatever
//! the bytes are, and every row of its answer is below the row count (K2).

use roaring::RoaringBitmap;

use crate::cursor::index;
use crate::error::Result;
use crate::sec::field::FieldType;
use crate::sec::index::{FOOTER_SIZE_BYTES, Footer};
use crate::sec::node::Entries;
use crate::sec::posting::{Posting, Rows, damaged, parse_set};
use crate::sec::terms::{Fence, Interval, TermSet};

/// Reads so many bytes of the index at an offset; both are within its length.
pub(crate) type ReadAt<'a> = &'a dyn Fn(u64, usize) -> Result<Vec<u8>>;

/// An open index.
///
/// *Limits*: it keeps the root node, about 4 KiB (K4).
#[derive(Debug)]
pub(crate) struct IndexReader {
    footer: Footer,
    root: Vec<u8>,
}

impl IndexReader {
    /// Opens the index of a field, `len` bytes long, of a segment of so many rows.
    ///
    /// # Errors
    /// `Corrupt` where it is not one; those of `read`.
    pub(crate) fn open(read: ReadAt<'_>, len: u64, field: FieldType, rows: u32) -> Result<Self> {
        let Some(footer_at) = len.checked_sub(FOOTER_SIZE_BYTES as u64) else {
            return Err(damaged(&format!("{len} bytes, shorter than its footer")));
        };
        let footer = Footer::decode(&read(footer_at, FOOTER_SIZE_BYTES)?, field, len)?;
        if footer.rows != rows {
            return Err(damaged(&format!("of {} rows, expected {rows}", footer.rows)));
        }
        let root = match footer.levels {
            0 => Vec::new(),
            _ => read(footer.root_offset, index(footer.root_len))?,
        };
        Ok(Self { footer, root })
    }

    /// How many different terms there are.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn terms(&self) -> u64 {
        self.footer.terms
    }

    /// The rows that have a term of a set.
    ///
    /// # Errors
    /// `Corrupt`; those of `read`.
    pub(crate) fn rows(&self, read: ReadAt<'_>, terms: &TermSet) -> Result<RoaringBitmap> {
        let Some(top) = self.footer.levels.checked_sub(1) else {
            return Ok(RoaringBitmap::new());
        };
        if terms.is_all() {
            let Footer { present_offset, present_len, rows, .. } = self.footer;
            return parse_set(&read(present_offset, present_len as usize)?, rows);
        }
        let mut search = Search {
            read,
            rows: Rows::new(self.footer.rows),
            ends: vec![Ends::default(); usize::from(top) + 1],
        };
        search.visit(&self.root, top, self.footer.root_offset, None, terms.intervals())?;
        Ok(search.rows.finish())
    }
}

/// How far on a level what was pointed to was read: each place at most once (K3).
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    nodes: u64,
    sets: u64,
}

struct Search<'a> {
    read: ReadAt<'a>,
    rows: Rows,
    ends: Vec<Ends>,
}

/// An entry above level 0.
struct Child<'a> {
    fence: Vec<u8>,
    place: (u64, u64),
    posting: Posting<'a>,
}

impl Search<'_> {
    /// Adds the rows of what the intervals accept of a node that lies at an offset; `upper` stands
    /// above its terms.
    fn visit(
        &mut self,
        node: &[u8],
        level: u8,
        at: u64,
        upper: Option<Fence<'_>>,
        intervals: &[Interval],
    ) -> Result<()> {
        let entries = Entries::new(node, level)?;
        if level == 0 {
            return self.visit_terms(entries, at, intervals);
        }
        self.visit_children(entries, level, at, upper, intervals)
    }

    fn visit_terms(
        &mut self,
        mut entries: Entries<'_>,
        at: u64,
        mut intervals: &[Interval],
    ) -> Result<()> {
        while entries.advance()? {
            while let [first, rest @ ..] = intervals
                && first.is_below(entries.key())
            {
                intervals = rest;
            }
            let Some(next) = intervals.first() else { break };
            let is_in = !next.is_above(entries.key());
            let posting = entries.posting()?;
            if is_in {
                self.add(posting, 0, at)?;
            }
        }
        Ok(())
    }

    fn visit_children(
        &mut self,
        mut entries: Entries<'_>,
        level: u8,
        at: u64,
        upper: Option<Fence<'_>>,
        mut intervals: &[Interval],
    ) -> Result<()> {
        let mut child: Option<Child<'_>> = None;
        while entries.advance()? {
            if let Some(child) = &child {
                self.descend(child, level, at, Some(Fence::new(entries.key())), intervals)?;
            }
            let fence = entries.key();
            let below = intervals.partition_point(|interval| interval.is_below(fence));
            intervals = &intervals[below..];
            if intervals.is_empty() {
                return Ok(());
            }
            let mut reused = child.take().map_or_else(Vec::new, |child| child.fence);
            reused.clear();
            reused.extend_from_slice(fence);
            let (place, posting) = (entries.child()?, entries.posting()?);
            child = Some(Child { fence: reused, place, posting });
        }
        match child {
            Some(child) => self.descend(&child, level, at, upper, intervals),
            None => Ok(()),
        }
    }

    /// Adds what the intervals, none of which is below the child, accept of its terms.
    fn descend(
        &mut self,
        child: &Child<'_>,
        level: u8,
        at: u64,
        upper: Option<Fence<'_>>,
        intervals: &[Interval],
    ) -> Result<()> {
        let within = match upper {
            Some(fence) => intervals.partition_point(|interval| !interval.is_beyond(fence)),
            None => intervals.len(),
        };
        let Some(first) = intervals[..within].first() else { return Ok(()) };
        if child.posting != Posting::None && first.covers(&child.fence, upper) {
            return self.add(child.posting, level, at);
        }
        let (offset, len) = child.place;
        let from = &mut self.ends[usize::from(level)].nodes;
        *from = end_of(offset, len, *from, at)?;
        let node = (self.read)(offset, index(len))?;
        self.visit(&node, level - 1, offset, upper, &intervals[..within])
    }

    /// Adds the rows of a posting in a node of a level that lies at an offset.
    #[inline]
    fn add(&mut self, posting: Posting<'_>, level: u8, at: u64) -> Result<()> {
        match posting {
            Posting::Row(row) => self.rows.add(row),
            Posting::List(list) => self.rows.add_list(list),
            Posting::Set { offset, len } => {
                let from = &mut self.ends[usize::from(level)].sets;
                *from = end_of(offset, len, *from, at)?;
                self.rows.add_set(&(self.read)(offset, index(len))?)
            }
            Posting::None => Err(damaged("a term without rows")),
        }
    }
}

/// Where something ends that begins at an offset: between what was read before and the node that
/// points to it (K3).
fn end_of(offset: u64, len: u64, from: u64, to: u64) -> Result<u64> {
    match offset.checked_add(len) {
        Some(end) if offset >= from && end <= to => Ok(end),
        _ => Err(damaged(&format!("{len} bytes at {offset}, expected from {from} to {to}"))),
    }
}
