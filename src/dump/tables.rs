//! The entries of a manifest.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::codec::PlainCodec;
use crate::dump::item::{See, hex};
use crate::file_names::FileName;
use crate::manifest::{CollectionEntry, LogEntry, Manifest};

/// Each entry of each table.
pub(super) fn manifest(manifest: &Manifest, see: &mut See<'_>) -> ControlFlow<()> {
    items(manifest).iter().try_for_each(see)
}

/// The files that a manifest names, with their lengths where it knows them.
pub(super) fn files(manifest: &Manifest) -> BTreeMap<String, Option<u64>> {
    let mut files = BTreeMap::new();
    let own = FileName::Manifest(manifest.version, manifest.salt.into());
    files.insert(own.text(), None);
    for item in items(manifest) {
        for member in ["", "changes_"] {
            if let Some(name) = item[format!("{member}file")].as_str() {
                files.insert(name.to_owned(), item[format!("{member}bytes")].as_u64());
            }
        }
    }
    files
}

fn items(manifest: &Manifest) -> Vec<Value> {
    let mut items = vec![json!({
        "item": "manifest",
        "version": manifest.version.0,
        "store": hex(&manifest.store.0),
        "sealed_lsn": manifest.sealed.0,
        "next_file_id": manifest.next_file.0,
        "next_collection_id": manifest.next_collection.0,
        "codec": manifest.codec,
    })];
    items.extend(manifest.keys.iter().map(|entry| {
        json!({
            "item": "key",
            "file": FileName::Key(entry.key).text(),
            "collection_id": entry.collection.0,
        })
    }));
    items.extend(manifest.collections.iter().map(|entry| collection(manifest, entry)));
    items.extend(manifest.logs.iter().map(log));
    items.extend(manifest.segments.iter().map(|entry| {
        json!({
            "item": "segment",
            "file": FileName::Segment(entry.file, entry.salt.into()).text(),
            "collection_id": entry.collection.0,
            "bytes": entry.len,
            "rows": entry.rows,
            "footer_checksum": format!("{:#010x}", entry.footer),
        })
    }));
    items.extend(manifest.tombstones.iter().map(|entry| {
        json!({
            "item": "tombstones",
            "file": FileName::Tombstones(entry.file, entry.salt.into()).text(),
            "segment_file_id": entry.segment.0,
            "bytes": entry.len,
            "dead_rows": entry.rows,
            "digest": format!("{:#010x}", entry.digest),
        })
    }));
    items.extend(manifest.index_snapshots.iter().map(|entry| {
        let changes = entry.changes;
        let file = changes.map(|file| FileName::Changes(file.file, file.salt.into()).text());
        json!({
            "item": "index snapshot",
            "file": FileName::IndexSnapshot(entry.file, entry.salt.into()).text(),
            "collection_id": entry.collection.0,
            "bytes": entry.len,
            "covered_lsn": entry.covered.0,
            "listed_since_lsn": entry.listed_since.0,
            "changes_file": file,
            "changes_bytes": changes.map(|file| file.len),
        })
    }));
    items.extend(manifest.parked.iter().map(|entry| {
        json!({
            "item": "parked records",
            "file": FileName::Parked(entry.file, entry.salt.into()).text(),
            "collection_id": entry.collection.0,
            "bytes": entry.len,
            "first_lsn": entry.first.0,
            "last_lsn": entry.through.0,
        })
    }));
    items
}

fn collection(manifest: &Manifest, entry: &CollectionEntry) -> Value {
    let mut item = json!({ "item": "collection", "id": entry.id.0 });
    if manifest.codec != PlainCodec::ID {
        item["sealed_bytes"] = json!(entry.schema.bytes.len());
        return item;
    }
    match entry.schema.open(manifest.store, entry.id, &PlainCodec) {
        Ok((name, descriptor)) => {
            item["name"] = json!(name);
            item["descriptor"] = json!(format!("{descriptor:?}"));
        }
        Err(error) => item["error"] = json!(error.to_string()),
    }
    item
}

fn log(entry: &LogEntry) -> Value {
    json!({
        "item": "log",
        "file": FileName::Log(entry.file, entry.salt.into()).text(),
        "base_lsn": entry.base.0,
        "durable_lsn": entry.durable.0,
        "end_lsn": entry.end.map(|end| end.lsn.0),
        "end_offset": entry.end.map(|end| end.offset),
    })
}
