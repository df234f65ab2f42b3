//! Reclaim: removes files that nothing needs any more.
//!
//! - R1. A process removes nothing before it has published itself (T5): what it found may still
//!   be named by a manifest that a crash brings back. What it made itself and never published is
//!   nobody else's.
//! - R2. It removes only what its own publishes stopped naming, and what it found unnamed when it
//!   opened. A file that a reader, a checkpoint or a merge holds stays until they have let go.
//!
//! - R3. A key file is removed only behind its destruction: random bytes over it, synced. One whose
//!   destruction failed stays an orphan, so that it is tried again; its bytes go first, since a name that
//!   a failed sync of the directory brings back must not bring the key back.
//! - R4. A key is destroyed when neither the newest manifest, nor a log, nor parked records refer to it.
//!
//! **A crash leaves** orphans, which the next open finds and removes behind its first publish.

use std::io;

use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::KeyId;
use crate::key_file::KEY_FILE_SIZE_BYTES;
use crate::store::on_disk::{OnDisk, Tools};
use crate::sync::Weak;
use crate::vfs::Access;

/// Removes files of this process that no manifest ever named. What cannot be removed now is left
/// for later.
pub(super) fn discard(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    names: impl IntoIterator<Item = String>,
) {
    for name in names {
        let removed = match FileName::parse(&name) {
            Some(FileName::Key(key)) => destroy(tools, key),
            _ => tools.disk.unlink(&name),
        };
        if let Err(error) = removed
            && error.io_kind() != Some(io::ErrorKind::NotFound)
        {
            tracing::warn!(file = name, %error, "an orphan stays");
            on_disk.orphans.insert(name);
        }
    }
}

/// Removes the orphans that nobody holds.
pub(super) fn reclaim(tools: &Tools<'_>, on_disk: &mut OnDisk) {
    if !on_disk.has_published || on_disk.orphans.is_empty() {
        return;
    }
    on_disk.open_segments.retain(|_, segment| segment.strong_count() > 0);
    let orphans = std::mem::take(&mut on_disk.orphans);
    let (held, free): (Vec<_>, Vec<_>) =
        orphans.into_iter().partition(|name| is_held(on_disk, name));
    on_disk.orphans.extend(held);
    discard(tools, on_disk, free);
}

/// Destroys a key (R3). Called again after a failure it does what is left to do.
///
/// *Durability*: if it returned Ok, the key is on this disk no more, as far as the disk writes where it
/// is told to.
///
/// # Errors
/// `Io`; the key may be readable still.
pub(super) fn destroy(tools: &Tools<'_>, key: KeyId) -> Result<()> {
    tools.keys.forget(key);
    let name = FileName::Key(key).text();
    match tools.disk.open(&name, Access::ReadWrite) {
        Ok(file) => {
            // One that a full disk cut short takes no more space than it has.
            let len = file.len_bytes()?.min(KEY_FILE_SIZE_BYTES as u64);
            let mut bytes = [0; KEY_FILE_SIZE_BYTES];
            let bytes = &mut bytes[..usize::try_from(len).expect("of a key file at most")];
            if !bytes.is_empty() {
                tools.fill(bytes)?;
                file.write_all_at(bytes, 0)?;
                file.sync_data()?;
            }
            tools.disk.unlink(&name)?;
        }
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => {}
        Err(error) => return Err(error),
    }
    // The name need not be gone for good: what it would bring back is random bytes. A reader may have read it again meanwhile.
    tools.keys.forget(key);
    tracing::debug!(%key, "key destroyed");
    Ok(())
}

/// Whether a reader or a backup still needs the file.
pub(super) fn is_held(on_disk: &OnDisk, name: &str) -> bool {
    if on_disk.held.contains_key(name) {
        return true;
    }
    let Some(FileName::Segment(file, _)) = FileName::parse(name) else { return false };
    on_disk.open_segments.get(&file).map_or(0, Weak::strong_count) > 0
}
