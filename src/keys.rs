//! The keys of an open store: which codec seals what, and where keys are kept.
//!
//! **Place.** Floor 3, between a ring ([`crate::keyring`]) and everything that is written. It reads
//! key files; the store writes and destroys them.
//!
//! | key | sealed under | seals |
//! |---|---|---|
//! | master key | kept by the caller | the file of the store key |
//! | store key, random | master key | the files of data keys |
//! | catalog key, HKDF-SHA256 of the store key, salt store id, label `quiver-store catalog 1` | not kept | manifests, frames of the log, the catalog's records |
//! | data key of a collection, random | store key | all that the collection has: files, log sections, name and schema |
//!
//! - Y1. A missing data key is its collection's state (`KeyUnavailable`), never the store's. Without the
//!   store key nothing opens.
//! - Y2. A key id is random and never comes back. One that nothing durable names is never adopted.
//! - Y3. Which codec a store has is what its manifest says: a plain page in an encrypted store is no page
//!   of it, nor the other way about.

use std::fmt;
#[cfg(feature = "encryption")]
use std::{collections::BTreeMap, io};

use crate::codec::{PageCodec, Place, PlainCodec, TAG_SIZE_BYTES};
#[cfg(feature = "encryption")]
use crate::crypto::{aead, key::Key};
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "encryption")]
use crate::file_names::FileName;
use crate::ids::{CollectionId, KeyId, StoreId};
#[cfg(feature = "encryption")]
use crate::key_file::{self, KEY_FILE_SIZE_BYTES, KeyIdentity};
use crate::keyring::{Custody, KeyRing};
use crate::sync::Arc;
#[cfg(feature = "encryption")]
use crate::sync::{Mutex, locked};
#[cfg(feature = "encryption")]
use crate::vfs::Access;
use crate::vfs::{Disk, Entropy};

/// The codecs of a store.
pub struct Keys(Kind);

enum Kind {
    /// Nothing can be opened but what is not encrypted.
    Keyless(Arc<dyn PageCodec>),
    Single(Arc<dyn PageCodec>),
    #[cfg(feature = "encryption")]
    Envelope(Box<Envelope>),
}

#[cfg(feature = "encryption")]
struct Envelope {
    disk: Disk,
    store: StoreId,
    ring: Arc<dyn KeyRing>,
    /// Under which id the store key is kept, and itself.
    store_key: (Mutex<KeyId>, Key),
    catalog: Arc<dyn PageCodec>,
    wrapping: Arc<dyn PageCodec>,
    known: Mutex<BTreeMap<KeyId, Arc<dyn PageCodec>>>,
}

/// What a manifest says of the keys of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) store: StoreId,
    /// The codec of all that is sealed.
    pub(crate) codec: u8,
    /// The store key; none where there are no key files.
    pub(crate) store_key: Option<KeyId>,
}

/// A new key, in the file that it goes into.
#[derive(Debug)]
pub(crate) struct NewKey {
    pub(crate) id: KeyId,
    pub(crate) file: Vec<u8>,
}

impl Keys {
    /// For a store that is not encrypted.
    pub fn plain() -> Self {
        Self(Kind::Single(Arc::new(PlainCodec)))
    }

    /// For one who has no keys to a store of this codec: checksums can be verified, and nothing that
    /// is sealed can be opened.
    pub fn keyless(codec: u8) -> Self {
        match codec {
            PlainCodec::ID => Self::plain(),
            codec => Self(Kind::Keyless(Arc::new(NoKey(codec)))),
        }
    }

    /// The keys of a store that is being created, and the file of its own key, if it has one.
    ///
    /// # Errors
    /// `Io` where no random bytes can be drawn; those of the ring's codec.
    pub(crate) fn create(
        ring: &Arc<dyn KeyRing>,
        disk: &Disk,
        entropy: &dyn Entropy,
        store: StoreId,
    ) -> Result<(Self, Option<NewKey>)> {
        match ring.custody() {
            Custody::Single(codec) => {
                let _ = (disk, entropy, store);
                Ok((Self(Kind::Single(codec)), None))
            }
            #[cfg(feature = "encryption")]
            Custody::Envelope(master) => {
                let key = Key::random(entropy)?;
                let made = new_file(&*master, entropy, store, CollectionId(0), &key)?;
                let envelope = Envelope::new(ring, disk, store, made.id, key);
                Ok((Self(Kind::Envelope(Box::new(envelope))), Some(made)))
            }
        }
    }

    /// The keys of a store that is there.
    ///
    /// # Errors
    /// `KeyUnavailable` where the ring's key is missing or wrong, or its store key is not there;
    /// `InvalidArgument` where there is a key and nothing is encrypted; `Corrupt` for a damaged file;
    /// `Io`.
    pub(crate) fn open(ring: &Arc<dyn KeyRing>, disk: &Disk, stated: Stated) -> Result<Self> {
        let refused = |what: &str| Err(Error::new(ErrorKind::KeyUnavailable, what));
        let not_encrypted =
            || Err(Error::invalid("the store is not encrypted: open it without a key"));
        match (ring.custody(), stated.store_key) {
            (Custody::Single(codec), None) if codec.id() == stated.codec => {
                let _ = disk;
                Ok(Self(Kind::Single(codec)))
            }
            (Custody::Single(codec), _) if codec.id() == PlainCodec::ID => {
                refused("the store is encrypted: open it with its key")
            }
            (_, None) if stated.codec == PlainCodec::ID => not_encrypted(),
            (Custody::Single(_), Some(_)) => {
                refused("the store's keys are in key files: open it with its master key")
            }
            (Custody::Single(_), None) => refused(&format!(
                "the store is sealed by codec {}: open it with that",
                stated.codec
            )),
            #[cfg(feature = "encryption")]
            (Custody::Envelope(_), None) => {
                refused("the store is sealed by one codec, without key files: open it with that")
            }
            #[cfg(feature = "encryption")]
            (Custody::Envelope(master), Some(id)) => {
                let key = read_key(disk, stated.store, CollectionId(0), id, &*master)?;
                let envelope = Envelope::new(ring, disk, stated.store, id, key);
                Ok(Self(Kind::Envelope(Box::new(envelope))))
            }
        }
    }

    /// What a manifest has to say of them.
    pub(crate) fn stated(&self, store: StoreId) -> Result<Stated> {
        let store_key = match &self.0 {
            Kind::Keyless(_) | Kind::Single(_) => None,
            #[cfg(feature = "encryption")]
            Kind::Envelope(envelope) => Some(*locked(&envelope.store_key.0)?),
        };
        Ok(Stated { store, codec: self.catalog().id(), store_key })
    }

    /// Whether sealed bytes can be opened, as far as there are keys to them.
    pub(crate) fn can_open(&self) -> bool {
        !matches!(self.0, Kind::Keyless(_))
    }

    /// Whether one key is for one collection alone.
    pub(crate) fn has_key_files(&self) -> bool {
        match self.0 {
            Kind::Keyless(_) | Kind::Single(_) => false,
            #[cfg(feature = "encryption")]
            Kind::Envelope(_) => true,
        }
    }

    /// The codec of the catalog: manifests, frames, and records that are no collection's.
    pub(crate) fn catalog(&self) -> &Arc<dyn PageCodec> {
        match &self.0 {
            Kind::Keyless(codec) | Kind::Single(codec) => codec,
            #[cfg(feature = "encryption")]
            Kind::Envelope(envelope) => &envelope.catalog,
        }
    }

    /// The codec of a collection's key.
    ///
    /// # Errors
    /// `KeyUnavailable` where the key is missing (Y1); `Corrupt` where its file is damaged; `Io`.
    pub(crate) fn of(&self, collection: CollectionId, key: KeyId) -> Result<Arc<dyn PageCodec>> {
        match &self.0 {
            Kind::Keyless(_) => Err(no_key()),
            _ if collection.0 == 0 && key == KeyId::NONE => Ok(Arc::clone(self.catalog())),
            Kind::Single(_) if key != KeyId::NONE => {
                Err(Error::corrupt(format!("collection {collection} has a key of its own: {key}")))
            }
            Kind::Single(codec) => Ok(Arc::clone(codec)),
            #[cfg(feature = "encryption")]
            Kind::Envelope(envelope) => envelope.of(collection, key),
        }
    }

    /// Opens the key of a collection anew, as the next open will. The store's own was opened by this one.
    ///
    /// # Errors
    /// Those of [`Keys::of`].
    pub(crate) fn check_file(&self, collection: CollectionId, key: KeyId) -> Result<()> {
        match &self.0 {
            Kind::Keyless(_) | Kind::Single(_) => {
                let _ = (collection, key);
                Ok(())
            }
            #[cfg(feature = "encryption")]
            Kind::Envelope(_) if collection.0 == 0 => Ok(()),
            #[cfg(feature = "encryption")]
            Kind::Envelope(envelope) => {
                let Envelope { disk, store, wrapping, .. } = &**envelope;
                read_key(disk, *store, collection, key, &**wrapping).map(drop)
            }
        }
    }

    /// Draws a key for a collection. Nothing is written; `None` where there are no key files.
    ///
    /// # Errors
    /// `Io` where no random bytes can be drawn.
    pub(crate) fn draw(
        &self,
        entropy: &dyn Entropy,
        collection: CollectionId,
    ) -> Result<Option<NewKey>> {
        match &self.0 {
            Kind::Keyless(_) | Kind::Single(_) => {
                let _ = (entropy, collection);
                Ok(None)
            }
            #[cfg(feature = "encryption")]
            Kind::Envelope(envelope) => {
                let key = Key::random(entropy)?;
                let Envelope { wrapping, store, ring, known, .. } = &**envelope;
                let made = new_file(&**wrapping, entropy, *store, collection, &key)?;
                // Before the lock: a ring that panics inside of it would keep readers from their keys.
                let codec = ring.codec(&key);
                locked(known)?.insert(made.id, codec);
                Ok(Some(made))
            }
        }
    }

    /// The same keys, with the store key under another id: those of a backup.
    pub(crate) fn under(&self, id: KeyId) -> Self {
        match &self.0 {
            Kind::Keyless(codec) => Self(Kind::Keyless(Arc::clone(codec))),
            Kind::Single(codec) => {
                let _ = id;
                Self(Kind::Single(Arc::clone(codec)))
            }
            #[cfg(feature = "encryption")]
            Kind::Envelope(envelope) => {
                let Envelope { ring, disk, store, store_key: (_, key), .. } = &**envelope;
                let envelope = Envelope::new(ring, disk, *store, id, key.clone());
                Self(Kind::Envelope(Box::new(envelope)))
            }
        }
    }

    /// Forgets a key that is destroyed.
    pub(crate) fn forget(&self, key: KeyId) {
        match &self.0 {
            Kind::Keyless(_) | Kind::Single(_) => {
                let _ = key;
            }
            #[cfg(feature = "encryption")]
            Kind::Envelope(envelope) => {
                if let Ok(mut known) = locked(&envelope.known) {
                    known.remove(&key);
                }
            }
        }
    }
}

#[cfg(feature = "encryption")]
impl Keys {
    /// The store key in a new file, sealed under the master key of another ring.
    ///
    /// # Errors
    /// `InvalidArgument` where the store or the ring has no key files; `Io`.
    pub(crate) fn rewrap(&self, ring: &dyn KeyRing, entropy: &dyn Entropy) -> Result<NewKey> {
        let Kind::Envelope(envelope) = &self.0 else {
            return Err(Error::invalid("the store has no master key: there is none to replace"));
        };
        let Custody::Envelope(master) = ring.custody() else {
            return Err(Error::invalid("a master key is replaced by that of an envelope key ring"));
        };
        new_file(&*master, entropy, envelope.store, CollectionId(0), &envelope.store_key.1)
    }

    /// The store key is kept under another id from now on.
    pub(crate) fn rewrapped(&self, id: KeyId) -> Result<()> {
        if let Kind::Envelope(envelope) = &self.0 {
            *locked(&envelope.store_key.0)? = id;
        }
        Ok(())
    }
}

#[cfg(feature = "encryption")]
impl Envelope {
    fn new(ring: &Arc<dyn KeyRing>, disk: &Disk, store: StoreId, id: KeyId, key: Key) -> Self {
        let catalog = aead::subkey(&key, &store.0, "quiver-store catalog 1");
        Self {
            disk: disk.clone(),
            store,
            catalog: ring.codec(&catalog),
            wrapping: ring.codec(&key),
            ring: Arc::clone(ring),
            store_key: (Mutex::new(id), key),
            known: Mutex::default(),
        }
    }

    fn of(&self, collection: CollectionId, id: KeyId) -> Result<Arc<dyn PageCodec>> {
        if let Some(codec) = locked(&self.known)?.get(&id) {
            return Ok(Arc::clone(codec));
        }
        let key = read_key(&self.disk, self.store, collection, id, &*self.wrapping)?;
        let codec = self.ring.codec(&key);
        locked(&self.known)?.insert(id, Arc::clone(&codec));
        Ok(codec)
    }
}

/// A key in a new file.
#[cfg(feature = "encryption")]
fn new_file(
    codec: &dyn PageCodec,
    entropy: &dyn Entropy,
    store: StoreId,
    collection: CollectionId,
    key: &Key,
) -> Result<NewKey> {
    let mut id = KeyId::NONE;
    entropy
        .fill(&mut id.0)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot draw random bytes: {error}")))?;
    let file = key_file::encode(&KeyIdentity { store, key: id, collection }, codec, key)?.to_vec();
    Ok(NewKey { id, file })
}

/// Reads a key out of its file.
#[cfg(feature = "encryption")]
fn read_key(
    disk: &Disk,
    store: StoreId,
    collection: CollectionId,
    key: KeyId,
    codec: &dyn PageCodec,
) -> Result<Key> {
    let name = FileName::Key(key).text();
    let path = disk.path(&name);
    let file = disk.open(&name, Access::Read).map_err(|error| match error.io_kind() {
        Some(io::ErrorKind::NotFound) => {
            let what = "the key file is missing: put it back from where it is kept";
            Error::new(ErrorKind::KeyUnavailable, format!("{}: {what}", path.display()))
        }
        _ => error,
    })?;
    let mut bytes = [0; KEY_FILE_SIZE_BYTES + 1];
    let len = file.read_up_to(&mut bytes, 0)?;
    let opened = key_file::decode(&KeyIdentity { store, key, collection }, codec, &bytes[..len]);
    let opened = opened.map_err(|error| {
        let kind = error.kind();
        error.reported_as(kind, &path.display().to_string())
    })?;
    opened.ok_or_else(|| {
        let what = match collection.0 {
            0 => "does not open under this master key: it is another one, or the file was changed",
            _ => "does not open under the store key: the file was changed",
        };
        Error::new(ErrorKind::KeyUnavailable, format!("{} {what}", path.display()))
    })
}

/// Stands for the codec of a store to which there is no key.
#[derive(Debug)]
struct NoKey(u8);

fn no_key() -> Error {
    Error::new(ErrorKind::KeyUnavailable, "sealed, and opened without keys")
}

impl PageCodec for NoKey {
    fn id(&self) -> u8 {
        self.0
    }

    fn seal(&self, _: &Place, _: &[u8], _: &mut [u8]) -> Result<[u8; TAG_SIZE_BYTES]> {
        Err(no_key())
    }

    fn open(&self, _: &Place, _: &[u8], _: &mut [u8], _: &[u8; TAG_SIZE_BYTES]) -> Result<()> {
        Err(no_key())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Kind::Keyless(_) => "Keyless",
            Kind::Single(_) => "Single",
            #[cfg(feature = "encryption")]
            Kind::Envelope(_) => "Envelope",
        };
        f.debug_tuple("Keys").field(&kind).finish()
    }
}
