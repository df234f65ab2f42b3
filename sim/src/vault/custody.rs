//! Which keys a disk holds for who has a master key, and which it may hold no more.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use quiver_store::file_names::FileName;
use quiver_store::ids::StoreId;
use quiver_store::key_file::{self, KEY_FILE_SIZE_BYTES, KeyIdentity};
use quiver_store::{AesGcmCodec, CollectionId, Key};

use super::recall::KnownKeys;
use super::seals::RawKey;
use crate::checker::{Finding, Invariant};
use crate::disk::DiskState;

/// What is owed at a moment of a run.
#[derive(Clone, Debug, Default)]
pub struct Custody {
    /// The first and the last of the master keys that may be the store's.
    pub masters: (u32, u32),
    /// Keys that were said to be destroyed.
    pub destroyed: Arc<BTreeSet<RawKey>>,
    /// Keys of which it was said that they will be: the next open without a fault destroys them.
    pub begun: Arc<BTreeSet<RawKey>>,
}

/// What the key files of a disk come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Master keys that open something.
    pub masters: BTreeSet<u32>,
    /// Keys of collections, each with its file's name.
    pub data: Vec<(String, CollectionId, RawKey)>,
}

impl Custody {
    /// The master keys to be tried, the last one first.
    pub fn to_try(&self) -> impl Iterator<Item = u32> + use<> {
        (self.masters.0..=self.masters.1).rev()
    }

    /// What is owed once a process without a fault has opened the store.
    #[must_use]
    pub fn after_open(&self) -> Self {
        let mut after = self.clone();
        if !after.begun.is_empty() {
            Arc::make_mut(&mut after.destroyed).extend(after.begun.iter().copied());
            after.begun = Arc::default();
        }
        after
    }

    /// Whether something is owed.
    pub fn is_owed(&self) -> bool {
        self.masters.0 > 0 || !self.destroyed.is_empty()
    }

    /// Holds what a disk's key files come to against what is owed (I17).
    ///
    /// # Errors
    /// A key that was said to be destroyed.
    pub fn judge(&self, opened: &Opened) -> Result<(), Finding> {
        let wrong = |found| {
            let expected = "no key that was said to be destroyed";
            Err(Finding::new(Invariant::I17, expected, found))
        };
        if let Some((name, id, _)) =
            opened.data.iter().find(|(_, _, key)| self.destroyed.contains(key))
        {
            return wrong(format!("the key of collection {id} in {name}"));
        }
        match opened.masters.iter().find(|master| **master < self.masters.0) {
            Some(old) => wrong(format!("master key {old} opens the store key")),
            None => Ok(()),
        }
    }
}

/// Opens the key files of a disk that are wanted, under master keys with their numbers.
pub(super) fn opened(
    state: &DiskState,
    masters: &[(u32, Key)],
    is_wanted: &dyn Fn(&Path) -> bool,
    known: &mut KnownKeys,
) -> Opened {
    let mut files = Vec::new();
    for (path, len) in state.list() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(FileName::Key(key)) = FileName::parse(&name) else { continue };
        if len != KEY_FILE_SIZE_BYTES as u64 || !is_wanted(&path) {
            continue;
        }
        let bytes = state.read(&path).expect("it is listed");
        let (store, collection) = (bytes[8..].first_chunk(), bytes[40..].first_chunk());
        let store = StoreId(*store.expect("a key file"));
        let collection = CollectionId(u64::from_le_bytes(*collection.expect("a key file")));
        files.push((name, KeyIdentity { store, key, collection }, bytes));
    }
    let (of_store, of_data): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(_, identity, _)| identity.collection.value() == 0);
    let mut opened = Opened::default();
    let mut store_keys: Vec<Key> = Vec::new();
    for (_, identity, bytes) in &of_store {
        for (number, master) in masters {
            if let Some(key) = decode(identity, master, bytes, known) {
                opened.masters.insert(*number);
                if store_keys.iter().all(|known| known.bytes() != key.bytes()) {
                    store_keys.push(key);
                }
            }
        }
    }
    for (name, identity, bytes) in of_data {
        let key = store_keys.iter().find_map(|key| decode(&identity, key, &bytes, known));
        opened.data.extend(key.map(|key| (name, identity.collection, *key.bytes())));
    }
    opened
}

fn decode(identity: &KeyIdentity, key: &Key, bytes: &[u8], known: &mut KnownKeys) -> Option<Key> {
    // The store and the collection stand in the file as well, and the id is that of its name.
    let is_own = bytes[24..40] == identity.key.0;
    let open = || key_file::decode(identity, &AesGcmCodec::new(key.clone()), bytes).ok().flatten();
    if is_own { known.open(bytes, key, open) } else { None }
}
