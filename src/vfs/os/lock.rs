//! The lock on a store (`flock`), which excludes other handles of this process too.
//!
//! The system drops it with the file's handle, and so with the process, however that ends.

use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use super::super::{Access, Lock};
use super::file::open_regular;

/// A held lock.
#[derive(Debug)]
pub(super) struct OsLock {
    _locked: std::fs::File,
}

impl Lock for OsLock {}

/// Locks a file. For writing it is created if it is missing; for reading nothing is written, so that
/// it works on a disk that takes no writes.
pub(super) fn take(path: &Path, access: Access) -> io::Result<OsLock> {
    let is_alone = access == Access::ReadWrite;
    let mut options = OpenOptions::new();
    options.read(true).write(is_alone).create(is_alone).truncate(false);
    let file = open_regular(&mut options, path)?;
    match if is_alone { file.try_lock() } else { file.try_lock_shared() } {
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
        let held = take(&path, Access::ReadWrite).expect("free");
        let refused = take(&path, Access::ReadWrite).err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::WouldBlock));
        drop(held);
        take(&path, Access::ReadWrite).expect("free again");
        assert!(path.exists(), "the lock file is never removed");
    }
}
