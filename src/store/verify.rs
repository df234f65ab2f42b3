//! Verify: reads every page of every file that the manifest names, and holds the files against each other.
//!
//! | file | as it stands | against others |
//! |---|---|---|
//! | `CURRENT`, manifest | checksums, places, schemas | the manifest that this process has |
//! | logs | every frame up to the last durable record | ends and LSNs as in the manifest |
//! | keys | checksums; each opens under the store key | collections, also those that only the log knows |
//! | segments | every page, every row but the vectors' elements | indexes against payloads; an id is live in one segment at most |
//! | tombstones | every page | the segment they are of |
//! | index snapshots, changes, parked records | every page | digests as in the manifest |
//!
//! - Q1. Nothing is changed, and nobody waits: files are read as a reader's are, under no lock, and a file that
//!   a publish replaces meanwhile is passed over.
//! - Q2. What is found does not end it: every file is looked at, and each finding names its own.
//! - Q3. A collection of which something is found takes no writes from then on (D2).

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::codec::PageCodec;
use crate::collection::LiveSegment;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::{CURRENT, FileName};
use crate::ids::{CollectionId, FileId, Salt};
use crate::keys::Keys;
use crate::manifest::index_snapshots::IndexSnapshotEntry;
use crate::manifest::{CollectionEntry, LogEnd, LogEntry, Manifest};
use crate::options::Options;
use crate::page::{PagePlace, PageType};
use crate::paged_file::{self, Written};
use crate::segment::{RunBytes, Seen, Tombstones};
use crate::store::live_once::LiveOnce;
use crate::store::load::{
    Mode, load_collection, load_parked, load_segment, open_named, read_manifest, read_parked,
};
use crate::store::on_disk::{Tools, files_of};
use crate::store::recovery::lock_to_read;
use crate::store::snapshot::Snapshot;
use crate::store::stored::StoredFile;
use crate::store::{Inner, Store};
use crate::sync::{Arc, reading};
use crate::vfs::{Access, Disk};
use crate::wal::reader::{Expected, LogReader};

/// What [`Store::verify`] does beside reading every page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Whether rows, filters and indexes are held against each other as well. Default true. Without it
    /// every byte is still read once and held against its checksum.
    pub contents: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { contents: true }
    }
}

/// How far [`Store::verify`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// The file that is being read.
    pub file: String,
    /// Bytes of files read so far.
    pub bytes_done: u64,
    /// Bytes of all files that were there at the start.
    pub bytes: u64,
}

/// Something that is not as it should be.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file's name in the store's directory.
    pub file: String,
    /// Whose file it is; none where it is the whole store's.
    pub collection: Option<CollectionId>,
    /// What is wrong: `Corrupt`; `KeyUnavailable` for a key that does not open under that of the store; `Io`
    /// where it could not be read.
    pub error: Error,
}

/// What [`Store::verify`] has looked at and found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Files that were read to their end.
    pub files: u64,
    /// Bytes that were read and held against a checksum.
    pub bytes: u64,
    /// Rows of segments that were looked at, dead ones included; 0 without
    /// [`VerifyOptions::contents`].
    pub rows: u64,
    /// What was found, in the order of the files.
    pub findings: Vec<Finding>,
    /// Whether it went to its end: false where it was called off.
    pub is_complete: bool,
}

impl Store {
    /// Reads every page of every file and holds the files against each other. Readers and writers go on
    /// meanwhile. `progress` is called between reads and says whether to go on.
    ///
    /// What is found stands in the report; a collection of which something is found takes no writes from
    /// then on, until its file is put back and the store is opened again.
    ///
    /// *Units and limits*: memory for one run of [`crate::Options::step_bytes`] and of
    /// [`crate::Options::read_ahead_bytes`], for the filters and a run of ids of each segment of a
    /// collection, and for a part of an index ([`crate::Options::index_bytes_max`] when it was made).
    ///
    /// # Errors
    /// `Closed`; `Latched` if a thread panicked inside the store.
    ///
    /// # Examples
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use quiver_store::{Env, Options, Store, VerifyOptions};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()))?;
    /// assert!(report.is_complete && report.findings.is_empty());
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn verify(
        &self,
        options: VerifyOptions,
        progress: impl FnMut(&VerifyProgress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        let inner = &*self.inner;
        inner.observing.check_outside()?;
        let (snapshot, manifest, log_end) = {
            let on_disk = self.lock_on_disk()?;
            (self.snapshot()?, on_disk.manifest.clone(), on_disk.log_end)
        };
        let logs = manifest.logs.iter().map(|log| log.end.unwrap_or(log_end).offset);
        let segments = manifest.segments.iter().map(|entry| entry.len);
        let others = manifest.tombstones.iter().map(|entry| entry.len);
        let others = others.chain(manifest.parked.iter().map(|entry| entry.len));
        let others = others.chain(manifest.index_snapshots.iter().flat_map(|entry| {
            std::iter::once(entry.len).chain(entry.changes.map(|changes| changes.len))
        }));
        let bytes = logs.chain(segments).chain(others).fold(0, u64::saturating_add);
        let mut verifier = Verifier {
            inner,
            snapshot,
            manifest,
            log_end,
            options,
            progress,
            at: VerifyProgress { bytes, ..VerifyProgress::default() },
            report: VerifyReport::default(),
        };
        let flow = verifier.run()?;
        let mut report = verifier.report;
        report.is_complete = flow.is_continue();
        if !self.lock_on_disk()?.is_read_only {
            for finding in report.findings.iter().filter(|finding| finding.harms_rows()) {
                let id = finding.collection.expect("only files of collections harm their rows");
                inner.note_damage(id, &finding.error)?;
            }
        }
        Ok(report)
    }
}

impl Store {
    /// Reads every page of every file of a directory of the operating system, as it is stored: nothing is
    /// opened, no row is looked at, and no key is needed. For backups, and for a store that nobody has open
    /// for writing.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Locked`; `Io` if the directory cannot be read. What is wrong
    /// with a file stands in the report.
    ///
    /// # Examples
    /// ```no_run
    /// # use std::ops::ControlFlow;
    /// use quiver_store::Store;
    /// let report = Store::verify_without_keys("/mnt/backup/points", |_| ControlFlow::Continue(()))?;
    /// report.findings.iter().for_each(|found| println!("{}: {}", found.file, found.error));
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn verify_without_keys(
        dir: impl AsRef<Path>,
        progress: impl FnMut(&VerifyProgress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        Self::verify_without_keys_with(Env::os(dir.as_ref()), Options::default(), progress)
    }

    /// As [`Store::verify_without_keys`], on any disk and with settings.
    ///
    /// # Errors
    /// Those of [`Store::verify_without_keys`], and `InvalidArgument` for settings that make no sense.
    pub fn verify_without_keys_with(
        env: Env,
        options: Options,
        mut progress: impl FnMut(&VerifyProgress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        options.validate()?;
        let disk = Disk::new(Arc::clone(&env.vfs), &env.dir);
        let keys = Arc::new(Keys::plain());
        let tools = Tools { disk: &disk, entropy: &*env.entropy, options: &options, keys: &keys };
        let _lock = lock_to_read(&disk, Mode::Read)?.0;
        let mut report = VerifyReport::default();
        let find = |report: &mut VerifyReport, file: &str, collection, error| {
            let file = file.to_owned();
            report.findings.push(Finding { file, collection, error });
        };
        let manifest = match read_manifest(&tools) {
            Ok((manifest, _)) => manifest,
            Err(error) => {
                find(&mut report, CURRENT, None, error);
                report.is_complete = true;
                return Ok(report);
            }
        };
        let keys = Arc::new(Keys::keyless(manifest.codec));
        let tools = Tools { keys: &keys, ..tools };
        report.files = 2;
        let files = StoredFile::list(&manifest);
        let bytes = files.iter().map(|file| file.len).fold(0, u64::saturating_add);
        let mut at = VerifyProgress { bytes, ..VerifyProgress::default() };
        for file in files {
            at.file = file.name.text();
            let opened = match disk.open(&at.file, Access::Read) {
                // A backup may be without keys.
                Err(error)
                    if matches!(file.name, FileName::Key(_))
                        && error.io_kind() == Some(io::ErrorKind::NotFound) =>
                {
                    continue;
                }
                _ => open_named(&disk, &at.file),
            };
            let walked = opened.and_then(|source| {
                file.walk(&tools, manifest.store, &source, None, |bytes| {
                    at.bytes_done += bytes;
                    progress(&at)
                })
            });
            match walked {
                Ok(ControlFlow::Continue(())) => report.files += 1,
                Ok(ControlFlow::Break(())) => return Ok(report),
                Err(error) => find(&mut report, &at.file, file.collection, error),
            }
            report.bytes = at.bytes_done;
        }
        report.is_complete = true;
        Ok(report)
    }
}

impl Finding {
    /// Whether rows are concerned: an index snapshot can be built again.
    fn harms_rows(&self) -> bool {
        let name = FileName::parse(&self.file);
        let is_of_rows = matches!(
            name,
            Some(FileName::Segment(..) | FileName::Tombstones(..) | FileName::Parked(..))
        );
        is_of_rows && self.collection.is_some() && self.error.kind() == ErrorKind::Corrupt
    }
}

/// A verification under way.
pub(super) struct Verifier<'a, F> {
    pub(super) inner: &'a Inner,
    /// Keeps the segments for as long as they are read.
    pub(super) snapshot: Snapshot,
    pub(super) manifest: Manifest,
    pub(super) log_end: LogEnd,
    pub(super) options: VerifyOptions,
    pub(super) progress: F,
    pub(super) at: VerifyProgress,
    pub(super) report: VerifyReport,
}

impl<F: FnMut(&VerifyProgress) -> ControlFlow<()>> Verifier<'_, F> {
    fn run(&mut self) -> Result<ControlFlow<()>> {
        self.manifest_as_on_disk()?;
        for log in self.manifest.logs.clone() {
            let name = FileName::Log(log.file, log.salt.into());
            if self.look(name, None, |this| this.log(&log))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.keys()?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        for entry in self.manifest.collections.clone() {
            let id = entry.id;
            let flow = match self.inner.keys.of(id, self.manifest.key(id)) {
                Ok(_) if self.schema(&entry) => self.collection(id)?,
                // Without its key or its schema, only what is stored can be looked at.
                _ => self.walk(|name, of| of == Some(id) && !matches!(name, FileName::Key(_)))?,
            };
            if flow.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Looks at some of the stored files, as they are.
    fn walk(
        &mut self,
        wanted: impl Fn(&FileName, Option<CollectionId>) -> bool,
    ) -> Result<ControlFlow<()>> {
        for file in StoredFile::list(&self.manifest) {
            if !wanted(&file.name, file.collection) {
                continue;
            }
            let flow = self.look(file.name, file.collection, |this| {
                let inner = this.inner;
                let source = open_named(&inner.disk, &this.at.file)?;
                file.walk(&inner.tools(), inner.store, &source, None, |bytes| this.see(bytes))
            })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Looks at one file, and notes what is wrong with it unless it was replaced meanwhile (Q1).
    pub(super) fn look(
        &mut self,
        name: FileName,
        collection: Option<CollectionId>,
        check: impl FnOnce(&mut Self) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        self.at.file = name.text();
        let error = match check(self) {
            Ok(flow) => {
                self.report.files += u64::from(flow.is_continue());
                return Ok(flow);
            }
            Err(error) => error,
        };
        let on_disk = self.inner.lock_on_disk()?;
        // Keys of collections that only the log knows are named by no manifest yet.
        let is_key_of_log = || -> Result<bool> {
            let live = reading(&self.inner.live)?;
            Ok(live.version.collections.values().any(|found| FileName::Key(found.key) == name))
        };
        if files_of(&on_disk.manifest).any(|named| named == name) || is_key_of_log()? {
            tracing::error!(file = self.at.file, %error, "verify");
            self.report.findings.push(Finding { file: self.at.file.clone(), collection, error });
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Counts bytes that were read, and asks whether to go on.
    pub(super) fn see(&mut self, bytes: u64) -> ControlFlow<()> {
        self.report.bytes += bytes;
        self.at.bytes_done += bytes;
        (self.progress)(&self.at)
    }

    /// Reads a log to its end, or to the last record that is durable.
    fn log(&mut self, log: &LogEntry) -> Result<ControlFlow<()>> {
        let inner = self.inner;
        let file = open_named(&inner.disk, &self.at.file)?;
        let expected =
            Expected { store: inner.store, file: log.file, salt: log.salt, base: log.base };
        let window = inner.options.log_window_bytes;
        let mut reader = LogReader::start(file, &expected, window, &inner.keys)?;
        let end = log.end.unwrap_or(self.log_end);
        if end.lsn < log.base {
            return Ok(self.see(end.offset));
        }
        reader.read_closed(end.lsn, end.offset, |_| Ok(()))?;
        Ok(self.see(end.offset))
    }

    fn collection(&mut self, id: CollectionId) -> Result<ControlFlow<()>> {
        let collection = self.snapshot.collection_of(id).ok().cloned();
        let segments: Vec<_> =
            self.manifest.segments.iter().filter(|entry| entry.collection == id).copied().collect();
        // Those without findings whose dead rows are known.
        let mut sound: Vec<LiveSegment> = Vec::new();
        for entry in segments {
            let known = collection.as_deref().and_then(|collection| {
                collection.segments.iter().find(|live| live.entry.file == entry.file)
            });
            let known = known.cloned();
            let name = FileName::Segment(entry.file, entry.salt.into());
            let flow = self.look(name, Some(id), |this| match &known {
                Some(known) => this.segment(known, &sound),
                None => this.segment(&this.open_segment(id, entry.file)?, &[]),
            })?;
            if flow.is_break() || self.tombstones(id, entry.file)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if let Some(known) = known
                && self.is_without_findings(name)
            {
                sound.push(known);
            }
        }
        if let Some(entry) = self.manifest.index_snapshot(id).copied()
            && self.index_snapshot(&entry)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        self.parked(id)
    }

    fn is_without_findings(&self, name: FileName) -> bool {
        let name = name.text();
        !self.report.findings.iter().any(|finding| finding.file == name)
    }

    /// Opens a segment that is not open because something is wrong with it or its tombstones, without
    /// those.
    fn open_segment(&self, id: CollectionId, file: FileId) -> Result<LiveSegment> {
        let tools = self.inner.tools();
        let collection = load_collection(&tools, &self.manifest, self.listed(id))?;
        let shape = (collection.descriptor.row_stride(), collection.key);
        let entry = self.manifest.segment(file).expect("listed");
        load_segment(&tools, &self.manifest, *entry, shape, None)
    }

    fn listed(&self, id: CollectionId) -> &CollectionEntry {
        let place = self.manifest.collections.binary_search_by_key(&id, |entry| entry.id);
        &self.manifest.collections[place.expect("listed")]
    }

    /// Reads a segment whole; `others` are of the same collection.
    fn segment(&mut self, live: &LiveSegment, others: &[LiveSegment]) -> Result<ControlFlow<()>> {
        let inner = self.inner;
        let column = inner.options.read_ahead_bytes;
        let run = RunBytes { file: column.max(inner.options.step_bytes), column };
        let contents = self.options.contents;
        let see = |seen: Seen| {
            self.report.rows += seen.rows;
            self.see(seen.bytes)
        };
        if !contents {
            return live.segment.verify_pages(run.file, see);
        }
        let mut once = LiveOnce::new(live, others.iter())?;
        live.segment.verify_contents(&inner.cache, run, |ids| once.check(ids), see)
    }

    fn tombstones(&mut self, id: CollectionId, segment: FileId) -> Result<ControlFlow<()>> {
        let all = &self.manifest.tombstones;
        let Ok(place) = all.binary_search_by_key(&segment, |entry| entry.segment) else {
            return Ok(ControlFlow::Continue(()));
        };
        let listed = all[place];
        let entry = *self.manifest.segment(segment).expect("tombstones are of a segment");
        let name = FileName::Tombstones(listed.file, listed.salt.into());
        self.look(name, Some(id), |this| {
            let file = open_named(&this.inner.disk, &this.at.file)?;
            let codec = this.codec(id)?;
            Tombstones::read(&file, this.inner.store, &listed, &entry, &*codec)?;
            Ok(this.see(listed.len))
        })
    }

    fn index_snapshot(&mut self, entry: &IndexSnapshotEntry) -> Result<ControlFlow<()>> {
        let (id, salt) = (entry.collection, entry.salt);
        let listed = Written { len: entry.len, digest: entry.digest };
        let name = FileName::IndexSnapshot(entry.file, salt.into());
        let page_type = PageType::IndexSnapshot;
        let flow = self.look(name, Some(id), |this| this.paged(id, salt, page_type, listed))?;
        let Some(changes) = entry.changes.filter(|_| flow.is_continue()) else { return Ok(flow) };
        let salt = changes.salt;
        let listed = Written { len: changes.len, digest: changes.digest };
        let name = FileName::Changes(changes.file, salt.into());
        self.look(name, Some(id), |this| this.paged(id, salt, PageType::Changes, listed))
    }

    fn parked(&mut self, id: CollectionId) -> Result<ControlFlow<()>> {
        let entries = self.manifest.parked(id).to_vec();
        if entries.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let tools = self.inner.tools();
        let mut collection = load_collection(&tools, &self.manifest, self.listed(id));
        for entry in entries {
            let name = FileName::Parked(entry.file, entry.salt.into());
            let flow = self.look(name, Some(id), |this| {
                match &mut collection {
                    // As an open replays it: what cannot be applied is as lost as what cannot be read.
                    Ok(collection) => {
                        load_parked(&tools, &this.manifest, &entry, collection)?;
                    }
                    // Its key is missing, or its schema is a finding of the manifest.
                    Err(_) => drop(read_parked(&tools, &this.manifest, &entry)?),
                }
                Ok(this.see(entry.len))
            })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads a file that is one byte string.
    fn paged(
        &mut self,
        id: CollectionId,
        salt: Salt,
        page_type: PageType,
        listed: Written,
    ) -> Result<ControlFlow<()>> {
        let file = open_named(&self.inner.disk, &self.at.file)?;
        let first = self.place(id, salt, page_type);
        let codec = self.codec(id)?;
        paged_file::read_runs(&file, &first, &*codec, listed, |run| self.see(run.len() as u64))
    }

    fn codec(&self, id: CollectionId) -> Result<Arc<dyn PageCodec>> {
        self.inner.keys.of(id, self.manifest.key(id))
    }

    fn place(&self, collection: CollectionId, salt: Salt, page_type: PageType) -> PagePlace {
        PagePlace { store: self.inner.store, salt, collection, page_type, index: 0 }
    }
}
