//! Iterators over the rows of a collection.

use std::fmt;

use crate::error::Result;
use crate::row::{Record, RecordRef};
use crate::row_cursor::RowCursor;
use crate::vector::VectorForm;

/// Rows in ascending order of the bytes of their ids, as they were when the scan started. Ends
/// behind the first error.
pub struct Scan {
    cursor: Option<RowCursor>,
    form: VectorForm,
}

impl Scan {
    pub(super) fn new(cursor: RowCursor, form: VectorForm) -> Self {
        Self { cursor: Some(cursor), form }
    }
}

impl Iterator for Scan {
    type Item = Result<(String, Record)>;

    fn next(&mut self) -> Option<Self::Item> {
        let form = self.form;
        next(&mut self.cursor, |cursor| {
            let (id, vector, payload) = cursor.row()?;
            Ok((id.to_owned(), RecordRef::new(vector, payload, form).to_record()))
        })
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("dtype", &self.form.dtype).finish_non_exhaustive()
    }
}

/// Ids and payloads in ascending order of the bytes of the ids; no vector is read. Ends behind the
/// first error.
pub struct PayloadScan {
    cursor: Option<RowCursor>,
}

impl PayloadScan {
    pub(super) fn new(cursor: RowCursor) -> Self {
        Self { cursor: Some(cursor) }
    }
}

impl Iterator for PayloadScan {
    type Item = Result<(String, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&mut self.cursor, |cursor| {
            let payload = cursor.payload()?.to_vec();
            Ok((cursor.id().to_owned(), payload))
        })
    }
}

impl fmt::Debug for PayloadScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadScan").finish_non_exhaustive()
    }
}

/// The next row; the cursor is given up at the end and behind an error.
fn next<T>(
    slot: &mut Option<RowCursor>,
    take: impl FnOnce(&mut RowCursor) -> Result<T>,
) -> Option<Result<T>> {
    let cursor = slot.as_mut()?;
    let item = match cursor.advance() {
        Ok(true) => Some(take(cursor)),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    };
    if !matches!(item, Some(Ok(_))) {
        *slot = None;
    }
    item
}
