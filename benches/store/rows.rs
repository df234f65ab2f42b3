//! The rows that are written and read.

use quiver_store::{CollectionId, WriteBatch};

/// Bytes of an id.
pub(crate) const ID_BYTES: usize = 16;

/// Bytes of a payload: a small JSON object.
pub(crate) const PAYLOAD_BYTES: usize = 200;

/// How many vectors there are; rows take them in turn. More than a processor's cache holds.
const VECTORS: usize = 8192;

/// An endless number of rows, told apart by their numbers.
#[derive(Debug)]
pub(crate) struct Rows {
    dim: usize,
    vectors: Vec<f32>,
    payload: Vec<u8>,
}

impl Rows {
    pub(crate) fn new(dim: usize) -> Self {
        let mut state = 1_u32;
        let element = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32
        };
        let vectors = (0..VECTORS * dim).map(element).collect();
        let mut payload = br#"{"title":"On logs","lang":"en","year":2019,"text":""#.to_vec();
        payload.resize(PAYLOAD_BYTES - 2, b'x');
        payload.extend_from_slice(br#""}"#);
        Self { dim, vectors, payload }
    }

    /// The same without payloads: the most rows for so many bytes.
    pub(crate) fn bare(dim: usize) -> Self {
        Self { payload: Vec::new(), ..Self::new(dim) }
    }

    /// Elements of a vector.
    pub(crate) fn dim(&self) -> u32 {
        u32::try_from(self.dim).expect("dimensions are small")
    }

    /// What a row is for its owner: id, vector and payload.
    pub(crate) fn row_bytes(&self) -> usize {
        ID_BYTES + self.value_bytes()
    }

    /// Vector and payload.
    pub(crate) fn value_bytes(&self) -> usize {
        self.dim * size_of::<f32>() + self.payload.len()
    }

    pub(crate) fn vector(&self, number: u64) -> &[f32] {
        let at = usize::try_from(number).expect("a 64-bit machine") % VECTORS;
        &self.vectors[at * self.dim..][..self.dim]
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// A batch that upserts the rows of these ids, whose numbers go up from `first`.
    pub(crate) fn upserts(&self, into: CollectionId, first: u64, ids: &[String]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for (number, id) in (first..).zip(ids) {
            batch.upsert(into, id, self.vector(number), self.payload());
        }
        batch
    }
}

/// The id of a row: every number has one, and they are in no order.
pub(crate) fn id(number: u64) -> String {
    // An odd factor permutes the numbers.
    format!("{:016x}", number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The ids of so many rows from a number on.
pub(crate) fn ids(first: u64, count: u64) -> Vec<String> {
    (first..first + count).map(id).collect()
}

/// Numbers below `below` in no order, the same in every run; some come more than once.
pub(crate) fn picks(seed: u64, count: usize, below: u64) -> Vec<u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let pick = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    (0..count).map(pick).collect()
}
