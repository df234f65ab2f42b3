//! What a segment says of itself, where no manifest is at hand. Feature `cli`.

use crate::codec::PlainCodec;
use crate::error::Result;
use crate::ids::{CollectionId, FileId};
use crate::manifest::SegmentEntry;
use crate::page::{self, PagePlace};
use crate::page_cache::PageCache;
use crate::segment::layout::{Column, Footer, entry_size_bytes};
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

    /// The fields that have an index, with their types.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming the file.
    pub(crate) fn indexed_fields(&self, cache: &PageCache) -> Result<Vec<String>> {
        let fields = self.indexes(cache)?.fields.iter();
        Ok(fields.map(|field| format!("{}:{}", field.path, field.field_type)).collect())
    }
}
