//! Builds the indexes of a segment once more, and compares them.
//!
//! Each part is what the payloads of its rows make, to the byte: an index is a function of its rows and
//! of where its part ends.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::page_cache::PageCache;
use crate::sec::index::IndexBuilder;
use crate::sec::payload::{Extractor, RowValues};
use crate::segment::ahead::ReadAhead;
use crate::segment::indexes::{Indexes, damaged};
use crate::segment::layout::Column;
use crate::segment::reader::Segment;

/// Rows between two looks at whether to go on.
const RUN_ROWS: u32 = 4096;

/// What the payloads of the rows of a part come to, as far as they were read.
struct PartCheck<'a> {
    indexes: &'a Indexes,
    extractor: Extractor,
    values: RowValues,
    builders: Vec<IndexBuilder>,
    part: usize,
    /// Where the part starts in the column.
    at: u64,
}

impl Segment {
    /// Reads the payloads and builds the indexes once more; `goes_on` says whether to go on. The entries
    /// of the directory were held against each other before.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming the file.
    pub(super) fn verify_indexes(
        &self,
        cache: &PageCache,
        read_ahead_bytes: u64,
        mut goes_on: impl FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let indexes = self.indexes(cache)?;
        if indexes.fields.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let mut check = PartCheck::new(indexes)?;
        let mut directory = ReadAhead::new(Column::Directory, read_ahead_bytes);
        let mut payloads = ReadAhead::new(Column::Payloads, read_ahead_bytes);
        let size = self.entry_size();
        for row in 0..self.rows() {
            let bytes = directory.bytes(self, u64::from(row) * size as u64, size)?;
            let (start, len) = self.open_entry(row, bytes)?.payload;
            check.push(self, cache, row, payloads.bytes(self, start, len)?)?;
            if row % RUN_ROWS == RUN_ROWS - 1 && goes_on().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl<'a> PartCheck<'a> {
    fn new(indexes: &'a Indexes) -> Result<Self> {
        let extractor = Extractor::new(&indexes.fields)?;
        let (values, builders) = (RowValues::default(), Self::builders(indexes));
        Ok(Self { indexes, extractor, values, builders, part: 0, at: 0 })
    }

    fn builders(indexes: &Indexes) -> Vec<IndexBuilder> {
        indexes.fields.iter().map(|field| IndexBuilder::new(field.field_type)).collect()
    }

    /// Adds a row, and compares the part if it is the last of one.
    fn push(
        &mut self,
        segment: &Segment,
        cache: &PageCache,
        row: u32,
        payload: &[u8],
    ) -> Result<()> {
        self.extractor.extract_into(payload, &mut self.values);
        for (field, builder) in self.builders.iter_mut().enumerate() {
            builder.push(row, &self.values, field);
        }
        let part = &self.indexes.parts[self.part];
        if row + 1 < part.end_row {
            return Ok(());
        }
        let built = std::mem::replace(&mut self.builders, Self::builders(self.indexes));
        for ((builder, len), field) in built.into_iter().zip(&part.lens).zip(&self.indexes.fields) {
            let expected = builder.finish(part.end_row)?;
            let mut found = Vec::new();
            if expected.len() as u64 == *len {
                segment.copy(cache, Column::Indexes, self.at, expected.len(), &mut found)?;
            }
            if found != expected {
                let (path, end) = (&field.path, part.end_row);
                let what = format!("field {path:?} up to row {end} is not that of the payloads");
                return Err(segment.named(damaged(&what)));
            }
            self.at += len;
        }
        self.part += 1;
        Ok(())
    }
}
