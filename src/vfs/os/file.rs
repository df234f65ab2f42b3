//! Opening files and the calls on an open one.
//!
//! A handle remembers what it was opened for: the system answers a write through a handle for
//! reading with a bare `EBADF`, which says nothing to anyone.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::super::{Access, CallSite, File};
use crate::limits::ALLOCATION_ZEROED_BYTES_MAX;

/// How many zeros one write of the fallback of `allocate` carries.
const ZEROS_BYTES: usize = 64 * 1024;

/// An open file of the operating system.
#[derive(Debug)]
pub(super) struct OsFile {
    file: std::fs::File,
    access: Access,
}

/// Creates a file that did not exist (`O_CREAT | O_EXCL`).
pub(super) fn create_new(path: &Path) -> io::Result<OsFile> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    Ok(OsFile { file, access: Access::ReadWrite })
}

/// Opens a regular file that exists.
pub(super) fn open(path: &Path, access: Access) -> io::Result<OsFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(access == Access::ReadWrite);
    let file = open_regular(&mut options, path)?;
    Ok(OsFile { file, access })
}

/// Opens a path and refuses what is no regular file.
///
/// Regular files ignore `O_NONBLOCK`; a pipe that stands where a file ought to be would otherwise
/// block the open until somebody writes to it.
pub(super) fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<std::fs::File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("the system's open flags are an int");
    let file = options.custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(if kind.is_dir() {
        io::ErrorKind::IsADirectory.into()
    } else {
        io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
    })
}

impl OsFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::Read => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the file was opened for reading",
            )),
        }
    }
}

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, _site: CallSite) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, _site: CallSite) -> io::Result<usize> {
        self.check_writable()?;
        self.file.write_at(bytes, offset)
    }

    /// Only what lies past the end is asked for: no system can take that for a wish to change or
    /// to shorten what is there. A refused call may leave the file longer by a part.
    fn allocate(&self, len: u64, _site: CallSite) -> io::Result<()> {
        self.check_writable()?;
        let end = self.file.metadata()?.len();
        if len <= end {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), end, len - end) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&self.file, end, len),
            Ok(()) if len - end <= ALLOCATION_ZEROED_BYTES_MAX => write_zeros(&self.file, end, len),
            result => Ok(result?),
        }
    }

    fn len(&self, _site: CallSite) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_data(&self, _site: CallSite) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Writes the space that was reserved, or reserves it where a filesystem cannot allocate. Bytes that another handle writes past
/// `from` at the same time may be lost; the engine has one writer for each file.
fn write_zeros(file: &std::fs::File, from: u64, to: u64) -> io::Result<()> {
    let zeros = [0; ZEROS_BYTES];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).map_or(ZEROS_BYTES, |rest| rest.min(ZEROS_BYTES));
        match file.write_at(&zeros[..count], at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => at += written as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::Location;

    fn here() -> CallSite {
        Location::caller()
    }

    fn read(file: &impl File, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xee; len];
        let count = file.read_at(&mut bytes, 0, here()).expect("the file is open");
        bytes.truncate(count);
        bytes
    }

    #[test]
    fn allocate_grows_with_zeros_and_never_shrinks() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = create_new(&dir.path().join("a")).expect("vacant");
        file.write_at(b"abc", 0, here()).expect("room");
        file.allocate(100_000, here()).expect("room");
        file.allocate(0, here()).expect("nothing to do");
        file.allocate(10, here()).expect("nothing to do");
        assert_eq!(file.len(here()).expect("open"), 100_000);
        assert_eq!(read(&file, 5), b"abc\0\0");
    }

    #[test]
    fn zeros_reserve_space_where_the_system_cannot() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = create_new(&dir.path().join("a")).expect("vacant");
        file.write_at(b"abc", 0, here()).expect("room");
        write_zeros(&file.file, 3, 150_001).expect("room");
        assert_eq!(file.len(here()).expect("open"), 150_001);
        let bytes = read(&file, 200_000);
        assert!(bytes.starts_with(b"abc") && bytes[3..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let kind = |path: &Path, access| open(path, access).err().map(|error| error.kind());
        assert_eq!(kind(dir.path(), Access::Read), Some(io::ErrorKind::IsADirectory));
        assert_eq!(kind(dir.path(), Access::ReadWrite), Some(io::ErrorKind::IsADirectory));
        let device = Path::new("/dev/null");
        assert_eq!(kind(device, Access::Read), Some(io::ErrorKind::InvalidInput));
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("vacant");
        assert_eq!(kind(&pipe, Access::Read), Some(io::ErrorKind::InvalidInput));
    }

    #[test]
    fn a_handle_for_reading_refuses_to_write() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("a");
        create_new(&path).expect("vacant").write_at(b"abc", 0, here()).expect("room");
        let reader = open(&path, Access::Read).expect("it exists");
        let refused = Some(io::ErrorKind::PermissionDenied);
        assert_eq!(reader.write_at(b"x", 0, here()).err().map(|error| error.kind()), refused);
        assert_eq!(reader.allocate(9, here()).err().map(|error| error.kind()), refused);
        assert_eq!(read(&reader, 9), b"abc");
    }
}
