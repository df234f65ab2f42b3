//! Bytes of a file in order, with the position that errors tell; and how a reader of them ends.
//!
//! Place: the ground of every reader of [`crate::import`]. A read that ends early is no error here:
//! the reader says what was missing.

use std::io::{BufRead, BufReader, Read};

use crate::error::{Error, ErrorKind, Result};
use crate::import::ImportRow;
use crate::limits::DIMENSION_MAX;

/// A file being read from its start.
#[derive(Debug)]
pub(super) struct Input<R> {
    reader: BufReader<R>,
    /// Bytes taken so far.
    position: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), position: 0 }
    }

    /// The offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Replaces `bytes` by the next `len` ones; fewer only at the end of the file. The buffer grows
    /// as they come, whatever `len` claims.
    pub(super) fn take(&mut self, len: usize, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        let taken = self.reader.by_ref().take(len as u64).read_to_end(bytes);
        self.count(taken)
    }

    /// Replaces `bytes` by what comes up to the end of the line, which is part of it, or by `len` of
    /// them where the line is longer.
    pub(super) fn take_line(&mut self, len: usize, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        let taken = self.reader.by_ref().take(len as u64).read_until(b'\n', bytes);
        self.count(taken)
    }

    fn count(&mut self, taken: std::io::Result<usize>) -> Result<()> {
        match taken {
            Ok(len) => {
                self.position += len as u64;
                Ok(())
            }
            Err(error) => {
                let what = format!("cannot read on behind byte {}: {error}", self.position);
                Err(Error::new(ErrorKind::Io, what))
            }
        }
    }
}

/// A reader of rows. As an iterator it ends behind the last row, or behind the first error (I3).
pub(super) trait RowReader {
    /// The next row, or none where the file ends as it should. Not called again behind an error.
    fn read_row(&mut self) -> Result<Option<ImportRow>>;

    /// Whether nothing comes any more.
    fn has_ended(&mut self) -> &mut bool;

    /// What `next` of the iterator is.
    fn row_or_end(&mut self) -> Option<Result<ImportRow>> {
        if *self.has_ended() {
            return None;
        }
        let row = self.read_row().transpose();
        *self.has_ended() = !matches!(row, Some(Ok(_)));
        row
    }
}

/// A dimension that a file claims, if the store has such vectors.
pub(super) fn dimension(claimed: u64) -> Option<u32> {
    u32::try_from(claimed).ok().filter(|dim| (1..=DIMENSION_MAX).contains(dim))
}
