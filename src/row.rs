//! One row as readers get it: owned, or borrowed from where it lies.

use crate::descriptor::Dtype;

/// One row, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The vector, bit-exact as it was written.
    pub vector: Vec<f32>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// One row, borrowed for the time of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordRef<'a> {
    /// The vector's elements as stored, little-endian, one after the other. Not aligned.
    pub vector: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The type of the elements.
    pub dtype: Dtype,
}

impl RecordRef<'_> {
    /// The vector's elements, bit-exact.
    pub fn vector_f32(&self) -> Vec<f32> {
        elements(self.vector, self.dtype)
    }

    /// A copy that lives on its own.
    pub fn to_record(&self) -> Record {
        Record { vector: self.vector_f32(), payload: self.payload.to_vec() }
    }
}

/// The elements of a stored vector.
pub(crate) fn elements(bytes: &[u8], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => {
            let elements = bytes.as_chunks::<4>().0.iter();
            elements.map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
    }
}
