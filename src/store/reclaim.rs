//! Reclaim: removes files that nothing needs any more.
//!
//! - R1. A process removes nothing before it has published itself (T5): what it found may still
//!   be named by a manifest that a crash brings back. What it made itself and never published is
//!   nobody else's.
//! - R2. It removes only what its own publishes stopped naming, and what it found unnamed when it
//!   opened. A file that a reader, a checkpoint or a merge holds stays until they have let go.
//!
//! **A crash leaves** orphans, which the next open finds and removes behind its first publish.

use std::io;

use crate::file_names::FileName;
use crate::store::on_disk::OnDisk;
use crate::sync::Weak;
use crate::vfs::Disk;

/// Removes files of this process that no manifest ever named. What cannot be removed now is left
/// for later.
pub(super) fn discard(disk: &Disk, on_disk: &mut OnDisk, names: impl IntoIterator<Item = String>) {
    for name in names {
        if let Err(error) = disk.unlink(&name)
            && error.io_kind() != Some(io::ErrorKind::NotFound)
        {
            tracing::warn!(file = name, %error, "an orphan stays");
            on_disk.orphans.insert(name);
        }
    }
}

/// Removes the orphans that nobody holds.
pub(super) fn reclaim(disk: &Disk, on_disk: &mut OnDisk) {
    if !on_disk.has_published || on_disk.orphans.is_empty() {
        return;
    }
    on_disk.open_segments.retain(|_, segment| segment.strong_count() > 0);
    let orphans = std::mem::take(&mut on_disk.orphans);
    let (held, free): (Vec<_>, Vec<_>) =
        orphans.into_iter().partition(|name| is_held(on_disk, name));
    on_disk.orphans.extend(held);
    discard(disk, on_disk, free);
}

/// Whether a reader or a backup still needs the file.
pub(super) fn is_held(on_disk: &OnDisk, name: &str) -> bool {
    if on_disk.held.contains_key(name) {
        return true;
    }
    let Some(FileName::Segment(file, _)) = FileName::parse(name) else { return false };
    on_disk.open_segments.get(&file).map_or(0, Weak::strong_count) > 0
}
