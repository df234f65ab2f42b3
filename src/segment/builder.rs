//! Writes a segment, row by row in ascending order of ids, in bounded memory.
//!
//! Each column has one buffer of an extent. A full one is sealed and written where the file ends;
//! nothing is read back. What grows with the rows is the filter, ten bits for each row announced,
//! and the fences, one for each id page. Values to be indexed are held up to a limit.
//!
//! **A crash leaves** a file that no manifest names. Only [`SegmentBuilder::finish`] syncs.

use crate::codec::{self, PageCodec};
use crate::cursor::{index, len_u32};
use crate::error::{Error, Result};
use crate::limits::{EXTERNAL_ID_BYTES_MAX, PAGE_SIZE_BYTES, PAYLOAD_BYTES_MAX};
use crate::page::{self, PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PageType};
use crate::sec::FilterableField;
use crate::segment::filter;
use crate::segment::ids::IdPageBuilder;
use crate::segment::indexes::IndexesBuilder;
use crate::segment::layout::{
    COLUMNS, Column, EXTENT_PAGES, Entry, Fences, Footer, SegmentIdentity, encode_tail,
    entry_size_bytes,
};
use crate::sync::Arc;
use crate::vector::Stride;
use crate::vfs::DiskFile;

const EXTENT_SIZE_BYTES: usize = EXTENT_PAGES * PAGE_SIZE_BYTES;

/// What a manifest has to say of a segment that was written and synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) rows: u64,
    /// Bytes of the file.
    pub(crate) len: u64,
    /// Checksum of the footer page.
    pub(crate) footer: u32,
}

/// What a segment is to be.
#[derive(Clone, Debug)]
pub(crate) struct SegmentPlan {
    pub(crate) stride: Stride,
    /// What the filter is made for. With more rows it takes more absent ids for present ones.
    pub(crate) rows_max: u64,
    /// What there are to be indexes of.
    pub(crate) fields: Vec<FilterableField>,
    /// Memory for values that are to be indexed.
    pub(crate) index_bytes_max: usize,
}

/// A segment in the making. After an error it can only be dropped, and its file with it.
#[derive(Debug)]
pub(crate) struct SegmentBuilder {
    out: Out,
    stride: Stride,
    columns: [ColumnBuffer; COLUMNS],
    id_page: IdPageBuilder,
    fences: Fences,
    filter: Vec<u8>,
    indexes: IndexesBuilder,
    rows: u32,
    last_id: String,
}

impl SegmentBuilder {
    /// Starts a segment in an empty file; nothing is written yet.
    pub(crate) fn start(
        file: DiskFile,
        identity: SegmentIdentity,
        plan: SegmentPlan,
        codec: Arc<dyn PageCodec>,
    ) -> Self {
        let SegmentPlan { stride, rows_max, fields, index_bytes_max } = plan;
        let place = identity.page(PageType::SegmentColumn, 0).sealing();
        let codec = codec::for_file(&codec, &place);
        Self {
            out: Out { file, identity, codec, pages: 0, digest: 0 },
            stride,
            columns: Default::default(),
            id_page: IdPageBuilder::default(),
            fences: Fences::default(),
            filter: vec![0; index(filter::size_bytes(rows_max))],
            indexes: IndexesBuilder::new(&fields, index_bytes_max),
            rows: 0,
            last_id: String::new(),
        }
    }

    /// Adds a row. Writes what extents it fills.
    ///
    /// # Errors
    /// Those of the disk and of the codec; `TooLarge` beyond 2^32 - 1 rows.
    ///
    /// # Panics
    /// If ids are not in strictly ascending order, or a length is beyond its limit.
    pub(crate) fn push(&mut self, id: &str, vector: &[u8], payload: &[u8]) -> Result<()> {
        assert!((1..=EXTERNAL_ID_BYTES_MAX).contains(&id.len()), "ids are bounded by `limits`");
        assert!(*id > *self.last_id, "ids are in ascending order");
        assert!(self.stride.fits(vector.len()) && payload.len() <= PAYLOAD_BYTES_MAX);
        if self.rows == u32::MAX {
            return Err(Error::too_large("a segment of more rows than 32 bits count"));
        }
        if !self.id_page.push(self.rows, &self.last_id, id) {
            self.finish_id_page(true)?;
            let has_room = self.id_page.push(self.rows, &self.last_id, id);
            assert!(has_room, "a page has room for the longest id");
            self.fences.push(self.rows, &self.last_id, id)?;
        } else if self.rows == 0 {
            self.fences.push(0, "", id)?;
        }
        filter::insert(&mut self.filter, filter::hash(id.as_bytes()));
        let entry = Entry {
            payload: (self.len(Column::Payloads), payload.len()),
            vector: (self.len(Column::Vectors), vector.len()),
        };
        self.append(Column::Directory, &entry.encode()[..entry_size_bytes(self.stride)])?;
        self.append(Column::Vectors, vector)?;
        self.append(Column::Payloads, payload)?;
        if let Some(part) = self.indexes.push(self.rows, payload)? {
            self.append(Column::Indexes, &part)?;
        }
        self.rows += 1;
        self.last_id.clear();
        self.last_id.push_str(id);
        Ok(())
    }

    /// Bytes of a column so far.
    fn len(&self, column: Column) -> u64 {
        self.columns[column as usize].len
    }

    fn append(&mut self, column: Column, bytes: &[u8]) -> Result<()> {
        self.columns[column as usize].append(&mut self.out, bytes)
    }

    fn finish_id_page(&mut self, is_padded: bool) -> Result<()> {
        let page = self.id_page.finish(&self.last_id);
        if is_padded {
            page.resize(PAGE_BODY_SIZE_BYTES, 0);
        }
        self.columns[Column::Ids as usize].append(&mut self.out, page)
    }

    /// Writes what is left and syncs the file.
    ///
    /// *Durability*: if it returned Ok, the file's content is durable; its name is not.
    ///
    /// # Errors
    /// Those of the disk and of the codec; the file is then worth nothing.
    pub(crate) fn finish(mut self) -> Result<Sealed> {
        if !self.id_page.is_empty() {
            self.finish_id_page(false)?;
        }
        let filter = std::mem::take(&mut self.filter);
        self.append(Column::Filter, &filter)?;
        let indexes = std::mem::replace(&mut self.indexes, IndexesBuilder::new(&[], 0));
        self.append(Column::Indexes, &indexes.finish(self.rows)?)?;
        for column in &mut self.columns {
            column.write_whole_pages(&mut self.out)?;
        }
        let rests = self.columns.each_ref().map(ColumnBuffer::rest);
        let extents = self.columns.each_ref().map(|column| column.extents.as_slice());
        let tail = encode_tail(rests, &self.fences, extents);
        let lens = self.columns.each_ref().map(|column| column.len);
        let Self { out, rows, stride, .. } = self;
        let footer = Footer {
            rows: rows.into(),
            stride: len_u32(stride.bytes),
            digest: 0,
            tail_len: tail.len() as u64,
            lens,
        };
        out.finish(&tail, footer)
    }
}

/// The file, and where it ends.
#[derive(Debug)]
struct Out {
    file: DiskFile,
    identity: SegmentIdentity,
    codec: Arc<dyn PageCodec>,
    pages: u32,
    /// Of the pages written so far.
    digest: u32,
}

impl Out {
    /// Writes pages whose bodies are full to the end of the file; the index of the first.
    fn write(&mut self, pages: &mut [u8]) -> Result<u32> {
        let first = self.pages;
        self.reserve(pages.len() / PAGE_SIZE_BYTES)?;
        for (page, index) in pages.chunks_exact_mut(PAGE_SIZE_BYTES).zip(first..) {
            let place = self.identity.page(PageType::SegmentColumn, index);
            page::seal(&place, &*self.codec, page, PAGE_BODY_SIZE_BYTES)?;
        }
        self.digest = page::digest_append(self.digest, pages);
        self.file.write_all_at(pages, u64::from(first) * PAGE_SIZE_BYTES as u64)?;
        Ok(first)
    }

    fn reserve(&mut self, pages: usize) -> Result<()> {
        let end = u32::try_from(pages).ok().and_then(|pages| self.pages.checked_add(pages));
        self.pages = end.ok_or_else(|| Error::too_large("a segment of more than 2^32 pages"))?;
        Ok(())
    }

    fn finish(mut self, tail: &[u8], footer: Footer) -> Result<Sealed> {
        let first = self.pages;
        let place = self.identity.page(PageType::SegmentTail, first);
        let mut pages = page::seal_stream(&place, &*self.codec, tail)?;
        let digest = page::digest_append(self.digest, &pages);
        let body = Footer { digest, ..footer }.encode();
        let at = pages.len();
        self.reserve(at / PAGE_SIZE_BYTES + 1)?;
        pages.resize(at + PAGE_SIZE_BYTES, 0);
        let page = &mut pages[at..];
        page[PAGE_HEADER_SIZE_BYTES..][..body.len()].copy_from_slice(&body);
        let place = self.identity.page(PageType::SegmentFooter, self.pages - 1);
        let checksum = page::seal(&place, &*self.codec, page, body.len())?;
        self.file.write_all_at(&pages, u64::from(first) * PAGE_SIZE_BYTES as u64)?;
        self.file.sync_data()?;
        let len = u64::from(self.pages) * PAGE_SIZE_BYTES as u64;
        Ok(Sealed { rows: footer.rows, len, footer: checksum })
    }
}

/// The end of a column: at most an extent of page images, the last of them perhaps not full.
#[derive(Debug, Default)]
struct ColumnBuffer {
    pages: Vec<u8>,
    /// Bytes of the whole column.
    len: u64,
    /// First page of each extent written.
    extents: Vec<u32>,
}

impl ColumnBuffer {
    /// Bytes of the last page that are in use; 0 if it is full, or if there is none.
    fn used(&self) -> usize {
        index(self.len % PAGE_BODY_SIZE_BYTES as u64)
    }

    fn append(&mut self, out: &mut Out, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let used = self.used();
            if used == 0 {
                self.pages.resize(self.pages.len() + PAGE_SIZE_BYTES, 0);
            }
            let (part, rest) = bytes.split_at(bytes.len().min(PAGE_BODY_SIZE_BYTES - used));
            let at = self.pages.len() - PAGE_SIZE_BYTES + PAGE_HEADER_SIZE_BYTES + used;
            self.pages[at..][..part.len()].copy_from_slice(part);
            self.len += part.len() as u64;
            bytes = rest;
            if self.pages.len() == EXTENT_SIZE_BYTES && self.used() == 0 {
                self.write_whole_pages(out)?;
            }
        }
        Ok(())
    }

    /// Writes all pages but one that is not full.
    fn write_whole_pages(&mut self, out: &mut Out) -> Result<()> {
        let rest = if self.used() == 0 { 0 } else { PAGE_SIZE_BYTES };
        let whole = self.pages.len() - rest;
        if whole > 0 {
            self.extents.push(out.write(&mut self.pages[..whole])?);
            self.pages.drain(..whole);
        }
        Ok(())
    }

    /// What is left behind the whole pages, once those are written.
    fn rest(&self) -> &[u8] {
        self.pages.get(PAGE_HEADER_SIZE_BYTES..).map_or(&[], |body| &body[..self.used()])
    }
}

#[cfg(test)]
impl SegmentBuilder {
    /// Bytes of page images that wait to be written.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.columns.iter().map(|column| column.pages.capacity()).sum()
    }
}
