//! The wrapper of the seam that carries the planted bugs: files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quiver_store::file_names::FileName;
use quiver_store::ids::FileId;
use quiver_store::vfs::{CallSite, File};

use super::Bug;
use super::log_frames::{self, Reframed, Stand};
use super::vfs::Process;

/// A handle of the wrong engine.
#[derive(Debug)]
pub(super) struct PlantedFile {
    process: Arc<Process>,
    inner: Arc<dyn File>,
    path: PathBuf,
    name: Option<FileName>,
    /// Whether this process made it.
    is_new: bool,
    /// A sync that waits for the next write.
    deferred: AtomicBool,
}

impl PlantedFile {
    pub(super) fn new(
        process: Arc<Process>,
        inner: Arc<dyn File>,
        path: &Path,
        is_new: bool,
    ) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse);
        let (path, deferred) = (path.to_path_buf(), AtomicBool::new(false));
        Self { process, inner, path, name, is_new, deferred }
    }

    fn bug(&self) -> &Bug {
        &self.process.bug
    }

    fn log(&self) -> Option<FileId> {
        match self.name.filter(|_| self.process.is_own(&self.path)) {
            Some(FileName::Log(file, _)) => Some(file),
            _ => None,
        }
    }

    /// What is written instead; `None` for what the engine writes.
    fn instead(&self, bytes: &[u8], offset: u64, site: CallSite) -> Option<Vec<u8>> {
        let process = &*self.process;
        if !process.is_own(&self.path) {
            let name = self.name.filter(|_| offset == 0)?;
            return process.elsewhere.instead(self.bug(), name, bytes);
        }
        match self.name? {
            FileName::Manifest(..) if process.keeps_books() && offset == 0 => {
                Some(process.books().manifest(self.bug(), bytes, process.beneath(site)))
            }
            FileName::CurrentTemporary(..) if process.keeps_books() && offset == 0 => {
                Some(process.books().current(bytes).to_vec())
            }
            FileName::Log(file, _) => {
                let mut books = process.books();
                let identity = books.log_identity(file, bytes, offset)?;
                let stand = Stand { identity, offset };
                match self.bug() {
                    Bug::GroupProvesItself => Some(log_frames::proving_itself(bytes, stand)),
                    Bug::BatchInTwoFrames => {
                        let Reframed { bytes, ends } = log_frames::one_frame_each(bytes, stand)?;
                        books.moved(file, ends);
                        Some(bytes)
                    }
                    Bug::DropRemovesSegmentsAtOnce => {
                        books.dropping.extend(log_frames::dropped_by(bytes, stand));
                        None
                    }
                    Bug::CheckpointDropsUnsealedLog | Bug::SealedOneTooFar => {
                        books.logged(file, bytes, offset);
                        None
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Writes all of something, as the engine would go on to do.
    fn write_all(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match self.inner.write_at(&bytes[written..], offset + written as u64, site) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl File for PlantedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        if *self.bug() == Bug::ReclaimUnderReader && self.process.books().gone.contains(&self.path)
        {
            return Err(io::Error::other("the file was removed"));
        }
        let read = self.inner.read_at(buf, offset, site);
        let end = match (self.bug(), &read) {
            (Bug::ShortReadEndsLog, Ok(count)) if self.log().is_some() => *count,
            (Bug::UnreadableLogIsTorn, Err(error))
                if self.log().is_some() && error.kind() != io::ErrorKind::Interrupted =>
            {
                0
            }
            _ => return read,
        };
        buf[end..].fill(0);
        Ok(buf.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        if self.deferred.swap(false, Ordering::Relaxed) {
            self.inner.sync_data(site)?;
        }
        if self.is_new
            && let Some(instead) = self.instead(bytes, offset, site)
        {
            return self.write_all(&instead, offset, site).map(|()| bytes.len());
        }
        let written = self.inner.write_at(bytes, offset, site);
        match self.bug() {
            Bug::WriteErrorIgnored => written.or(Ok(bytes.len())),
            Bug::HoleBehindShortWrite if self.log().is_some() => written.map(|_| bytes.len()),
            _ => written,
        }
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        let reserves = matches!(self.name, Some(FileName::Reserve(..)));
        if reserves && *self.bug() == Bug::ReserveWithoutSpace {
            return Ok(());
        }
        if *self.bug() != Bug::DiskStaysFull || self.log().is_none() {
            return self.inner.allocate(len, site);
        }
        let mut books = self.process.books();
        if books.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let allocated = self.inner.allocate(len, site);
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        books.is_full = allocated.as_ref().is_err_and(is_full);
        allocated
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.inner.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        if self.process.elides(site) {
            return Ok(());
        }
        match self.bug() {
            Bug::LyingSync => return Ok(()),
            Bug::BackupUnsynced if !self.process.is_own(&self.path) => return Ok(()),
            Bug::AcknowledgedBeforeSync if self.log().is_some() => {
                self.deferred.store(true, Ordering::Relaxed);
                return Ok(());
            }
            _ => {}
        }
        let synced = self.inner.sync_data(site);
        match self.bug() {
            Bug::SyncErrorIgnored => Ok(()),
            Bug::FailedSyncRetried if synced.is_err() => self.inner.sync_data(site),
            Bug::DropRemovesSegmentsAtOnce if synced.is_ok() => {
                let mut books = self.process.books();
                let dropping = std::mem::take(&mut books.dropping);
                let segments = books.segments_of(&dropping);
                drop(books);
                self.process.beneath(site).remove(segments);
                Ok(())
            }
            _ => synced,
        }
    }
}
