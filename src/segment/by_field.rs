//! Rows that are sought by the values of their filterable fields.

use std::cell::Cell;

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::page_cache::PageCache;
use crate::sec::FilterableField;
use crate::sec::predicate::Filter;
use crate::sec::search::IndexReader;
use crate::segment::indexes::{DIRECTORY_LENGTH_SIZE_BYTES, Indexes, damaged};
use crate::segment::layout::Column;
use crate::segment::reader::Segment;

impl Segment {
    /// Whether it has an index of each of these fields (X1).
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming the file.
    pub(crate) fn indexes_all(
        &self,
        cache: &PageCache,
        fields: &[FilterableField],
    ) -> Result<bool> {
        let indexes = self.indexes(cache)?;
        Ok(fields.iter().all(|field| indexes.fields.contains(field)))
    }

    /// The rows whose payloads hold a filter over `fields`; nothing where there is no index of one
    /// that it asks for. Dead rows are among them.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming the file.
    pub(crate) fn rows_of(
        &self,
        cache: &PageCache,
        fields: &[FilterableField],
        filter: &Filter,
    ) -> Result<Option<RoaringBitmap>> {
        let indexes = self.indexes(cache)?;
        let own = |field: &FilterableField| indexes.fields.iter().position(|own| own == field);
        let places: Vec<Option<usize>> = fields.iter().map(own).collect();
        if places.iter().enumerate().any(|(i, place)| place.is_none() && filter.asks(i)) {
            return Ok(None);
        }
        let rows = filter.rows(self.rows(), &mut |field, terms| {
            let own = places[field].expect("every field that is asked for has an index");
            let (mut found, mut at) = (RoaringBitmap::new(), 0);
            for part in &indexes.parts {
                let start = at + part.lens[..own].iter().sum::<u64>();
                at += part.lens.iter().sum::<u64>();
                let read = |offset: u64, len: usize| self.index_bytes(cache, start + offset, len);
                let failed = Cell::new(false);
                let read = |offset, len| read(offset, len).inspect_err(|_| failed.set(true));
                let field_type = fields[field].field_type;
                let of_part = IndexReader::open(&read, part.lens[own], field_type, part.end_row)
                    .and_then(|reader| reader.rows(&read, terms));
                // What the disk answered names its file already.
                found |= of_part.map_err(|error| match failed.get() {
                    true => error,
                    false => self.named(error),
                })?;
            }
            Ok(found)
        })?;
        Ok(Some(rows))
    }

    /// The directory, read at the first call. Two first calls at a time both read it.
    pub(super) fn indexes(&self, cache: &PageCache) -> Result<&Indexes> {
        if let Some(known) = self.known_indexes.get() {
            return Ok(known);
        }
        let indexes = self.read_indexes(cache)?;
        Ok(self.known_indexes.get_or_init(|| indexes))
    }

    fn read_indexes(&self, cache: &PageCache) -> Result<Indexes> {
        let len = self.footer().len(Column::Indexes);
        if len == 0 {
            return Ok(Indexes::default());
        }
        let cut = || self.named(damaged(&format!("{len} bytes, shorter than its directory")));
        let end = len.checked_sub(DIRECTORY_LENGTH_SIZE_BYTES as u64).ok_or_else(cut)?;
        let bytes = self.index_bytes(cache, end, DIRECTORY_LENGTH_SIZE_BYTES)?;
        let directory = u32::from_le_bytes(bytes.try_into().expect("four bytes were asked for"));
        let start = end.checked_sub(directory.into()).ok_or_else(cut)?;
        let bytes = self.index_bytes(cache, start, directory as usize)?;
        Indexes::decode(&bytes, self.rows(), start).map_err(|error| self.named(error))
    }

    pub(super) fn index_bytes(&self, cache: &PageCache, start: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy(cache, Column::Indexes, start, len, &mut bytes)?;
        Ok(bytes)
    }
}
