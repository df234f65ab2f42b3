//! Row changes that commit together.
//!
//! Changes are serialised as they are added, so that committing copies no row by itself again. A
//! change that is out of bounds is remembered and refused when the batch is written, whole.

use std::collections::BTreeMap;

use crate::cursor::Cursor;
use crate::descriptor::{Descriptor, Dtype};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::CollectionId;
use crate::limits::{EXTERNAL_ID_BYTES_MAX, PAYLOAD_BYTES_MAX, VECTOR_BYTES_MAX};
use crate::record::{Record, encode_upsert};
use crate::row_bytes::Spares;
use crate::sync::Arc;
use crate::vector::VectorForm;
use crate::wal::frame::{Batch, Section};

/// Upserts and deletes over several collections that commit together or not at all.
///
/// Within one collection they happen in the order of the calls. *Units and limits*: ids of 1 to
/// 1,024 bytes, payloads up to 16 MiB, the whole up to [`crate::Options::batch_bytes_max`].
///
/// # Examples
/// ```
/// use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store, WriteBatch};
/// # fn main() -> quiver_store::Result<()> {
/// let store = Store::open_with(Env::memory(), Options::default())?;
/// let id = store.create_collection("points", Descriptor::new(2, Dtype::F32, DistanceMetric::L2))?;
/// let mut batch = WriteBatch::new();
/// batch.upsert(id, "a", &[1.0, 2.0], b"{}").delete(id, "b");
/// store.write(batch)?;
/// assert_eq!(store.len(id)?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    drafts: BTreeMap<CollectionId, Draft>,
    problem: Option<(ErrorKind, String)>,
}

/// The changes to one collection.
#[derive(Clone, Debug, Default)]
struct Draft {
    records: u32,
    deletes: u32,
    /// The records as stored, vectors as f32 or as they were given: what the section will be, once it
    /// is shared, where the elements of the collection are f32.
    bytes: Vec<u8>,
    /// Which records have a vector as it is to be stored, in ascending order.
    raw: Vec<u32>,
    /// Bytes of the shortest and the longest vector: held against the schema when it is written.
    vector_bytes: Option<(usize, usize)>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an insert or replacement of a row. Elements are converted to the collection's type when
    /// the batch is written; see [`crate::Dtype`].
    ///
    /// *Units and limits*: as many elements as the dimension; of a multivector row, its vectors one
    /// after the other.
    pub fn upsert(
        &mut self,
        id: CollectionId,
        external_id: &str,
        vector: &[f32],
        payload: &[u8],
    ) -> &mut Self {
        self.add(id, external_id, size_of_val(vector), payload, |space| {
            for (slot, element) in space.as_chunks_mut().0.iter_mut().zip(vector) {
                *slot = element.to_le_bytes();
            }
        });
        self
    }

    /// Adds an insert or replacement of a row whose vector is given as it is to be stored: in the form
    /// of the collection's [`crate::Dtype`].
    pub fn upsert_raw(
        &mut self,
        id: CollectionId,
        external_id: &str,
        vector: &[u8],
        payload: &[u8],
    ) -> &mut Self {
        let fill = |space: &mut [u8]| space.copy_from_slice(vector);
        if self.add(id, external_id, vector.len(), payload, fill) {
            let draft = self.drafts.entry(id).or_default();
            draft.raw.push(draft.records - 1);
        }
        self
    }

    /// Adds an upsert, if it is within bounds; whether it is.
    fn add(
        &mut self,
        id: CollectionId,
        external_id: &str,
        len: usize,
        payload: &[u8],
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        if let Err(error) = check_payload(payload) {
            self.refuse(error.kind(), error.to_string());
            return false;
        }
        if !self.takes(external_id) {
            return false;
        }
        // As f32 they take 32 times what is stored where the elements are to become bits.
        if len > 32 * VECTOR_BYTES_MAX {
            let what = format!("vectors of {len} bytes in one row");
            self.refuse(ErrorKind::TooLarge, what);
            return false;
        }
        let draft = self.drafts.entry(id).or_default();
        encode_upsert(&mut draft.bytes, external_id, payload, len, fill);
        draft.records += 1;
        let (least, most) = draft.vector_bytes.unwrap_or((len, len));
        draft.vector_bytes = Some((least.min(len), most.max(len)));
        true
    }

    /// Adds a removal of a row, which need not be there.
    pub fn delete(&mut self, id: CollectionId, external_id: &str) -> &mut Self {
        if self.takes(external_id) {
            let draft = self.drafts.entry(id).or_default();
            Record::Delete { external_id }.encode(&mut draft.bytes);
            draft.records += 1;
            draft.deletes += 1;
        }
        self
    }

    /// How many changes it has.
    pub fn len(&self) -> usize {
        self.drafts.values().map(|draft| draft.records as usize).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Whether a change of it was out of bounds.
    pub(crate) fn is_refused(&self) -> bool {
        self.problem.is_some()
    }

    /// How many of its changes are deletions.
    pub(crate) fn deletes(&self) -> usize {
        self.drafts.values().map(|draft| draft.deletes as usize).sum()
    }

    /// Holds the batch against the schemas and turns it into what a frame carries.
    pub(crate) fn finish<'d>(
        mut self,
        bytes_max: usize,
        spares: &Arc<Spares>,
        descriptor: impl Fn(CollectionId) -> Result<&'d Descriptor>,
    ) -> Result<Batch> {
        if let Some((kind, what)) = self.problem {
            return Err(Error::new(kind, what));
        }
        if self.drafts.is_empty() {
            return Err(Error::invalid("empty batch: add an upsert or a delete"));
        }
        for (&id, draft) in &mut self.drafts {
            draft.fit(descriptor(id)?)?;
        }
        let sections =
            self.drafts.into_iter().map(|(id, draft)| draft.finish(id, spares)).collect();
        let batch = Batch { sections };
        let bytes = batch.frame_bytes();
        if bytes > bytes_max {
            return Err(Error::too_large(format!(
                "batch of {bytes} bytes, expected at most {bytes_max}: write it in parts"
            )));
        }
        Ok(batch)
    }

    fn takes(&mut self, external_id: &str) -> bool {
        let checked = check_id(external_id);
        if let Err(error) = &checked {
            self.refuse(error.kind(), error.to_string());
        }
        checked.is_ok()
    }

    fn refuse(&mut self, kind: ErrorKind, what: String) {
        self.problem.get_or_insert((kind, what));
    }
}

impl Draft {
    /// Holds the vectors against a schema, and converts those that were given as f32.
    ///
    /// # Errors
    /// `InvalidArgument` for a vector of another length, or with an element that the type cannot
    /// hold.
    fn fit(&mut self, descriptor: &Descriptor) -> Result<()> {
        let Some((least, most)) = self.vector_bytes else { return Ok(()) };
        let stride = descriptor.row_stride();
        if descriptor.dtype == Dtype::F32 && [least, most] == [stride.bytes; 2] {
            return Ok(());
        }
        let mut raw = self.raw.iter().copied().peekable();
        let mut fitted = Vec::with_capacity(self.bytes.len());
        let mut cursor = Cursor::new(&self.bytes, "draft");
        let mut converted = Vec::new();
        for i in 0..self.records {
            let mut record = Record::decode(&mut cursor)?;
            if let Record::Upsert { vector, .. } = &mut record {
                if raw.next_if_eq(&i).is_some() {
                    check_raw(descriptor, vector)?;
                } else {
                    converted.clear();
                    convert(descriptor, vector, &mut converted)?;
                    *vector = &converted;
                }
            }
            record.encode(&mut fitted);
        }
        self.bytes = fitted;
        Ok(())
    }

    /// What may be shared from here on, for as long as a memtable points into it.
    fn finish(self, collection: CollectionId, spares: &Arc<Spares>) -> Section {
        let (records, bytes) = (self.records, spares.keep(self.bytes));
        Section { records, bytes, ..Section::new(collection) }
    }
}

/// Holds a vector that was given as it is to be stored against the schema.
fn check_raw(descriptor: &Descriptor, vector: &[u8]) -> Result<()> {
    if !descriptor.row_stride().fits(vector.len()) {
        let (len, expected) = (vector.len(), expected_bytes(descriptor));
        return Err(Error::invalid(format!("vector of {len} bytes, expected {expected}")));
    }
    if !descriptor.form().is_canonical(vector) {
        let dim = descriptor.dim;
        let what = format!("binary vector with a bit set behind its {dim} elements");
        return Err(Error::invalid(what));
    }
    Ok(())
}

/// Appends the stored form of vectors that were given as f32.
fn convert(descriptor: &Descriptor, given: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let dim = descriptor.dim as usize;
    let elements = VectorForm { dtype: Dtype::F32, dim: descriptor.dim }.elements(given);
    let is_whole = elements.len().is_multiple_of(dim) && !elements.is_empty();
    if !is_whole || (!descriptor.multivector && elements.len() != dim) {
        let (found, of) =
            (elements.len(), if descriptor.multivector { "a multiple of " } else { "" });
        return Err(Error::invalid(format!("vector of dimension {found}, expected {of}{dim}")));
    }
    if let Err(at) = descriptor.form().put(&elements, out) {
        let (found, expected) = (elements[at], descriptor.form().expected());
        return Err(Error::invalid(format!(
            "element {at} of a vector is {found}, expected {expected}"
        )));
    }
    if out.len() > VECTOR_BYTES_MAX {
        let len = out.len();
        let what =
            format!("vectors of {len} bytes in one row, expected at most {VECTOR_BYTES_MAX}");
        return Err(Error::too_large(what));
    }
    Ok(())
}

fn expected_bytes(descriptor: &Descriptor) -> String {
    let stride = descriptor.stride();
    if descriptor.multivector { format!("a multiple of {stride}") } else { stride.to_string() }
}

/// Whether an id is within its bounds.
pub(crate) fn check_id(external_id: &str) -> Result<()> {
    let len = external_id.len();
    if (1..=EXTERNAL_ID_BYTES_MAX).contains(&len) {
        return Ok(());
    }
    Err(Error::invalid(format!("id of {len} bytes, expected 1 to {EXTERNAL_ID_BYTES_MAX}")))
}

/// Whether a payload is within its bounds.
pub(crate) fn check_payload(payload: &[u8]) -> Result<()> {
    let len = payload.len();
    if len <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    Err(Error::too_large(format!("payload of {len} bytes, expected at most {PAYLOAD_BYTES_MAX}")))
}
