//! The wrapper of the seam that carries the planted bugs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};

use super::Bug;
use super::log_view::LogView;
use crate::disk::site_name;

/// Call sites of syncs, and how often each was reached.
pub type SyncSites = BTreeMap<String, u64>;

#[derive(Debug)]
pub(super) struct PlantedVfs {
    inner: Arc<dyn Vfs>,
    bug: Bug,
    sites: Arc<Mutex<SyncSites>>,
    /// A directory whose sync waits for the next rename.
    deferred: Mutex<Option<(PathBuf, CallSite)>>,
}

#[derive(Debug)]
struct PlantedFile {
    inner: Arc<dyn File>,
    bug: Bug,
    sites: Arc<Mutex<SyncSites>>,
    is_log: bool,
    /// A sync that waits for the next write.
    deferred: AtomicBool,
}

impl PlantedVfs {
    pub(super) fn new(inner: Arc<dyn Vfs>, bug: Bug, sites: Arc<Mutex<SyncSites>>) -> Self {
        Self { inner, bug, sites, deferred: Mutex::default() }
    }

    fn wrap(&self, inner: Arc<dyn File>, path: &Path) -> Arc<dyn File> {
        let (bug, sites, is_log) = (self.bug.clone(), self.sites.clone(), is_log(path));
        Arc::new(PlantedFile { inner, bug, sites, is_log, deferred: AtomicBool::new(false) })
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wal")
}

/// Counts a sync; whether its site is switched off.
fn elided(bug: &Bug, sites: &Mutex<SyncSites>, site: CallSite) -> bool {
    // Only the survey and the elision need names: they cost more than the sync itself.
    match bug {
        Bug::None => {
            let mut sites = sites.lock().expect("nothing panics while it is held");
            *sites.entry(site_name(site)).or_default() += 1;
            false
        }
        Bug::ElidedSync(name) => site_name(site) == *name,
        _ => false,
    }
}

impl Vfs for PlantedVfs {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(self.inner.create_new(path, site)?, path))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        let file = self.inner.open(path, access, site)?;
        if is_log(path) {
            match self.bug {
                Bug::TornFrameAccepted => return LogView::accepting_torn_frames(&*file, site),
                Bug::RecoveryThatOnlySyncs => return LogView::synced_and_closed(&*file, site),
                _ => {}
            }
        }
        Ok(self.wrap(file, path))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        self.inner.rename(from, to, site)?;
        let deferred = self.deferred.lock().expect("nothing panics while it is held").take();
        match deferred {
            Some((path, site)) => self.inner.sync_dir(&path, site),
            None => Ok(()),
        }
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.unlink(path, site)
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.inner.read_dir(path, site)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        if elided(&self.bug, &self.sites, site) {
            return Ok(());
        }
        match self.bug {
            Bug::UnsyncedDirectory => Ok(()),
            Bug::ReorderedRename => {
                let mut deferred = self.deferred.lock().expect("nothing panics while it is held");
                *deferred = Some((path.to_path_buf(), site));
                Ok(())
            }
            Bug::SyncErrorIgnored => self.inner.sync_dir(path, site).or(Ok(())),
            _ => self.inner.sync_dir(path, site),
        }
    }

    fn lock(&self, path: &Path, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, site)
    }
}

impl File for PlantedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.inner.read_at(buf, offset, site)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        if self.deferred.swap(false, Ordering::Relaxed) {
            self.inner.sync_data(site)?;
        }
        let written = self.inner.write_at(bytes, offset, site);
        if self.bug == Bug::WriteErrorIgnored { written.or(Ok(bytes.len())) } else { written }
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        self.inner.allocate(len, site)
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.inner.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        if elided(&self.bug, &self.sites, site) {
            return Ok(());
        }
        match self.bug {
            Bug::LyingSync => Ok(()),
            Bug::AcknowledgedBeforeSync if self.is_log => {
                self.deferred.store(true, Ordering::Relaxed);
                Ok(())
            }
            Bug::SyncErrorIgnored => self.inner.sync_data(site).or(Ok(())),
            _ => self.inner.sync_data(site),
        }
    }
}
