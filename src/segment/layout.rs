//! Where everything stands in a segment file: columns, extents, tail and footer.
//!
//! A *column* is a byte string. It is cut into page bodies; the pages stand in *extents* of up to
//! [`EXTENT_PAGES`] pages that follow one another in the file. What does not fill a page, its
//! *rest*, stands in the tail. So page `p` of a column is page `p % 16` of its extent `p / 16`, and
//! a segment of a few rows has no extents at all.
//!
//! **Invariants**
//!
//! - S4. The extents of all columns tile the file from its first page up to the tail: none shares
//!   a page with another, and no page is unaccounted for.
//! - S5. Nothing is stored that follows from something else: where a rest stands, how many extents
//!   a column has and how many fences there are follow from the lengths of the columns.
//!
//! **Footer**, in the last page of the file:
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 8 | rows | as in the manifest |
//! | 8 | 4 | stride | bytes of one vector, as the schema has it |
//! | 12 | 4 | digest | of all pages before the footer |
//! | 16 | 8 | tail length | bytes of the tail |
//! | 24 | 8 | ids length | bytes of the column |
//! | 32 | 8 | directory length | 12 for each row; 24 where rows have several vectors |
//! | 40 | 8 | vectors length | the stride for each vector |
//! | 48 | 8 | payloads length | |
//! | 56 | 8 | filter length | a multiple of 64, at least 64 |
//! | 64 | 8 | indexes length | 0 where no field is filterable |
//!
//! **Tail**, a byte string over the pages before the footer:
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | rests | bytes | of each column, in the order of the footer: its length modulo 16,320 |
//! | fence ends | u32 for each id page | where its fence ends in the fences; ascending |
//! | first rows | u32 for each id page | number of its first row; ascending from 0 |
//! | fences | bytes | one for each id page, each above the one before; the first is empty |
//! | extents | u32 for each | first page, of each column in turn |
//!
//! A fence is above every id of the pages before it and at most the first of its own.

use crate::codec::PageCodec;
use crate::cursor::{Cursor, index, len_u32};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Salt, StoreId};
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::manifest::SegmentEntry;
use crate::page::{self, PAGE_BODY_SIZE_BYTES, PagePlace, PageType};
use crate::vector::Stride;

/// Pages of a full extent: what the builder writes, and a reader reads, at a time.
pub(super) const EXTENT_PAGES: usize = 16;

/// Bytes of the footer.
pub(super) const FOOTER_SIZE_BYTES: usize = 72;

/// Bytes of a row's entry in the directory: where its payload starts (u64) and how long it is
/// (u32).
const SINGLE_ENTRY_SIZE_BYTES: usize = 12;

/// The same where rows have several vectors: then come the bytes of its vectors (u32), and where
/// they start (u64).
const MULTI_ENTRY_SIZE_BYTES: usize = 24;

/// Bytes of a row's entry in the directory.
pub(super) const fn entry_size_bytes(stride: Stride) -> usize {
    if stride.is_multi { MULTI_ENTRY_SIZE_BYTES } else { SINGLE_ENTRY_SIZE_BYTES }
}

/// Bytes of a page body, in the arithmetic of files.
pub(super) const BODY: u64 = PAGE_BODY_SIZE_BYTES as u64;

/// Where the values of a row are: offset in the column, and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) payload: (u64, usize),
    pub(super) vector: (u64, usize),
}

impl Entry {
    /// The stored form; where rows have one vector only, of its first part.
    pub(super) fn encode(&self) -> [u8; MULTI_ENTRY_SIZE_BYTES] {
        let mut out = [0; MULTI_ENTRY_SIZE_BYTES];
        out[..8].copy_from_slice(&self.payload.0.to_le_bytes());
        out[8..12].copy_from_slice(&len_u32(self.payload.1).to_le_bytes());
        out[12..16].copy_from_slice(&len_u32(self.vector.1).to_le_bytes());
        out[16..].copy_from_slice(&self.vector.0.to_le_bytes());
        out
    }

    /// Reads the entry of a row from where it starts, and holds it against the columns.
    pub(super) fn decode(footer: &Footer, stride: Stride, row: u32, bytes: &[u8]) -> Result<Self> {
        let parts = bytes.split_first_chunk::<SINGLE_ENTRY_SIZE_BYTES>();
        let (first, rest) = parts.ok_or_else(|| Error::corrupt("directory entry: too short"))?;
        let [a, b, c, d, e, f, g, h, len @ ..] = *first;
        let payload_start = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let payload = (payload_start, u32::from_le_bytes(len) as usize);
        let inside = |(start, len): (u64, usize), column| {
            start.checked_add(len as u64).is_some_and(|end| end <= footer.len(column))
        };
        if !inside(payload, Column::Payloads) || payload.1 > PAYLOAD_BYTES_MAX {
            let (start, len) = payload;
            return Err(Error::corrupt(format!("row {row}: payload at {start} of {len} bytes")));
        }
        if !stride.is_multi {
            // Inside of the column: the footer was held against the rows (S5).
            let vector = (u64::from(row) * stride.bytes as u64, stride.bytes);
            return Ok(Self { payload, vector });
        }
        let mut cursor = Cursor::new(rest, "directory entry");
        let vector_len = cursor.u32()? as usize;
        let vector = (cursor.u64()?, vector_len);
        if !inside(vector, Column::Vectors) || !stride.fits(vector.1) {
            let (start, len) = vector;
            return Err(Error::corrupt(format!("row {row}: vector at {start} of {len} bytes")));
        }
        Ok(Self { payload, vector })
    }
}

/// Where the last of some entries of rows with one vector ends, if each starts where the one before
/// ends, and the first at `from`; and if all are as [`Entry::decode`] wants them.
pub(super) fn payloads_end(footer: &Footer, entries: &[u8], from: u64) -> Option<u64> {
    let (entries, rest) = entries.as_chunks::<SINGLE_ENTRY_SIZE_BYTES>();
    let (mut end, mut are_good) = (from, rest.is_empty());
    // Without a branch for each: nearly always all are. No sum of so many u32 overflows.
    for [a, b, c, d, e, f, g, h, len @ ..] in entries {
        let start = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
        let len = u32::from_le_bytes(*len);
        are_good &= start == end && len as usize <= PAYLOAD_BYTES_MAX;
        end += u64::from(len);
    }
    (are_good && end <= footer.len(Column::Payloads)).then_some(end)
}

// An entry of the directory never straddles pages.
const _: () = assert!(PAGE_BODY_SIZE_BYTES.is_multiple_of(SINGLE_ENTRY_SIZE_BYTES));
const _: () = assert!(PAGE_BODY_SIZE_BYTES.is_multiple_of(MULTI_ENTRY_SIZE_BYTES));

/// How many columns there are.
pub(super) const COLUMNS: usize = 6;

/// A column, by its place in the footer. Stored on disk; numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Ids = 0,
    Directory = 1,
    Vectors = 2,
    Payloads = 3,
    Filter = 4,
    Indexes = 5,
}

/// Pages of a column that follow one another in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) column: Column,
    pub(super) pages: u64,
}

/// Which file of which store a segment is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentIdentity {
    pub(crate) store: StoreId,
    pub(crate) collection: CollectionId,
    pub(crate) salt: Salt,
}

impl SegmentIdentity {
    pub(super) fn page(&self, page_type: PageType, index: u32) -> PagePlace {
        let Self { store, collection, salt } = *self;
        PagePlace { store, salt, collection, page_type, index }
    }
}

/// What the last page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) rows: u64,
    pub(super) stride: u32,
    pub(super) digest: u32,
    pub(super) tail_len: u64,
    /// By [`Column`].
    pub(super) lens: [u64; COLUMNS],
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_SIZE_BYTES] {
        let mut out = Vec::with_capacity(FOOTER_SIZE_BYTES);
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.stride.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        out.extend_from_slice(&self.tail_len.to_le_bytes());
        self.lens.iter().for_each(|len| out.extend_from_slice(&len.to_le_bytes()));
        out.try_into().expect("the fields above are 72 bytes")
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, "segment footer");
        let (rows, stride, digest) = (cursor.u64()?, cursor.u32()?, cursor.u32()?);
        let tail_len = cursor.u64()?;
        let mut lens = [0; COLUMNS];
        for len in &mut lens {
            *len = cursor.u64()?;
        }
        cursor.finish()?;
        Ok(Self { rows, stride, digest, tail_len, lens })
    }

    pub(super) fn len(&self, column: Column) -> u64 {
        self.lens[column as usize]
    }

    /// Pages of a column that are pages of the file.
    pub(super) fn whole_pages(&self, column: Column) -> u64 {
        self.len(column) / BODY
    }

    /// Pages of ids, the rest being one of them.
    pub(super) fn id_pages(&self) -> u64 {
        self.len(Column::Ids).div_ceil(BODY)
    }

    pub(super) fn tail_pages(&self) -> u64 {
        self.tail_len.div_ceil(BODY).max(1)
    }

    /// Holds the footer against the manifest, the schema and the length of the file (S4). What
    /// passes cannot overflow in any arithmetic of offsets.
    pub(super) fn check(&self, entry: &SegmentEntry, stride: Stride, pages: u64) -> Result<()> {
        let refused = |what: &str, found: u64, expected: u64| {
            Err(Error::corrupt(format!("segment footer: {what} {found}, expected {expected}")))
        };
        if self.rows != entry.rows || self.rows > u64::from(u32::MAX) {
            return refused("rows", self.rows, entry.rows);
        }
        if self.stride as usize != stride.bytes {
            return refused("stride", self.stride.into(), stride.bytes as u64);
        }
        // The sum of page counts is below 2^53: each is a u64 divided by the size of a body.
        let whole: u64 = self.lens.iter().map(|len| len / BODY).sum();
        let expected = whole + self.tail_pages() + 1;
        if pages != expected {
            return refused("says that the pages of the file are", expected, pages);
        }
        let directory = self.rows * entry_size_bytes(stride) as u64;
        if self.len(Column::Directory) != directory {
            return refused("directory length", self.len(Column::Directory), directory);
        }
        // Both factors are below 2^32.
        let vectors = self.rows * u64::from(self.stride);
        let found = self.len(Column::Vectors);
        let fits_multi = found >= vectors && found.is_multiple_of(u64::from(self.stride).max(1));
        if found != vectors && !(stride.is_multi && fits_multi) {
            return refused("vectors length", self.len(Column::Vectors), vectors);
        }
        if (self.rows == 0) != (self.len(Column::Ids) == 0) {
            return refused("ids length", self.len(Column::Ids), 0);
        }
        let filter = self.len(Column::Filter);
        let blocks = filter / 64;
        if !filter.is_multiple_of(64) || blocks == 0 || blocks > u64::from(u32::MAX) {
            return refused("filter length", filter, blocks.clamp(1, u32::MAX.into()) * 64);
        }
        Ok(())
    }
}

const fn extents_of(pages: u64) -> u64 {
    pages.div_ceil(EXTENT_PAGES as u64)
}

/// The smallest ids of the id pages, as the builder collects them.
#[derive(Debug, Default)]
pub(super) struct Fences {
    ends: Vec<u8>,
    first_rows: Vec<u8>,
    bytes: Vec<u8>,
}

impl Fences {
    /// Adds the fence of the next id page, whose first row is `row`: the shortest byte string that is above `previous`, the
    /// last id of the page before, and at most `id`, the first of its own.
    ///
    /// # Errors
    /// `TooLarge` beyond 4 GiB of fences.
    pub(super) fn push(&mut self, row: u32, previous: &str, id: &str) -> Result<()> {
        if !self.ends.is_empty() {
            let shared = previous.bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count();
            self.bytes.extend_from_slice(&id.as_bytes()[..=shared]);
        }
        let end = u32::try_from(self.bytes.len())
            .map_err(|_| Error::too_large("a segment with more than 4 GiB of fences"))?;
        self.ends.extend_from_slice(&end.to_le_bytes());
        self.first_rows.extend_from_slice(&row.to_le_bytes());
        Ok(())
    }
}

/// The tail, before it is cut into pages.
pub(super) fn encode_tail(
    rests: [&[u8]; COLUMNS],
    fences: &Fences,
    extents: [&[u32]; COLUMNS],
) -> Vec<u8> {
    let mut out = rests.concat();
    out.extend_from_slice(&fences.ends);
    out.extend_from_slice(&fences.first_rows);
    out.extend_from_slice(&fences.bytes);
    extents.concat().iter().for_each(|first| out.extend_from_slice(&first.to_le_bytes()));
    out
}

/// The tail of a segment, held in memory while it is open.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Box<[u8]>,
    /// Where the rest of each column starts, and where the last one ends.
    rests: [usize; COLUMNS + 1],
    /// Where the fences start: behind their ends and the first rows.
    fences: usize,
    /// Where the extents of each column start, and where the last ones end.
    extents: [usize; COLUMNS + 1],
}

impl Tail {
    /// Opens the pages of the tail and holds them against the footer (S4).
    ///
    /// # Errors
    /// `Corrupt` naming the page or the field.
    pub(super) fn open(
        footer: &Footer,
        first: &PagePlace,
        codec: &dyn PageCodec,
        pages: &mut [u8],
    ) -> Result<Self> {
        let bytes = page::open_stream(first, codec, pages)?;
        if bytes.len() as u64 != footer.tail_len {
            let (found, expected) = (bytes.len(), footer.tail_len);
            let message = format!("segment tail: {found} bytes long, expected {expected}");
            return Err(Error::corrupt(message));
        }
        let mut rests = [0; COLUMNS + 1];
        for (i, len) in footer.lens.iter().enumerate() {
            rests[i + 1] = rests[i] + index(len % BODY);
        }
        // None of these sums can overflow: all are below the count of pages times a page.
        let fences = rests[COLUMNS] + 8 * index(footer.id_pages());
        let mut counts = 0;
        let mut extents = [0; COLUMNS + 1];
        for (i, len) in footer.lens.iter().enumerate() {
            counts += 4 * index(extents_of(len / BODY));
            extents[i + 1] = counts;
        }
        let start = bytes.len().checked_sub(counts).filter(|start| *start >= fences);
        let start = start.ok_or_else(|| Error::corrupt("segment tail: too short"))?;
        extents.iter_mut().for_each(|at| *at += start);
        let tail = Self { bytes: bytes.into(), rests, fences, extents };
        tail.check_fences(index(footer.id_pages()))?;
        tail.check_first_rows(footer)?;
        tail.check_extents(footer)?;
        Ok(tail)
    }

    fn check_fences(&self, count: usize) -> Result<()> {
        let len = self.extents[0] - self.fences;
        let (mut end, mut previous) = (0, None);
        for unit in 0..count {
            let next = self.fence_end(unit);
            let fence = self.bytes[self.fences..self.extents[0]].get(end..next);
            let fence = fence.filter(|fence| match previous {
                None => fence.is_empty(),
                Some(previous) => *fence > previous,
            });
            previous = Some(fence.ok_or_else(|| {
                Error::corrupt(format!("segment tail: fence {unit} is out of order"))
            })?);
            end = next;
        }
        if end == len {
            return Ok(());
        }
        Err(Error::corrupt(format!("segment tail: {len} bytes of fences, expected {end}")))
    }

    fn check_first_rows(&self, footer: &Footer) -> Result<()> {
        let mut least = 0;
        for page in 0..footer.id_pages() {
            let row = u64::from(self.first_row(page));
            if row < least || row >= footer.rows || (page == 0 && row > 0) {
                let message = format!("segment tail: first row {row} of id page {page}");
                return Err(Error::corrupt(message));
            }
            least = row + 1;
        }
        Ok(())
    }

    /// Holds the extents against the lengths of the columns (S4).
    fn check_extents(&self, footer: &Footer) -> Result<()> {
        let pages: u64 = footer.lens.iter().map(|len| len / BODY).sum();
        let found: u64 = self.extents(footer).map(|extent| extent.pages).sum();
        if found == pages {
            return Ok(());
        }
        Err(Error::corrupt(format!("segment tail: page {found} is of no extent")))
    }

    /// Follows the extents through the file: each starts where another ended. Those of one column are in
    /// the order of its pages.
    pub(super) fn extents(&self, footer: &Footer) -> impl Iterator<Item = Extent> {
        const ALL: [Column; COLUMNS] = [
            Column::Ids,
            Column::Directory,
            Column::Vectors,
            Column::Payloads,
            Column::Filter,
            Column::Indexes,
        ];
        let whole = footer.lens.map(|len| len / BODY);
        let mut taken = [0; COLUMNS];
        let mut next: u64 = 0;
        std::iter::from_fn(move || {
            let column = ALL.into_iter().find(|column| {
                let i = *column as usize;
                let at = self.extents[i] + 4 * index(taken[i] / EXTENT_PAGES as u64);
                taken[i] < whole[i] && u64::from(self.word(at)) == next
            })?;
            let i = column as usize;
            let pages = (whole[i] - taken[i]).min(EXTENT_PAGES as u64);
            taken[i] += pages;
            next += pages;
            Some(Extent { column, pages })
        })
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = self.bytes[at..][..4].try_into().expect("four bytes were asked for");
        u32::from_le_bytes(bytes)
    }

    fn fence_end(&self, unit: usize) -> usize {
        self.word(self.rests[COLUMNS] + 4 * unit) as usize
    }

    /// The number of the first row of an id page.
    pub(super) fn first_row(&self, page: u64) -> u32 {
        self.word(self.rests[COLUMNS] + 4 * (self.id_pages() + index(page)))
    }

    fn id_pages(&self) -> usize {
        (self.fences - self.rests[COLUMNS]) / 8
    }

    /// The id page in which a row stands: the last whose first row is not above it.
    pub(super) fn id_page_of_row(&self, row: u32) -> u64 {
        let (mut low, mut high) = (0, self.id_pages() as u64);
        while low < high {
            let middle = low.midpoint(high);
            if self.first_row(middle) <= row {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.saturating_sub(1)
    }

    /// The fence of an id page.
    pub(super) fn fence(&self, page: usize) -> &[u8] {
        let start = page.checked_sub(1).map_or(0, |before| self.fence_end(before));
        &self.bytes[self.fences..][start..self.fence_end(page)]
    }

    /// What a column leaves over behind its whole pages.
    pub(super) fn rest(&self, column: Column) -> &[u8] {
        let i = column as usize;
        &self.bytes[self.rests[i]..self.rests[i + 1]]
    }

    /// The page of the file that is whole page `page` of a column.
    pub(super) fn place(&self, column: Column, page: u64) -> u32 {
        let (extent, within) = (index(page) / EXTENT_PAGES, index(page) % EXTENT_PAGES);
        let first = self.word(self.extents[column as usize] + 4 * extent);
        first + u32::try_from(within).expect("below the pages of an extent")
    }

    /// The id page in which an id stands if it is there: the last whose fence is not above it.
    pub(super) fn id_page_of(&self, id: &[u8]) -> u64 {
        let (mut low, mut high) = (0, self.id_pages());
        while low < high {
            let middle = low.midpoint(high);
            if self.fence(middle) <= id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.saturating_sub(1) as u64
    }

    /// Bytes in memory.
    #[cfg(test)]
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}
