//! The files that a manifest names, as byte strings: what each has to come to, told without opening any.
//!
//! **Place.** For whoever reads files whole and needs no row of them: a backup, and a verification
//! without keys. Pages are held against their checksums and places as they are stored.

use std::ops::ControlFlow;

use crate::cursor::{index, len_u32};
use crate::error::{Error, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, Salt, StoreId};
use crate::key_file::{self, KEY_FILE_SIZE_BYTES, KeyIdentity};
use crate::limits::PAGE_SIZE_BYTES;
use crate::manifest::{KeyEntry, LogEntry, Manifest};
use crate::page;
use crate::store::on_disk::Tools;
use crate::vfs::DiskFile;
use crate::wal::reader::{Expected, LogReader};

/// A file that a manifest names.
pub(super) struct StoredFile {
    pub(super) name: FileName,
    /// Whose it is; none for a log.
    pub(super) collection: Option<CollectionId>,
    pub(super) len: u64,
    salt: Salt,
    check: Check,
}

/// What its pages or frames have to come to.
enum Check {
    /// Digest of all pages.
    Digest(u32),
    /// Checksum of the last page.
    Footer(u32),
    Log(LogEntry),
    Key(KeyIdentity),
}

impl StoredFile {
    /// The files of a manifest but for itself, the logs last. A log without an end is as long as it is.
    pub(super) fn list(manifest: &Manifest) -> Vec<Self> {
        let key = |entry: &KeyEntry| {
            let (collection, key, store) = (entry.collection, entry.key, manifest.store);
            Self::of_key(KeyIdentity { store, key, collection })
        };
        let mut files: Vec<Self> = manifest.keys.iter().map(key).collect();
        let mut add = |name, collection, len, salt, check| {
            files.push(Self { name, collection, len, salt, check });
        };
        for entry in &manifest.segments {
            let name = FileName::Segment(entry.file, entry.salt.into());
            let check = Check::Footer(entry.footer);
            add(name, Some(entry.collection), entry.len, entry.salt, check);
        }
        for entry in &manifest.tombstones {
            let name = FileName::Tombstones(entry.file, entry.salt.into());
            let of = manifest.segment(entry.segment).map(|segment| segment.collection);
            add(name, of, entry.len, entry.salt, Check::Digest(entry.digest));
        }
        for entry in &manifest.index_snapshots {
            let of = Some(entry.collection);
            let name = FileName::IndexSnapshot(entry.file, entry.salt.into());
            add(name, of, entry.len, entry.salt, Check::Digest(entry.digest));
            if let Some(changes) = entry.changes {
                let name = FileName::Changes(changes.file, changes.salt.into());
                add(name, of, changes.len, changes.salt, Check::Digest(changes.digest));
            }
        }
        for entry in &manifest.parked {
            let name = FileName::Parked(entry.file, entry.salt.into());
            let check = Check::Digest(entry.digest);
            add(name, Some(entry.collection), entry.len, entry.salt, check);
        }
        for log in &manifest.logs {
            let name = FileName::Log(log.file, log.salt.into());
            let len = log.end.map_or(0, |end| end.offset);
            add(name, None, len, log.salt, Check::Log(*log));
        }
        files
    }

    /// The file of a key, which a manifest need not name yet.
    pub(super) fn of_key(identity: KeyIdentity) -> Self {
        let KeyIdentity { key, collection, .. } = identity;
        let collection = Some(collection).filter(|collection| collection.0 > 0);
        let (name, len) = (FileName::Key(key), KEY_FILE_SIZE_BYTES as u64);
        Self { name, collection, len, salt: Salt(key.0), check: Check::Key(identity) }
    }

    /// Reads it run by run, holds it against what the manifest says, and writes it to another. `see` is
    /// told the bytes read since, and says whether to go on.
    ///
    /// # Errors
    /// Those of the disk, and `Corrupt` naming the file.
    pub(super) fn walk(
        &self,
        tools: &Tools<'_>,
        store: StoreId,
        source: &DiskFile,
        target: Option<&DiskFile>,
        mut see: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let found = source.len_bytes()?;
        if let Check::Key(identity) = &self.check {
            let mut bytes = [0; KEY_FILE_SIZE_BYTES + 1];
            let len = source.read_up_to(&mut bytes, 0)?;
            key_file::verify(identity, &bytes[..len]).map_err(|error| named(source, error))?;
            return Ok(see(self.len));
        }
        let has_pages = !matches!(self.check, Check::Log(_));
        if found < self.len || (has_pages && found != self.len) {
            let what = format!("{found} bytes long, expected {}", self.len);
            return Err(named(source, Error::corrupt(what)));
        }
        let run = (tools.options.step_bytes / PAGE_SIZE_BYTES as u64).max(1);
        let mut bytes = vec![0; index(run * PAGE_SIZE_BYTES as u64)];
        let (mut at, mut digest, mut last) = (0, 0, 0);
        while at < self.len {
            let len = index((self.len - at).min(bytes.len() as u64));
            let run = &mut bytes[..len];
            source.read_exact_at(run, at)?;
            if has_pages {
                for (image, i) in run.chunks(PAGE_SIZE_BYTES).zip(at / PAGE_SIZE_BYTES as u64..) {
                    last = page::verify_stored(store, self.salt, len_u32(index(i)), image)
                        .map_err(|error| named(source, error))?;
                }
                digest = page::digest_append(digest, run);
            }
            if let Some(target) = target {
                target.write_all_at(run, at)?;
            }
            at += len as u64;
            if see(len as u64).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let (found, expected) = match &self.check {
            Check::Digest(expected) => (digest, *expected),
            Check::Footer(expected) => (last, *expected),
            Check::Key(_) => unreachable!("read whole above"),
            Check::Log(log) => {
                read_log(tools, store, log, source)?;
                // One without an end is read to where it stops.
                let rest = if log.end.is_none() { found } else { 0 };
                return Ok(see(rest));
            }
        };
        if found == expected {
            return Ok(ControlFlow::Continue(()));
        }
        let what = format!("digest {found:#010x}, expected {expected:#010x}");
        Err(named(source, Error::corrupt(what)))
    }
}

/// Reads every frame of a log up to its end; where it has none, to where it stops.
fn read_log(tools: &Tools<'_>, store: StoreId, log: &LogEntry, file: &DiskFile) -> Result<()> {
    let expected = Expected { store, file: log.file, salt: log.salt, base: log.base };
    let window = tools.options.log_window_bytes;
    let mut reader = LogReader::start(file.clone(), &expected, window, tools.keys)?;
    match log.end {
        Some(end) => reader.read_closed(end.lsn, end.offset, |_| Ok(())),
        None => {
            let last = reader.read_last(|_| Ok(()))?;
            if last.last >= log.durable {
                return Ok(());
            }
            let (found, expected) = (last.last, log.durable);
            let what = format!("ends at LSN {found}, but LSN {expected} is proved durable");
            Err(named(file, Error::corrupt(what)))
        }
    }
}

fn named(file: &DiskFile, error: Error) -> Error {
    let kind = error.kind();
    error.reported_as(kind, &file.path().display().to_string())
}
