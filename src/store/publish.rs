//! Publish: makes a manifest current. The only caller of `rename`.
//!
//! A publish changes no logical state, only which files hold it. It is an edit of the newest
//! manifest, under the lock of `OnDisk`. The caller has written and synced every new file.
//!
//! | step | call | a crash before the next step leaves |
//! |---|---|---|
//! | 1 | write and sync the manifest | an orphan |
//! | 2 | write and sync `CURRENT.<version>.tmp` | two orphans |
//! | 3 | sync the directory | the same, and the new files' names durable |
//! | 4 | rename to `CURRENT` | the old manifest or the new one, each with all its files |
//! | 5 | sync the directory | the new one |
//! | 6 | [`reclaim`] what the new one does not name | orphans |
//!
//! Up to step 3 a failure leaves the old manifest current and the publish can be tried again,
//! under a new version. From step 4 on nobody knows which one a crash would leave, so the store
//! is latched.

use std::collections::BTreeSet;

use crate::codec::PlainCodec;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::{CURRENT, FileName};
use crate::ids::CollectionId;
use crate::manifest::current::Current;
use crate::manifest::{KeyEntry, Manifest};
use crate::page::{self, PagePlace, PageType};
use crate::store::on_disk::{OnDisk, Tools, files_of};
use crate::store::reclaim::{discard, reclaim};
use crate::vfs::Disk;

/// Makes an edited manifest current and removes what it no longer names.
///
/// # Errors
/// `Latched` if it failed from the rename on; any other kind if nothing was published.
pub(super) fn publish(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    edit: impl FnOnce(&mut Manifest),
) -> Result<()> {
    let mut next = on_disk.manifest.clone();
    edit(&mut next);
    next.version = on_disk.take_version();
    next.salt = tools.salt()?;
    next.next_file = on_disk.next_file;
    next.next_collection = on_disk.next_collection;
    let stated = tools.keys.stated(next.store)?;
    next.codec = stated.codec;
    if let Some(key) = stated.store_key {
        next.keys.retain(|entry| entry.collection.0 > 0);
        next.keys.insert(0, KeyEntry { collection: CollectionId(0), key });
    }
    // What counts on from a number that was never given would be refused by the next open.
    next.check_numbers().map_err(|error| {
        // Nothing is damaged: they are used up.
        error.reported_as(ErrorKind::TooLarge, "publish")
    })?;
    let manifest_name = FileName::Manifest(next.version, next.salt.into()).text();
    let temporary = FileName::CurrentTemporary(next.version, next.salt.into()).text();
    let prepared = write_manifest(tools, &next, &manifest_name)
        .and_then(|current| write_synced(tools.disk, &temporary, &current.encode()))
        .and_then(|()| {
            let synced = tools.disk.sync_dir(tools.disk.root());
            on_disk.names_lost += u64::from(synced.is_err());
            synced
        });
    if let Err(error) = prepared {
        discard(tools, on_disk, [temporary, manifest_name]);
        return Err(error);
    }
    let renamed = tools.disk.rename(&temporary, CURRENT);
    if let Err(error) = renamed.and_then(|()| tools.disk.sync_dir(tools.disk.root())) {
        tracing::error!(manifest = next.version.0, %error, "latched");
        on_disk.latched = Some(error.to_string());
        return Err(error.reported_as(ErrorKind::Latched, "publish failed from its rename on"));
    }
    tracing::debug!(manifest = next.version.0, "publish");
    let previous = std::mem::replace(&mut on_disk.manifest, next);
    on_disk.has_published = true;
    let live: BTreeSet<FileName> = files_of(&on_disk.manifest).collect();
    let waits = |name: &FileName| {
        // A log may refer to it (R4).
        on_disk.key_orphans.iter().any(|orphan| *name == FileName::Key(orphan.key))
    };
    let dropped = files_of(&previous).filter(|name| !live.contains(name) && !waits(name));
    let dropped: Vec<String> = dropped.map(FileName::text).collect();
    on_disk.orphans.extend(dropped.into_iter().filter(|_| previous.version.0 > 0));
    on_disk.orphan_keys();
    reclaim(tools, on_disk);
    Ok(())
}

fn write_manifest(tools: &Tools<'_>, manifest: &Manifest, name: &str) -> Result<Current> {
    let first = PagePlace {
        store: manifest.store,
        salt: manifest.salt,
        collection: CollectionId(0),
        page_type: PageType::Manifest,
        index: 0,
    };
    let bytes = manifest.encode(&**tools.keys.catalog())?;
    let pages = page::seal_stream(&first, &PlainCodec, &bytes)?;
    write_synced(tools.disk, name, &pages)?;
    let (len, digest) = (pages.len() as u64, page::digest(&pages));
    let Manifest { store, version, salt, .. } = *manifest;
    Ok(Current { store, version, len, salt, digest })
}

/// Writes a new file and makes its bytes durable; its name is not.
#[track_caller]
pub(super) fn write_synced(disk: &Disk, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let file = disk.create_new(name)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()
}
