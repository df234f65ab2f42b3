//! An open file, with a cursor.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quiver_store::vfs::{EntryKind, File as _};

use super::Metadata;
use crate::disk::{SimDirectory, SimFile};

/// An open file of a [`SimFs`], as `std::fs::File`. Reads and writes at an offset are those of
/// `std::os::unix::fs::FileExt`, by the same names.
#[derive(Debug)]
pub struct File {
    opened: Opened,
    cursor: Arc<Mutex<u64>>,
}

#[derive(Clone, Debug)]
enum Opened {
    File { file: Arc<SimFile>, reads: bool, writes: bool, appends: bool },
    Directory(Arc<SimDirectory>),
}

impl File {
    pub(super) fn of(file: SimFile, reads: bool, writes: bool, appends: bool) -> Self {
        let file = Arc::new(file);
        Self { opened: Opened::File { file, reads, writes, appends }, cursor: Arc::default() }
    }

    pub(super) fn of_directory(directory: SimDirectory) -> Self {
        Self { opened: Opened::Directory(Arc::new(directory)), cursor: Arc::default() }
    }

    /// Reads bytes at an offset; how many. The cursor stays.
    #[track_caller]
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.opened {
            Opened::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            Opened::File { reads: false, .. } => Err(bad_descriptor()),
            Opened::File { file, .. } => file.read_at(buf, offset, Location::caller()),
        }
    }

    /// Reads exactly so many bytes at an offset.
    #[track_caller]
    pub fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buf = &mut buf[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes bytes at an offset; how many. A gap reads as zeros. The cursor stays.
    #[track_caller]
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let file = self.writable()?;
        file.write_at(bytes, self.place(offset)?, Location::caller())
    }

    /// Writes all bytes at an offset.
    #[track_caller]
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the file just so long: cut off, or with zeros behind. Not durable before a sync.
    #[track_caller]
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        match &self.opened {
            Opened::File { file, writes: true, .. } => file.set_len(len, Location::caller()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Makes durable all bytes of this file and its length, not its name. Of a directory, the names
    /// in it.
    ///
    /// After an error nothing is known: what was not synced is durable or lost, and a later sync that
    /// succeeds says nothing about it.
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        match &self.opened {
            Opened::File { file, .. } => file.sync_data(Location::caller()),
            Opened::Directory(directory) => directory.sync(Location::caller()),
        }
    }

    /// The same: the disk has no metadata but the length, which is needed to read the bytes.
    #[track_caller]
    pub fn sync_data(&self) -> io::Result<()> {
        self.sync_all()
    }

    /// What it is and how long.
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        match &self.opened {
            Opened::File { file, .. } => {
                let len = file.len(Location::caller())?;
                Ok(Metadata { kind: EntryKind::File, len })
            }
            Opened::Directory(_) => Ok(Metadata { kind: EntryKind::Directory, len: 0 }),
        }
    }

    /// Another handle with the same cursor.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { opened: self.opened.clone(), cursor: self.cursor.clone() })
    }

    fn writable(&self) -> io::Result<&SimFile> {
        match &self.opened {
            Opened::File { file, writes: true, .. } => Ok(file),
            _ => Err(bad_descriptor()),
        }
    }

    /// Where a write goes: to the end if the file was opened so.
    #[track_caller]
    fn place(&self, offset: u64) -> io::Result<u64> {
        match &self.opened {
            Opened::File { file, appends: true, .. } => file.len(Location::caller()),
            _ => Ok(offset),
        }
    }

    fn cursor(&self) -> MutexGuard<'_, u64> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for &File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut cursor = self.cursor();
        let count = self.read_at(buf, *cursor)?;
        *cursor += count as u64;
        Ok(count)
    }
}

impl Write for &File {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut cursor = self.cursor();
        let file = self.writable()?;
        let place = self.place(*cursor)?;
        let count = file.write_at(bytes, place, Location::caller())?;
        *cursor = place + count as u64;
        Ok(count)
    }

    /// Nothing: bytes are in the page cache at once, and only a sync makes them durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    #[track_caller]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut cursor = self.cursor();
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (*cursor, by),
            SeekFrom::End(by) => (self.metadata()?.len(), by),
        };
        *cursor = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(*cursor)
    }
}

impl Read for File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for File {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    #[track_caller]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

/// The error of a call that the file was not opened for, as the kernel names it.
fn bad_descriptor() -> io::Error {
    const EBADF: i32 = 9;
    io::Error::from_raw_os_error(EBADF)
}
