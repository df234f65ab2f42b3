//! The schema of a collection, fixed when it is created.
//!
//! **Stored form**: a sequence of fields in ascending order of tag, each `tag: u8, length: u32,
//! bytes`. A tag that this version does not know is refused, never skipped: it may change what
//! the bytes of a row mean.
//!
//! | tag | field | bytes |
//! |---|---|---|
//! | 1 | dimension | u32, 1 to 65,536 |
//! | 2 | element type | u8: 1 = f32 |
//! | 3 | distance metric | u8: 1 = dot, 2 = cosine, 3 = L2 |

use crate::error::{Error, Result};
use crate::limits::DIMENSION_MAX;

const TAG_DIM: u8 = 1;
const TAG_DTYPE: u8 = 2;
const TAG_METRIC: u8 = 3;

/// How far apart two vectors are. Recorded for the index layers above; the engine computes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DistanceMetric {
    /// Negative inner product.
    Dot,
    /// One minus the cosine of the angle.
    Cosine,
    /// Euclidean distance.
    L2,
}

/// The type of a vector's elements as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE 754 single precision, 4 bytes little-endian, bit-exact.
    F32,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn element_size(self) -> usize {
        match self {
            Self::F32 => 4,
        }
    }
}

/// The schema of a collection.
///
/// # Examples
/// ```
/// use quiver_store::{Descriptor, DistanceMetric, Dtype};
/// let descriptor = Descriptor::new(128, Dtype::F32, DistanceMetric::Cosine);
/// assert_eq!(descriptor.stride(), 512);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Descriptor {
    /// Elements per vector, 1 to [`DIMENSION_MAX`].
    pub dim: u32,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Distance that the index layers use.
    pub metric: DistanceMetric,
}

impl Descriptor {
    /// A schema; its dimension is checked when a collection is created with it.
    pub fn new(dim: u32, dtype: Dtype, metric: DistanceMetric) -> Self {
        Self { dim, dtype, metric }
    }

    /// Bytes of one stored vector.
    pub fn stride(&self) -> usize {
        self.dim as usize * self.dtype.element_size()
    }

    /// Whether the fields are within their limits.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field and what it may be.
    pub fn validate(&self) -> Result<()> {
        if (1..=DIMENSION_MAX).contains(&self.dim) {
            return Ok(());
        }
        Err(Error::invalid(format!("dimension is {}, expected 1 to {DIMENSION_MAX}", self.dim)))
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(21);
        put(&mut bytes, TAG_DIM, &self.dim.to_le_bytes());
        let dtype = match self.dtype {
            Dtype::F32 => 1,
        };
        put(&mut bytes, TAG_DTYPE, &[dtype]);
        let metric = match self.metric {
            DistanceMetric::Dot => 1,
            DistanceMetric::Cosine => 2,
            DistanceMetric::L2 => 3,
        };
        put(&mut bytes, TAG_METRIC, &[metric]);
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Unsupported` for a tag or value that this version does not know; `Corrupt` for anything
    /// that no version writes.
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let dim = u32::from_le_bytes(take(&mut bytes, TAG_DIM)?);
        let [dtype] = take(&mut bytes, TAG_DTYPE)?;
        let dtype = match dtype {
            1 => Dtype::F32,
            other => {
                return Err(Error::unsupported(format!("element type {other} of a descriptor")));
            }
        };
        let [metric] = take(&mut bytes, TAG_METRIC)?;
        let metric = match metric {
            1 => DistanceMetric::Dot,
            2 => DistanceMetric::Cosine,
            3 => DistanceMetric::L2,
            other => return Err(Error::unsupported(format!("metric {other} of a descriptor"))),
        };
        if let Some(tag) = bytes.first() {
            return Err(Error::unsupported(format!("field {tag} of a descriptor")));
        }
        let descriptor = Self { dim, dtype, metric };
        descriptor.validate().map_err(|error| {
            error.reported_as(crate::error::ErrorKind::Corrupt, "descriptor as stored")
        })?;
        Ok(descriptor)
    }
}

fn put(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let len = u32::try_from(value.len()).expect("descriptor fields are a few bytes");
    bytes.push(tag);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(value);
}

fn take<const N: usize>(bytes: &mut &[u8], tag: u8) -> Result<[u8; N]> {
    let short = || Error::corrupt(format!("descriptor ends before the end of field {tag}"));
    let (head, rest) = bytes.split_first_chunk::<5>().ok_or_else(short)?;
    let [found, len @ ..] = *head;
    if found > tag {
        return Err(Error::corrupt(format!("descriptor has field {found}, expected {tag}")));
    }
    if found < tag {
        return Err(Error::corrupt(format!("descriptor repeats field {found}")));
    }
    if u32::from_le_bytes(len) as usize != N {
        return Err(Error::corrupt(format!("field {tag} of a descriptor is not {N} bytes long")));
    }
    let (value, rest) = rest.split_first_chunk::<N>().ok_or_else(short)?;
    *bytes = rest;
    Ok(*value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_round_trips() {
        for metric in [DistanceMetric::Dot, DistanceMetric::Cosine, DistanceMetric::L2] {
            let descriptor = Descriptor::new(768, Dtype::F32, metric);
            assert_eq!(Descriptor::decode(&descriptor.encode()).expect("own bytes"), descriptor);
        }
    }

    #[test]
    fn descriptor_refuses_unknown_fields_and_every_cut() {
        let mut bytes = Descriptor::new(3, Dtype::F32, DistanceMetric::Dot).encode();
        for cut in 0..bytes.len() {
            let error = Descriptor::decode(&bytes[..cut]).expect_err("cut");
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
        }
        put(&mut bytes, 9, &[1]);
        let error = Descriptor::decode(&bytes).expect_err("unknown field");
        assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
    }
}
