//! Reader of `.npy`, the files of NumPy.
//!
//! Behind the header, see `npy_header.rs`, stand the elements, row after row, and nothing else.

use std::io::Read;

use crate::error::{Error, Result};
use crate::import::ImportRow;
use crate::import::input::{Input, RowReader};
use crate::import::npy_header::{Header, NpyElement, read};

/// Reads `.npy`: the rows of an array of two axes, without ids and payloads.
///
/// *Units and limits*: formats 1.0 to 3.0 in C order; elements of the types of [`NpyElement`];
/// dimensions up to [`crate::limits::DIMENSION_MAX`]; a header up to
/// [`crate::import::NPY_HEADER_BYTES_MAX`].
///
/// Its errors are `InvalidArgument` for a file of another form and `Io` where reading failed.
///
/// # Examples
/// ```
/// use quiver_store::import::NpyReader;
/// let header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n";
/// let file = [b"\x93NUMPY\x01\x00\x3c\x00", &header[..], &[1, 2, 3, 4, 5, 6]].concat();
/// let reader = NpyReader::new(&file[..])?;
/// assert_eq!((reader.rows(), reader.dim()), (2, 3));
/// let rows: Vec<_> = reader.collect::<Result<_, _>>()?;
/// assert_eq!(rows[1].vector, [4.0, 5.0, 6.0]);
/// # Ok::<(), quiver_store::Error>(())
/// ```
#[derive(Debug)]
pub struct NpyReader<R> {
    input: Input<R>,
    header: Header,
    /// Rows so far.
    row: u64,
    has_ended: bool,
    bytes: Vec<u8>,
}

impl<R: Read> NpyReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// `InvalidArgument` for a file of another form; `Io`.
    pub fn new(reader: R) -> Result<Self> {
        let mut input = Input::new(reader);
        let header = read(&mut input)?;
        Ok(Self { input, header, row: 0, has_ended: false, bytes: Vec::new() })
    }

    /// How many rows the header claims. A reader that ends without an error gave as many.
    pub fn rows(&self) -> u64 {
        self.header.rows
    }

    /// Elements of each row.
    pub fn dim(&self) -> u32 {
        self.header.dim
    }

    /// The type of the elements in the file.
    pub fn element(&self) -> NpyElement {
        self.header.element
    }
}

impl<R: Read> RowReader for NpyReader<R> {
    fn read_row(&mut self) -> Result<Option<ImportRow>> {
        let Header { element, rows, dim } = self.header;
        let (row, at) = (self.row, self.input.position());
        if row == rows {
            self.input.take(1, &mut self.bytes)?;
            if self.bytes.is_empty() {
                return Ok(None);
            }
            return Err(Error::invalid(format!(
                "byte {at}: bytes behind the last of {rows} rows, expected the end of the file: \
                 save each array in a file of its own"
            )));
        }
        let len = dim as usize * element.size_bytes();
        self.input.take(len, &mut self.bytes)?;
        if self.bytes.len() < len {
            return Err(Error::invalid(format!(
                "row {row} at byte {at}: the file ends after {} of the {len} bytes of the row, the \
                 header says {rows} rows: it was cut off, fetch it again",
                self.bytes.len()
            )));
        }
        let vector = element.decode(&self.bytes).map_err(|(i, value)| {
            Error::invalid(format!(
                "row {row} at byte {at}: element {i} is {value:e}, expected at most {:e} either \
                 way: scale the array down",
                f32::MAX
            ))
        })?;
        self.row += 1;
        Ok(Some(ImportRow { vector, ..ImportRow::default() }))
    }

    fn has_ended(&mut self) -> &mut bool {
        &mut self.has_ended
    }
}

impl<R: Read> Iterator for NpyReader<R> {
    type Item = Result<ImportRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row_or_end()
    }
}
