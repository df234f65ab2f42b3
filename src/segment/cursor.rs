//! Walks the rows of a segment in ascending order of their ids.
//!
//! A value that nobody asks for is not looked at. One that lies inside a page is shown there.

use std::ops::Bound;

use crate::error::{Error, Result};
use crate::limits::EXTERNAL_ID_BYTES_MAX;
use crate::segment::ahead::ReadAhead;
use crate::segment::ids::{self, IdPage};
use crate::segment::layout::{Column, Entry};
use crate::segment::reader::Segment;
use crate::sync::Arc;

/// Which columns a cursor is to read ahead. The others are read page by page, if at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) vectors: bool,
    pub(crate) payloads: bool,
}

/// A place between the rows of a segment, and the row before it.
#[derive(Debug)]
pub(crate) struct SegmentCursor {
    segment: Arc<Segment>,
    ids: ReadAhead,
    directory: ReadAhead,
    vectors: ReadAhead,
    payloads: ReadAhead,
    /// The id page that is walked, where its entries end, the next one, and how many are left.
    page: u64,
    entries_end: usize,
    at: usize,
    left: u16,
    next_page: u64,
    next_row: u32,
    id: String,
    has_row: bool,
    /// Whether the current row is the first of the range, and was not shown yet.
    is_ahead: bool,
    /// Of the row whose directory entry was last asked for: its number, and the entry.
    entry: Option<(u32, Entry)>,
}

impl Segment {
    /// A cursor before the first row of a range; `read_ahead_bytes` are read at a time, at most, of
    /// each column.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn cursor(
        self: &Arc<Self>,
        from: Bound<&str>,
        read_ahead_bytes: u64,
        columns: Columns,
    ) -> Result<SegmentCursor> {
        let ahead = |column, is_wanted| {
            ReadAhead::new(column, if is_wanted { read_ahead_bytes } else { 0 })
        };
        let mut cursor = SegmentCursor {
            segment: Arc::clone(self),
            ids: ahead(Column::Ids, true),
            directory: ahead(Column::Directory, columns.payloads || self.has_multivectors()),
            vectors: ahead(Column::Vectors, columns.vectors),
            payloads: ahead(Column::Payloads, columns.payloads),
            page: 0,
            entries_end: 0,
            at: 0,
            left: 0,
            next_page: 0,
            next_row: 0,
            id: String::new(),
            has_row: false,
            is_ahead: false,
            entry: None,
        };
        match from {
            Bound::Unbounded => {}
            Bound::Included(id) => cursor.seek(id, |found| found < id)?,
            Bound::Excluded(id) => cursor.seek(id, |found| found <= id)?,
        }
        Ok(cursor)
    }
}

impl SegmentCursor {
    /// Goes to the next row; whether there is one.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        if self.is_ahead {
            self.is_ahead = false;
            return Ok(true);
        }
        self.has_row = (self.left > 0 || self.turn_page()?) && self.step()?;
        Ok(self.has_row)
    }

    /// The id of the current row; empty where there is none.
    pub(crate) fn id(&self) -> &str {
        if self.has_row { &self.id } else { "" }
    }

    /// The number of the current row.
    ///
    /// # Panics
    /// If there is no current row.
    pub(crate) fn row(&self) -> u32 {
        assert!(self.has_row, "a cursor is asked for a row only where it has one");
        self.next_row - 1
    }

    /// The vector of the current row.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    ///
    /// # Panics
    /// If there is no current row.
    pub(crate) fn vector(&mut self) -> Result<&[u8]> {
        let (start, len) = self.vector_place()?;
        self.vectors.bytes(&self.segment, start, len)
    }

    fn vector_place(&mut self) -> Result<(u64, usize)> {
        let row = self.row();
        match self.segment.has_multivectors() {
            false => Ok(self.segment.single_vector(row)),
            true => Ok(self.entry(row)?.vector),
        }
    }

    /// The payload of the current row; errors and panics as [`SegmentCursor::vector`].
    pub(crate) fn payload(&mut self) -> Result<&[u8]> {
        let (start, len) = self.entry(self.row())?.payload;
        self.payloads.bytes(&self.segment, start, len)
    }

    /// Id, vector and payload of the current row at once; errors and panics as
    /// [`SegmentCursor::vector`].
    pub(crate) fn row_ref(&mut self) -> Result<(&str, &[u8], &[u8])> {
        let Entry { payload: (start, len), vector } = self.entry(self.row())?;
        let vector = self.vectors.bytes(&self.segment, vector.0, vector.1)?;
        let payload = self.payloads.bytes(&self.segment, start, len)?;
        Ok((&self.id, vector, payload))
    }

    /// Where the values of a row are: each behind that of the row asked for before.
    fn entry(&mut self, row: u32) -> Result<Entry> {
        if let Some((_, entry)) = self.entry.filter(|(known, _)| *known == row) {
            return Ok(entry);
        }
        let size = self.segment.entry_size();
        let bytes = self.directory.bytes(&self.segment, u64::from(row) * size as u64, size)?;
        let entry = self.segment.open_entry(row, bytes)?;
        if let Some((_, before)) = self.entry {
            let follows = |what: &str, (start, len): (u64, usize), found: u64| {
                let end = start + len as u64;
                if found >= end {
                    return Ok(());
                }
                let error = Error::corrupt(format!("row {row}: {what} at {found}, expected {end}"));
                let (page, _) = self.segment.directory_place(row);
                Err(self.segment.at(Column::Directory, page, error))
            };
            follows("payload", before.payload, entry.payload.0)?;
            follows("vector", before.vector, entry.vector.0)?;
        }
        self.entry = Some((row, entry));
        Ok(entry)
    }

    /// Goes to the first row that is not below the range.
    fn seek(&mut self, id: &str, is_below: impl Fn(&str) -> bool) -> Result<()> {
        self.next_page = self.segment.tail().id_page_of(id.as_bytes());
        if self.next_page >= self.segment.footer().id_pages() {
            return Ok(());
        }
        self.next_row = self.open_id_page()?.first_row;
        let body = self.ids.body(&self.segment, self.page);
        let sought = IdPage::parse(body).and_then(|page| page.seek(id.as_bytes()));
        let (passed, at) =
            sought.map_err(|error| self.segment.at(Column::Ids, self.page, error))?;
        self.at = at;
        self.left -= passed;
        self.next_row = self.next_row.saturating_add(passed.into());
        while self.advance()? {
            if !is_below(&self.id) {
                self.is_ahead = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes to the next id page; whether there is one.
    fn turn_page(&mut self) -> Result<bool> {
        let (found, expected) = (self.next_row, self.segment.rows());
        if self.next_page == self.segment.footer().id_pages() {
            if found == expected {
                return Ok(false);
            }
            let error = Error::corrupt(format!("ids end at row {found}, expected {expected}"));
            return Err(self.segment.at(Column::Ids, self.page, error));
        }
        let first_row = self.open_id_page()?.first_row;
        if first_row == found && first_row == self.segment.tail().first_row(self.page) {
            return Ok(true);
        }
        let error = Error::corrupt(format!("id page: first row {first_row}, expected {found}"));
        Err(self.segment.at(Column::Ids, self.page, error))
    }

    fn open_id_page(&mut self) -> Result<IdPage<'_>> {
        self.page = self.next_page;
        self.ids.prepare(&self.segment, self.page)?;
        let page = IdPage::parse(self.ids.body(&self.segment, self.page))
            .map_err(|error| self.segment.at(Column::Ids, self.page, error))?;
        (self.at, self.left, self.entries_end) = (page.first(), page.ids, page.entries_end);
        self.next_page += 1;
        Ok(page)
    }

    /// Goes to the next entry of the page.
    fn step(&mut self) -> Result<bool> {
        let entries = &self.ids.body(&self.segment, self.page)[..self.entries_end];
        let stepped = ids::entry(entries, self.at).and_then(|entry| {
            let len = entry.shared + entry.suffix.len();
            let before = self.id.get(entry.shared..).map(str::as_bytes);
            let is_above = before.is_some_and(|before| is_above(entry.suffix, before));
            if !is_above || len > EXTERNAL_ID_BYTES_MAX || self.next_row >= self.segment.rows() {
                return Err(Error::corrupt(format!(
                    "id page: row {} is out of order",
                    self.next_row
                )));
            }
            let suffix = std::str::from_utf8(entry.suffix)
                .map_err(|error| Error::corrupt(format!("id page: id is not UTF-8: {error}")))?;
            self.id.truncate(entry.shared);
            self.id.push_str(suffix);
            self.at = entry.next;
            Ok(())
        });
        stepped.map_err(|error| self.segment.at(Column::Ids, self.page, error))?;
        self.left -= 1;
        self.next_row += 1;
        Ok(true)
    }
}

/// Whether a suffix is above another one. Nearly always the first byte decides, and asking for it
/// alone costs a fraction of comparing slices.
#[inline]
pub(super) fn is_above(suffix: &[u8], before: &[u8]) -> bool {
    match (suffix.first(), before.first()) {
        (Some(new), Some(old)) if new != old => new > old,
        _ => suffix > before,
    }
}

#[cfg(test)]
impl SegmentCursor {
    /// Bytes of all runs that are held.
    pub(super) fn buffered_bytes(&self) -> usize {
        let columns = [&self.ids, &self.directory, &self.vectors, &self.payloads];
        columns.map(ReadAhead::buffered_bytes).iter().sum()
    }
}
