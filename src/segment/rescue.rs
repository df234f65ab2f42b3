//! Reads what can be read of a segment of which some pages cannot.

use crate::error::{Error, Result};
use crate::page_cache::PageCache;
use crate::segment::reader::Segment;

/// What became of rows of a damaged segment.
#[derive(Debug)]
pub(crate) enum Rescued<'a> {
    /// A row: its number, id, vector and payload.
    Row(u32, &'a str, &'a [u8], &'a [u8]),
    /// A row of which the values cannot be read.
    Lost(u32, &'a str, Error),
    /// Rows of which not even the ids can be read, from one up to before another.
    LostRows(u32, u32, Error),
}

impl Segment {
    /// Shows every row, dead ones included, in the order of their ids, and what cannot be read.
    ///
    /// # Errors
    /// Those of `see`.
    pub(crate) fn rescue(
        &self,
        cache: &PageCache,
        mut see: impl FnMut(Rescued<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut row = 0;
        while row < self.rows() {
            let page = self.tail().id_page_of_row(row);
            let end = self.first_row_behind(page);
            let mut ids = Vec::new();
            let read = self.ids_of(cache, row..end, |row, id| {
                ids.push((row, id.to_owned()));
                Ok(())
            });
            for (row, id) in &ids {
                let mut bytes = Vec::new();
                let values = self.vector_into(cache, *row, &mut bytes).and_then(|()| {
                    let vector_len = bytes.len();
                    self.payload_into(cache, *row, &mut bytes)?;
                    Ok(vector_len)
                });
                see(match values {
                    Ok(vector_len) => {
                        let (vector, payload) = bytes.split_at(vector_len);
                        Rescued::Row(*row, id, vector, payload)
                    }
                    Err(error) => Rescued::Lost(*row, id, error),
                })?;
            }
            if let Err(error) = read {
                let from = ids.last().map_or(row, |(last, _)| last + 1);
                see(Rescued::LostRows(from, end, error))?;
            }
            row = end;
        }
        Ok(())
    }
}
