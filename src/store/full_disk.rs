//! What has to work on a full disk: it is made to, with the reserve.
//!
//! Where a delete, a drop, a checkpoint, a recovery or a move of the tail finds the disk full, the
//! reserve's file is removed and the call tried once more. From then on *space is tight*: writes
//! that add rows are refused with `Full` until the reserve could be set aside again, which each of
//! them tries first. So the space that was given back is not used up by what it was not meant for.
//!
//! What a dropped collection had is freed by a checkpoint, which is due at once where the disk was
//! found full.

use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::store::on_disk::{OnDisk, Tools};
use crate::store::reclaim::discard;
use crate::store::reserve::Reserve;

/// Sets the reserve aside where it is missing.
///
/// # Errors
/// `Full` where there is no room for it. Another failure is none: it is tried again later.
pub(super) fn set_aside(tools: &Tools<'_>, on_disk: &mut OnDisk) -> Result<()> {
    let bytes = tools.options.reserve_bytes;
    if bytes == 0 || on_disk.reserve.file.is_some() {
        return Ok(());
    }
    let made = tools.salt().and_then(|salt| {
        let name = FileName::Reserve(on_disk.take_file(), salt.into()).text();
        let made = tools.disk.create_new(&name).and_then(|file| file.allocate(bytes));
        match made {
            Ok(()) => Ok(name),
            Err(error) => {
                discard(tools, on_disk, [name]);
                Err(error)
            }
        }
    });
    match made {
        Ok(name) => {
            on_disk.reserve = Reserve { file: Some(name), is_tight: false };
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Full => {
            on_disk.reserve.is_tight = true;
            let what = format!("no room for a reserve of {bytes} bytes");
            Err(error.reported_as(ErrorKind::Full, &what))
        }
        Err(error) => {
            tracing::warn!(%error, "no reserve");
            Ok(())
        }
    }
}

/// Refuses to add rows while space is tight.
///
/// # Errors
/// `Full`, where there is still no room to set the reserve aside.
pub(super) fn check_room(tools: &Tools<'_>, on_disk: &mut OnDisk) -> Result<()> {
    if on_disk.reserve.is_tight { set_aside(tools, on_disk) } else { Ok(()) }
}

/// Gives the reserve back to the disk where it stood in the way of something that has to work on a
/// full one; whether there was any.
pub(super) fn give_back(tools: &Tools<'_>, on_disk: &mut OnDisk, error: &Error) -> bool {
    if error.kind() != ErrorKind::Full || on_disk.latched.is_some() {
        return false;
    }
    let Some(name) = on_disk.reserve.file.take() else { return false };
    tracing::warn!(%error, "the disk is full: the reserve is given back");
    on_disk.reserve.is_tight = true;
    discard(tools, on_disk, [name]);
    true
}

/// Whether a collection was dropped whose space the disk needs now: a checkpoint frees it.
pub(super) fn drop_frees_space(on_disk: &OnDisk) -> bool {
    let is_full = on_disk.reserve.is_tight || on_disk.found_full;
    is_full && on_disk.manifest.sealed < on_disk.last_drop
}

/// Does something that has to work on a full disk: once more, where the reserve could be given
/// back for it.
pub(super) fn with_reserve<T>(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    mut act: impl FnMut(&mut OnDisk) -> Result<T>,
) -> Result<T> {
    match act(on_disk) {
        Err(error) if give_back(tools, on_disk, &error) => act(on_disk),
        other => other,
    }
}
