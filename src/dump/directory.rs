//! A store's directory: `CURRENT`, the manifest it names, and which files are there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::dump::item::{See, first_bytes, hex};
use crate::dump::pages::{self, Stream};
use crate::dump::tables;
use crate::error::{Error, Result};
use crate::file_names::{CURRENT, FileName};
use crate::manifest::Manifest;
use crate::manifest::current::{CURRENT_SIZE_BYTES, Current};
use crate::vfs::{Access, DirEntry, Disk, DiskFile, EntryKind};

pub(super) fn show(
    disk: &Disk,
    entries: Vec<DirEntry>,
    see: &mut See<'_>,
) -> Result<ControlFlow<()>> {
    let mut there: BTreeMap<String, u64> = BTreeMap::new();
    for entry in entries {
        if entry.kind == EntryKind::File && FileName::parse(&entry.name).is_some() {
            let bytes = disk.open(&entry.name, Access::Read)?.len_bytes()?;
            there.insert(entry.name, bytes);
        }
    }
    if there.is_empty() {
        let dir = disk.root().display();
        return Err(Error::invalid(format!("{dir} holds no file of a store")));
    }
    let mut manifest = None;
    if there.contains_key(CURRENT) {
        let file = disk.open(CURRENT, Access::Read)?;
        if see(&current(&file)?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        manifest = manifest_in(disk);
    } else if see(&json!({ "item": "CURRENT", "error": "is missing" })).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    let mut listed: BTreeMap<String, Option<u64>> = BTreeMap::new();
    if let Some(manifest) = &manifest {
        if tables::manifest(manifest, see).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        listed = tables::files(manifest);
    }
    let is_known = manifest.is_some();
    let mut names: Vec<&String> = there.keys().chain(listed.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let own = there.get(name);
        let mut item = json!({ "item": "file", "file": name, "bytes": own });
        let error = match (own, listed.get(name)) {
            (None, _) => Some("is missing".to_owned()),
            (Some(bytes), Some(Some(expected))) if bytes != expected => {
                Some(format!("{bytes} bytes long, expected {expected}"))
            }
            _ => None,
        };
        if let Some(error) = error {
            item["error"] = json!(error);
        }
        if is_known {
            let is_named = listed.contains_key(name) || [CURRENT, "LOCK"].contains(&name.as_str());
            item["is_named"] = json!(is_named);
        }
        if see(&item).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The manifest that a directory's `CURRENT` names, if both can be read.
pub(super) fn manifest_in(disk: &Disk) -> Option<Manifest> {
    let file = disk.open(CURRENT, Access::Read).ok()?;
    let bytes = first_bytes(&file, CURRENT_SIZE_BYTES + 1).ok()?;
    let current = Current::decode(&bytes).ok()?;
    read_manifest(disk, &FileName::Manifest(current.version, current.salt.into()).text())
}

/// The manifest of a name, if it can be read.
fn read_manifest(disk: &Disk, name: &str) -> Option<Manifest> {
    let file = disk.open(name, Access::Read).ok()?;
    match pages::stream(&file).ok()? {
        Stream::Manifest(bytes) => Manifest::decode(&bytes).ok(),
        _ => None,
    }
}

pub(super) fn current(file: &DiskFile) -> Result<Value> {
    let bytes = first_bytes(file, CURRENT_SIZE_BYTES + 1)?;
    Ok(match Current::decode(&bytes) {
        Err(error) => json!({ "item": "CURRENT", "error": error.to_string() }),
        Ok(current) => json!({
            "item": "CURRENT",
            "store": hex(&current.store.0),
            "manifest": FileName::Manifest(current.version, current.salt.into()).text(),
            "manifest_bytes": current.len,
            "manifest_digest": format!("{:#010x}", current.digest),
        }),
    })
}
