//! Salvage: what can still be shown of a store that does not open.
//!
//! | what is damaged | what a salvage shows |
//! |---|---|
//! | `CURRENT`, or the manifest it names | the newest manifest that is intact, if there is one |
//! | a log | the state after the last whole batch before the damage |
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::descriptor::{Descriptor, DistanceMetric, Dtype};
    use crate::env::Env;
    use crate::error::Result;
    use crate::file_names::FileName;
    use crate::ids::{CollectionId, Lsn};
    use crate::keys::Keys;
    use crate::limits::SECTOR_SIZE_BYTES;
    use crate::options::Options;
    use crate::record::Record;
    use crate::store::Store;
    use crate::sync::Arc;
    use crate::vfs::{Access, Disk};
    use crate::wal::codecs::{LogCodecs, LogFileIdentity};
    use crate::wal::frame::{Batch, FrameKind, FramePlan, Section, encode};
    use crate::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};

    /// Writes a batch behind the first one of a store's log, as no version does.
    fn append(env: &Env, sections: Vec<Section>) -> Result<()> {
        let disk = Disk::new(Arc::clone(&env.vfs), Path::new(&env.dir));
        let mut names = disk.read_dir(disk.root())?.into_iter().map(|entry| entry.name);
        let is_log = |name: &String| matches!(FileName::parse(name), Some(FileName::Log(..)));
        let name = names.rfind(is_log).expect("a log");
        let file = disk.open(&name, Access::ReadWrite)?;
        let mut header = [0; LOG_HEADER_SIZE_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let LogHeader { store, salt, .. } = LogHeader::decode(&header)?;
        let at = (LOG_HEADER_SIZE_BYTES + SECTOR_SIZE_BYTES) as u64;
        let (first, kind) = (Lsn(2), FrameKind::Batch);
        let plan = FramePlan { first, durable: Lsn(0), kind, ends_group: true };
        let mut codecs = LogCodecs::new(Arc::new(Keys::plain()), LogFileIdentity { store, salt });
        let mut frame = Vec::new();
        encode(&mut frame, at, &plan, &Batch { sections }, &mut codecs)?;
        file.write_all_at(&frame, at)
    }

    fn section(collection: u64, records: &[Record<'_>]) -> Section {
        let mut section = Section::new(CollectionId(collection));
        records.iter().for_each(|record| section.push(record));
        section
    }

    #[test]
    fn batch_of_which_one_record_is_refused_is_not_shown() -> Result<()> {
        let descriptor = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
        let encoded = descriptor.encode();
        let create = |name| Record::CreateCollection { name, descriptor: &encoded };
        let row = |external_id, vector| Record::Upsert { external_id, vector, payload: b"{}" };
        let cases = [
            vec![section(2, &[create("b")]), section(3, &[create("a")])],
            vec![section(1, &[row("x", &[0; 4]), row("y", &[0; 3])])],
            vec![section(1, &[row("x", &[0; 4])]), section(2, &[create("b")]), section(9, &[])],
        ];
        for (case, sections) in cases.into_iter().enumerate() {
            let env = Env::memory();
            let store = Store::open_with(env.clone(), Options::default())?;
            let id = store.create_collection("a", descriptor.clone())?;
            drop(store);
            append(&env, sections)?;
            let error = Store::open_with(env.clone(), Options::default()).expect_err("refused");
            let (store, lost) = Store::open_salvage_with(env, Options::default())?;
            assert_eq!(lost.len(), 1, "case {case}");
            assert_eq!(lost[0].to_string(), error.to_string(), "case {case}");
            assert_eq!(store.collection_names()?, ["a"], "case {case}");
            assert_eq!((store.len(id)?, store.scan(id)?.count()), (0, 0), "case {case}");
            assert_eq!(store.stats()?.last_lsn, Lsn(1), "case {case}");
        }
        Ok(())
    }
}
