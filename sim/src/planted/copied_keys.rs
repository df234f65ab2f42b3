//! Wrong backups of encrypted stores: keys in them that must not be there.
//!
//! **Place.** What `Careless` puts between a session and who asks it for a backup. The keys of a backup
//! are chosen where no wrapper of the seam sees what was asked for.

use std::collections::BTreeMap;
use std::path::Path;

use quiver_store::file_names::FileName;
use quiver_store::key_file::KEY_FILE_SIZE_BYTES;
use quiver_store::vfs::{Access, Disk};
use quiver_store::{BackupKeys, Result};

use super::Bug;

/// Key files by their names.
pub(super) type KeyFiles = BTreeMap<String, Vec<u8>>;

impl Bug {
    /// Whether it is about the keys that a backup takes along.
    pub(super) fn miscopies_keys(&self) -> bool {
        matches!(
            self,
            Self::BackupTakesKeysAlong
                | Self::BackupKeepsMasterKey
                | Self::BackupTakesStoreKeyAlong
                | Self::BackupBringsDestroyedKeys
        )
    }
}

/// What the engine is asked for instead.
pub(super) fn wanted_instead(bug: &Bug, wanted: &BackupKeys) -> BackupKeys {
    match (bug, wanted) {
        (Bug::BackupTakesKeysAlong, BackupKeys::LeftOut)
        | (Bug::BackupKeepsMasterKey, BackupKeys::Under(_)) => BackupKeys::Included,
        _ => wanted.clone(),
    }
}

/// Puts keys into a finished backup that were not asked for; the ones known are of the store, and may
/// have been destroyed since.
pub(super) fn put(
    bug: &Bug,
    store: &Disk,
    known: &KeyFiles,
    to: &Path,
    wanted: &BackupKeys,
) -> Result<()> {
    let extra = match (bug, wanted) {
        (Bug::BackupTakesStoreKeyAlong, BackupKeys::Under(_)) => {
            let mut own = read(store)?;
            own.retain(|_, bytes| bytes[40..48] == [0; 8]);
            own
        }
        (Bug::BackupBringsDestroyedKeys, BackupKeys::Included | BackupKeys::Under(_)) => {
            let present = read(store)?;
            let mut gone = known.clone();
            gone.retain(|name, _| !present.contains_key(name));
            gone
        }
        _ => return Ok(()),
    };
    let to = store.at(to);
    for (name, bytes) in &extra {
        let file = to.create_new(name)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
    }
    to.sync_dir(to.root())
}

/// The key files of a directory, as they are.
pub(super) fn read(disk: &Disk) -> Result<KeyFiles> {
    let mut files = KeyFiles::new();
    for entry in disk.read_dir(disk.root())? {
        let Some(FileName::Key(_)) = FileName::parse(&entry.name) else { continue };
        let mut bytes = vec![0; KEY_FILE_SIZE_BYTES];
        if disk.open(&entry.name, Access::Read)?.read_up_to(&mut bytes, 0)? == bytes.len() {
            files.insert(entry.name, bytes);
        }
    }
    Ok(files)
}
