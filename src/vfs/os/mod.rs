//! The operating system behind the seam.
//!
//! **Place.** Floor 1, behind the traits of [`super`]. This folder alone names `std::fs`, clocks,
//! threads and the system's random number source; a lint refuses them everywhere else. It is thin on
//! purpose: one call of the seam is one system call wherever that can be, because what is decided
//! here is what the simulator cannot see.
//!
//! - O1. A sync is the system's own (`fdatasync`, `fsync`), and its error is never swallowed.
//! - O2. Nothing is retried and nothing is cached here; [`super::Disk`] does what can be done.
//! - O3. What the seam refuses is refused on every system, even where this one would allow it: a
//!   rename into another directory, a directory or a pipe opened as a file, a write through a
//!   handle for reading.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one place behind the seam where the system's disk, clock, threads and randomness are named"
)]

mod clock;
mod dir;
mod entropy;
mod file;
mod lock;
mod threads;

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Access, CallSite, DirEntry, File, Lock, Vfs};

pub use clock::OsClock;
pub use entropy::OsEntropy;
pub use threads::OsThreads;

#[cfg(not(unix))]
compile_error!("quiver-store needs positional I/O and syncs of directories: a Unix system");

/// The filesystem of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl OsVfs {
    /// The filesystem; nothing is touched yet.
    pub fn new() -> Self {
        Self
    }
}

impl Vfs for OsVfs {
    fn create_new(&self, path: &Path, _site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(file::create_new(path)?))
    }

    fn open(&self, path: &Path, access: Access, _site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(file::open(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path, _site: CallSite) -> io::Result<()> {
        dir::rename(from, to)
    }

    fn unlink(&self, path: &Path, _site: CallSite) -> io::Result<()> {
        dir::unlink(path)
    }

    fn create_dir(&self, path: &Path, _site: CallSite) -> io::Result<()> {
        dir::create(path)
    }

    fn read_dir(&self, path: &Path, _site: CallSite) -> io::Result<Vec<DirEntry>> {
        dir::read(path)
    }

    fn sync_dir(&self, path: &Path, _site: CallSite) -> io::Result<()> {
        dir::sync(path)
    }

    fn lock(&self, path: &Path, access: Access, _site: CallSite) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(lock::take(path, access)?))
    }
}
