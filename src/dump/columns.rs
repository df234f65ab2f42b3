//! A segment column by column, each value with its row.
//!
//! | column | items |
//! |---|---|
//! | ids | each id page, and its ids |
//! | directory | where the values of each row are |
//! | vectors | those of each row: as numbers where the manifest beside the file says of what type, else as stored |
//! | payloads | that of each row |
//! | indexes | for each part the index of each field |
//! | filter | the whole, and each block of it |

use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::codec::PlainCodec;
use crate::dump::directory::manifest_in;
use crate::dump::item::{DumpColumn, See, hex, text_or_hex};
use crate::dump::segment::{self, CACHE_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::page_cache::PageCache;
use crate::segment::Segment;
use crate::vector::VectorForm;
use crate::vfs::{Disk, DiskFile};

/// Shows one column of a segment.
pub(super) fn show(
    disk: &Disk,
    name: &str,
    file: &DiskFile,
    column: DumpColumn,
    see: &mut See<'_>,
) -> Result<ControlFlow<()>> {
    let segment = match segment::open(file) {
        Ok((segment, ..)) => segment,
        Err(error) if error.kind() == ErrorKind::Io => return Err(error),
        Err(error) => {
            return Ok(see(&json!({ "item": "segment", "error": error.to_string() })));
        }
    };
    let cache = PageCache::new(CACHE_BYTES);
    let columns = Columns { segment: &segment, cache: &cache };
    match column {
        DumpColumn::Ids => columns.ids(see),
        DumpColumn::Directory => columns.directory(see),
        DumpColumn::Vectors => columns.vectors(form_of(disk, name), see),
        DumpColumn::Payloads => columns.payloads(see),
        DumpColumn::Indexes => columns.indexes(see),
        DumpColumn::Filter => columns.filter(see),
    }
}

/// What the vectors of a segment are, if the manifest in its directory names it.
fn form_of(disk: &Disk, name: &str) -> Option<VectorForm> {
    let FileName::Segment(file, _) = FileName::parse(name)? else { return None };
    let manifest = manifest_in(disk)?;
    let entry = manifest.segment(file)?;
    let of = manifest.collections.iter().find(|collection| collection.id == entry.collection)?;
    let (_, descriptor) = of.schema.open(manifest.store, of.id, &PlainCodec).ok()?;
    Some(descriptor.form())
}

struct Columns<'a> {
    segment: &'a Segment,
    cache: &'a PageCache,
}

impl Columns<'_> {
    fn ids(&self, see: &mut See<'_>) -> Result<ControlFlow<()>> {
        for page in self.segment.id_pages() {
            let mut ids = Vec::new();
            let read = self.segment.ids_of(self.cache, page.rows.clone(), |row, id| {
                ids.push((row, id.to_owned()));
                Ok(())
            });
            let mut item = json!({
                "item": "id page",
                "page": page.place,
                "first_row": page.rows.start,
                "ids": page.rows.len(),
                "fence": text_or_hex(page.fence),
            });
            note(&mut item, read.err())?;
            if see(&item).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            for (row, id) in ids {
                if see(&json!({ "item": "id", "row": row, "id": id })).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// An item for each row.
    fn rows(
        &self,
        see: &mut See<'_>,
        what: &str,
        mut value: impl FnMut(u32, &mut Value) -> Result<()>,
    ) -> Result<ControlFlow<()>> {
        for row in 0..self.segment.rows() {
            let mut item = json!({ "item": what, "row": row });
            let read = value(row, &mut item);
            note(&mut item, read.err())?;
            if see(&item).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn directory(&self, see: &mut See<'_>) -> Result<ControlFlow<()>> {
        self.rows(see, "entry", |row, item| {
            let [(payload_at, payload), (vector_at, vector)] =
                self.segment.places_of(self.cache, row)?;
            item["payload_at"] = json!(payload_at);
            item["payload_bytes"] = json!(payload);
            item["vector_at"] = json!(vector_at);
            item["vector_bytes"] = json!(vector);
            Ok(())
        })
    }

    fn vectors(&self, form: Option<VectorForm>, see: &mut See<'_>) -> Result<ControlFlow<()>> {
        self.rows(see, "vector", |row, item| {
            let mut bytes = Vec::new();
            self.segment.vector_into(self.cache, row, &mut bytes)?;
            item["vector"] = match form {
                None => json!(hex(&bytes)),
                Some(form) => numbers(form, &bytes, self.segment.has_several_vectors()),
            };
            Ok(())
        })
    }

    fn payloads(&self, see: &mut See<'_>) -> Result<ControlFlow<()>> {
        self.rows(see, "payload", |row, item| {
            let mut bytes = Vec::new();
            self.segment.payload_into(self.cache, row, &mut bytes)?;
            item["payload"] = text_or_hex(&bytes);
            Ok(())
        })
    }

    fn indexes(&self, see: &mut See<'_>) -> Result<ControlFlow<()>> {
        let found = match self.segment.index_parts(self.cache) {
            Ok(found) => found,
            Err(error) => {
                let mut item = json!({ "item": "indexes" });
                note(&mut item, Some(error))?;
                return Ok(see(&item));
            }
        };
        for (number, part) in found.iter().enumerate() {
            let mut item = json!({
                "item": "index",
                "part": number,
                "field": part.field,
                "end_row": part.end_row,
                "bytes": part.bytes,
            });
            match self.segment.index_figures(self.cache, part) {
                Ok((terms, rows)) => {
                    item["terms"] = json!(terms);
                    item["rows_with_a_value"] = json!(rows);
                }
                Err(error) => note(&mut item, Some(error))?,
            }
            if see(&item).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn filter(&self, see: &mut See<'_>) -> Result<ControlFlow<()>> {
        let blocks = match self.segment.filter_blocks() {
            Ok(blocks) => blocks,
            Err(error) => {
                let mut item = json!({ "item": "filter" });
                note(&mut item, Some(error))?;
                return Ok(see(&item));
            }
        };
        let ones = |block: &[u8]| block.iter().map(|byte| byte.count_ones()).sum::<u32>();
        let all: u64 = blocks.clone().map(|block| u64::from(ones(block))).sum();
        let item = json!({ "item": "filter", "blocks": blocks.len(), "bits": all });
        if see(&item).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        for (number, block) in blocks.enumerate() {
            let (bits, bytes) = (ones(block), hex(block));
            let item =
                json!({ "item": "filter block", "block": number, "bits": bits, "bytes": bytes });
            if see(&item).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Notes in an item what is wrong with it; what the disk failed to read ends the dump.
fn note(item: &mut Value, error: Option<Error>) -> Result<()> {
    match error {
        Some(error) if error.kind() == ErrorKind::Io => return Err(error),
        Some(error) => item["error"] = json!(error.to_string()),
        None => {}
    }
    Ok(())
}

/// The elements of a row's vectors; each vector by itself where a row has several.
fn numbers(form: VectorForm, bytes: &[u8], is_multi: bool) -> Value {
    // In the shortest digits that are this f32. What is no number is a word.
    let number = |element: &f32| match element.to_string().parse::<f64>() {
        Ok(shortest) if shortest.is_finite() => json!(shortest),
        _ => json!(element.to_string()),
    };
    let elements = form.elements(bytes);
    let vectors = elements.chunks(form.dim.max(1) as usize);
    let mut vectors = vectors.map(|vector| vector.iter().map(number).collect::<Value>());
    if is_multi { vectors.collect() } else { vectors.next().unwrap_or_default() }
}
