//! The schema of a collection.
//!
//! **Stored form**: a sequence of fields in ascending order of tag, each `tag: u8, length: u32,
//! bytes`. A tag that this version does not know is refused, never skipped: it may change what
//! the bytes of a row mean. One that says the default is not written, so that a schema has one
//! stored form.
//!
//! | tag | field | bytes |
//! |---|---|---|
//! | 1 | dimension | u32, 1 to 65,536 |
//! | 2 | element type | u8: 1 = f32, 2 = f16, 3 = bf16, 4 = i8, 5 = u8, 6 = binary |
//! | 3 | distance metric | u8: 1 = dot, 2 = cosine, 3 = L2 |
//! | 4 | index | kind u8: 1 = HNSW (default), 2 = Vamana, 3 = disk Vamana, 4 = IVF, 5 = ColBERT; subspaces of product quantisation u32, 0 = none (default); binary quantisation u8, 0 (default) or 1 |
//! | 5 | filterable fields | for each, in ascending order of path: type u8 (1 = keyword, 2 = numeric, 3 = bool), path length u16, path; none is the default |
//! | 6 | several vectors a row | u8: 1 (default 0) |
//! | 7 | encryption of vectors by the client | u8: 1 = distance-comparison preserving, 2 = opaque (default 0 = none) |

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{DIMENSION_MAX, FILTERABLE_FIELDS_MAX};
use crate::sec::{FieldType, FilterableField};

/// Tags of the fields. Stored on disk; numbers never change their meaning.
mod tags {
    pub(super) const DIM: u8 = 1;
    pub(super) const DTYPE: u8 = 2;
    pub(super) const METRIC: u8 = 3;
    pub(super) const INDEX: u8 = 4;
    pub(super) const FILTERABLE: u8 = 5;
    pub(super) const MULTIVECTOR: u8 = 6;
    pub(super) const ENCRYPTION: u8 = 7;
}

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

/// The type of a vector's elements as stored. Every one decodes to `f32` exactly.
///
/// On the way in from `f32` the half-precision types round to nearest, ties to even, and refuse a
/// finite value that would become infinite; the integer types take whole numbers of their range only,
/// and `Binary` takes 0.0 and 1.0 only: what to round to is the caller's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE 754 single precision, 4 bytes little-endian, bit-exact.
    F32,
    /// IEEE 754 half precision, 2 bytes little-endian.
    F16,
    /// The upper half of single precision, 2 bytes little-endian.
    Bf16,
    /// Whole numbers of -128 to 127, a byte each.
    I8,
    /// Whole numbers of 0 to 255, a byte each.
    U8,
    /// Zeros and ones, a bit each: element `i` is bit `i % 8`, counted from the lowest, of byte
    /// `i / 8`. Bits of the last byte that are no elements are zero.
    Binary,
}

impl Dtype {
    /// Bits of one element.
    pub const fn element_bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::I8 | Self::U8 => 8,
            Self::Binary => 1,
        }
    }
}

/// Which index the layers above build over the vectors. Recorded; the engine builds none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IndexKind {
    /// Hierarchical navigable small world graph.
    #[default]
    Hnsw,
    /// Vamana graph in memory.
    Vamana,
    /// Vamana graph on disk.
    DiskVamana,
    /// Inverted file.
    Ivf,
    /// Late interaction over several vectors a row.
    Colbert,
}

/// The index that the layers above build over the vectors. Recorded; the engine builds none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IndexSpec {
    /// Its kind.
    pub kind: IndexKind,
    /// Subspaces of product quantisation, 1 to the dimension; none without it.
    pub pq_subspaces: Option<u32>,
    /// Whether it quantises to bits.
    pub binary: bool,
}

/// How the client has encrypted the vectors before they came here. Recorded; the keys stay with the
/// client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VectorEncryption {
    /// Not at all.
    #[default]
    None,
    /// So that distances still compare.
    Dcpe,
    /// So that they mean nothing here.
    ClientSide,
}

/// The schema of a collection.
///
/// # Examples
/// ```
/// use quiver_store::{Descriptor, DistanceMetric, Dtype, FilterableField};
/// let descriptor = Descriptor::new(128, Dtype::F16, DistanceMetric::Cosine)
///     .with_filterable([FilterableField::keyword("lang"), FilterableField::numeric("meta.year")]);
/// assert_eq!(descriptor.stride(), 256);
/// assert_eq!(Descriptor::decode(&descriptor.encode())?, descriptor);
/// # Ok::<(), quiver_store::Error>(())
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
    /// Index that the layers above build.
    pub index: IndexSpec,
    /// Fields of the payload that filters may name, in ascending order of path; at most 64.
    pub filterable: Vec<FilterableField>,
    /// Whether a row has one or more vectors, instead of one.
    pub multivector: bool,
    /// How the client has encrypted the vectors.
    pub vector_encryption: VectorEncryption,
}

impl Descriptor {
    /// A schema of one vector a row and without filterable fields; it is checked when a collection
    /// is created with it.
    pub fn new(dim: u32, dtype: Dtype, metric: DistanceMetric) -> Self {
        Self {
            dim,
            dtype,
            metric,
            index: IndexSpec::default(),
            filterable: Vec::new(),
            multivector: false,
            vector_encryption: VectorEncryption::None,
        }
    }

    /// The same with another index.
    #[must_use]
    pub fn with_index(mut self, index: IndexSpec) -> Self {
        self.index = index;
        self
    }

    /// The same with these filterable fields, in any order.
    #[must_use]
    pub fn with_filterable(mut self, fields: impl IntoIterator<Item = FilterableField>) -> Self {
        self.filterable = fields.into_iter().collect();
        self.filterable.sort_by(|a, b| a.path.cmp(&b.path));
        self
    }

    /// The same with one or more vectors a row.
    #[must_use]
    pub fn with_multivector(mut self, multivector: bool) -> Self {
        self.multivector = multivector;
        self
    }

    /// The same with another way in which the client encrypts.
    #[must_use]
    pub fn with_vector_encryption(mut self, encryption: VectorEncryption) -> Self {
        self.vector_encryption = encryption;
        self
    }

    /// Bytes of one stored vector.
    pub fn stride(&self) -> usize {
        (self.dim as usize * self.dtype.element_bits()).div_ceil(8)
    }

    /// Whether the fields are within their limits.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field and what it may be.
    pub fn validate(&self) -> Result<()> {
        if !(1..=DIMENSION_MAX).contains(&self.dim) {
            let dim = self.dim;
            return Err(Error::invalid(format!(
                "dimension is {dim}, expected 1 to {DIMENSION_MAX}"
            )));
        }
        if let Some(subspaces) = self.index.pq_subspaces
            && !(1..=self.dim).contains(&subspaces)
        {
            let dim = self.dim;
            return Err(Error::invalid(format!(
                "{subspaces} subspaces of product quantisation, expected 1 to the dimension, {dim}"
            )));
        }
        let fields = self.filterable.len();
        if fields > FILTERABLE_FIELDS_MAX {
            return Err(Error::invalid(format!(
                "{fields} filterable fields, expected at most {FILTERABLE_FIELDS_MAX}"
            )));
        }
        self.filterable.iter().try_for_each(FilterableField::validate)?;
        for pair in self.filterable.windows(2) {
            if pair[0].path >= pair[1].path {
                let path = &pair[1].path;
                return Err(Error::invalid(format!(
                    "filterable field {path:?} is declared twice or not in order: use `with_filterable`"
                )));
            }
        }
        Ok(())
    }

    /// Whether it is another one with more filterable fields, or the same.
    pub(crate) fn is_alteration_of(&self, before: &Self) -> bool {
        let keeps = before.filterable.iter().all(|field| self.filterable.contains(field));
        keeps && Self { filterable: before.filterable.clone(), ..self.clone() } == *before
    }

    /// Whether a collection of this schema may get another one: only fields may be added, for the rows
    /// stand as it says.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(crate) fn check_alteration(&self, to: &Self) -> Result<()> {
        if to.is_alteration_of(self) {
            return Ok(());
        }
        Err(Error::invalid("a schema may only gain filterable fields"))
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(21);
        put(&mut bytes, tags::DIM, &self.dim.to_le_bytes());
        put(&mut bytes, tags::DTYPE, &[dtype_number(self.dtype)]);
        put(&mut bytes, tags::METRIC, &[metric_number(self.metric)]);
        if self.index != IndexSpec::default() {
            let IndexSpec { kind, pq_subspaces, binary } = self.index;
            let mut value = vec![index_number(kind)];
            value.extend_from_slice(&pq_subspaces.unwrap_or(0).to_le_bytes());
            value.push(u8::from(binary));
            put(&mut bytes, tags::INDEX, &value);
        }
        if !self.filterable.is_empty() {
            let mut value = Vec::new();
            self.filterable.iter().for_each(|field| put_field(&mut value, field));
            put(&mut bytes, tags::FILTERABLE, &value);
        }
        if self.multivector {
            put(&mut bytes, tags::MULTIVECTOR, &[1]);
        }
        let encryption = match self.vector_encryption {
            VectorEncryption::None => None,
            VectorEncryption::Dcpe => Some(1),
            VectorEncryption::ClientSide => Some(2),
        };
        if let Some(encryption) = encryption {
            put(&mut bytes, tags::ENCRYPTION, &[encryption]);
        }
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Unsupported` for a tag or value that this version does not know; `Corrupt` for anything
    /// that no version writes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut descriptor = Self::new(0, Dtype::F32, DistanceMetric::Dot);
        let mut cursor = Cursor::new(bytes, "descriptor");
        let mut previous = 0;
        while cursor.left() > 0 {
            let tag = cursor.u8()?;
            if tag <= previous {
                return Err(Error::corrupt(format!("descriptor repeats field {tag}")));
            }
            // The first three are always there.
            if tag > previous + 1 && previous < tags::METRIC {
                let expected = previous + 1;
                return Err(Error::corrupt(format!(
                    "descriptor has field {tag}, expected {expected}"
                )));
            }
            previous = tag;
            let len = cursor.u32()? as usize;
            let mut value = Cursor::new(cursor.bytes(len)?, "descriptor field");
            descriptor.take(tag, &mut value)?;
            value.finish()?;
        }
        if previous < tags::METRIC {
            let expected = previous + 1;
            return Err(Error::corrupt(format!("descriptor ends before field {expected}")));
        }
        descriptor
            .validate()
            .map_err(|error| error.reported_as(ErrorKind::Corrupt, "descriptor as stored"))?;
        if descriptor.encode() != bytes {
            return Err(Error::corrupt("descriptor spells out a default"));
        }
        Ok(descriptor)
    }

    /// Reads the value of one field.
    fn take(&mut self, tag: u8, value: &mut Cursor<'_>) -> Result<()> {
        match tag {
            tags::DIM => self.dim = value.u32()?,
            tags::DTYPE => self.dtype = dtype_of(value.u8()?)?,
            tags::METRIC => self.metric = metric_of(value.u8()?)?,
            tags::INDEX => {
                let kind = index_of(value.u8()?)?;
                let pq_subspaces = Some(value.u32()?).filter(|subspaces| *subspaces > 0);
                let binary = flag(value.u8()?, "binary quantisation")?;
                self.index = IndexSpec { kind, pq_subspaces, binary };
            }
            tags::FILTERABLE => {
                while value.left() > 0 {
                    self.filterable.push(take_field(value)?);
                }
            }
            tags::MULTIVECTOR => self.multivector = flag(value.u8()?, "several vectors a row")?,
            tags::ENCRYPTION => {
                self.vector_encryption = match value.u8()? {
                    1 => VectorEncryption::Dcpe,
                    2 => VectorEncryption::ClientSide,
                    other => return Err(unknown("vector encryption", other)),
                }
            }
            other => return Err(Error::unsupported(format!("field {other} of a descriptor"))),
        }
        Ok(())
    }
}

fn dtype_number(dtype: Dtype) -> u8 {
    match dtype {
        Dtype::F32 => 1,
        Dtype::F16 => 2,
        Dtype::Bf16 => 3,
        Dtype::I8 => 4,
        Dtype::U8 => 5,
        Dtype::Binary => 6,
    }
}

fn dtype_of(number: u8) -> Result<Dtype> {
    Ok(match number {
        1 => Dtype::F32,
        2 => Dtype::F16,
        3 => Dtype::Bf16,
        4 => Dtype::I8,
        5 => Dtype::U8,
        6 => Dtype::Binary,
        other => return Err(unknown("element type", other)),
    })
}

fn metric_number(metric: DistanceMetric) -> u8 {
    match metric {
        DistanceMetric::Dot => 1,
        DistanceMetric::Cosine => 2,
        DistanceMetric::L2 => 3,
    }
}

fn metric_of(number: u8) -> Result<DistanceMetric> {
    Ok(match number {
        1 => DistanceMetric::Dot,
        2 => DistanceMetric::Cosine,
        3 => DistanceMetric::L2,
        other => return Err(unknown("metric", other)),
    })
}

fn index_number(kind: IndexKind) -> u8 {
    match kind {
        IndexKind::Hnsw => 1,
        IndexKind::Vamana => 2,
        IndexKind::DiskVamana => 3,
        IndexKind::Ivf => 4,
        IndexKind::Colbert => 5,
    }
}

fn index_of(number: u8) -> Result<IndexKind> {
    Ok(match number {
        1 => IndexKind::Hnsw,
        2 => IndexKind::Vamana,
        3 => IndexKind::DiskVamana,
        4 => IndexKind::Ivf,
        5 => IndexKind::Colbert,
        other => return Err(unknown("index kind", other)),
    })
}

fn flag(number: u8, what: &str) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(unknown(what, other)),
    }
}

fn unknown(what: &str, number: u8) -> Error {
    Error::unsupported(format!("{what} {number} of a descriptor"))
}

/// Appends a filterable field; a segment says in the same words what it has indexes of.
pub(crate) fn put_field(out: &mut Vec<u8>, field: &FilterableField) {
    out.push(match field.field_type {
        FieldType::Keyword => 1,
        FieldType::Numeric => 2,
        FieldType::Bool => 3,
    });
    let len = u16::try_from(field.path.len()).expect("paths are bounded by `limits`");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(field.path.as_bytes());
}

/// Reads a filterable field.
pub(crate) fn take_field(cursor: &mut Cursor<'_>) -> Result<FilterableField> {
    let field_type = match cursor.u8()? {
        1 => FieldType::Keyword,
        2 => FieldType::Numeric,
        3 => FieldType::Bool,
        other => return Err(unknown("type of a field", other)),
    };
    let len = usize::from(cursor.u16()?);
    Ok(FilterableField { path: cursor.text(len)?.to_owned(), field_type })
}

fn put(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let len = u32::try_from(value.len()).expect("the fields of a descriptor are bounded");
    bytes.push(tag);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DTYPES: [Dtype; 6] =
        [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::U8, Dtype::Binary];
    const METRICS: [DistanceMetric; 3] =
        [DistanceMetric::Dot, DistanceMetric::Cosine, DistanceMetric::L2];
    const KINDS: [IndexKind; 5] = [
        IndexKind::Hnsw,
        IndexKind::Vamana,
        IndexKind::DiskVamana,
        IndexKind::Ivf,
        IndexKind::Colbert,
    ];

    fn descriptors() -> impl Strategy<Value = Descriptor> {
        let types = [FieldType::Keyword, FieldType::Numeric, FieldType::Bool];
        let field_type = proptest::sample::select(types.to_vec());
        let fields = proptest::collection::btree_map("[a-z]{1,9}", field_type, 0..4);
        let index = (0..5_usize, proptest::option::of(1..=7_u32), any::<bool>());
        (7..=DIMENSION_MAX, 0..6_usize, 0..3_usize, index, fields, any::<bool>(), 0..3_usize)
            .prop_map(|(dim, dtype, metric, (kind, pq_subspaces, binary), fields, multi, enc)| {
                let fields = fields.into_iter();
                let fields = fields.map(|(path, field_type)| FilterableField { path, field_type });
                let ways =
                    [VectorEncryption::None, VectorEncryption::Dcpe, VectorEncryption::ClientSide];
                Descriptor::new(dim, DTYPES[dtype], METRICS[metric])
                    .with_index(IndexSpec { kind: KINDS[kind], pq_subspaces, binary })
                    .with_filterable(fields)
                    .with_multivector(multi)
                    .with_vector_encryption(ways[enc])
            })
    }

    proptest! {
        #[test]
        fn descriptor_round_trips(descriptor in descriptors()) {
            let bytes = descriptor.encode();
            prop_assert_eq!(Descriptor::decode(&bytes).expect("own bytes"), descriptor);
        }

        #[test]
        fn a_changed_byte_gives_an_error_or_another_schema(
            descriptor in descriptors(),
            at in any::<proptest::sample::Index>(),
            flip in 1..=u8::MAX,
        ) {
            let mut bytes = descriptor.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = Descriptor::decode(&bytes) {
                prop_assert_ne!(&other, &descriptor);
                prop_assert_eq!(other.encode(), bytes, "one schema has one form");
            }
        }
    }

    #[test]
    fn every_number_is_told_apart() {
        for dtype in DTYPES {
            assert_eq!(dtype_of(dtype_number(dtype)).expect("known"), dtype);
        }
        for metric in METRICS {
            assert_eq!(metric_of(metric_number(metric)).expect("known"), metric);
        }
        for kind in KINDS {
            assert_eq!(index_of(index_number(kind)).expect("known"), kind);
        }
    }

    #[test]
    fn descriptor_refuses_unknown_fields_and_every_cut() {
        let fields = [FilterableField::keyword("a"), FilterableField::boolean("b.c")];
        let descriptor = Descriptor::new(3, Dtype::U8, DistanceMetric::Dot)
            .with_filterable(fields)
            .with_multivector(true);
        let mut bytes = descriptor.encode();
        // Where a field that may be missing ends the rest, a cut is another schema.
        let mut whole = Vec::new();
        for cut in 0..bytes.len() {
            match Descriptor::decode(&bytes[..cut]) {
                Ok(_) => whole.push(cut),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {cut}"),
            }
        }
        assert_eq!(whole.len(), 2, "without the last field, and without the last two");
        put(&mut bytes, 9, &[1]);
        let error = Descriptor::decode(&bytes).expect_err("unknown field");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_default_is_not_spelt_out() {
        let mut bytes = Descriptor::new(3, Dtype::F32, DistanceMetric::Dot).encode();
        put(&mut bytes, tags::MULTIVECTOR, &[0]);
        let error = Descriptor::decode(&bytes).expect_err("has two forms");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
