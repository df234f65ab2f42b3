//! Schemas: `Descriptor::decode` and `encode`.
//!
//! The input is the stored form, and also what a schema is made from.

use arbitrary::{Result, Unstructured};
use quiver_store::{
    Descriptor, DistanceMetric, Dtype, FilterableField, IndexKind, IndexSpec, VectorEncryption,
};

use crate::errors;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    match Descriptor::decode(input) {
        Err(error) => errors::check(&error),
        Ok(descriptor) => {
            descriptor.validate().expect("decoding checks the limits");
            assert_eq!(descriptor.encode(), input);
            is_refused_when_cut(input);
        }
    }
    let Ok(made) = descriptor(&mut Unstructured::new(input)) else { return };
    let decoded = Descriptor::decode(&made.encode());
    assert_eq!(made.validate().is_ok(), decoded.is_ok(), "{made:?} gives {decoded:?}");
    if let Ok(decoded) = decoded {
        assert_eq!(decoded, made);
    }
}

/// Only at a border between fields is a start of a schema another schema, with defaults for the rest.
fn is_refused_when_cut(input: &[u8]) {
    for cut in 0..input.len() {
        if let Ok(start) = Descriptor::decode(&input[..cut]) {
            assert_eq!(start.encode(), &input[..cut]);
        }
    }
}

fn descriptor(input: &mut Unstructured<'_>) -> Result<Descriptor> {
    let dtypes = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::U8, Dtype::Binary];
    let metrics = [DistanceMetric::Dot, DistanceMetric::Cosine, DistanceMetric::L2];
    let kinds = [
        IndexKind::Hnsw,
        IndexKind::Vamana,
        IndexKind::DiskVamana,
        IndexKind::Ivf,
        IndexKind::Colbert,
    ];
    let seals = [VectorEncryption::None, VectorEncryption::Dcpe, VectorEncryption::ClientSide];
    let dim = if input.ratio(1, 4)? { input.arbitrary()? } else { input.int_in_range(1..=512)? };
    let mut made = Descriptor::new(dim, *input.choose(&dtypes)?, *input.choose(&metrics)?)
        .with_index(IndexSpec {
            kind: *input.choose(&kinds)?,
            // None and zero subspaces are stored alike, and zero is refused.
            pq_subspaces: input.arbitrary::<Option<u32>>()?.filter(|count| *count > 0),
            binary: input.arbitrary()?,
        })
        .with_multivector(input.arbitrary()?)
        .with_vector_encryption(*input.choose(&seals)?);
    let mut fields = Vec::new();
    for _ in 0..input.int_in_range(0..=4)? {
        let path: &str = input.arbitrary()?;
        fields.push(match input.int_in_range(0..=2)? {
            0 => FilterableField::keyword(path),
            1 => FilterableField::numeric(path),
            _ => FilterableField::boolean(path),
        });
    }
    made = made.with_filterable(fields);
    Ok(made)
}
