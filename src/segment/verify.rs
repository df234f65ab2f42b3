//! Reads a whole segment and holds it against itself.
//!
//! - The pages, in the order of the file: their checksums, places and types, and the digest of the footer.
//! - The ids and the directory, as their pages come by: see [`IdsCheck`] and
//!   [`DirectoryCheck`].
//! - The indexes: see `check_indexes`. Their payloads are read once more.

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::cursor::{index, len_u32};
use crate::error::{Error, Result};
use crate::limits::PAGE_SIZE_BYTES;
use crate::page::{self, PAGE_HEADER_SIZE_BYTES, PageType};
use crate::page_cache::PageCache;
use crate::segment::check_ids::{IdsCheck, SeenIds};
use crate::segment::layout::{Column, Entry, payloads_end};
use crate::segment::reader::Segment;

/// What was looked at since `see` was last told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

/// How much is read with one call, of the file and of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunBytes {
    pub(crate) file: u64,
    pub(crate) column: u64,
}

impl Segment {
    /// Reads every page as it is now; `see` is told what was read since, and says whether to go on.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn verify_pages(
        &self,
        run_bytes: u64,
        mut see: impl FnMut(Seen) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        self.walk_pages(
            run_bytes,
            |_, place, image| self.verify_page(PageType::SegmentColumn, place, image).map(drop),
            |bytes| see(Seen { bytes, rows: 0 }),
        )
    }

    /// The same with all that its rows have to come to but for the elements of vectors. `see_ids` is shown
    /// all ids, in their order.
    ///
    /// # Errors
    /// Those of `see_ids`; `Io`, and `Corrupt` naming the file.
    pub(crate) fn verify_contents(
        &self,
        cache: &PageCache,
        run: RunBytes,
        mut see_ids: impl FnMut(&SeenIds<'_>) -> Result<()>,
        mut see: impl FnMut(Seen) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let rows = Cell::new(0);
        let mut see_ids = |seen: &SeenIds<'_>| {
            rows.set(rows.get() + seen.rows());
            see_ids(seen)
        };
        let (mut ids, mut directory) = (IdsCheck::new(self)?, DirectoryCheck::new(self));
        let flow = self.walk_pages(
            run.file,
            |column, place, image| match column {
                Column::Ids => ids.page(self.open_body(place, image)?, &mut see_ids),
                Column::Directory => directory.entries(self.open_body(place, image)?),
                _ => self.verify_page(PageType::SegmentColumn, place, image).map(drop),
            },
            |bytes| see(Seen { bytes, rows: rows.take() }),
        )?;
        if flow.is_break() {
            return Ok(flow);
        }
        let rest = self.tail().rest(Column::Ids);
        if !rest.is_empty() {
            ids.page(rest, &mut see_ids)?;
        }
        ids.finish()?;
        directory.entries(self.tail().rest(Column::Directory))?;
        directory.finish()?;
        if see(Seen { bytes: 0, rows: rows.take() }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.verify_indexes(cache, run.column, || see(Seen::default()))
    }

    fn open_body<'a>(&self, place: u32, image: &'a mut [u8]) -> Result<&'a [u8]> {
        self.open_page(place, image)?;
        Ok(&image[PAGE_HEADER_SIZE_BYTES..])
    }

    /// Reads every page in the order of the file, and holds them against the footer. `look` checks those
    /// of columns, each with its place in the file; `see` is told the bytes read since.
    fn walk_pages(
        &self,
        run_bytes: u64,
        mut look: impl FnMut(Column, u32, &mut [u8]) -> Result<()>,
        mut see: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let last = self.pages() - 1;
        let run_pages = (run_bytes / PAGE_SIZE_BYTES as u64).max(1);
        let extents = self.tail().extents(self.footer());
        let mut columns = extents.flat_map(|extent| (0..extent.pages).map(move |_| extent.column));
        let mut images = Vec::new();
        let (mut page, mut digest) = (0, 0);
        while page < last {
            let count = run_pages.min(u64::from(last - page));
            images.resize(index(count) * PAGE_SIZE_BYTES, 0);
            self.read(page, &mut images)?;
            // Of the pages as they are stored: one that is opened is changed.
            digest = page::digest_append(digest, &images);
            for (image, place) in images.chunks_exact_mut(PAGE_SIZE_BYTES).zip(page..) {
                match columns.next() {
                    Some(column) => look(column, place, image)?,
                    None => self.verify_page(PageType::SegmentTail, place, image).map(drop)?,
                }
            }
            page += len_u32(index(count));
            if see(images.len() as u64).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.check_footer(digest)?;
        Ok(see(PAGE_SIZE_BYTES as u64))
    }

    /// Reads the footer and holds it against the pages before it, and against the manifest.
    fn check_footer(&self, digest: u32) -> Result<()> {
        let (last, expected) = (self.pages() - 1, self.footer().digest);
        if digest != expected {
            let what = format!("digest {digest:#010x}, expected {expected:#010x}");
            return Err(self.named(Error::corrupt(what)));
        }
        let mut image = vec![0; PAGE_SIZE_BYTES];
        self.read(last, &mut image)?;
        let found = self.verify_page(PageType::SegmentFooter, last, &image)?;
        let expected = self.footer_checksum();
        if found == expected {
            return Ok(());
        }
        let what = format!("page {last}: checksum {found:#010x}, expected {expected:#010x}");
        Err(self.named(Error::corrupt(what)))
    }
}

/// The directory of a segment, as far as it was read: values follow one another without a gap.
struct DirectoryCheck<'a> {
    segment: &'a Segment,
    row: u32,
    payloads_end: u64,
    vectors_end: u64,
}

impl<'a> DirectoryCheck<'a> {
    fn new(segment: &'a Segment) -> Self {
        Self { segment, row: 0, payloads_end: 0, vectors_end: 0 }
    }

    /// The next entries, whole ones.
    fn entries(&mut self, bytes: &[u8]) -> Result<()> {
        let (size, is_multi) = (self.segment.entry_size(), self.segment.has_multivectors());
        if !is_multi
            && let Some(end) = payloads_end(self.segment.footer(), bytes, self.payloads_end)
        {
            let rows = bytes.len() / size;
            self.payloads_end = end;
            self.row += len_u32(rows);
            return Ok(());
        }
        for bytes in bytes.chunks_exact(size) {
            let Entry { payload, vector } = self.segment.open_entry(self.row, bytes)?;
            self.follows("payload", payload.0, self.payloads_end)?;
            // Where rows have one vector its place follows from their number.
            if is_multi {
                self.follows("vector", vector.0, self.vectors_end)?;
            }
            self.payloads_end = payload.0 + payload.1 as u64;
            self.vectors_end = vector.0 + vector.1 as u64;
            self.row += 1;
        }
        Ok(())
    }

    fn follows(&self, what: &str, found: u64, expected: u64) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let row = self.row;
        let error = Error::corrupt(format!("row {row}: {what} at {found}, expected {expected}"));
        let (page, _) = self.segment.directory_place(row);
        Err(self.segment.at(Column::Directory, page, error))
    }

    /// Holds the ends against the columns.
    fn finish(&self) -> Result<()> {
        let footer = self.segment.footer();
        let (vectors, payloads) = (footer.len(Column::Vectors), footer.len(Column::Payloads));
        self.follows("the end of payloads", payloads, self.payloads_end)?;
        // Where rows have one vector the footer was held against their number.
        let is_multi = self.segment.has_multivectors();
        if is_multi {
            self.follows("the end of vectors", vectors, self.vectors_end)
        } else {
            Ok(())
        }
    }
}
