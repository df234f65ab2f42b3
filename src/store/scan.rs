//! Iterators over the rows of a collection.

use std::fmt;

use crate::error::{Error, Result};
use crate::row::{Record, RecordRef};
use crate::row_cursor::RowCursor;
use crate::vector::VectorForm;

/// Rows in ascending order of the bytes of their ids, as they were when the scan started. Ends
/// behind the first error.
pub struct Scan {
    rows: Rows,
    form: VectorForm,
}

impl Scan {
    pub(super) fn new(cursor: RowCursor, hidden: Option<Error>, form: VectorForm) -> Self {
        Self { rows: Rows { cursor: Some(cursor), hidden }, form }
    }
}

impl Iterator for Scan {
    type Item = Result<(String, Record)>;

    fn next(&mut self) -> Option<Self::Item> {
        let form = self.form;
        self.rows.next(|cursor| {
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
    rows: Rows,
}

impl PayloadScan {
    pub(super) fn new(cursor: RowCursor, hidden: Option<Error>) -> Self {
        Self { rows: Rows { cursor: Some(cursor), hidden } }
    }
}

impl Iterator for PayloadScan {
    type Item = Result<(String, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next(|cursor| {
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

/// The rows that can be read, behind what is wrong with the others.
struct Rows {
    /// Nothing behind the last row, and behind a row that could not be read.
    cursor: Option<RowCursor>,
    /// Why some cannot be read; told first.
    hidden: Option<Error>,
}

impl Rows {
    fn next<T>(&mut self, take: impl FnOnce(&mut RowCursor) -> Result<T>) -> Option<Result<T>> {
        if let Some(error) = self.hidden.take() {
            return Some(Err(error));
        }
        let cursor = self.cursor.as_mut()?;
        let item = match cursor.advance() {
            Ok(true) => Some(take(cursor)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        if !matches!(item, Some(Ok(_))) {
            self.cursor = None;
        }
        item
    }
}
