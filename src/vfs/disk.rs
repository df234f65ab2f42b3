//! The engine's own handle on the seam: passes call sites on, retries interrupted calls, carries
//! short reads and writes to their end, and names the path in every error.

use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

use super::{Access, DirEntry, File, Lock, Vfs};
use crate::error::{Error, Result};
use crate::sync::Arc;

/// One store directory on a [`Vfs`]. Names are relative to the directory.
#[derive(Clone, Debug)]
pub struct Disk {
    vfs: Arc<dyn Vfs>,
    root: Arc<Path>,
}

/// One open file of a [`Disk`].
#[derive(Clone, Debug)]
pub struct DiskFile {
    file: Arc<dyn File>,
    path: Arc<Path>,
}

impl Disk {
    /// The directory `root` on `vfs`; nothing is touched yet.
    pub fn new(vfs: Arc<dyn Vfs>, root: &Path) -> Self {
        Self { vfs, root: root.into() }
    }

    /// Another directory of the same filesystem.
    pub fn at(&self, root: &Path) -> Self {
        Self::new(Arc::clone(&self.vfs), root)
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a name of this directory.
    pub fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.to_path_buf() } else { self.root.join(name) }
    }

    /// [`Vfs::create_new`].
    #[track_caller]
    pub fn create_new(&self, name: &str) -> Result<DiskFile> {
        let (path, site) = (self.path(name), Location::caller());
        let made = retried(|| self.vfs.create_new(&path, site));
        let file = made.map_err(|error| Error::io("create", &path, error))?;
        Ok(DiskFile { file, path: path.into() })
    }

    /// [`Vfs::open`].
    #[track_caller]
    pub fn open(&self, name: &str, access: Access) -> Result<DiskFile> {
        let (path, site) = (self.path(name), Location::caller());
        let opened = retried(|| self.vfs.open(&path, access, site));
        let file = opened.map_err(|error| Error::io("open", &path, error))?;
        Ok(DiskFile { file, path: path.into() })
    }

    /// [`Vfs::rename`].
    #[track_caller]
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to, site) = (self.path(from), self.path(to), Location::caller());
        // Never retried: an interrupted rename may have happened.
        self.vfs.rename(&from, &to, site).map_err(|error| Error::io("rename to", &to, error))
    }

    /// [`Vfs::unlink`].
    #[track_caller]
    pub fn unlink(&self, name: &str) -> Result<()> {
        let (path, site) = (self.path(name), Location::caller());
        retried(|| self.vfs.unlink(&path, site)).map_err(|error| Error::io("unlink", &path, error))
    }

    /// [`Vfs::create_dir`] of a path of its own, not below the root: parents of the root are
    /// created through here too.
    #[track_caller]
    pub fn create_dir(&self, path: &Path) -> Result<()> {
        let site = Location::caller();
        retried(|| self.vfs.create_dir(path, site))
            .map_err(|error| Error::io("create directory", path, error))
    }

    /// [`Vfs::read_dir`] of any path.
    #[track_caller]
    pub fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let site = Location::caller();
        retried(|| self.vfs.read_dir(path, site))
            .map_err(|error| Error::io("read directory", path, error))
    }

    /// [`Vfs::sync_dir`] of any path. Never retried: see [`File::sync_data`].
    #[track_caller]
    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        self.vfs
            .sync_dir(path, Location::caller())
            .map_err(|error| Error::io("sync directory", path, error))
    }

    /// [`Vfs::lock`].
    #[track_caller]
    pub fn lock(&self, name: &str, access: Access) -> Result<Box<dyn Lock>> {
        let (path, site) = (self.path(name), Location::caller());
        retried(|| self.vfs.lock(&path, access, site))
            .map_err(|error| Error::io("lock", &path, error))
    }
}

impl DiskFile {
    /// Where the file was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads exactly `buf.len()` bytes, through short and interrupted reads.
    ///
    /// # Errors
    /// `Corrupt` where the file ends before: the caller asks only for what ought to be there.
    #[track_caller]
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let wanted = buf.len();
        let read = self.read_up_to(buf, offset)?;
        if read == wanted {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "{} ends at {}, expected {wanted} bytes at offset {offset}",
            self.path.display(),
            offset + read as u64,
        )))
    }

    /// Reads until the buffer is full or the file ends; how many bytes is returned.
    #[track_caller]
    pub fn read_up_to(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let site = Location::caller();
        let mut read = 0;
        while read < buf.len() {
            match retried(|| self.file.read_at(&mut buf[read..], offset + read as u64, site)) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) => return Err(Error::io("read", &self.path, error)),
            }
        }
        Ok(read)
    }

    /// Writes all the bytes, through short and interrupted writes.
    ///
    /// After an error a part of them may be there.
    #[track_caller]
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let site = Location::caller();
        let mut written = 0;
        while written < bytes.len() {
            let rest = &bytes[written..];
            let error = match retried(|| self.file.write_at(rest, offset + written as u64, site)) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    written += n;
                    continue;
                }
                Err(error) => error,
            };
            return Err(Error::io("write", &self.path, error));
        }
        Ok(())
    }

    /// [`File::allocate`].
    #[track_caller]
    pub fn allocate(&self, len: u64) -> Result<()> {
        let site = Location::caller();
        retried(|| self.file.allocate(len, site))
            .map_err(|error| Error::io("allocate", &self.path, error))
    }

    /// [`File::len`].
    #[track_caller]
    pub fn len_bytes(&self) -> Result<u64> {
        let site = Location::caller();
        retried(|| self.file.len(site))
            .map_err(|error| Error::io("read the length of", &self.path, error))
    }

    /// [`File::sync_data`]. Never retried: a second sync that succeeds says nothing about the
    /// bytes that the first one lost.
    #[track_caller]
    pub fn sync_data(&self) -> Result<()> {
        self.file
            .sync_data(Location::caller())
            .map_err(|error| Error::io("sync", &self.path, error))
    }
}

/// Repeats a call that a signal interrupted before it did anything.
fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
