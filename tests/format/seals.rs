//! Opens what is sealed by the document alone: of the engine it takes none but the numbers of the places.

#[cfg(feature = "encryption")]
use std::collections::BTreeMap;

use quiver_store::codec::Place;
use quiver_store::ids::KeyId;
#[cfg(feature = "encryption")]
use quiver_store::ids::StoreId;

#[cfg(feature = "encryption")]
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, aead::inout::InOutBuf};

use crate::document::Document;

/// Which key seals something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sealer {
    #[cfg(feature = "encryption")]
    Master,
    #[cfg(feature = "encryption")]
    Store,
    Catalog,
    /// The data key of this id.
    Data([u8; 16]),
}

/// A sealed part of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) place: Place,
    pub(crate) associated: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) tag: &'a [u8],
}

/// What opens the seals of a store.
pub(crate) enum Seals {
    Plain,
    #[cfg(feature = "encryption")]
    Keys(Keys),
}

/// The keys of a store, as far as their files were read.
#[cfg(feature = "encryption")]
pub(crate) struct Keys {
    master: [u8; 32],
    store: Option<([u8; 32], StoreId)>,
    data: BTreeMap<KeyId, [u8; 32]>,
}

impl Seals {
    /// What was sealed.
    pub(crate) fn open(&self, document: &Document, sealer: Sealer, sealed: &Sealed<'_>) -> Vec<u8> {
        match self {
            #[cfg(feature = "encryption")]
            Self::Keys(keys) => keys.open(document, sealer, sealed),
            Self::Plain => {
                let _ = (document, sealer, sealed.place, sealed.associated);
                assert_eq!(sealed.tag, [0; 16], "the tag of the plain codec");
                sealed.body.to_vec()
            }
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Whether the file of a key was read.
    pub(crate) fn knows(&self, id: KeyId) -> bool {
        match self {
            #[cfg(feature = "encryption")]
            Self::Keys(keys) => keys.data.contains_key(&id),
            Self::Plain => {
                let _ = id;
                false
            }
        }
    }

    /// The name of the codec in the document.
    pub(crate) fn codec(&self) -> &'static str {
        if self.is_plain() { "plain" } else { "AES-256-GCM" }
    }
}

#[cfg(feature = "encryption")]
impl Keys {
    pub(crate) fn new(master: [u8; 32]) -> Self {
        Self { master, store: None, data: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, id: KeyId, place: &Place, key: [u8; 32]) {
        if place.collection.value() == 0 {
            self.store = Some((key, place.store));
        } else {
            self.data.insert(id, key);
        }
    }

    fn open(&self, document: &Document, sealer: Sealer, sealed: &Sealed<'_>) -> Vec<u8> {
        let store = || self.store.expect("the store key is read first");
        let key = match sealer {
            Sealer::Master => self.master,
            Sealer::Store => store().0,
            Sealer::Catalog => catalog_key(document, &store().0, store().1),
            Sealer::Data(id) => self.data[&KeyId(id)],
        };
        let cipher = Aes256Gcm::new((&file_key(document, &key, &sealed.place)).into());
        let nonce = [&[0; 4][..], &sealed.place.position.to_le_bytes()].concat();
        document.assert_fills("nonce", &nonce);
        let nonce = Nonce::try_from(nonce.as_slice()).expect("12 bytes");
        let mut body = sealed.body.to_vec();
        let tag = sealed.tag.try_into().expect("16 bytes");
        let opened = cipher.decrypt_inout_detached(
            &nonce,
            sealed.associated,
            InOutBuf::from(body.as_mut_slice()),
            &tag,
        );
        opened.unwrap_or_else(|_| panic!("does not open: {sealer:?} {:?}", sealed.place));
        body
    }
}

/// The key of a file, from the key that seals it.
#[cfg(feature = "encryption")]
pub(crate) fn file_key(document: &Document, key: &[u8; 32], place: &Place) -> [u8; 32] {
    let label = label(document, "file key");
    let kind = [place.kind as u8];
    let collection = place.collection.value().to_le_bytes();
    let info = [label.as_bytes(), &place.store.0, &kind, &collection].concat();
    document.assert_fills("file key info", &info);
    derive(key, &place.salt.0, &info)
}

/// The catalog key of a store, from its store key.
#[cfg(feature = "encryption")]
pub(crate) fn catalog_key(document: &Document, store_key: &[u8; 32], store: StoreId) -> [u8; 32] {
    derive(store_key, &store.0, label(document, "catalog key").as_bytes())
}

#[cfg(feature = "encryption")]
fn label(document: &Document, derived: &str) -> String {
    let rows = document.rows("table: derivations");
    let found = rows.into_iter().find(|row| row[0] == derived);
    found.unwrap_or_else(|| panic!("no derivation of a {derived}")).swap_remove(3)
}

#[cfg(feature = "encryption")]
fn derive(key: &[u8; 32], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let mut derived = [0; 32];
    let hkdf = hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), key);
    hkdf.expand(info, &mut derived).expect("HKDF gives up to 255 times what is asked for");
    derived
}
