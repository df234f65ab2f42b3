//! Provision: a key for a collection that is being created.
//!
//! | step | a crash before the next step leaves |
//! |---|---|
//! | 1 draw the key, write it sealed under the store key, sync it | an orphan |
//! | 2 sync the directory | an orphan |
//! | 3 the frame of the creation, which names the key | the collection with its key, or an orphan |
//!
//! A key whose creation came to nothing is never adopted: another try draws another (Y2). It is destroyed
//! once no log can hold the frame of that creation.

use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::{CollectionId, KeyId};
use crate::live_set::LiveSet;
use crate::record::Record;
use crate::request::Outcome;
use crate::store::Inner;
use crate::store::on_disk::{KeyOrphan, LIMBO, OnDisk, Tools};
use crate::store::plan::Member;
use crate::store::publish::write_synced;
use crate::store::reclaim::discard;

impl Inner {
    /// Makes a key for a collection that will be created; none where there are no key files.
    ///
    /// *Durability*: if it returned Ok, the key and its name survive power loss.
    ///
    /// # Errors
    /// Those of the disk: there is no key then.
    pub(super) fn provision(&self, on_disk: &mut OnDisk, id: CollectionId) -> Result<KeyId> {
        let tools = self.tools();
        let Some(made) = self.keys.draw(&*self.entropy, id)? else { return Ok(KeyId::NONE) };
        store_key_file(&tools, on_disk, made.id, &made.file)?;
        Ok(made.id)
    }

    /// Keys that were made for members of a group which came to nothing. Where a frame of theirs may be in
    /// the log, they wait until it is void.
    pub(super) fn orphan_keys_of(&self, on_disk: &mut OnDisk, members: &[Member]) {
        for member in members {
            let (Outcome::Created { .. }, [section]) = (member.outcome, &*member.batch.sections)
            else {
                continue;
            };
            let (key, collection) = (section.key, section.collection);
            if key == KeyId::NONE {
                continue;
            }
            match on_disk.in_limbo || on_disk.latched.is_some() {
                true => on_disk.key_orphans.push(KeyOrphan { lsn: LIMBO, key, collection }),
                false => discard(&self.tools(), on_disk, [FileName::Key(key).text()]),
            }
        }
    }
}

/// Writes a key file and makes it and its name durable.
pub(super) fn store_key_file(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    key: KeyId,
    file: &[u8],
) -> Result<()> {
    let name = FileName::Key(key).text();
    let made = write_synced(tools.disk, &name, file).and_then(|()| {
        let synced = tools.disk.sync_dir(tools.disk.root());
        on_disk.names_lost += u64::from(synced.is_err());
        synced
    });
    if made.is_err() {
        discard(tools, on_disk, [name]);
    }
    made
}

/// The key of the collection that a batch drops, if it drops one with a key.
pub(super) fn dropped_key(live: &LiveSet, member: &Member) -> Option<(CollectionId, KeyId)> {
    let [section] = &*member.batch.sections else { return None };
    let mut key = None;
    // A batch that was planned can be read.
    let _ = section.for_each(|record| {
        if let Record::DropCollection { id, .. } = record {
            key = live.version.collections.get(&id).map(|found| (id, found.key));
        }
        Ok(())
    });
    key.filter(|(_, key)| *key != KeyId::NONE)
}
