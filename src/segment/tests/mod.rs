//! Segments in memory: built, opened, read back, damaged.

mod damage;
mod values;
mod verify;
mod walk;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use crate::codec::PlainCodec;
use crate::error::Result;
use crate::ids::{CollectionId, FileId, Salt, StoreId};
use crate::manifest::SegmentEntry;
use crate::page_cache::PageCache;
use crate::segment::{Columns, Segment, SegmentBuilder, SegmentIdentity, SegmentPlan};
use crate::sync::Arc;
use crate::vector::Stride;
use crate::vfs::memory::MemoryVfs;
use crate::vfs::{Disk, DiskFile};

pub(super) const IDENTITY: SegmentIdentity =
    SegmentIdentity { store: StoreId([1; 16]), collection: CollectionId(3), salt: Salt([2; 16]) };

/// A vector and a payload.
pub(super) type Value = (Vec<u8>, Vec<u8>);

pub(super) type Model = BTreeMap<String, Value>;

/// A segment file.
pub(super) struct Built {
    pub(super) bytes: Vec<u8>,
    pub(super) entry: SegmentEntry,
    pub(super) stride: Stride,
}

pub(super) fn new_file() -> DiskFile {
    let disk = Disk::new(Arc::new(MemoryVfs::new()), Path::new("/"));
    disk.create_new("segment").expect("an empty disk")
}

pub(super) fn file_of(bytes: &[u8]) -> DiskFile {
    let file = new_file();
    file.write_all_at(bytes, 0).expect("a disk without bounds");
    file
}

/// Without indexes.
pub(super) fn plan(stride: Stride, rows_max: u64) -> SegmentPlan {
    SegmentPlan { stride, rows_max, fields: Vec::new(), index_bytes_max: 0 }
}

/// One vector a row.
pub(super) fn single(bytes: usize) -> Stride {
    Stride { bytes, is_multi: false }
}

pub(super) fn build_for(rows: &Model, stride: usize, rows_max: u64) -> Built {
    build_with(rows, single(stride), rows_max)
}

pub(super) fn build_with(rows: &Model, stride: Stride, rows_max: u64) -> Built {
    build_as(rows, plan(stride, rows_max))
}

pub(super) fn build_as(rows: &Model, plan: SegmentPlan) -> Built {
    let stride = plan.stride;
    let file = new_file();
    let codec = Arc::new(PlainCodec);
    let mut builder = SegmentBuilder::start(file.clone(), IDENTITY, plan, codec);
    for (id, (vector, payload)) in rows {
        builder.push(id, vector, payload).expect("a disk without faults");
    }
    let sealed = builder.finish().expect("a disk without faults");
    let mut bytes = vec![0; file.len_bytes().expect("it is there").try_into().expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("its own length");
    let entry = SegmentEntry {
        file: FileId(9),
        collection: IDENTITY.collection,
        salt: IDENTITY.salt,
        len: sealed.len,
        rows: sealed.rows,
        footer: sealed.footer,
    };
    Built { bytes, entry, stride }
}

pub(super) fn build(rows: &Model, stride: usize) -> Built {
    build_for(rows, stride, rows.len() as u64)
}

impl Built {
    pub(super) fn open(&self) -> Result<Arc<Segment>> {
        let file = file_of(&self.bytes);
        let codec = Arc::new(PlainCodec);
        Segment::open(file, IDENTITY.store, &self.entry, self.stride, codec).map(Arc::new)
    }

    /// Every row by every way there is to read it.
    pub(super) fn read_all(&self, ids: &[String]) -> Result<Vec<Value>> {
        let segment = self.open()?;
        let mut values = Vec::new();
        for id in ids {
            let found = get(&segment, &PageCache::new(0), id)?;
            values.extend(found);
        }
        let mut walked = Vec::new();
        let mut cursor = segment.cursor(Bound::Unbounded, 1 << 18, Columns::default())?;
        while cursor.advance()? {
            walked.push((cursor.vector()?.to_vec(), cursor.payload()?.to_vec()));
        }
        for id in ids {
            segment.cursor(Bound::Excluded(id), 0, Columns::default())?.advance()?;
        }
        let mut probe = segment.probe();
        for id in ids {
            probe.find(id)?;
        }
        // Crafted directories may answer differently, but never silently for an intact file.
        values.extend(walked);
        Ok(values)
    }
}

pub(super) fn get(segment: &Segment, cache: &PageCache, id: &str) -> Result<Option<Value>> {
    let Some(row) = segment.find(cache, id)? else { return Ok(None) };
    let (mut vector, mut payload) = (Vec::new(), Vec::new());
    segment.vector_into(cache, row, &mut vector)?;
    segment.payload_into(cache, row, &mut payload)?;
    Ok(Some((vector, payload)))
}

/// `count` rows with ids that share prefixes and payloads of all lengths up to `payload_max`.
pub(super) fn model(count: u32, stride: usize, payload_max: usize) -> Model {
    let row = |i: u32| {
        let mixed = i.wrapping_mul(0x9e37_79b9);
        let id = format!("{:02x}-row-{i:06}", mixed >> 24);
        let byte = |at: usize| mixed.to_le_bytes()[at % 4] ^ at.to_le_bytes()[0];
        let payload_len = mixed as usize % (payload_max + 1);
        (id, ((0..stride).map(byte).collect(), (0..payload_len).map(byte).collect()))
    };
    (0..count).map(row).collect()
}
