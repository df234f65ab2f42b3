//! The seam with a look at all that is written through it.
//!
//! Every byte of an image was written by such a call, or is a zero of a length that was allocated; so
//! what stands in no write, nor across the seams between writes, stands in no image.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};

use super::Vault;
use super::needles::PIECE_BYTES;
use crate::disk::SimDisk;

/// A simulated disk that a vault looks at.
#[derive(Debug)]
pub(super) struct ScannedDisk {
    pub(super) disk: SimDisk,
    pub(super) vault: Arc<Vault>,
}

#[derive(Debug)]
struct ScannedFile {
    disk: SimDisk,
    vault: Arc<Vault>,
    inner: Arc<dyn File>,
    path: PathBuf,
}

impl ScannedDisk {
    fn wrap(&self, inner: Arc<dyn File>, path: &Path) -> Arc<dyn File> {
        let (disk, vault, path) = (self.disk.clone(), self.vault.clone(), path.to_owned());
        Arc::new(ScannedFile { disk, vault, inner, path })
    }
}

impl Vfs for ScannedDisk {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        self.vault.named(path);
        Ok(self.wrap(self.disk.create_new(path, site)?, path))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(self.disk.open(path, access, site)?, path))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        self.vault.named(to);
        self.disk.rename(from, to, site)
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.disk.unlink(path, site)
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.vault.named(path);
        self.disk.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.disk.read_dir(path, site)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.disk.sync_dir(path, site)
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path, access, site)
    }
}

impl File for ScannedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.inner.read_at(buf, offset, site)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.vault.written(&self.path, bytes, offset);
        // A piece may also come about across an end of what is written.
        const EDGE: usize = PIECE_BYTES - 1;
        let edge = bytes.len().min(EDGE);
        let mut seam = [0; 2 * EDGE];
        let before = usize::try_from(offset).unwrap_or(EDGE).min(EDGE);
        let there = self.disk.peek(&self.path, &mut seam[..before], offset - before as u64);
        seam[there..there + edge].copy_from_slice(&bytes[..edge]);
        self.vault.written(&self.path, &seam[..there + edge], offset);
        let mut seam = [0; 2 * EDGE];
        seam[..edge].copy_from_slice(&bytes[bytes.len() - edge..]);
        let end = offset + bytes.len() as u64;
        let there = self.disk.peek(&self.path, &mut seam[edge..edge + EDGE], end);
        self.vault.written(&self.path, &seam[..edge + there], end);
        self.inner.write_at(bytes, offset, site)
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        self.inner.allocate(len, site)
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.inner.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        self.inner.sync_data(site)
    }
}
