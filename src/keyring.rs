//! Key rings: what the caller hands over so that a store is encrypted, or is not.
//!
//! **Place.** Floor 2, an argument of every open ([`crate::Env`]). A ring holds the secret and does no
//! I/O. The files in which keys are kept, their names, their syncs and their destruction are the
//! engine's ([`crate::keys`]): a custody that is split between two is where keys get lost.
//!
//! | ring | keys | `shred_collection` |
//! |---|---|---|
//! | [`SingleCodecKeyRing::plaintext`] | none: nothing is encrypted | refused |
//! | [`SingleCodecKeyRing::new`] | one codec for all, kept by the caller | refused |
//! | `EnvelopeKeyRing` (feature `encryption`) | a master key, kept by the caller; below it one of the store and one of each collection, in key files | destroys the collection's key |

use std::fmt;

use crate::codec::{PageCodec, PlainCodec};
#[cfg(feature = "encryption")]
use crate::crypto::{aead::AesGcmCodec, key::Key};
use crate::sync::Arc;

/// Who keeps the keys of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Custody {
    /// The caller: one codec seals everything, and there are no key files.
    Single(Arc<dyn PageCodec>),
    /// The store, in key files. The codec seals one of them, the store key; the others are sealed
    /// under that.
    #[cfg(feature = "encryption")]
    Envelope(Arc<dyn PageCodec>),
}

/// Supplies what a store seals and opens with.
///
/// One of one's own may have the master key in a device or a service: its codec then asks there
/// whenever 32 bytes, the store key, are sealed or opened, which is once an open.
pub trait KeyRing: Send + Sync + fmt::Debug {
    /// Who keeps the keys.
    fn custody(&self) -> Custody;

    /// The codec under a key that the store keeps.
    #[cfg(feature = "encryption")]
    fn codec(&self, key: &Key) -> Arc<dyn PageCodec> {
        Arc::new(AesGcmCodec::new(key.clone()))
    }
}

/// One codec for everything.
#[derive(Clone, Debug)]
pub struct SingleCodecKeyRing(Arc<dyn PageCodec>);

impl SingleCodecKeyRing {
    /// Nothing is encrypted.
    pub fn plaintext() -> Self {
        Self(Arc::new(PlainCodec))
    }

    /// Everything is sealed by this codec. There is one key, so no collection can be shredded.
    pub fn new(codec: Arc<dyn PageCodec>) -> Self {
        Self(codec)
    }
}

impl KeyRing for SingleCodecKeyRing {
    fn custody(&self) -> Custody {
        Custody::Single(Arc::clone(&self.0))
    }
}

/// A master key over a key of the store over one of each collection.
///
/// The master key seals one file. So it is replaced by replacing that file
/// ([`crate::Store::rotate_master_key`]), and destroying one collection's key destroys that
/// collection alone ([`crate::Store::shred_collection`]).
#[cfg(feature = "encryption")]
#[derive(Clone, Debug)]
pub struct EnvelopeKeyRing(Arc<dyn PageCodec>);

#[cfg(feature = "encryption")]
impl EnvelopeKeyRing {
    /// A ring with this master key.
    ///
    /// # Examples
    /// ```
    /// # use std::sync::Arc;
    /// use quiver_store::{Env, EnvelopeKeyRing, Key, Options, Store};
    /// let key = Key::from_hex(&"07".repeat(32))?;
    /// let env = Env::memory().with_keyring(Arc::new(EnvelopeKeyRing::new(key)));
    /// let store = Store::open_with(env, Options::default())?;
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn new(master: Key) -> Self {
        Self(Arc::new(AesGcmCodec::new(master)))
    }
}

#[cfg(feature = "encryption")]
impl KeyRing for EnvelopeKeyRing {
    fn custody(&self) -> Custody {
        Custody::Envelope(Arc::clone(&self.0))
    }
}
