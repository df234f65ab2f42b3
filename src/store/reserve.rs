//! The reserve: space set aside on the disk, so that a full disk can be made less full.
//!
//! A file of [`crate::Options::reserve_bytes`] without content; `full_disk` says when it is given
//! back. No manifest names it, and nothing depends on it: it is adopted by the next open, and removed
//! where none is asked for. Where it is missing or too short, rows are taken once it is made anew: it
//! may have been given back to a disk that is still full.

use crate::vfs::{Access, Disk};

/// The reserve of an open store.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    /// The file, where there is one.
    pub(super) file: Option<String>,
    /// Whether the disk had no room for one.
    pub(super) is_tight: bool,
}

impl Reserve {
    /// Takes over a file of an earlier process, if it is as long as it should be.
    pub(super) fn adopt(disk: &Disk, names: &[String], bytes: u64) -> Self {
        let is_whole = |name: &&String| {
            let len = disk.open(name, Access::Read).and_then(|file| file.len_bytes());
            bytes > 0 && len.is_ok_and(|len| len >= bytes)
        };
        let file = names.iter().find(is_whole).cloned();
        Self { is_tight: bytes > 0 && file.is_none(), file }
    }

    /// The name of the file, where there is one.
    pub(super) fn name(&self) -> Option<&String> {
        self.file.as_ref()
    }
}
