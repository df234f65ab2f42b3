//! Reads what can be read of a segment of which some pages cannot.
//!
//! An id that no version writes, or that is not above the one before, belongs to no row: what stands from
//! there to the end of its page is lost, or two rows would become one.

use crate::error::{Error, Result};
use crate::limits::EXTERNAL_ID_BYTES_MAX;
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
        let (mut row, mut last_id) = (0, String::new());
        while row < self.rows() {
            let page = self.tail().id_page_of_row(row);
            let end = self.first_row_behind(page);
            let mut ids = Vec::new();
            let read = self.ids_of(cache, row..end, |row, id| {
                // No id is empty, so the first one is above what stands here before it.
                if *id <= *last_id || id.len() > EXTERNAL_ID_BYTES_MAX {
                    let what = format!("row {row}: its id does not follow the one before");
                    return Err(self.named(Error::corrupt(what)));
                }
                last_id.clear();
                last_id.push_str(id);
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
