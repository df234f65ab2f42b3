//! The operating system behind the seam, with its calls counted.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quiver_store::limits::ALLOCATION_ZEROED_BYTES_MAX;
use quiver_store::vfs::os::OsVfs;
use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};

/// [`OsVfs`] that counts.
#[derive(Debug, Default)]
pub(crate) struct CountedVfs {
    os: OsVfs,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    syncs: AtomicU64,
    reads: AtomicU64,
    written_bytes: AtomicU64,
}

#[derive(Debug)]
struct CountedFile {
    file: Arc<dyn File>,
    counts: Arc<Counts>,
}

impl CountedVfs {
    /// Syncs of files and directories so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.counts.syncs.load(Ordering::Relaxed)
    }

    /// Runs of bytes read from files so far.
    pub(crate) fn reads(&self) -> u64 {
        self.counts.reads.load(Ordering::Relaxed)
    }

    /// Bytes written to files so far, with the zeros that an allocation fills space with.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.counts.written_bytes.load(Ordering::Relaxed)
    }

    fn counted(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(CountedFile { file, counts: Arc::clone(&self.counts) })
    }
}

impl Vfs for CountedVfs {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(self.os.create_new(path, site)?))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(self.os.open(path, access, site)?))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        self.os.rename(from, to, site)
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.os.unlink(path, site)
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.os.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.os.read_dir(path, site)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        self.os.sync_dir(path, site)
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.os.lock(path, access, site)
    }
}

impl File for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_at(buf, offset, site)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        let written = self.file.write_at(bytes, offset, site)?;
        self.counts.written_bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        let growth = len.saturating_sub(self.file.len(site)?);
        self.file.allocate(len, site)?;
        if growth <= ALLOCATION_ZEROED_BYTES_MAX {
            self.counts.written_bytes.fetch_add(growth, Ordering::Relaxed);
        }
        Ok(())
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.file.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync_data(site)
    }
}
