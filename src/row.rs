//! One row as readers get it: owned, or borrowed from where it lies.

use crate::descriptor::Dtype;
use crate::vector::VectorForm;

/// One row, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The vector's elements as stored, each as the f32 of the same value; of a multivector row, those
    /// of all its vectors, one after the other.
    pub vector: Vec<f32>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// One row, borrowed for the time of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordRef<'a> {
    /// The vector's elements as stored, little-endian, one after the other; of a multivector row,
    /// those of all its vectors. Not aligned. See [`Dtype`] for the form of each type.
    pub vector: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The type of the elements.
    pub dtype: Dtype,
    /// Elements of one vector.
    pub dim: u32,
}

impl<'a> RecordRef<'a> {
    pub(crate) fn new(vector: &'a [u8], payload: &'a [u8], form: VectorForm) -> Self {
        Self { vector, payload, dtype: form.dtype, dim: form.dim }
    }

    /// The vector's elements, each as the f32 of the same value: exact for every type.
    pub fn vector_f32(&self) -> Vec<f32> {
        VectorForm { dtype: self.dtype, dim: self.dim }.elements(self.vector)
    }

    /// A copy that lives on its own.
    pub fn to_record(&self) -> Record {
        Record { vector: self.vector_f32(), payload: self.payload.to_vec() }
    }
}
