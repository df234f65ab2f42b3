//! Reads a whole segment and holds it against itself.
//!
//! - The pages, in the order of the file: their checksums, places and types, and the digest of the footer.
//! - The rows, in the order of their ids: ids ascend, the filter knows each, the directory is in order.
//! - The indexes: each part is what the payloads of its rows make, to the byte. An index is a function of
//!   its rows and of where its part ends, so it is built once more and compared.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use crate::cursor::{index, len_u32};
use crate::error::{Error, Result};
use crate::limits::PAGE_SIZE_BYTES;
use crate::page::{self, PageType};
use crate::page_cache::PageCache;
use crate::sec::index::IndexBuilder;
use crate::sec::payload::{Extractor, RowValues};
use crate::segment::cursor::Columns;
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
    /// Reads every page as it is now; `see` is told the bytes read since, and says whether to go on.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn verify_pages(
        &self,
        run_bytes: u64,
        mut see: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let (last, digest_expected) = (self.pages() - 1, self.footer().digest);
        let first_of_tail = last - len_u32(index(self.footer().tail_pages()));
        let run_pages = (run_bytes / PAGE_SIZE_BYTES as u64).max(1);
        let mut images = Vec::new();
        let (mut page, mut digest) = (0, 0);
        while page < last {
            let count = run_pages.min(u64::from(last - page));
            images.resize(index(count) * PAGE_SIZE_BYTES, 0);
            self.read(page, &mut images)?;
            for (image, i) in images.chunks_exact(PAGE_SIZE_BYTES).zip(page..) {
                let is_tail = i >= first_of_tail;
                let of = if is_tail { PageType::SegmentTail } else { PageType::SegmentColumn };
                self.verify_page(of, i, image)?;
            }
            digest = page::digest_append(digest, &images);
            page += len_u32(index(count));
            if see(images.len() as u64).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if digest != digest_expected {
            let what = format!("digest {digest:#010x}, expected {digest_expected:#010x}");
            return Err(self.named(Error::corrupt(what)));
        }
        images.resize(PAGE_SIZE_BYTES, 0);
        self.read(last, &mut images)?;
        let found = self.verify_page(PageType::SegmentFooter, last, &images)?;
        let expected = self.footer_checksum();
        if found != expected {
            let what = format!("page {last}: checksum {found:#010x}, expected {expected:#010x}");
            return Err(self.named(Error::corrupt(what)));
        }
        Ok(see(PAGE_SIZE_BYTES as u64))
    }

    /// Reads every row, but not the vectors, and builds the indexes once more; `see` is told the rows
    /// read since, and says whether to go on.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming the file.
    pub(crate) fn verify_rows(
        self: &Arc<Self>,
        cache: &PageCache,
        read_ahead_bytes: u64,
        mut see: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let columns = Columns { vectors: false, payloads: true };
        let mut cursor = self.cursor(Bound::Unbounded, read_ahead_bytes, columns)?;
        let indexes = self.indexes(cache)?;
        let mut check = PartCheck::new(indexes)?;
        let mut seen = 0;
        while cursor.advance()? {
            if !self.may_contain(cursor.id())? {
                let what = format!("filter does not know row {}", cursor.row());
                return Err(self.named(Error::corrupt(what)));
            }
            let row = cursor.row();
            if indexes.fields.is_empty() {
                cursor.check_entry()?;
            } else {
                check.push(self, cache, row, cursor.payload()?)?;
            }
            seen += 1;
            if seen == RUN_ROWS && see(std::mem::take(&mut seen).into()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(see(seen.into()))
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
