//! How the vectors of a row stand in bytes: one after the other, element after element.
//!
//! | element type | bytes of an element | from f32 |
//! |---|---|---|
//! | f32 | 4, little-endian | bit-exact |
//! | f16, bf16 | 2, little-endian | rounded to nearest, ties to even; a finite value must stay finite |
//! | i8, u8 | 1 | a whole number of its range, nothing else: it is the caller who quantises |
//! | binary | a bit; element `i` is bit `i % 8` of byte `i / 8`, counted from the lowest | 0.0 or 1.0 |
//!
//! Bits of the last byte of a binary vector that are no elements are zero. NaN and infinities of the
//! floating-point types are the caller's business: they are kept.

use half::{bf16, f16};

use crate::descriptor::{Descriptor, Dtype};
use crate::limits::VECTOR_BYTES_MAX;

/// How many bytes the vectors of a row take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stride {
    /// Of one vector.
    pub(crate) bytes: usize,
    /// Whether a row has one or more of them, instead of one.
    pub(crate) is_multi: bool,
}

impl Stride {
    /// Whether the vectors of a row may take so many bytes.
    pub(crate) fn fits(self, len: usize) -> bool {
        if !self.is_multi {
            return len == self.bytes;
        }
        len > 0 && len <= VECTOR_BYTES_MAX && len.is_multiple_of(self.bytes)
    }
}

/// How the bytes of a row's vectors are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VectorForm {
    pub(crate) dtype: Dtype,
    pub(crate) dim: u32,
}

impl Descriptor {
    /// How the bytes of a row's vectors are to be read.
    pub(crate) fn form(&self) -> VectorForm {
        VectorForm { dtype: self.dtype, dim: self.dim }
    }

    /// How many bytes the vectors of a row take.
    pub(crate) fn row_stride(&self) -> Stride {
        Stride { bytes: self.stride(), is_multi: self.multivector }
    }
}

impl VectorForm {
    /// The elements of stored vectors, in order.
    pub(crate) fn elements(self, bytes: &[u8]) -> Vec<f32> {
        match self.dtype {
            Dtype::F32 => {
                let elements = bytes.as_chunks::<4>().0.iter();
                elements.map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            Dtype::F16 => {
                let elements = bytes.as_chunks::<2>().0.iter();
                elements.map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
            }
            Dtype::Bf16 => {
                let elements = bytes.as_chunks::<2>().0.iter();
                elements.map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()
            }
            Dtype::I8 => bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
            Dtype::U8 => bytes.iter().map(|byte| f32::from(*byte)).collect(),
            Dtype::Binary => {
                let dim = self.dim as usize;
                let vectors = bytes.chunks_exact(dim.div_ceil(8));
                let bit = |vector: &[u8], i: usize| f32::from(vector[i / 8] >> (i % 8) & 1);
                vectors.flat_map(|vector| (0..dim).map(move |i| bit(vector, i))).collect()
            }
        }
    }

    /// Appends the stored form of whole vectors.
    ///
    /// # Errors
    /// The place of the first element that the type cannot hold. What was appended is to be removed.
    pub(crate) fn put(self, elements: &[f32], out: &mut Vec<u8>) -> Result<(), usize> {
        let mut first_bad = None;
        let mut check = |i: usize, is_held: bool| {
            if !is_held && first_bad.is_none() {
                first_bad = Some(i);
            }
        };
        let all = elements.iter().copied().enumerate();
        match self.dtype {
            Dtype::F32 => {
                elements.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
            }
            Dtype::F16 => all.for_each(|(i, x)| {
                let held = f16::from_f32(x);
                check(i, held.is_finite() || !x.is_finite());
                out.extend_from_slice(&held.to_le_bytes());
            }),
            Dtype::Bf16 => all.for_each(|(i, x)| {
                let held = bf16::from_f32(x);
                check(i, held.is_finite() || !x.is_finite());
                out.extend_from_slice(&held.to_le_bytes());
            }),
            Dtype::I8 => all.for_each(|(i, x)| {
                let held = nearest_i8(x);
                check(i, f32::from(held) == x);
                out.push(held.cast_unsigned());
            }),
            Dtype::U8 => all.for_each(|(i, x)| {
                let held = nearest_u8(x);
                check(i, f32::from(held) == x);
                out.push(held);
            }),
            Dtype::Binary => {
                let dim = self.dim as usize;
                for (number, vector) in elements.chunks(dim).enumerate() {
                    let at = out.len();
                    out.resize(at + dim.div_ceil(8), 0);
                    for (i, &x) in vector.iter().enumerate() {
                        check(number * dim + i, x == 0.0 || x == 1.0);
                        out[at + i / 8] |= u8::from(x == 1.0) << (i % 8);
                    }
                }
            }
        }
        first_bad.map_or(Ok(()), Err)
    }

    /// Whether stored vectors are such as this engine writes: bits that are no elements are zero.
    pub(crate) fn is_canonical(self, bytes: &[u8]) -> bool {
        let used = self.dim % 8;
        if self.dtype != Dtype::Binary || used == 0 {
            return true;
        }
        let stride = (self.dim as usize).div_ceil(8);
        bytes.chunks_exact(stride).all(|vector| vector[stride - 1] >> used == 0)
    }

    /// What an element may be, for an error.
    pub(crate) fn expected(self) -> &'static str {
        match self.dtype {
            Dtype::F32 => "any f32",
            Dtype::F16 => "at most 65504 in magnitude",
            Dtype::Bf16 => "at most 3.3895314e38 in magnitude",
            Dtype::I8 => "a whole number of -128 to 127",
            Dtype::U8 => "a whole number of 0 to 255",
            Dtype::Binary => "0 or 1",
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates, and the caller compares")]
fn nearest_i8(x: f32) -> i8 {
    x as i8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and the caller compares"
)]
fn nearest_u8(x: f32) -> u8 {
    x as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DTYPES: [Dtype; 6] =
        [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::U8, Dtype::Binary];

    fn stored(dtype: Dtype, elements: &[f32]) -> Result<Vec<u8>, usize> {
        let dim = u32::try_from(elements.len()).expect("small");
        let mut out = Vec::new();
        VectorForm { dtype, dim }.put(elements, &mut out).map(|()| out)
    }

    #[test]
    fn stored_forms_are_those_of_the_table() {
        let one = [1.0, -2.0];
        assert_eq!(stored(Dtype::F32, &one), Ok(vec![0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]));
        assert_eq!(stored(Dtype::F16, &one), Ok(vec![0, 0x3c, 0, 0xc0]));
        assert_eq!(stored(Dtype::Bf16, &one), Ok(vec![0x80, 0x3f, 0, 0xc0]));
        assert_eq!(stored(Dtype::I8, &[-128.0, 127.0, -0.0]), Ok(vec![0x80, 0x7f, 0]));
        assert_eq!(stored(Dtype::U8, &[255.0, 0.0]), Ok(vec![255, 0]));
        let bits = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0];
        assert_eq!(stored(Dtype::Binary, &bits), Ok(vec![0x81, 0x02]));
    }

    #[test]
    fn what_a_type_cannot_hold_is_refused_with_its_place() {
        for (dtype, bad) in [
            (Dtype::F16, 65520.0),
            (Dtype::Bf16, f32::MAX),
            (Dtype::I8, 128.0),
            (Dtype::I8, -128.5),
            (Dtype::I8, f32::NAN),
            (Dtype::U8, -1.0),
            (Dtype::U8, 0.5),
            (Dtype::U8, f32::INFINITY),
            (Dtype::Binary, 2.0),
            (Dtype::Binary, f32::NAN),
        ] {
            assert_eq!(stored(dtype, &[0.0, 1.0, bad, bad]), Err(2), "{dtype:?} {bad}");
        }
    }

    #[test]
    fn half_precision_rounds_to_the_nearest_even() {
        let form = VectorForm { dtype: Dtype::F16, dim: 3 };
        let bytes = stored(Dtype::F16, &[2049.0, 2051.0, f32::NEG_INFINITY]).expect("in range");
        assert_eq!(form.elements(&bytes), [2048.0, 2052.0, f32::NEG_INFINITY]);
    }

    proptest! {
        /// Whatever the bytes are, what they are read as is stored as the same bytes again.
        #[test]
        fn every_stored_value_is_an_f32_exactly(
            bytes in proptest::collection::vec(any::<u8>(), 48),
            which in 0..6_usize,
        ) {
            let dtype = DTYPES[which];
            let dim = if dtype == Dtype::Binary { 24 } else { 3 };
            let form = VectorForm { dtype, dim };
            let elements = form.elements(&bytes);
            let mut again = Vec::new();
            prop_assert_eq!(form.put(&elements, &mut again), Ok(()));
            // Of a NaN of half precision, only that it is one is kept for certain.
            let is_nan = elements.iter().any(|element| element.is_nan());
            prop_assert!(again == bytes || (is_nan && dtype != Dtype::F32));
        }
    }

    #[test]
    fn bits_behind_the_last_element_are_told() {
        let form = VectorForm { dtype: Dtype::Binary, dim: 10 };
        assert!(form.is_canonical(&[0xff, 0x03, 0xff, 0x03]));
        assert!(!form.is_canonical(&[0xff, 0x03, 0xff, 0x04]), "of the second vector");
        assert!(VectorForm { dim: 16, ..form }.is_canonical(&[0xff; 2]));
    }

    #[test]
    fn a_row_of_several_vectors_takes_whole_ones() {
        let one = Stride { bytes: 6, is_multi: false };
        let multi = Stride { is_multi: true, ..one };
        assert_eq!([0, 5, 6, 12].map(|len| one.fits(len)), [false, false, true, false]);
        assert_eq!([0, 5, 6, 12].map(|len| multi.fits(len)), [false, false, true, true]);
        assert!(!multi.fits((VECTOR_BYTES_MAX / 6 + 1) * 6));
    }
}
