//! Rows with payloads that filters look into: a number, a keyword, a fraction, a boolean, and text.

use std::path::Path;

use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, FilterableField, Options, SecPredicate,
    WriteBatch,
};

use crate::Failure;
use crate::rows::{PAYLOAD_BYTES, Rows, ids};
use crate::subject::{BATCH_ROWS, Subject};

/// Elements of a vector.
pub(crate) const DIM: usize = 32;

/// The numbers of rows are below that.
pub(crate) const NUMBERS: u64 = 1_000_000;

/// How many keywords there are.
pub(crate) const TAGS: u64 = 100;

/// What a filter may ask of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values {
    pub(crate) n: u64,
    pub(crate) tag: u64,
    pub(crate) score: f64,
    pub(crate) on: bool,
}

impl Values {
    /// Those of a row, which are the same in every run.
    pub(crate) fn of(number: u64) -> Self {
        // The finalizer of splitmix64: every bit depends on every other.
        let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        Self {
            n: ((mixed >> 40) * NUMBERS) >> 24,
            tag: ((mixed & 0xffff) * TAGS) >> 16,
            score: ((mixed >> 17) & 0x003f_ffff) as f64 / f64::from(1 << 22),
            on: mixed & 0x1_0000 != 0,
        }
    }

    pub(crate) fn payload(self) -> Vec<u8> {
        let Self { n, tag, score, on } = self;
        let mut payload =
            format!(r#"{{"n":{n},"tag":"{}","score":{score},"on":{on},"text":""#, tag_name(tag));
        while payload.len() < PAYLOAD_BYTES - 2 {
            payload.push('x');
        }
        payload.push_str(r#""}"#);
        payload.into_bytes()
    }
}

pub(crate) fn tag_name(tag: u64) -> String {
    format!("tag-{tag:02}")
}

/// A collection in which the fields of these names are filterable.
pub(crate) fn schema(fields: &[&str]) -> Descriptor {
    let dim = u32::try_from(DIM).expect("dimensions are small");
    let fields = fields.iter().map(|name| match *name {
        "tag" => FilterableField::keyword(*name),
        "on" => FilterableField::boolean(*name),
        _ => FilterableField::numeric(*name),
    });
    Descriptor::new(dim, Dtype::F32, DistanceMetric::L2).with_filterable(fields)
}

/// A batch of rows whose numbers go up from `first`.
pub(crate) fn upserts(into: CollectionId, vectors: &Rows, first: u64, count: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (number, id) in (first..).zip(&ids(first, count)) {
        batch.upsert(into, id, vectors.vector(number), &Values::of(number).payload());
    }
    batch
}

/// Makes a store of so many rows with three indexed fields, merged.
pub(crate) fn build_merged(path: &Path, count: u64) -> Result<Subject, Failure> {
    let subject = Subject::open_as(path, schema(&["n", "tag", "score"]), &Options::default())?;
    let vectors = Rows::new(DIM);
    for first in (0..count).step_by(usize::try_from(BATCH_ROWS)?) {
        let batch = upserts(subject.rows, &vectors, first, BATCH_ROWS.min(count - first));
        subject.store.write(batch)?;
    }
    subject.store.checkpoint()?;
    subject.store.compact()?;
    Ok(subject)
}

/// Whether `n` is one of `width` numbers from `lo` on.
pub(crate) fn n_from(lo: u64, width: u64) -> SecPredicate {
    SecPredicate::Range {
        field: "n".into(),
        lo: Some(lo.into()),
        hi: Some((lo + width - 1).into()),
        lo_inclusive: true,
        hi_inclusive: true,
    }
}

/// Whether the score is within a hundredth of its range, from `lo` hundredths on.
pub(crate) fn score_from(lo: f64) -> SecPredicate {
    SecPredicate::Range {
        field: "score".into(),
        lo: Some((lo / 100.0).into()),
        hi: Some(((lo + 1.0) / 100.0).into()),
        lo_inclusive: true,
        hi_inclusive: false,
    }
}

pub(crate) fn tag_is(tag: u64) -> SecPredicate {
    SecPredicate::Eq { field: "tag".into(), value: tag_name(tag).into() }
}
