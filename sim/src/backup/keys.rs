//! The keys of a backup of an encrypted store.
//!
//! - B1. Where they are left out, no file of the backup is a key, and nobody opens it until the key files
//!   that the store had when it began are put there.
//! - B2. Where they are included, it opens with the master key that the store had then.
//! - B3. Where they are under another master key, it opens with that, and no master key of the store opens
//!   any key of it.
//! - B4. It holds no key that was destroyed before it began (I17), also where an earlier try took that
//!   along. What is destroyed later stays in it: a copy is the business of who keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::BackupKeys;

use crate::checker::{Finding, Invariant};
use crate::disk::DiskState;
use crate::forward::STORE_DIR;
use crate::history::CopiedKeys;
use crate::vault::{Custody, RawKey, Vault};

/// The number of the master key of backups that have one of their own.
const MASTER_OF_BACKUPS: u32 = 1 << 30;

/// What became of the keys, and what the store had when the last try began.
#[derive(Clone, Debug)]
pub struct KeysOfBackup {
    /// What became of them.
    pub copied: CopiedKeys,
    /// The numbers of the master keys of which one is the store's.
    masters: (u32, u32),
    /// The key files of the store when a try began, each by its path in the store.
    files: Arc<BTreeMap<PathBuf, Vec<u8>>>,
    /// Keys that were destroyed then.
    destroyed: Arc<BTreeSet<RawKey>>,
}

impl KeysOfBackup {
    /// Of a backup that begins on a disk.
    pub fn new(copied: CopiedKeys, custody: &Custody, state: &DiskState) -> Self {
        let mut files = BTreeMap::new();
        for (path, _) in state.list() {
            if let Ok(own) = path.strip_prefix(STORE_DIR)
                && is_key(own)
            {
                let bytes = state.read(&path).expect("it is listed");
                files.insert(own.to_owned(), bytes);
            }
        }
        let (masters, destroyed) = (custody.masters, custody.destroyed.clone());
        Self { copied, masters, files: Arc::new(files), destroyed }
    }

    /// What the store is asked for.
    pub fn wanted(&self, vault: &Arc<Vault>) -> BackupKeys {
        match self.copied {
            CopiedKeys::LeftOut => BackupKeys::LeftOut,
            CopiedKeys::Included => BackupKeys::Included,
            CopiedKeys::Under => BackupKeys::Under(vault.ring(MASTER_OF_BACKUPS)),
        }
    }

    /// The numbers of the master keys that may open it.
    pub(super) fn masters(&self) -> Vec<u32> {
        match self.copied {
            CopiedKeys::LeftOut | CopiedKeys::Included => {
                (self.masters.0..=self.masters.1).rev().collect()
            }
            CopiedKeys::Under => vec![MASTER_OF_BACKUPS],
        }
    }

    /// The disk with the keys put into the backup that were left out.
    pub(super) fn with_keys(&self, state: &DiskState, dir: &Path) -> DiskState {
        let mut state = state.clone();
        if self.copied == CopiedKeys::LeftOut {
            for (name, bytes) in &*self.files {
                state = state.with_file(dir.join(name), Some(bytes));
            }
        }
        state
    }

    /// Holds the key files of the directory of a finished backup against what was asked for (B1 to B4).
    ///
    /// # Errors
    /// A key that must not be there.
    pub(super) fn judge(
        &self,
        vault: &Vault,
        state: &DiskState,
        dir: &Path,
    ) -> Result<(), Finding> {
        vault.looked_at_backup();
        let wrong = |expected: &str, found: String| {
            let expected = format!("a backup in {}: {expected}", dir.display());
            Err(Finding::new(Invariant::I17, expected, found))
        };
        let is_own = |path: &Path| path.starts_with(dir) && is_key(path);
        let mut listed = state.list().into_iter().map(|(path, _)| path);
        if self.copied == CopiedKeys::LeftOut {
            return match listed.find(|path| is_own(path)) {
                None => Ok(()),
                Some(path) => wrong("no key in it", path.display().to_string()),
            };
        }
        let of_store = 0..=self.masters.1;
        let opened = vault.opened_among(state, of_store.chain([MASTER_OF_BACKUPS]), &is_own);
        if self.copied == CopiedKeys::Under
            && let Some(master) = opened.masters.iter().find(|number| **number <= self.masters.1)
        {
            return wrong(
                "no key under one of the store's",
                format!("master key {master} opens it"),
            );
        }
        match opened.data.iter().find(|(_, _, key)| self.destroyed.contains(key)) {
            None => Ok(()),
            Some((name, id, _)) => {
                wrong("no key that was destroyed before", format!("that of {id} in {name}"))
            }
        }
    }
}

fn is_key(path: &Path) -> bool {
    path.extension().is_some_and(|found| found == "key")
}
