//! An open file, with a cursor.
//!
//! - O1. A call is recorded with the line of who asked for it. The methods of `Read`, `Write` and `Seek` that
//!   the standard library would make of others, at lines of its own, are made here for that. Where the
//!   caller is a `dyn Write`, or wraps the file (`BufWriter`), the line is one of theirs.

use std::fmt;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quiver_store::vfs::{CallSite, EntryKind, File as _};

use super::Metadata;
use crate::disk::{SimDirectory, SimFile};

/// What a read to the end asks for first, in bytes; then twice as much, and so on.
const READ_FIRST_BYTES: usize = 8 << 10;

/// What it asks for at most.
const READ_BYTES_MAX: usize = 1 << 20;

/// An open file of a [`SimFs`](super::SimFs), as `std::fs::File`. Reads and writes at an offset are those of
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
        self.read_by(buf, offset, Location::caller())
    }

    fn read_by(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        match &self.opened {
            Opened::Directory(_) => Err(ErrorKind::IsADirectory.into()),
            Opened::File { reads: false, .. } => Err(bad_descriptor()),
            Opened::File { file, .. } => file.read_at(buf, offset, site),
        }
    }

    /// Reads exactly so many bytes at an offset.
    #[track_caller]
    pub fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buf = &mut buf[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes bytes at an offset; how many. A gap reads as zeros. The cursor stays.
    #[track_caller]
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (file, site) = (self.writable()?, Location::caller());
        file.write_at(bytes, self.place(offset, site)?, site)
    }

    /// Writes all bytes at an offset.
    #[track_caller]
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
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
            _ => Err(ErrorKind::InvalidInput.into()),
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
    fn place(&self, offset: u64, site: CallSite) -> io::Result<u64> {
        match &self.opened {
            Opened::File { file, appends: true, .. } => file.len(site),
            _ => Ok(offset),
        }
    }

    /// Reads at the cursor.
    fn read_next(&self, buf: &mut [u8], site: CallSite) -> io::Result<usize> {
        let mut cursor = self.cursor();
        let count = self.read_by(buf, *cursor, site)?;
        *cursor += count as u64;
        Ok(count)
    }

    fn read_to_end_by(&self, bytes: &mut Vec<u8>, site: CallSite) -> io::Result<usize> {
        let (before, mut wanted) = (bytes.len(), READ_FIRST_BYTES);
        loop {
            let end = bytes.len();
            bytes.resize(end + wanted, 0);
            let result = self.read_next(&mut bytes[end..], site);
            bytes.truncate(end + result.as_ref().copied().unwrap_or(0));
            match result {
                Ok(0) => return Ok(end - before),
                Ok(_) => wanted = (2 * wanted).min(READ_BYTES_MAX),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes at the cursor.
    fn write_next(&self, bytes: &[u8], site: CallSite) -> io::Result<usize> {
        let mut cursor = self.cursor();
        let file = self.writable()?;
        let place = self.place(*cursor, site)?;
        let count = file.write_at(bytes, place, site)?;
        *cursor = place + count as u64;
        Ok(count)
    }

    fn write_all_by(&self, mut bytes: &[u8], site: CallSite) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_next(bytes, site) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn cursor(&self) -> MutexGuard<'_, u64> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for &File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_next(buf, Location::caller())
    }

    #[track_caller]
    fn read_exact(&mut self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_next(buf, Location::caller()) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => buf = &mut buf[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[track_caller]
    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.read_to_end_by(bytes, Location::caller())
    }

    #[track_caller]
    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        let count = self.read_to_end_by(&mut bytes, Location::caller())?;
        text.push_str(std::str::from_utf8(&bytes).map_err(|_| ErrorKind::InvalidData)?);
        Ok(count)
    }
}

impl Write for &File {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_next(bytes, Location::caller())
    }

    /// Nothing: bytes are in the page cache at once, and only a sync makes them durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    #[track_caller]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all_by(bytes, Location::caller())
    }

    /// Each piece is a write of its own, as of a file of the system.
    #[track_caller]
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut pieces = Pieces { file: self, site: Location::caller(), failed: None };
        match fmt::write(&mut pieces, text) {
            Ok(()) => Ok(()),
            Err(fmt::Error) => {
                Err(pieces.failed.unwrap_or_else(|| io::Error::other("formatter error")))
            }
        }
    }
}

/// A text on its way into a file, piece by piece.
struct Pieces<'a> {
    file: &'a File,
    site: CallSite,
    failed: Option<io::Error>,
}

impl fmt::Write for Pieces<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.file.write_all_by(piece.as_bytes(), self.site).map_err(|error| {
            self.failed = Some(error);
            fmt::Error
        })
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
        *cursor = from.checked_add_signed(by).ok_or(ErrorKind::InvalidInput)?;
        Ok(*cursor)
    }
}

impl Read for File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    #[track_caller]
    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        (&*self).read_exact(buf)
    }

    #[track_caller]
    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        (&*self).read_to_end(bytes)
    }

    #[track_caller]
    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        (&*self).read_to_string(text)
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

    #[track_caller]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self).write_all(bytes)
    }

    #[track_caller]
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        (&*self).write_fmt(text)
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
