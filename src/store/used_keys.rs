//! The keys that an open finds, by what refers to them.
//!
//! | referred to by | what becomes of its file |
//! |---|---|
//! | a collection that is there | it stays |
//! | a log, or parked records, of a collection that has another key or none | it stays until a checkpoint that seals them |
//! | nothing | an orphan, destroyed behind the next publish |
//!
//! - Q1. A file of parked records that cannot be read may refer to any key of its collection.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::{CollectionId, FileId, KeyId};
use crate::key_file::{self, KEY_FILE_SIZE_BYTES};
use crate::live_set::LiveSet;
use crate::manifest::Manifest;
use crate::store::create::Listing;
use crate::store::on_disk::{KeyOrphan, ParkedFile, is_parked_under};
use crate::vfs::{Access, Disk};

/// What was seen of keys.
pub(super) struct UsedKeys<'a> {
    pub(super) manifest: &'a Manifest,
    /// By file of parked records, as far as those could be read.
    pub(super) parked: &'a BTreeMap<FileId, ParkedFile>,
    /// What logs refer to.
    pub(super) seen: BTreeMap<KeyId, CollectionId>,
}

impl UsedKeys<'_> {
    /// Adds what parked records refer to, or may (Q1).
    ///
    /// # Errors
    /// Those of the disk.
    fn note_parked(&mut self, disk: &Disk, listing: &Listing) -> Result<()> {
        let Self { manifest, parked, seen } = self;
        for entry in &manifest.parked {
            let keys = parked.get(&entry.file).into_iter().flat_map(|found| &found.keys);
            seen.extend(keys.map(|key| (*key, entry.collection)));
        }
        seen.remove(&KeyId::NONE);
        if manifest.parked.iter().all(|entry| parked.contains_key(&entry.file)) {
            return Ok(());
        }
        for name in &listing.files {
            let Some(FileName::Key(key)) = FileName::parse(name) else { continue };
            let mut bytes = [0; KEY_FILE_SIZE_BYTES];
            let len = disk.open(name, Access::Read)?.read_up_to(&mut bytes, 0)?;
            if let Some(collection) = key_file::collection_of(&bytes[..len])
                && is_parked_under(manifest, parked, collection, key)
            {
                seen.insert(key, collection);
            }
        }
        Ok(())
    }

    /// Names the keys that are in use; those that only logs and parked records refer to are returned.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn sort(
        mut self,
        disk: &Disk,
        listing: &Listing,
        live: &LiveSet,
        named: &mut BTreeSet<String>,
    ) -> Result<Vec<KeyOrphan>> {
        self.note_parked(disk, listing)?;
        let in_use: BTreeSet<KeyId> =
            live.version.collections.values().map(|found| found.key).collect();
        named.extend(in_use.iter().chain(self.seen.keys()).map(|key| FileName::Key(*key).text()));
        let unused = self.seen.into_iter().filter(|(key, _)| !in_use.contains(key));
        let orphan = |(key, collection)| KeyOrphan { lsn: live.last, key, collection };
        Ok(unused.map(orphan).collect())
    }
}
