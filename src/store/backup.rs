//! Backup: copies the store, as it is at one LSN, into another directory; and back.
//!
//! | step | a crash before the next leaves in the target |
//! |---|---|
//! | 1 make the directory, lock it, leave a marker that says whose backup is being made | nothing, or the marker |
//! | 2 copy each file that the manifest names, page by page held against its checksum, and sync it | an unfinished backup, which no open takes for a store |
//! | 3 publish a manifest in which the last log ends at the LSN | a store, with the marker |
//! | 4 remove the marker | the same |
//!
//! - U1. A backup is a store of the same id: every file is the byte string that it was, under its name.
//! - U2. It shows what was durable when it began, whatever is written, sealed or merged meanwhile: until
//!   it ends nothing is removed that it has to copy.
//! - U3. Damage is not copied: the file is named, and the backup is not made.
//! - U4. Begun again in the same directory it goes on: what is there already and checks out is not copied
//!   again. But it is written again where it is, over itself: a sync of it may have failed, and then it
//!   reads well, counts as clean, and is lost with power. Names cannot be made again so. The directory is
//!   synced at the end only, which the marker says before; a try that finds that said begins anew.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::file_names::{BACKUP, FileName, LOCK};
use crate::ids::{Lsn, ManifestVersion};
use crate::manifest::Manifest;
use crate::store::backup_keys::{BackupKeys, KeySet};
use crate::store::create::{Listing, create_dirs};
use crate::store::load::open_named;
use crate::store::on_disk::{OnDisk, Tools, files_of};
use crate::store::publish::publish;
use crate::store::reclaim::discard;
use crate::store::stored::StoredFile;
use crate::store::tail::end_last_log;
use crate::store::{Inner, Store};
use crate::sync::{locked, reading};
use crate::vfs::{Access, Disk, DiskFile, Lock};

/// How far [`Store::backup_to`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// The file that is being copied.
    pub file: String,
    /// Bytes copied so far, or found in place.
    pub bytes_done: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// What [`Store::backup_to`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// LSN of the last operation that the backup shows.
    pub lsn: Lsn,
    /// Files copied now.
    pub files_copied: u64,
    /// Files that an earlier try had copied.
    pub files_kept: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Whether the backup is there: false where it was called off. Begun again, it goes on.
    pub is_complete: bool,
}

/// A copy under way.
struct Copy<'a, F> {
    from: Tools<'a>,
    manifest: &'a Manifest,
    to: &'a Disk,
    progress: F,
    at: BackupProgress,
    report: BackupReport,
}

/// Keeps files from being removed.
struct Hold<'a> {
    inner: &'a Inner,
    names: Vec<String>,
}

impl Store {
    /// Copies the store as it is now into another directory of its disk, while it is read and written.
    /// The copy is a store: it opens like any other. It must be a directory of its own, empty or missing,
    /// or one in which an earlier try ended early, which is gone on with.
    ///
    /// Every page is held against its checksum on the way. `progress` is called between reads and says
    /// whether to go on.
    ///
    /// *Durability*: once this returned a complete report, the backup survives power loss. The space
    /// that merges and checkpoints free stays taken until it ends.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a store, or an unfinished backup of another one; `InvalidArgument` if
    /// there is anything else; `Corrupt` naming a file of this store that is damaged; `Locked`; `Full`
    /// and `Io`: begun again in the same directory it goes on.
    ///
    /// # Examples
    /// ```no_run
    /// # use std::ops::ControlFlow;
    /// # let store = quiver_store::Store::open("/var/lib/points")?;
    /// let report = store.backup_to("/mnt/backup/points", |_| ControlFlow::Continue(()))?;
    /// println!("{} bytes, up to LSN {}", report.bytes, report.lsn);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn backup_to(
        &self,
        dir: impl AsRef<Path>,
        progress: impl FnMut(&BackupProgress) -> ControlFlow<()>,
    ) -> Result<BackupReport> {
        self.backup_with(dir, &BackupKeys::default(), progress)
    }

    /// As [`Store::backup_to`], and says what becomes of the keys of an encrypted store; that call leaves
    /// them out.
    ///
    /// # Errors
    /// Those of [`Store::backup_to`]; `InvalidArgument` for a ring without a master key.
    pub fn backup_with(
        &self,
        dir: impl AsRef<Path>,
        keys: &BackupKeys,
        progress: impl FnMut(&BackupProgress) -> ControlFlow<()>,
    ) -> Result<BackupReport> {
        let inner = &*self.inner;
        inner.observing.check_outside()?;
        let to = inner.disk.at(dir.as_ref());
        let (manifest, lsn, keys, _hold) = inner.guarded("a backup", || self.pin(keys))?;
        let (listing, lock) = prepare_target(inner, &to)?;
        let mut files = StoredFile::list(&manifest);
        files.retain(|file| !matches!(file.name, FileName::Key(_)));
        let bytes = files.iter().map(|file| file.len).fold(0, u64::saturating_add);
        let mut copy = Copy {
            from: inner.tools(),
            manifest: &manifest,
            to: &to,
            progress,
            at: BackupProgress { bytes, ..BackupProgress::default() },
            report: BackupReport { lsn, bytes, ..BackupReport::default() },
        };
        for file in &files {
            if copy.file(file)?.is_break() {
                return Ok(copy.report);
            }
        }
        let mut report = copy.report;
        keys.write(&to)?;
        finish(inner, &to, manifest, &keys, listing, lock)?;
        report.is_complete = true;
        tracing::info!(to = %to.root().display(), lsn = lsn.0, bytes, "backup");
        Ok(report)
    }

    /// Copies a backup, or any store that nobody has open for writing, into another directory of the
    /// operating system: [`Store::open_read_only`] and [`Store::backup_to`] in one.
    ///
    /// # Errors
    /// Those of both.
    pub fn restore(
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        progress: impl FnMut(&BackupProgress) -> ControlFlow<()>,
    ) -> Result<BackupReport> {
        Self::open_read_only(from)?.backup_to(to, progress)
    }

    /// The manifest of a backup that is begun now, its last LSN, its keys, and a hold on its files.
    fn pin(&self, keys: &BackupKeys) -> Result<(Manifest, Lsn, KeySet, Hold<'_>)> {
        let inner = &*self.inner;
        let mut on_disk = self.lock_on_disk()?;
        if on_disk.is_partial {
            let what =
                "the store is damaged, and shown in part: `salvage_to` copies what can be read";
            return Err(Error::corrupt(what));
        }
        let mut manifest = on_disk.manifest.clone();
        end_last_log(&mut manifest, on_disk.log_end);
        let keys = KeySet::read(inner, &on_disk, keys)?;
        // Keys are no part of it, or are read at once: none is kept from being destroyed.
        let is_copied = |name: &FileName| !matches!(name, FileName::Key(_));
        let names = files_of(&manifest).filter(is_copied);
        let names: Vec<String> = names.map(FileName::text).collect();
        for name in &names {
            *on_disk.held.entry(name.clone()).or_default() += 1;
        }
        let lsn = reading(&inner.live)?.last;
        Ok((manifest, lsn, keys, Hold { inner, names }))
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let Ok(mut on_disk) = locked(&self.inner.on_disk) else { return };
        for name in &self.names {
            if let Some(holders) = on_disk.held.get_mut(name) {
                *holders -= 1;
                if *holders == 0 {
                    on_disk.held.remove(name);
                }
            }
        }
    }
}

impl<F: FnMut(&BackupProgress) -> ControlFlow<()>> Copy<'_, F> {
    fn file(&mut self, stored: &StoredFile) -> Result<ControlFlow<()>> {
        self.at.file = stored.name.text();
        let name = self.at.file.clone();
        let before = self.at.bytes_done;
        match self.to.open(&name, Access::Read) {
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {}
            Err(error) => return Err(error),
            Ok(found) if found.len_bytes()? == stored.len => {
                let target = self.to.open(&name, Access::ReadWrite)?;
                match self.walk(stored, &found, Some(&target)) {
                    Ok(flow) => {
                        target.sync_data()?;
                        self.report.files_kept += u64::from(flow.is_continue());
                        return Ok(flow);
                    }
                    Err(error) if error.kind() == ErrorKind::Corrupt => self.to.unlink(&name)?,
                    Err(error) => return Err(error),
                }
            }
            Ok(_) => self.to.unlink(&name)?,
        }
        self.at.bytes_done = before;
        let source = open_named(self.from.disk, &name)?;
        let target = self.to.create_new(&name)?;
        let flow = self.walk(stored, &source, Some(&target))?;
        target.sync_data()?;
        self.report.files_copied += u64::from(flow.is_continue());
        Ok(flow)
    }

    /// Reads a file, holds it against what the manifest says, and writes it to another.
    fn walk(
        &mut self,
        stored: &StoredFile,
        source: &DiskFile,
        target: Option<&DiskFile>,
    ) -> Result<ControlFlow<()>> {
        let (at, progress) = (&mut self.at, &mut self.progress);
        stored.walk(&self.from, self.manifest.store, source, target, |bytes| {
            at.bytes_done += bytes;
            progress(at)
        })
    }
}

/// What the marker says in front of the sync of the names.
const NAMING: &str = "its names are being made durable\n";

/// Makes the directory and locks it, and leaves a marker in it that says whose backup is made there.
fn prepare_target(inner: &Inner, to: &Disk) -> Result<(Listing, Box<dyn Lock>)> {
    let dir = to.root().display();
    let taken = |what: &str| Err(Error::new(ErrorKind::AlreadyExists, format!("{dir} {what}")));
    const OTHER: &str = "is the unfinished backup of another store: choose an empty directory";
    create_dirs(to)?;
    // Before the lock, which makes a file.
    let found = Listing::of(to.read_dir(to.root())?);
    if found.has_current {
        return taken("holds a store: choose an empty directory");
    }
    if !found.files.contains(BACKUP) {
        found.check_empty(to)?;
    }
    let lock = to.lock(LOCK, Access::ReadWrite).map_err(|error| match error.io_kind() {
        Some(std::io::ErrorKind::WouldBlock) => {
            Error::new(ErrorKind::Locked, format!("{dir} is open or being written elsewhere"))
        }
        _ => error,
    })?;
    let listing = Listing::of(to.read_dir(to.root())?);
    if listing.has_current {
        return taken("holds a store: choose an empty directory");
    }
    let text = format!("backup of store {:032x}\n", u128::from_be_bytes(inner.store.0));
    if listing.files.contains(BACKUP) {
        let mut found = vec![0; text.len() + NAMING.len()];
        let file = to.open(BACKUP, Access::ReadWrite)?;
        let len = file.read_up_to(&mut found, 0)?;
        let is_alone = listing.files.len() == 1;
        if found[..len] == *text.as_bytes() && !is_alone {
            // Its name is durable: nothing was copied before.
            write_marker(&file, &text, 0)?;
            return Ok((listing, lock));
        }
        // A crash leaves one that is torn, and nothing else; so does a sync that failed, of a sound one.
        if !is_alone && !found.starts_with(text.as_bytes()) {
            return taken(OTHER);
        }
        // The marker last: it says that the others may go.
        for name in listing.files.iter().filter(|name| *name != BACKUP) {
            to.unlink(name)?;
        }
        to.unlink(BACKUP)?;
    } else {
        listing.check_empty(to)?;
    }
    write_marker(&to.create_new(BACKUP)?, &text, 0)?;
    to.sync_dir(to.root())?;
    Ok((Listing::of(to.read_dir(to.root())?), lock))
}

/// Writes a part of the marker and makes it durable; its name is not.
fn write_marker(file: &DiskFile, text: &str, offset: u64) -> Result<()> {
    file.write_all_at(text.as_bytes(), offset)?;
    file.sync_data()
}

/// Makes a store of what was copied.
fn finish(
    inner: &Inner,
    to: &Disk,
    manifest: Manifest,
    keys: &KeySet,
    listing: Listing,
    lock: Box<dyn Lock>,
) -> Result<()> {
    let tools = Tools { disk: to, keys: &keys.keys, ..inner.tools() };
    let is_key = |name: &FileName| matches!(name, FileName::Key(_));
    let named = files_of(&manifest).filter(|name| !is_key(name)).map(FileName::text);
    let named: BTreeSet<String> = named.chain(keys.names()).collect();
    let mut leftover = listing.files;
    leftover.retain(|name| !named.contains(name) && name != BACKUP);
    let mut on_disk = OnDisk {
        next_version: listing.next_version.max(ManifestVersion(manifest.version.0 + 1)),
        next_file: listing.next_file.max(manifest.next_file),
        orphans: leftover,
        ..OnDisk::new(manifest, Some(lock))
    };
    let marker = to.open(BACKUP, Access::ReadWrite)?;
    write_marker(&marker, NAMING, marker.len_bytes()?)?;
    publish(&tools, &mut on_disk, |_| {}).map_err(|error| match error.kind() {
        ErrorKind::Latched => error.reported_as(ErrorKind::Io, "the backup may be there or not"),
        _ => error,
    })?;
    discard(&tools, &mut on_disk, [BACKUP.to_owned()]);
    Ok(())
}
