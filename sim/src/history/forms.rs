//! What the vectors of a collection are: the type of their elements, and whether a row has several.
//!
//! Drawn apart from the rest of a history. Only values that the type holds exactly are drawn, so that
//! what was written is what is read.

use std::sync::Arc;

use quiver_store::{Descriptor, DistanceMetric, Dtype, IndexKind, IndexSpec, VectorEncryption};

use crate::stream::Stream;

/// What the vectors of a collection are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Form {
    dtype: Dtype,
    is_multi: bool,
    index: IndexSpec,
    encryption: VectorEncryption,
}

const DTYPES: [Dtype; 5] = [Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::U8, Dtype::Binary];

impl Form {
    /// One for each slot of a seed. Half of the seeds have plain ones only, so that what is plain is
    /// met often.
    pub(super) fn draw(seed: u64, slots: usize) -> Vec<Self> {
        let mut stream = Stream::at(seed, &[0x666f_726d]);
        let is_plain = stream.chance(1, 2);
        let mut draw = || {
            if is_plain || stream.chance(1, 4) {
                return Self::plain();
            }
            let odd = stream.chance(1, 4);
            let pq_subspaces = (odd && stream.chance(1, 2)).then_some(1);
            let kind = if odd { IndexKind::Ivf } else { IndexKind::Hnsw };
            Self {
                dtype: *stream.pick(&DTYPES),
                is_multi: stream.chance(1, 3),
                index: IndexSpec { kind, pq_subspaces, binary: odd },
                encryption: *stream.pick(&[VectorEncryption::None, VectorEncryption::Dcpe]),
            }
        };
        (0..slots).map(|_| draw()).collect()
    }

    fn plain() -> Self {
        let (index, encryption) = (IndexSpec::default(), VectorEncryption::None);
        Self { dtype: Dtype::F32, is_multi: false, index, encryption }
    }

    /// A schema of such vectors.
    pub(super) fn schema(self, dim: u32, metric: DistanceMetric) -> Descriptor {
        Descriptor::new(dim, self.dtype, metric)
            .with_multivector(self.is_multi)
            .with_index(self.index)
            .with_vector_encryption(self.encryption)
    }

    /// The vectors of a row.
    pub(super) fn vectors(self, dim: u32, stream: &mut Stream) -> Arc<[f32]> {
        let count = if self.is_multi { stream.size(1, 4) } else { 1 };
        (0..count * dim as usize).map(|_| self.element(stream)).collect()
    }

    /// An element that the type holds exactly.
    fn element(self, stream: &mut Stream) -> f32 {
        let odd = stream.chance(1, 32);
        let mut whole =
            |below: u64| f32::from(u16::try_from(stream.below(below)).expect("at most 65,535"));
        match self.dtype {
            Dtype::I8 => whole(256) - 128.0,
            Dtype::U8 => whole(256),
            Dtype::Binary => whole(2),
            Dtype::F16 if odd => {
                let least = 2.0_f32.powi(-24);
                *stream.pick(&[f32::NAN, f32::INFINITY, -0.0, 0.0, least, 65504.0, -65504.0])
            }
            Dtype::Bf16 if odd => {
                let most = f32::from_bits(0x7f7f_0000);
                *stream.pick(&[f32::NAN, f32::NEG_INFINITY, -0.0, 0.0, f32::MIN_POSITIVE, most])
            }
            // Ten bits and seven: so many the types have.
            Dtype::F16 => (whole(2048) - 1024.0) / 8.0,
            Dtype::Bf16 => whole(256) - 128.0,
            _ if odd => *stream.pick(&[f32::NAN, f32::INFINITY, -0.0, 0.0, f32::MIN_POSITIVE]),
            _ => whole(1 << 16) / 256.0 - 128.0,
        }
    }
}
