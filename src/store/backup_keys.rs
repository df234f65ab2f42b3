//! The keys of a backup: left out, taken along, or taken along under another master key.
//!
//! - Z1. What is left out is nowhere in the backup, also where an earlier try took it along.
//! - Z2. Keys are read with the manifest, under the same lock: a shred, a new master key or a new data key
//!   that comes meanwhile waits for nobody, and changes nothing of the backup.

use std::collections::BTreeSet;
use std::io;

use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::{CollectionId, KeyId};
use crate::key_file::KEY_FILE_SIZE_BYTES;
#[cfg(feature = "encryption")]
use crate::keyring::KeyRing;
use crate::keys::Keys;
use crate::store::Inner;
use crate::store::on_disk::OnDisk;
use crate::sync::{Arc, reading};
use crate::vfs::{Access, Disk};

/// What becomes of the keys of an encrypted store in a backup of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum BackupKeys {
    /// They stay here. The backup opens once the key files are put into it.
    #[default]
    LeftOut,
    /// They are copied. The backup opens with the master key of the store, also what is shredded here
    /// later.
    Included,
    /// They are copied, under the master key of this ring instead of that of the store.
    #[cfg(feature = "encryption")]
    Under(Arc<dyn KeyRing>),
}

/// The key files that go into a backup.
pub(super) struct KeySet {
    files: Vec<(KeyId, Vec<u8>)>,
    /// What the backup's manifest says of its keys.
    pub(super) keys: Arc<Keys>,
}

impl KeySet {
    /// Reads the keys that a backup of the present manifest takes along. The key of a collection that is
    /// missing here is missing there.
    ///
    /// # Errors
    /// Those of the disk and of the ring.
    pub(super) fn read(inner: &Inner, on_disk: &OnDisk, wanted: &BackupKeys) -> Result<Self> {
        let own = on_disk.manifest.key(CollectionId(0));
        // What is changed meanwhile is not what the backup is under.
        let mut set = Self { files: Vec::new(), keys: Arc::new(inner.keys.under(own)) };
        if matches!(wanted, BackupKeys::LeftOut) || !inner.keys.has_key_files() {
            return Ok(set);
        }
        let mut ids: BTreeSet<KeyId> =
            on_disk.manifest.keys.iter().map(|entry| entry.key).collect();
        // Those that logs and parked records refer to as well.
        let version = Arc::clone(&reading(&inner.live)?.version);
        ids.extend(version.collections.values().map(|found| found.key));
        ids.extend(on_disk.key_orphans.iter().map(|orphan| orphan.key));
        #[cfg(feature = "encryption")]
        if let BackupKeys::Under(ring) = wanted {
            let made = inner.keys.rewrap(&**ring, &*inner.entropy)?;
            set.keys = Arc::new(inner.keys.under(made.id));
            set.files.push((made.id, made.file));
            ids.remove(&own);
        }
        for id in ids {
            let file = match inner.disk.open(&FileName::Key(id).text(), Access::Read) {
                Ok(file) => file,
                Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) && id != own => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut bytes = vec![0; KEY_FILE_SIZE_BYTES];
            file.read_exact_at(&mut bytes, 0)?;
            set.files.push((id, bytes));
        }
        Ok(set)
    }

    /// Names of the files.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.files.iter().map(|(id, _)| FileName::Key(*id).text())
    }

    /// Writes and syncs them; their names are made durable by the publish.
    pub(super) fn write(&self, to: &Disk) -> Result<()> {
        for ((_, bytes), name) in self.files.iter().zip(self.names()) {
            let file = match to.open(&name, Access::ReadWrite) {
                Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => {
                    to.create_new(&name)?
                }
                // Of an earlier try, and the same: a key file is written once.
                other => other?,
            };
            file.write_all_at(bytes, 0)?;
            file.sync_data()?;
        }
        Ok(())
    }
}
