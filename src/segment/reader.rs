//! An open segment: finds rows by id, and copies their values out of cached pages.
//!
//! Resident are the tail and, from the first search on, the filter. Every other page is read when
//! it is asked for, checked once, and left to the page cache. A segment of a few rows is all tail.
//!
//! The first thing that turns out wrong with it is kept, whoever reads: it is the segment's own, so that
//! whoever has the segment knows, nobody waits for a lock to say it, and what a snapshot reads of
//! segments that are live no more says nothing of those that are.

use std::fmt;

use crate::codec::{self, PageCodec};
use crate::cursor::{index, len_u32};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{FileId, StoreId};
use crate::limits::PAGE_SIZE_BYTES;
use crate::manifest::SegmentEntry;
use crate::page::{self, PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PageType};
use crate::page_cache::PageCache;
use crate::segment::filter::{self, KnownIds};
use crate::segment::ids::IdPage;
use crate::segment::indexes::Indexes;
use crate::segment::layout::{
    BODY, Column, EXTENT_PAGES, Entry, Footer, SegmentIdentity, Tail, entry_size_bytes,
};
use crate::sync::{Arc, OnceLock};
use crate::vector::Stride;
use crate::vfs::DiskFile;

/// What is read of the end of a file before it is known where its tail starts.
const END_SIZE_BYTES: u64 = 64 * 1024;

/// The most pages of one value that are read with one call: what is held beside them is bounded.
const RUN_PAGES_MAX: u64 = 64;

/// A page image to copy from: the quickest way to a shared page that can be read into.
const ZEROS: [u8; PAGE_SIZE_BYTES] = [0; PAGE_SIZE_BYTES];

/// An open segment.
pub(crate) struct Segment {
    file: DiskFile,
    id: FileId,
    identity: SegmentIdentity,
    codec: Arc<dyn PageCodec>,
    pages: u32,
    stride: Stride,
    footer_checksum: u32,
    footer: Footer,
    tail: Tail,
    /// Read at the first search, unless the tail holds it all.
    filter: OnceLock<Box<[u8]>>,
    /// Read at the first search by a field.
    pub(super) known_indexes: OnceLock<Indexes>,
    /// The first `Corrupt` since it was opened.
    damage: OnceLock<Error>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, rows) = (self.id, self.footer.rows);
        f.debug_struct("Segment").field("id", &id).field("rows", &rows).finish_non_exhaustive()
    }
}

impl Segment {
    /// Opens a segment that a manifest names: reads its footer and its tail, in one call where they
    /// are not longer than 64 KiB.
    ///
    /// # Errors
    /// `Corrupt` naming the file where anything differs from the entry or from itself.
    pub(crate) fn open(
        file: DiskFile,
        store: StoreId,
        entry: &SegmentEntry,
        stride: Stride,
        codec: Arc<dyn PageCodec>,
    ) -> Result<Self> {
        let len = file.len_bytes()?;
        let page_bytes = PAGE_SIZE_BYTES as u64;
        let pages = u32::try_from(len / page_bytes).unwrap_or(u32::MAX);
        if len != entry.len || pages < 2 || u64::from(pages) * page_bytes != len {
            let (path, expected) = (file.path().display(), entry.len);
            return Err(Error::corrupt(format!("{path}: {len} bytes long, expected {expected}")));
        }
        let end_len = len.min(END_SIZE_BYTES);
        let mut end = vec![0; index(end_len)];
        file.read_exact_at(&mut end, len - end_len)?;
        let identity = SegmentIdentity { store, collection: entry.collection, salt: entry.salt };
        let place = identity.page(PageType::SegmentColumn, 0).sealing();
        let codec = codec::for_file(&codec, &place);
        let is_whole = end_len == len;
        let (before, footer_page) = end.split_at_mut(index(end_len) - PAGE_SIZE_BYTES);
        let footer = open_footer(&identity, entry, stride, pages, &*codec, footer_page)
            .and_then(|footer| {
                let is_other = is_whole && page::digest(before) != footer.digest;
                let other = || Error::corrupt("footer is not that of these pages");
                if is_other { Err(other()) } else { Ok(footer) }
            })
            .map_err(|error| named(&file, error))?;
        let tail_len = index(footer.tail_pages()) * PAGE_SIZE_BYTES;
        let first = pages - 1 - len_u32(index(footer.tail_pages()));
        let mut longer;
        let tail_pages = match before.len().checked_sub(tail_len) {
            Some(start) => &mut before[start..],
            None => {
                longer = vec![0; tail_len];
                let (front, back) = longer.split_at_mut(tail_len - before.len());
                file.read_exact_at(front, u64::from(first) * page_bytes)?;
                back.copy_from_slice(before);
                longer.as_mut_slice()
            }
        };
        let place = identity.page(PageType::SegmentTail, first);
        let tail = Tail::open(&footer, &place, &*codec, tail_pages)
            .map_err(|error| named(&file, error))?;
        let (filter, known_indexes, damage) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Ok(Self {
            file,
            id: entry.file,
            identity,
            codec,
            pages,
            stride,
            footer_checksum: entry.footer,
            footer,
            tail,
            filter,
            known_indexes,
            damage,
        })
    }

    /// The first thing that was found wrong with it since it was opened.
    pub(crate) fn damage(&self) -> Option<&Error> {
        self.damage.get()
    }

    /// How many rows there are, dead ones included.
    pub(crate) fn rows(&self) -> u32 {
        u32::try_from(self.footer.rows).expect("checked against the footer's bound")
    }

    /// Pages of the file.
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    /// The row of an id. Most ids that are not there take no I/O: the filter tells.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn find(&self, cache: &PageCache, id: &str) -> Result<Option<u32>> {
        if !self.may_contain(id)? {
            return Ok(None);
        }
        let page = self.tail.id_page_of(id.as_bytes());
        if page == self.whole_pages(Column::Ids) {
            return self.find_in(page, self.tail.rest(Column::Ids), id);
        }
        let image = self.cached(cache, Column::Ids, page)?;
        self.find_in(page, &image[PAGE_HEADER_SIZE_BYTES..], id)
    }

    pub(super) fn may_contain(&self, id: &str) -> Result<bool> {
        if self.footer.rows == 0 {
            return Ok(false);
        }
        Ok(filter::may_contain(self.filter()?, filter::hash(id.as_bytes())))
    }

    pub(super) fn find_in(&self, page: u64, body: &[u8], id: &str) -> Result<Option<u32>> {
        let found = IdPage::parse(body).and_then(|ids| ids.find(id.as_bytes()));
        match found.map_err(|error| self.at(Column::Ids, page, error))? {
            Some(row) if row >= self.rows() => {
                let error = Error::corrupt(format!("row {row} of {} rows", self.rows()));
                Err(self.at(Column::Ids, page, error))
            }
            found => Ok(found),
        }
    }

    /// Appends the vector of a row.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn vector_into(&self, cache: &PageCache, row: u32, out: &mut Vec<u8>) -> Result<()> {
        assert!(row < self.rows(), "rows come from this segment");
        let (start, len) = match self.stride.is_multi {
            false => self.single_vector(row),
            true => self.entry(cache, row)?.vector,
        };
        self.copy(cache, Column::Vectors, start, len, out)
    }

    /// Where the vector of a row is, where rows have one only.
    pub(super) fn single_vector(&self, row: u32) -> (u64, usize) {
        (u64::from(row) * self.stride.bytes as u64, self.stride.bytes)
    }

    /// Appends the payload of a row; errors and panics as [`Segment::vector_into`].
    pub(crate) fn payload_into(
        &self,
        cache: &PageCache,
        row: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        assert!(row < self.rows(), "rows come from this segment");
        let (start, len) = self.entry(cache, row)?.payload;
        self.copy(cache, Column::Payloads, start, len, out)
    }

    /// Appends the vector and then the payload of a row, into memory that is taken once; the bytes
    /// of the vector. Errors and panics as [`Segment::vector_into`].
    pub(crate) fn row_into(&self, cache: &PageCache, row: u32, out: &mut Vec<u8>) -> Result<usize> {
        assert!(row < self.rows(), "rows come from this segment");
        let Entry { vector, payload } = self.entry(cache, row)?;
        out.reserve_exact(vector.1 + payload.1);
        self.copy(cache, Column::Vectors, vector.0, vector.1, out)?;
        self.copy(cache, Column::Payloads, payload.0, payload.1, out)?;
        Ok(vector.1)
    }

    pub(super) fn entry(&self, cache: &PageCache, row: u32) -> Result<Entry> {
        let (page, at) = self.directory_place(row);
        if page == self.whole_pages(Column::Directory) {
            return self.open_entry(row, &self.tail.rest(Column::Directory)[at..]);
        }
        let image = self.cached(cache, Column::Directory, page)?;
        self.open_entry(row, &image[PAGE_HEADER_SIZE_BYTES + at..])
    }

    /// The page of a row's entry in the directory, and its offset there.
    pub(super) fn directory_place(&self, row: u32) -> (u64, usize) {
        let at = u64::from(row) * self.entry_size() as u64;
        (at / BODY, index(at % BODY))
    }

    /// Where the values of a row are, from the bytes where its entry starts.
    pub(super) fn open_entry(&self, row: u32, bytes: &[u8]) -> Result<Entry> {
        Entry::decode(&self.footer, self.stride, row, bytes).map_err(|error| {
            let (page, _) = self.directory_place(row);
            self.at(Column::Directory, page, error)
        })
    }

    /// Bytes of a row's entry in the directory.
    pub(super) fn entry_size(&self) -> usize {
        entry_size_bytes(self.stride)
    }

    /// Appends bytes of a column, which are inside of it.
    pub(super) fn copy(
        &self,
        cache: &PageCache,
        column: Column,
        start: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let whole = self.whole_pages(column);
        let (mut page, mut at, mut left) = (start / BODY, index(start % BODY), len);
        let last = (start + len as u64).div_ceil(BODY).min(whole).saturating_sub(1);
        let mut run = Run::default();
        out.reserve(len);
        while left > 0 {
            let part = left.min(PAGE_BODY_SIZE_BYTES - at);
            if page < whole {
                let load = || self.load(column, page, last, &mut run);
                let image = cache.page(self.id, self.tail.place(column, page), load)?;
                out.extend_from_slice(&image[PAGE_HEADER_SIZE_BYTES + at..][..part]);
            } else {
                out.extend_from_slice(&self.tail.rest(column)[at..][..part]);
            }
            (page, at, left) = (page + 1, 0, left - part);
        }
        Ok(())
    }

    pub(super) fn cached(&self, cache: &PageCache, column: Column, page: u64) -> Result<Arc<[u8]>> {
        let load = || self.load(column, page, page, &mut Run::default());
        cache.page(self.id, self.tail.place(column, page), load)
    }

    /// A page to be shared. Where the pages up to `last` follow it in the file they are read with
    /// it, and kept in `run` until they are asked for.
    fn load(&self, column: Column, page: u64, last: u64, run: &mut Run) -> Result<Arc<[u8]>> {
        let mut shared: Arc<[u8]> = Arc::from(ZEROS.as_slice());
        let image = Arc::get_mut(&mut shared).expect("it was just made");
        let place = self.tail.place(column, page);
        let count = self.adjacent(column, page, (last + 1 - page).min(RUN_PAGES_MAX));
        if let Some(read) = run.page(place) {
            image.copy_from_slice(read);
        } else if count == 1 {
            self.read(place, image)?;
        } else {
            run.first = place;
            run.images.resize(index(count) * PAGE_SIZE_BYTES, 0);
            self.read(place, &mut run.images)?;
            image.copy_from_slice(&run.images[..PAGE_SIZE_BYTES]);
        }
        self.open_page(place, image)?;
        Ok(shared)
    }

    /// How many pages of a column, up to `most`, follow one another in the file from `page` on.
    pub(super) fn adjacent(&self, column: Column, page: u64, most: u64) -> u64 {
        let first = u64::from(self.tail.place(column, page));
        let most = most.min(self.whole_pages(column) - page);
        let extent = EXTENT_PAGES as u64;
        let mut count = (extent - page % extent).min(most);
        while count < most && u64::from(self.tail.place(column, page + count)) == first + count {
            count = (count + extent).min(most);
        }
        count
    }

    /// Reads pages of the file as they are.
    pub(super) fn read(&self, first: u32, images: &mut [u8]) -> Result<()> {
        let read = self.file.read_exact_at(images, u64::from(first) * PAGE_SIZE_BYTES as u64);
        read.map_err(|error| self.kept(error))
    }

    /// Checks and opens a page of a column in place.
    pub(super) fn open_page(&self, place: u32, image: &mut [u8]) -> Result<()> {
        let place = self.identity.page(PageType::SegmentColumn, place);
        let body = page::open(&place, &*self.codec, image).and_then(|body| {
            let (page, len) = (place.index, body.len());
            let short = || Error::corrupt(format!("page {page}: {len} bytes of a column"));
            if len == PAGE_BODY_SIZE_BYTES { Ok(()) } else { Err(short()) }
        });
        body.map_err(|error| self.named(error))
    }

    /// The filter, read if need be. Two first searches at a time both read it.
    fn filter(&self) -> Result<&[u8]> {
        let whole = self.whole_pages(Column::Filter);
        let rest = self.tail.rest(Column::Filter);
        if whole == 0 {
            return Ok(rest);
        }
        if let Some(filter) = self.filter.get() {
            return Ok(filter);
        }
        let mut filter = Vec::with_capacity(index(self.footer.len(Column::Filter)));
        let mut images = Vec::new();
        let mut page = 0;
        while page < whole {
            let place = self.tail.place(Column::Filter, page);
            let count = self.adjacent(Column::Filter, page, EXTENT_PAGES as u64);
            images.resize(index(count) * PAGE_SIZE_BYTES, 0);
            self.read(place, &mut images)?;
            for (image, place) in images.chunks_exact_mut(PAGE_SIZE_BYTES).zip(place..) {
                self.open_page(place, image)?;
                filter.extend_from_slice(&image[PAGE_HEADER_SIZE_BYTES..]);
            }
            page += count;
        }
        filter.extend_from_slice(rest);
        Ok(self.filter.get_or_init(|| filter.into()))
    }

    /// The filter, read if need be.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn known_ids(&self) -> Result<KnownIds<'_>> {
        self.filter().map(KnownIds)
    }

    pub(super) fn has_multivectors(&self) -> bool {
        self.stride.is_multi
    }

    pub(super) fn whole_pages(&self, column: Column) -> u64 {
        self.footer.whole_pages(column)
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Of the footer page, as the manifest has it.
    pub(super) fn footer_checksum(&self) -> u32 {
        self.footer_checksum
    }

    /// Holds a page against its place, as it is stored; its checksum.
    pub(super) fn verify_page(&self, of: PageType, place: u32, image: &[u8]) -> Result<u32> {
        page::verify(&self.identity.page(of, place), image).map_err(|error| self.named(error))
    }

    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// An error in the file, of which the page is not known.
    pub(super) fn named(&self, error: Error) -> Error {
        self.kept(named(&self.file, error))
    }

    /// An error that names the file; damage is kept in mind.
    fn kept(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Corrupt && self.damage.set(error.duplicate()).is_ok() {
            tracing::error!(collection = self.identity.collection.0, %error, "damaged");
        }
        error
    }

    /// An error in a page of a column: the file, and the page of the file.
    pub(super) fn at(&self, column: Column, page: u64, error: Error) -> Error {
        let place = if page < self.whole_pages(column) {
            format!("page {}", self.tail.place(column, page))
        } else {
            format!("page {}", u64::from(self.pages) - 1 - self.footer.tail_pages())
        };
        let kind = error.kind();
        self.named(error.reported_as(kind, &place))
    }
}

/// Pages read with one call, until they are asked for.
#[derive(Default)]
struct Run {
    first: u32,
    images: Vec<u8>,
}

impl Run {
    fn page(&self, place: u32) -> Option<&[u8]> {
        let i = place.checked_sub(self.first)? as usize;
        self.images.get(i * PAGE_SIZE_BYTES..)?.get(..PAGE_SIZE_BYTES)
    }
}

/// Names the file in an error that names a page of it.
fn named(file: &DiskFile, error: Error) -> Error {
    let kind = error.kind();
    error.reported_as(kind, &file.path().display().to_string())
}

fn open_footer(
    identity: &SegmentIdentity,
    entry: &SegmentEntry,
    stride: Stride,
    pages: u32,
    codec: &dyn PageCodec,
    page: &mut [u8],
) -> Result<Footer> {
    let place = identity.page(PageType::SegmentFooter, pages - 1);
    let (found, expected) = (page::verify(&place, page)?, entry.footer);
    if found != expected {
        let index = place.index;
        return Err(Error::corrupt(format!(
            "page {index}: footer checksum {found:#010x}, expected {expected:#010x}"
        )));
    }
    let footer = Footer::decode(page::open(&place, codec, page)?)?;
    footer.check(entry, stride, pages.into())?;
    Ok(footer)
}
