//! What a segment says of itself, where no manifest is at hand. Feature `cli`.

use std::ops::Range;
use std::slice::ChunksExact;

use crate::codec::PlainCodec;
use crate::cursor::index;
use crate::error::Result;
use crate::ids::{CollectionId, FileId};
use crate::manifest::SegmentEntry;
use crate::page::{self, PagePlace};
use crate::page_cache::PageCache;
use crate::sec::FieldType;
use crate::sec::search::IndexReader;
use crate::sec::terms::TermSet;
use crate::segment::filter::BLOCK_SIZE_BYTES;
use crate::segment::layout::{Column, Entry, Footer, entry_size_bytes};
use crate::segment::reader::Segment;
use crate::vector::Stride;

/// The columns, in the order of the footer.
const COLUMNS: [(&str, Column); 6] = [
    ("ids", Column::Ids),
    ("directory", Column::Directory),
    ("vectors", Column::Vectors),
    ("payloads", Column::Payloads),
    ("filter", Column::Filter),
    ("indexes", Column::Indexes),
];

/// An id page, by where it is and what it holds.
#[derive(Debug)]
pub(crate) struct IdPagePlace<'a> {
    /// The page of the file; none for what stands in the tail.
    pub(crate) place: Option<u32>,
    pub(crate) rows: Range<u32>,
    pub(crate) fence: &'a [u8],
}

/// The index of a field over the rows of a part.
#[derive(Debug)]
pub(crate) struct IndexPart {
    /// Path and type.
    pub(crate) field: String,
    pub(crate) end_row: u32,
    pub(crate) bytes: u64,
    field_type: FieldType,
    /// Where it starts in the column.
    at: u64,
}

impl Segment {
    /// What a manifest would say of a segment with this footer page, and the stride of its rows.
    ///
    /// # Errors
    /// `Corrupt`, and `Unsupported` for a page that is sealed.
    pub(crate) fn entry_of(
        place: &PagePlace,
        footer: &mut [u8],
        len: u64,
    ) -> Result<(SegmentEntry, Stride)> {
        let checksum = page::verify(place, footer)?;
        let found = Footer::decode(page::open(place, &PlainCodec, footer)?)?;
        let mut stride = Stride { bytes: found.stride as usize, is_multi: false };
        let single = found.rows.saturating_mul(entry_size_bytes(stride) as u64);
        stride.is_multi = found.len(Column::Directory) != single;
        let entry = SegmentEntry {
            file: FileId(0),
            collection: CollectionId(0),
            salt: place.salt,
            len,
            rows: found.rows,
            footer: checksum,
        };
        Ok((entry, stride))
    }

    /// Each column, and its bytes.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'static str, u64)> {
        COLUMNS.iter().map(|(name, column)| (*name, self.footer().len(*column)))
    }

    /// The id pages, in their order.
    pub(crate) fn id_pages(&self) -> impl Iterator<Item = IdPagePlace<'_>> {
        (0..self.footer().id_pages()).map(|page| IdPagePlace {
            place: (page < self.whole_pages(Column::Ids))
                .then(|| self.tail().place(Column::Ids, page)),
            rows: self.tail().first_row(page)..self.first_row_behind(page),
            fence: self.tail().fence(index(page)),
        })
    }

    /// Where the payload and the vectors of a row are, each with its bytes.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn places_of(&self, cache: &PageCache, row: u32) -> Result<[(u64, usize); 2]> {
        let Entry { payload, vector } = self.entry(cache, row)?;
        Ok([payload, vector])
    }

    /// Whether a row has several vectors.
    pub(crate) fn has_several_vectors(&self) -> bool {
        self.has_multivectors()
    }

    /// The blocks of the filter.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn filter_blocks(&self) -> Result<ChunksExact<'_, u8>> {
        Ok(self.known_ids()?.0.chunks_exact(BLOCK_SIZE_BYTES))
    }

    /// The index of each field, of each part in turn.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming the file.
    pub(crate) fn index_parts(&self, cache: &PageCache) -> Result<Vec<IndexPart>> {
        let (indexes, mut at, mut found) = (self.indexes(cache)?, 0, Vec::new());
        for part in &indexes.parts {
            for (field, bytes) in indexes.fields.iter().zip(&part.lens) {
                let (field_type, end_row) = (field.field_type, part.end_row);
                let field = format!("{}:{field_type}", field.path);
                found.push(IndexPart { field, end_row, bytes: *bytes, field_type, at });
                at += bytes;
            }
        }
        Ok(found)
    }

    /// How many different values an index has, and how many rows with any.
    ///
    /// # Errors
    /// `Io`, and `Corrupt`.
    pub(crate) fn index_figures(&self, cache: &PageCache, part: &IndexPart) -> Result<(u64, u64)> {
        let read = |offset: u64, len: usize| self.index_bytes(cache, part.at + offset, len);
        let reader = IndexReader::open(&read, part.bytes, part.field_type, part.end_row)?;
        Ok((reader.terms(), reader.rows(&read, &TermSet::all())?.len()))
    }

    /// The fields that have an index, with their types.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming the file.
    pub(crate) fn indexed_fields(&self, cache: &PageCache) -> Result<Vec<String>> {
        let fields = self.indexes(cache)?.fields.iter();
        Ok(fields.map(|field| format!("{}:{}", field.path, field.field_type)).collect())
    }
}
