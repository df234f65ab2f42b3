//! Names: rename, unlink, new directories, listing, and the sync that makes them durable.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::super::{DirEntry, EntryKind};

/// Gives a file another name in the same directory.
///
/// The directories are compared as they are written. A directory that has two spellings is
/// refused as two, which is the safe side: the caller would sync only one of them.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if from.parent() != to.parent() {
        let message = "rename into another directory";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if fs::symlink_metadata(from)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    fs::rename(from, to)
}

/// Removes the name of a file.
pub(super) fn unlink(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Creates one directory.
pub(super) fn create(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Lists a directory in ascending order of the names' bytes.
pub(super) fn read(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = if kind.is_file() {
            EntryKind::File
        } else if kind.is_dir() {
            EntryKind::Directory
        } else {
            EntryKind::Other
        };
        entries.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), kind });
    }
    entries.sort();
    Ok(entries)
}

/// Makes the names in a directory durable (`fsync` of the directory).
pub(super) fn sync(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY.bits();
    let flags = i32::try_from(flags).expect("the system's open flags are an int");
    OpenOptions::new().read(true).custom_flags(flags).open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(result: io::Result<()>) -> Option<io::ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn rename_refuses_directories_and_other_directories() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (sub, file) = (dir.path().join("sub"), dir.path().join("file"));
        create(&sub).expect("vacant");
        fs::write(&file, "x").expect("vacant");
        assert_eq!(kind(rename(&file, &sub.join("file"))), Some(io::ErrorKind::InvalidInput));
        assert_eq!(kind(rename(&sub, &dir.path().join("d"))), Some(io::ErrorKind::IsADirectory));
        assert_eq!(kind(rename(&file, &sub)), Some(io::ErrorKind::IsADirectory));
        rename(&file, &dir.path().join("moved")).expect("same directory");
        let names = read(dir.path()).expect("a directory");
        let expected = [("moved", EntryKind::File), ("sub", EntryKind::Directory)];
        assert_eq!(names, expected.map(|(name, kind)| DirEntry { name: name.into(), kind }));
    }

    #[test]
    fn only_a_directory_can_be_synced_as_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("file");
        fs::write(&file, "x").expect("vacant");
        sync(dir.path()).expect("a directory");
        assert_eq!(kind(sync(&file)), Some(io::ErrorKind::NotADirectory));
        assert_eq!(kind(sync(&dir.path().join("gone"))), Some(io::ErrorKind::NotFound));
    }
}
