//! Creation of a store, and what may be made into one.
//!
//! | what stands in the directory, without `CURRENT` | outcome |
//! |---|---|
//! | nothing, or `LOCK` and `lost+found` only | created |
//! | what an unfinished creation leaves: temporaries, manifests that are torn, stale or empty, store keys | created, under new names |
//! | a log file, a segment, a reserve, the key of a collection, a manifest that names any or knows an operation | `Corrupt`: `CURRENT` is gone |
//! | an unfinished backup | `InvalidArgument` |
//! | anything else | `InvalidArgument`: no store |
//!
//! A creation writes the first manifest and publishes it. The reserve is set aside behind that, so where there
//! is one `CURRENT` was durable; it makes no log file, since the first
//! write does. **A crash leaves** an unfinished creation or an empty store.

use std::collections::BTreeSet;
use std::path::Path;

use crate::checksum;
use crate::cursor::index;
use crate::error::{Error, Result};
use crate::file_names::{BACKUP, FileName, Tag};
use crate::ids::{FileId, ManifestVersion, Salt, StoreId};
use crate::key_file::{self, KEY_FILE_SIZE_BYTES};
use crate::keyring::KeyRing;
use crate::keys::Keys;
use crate::limits::{NUMBER_MAX, PAGE_SIZE_BYTES};
use crate::manifest::Manifest;
use crate::page::{PAGE_MAGIC, PageType, offsets};
use crate::store::full_disk::set_aside;
use crate::store::on_disk::{OnDisk, Tools};
use crate::store::publish::{publish, write_synced};
use crate::sync::Arc;
use crate::vfs::{Access, DirEntry, Disk, EntryKind, Lock};

/// Numbers in names from here on are not counted on: no store gives so many, and a stray file would
/// leave too few. Such a file is an orphan like any other.
const COUNTED_MAX: u64 = NUMBER_MAX / 2;

/// What a directory listing says, by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeSet<String>,
    /// Those of them that set space aside.
    pub(super) reserves: Vec<String>,
    pub(super) has_current: bool,
    /// Above every file id in a name that counts.
    pub(super) next_file: FileId,
    /// Above every manifest version in a name that counts.
    pub(super) next_version: ManifestVersion,
    foreign: Option<String>,
}

impl Listing {
    /// Sorts the entries of the store's directory.
    pub(super) fn of(entries: Vec<DirEntry>) -> Self {
        let mut listing =
            Self { next_file: FileId(1), next_version: ManifestVersion(1), ..Self::default() };
        for DirEntry { name, kind } in entries {
            match FileName::parse(&name).filter(|_| kind == EntryKind::File) {
                Some(FileName::Lock) => continue,
                Some(FileName::Current) => {
                    listing.has_current = true;
                    continue;
                }
                Some(FileName::Backup) => {}
                Some(FileName::CurrentTemporary(version, _) | FileName::Manifest(version, _)) => {
                    let next = ManifestVersion(above(version.0));
                    listing.next_version = listing.next_version.max(next);
                }
                Some(
                    FileName::Log(id, _)
                    | FileName::Segment(id, _)
                    | FileName::Tombstones(id, _)
                    | FileName::IndexSnapshot(id, _)
                    | FileName::Changes(id, _)
                    | FileName::Parked(id, _)
                    | FileName::Reserve(id, _),
                ) => {
                    listing.next_file = listing.next_file.max(FileId(above(id.0)));
                }
                Some(FileName::Key(_)) => {}
                None if name == "lost+found" => continue,
                None => {
                    listing.foreign.get_or_insert(name);
                    continue;
                }
            }
            if let Some(FileName::Reserve(..)) = FileName::parse(&name) {
                listing.reserves.push(name.clone());
            }
            listing.files.insert(name);
        }
        listing
    }

    /// Refuses a directory that holds anything at all.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn check_empty(&self, disk: &Disk) -> Result<()> {
        let Some(name) = self.foreign.as_ref().or(self.files.first()) else { return Ok(()) };
        let dir = disk.root().display();
        Err(Error::invalid(format!("{dir} holds {name}; choose an empty directory")))
    }

    /// Refuses a directory in which no store may be created; see the table at the top.
    ///
    /// # Errors
    /// `Corrupt` or `InvalidArgument`, naming the file that stands in the way.
    pub(super) fn check_creatable(&self, disk: &Disk) -> Result<()> {
        let dir = disk.root().display();
        if self.files.contains(BACKUP) {
            return Err(Error::invalid(format!(
                "{dir} is an unfinished backup: make it again to its end, or remove the directory"
            )));
        }
        for name in &self.files {
            let of_a_store = match FileName::parse(name) {
                Some(FileName::Manifest(version, tag)) => {
                    !manifest_is_of_creation(disk, name, version, tag)?
                }
                Some(FileName::CurrentTemporary(..)) => false,
                Some(FileName::Key(_)) => !key_is_of_creation(disk, name)?,
                _ => true,
            };
            if of_a_store {
                return Err(Error::corrupt(format!(
                    "{dir}: CURRENT is missing, but {name} is there: restore it from a copy"
                )));
            }
        }
        if let Some(name) = &self.foreign {
            return Err(Error::invalid(format!(
                "{dir} is no store: it holds {name}; choose an empty directory"
            )));
        }
        Ok(())
    }
}

/// What is given next because of a number in a name.
fn above(number: u64) -> u64 {
    if number < COUNTED_MAX { number + 1 } else { 0 }
}

/// Whether a manifest that nothing names may be left by an unfinished creation: torn, or of an
/// empty store. One that is intact and names files is not. What is intact and of another file was
/// left in its place by the disk: the manifest is torn.
fn manifest_is_of_creation(
    disk: &Disk,
    name: &str,
    version: ManifestVersion,
    tag: Tag,
) -> Result<bool> {
    let file = disk.open(name, Access::Read)?;
    let len = file.len_bytes()?;
    if len < PAGE_SIZE_BYTES as u64 {
        return Ok(true);
    }
    if len > PAGE_SIZE_BYTES as u64 {
        // A creation writes one page.
        return Ok(false);
    }
    let mut page = vec![0; index(len)];
    file.read_exact_at(&mut page, 0)?;
    let body_is_intact = {
        let stored = page[offsets::CHECKSUM..][..4].to_vec();
        page[offsets::CHECKSUM..][..4].fill(0);
        page[..4] == PAGE_MAGIC && checksum::crc32c(&page).to_le_bytes() == stored[..]
    };
    let salt = Salt(std::array::from_fn(|i| page[offsets::SALT + i]));
    let is_own = page[offsets::TYPE] == PageType::Manifest as u8 && Tag::from(salt) == tag;
    if !body_is_intact || !is_own {
        return Ok(true);
    }
    let used = u32::from_le_bytes([0, 1, 2, 3].map(|i| page[offsets::PAYLOAD_LEN + i])) as usize;
    let body = &page[crate::page::PAGE_HEADER_SIZE_BYTES..];
    let manifest = Manifest::decode(body.get(..used).unwrap_or(body))?;
    Ok(manifest.version != version || manifest.is_of_an_empty_store())
}

/// Whether a key file that nothing names may be left by an unfinished creation: torn, or of a store. One
/// of a collection is not: there was a store before.
fn key_is_of_creation(disk: &Disk, name: &str) -> Result<bool> {
    let file = disk.open(name, Access::Read)?;
    let mut bytes = [0; KEY_FILE_SIZE_BYTES];
    let len = file.read_up_to(&mut bytes, 0)?;
    Ok(key_file::collection_of(&bytes[..len]).is_none_or(|collection| collection.0 == 0))
}

/// Creates the directory and its missing parents, and makes their names durable.
///
/// Parents that were there are synced too: an earlier creation may have died between making one
/// and syncing it. One that may not be opened is passed over: it was there before us.
pub(super) fn create_dirs(disk: &Disk) -> Result<()> {
    create_chain(disk, disk.root())?;
    let mut child = disk.root();
    while let Some(parent) = child.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match disk.sync_dir(parent) {
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::PermissionDenied) => {}
            other => other?,
        }
        if parent == Path::new(".") {
            break;
        }
        child = parent;
    }
    Ok(())
}

fn create_chain(disk: &Disk, path: &Path) -> Result<()> {
    let made = match disk.create_dir(path) {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {
            let Some(parent) = path.parent() else { return Err(error) };
            create_chain(disk, parent)?;
            disk.create_dir(path)
        }
        other => other,
    };
    match made {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => Ok(()),
        other => other,
    }
}

/// Publishes the first manifest of a new store, behind its key.
pub(super) fn create(
    tools: &Tools<'_>,
    ring: &Arc<dyn KeyRing>,
    listing: Listing,
    lock: Box<dyn Lock>,
) -> Result<(OnDisk, Arc<Keys>)> {
    let store = StoreId(tools.salt()?.0);
    let (keys, made) = Keys::create(ring, tools.disk, tools.entropy, store)?;
    let keys = Arc::new(keys);
    let tools = &Tools { keys: &keys, ..*tools };
    if let Some(made) = made {
        // Its name is made durable by the publish, which names it.
        write_synced(tools.disk, &FileName::Key(made.id).text(), &made.file)?;
    }
    // Version 0 is never on disk: it stands for what was before.
    let mut on_disk = OnDisk {
        orphans: listing.files,
        next_version: listing.next_version,
        next_file: listing.next_file,
        ..OnDisk::new(Manifest::empty(store, ManifestVersion(0)), Some(lock))
    };
    publish(tools, &mut on_disk, |_| {})?;
    // Where there is no room for it yet, the first write says so.
    let _ = set_aside(tools, &mut on_disk);
    Ok((on_disk, keys))
}
