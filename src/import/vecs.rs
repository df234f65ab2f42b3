//! Reader of `.fvecs` and `.bvecs`, the files of the common benchmarks of nearest neighbours.
//!
//! A file is vectors one after the other, without a header. All have one dimension.
//!
//! | offset | size | field | type | meaning and check |
//! |---|---|---|---|---|
//! | 0 | 4 | dimension | i32, little-endian | 1 to 65,536; the same in every vector |
//! | 4 | dimension × 4, or × 1 | elements | `.fvecs`: f32, little-endian; `.bvecs`: u8 | kept exactly, NaN too |
//!
//! *Reference*: <http://corpus-texmex.irisa.fr>, "Vector File formats".

use std::io::Read;

use crate::error::{Error, Result};
use crate::import::ImportRow;
use crate::import::input::{Input, RowReader, dimension};
use crate::limits::DIMENSION_MAX;

const DIMENSION_SIZE_BYTES: usize = 4;

/// The type of the elements of a file.
#[derive(Clone, Copy, Debug)]
enum Element {
    F32,
    U8,
}

/// Reads `.fvecs` and `.bvecs`: vectors without ids and payloads.
///
/// *Units and limits*: dimensions up to [`DIMENSION_MAX`]; any number of vectors.
///
/// Its errors are `InvalidArgument` for a file of another form and `Io` where reading failed.
///
/// # Examples
/// ```
/// use quiver_store::import::VecsReader;
/// let file = [&2_i32.to_le_bytes()[..], &0.5_f32.to_le_bytes(), &1.5_f32.to_le_bytes()].concat();
/// let rows: Vec<_> = VecsReader::fvecs(&file[..]).collect::<Result<_, _>>()?;
/// assert_eq!(rows[0].vector, [0.5, 1.5]);
/// let broken = VecsReader::fvecs(&file[..7]).next().expect("an error is an item");
/// assert!(broken.is_err());
/// # Ok::<(), quiver_store::Error>(())
/// ```
#[derive(Debug)]
pub struct VecsReader<R> {
    input: Input<R>,
    element: Element,
    /// Of the first vector, once it was read.
    dim: Option<u32>,
    /// Vectors so far.
    rows: u64,
    has_ended: bool,
    bytes: Vec<u8>,
}

impl<R: Read> VecsReader<R> {
    /// Of elements of four bytes.
    pub fn fvecs(reader: R) -> Self {
        Self::new(reader, Element::F32)
    }

    /// Of elements of one byte.
    pub fn bvecs(reader: R) -> Self {
        Self::new(reader, Element::U8)
    }

    fn new(reader: R, element: Element) -> Self {
        let input = Input::new(reader);
        Self { input, element, dim: None, rows: 0, has_ended: false, bytes: Vec::new() }
    }

    /// Bytes that the row in memory has taken at most.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The dimension of the vector that begins at a byte, if it may have it.
    fn checked(&mut self, claimed: i32, at: u64) -> Result<u32> {
        let row = self.rows;
        let Some(dim) = u64::try_from(claimed).ok().and_then(dimension) else {
            let name = self.element.name();
            return Err(Error::invalid(format!(
                "vector {row} at byte {at}: dimension {claimed}, expected 1 to {DIMENSION_MAX}: \
                 check that it is a {name} file, little-endian"
            )));
        };
        let first = *self.dim.get_or_insert(dim);
        if dim != first {
            return Err(Error::invalid(format!(
                "vector {row} at byte {at}: dimension {dim}, expected {first} as before it: \
                 make one file for each dimension"
            )));
        }
        Ok(dim)
    }
}

impl Element {
    fn size_bytes(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::U8 => size_of::<u8>(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => ".fvecs",
            Self::U8 => ".bvecs",
        }
    }

    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect(),
            Self::U8 => bytes.iter().map(|byte| f32::from(*byte)).collect(),
        }
    }
}

impl<R: Read> RowReader for VecsReader<R> {
    fn read_row(&mut self) -> Result<Option<ImportRow>> {
        let (row, at) = (self.rows, self.input.position());
        self.input.take(DIMENSION_SIZE_BYTES, &mut self.bytes)?;
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let Ok(claimed) = <[u8; DIMENSION_SIZE_BYTES]>::try_from(&self.bytes[..]) else {
            return Err(Error::invalid(format!(
                "vector {row} at byte {at}: the file ends after {} of the {DIMENSION_SIZE_BYTES} \
                 bytes of its dimension: it was cut off, fetch it again",
                self.bytes.len()
            )));
        };
        let dim = self.checked(i32::from_le_bytes(claimed), at)?;
        let len = dim as usize * self.element.size_bytes();
        self.input.take(len, &mut self.bytes)?;
        if self.bytes.len() < len {
            return Err(Error::invalid(format!(
                "vector {row} at byte {at}: the file ends after {} of the {len} bytes of its {dim} \
                 elements: it was cut off, fetch it again",
                self.bytes.len()
            )));
        }
        self.rows += 1;
        let vector = self.element.decode(&self.bytes);
        Ok(Some(ImportRow { vector, ..ImportRow::default() }))
    }

    fn has_ended(&mut self) -> &mut bool {
        &mut self.has_ended
    }
}

impl<R: Read> Iterator for VecsReader<R> {
    type Item = Result<ImportRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row_or_end()
    }
}
