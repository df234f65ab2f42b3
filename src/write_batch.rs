//! Row changes that commit together.
//!
//! Changes are serialised as they are added, so that committing copies no row by itself again. A
//! change that is out of bounds is remembered and refused when the batch is written, whole.

use std::collections::BTreeMap;

use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::CollectionId;
use crate::limits::{DIMENSION_MAX, EXTERNAL_ID_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::record::{Record, encode_upsert};
use crate::row_bytes::Spares;
use crate::sync::Arc;
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
    /// The records as stored: what the section will be, once it is shared.
    bytes: Vec<u8>,
    /// Bytes of the shortest and the longest vector: held against the schema when it is written.
    vector_bytes: Option<(usize, usize)>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an insert or replacement of a row.
    pub fn upsert(
        &mut self,
        id: CollectionId,
        external_id: &str,
        vector: &[f32],
        payload: &[u8],
    ) -> &mut Self {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let len = payload.len();
            let what = format!("payload of {len} bytes, expected at most {PAYLOAD_BYTES_MAX}");
            self.refuse(ErrorKind::TooLarge, what);
            return self;
        }
        if !self.takes(external_id) {
            return self;
        }
        if vector.len() > DIMENSION_MAX as usize {
            let len = vector.len();
            let what = format!("vector of dimension {len}, expected at most {DIMENSION_MAX}");
            self.refuse(ErrorKind::InvalidArgument, what);
            return self;
        }
        let draft = self.drafts.entry(id).or_default();
        let len = size_of_val(vector);
        encode_upsert(&mut draft.bytes, external_id, payload, len, |space| {
            for (slot, element) in space.as_chunks_mut().0.iter_mut().zip(vector) {
                *slot = element.to_le_bytes();
            }
        });
        draft.records += 1;
        let (least, most) = draft.vector_bytes.unwrap_or((len, len));
        draft.vector_bytes = Some((least.min(len), most.max(len)));
        self
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

    /// How many of its changes are deletions.
    pub(crate) fn deletes(&self) -> usize {
        self.drafts.values().map(|draft| draft.deletes as usize).sum()
    }

    /// Holds the batch against the schemas and turns it into what a frame carries.
    pub(crate) fn finish<'d>(
        self,
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
        for (&id, draft) in &self.drafts {
            let descriptor = descriptor(id)?;
            let stride = descriptor.stride();
            let Some((least, most)) = draft.vector_bytes else { continue };
            if let Some(found) = [least, most].into_iter().find(|&len| len != stride) {
                let found = found / descriptor.dtype.element_size();
                let dim = descriptor.dim;
                return Err(Error::invalid(format!("vector of dimension {found}, expected {dim}")));
            }
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
        let len = external_id.len();
        let fits = (1..=EXTERNAL_ID_BYTES_MAX).contains(&len);
        if !fits {
            let what = format!("id of {len} bytes, expected 1 to {EXTERNAL_ID_BYTES_MAX}");
            self.refuse(ErrorKind::InvalidArgument, what);
        }
        fits
    }

    fn refuse(&mut self, kind: ErrorKind, what: String) {
        self.problem.get_or_insert((kind, what));
    }
}

impl Draft {
    /// What may be shared from here on, for as long as a memtable points into it.
    fn finish(self, collection: CollectionId, spares: &Arc<Spares>) -> Section {
        Section { collection, records: self.records, bytes: spares.keep(self.bytes) }
    }
}
