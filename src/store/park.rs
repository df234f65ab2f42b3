//! Parks what a checkpoint cannot seal, so that one damaged collection stops none of the others.
//!
//! A seal that finds a file of a collection damaged notes it, gives up what it made for it, and writes
//! the records of its memtables into a file of their own ([`crate::parked`]). They stay in memory as
//! well: what could be read before can be read on.
//!
//! - N1. A log is dropped only when each of its records is in a segment or parked (C4).
//! - N2. The memtables of a damaged collection are joined by the next switch, since no seal ends them.
//! - N3. What is parked goes with the publish that seals it, or behind the drop of its collection.
//! - N4. Parked records that cannot be read are not replaced: they may be put back (D2). What is to be
//!   parked behind them goes into a further file. What could be read behind them goes with it into one
//!   file, so that there is at most one more for each time that some could not be read.
//! - N5. What changes a schema is parked as long as nothing else says it. Once the parked records of a
//!   collection were all read, its schema is what they made of it, and the publish states that: from then on
//!   they would undo what came behind them, so that only its rows stay parked.

use std::collections::BTreeMap;

use crate::collection::Collection;
use crate::damage::Hidden;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, Lsn};
use crate::live_set::{LiveSet, Version};
use crate::manifest::Manifest;
use crate::manifest::parked::ParkedEntry;
use crate::memtable::Memtable;
use crate::page::{PagePlace, PageType};
use crate::paged_file;
use crate::parked;
use crate::store::Inner;
use crate::store::on_disk::{OnDisk, ParkedFile};
use crate::store::reclaim::discard;
use crate::store::seal::{Seal, SealOne, Sealed};
use crate::sync::{Arc, writing};
use crate::wal::codecs::{LogCodecs, LogFileIdentity};

impl Inner {
    /// Notes that a file of a collection is damaged; from here on it takes no writes.
    pub(super) fn note_damage(&self, id: CollectionId, error: &Error) -> Result<()> {
        tracing::error!(collection = id.0, %error, "damaged");
        let mut live = writing(&self.live)?;
        if let Some(collection) = Arc::make_mut(&mut live.version).collection_mut(id) {
            collection.note_damage(error.duplicate(), Hidden::Nothing);
        }
        Ok(())
    }

    /// Takes a collection that turned out damaged out of the seal, and queues it to be parked; any
    /// other error stays one.
    pub(super) fn give_up_one(&self, seal: &mut Seal, one: SealOne, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Corrupt {
            return Err(error);
        }
        self.note_damage(one.collection.id, &error)?;
        let made = seal.made.split_off(one.made_before);
        let mut collection = Collection::clone(&one.collection);
        collection.note_damage(error, Hidden::Nothing);
        drop(one);
        discard(&self.tools(), &mut *self.lock_on_disk()?, made);
        seal.queue.push_front(Arc::new(collection));
        Ok(())
    }

    /// Writes what a damaged collection holds in memory, unless all of it is parked already; how many
    /// bytes.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn park(&self, seal: &mut Seal, collection: &Collection) -> Result<u64> {
        let memtable = collection.sealing.as_ref().expect("only those with one are queued");
        let through = memtable.through()?;
        let salt = self.tools().salt()?;
        let file_id = {
            let mut on_disk = self.lock_on_disk()?;
            // Where that could not be read, nothing above it is in memory either.
            let parked = on_disk.manifest.parked(collection.id);
            let is_parked = parked.last().is_some_and(|known| known.through >= through);
            let alters = |file| on_disk.parked.get(file).is_some_and(|found| found.alters);
            let alters = parked.iter().any(|known| alters(&known.file));
            if is_parked && !(alters && collection.is_unparked()) {
                return Ok(0);
            }
            on_disk.take_file()
        };
        let mut sections = memtable.sections(collection.unread().next(), through)?;
        // The one that the log had them under may be on its way out; without another they keep it in use.
        if self.keys.of(collection.id, collection.key).is_ok() {
            let opened = sections.iter_mut().filter(|(_, section)| section.carried.is_none());
            opened.for_each(|(_, section)| section.key = collection.key);
        }
        let (first_lsn, _) = parked::range(&sections);
        let name = FileName::Parked(file_id, salt.into()).text();
        seal.made.push(name.clone());
        let file = self.disk.create_new(&name)?;
        let first = PagePlace {
            store: self.store,
            salt,
            collection: collection.id,
            page_type: PageType::Parked,
            index: 0,
        };
        let log = LogFileIdentity { store: self.store, salt };
        let mut codecs = LogCodecs::new(Arc::clone(&self.keys), log);
        let parts = parked::encode(&sections, &mut codecs);
        let written = paged_file::write_parts(&file, &first, &**self.keys.catalog(), parts)?;
        let keys = sections.iter().map(|(_, section)| section.key).collect();
        let alters = sections.iter().any(|(_, section)| section.is_of_catalog());
        self.lock_on_disk()?.parked.insert(file_id, ParkedFile { keys, alters });
        let (id, records) = (collection.id, sections.len());
        tracing::warn!(collection = id.0, records, through = through.0, "parked");
        seal.parked.push(ParkedEntry {
            collection: id,
            file: file_id,
            salt,
            len: written.len,
            digest: written.digest,
            first: first_lsn,
            through,
        });
        Ok(written.len)
    }
}

/// A memtable with what two hold, the older one first (N2).
pub(super) fn join(
    collection: &Collection,
    older: &Arc<Memtable>,
    newer: &Arc<Memtable>,
) -> Result<Arc<Memtable>> {
    let joined = Memtable::default();
    for memtable in [older, newer] {
        for (first, section) in memtable.sections(Lsn(0), Lsn(u64::MAX))? {
            collection.take(&joined, first, &section, |_, _| Ok(()))?;
        }
    }
    Ok(Arc::new(joined))
}

/// Whether records are parked of a collection that is well again: the next checkpoint seals them.
pub(super) fn can_unpark(on_disk: &OnDisk, live: &LiveSet) -> bool {
    on_disk.manifest.parked.iter().any(|entry| {
        let found = live.version.collections.get(&entry.collection);
        found.is_some_and(|collection| collection.is_well())
    })
}

/// Names what was parked, in the place of files with records that it holds as well (N4); leaves out what
/// is sealed now or of no collection (N3). Of a collection that has no rows to seal and of which all was
/// read, what is parked was its creation and what changed its schema, which the manifest says now (N5).
pub(super) fn name_parked(
    manifest: &mut Manifest,
    parked: &[ParkedEntry],
    sealed: &BTreeMap<CollectionId, &Sealed>,
    catalog: &Version,
) {
    let Manifest { parked: named, collections, .. } = manifest;
    let is_known = |id| collections.binary_search_by_key(&id, |entry| entry.id).is_ok();
    let is_said = |id| {
        let found = catalog.collections.get(&id);
        found.is_some_and(|found| found.is_unparked() && found.sealing.is_none())
    };
    let is_unparked = |id| catalog.collections.get(&id).is_some_and(|found| found.is_unparked());
    let is_in = |old: &ParkedEntry, new: &ParkedEntry| {
        new.collection == old.collection
            && (new.first <= old.through || is_unparked(old.collection))
    };
    named.retain(|old| {
        let id = old.collection;
        let is_sealed = sealed.contains_key(&id) || is_said(id);
        is_known(id) && !is_sealed && !parked.iter().any(|new| is_in(old, new))
    });
    named.extend(parked.iter().filter(|entry| is_known(entry.collection)));
    named.sort_by_key(|entry| (entry.collection, entry.first));
}
