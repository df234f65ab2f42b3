//! What was sealed under which key.
//!
//! - L1. A position of a file is sealed once: with the key of the file, which follows from the data key
//!   and the file's place, its number is the nonce (I16). The same bytes again are the same seal.
//! - L2. A key that seals the catalog or other keys is shared by all collections. Nothing of a
//!   collection is sealed under it, for no shred destroys it; and one of a collection seals no other.

use std::collections::{BTreeMap, BTreeSet};

use quiver_store::codec::{FileKind, Place};

use crate::checker::{Finding, Invariant};
use crate::digest::Digest;

/// A key that is not sealed.
pub type RawKey = [u8; 32];

/// All seals of a run.
#[derive(Debug, Default)]
pub(super) struct Seals {
    /// By the key of the file and the position: what was sealed.
    sealed: BTreeMap<(u128, u64), u128>,
    keys: BTreeMap<RawKey, Use>,
}

/// What a key is for.
#[derive(Debug, Default)]
struct Use {
    is_shared: bool,
    collections: BTreeSet<u64>,
}

/// What stands for the key of a file.
pub(super) fn file_key(key: &RawKey, place: &Place) -> u128 {
    let Place { store, salt, kind, collection, position: _ } = place;
    let digest = Digest::new(20).bytes(key).bytes(&store.0).bytes(&salt.0);
    digest.pair(*kind as u64, collection.value()).finish()
}

impl Seals {
    /// Takes in a seal; whether its key is shared, and what is wrong with it.
    pub(super) fn take_in(
        &mut self,
        (key, file): (&RawKey, u128),
        place: &Place,
        associated: &[u8],
        body: &[u8],
    ) -> (bool, Option<Finding>) {
        let content = Digest::new(21).bytes(associated).bytes(body).finish();
        let before = *self.sealed.entry((file, place.position)).or_insert(content);
        let mut wrong = (before != content).then(|| {
            let expected = "a key of a file and a position that seal one content";
            Finding::new(Invariant::I16, expected, format!("another content at {}", said(place)))
        });
        let collection = place.collection.value();
        let known = self.keys.entry(*key).or_default();
        known.is_shared |= collection == 0 || place.kind == FileKind::Key;
        // The file in which records are parked is the catalog's: they stand in it as they were sealed.
        let of_all = known.is_shared && place.kind == FileKind::Parked;
        if !of_all && collection > 0 && place.kind != FileKind::Key {
            known.collections.insert(collection);
        }
        if known.collections.len() > usize::from(!known.is_shared) {
            let expected = "a key for one collection alone";
            let shared = if known.is_shared { "the catalog and " } else { "" };
            let found = format!("a key of {shared}{:?}, at {}", known.collections, said(place));
            wrong = wrong.or(Some(Finding::new(Invariant::I17, expected, found)));
        }
        (known.is_shared, wrong)
    }

    /// The keys that sealed something of a collection.
    pub(super) fn keys_of(&self, collection: u64) -> BTreeSet<RawKey> {
        let own = self.keys.iter().filter(|(_, used)| used.collections.contains(&collection));
        own.map(|(key, _)| *key).collect()
    }
}

/// A place in words.
pub(super) fn said(place: &Place) -> String {
    let Place { kind, collection, position, .. } = place;
    format!("{kind:?} of collection {collection}, position {position}")
}

#[cfg(test)]
mod tests {
    use quiver_store::CollectionId;
    use quiver_store::ids::{Salt, StoreId};

    use super::*;

    fn place(salt: u8, collection: u64, position: u64) -> Place {
        let (store, kind) = (StoreId([1; 16]), FileKind::Log);
        Place {
            store,
            salt: Salt([salt; 16]),
            kind,
            collection: CollectionId(collection),
            position,
        }
    }

    fn take_in(seals: &mut Seals, place: &Place, body: &[u8]) -> Option<Invariant> {
        let key = [7; 32];
        let (_, wrong) = seals.take_in((&key, file_key(&key, place)), place, b"", body);
        wrong.map(|finding| finding.invariant)
    }

    #[test]
    fn another_content_at_one_place_is_a_nonce_used_twice() {
        let mut seals = Seals::default();
        for place in [place(1, 3, 0), place(2, 3, 0), place(1, 3, 512)] {
            assert_eq!(take_in(&mut seals, &place, b"a"), None);
            assert_eq!(take_in(&mut seals, &place, b"a"), None);
        }
        assert_eq!(take_in(&mut seals, &place(2, 3, 0), b"b"), Some(Invariant::I16));
    }

    #[test]
    fn one_key_for_two_collections_or_for_one_and_the_catalog_cannot_be_destroyed() {
        let mut seals = Seals::default();
        assert_eq!(take_in(&mut seals, &place(1, 3, 0), b"a"), None);
        assert_eq!(take_in(&mut seals, &place(1, 4, 0), b"a"), Some(Invariant::I17));
        let mut seals = Seals::default();
        assert_eq!(take_in(&mut seals, &place(1, 0, 0), b"a"), None);
        assert_eq!(take_in(&mut seals, &place(1, 4, 0), b"a"), Some(Invariant::I17));
    }
}
