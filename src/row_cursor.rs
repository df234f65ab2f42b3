//! Walks the rows of one collection as a reader sees them, in ascending order of their ids.

use std::collections::VecDeque;
use std::ops::Bound;

use crate::error::Result;
use crate::scan_range::ScanRange;
use crate::segment::Rows;
use crate::sync::Arc;

/// How many rows are taken out of the map at a time.
const RUN_ROWS: usize = 256;

/// A place between rows, and the row before it.
#[derive(Debug)]
pub(crate) struct RowCursor {
    rows: Arc<Rows>,
    stride: usize,
    range: ScanRange,
    shown: u64,
    ahead: VecDeque<(Box<str>, Arc<[u8]>)>,
    current: Option<(Box<str>, Arc<[u8]>)>,
}

impl RowCursor {
    /// Before the first row of a range.
    pub(crate) fn new(rows: Arc<Rows>, stride: usize, range: ScanRange) -> Self {
        Self { rows, stride, range, shown: 0, ahead: VecDeque::new(), current: None }
    }

    /// Goes to the next row; whether there is one.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        if self.shown == self.range.rows_max() {
            return Ok(false);
        }
        if self.ahead.is_empty() {
            let from = match &self.current {
                Some((id, _)) => Bound::Excluded(&**id),
                None => self.range.lower(),
            };
            let run = self.rows.range::<str, _>((from, Bound::Unbounded)).take(RUN_ROWS);
            self.ahead.extend(run.map(|(id, value)| (id.clone(), Arc::clone(value))));
        }
        self.current = self.ahead.pop_front();
        self.shown += 1;
        Ok(self.current.as_ref().is_some_and(|(id, _)| !self.range.ends_before(id)))
    }

    /// The id of the current row.
    pub(crate) fn id(&self) -> &str {
        self.current.as_ref().map_or("", |(id, _)| id)
    }

    /// The vector of the current row.
    pub(crate) fn vector(&mut self) -> Result<&[u8]> {
        Ok(self.current.as_ref().map_or(&[], |(_, value)| &value[..self.stride]))
    }

    /// The payload of the current row.
    pub(crate) fn payload(&mut self) -> Result<&[u8]> {
        Ok(self.current.as_ref().map_or(&[], |(_, value)| &value[self.stride..]))
    }
}
