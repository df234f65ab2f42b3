//! Salvage: what can still be shown of a store that does not open.
//!
//! | what is damaged | what a salvage shows |
//! |---|---|
//! | `CURRENT`, or the manifest it names | the newest manifest that is intact, if there is one |
//! | a log | the state after the last record before the damage |
//! | a file of a collection | what that leaves of it, as every open does |
//!
//! Nothing is written, and nothing is taken for whole: what was met is told with the store. Where a log is
//! damaged in front of the drop of a collection, that collection is shown again, and may lack rows: a
//! checkpoint that meets a drop seals nothing more of it.

use crate::codec::PlainCodec;
use crate::cursor::index;
use crate::error::{Error, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, ManifestVersion, Salt, StoreId};
use crate::limits::PAGE_SIZE_BYTES;
use crate::manifest::Manifest;
use crate::page::{self, PAGE_MAGIC, PagePlace, PageType, offsets};
use crate::store::on_disk::Tools;
use crate::vfs::Access;

/// A manifest is a few pages; one that is longer than this is not read.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The newest manifest that is intact, where `CURRENT` or the one that it names is not.
///
/// # Errors
/// The error of that one, where there is no other.
pub(super) fn manifest(
    tools: &Tools<'_>,
    error: Error,
    lost: &mut Vec<Error>,
) -> Result<(Manifest, Vec<u8>)> {
    let mut versions: Vec<(ManifestVersion, String)> = Vec::new();
    for entry in tools.disk.read_dir(tools.disk.root())? {
        if let Some(FileName::Manifest(version, _)) = FileName::parse(&entry.name) {
            versions.push((version, entry.name));
        }
    }
    versions.sort();
    for (version, name) in versions.into_iter().rev() {
        match read_any(tools, &name) {
            Ok((manifest, bytes)) if manifest.version == version => {
                lost.push(error);
                return Ok((manifest, bytes));
            }
            Ok(_) => lost.push(Error::corrupt(format!("{name}: says it is another version"))),
            Err(error) => lost.push(error),
        }
    }
    let kind = error.kind();
    Err(error.reported_as(kind, "no manifest is intact, so nothing can be shown"))
}

/// Reads a manifest that nothing names, by what its pages say of themselves.
fn read_any(tools: &Tools<'_>, name: &str) -> Result<(Manifest, Vec<u8>)> {
    let file = tools.disk.open(name, Access::Read)?;
    let len = file.len_bytes()?;
    let of = |what: String| Error::corrupt(format!("{}: {what}", file.path().display()));
    if len == 0 || !len.is_multiple_of(PAGE_SIZE_BYTES as u64) || len > MANIFEST_BYTES_MAX {
        return Err(of(format!("{len} bytes long, which no manifest is")));
    }
    let mut pages = vec![0; index(len)];
    file.read_exact_at(&mut pages, 0)?;
    if pages[..4] != PAGE_MAGIC {
        return Err(of("does not start as a page".to_owned()));
    }
    let mut store = StoreId([0; 16]);
    store.0[..8].copy_from_slice(&pages[offsets::STORE_TAG..][..8]);
    let salt = Salt(std::array::from_fn(|at| pages[offsets::SALT + at]));
    let page_type = PageType::Manifest;
    let first = PagePlace { store, salt, collection: CollectionId(0), page_type, index: 0 };
    let opened = page::open_stream(&first, &PlainCodec, &mut pages);
    let decoded = opened.and_then(|bytes| Ok((Manifest::decode(&bytes)?, bytes)));
    let (manifest, bytes) = decoded.map_err(|error| {
        let kind = error.kind();
        error.reported_as(kind, &file.path().display().to_string())
    })?;
    if manifest.salt != salt || manifest.store.tag() != store.tag() {
        return Err(of("holds another manifest than its pages say".to_owned()));
    }
    Ok((manifest, bytes))
}
