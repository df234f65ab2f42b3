//! The wrapper of the seam that carries the planted bugs: names and directories.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use quiver_store::file_names::{CURRENT, FileName};
use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};

use super::Bug;
use super::books::{Beneath, Books, orphans};
use super::copying::Elsewhere;
use super::file::PlantedFile;
use super::log_view::LogView;
use crate::disk::site_name;

/// Call sites of syncs, and how often each was reached.
pub type SyncSites = BTreeMap<String, u64>;

/// One process of the wrong engine.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) bug: Bug,
    dir: PathBuf,
    inner: Arc<dyn Vfs>,
    sites: Arc<Mutex<SyncSites>>,
    /// A directory whose sync waits for the next rename.
    deferred: Mutex<Option<(PathBuf, CallSite)>>,
    books: Mutex<Books>,
    pub(super) elsewhere: Elsewhere,
}

#[derive(Debug)]
pub(super) struct PlantedVfs(Arc<Process>);

/// A lock that holds nothing.
#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

impl PlantedVfs {
    pub(super) fn new(
        inner: Arc<dyn Vfs>,
        dir: PathBuf,
        bug: Bug,
        sites: Arc<Mutex<SyncSites>>,
    ) -> Self {
        let (deferred, books) = (Mutex::default(), Mutex::default());
        let elsewhere = Elsewhere::default();
        Self(Arc::new(Process { bug, dir, inner, sites, deferred, books, elsewhere }))
    }

    fn wrap(&self, inner: Arc<dyn File>, path: &Path, is_new: bool) -> Arc<dyn File> {
        Arc::new(PlantedFile::new(Arc::clone(&self.0), inner, path, is_new))
    }
}

impl Process {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nothing panics while it is held")
    }

    /// Whether a path is in the store's directory, and not in that of a backup.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        path.starts_with(&self.dir)
    }

    pub(super) fn beneath(&self, site: CallSite) -> Beneath<'_> {
        Beneath { vfs: &*self.inner, dir: &self.dir, site }
    }

    /// Counts a sync; whether its site is switched off.
    pub(super) fn elides(&self, site: CallSite) -> bool {
        // Only the survey and the elision need names: they cost more than the sync itself.
        match &self.bug {
            Bug::None => {
                let mut sites = self.sites.lock().expect("nothing panics while it is held");
                *sites.entry(site_name(site)).or_default() += 1;
                false
            }
            Bug::ElidedSync(name) => site_name(site) == *name,
            _ => false,
        }
    }

    /// Before this process makes its first file: it knows the store now and has changed nothing.
    fn before_first_file(&self, site: CallSite) {
        let mut books = self.books();
        books.begin(self.beneath(site));
        if self.bug == Bug::SweepBeforePublish && !std::mem::replace(&mut books.has_swept, true) {
            let entries = self.inner.read_dir(&self.dir, site).unwrap_or_default();
            let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
            self.beneath(site).remove(books.orphans(&names));
        }
    }

    /// Before the rename of a publish.
    fn before_publish(&self, site: CallSite) {
        let change = self.books().change();
        if let (Bug::ReclaimBeforePublish, Some((old, _))) = (&self.bug, change) {
            self.beneath(site).remove(old);
        }
    }

    /// Behind the rename of a publish.
    fn after_rename(&self, renamed: bool, site: CallSite) {
        let mut books = self.books();
        let change = books.change();
        if renamed {
            books.renamed();
        }
        match (&self.bug, change) {
            (Bug::ReclaimBeforeDirectorySync, Some((old, _))) if renamed => {
                self.beneath(site).remove(old);
            }
            (Bug::UndoAfterFailedPublish, Some((_, new))) if !renamed => {
                self.beneath(site).remove(new);
            }
            _ => {}
        }
    }

    /// Behind the sync of the store's directory.
    fn after_directory_sync(&self, synced: bool, site: CallSite) {
        let mut books = self.books();
        let Some((old, new)) = books.unsynced() else { return };
        let beneath = self.beneath(site);
        if synced {
            beneath.remove(books.synced());
        }
        match self.bug {
            Bug::ReclaimAfterFailedPublish if !synced => beneath.remove(old),
            Bug::UndoAfterFailedPublish if !synced => beneath.remove(new),
            Bug::ReclaimUnderReader if synced => {
                let segments = old.into_iter().filter(|name| is_segment(name));
                let segments: Vec<String> = segments.collect();
                books.gone.extend(segments.iter().map(|name| self.dir.join(name)));
                beneath.remove(segments);
            }
            _ => {}
        }
    }

    /// Whether the engine only believes that it removed a file.
    fn keeps(&self, name: &str) -> bool {
        let mut books = self.books();
        match (&self.bug, FileName::parse(name)) {
            (Bug::OwnSegmentsStay, Some(FileName::Segment(..))) => books.own.contains(name),
            (Bug::ReserveStays, Some(FileName::Reserve(..))) => true,
            _ => books.keeps(name),
        }
    }

    pub(super) fn keeps_books(&self) -> bool {
        self.bug.keeps_books()
    }
}

impl Bug {
    /// Whether the bug has to know the manifests; looking them up costs reads.
    pub(super) fn keeps_books(&self) -> bool {
        matches!(
            self,
            Bug::Resealed
                | Bug::TombstonesUnnamed
                | Bug::StaleTombstones
                | Bug::OneTombstoneFileOfTwo
                | Bug::MergeLosesTombstones
                | Bug::MergeKeepsAnInput
                | Bug::MergeLosesASegment
                | Bug::CheckpointDropsUnsealedLog
                | Bug::SealedOneTooFar
                | Bug::CheckpointForgetsACollection
                | Bug::DroppedCollectionStays
                | Bug::CollectionIdsGivenAgain
                | Bug::EndedLogOneShort
                | Bug::ReclaimBeforePublish
                | Bug::ReclaimBeforeDirectorySync
                | Bug::ReclaimAfterFailedPublish
                | Bug::UndoAfterFailedPublish
                | Bug::SweepBeforePublish
                | Bug::ReclaimUnderReader
                | Bug::DropRemovesSegmentsAtOnce
                | Bug::BatchInTwoFrames
                | Bug::NothingParked
                | Bug::ParkedReplaced
        )
    }
}

fn is_segment(name: &str) -> bool {
    matches!(FileName::parse(name), Some(FileName::Segment(..)))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Vfs for PlantedVfs {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        if self.0.keeps_books() {
            self.0.before_first_file(site);
        }
        let file = self.0.inner.create_new(path, site)?;
        if self.0.is_own(path) {
            self.0.books().created(&name_of(path));
        }
        Ok(self.wrap(file, path, true))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        let file = self.0.inner.open(path, access, site)?;
        if matches!(FileName::parse(&name_of(path)), Some(FileName::Log(..))) {
            match self.0.bug {
                Bug::TornFrameAccepted => return LogView::accepting_torn_frames(&*file, site),
                Bug::RecoveryThatOnlySyncs => return LogView::synced_and_closed(&*file, site),
                Bug::InvalidFrameEndsLog => {
                    return LogView::ending_at_first_invalid(&*file, site);
                }
                Bug::TornTailRefused => return LogView::refusing_torn_tail(&*file, site),
                Bug::ReplaySkipsDeletions => return LogView::without_deletions(&*file, site),
                _ => {}
            }
        }
        Ok(self.wrap(file, path, false))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        let publishes = self.0.keeps_books() && name_of(to) == CURRENT && self.0.is_own(to);
        if publishes {
            self.0.before_publish(site);
        }
        let renamed = self.0.inner.rename(from, to, site);
        if publishes {
            self.0.after_rename(renamed.is_ok(), site);
        }
        renamed?;
        let deferred = self.0.deferred.lock().expect("nothing panics while it is held").take();
        match deferred {
            Some((path, site)) => self.0.inner.sync_dir(&path, site),
            None => Ok(()),
        }
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        if self.0.is_own(path) && self.0.keeps(&name_of(path)) {
            return Ok(());
        }
        self.0.inner.unlink(path, site)
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.0.inner.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        let mut entries = self.0.inner.read_dir(path, site)?;
        if self.0.bug == Bug::ReusedFileNames && path == self.0.dir {
            let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
            let beneath = self.0.beneath(site);
            let gone = orphans(beneath.manifest().as_ref(), &names);
            entries.retain(|entry| !gone.contains(&entry.name));
            beneath.remove(gone);
        }
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        if self.0.elides(site) {
            return Ok(());
        }
        match self.0.bug {
            Bug::UnsyncedDirectory => return Ok(()),
            Bug::ReorderedRename => {
                let mut deferred = self.0.deferred.lock().expect("nothing panics while it is held");
                *deferred = Some((path.to_path_buf(), site));
                return Ok(());
            }
            _ => {}
        }
        let synced = self.0.inner.sync_dir(path, site);
        if self.0.keeps_books() && path == self.0.dir {
            self.0.after_directory_sync(synced.is_ok(), site);
        }
        match self.0.bug {
            Bug::SyncErrorIgnored => Ok(()),
            Bug::FailedDirectorySyncRetried if synced.is_err() => self.0.inner.sync_dir(path, site),
            _ => synced,
        }
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        match self.0.inner.lock(path, access, site) {
            Err(error)
                if self.0.bug == Bug::LockExcludesNobody
                    && error.kind() == io::ErrorKind::WouldBlock =>
            {
                Ok(Box::new(NoLock))
            }
            locked => locked,
        }
    }
}
