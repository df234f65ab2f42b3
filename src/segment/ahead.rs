//! Reads a column from front to back, a run of pages at a time, past the page cache.
//!
//! Whoever reads on gets longer runs, up to a bound; whoever leaps gets single pages. A page is
//! checked when it is first asked for, so what is leapt over costs nothing but its read.

use crate::cursor::index;
use crate::error::Result;
use crate::limits::PAGE_SIZE_BYTES;
use crate::page::{PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES};
use crate::segment::layout::{BODY, Column};
use crate::segment::reader::Segment;

/// The part of a column that was read last.
#[derive(Debug)]
pub(super) struct ReadAhead {
    column: Column,
    run: Run,
    /// Behind the last page of the run.
    end: u64,
    /// The last page that was asked for. Those of the run before it were opened or leapt over, and
    /// those behind it are as they were read.
    ready: Option<u64>,
    /// Pages of the next run, and at most.
    pages: u64,
    pages_max: u64,
    /// The last value that straddled pages, and where it starts in the column.
    value: Vec<u8>,
    value_start: u64,
}

/// Pages that were read with one call.
#[derive(Debug)]
struct Run {
    first: u64,
    images: Vec<u8>,
}

impl Run {
    fn image(&self, page: u64) -> std::ops::Range<usize> {
        let start = index(page - self.first) * PAGE_SIZE_BYTES;
        start..start + PAGE_SIZE_BYTES
    }

    #[inline]
    fn body<'a>(&'a self, segment: &'a Segment, column: Column, page: u64) -> &'a [u8] {
        if page >= segment.whole_pages(column) {
            return segment.tail().rest(column);
        }
        &self.images[self.image(page)][PAGE_HEADER_SIZE_BYTES..]
    }
}

impl ReadAhead {
    /// Before the first page of a column. Runs are of `run_bytes` at most, but of a page at least.
    pub(super) fn new(column: Column, run_bytes: u64) -> Self {
        Self {
            column,
            run: Run { first: 0, images: Vec::new() },
            end: 0,
            ready: None,
            pages: 1,
            pages_max: (run_bytes / PAGE_SIZE_BYTES as u64).max(1),
            value: Vec::new(),
            value_start: 0,
        }
    }

    /// Makes a page ready to be looked at. One that was leapt over is read again.
    pub(super) fn prepare(&mut self, segment: &Segment, page: u64) -> Result<()> {
        if self.ready == Some(page) || page >= segment.whole_pages(self.column) {
            return Ok(());
        }
        if page >= self.end || self.ready > Some(page) {
            self.read(segment, page)?;
        }
        let image = self.run.image(page);
        let place = segment.tail().place(self.column, page);
        segment.open_page(place, &mut self.run.images[image])?;
        self.ready = Some(page);
        Ok(())
    }

    fn read(&mut self, segment: &Segment, page: u64) -> Result<()> {
        let reads_on = page == self.end;
        self.pages = if reads_on { self.pages } else { 1 };
        let count = segment.adjacent(self.column, page, self.pages);
        // Until the read has succeeded there is no run.
        (self.run.first, self.end, self.ready) = (page, page, None);
        self.run.images.resize(index(count) * PAGE_SIZE_BYTES, 0);
        segment.read(segment.tail().place(self.column, page), &mut self.run.images)?;
        self.end = page + count;
        self.pages = (2 * self.pages).min(self.pages_max);
        Ok(())
    }

    /// The body of the page that was prepared last, or the rest behind the whole pages.
    #[inline]
    pub(super) fn body<'a>(&'a self, segment: &'a Segment, page: u64) -> &'a [u8] {
        self.run.body(segment, self.column, page)
    }

    /// Bytes of the column, which are inside of it: borrowed from one page, or put together.
    pub(super) fn bytes<'a>(
        &'a mut self,
        segment: &'a Segment,
        start: u64,
        len: usize,
    ) -> Result<&'a [u8]> {
        let (mut page, mut at) = (start / BODY, index(start % BODY));
        if at + len <= PAGE_BODY_SIZE_BYTES {
            if len == 0 {
                return Ok(&[]);
            }
            self.prepare(segment, page)?;
            return Ok(&self.body(segment, page)[at..][..len]);
        }
        if (self.value_start, self.value.len()) == (start, len) {
            return Ok(&self.value);
        }
        self.value.clear();
        self.value_start = start;
        while self.value.len() < len {
            self.prepare(segment, page)?;
            let part = (len - self.value.len()).min(PAGE_BODY_SIZE_BYTES - at);
            let body = self.run.body(segment, self.column, page);
            self.value.extend_from_slice(&body[at..][..part]);
            (page, at) = (page + 1, 0);
        }
        Ok(&self.value)
    }
}

#[cfg(test)]
impl ReadAhead {
    pub(super) fn buffered_bytes(&self) -> usize {
        self.run.images.len()
    }
}
