//! The column of secondary indexes: for each filterable field which rows have which values.
//!
//! A field's index is one byte string that is built in memory ([`crate::sec`]). So that a segment of
//! any size is built in bounded memory, the rows are cut into *parts*: a part ends behind the row with
//! which the values that are held go beyond a limit, and each part has an index of its own for each
//! field. Most segments have one part.
//!
//! **Invariants**
//!
//! - X1. A segment has an index of each field that was filterable when its making began, and says of
//!   which. It knows nothing of others: their values are looked up in the payloads.
//! - X2. The parts cover all rows in order, none twice.
//!
//! **Stored form** of the column; a segment without filterable fields has none:
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | indexes | bytes | of each part in turn, of each field in turn |
//! | field count | u16 | 1 to 64 |
//! | fields | | type u8, path length u16, path; as in a descriptor |
//! | part count | u32 | 1 or more |
//! | parts | | end row u32, above the one before; the length (u64) of the index of each field |
//! | directory length | u32 | bytes from the field count to the last part |

use crate::cursor::{Cursor, len_u32};
use crate::descriptor::{put_field, take_field};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::FILTERABLE_FIELDS_MAX;
use crate::sec::FilterableField;
use crate::sec::index::IndexBuilder;
use crate::sec::payload::{Extractor, RowValues};

/// Bytes of the length at the end of the column.
pub(super) const DIRECTORY_LENGTH_SIZE_BYTES: usize = 4;

/// A part, as the directory lists it.
#[derive(Debug)]
pub(super) struct Part {
    /// The first row behind it.
    pub(super) end_row: u32,
    /// Bytes of the index of each field.
    pub(super) lens: Vec<u64>,
}

/// The indexes of a segment in the making.
#[derive(Debug)]
pub(super) struct IndexesBuilder {
    fields: Vec<FilterableField>,
    extractor: Extractor,
    values: RowValues,
    builders: Vec<IndexBuilder>,
    part_bytes_max: usize,
    parts: Vec<Part>,
}

impl IndexesBuilder {
    /// Indexes of fields that were checked when they were declared.
    pub(super) fn new(fields: &[FilterableField], part_bytes_max: usize) -> Self {
        let extractor = Extractor::new(fields).expect("fields are checked where they are declared");
        Self {
            fields: fields.to_vec(),
            extractor,
            values: RowValues::default(),
            builders: builders(fields),
            part_bytes_max,
            parts: Vec::new(),
        }
    }

    /// Adds a row; the bytes of a part to be appended to the column, if it is the last of one.
    pub(super) fn push(&mut self, row: u32, payload: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        self.extractor.extract_into(payload, &mut self.values);
        for (field, builder) in self.builders.iter_mut().enumerate() {
            builder.push(row, &self.values, field);
        }
        let held: usize = self.builders.iter().map(IndexBuilder::held_bytes).sum();
        if held < self.part_bytes_max { Ok(None) } else { self.finish_part(row + 1).map(Some) }
    }

    fn finish_part(&mut self, end_row: u32) -> Result<Vec<u8>> {
        let done = std::mem::replace(&mut self.builders, builders(&self.fields));
        let (mut bytes, mut lens) = (Vec::new(), Vec::with_capacity(done.len()));
        for builder in done {
            let index = builder.finish(end_row)?;
            lens.push(index.len() as u64);
            bytes.extend_from_slice(&index);
        }
        self.parts.push(Part { end_row, lens });
        Ok(bytes)
    }

    /// The end of the column of a segment of so many rows.
    pub(super) fn finish(mut self, rows: u32) -> Result<Vec<u8>> {
        if self.fields.is_empty() || rows == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = match self.parts.last() {
            Some(last) if last.end_row == rows => Vec::new(),
            _ => self.finish_part(rows)?,
        };
        let start = bytes.len();
        let count = u16::try_from(self.fields.len()).expect("bounded by `limits`");
        bytes.extend_from_slice(&count.to_le_bytes());
        self.fields.iter().for_each(|field| put_field(&mut bytes, field));
        bytes.extend_from_slice(&len_u32(self.parts.len()).to_le_bytes());
        for Part { end_row, lens } in &self.parts {
            bytes.extend_from_slice(&end_row.to_le_bytes());
            lens.iter().for_each(|len| bytes.extend_from_slice(&len.to_le_bytes()));
        }
        let directory = len_u32(bytes.len() - start);
        bytes.extend_from_slice(&directory.to_le_bytes());
        Ok(bytes)
    }
}

fn builders(fields: &[FilterableField]) -> Vec<IndexBuilder> {
    fields.iter().map(|field| IndexBuilder::new(field.field_type)).collect()
}

/// Where the indexes of a segment are.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    pub(super) fields: Vec<FilterableField>,
    pub(super) parts: Vec<Part>,
}

impl Indexes {
    /// Reads the directory, and holds it against the segment (X2).
    pub(super) fn decode(bytes: &[u8], rows: u32, indexes_len: u64) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, "directory of indexes");
        let count = usize::from(cursor.u16()?);
        if !(1..=FILTERABLE_FIELDS_MAX).contains(&count) {
            return Err(damaged(&format!("{count} fields")));
        }
        let fields = (0..count).map(|_| take_field(&mut cursor)).collect::<Result<Vec<_>>>()?;
        // What nobody could declare nobody wrote.
        fields.iter().try_for_each(|field| {
            let valid = field.validate();
            valid.map_err(|error| error.reported_as(ErrorKind::Corrupt, "indexes"))
        })?;
        let parts_count = cursor.u32()? as usize;
        if parts_count > cursor.left() / 12 {
            return Err(damaged(&format!("{parts_count} parts in {} bytes", cursor.left())));
        }
        let (mut parts, mut row, mut sum) = (Vec::with_capacity(parts_count), 0, 0_u64);
        for _ in 0..parts_count {
            let end_row = cursor.u32()?;
            if end_row <= row {
                return Err(damaged(&format!("a part ends at row {end_row}, behind row {row}")));
            }
            row = end_row;
            let lens = (0..count).map(|_| cursor.u64()).collect::<Result<Vec<_>>>()?;
            sum = lens.iter().fold(sum, |sum, len| sum.saturating_add(*len));
            parts.push(Part { end_row, lens });
        }
        cursor.finish()?;
        if row != rows || sum != indexes_len {
            return Err(damaged(&format!(
                "{sum} bytes of {row} rows, expected {indexes_len} of {rows}"
            )));
        }
        Ok(Self { fields, parts })
    }
}

/// An error in the directory.
pub(super) fn damaged(what: &str) -> Error {
    Error::corrupt(format!("indexes: {what}"))
}
