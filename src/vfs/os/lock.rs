//! The exclusive lock on a store (`flock`), which excludes other handles of this process too.
//!
//! The system drops it with the file's handle, and so with the process, however that ends.

use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use super::super::Lock;
use super::file::open_regular;

/// A held lock.
#[derive(Debug)]
pub(super) struct OsLock {
    _locked: std::fs::File,
}

impl Lock for OsLock {}

/// Locks a file, which is created if it is missing.
pub(super) fn take(path: &Path) -> io::Result<OsLock> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = open_regular(&mut options, path)?;
    match file.try_lock() {
        Ok(()) => Ok(OsLock { _locked: file }),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_handle_of_one_process_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("LOCK");
        let held = take(&path).expect("free");
        let refused = take(&path).err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::WouldBlock));
        drop(held);
        take(&path).expect("free again");
        assert!(path.exists(), "the lock file is never removed");
    }
}
