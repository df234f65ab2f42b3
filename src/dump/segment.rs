//! A segment: its columns, its indexes, and every row.

use std::ops::ControlFlow;

use serde_json::json;

use crate::codec::{PageCodec, PlainCodec};
use crate::cursor::{index, len_u32};
use crate::dump::item::{See, hex, place_of, text_or_hex};
use crate::error::{Error, Result};
use crate::limits::PAGE_SIZE_BYTES;
use crate::manifest::SegmentEntry;
use crate::page::PageType;
use crate::page_cache::PageCache;
use crate::segment::{Rescued, Segment};
use crate::sync::Arc;
use crate::vector::Stride;
use crate::vfs::DiskFile;

/// What is kept of the pages while the rows are read, in bytes.
pub(super) const CACHE_BYTES: u64 = 4 * 1024 * 1024;

/// Opens a segment by what its last page says.
pub(super) fn open(file: &DiskFile) -> Result<(Segment, SegmentEntry, Stride)> {
    let len = file.len_bytes()?;
    let last = (len / PAGE_SIZE_BYTES as u64).saturating_sub(1);
    let mut footer = vec![0; PAGE_SIZE_BYTES];
    file.read_exact_at(&mut footer, last * PAGE_SIZE_BYTES as u64)?;
    let place = place_of(&footer, PageType::SegmentFooter, len_u32(index(last)));
    let (entry, stride) = Segment::entry_of(&place, &mut footer, len)?;
    let codec: Arc<dyn PageCodec> = Arc::new(PlainCodec);
    let store = place.store;
    let segment = Segment::open(file.clone(), store, &entry, stride, codec)?;
    Ok((segment, entry, stride))
}

pub(super) fn show(file: &DiskFile, see: &mut See<'_>) -> Result<ControlFlow<()>> {
    let (segment, entry, stride) = open(file)?;
    let cache = PageCache::new(CACHE_BYTES);
    let mut item = json!({
        "item": "segment",
        "rows": entry.rows,
        "vector_bytes": stride.bytes,
        "multivector": stride.is_multi,
        "columns": segment.columns().map(|(name, bytes)| json!({ "column": name, "bytes": bytes }))
            .collect::<Vec<_>>(),
    });
    match segment.indexed_fields(&cache) {
        Ok(fields) => item["indexes"] = json!(fields),
        Err(error) => item["error"] = json!(error.to_string()),
    }
    if see(&item).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    rows(&segment, &cache, see)
}

fn rows(segment: &Segment, cache: &PageCache, see: &mut See<'_>) -> Result<ControlFlow<()>> {
    let mut flow = ControlFlow::Continue(());
    let walked = segment.rescue(cache, |found| {
        let item = match found {
            Rescued::Row(row, id, vector, payload) => json!({
                "item": "row",
                "row": row,
                "id": id,
                "vector": hex(vector),
                "payload": text_or_hex(payload),
            }),
            Rescued::Lost(row, id, error) => {
                json!({ "item": "row", "row": row, "id": id, "error": error.to_string() })
            }
            Rescued::LostRows(from, end, error) => json!({
                "item": "rows", "from": from, "until": end, "error": error.to_string(),
            }),
        };
        flow = see(&item);
        match flow {
            ControlFlow::Continue(()) => Ok(()),
            // Nobody sees it: it ends the walk.
            ControlFlow::Break(()) => Err(Error::invalid("no more is wanted")),
        }
    });
    match walked {
        Err(error) if flow.is_continue() => Err(error),
        _ => Ok(flow),
    }
}
