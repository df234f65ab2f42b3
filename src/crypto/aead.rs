//! AES-256-GCM for pages and log sections.
//!
//! **Protocol**
//!
//! - E1. Each sealed file has a key of its own: HKDF-SHA256 with the data key as input, the file's
//!   salt as salt, and label, store id, kind and collection as info. So what is sealed opens in its
//!   own file of its own store only, also where another file has the same data key.
//! - E2. The nonce is the position: page index, or in a log the offset. A position is sealed once, so
//!   no nonce comes twice under a key. A file in which a write failed takes no more.
//! - E3. The header in front is associated data: what it says is bound to what is sealed.
//!
//! | info of the derivation | bytes |
//! |---|---|
//! | label `quiver-store file 1` | 19 |
//! | store id | 16 |
//! | kind of the file, u8 | 1 |
//! | collection id, u64 | 8 |
//!
//! | nonce | bytes |
//! |---|---|
//! | zero | 4 |
//! | position, u64 | 8 |
//!
//! *Reference*: NIST SP 800-38D (GCM), RFC 5869 (HKDF), FIPS 197 (AES).

use std::fmt;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::codec::{PageCodec, Place, TAG_SIZE_BYTES};
use crate::crypto::key::{KEY_SIZE_BYTES, Key};
use crate::error::{Error, Result};
use crate::sync::Arc;

const FILE_LABEL: &[u8] = b"quiver-store file 1";

/// Seals and opens with AES-256-GCM under keys derived from one data key.
///
/// Safe to use from many threads. Its tag is 16 bytes.
#[derive(Clone)]
pub struct AesGcmCodec {
    key: Key,
}

/// The same for one file, whose key is derived.
struct FileCodec {
    cipher: Aes256Gcm,
    /// Of the file; its position is 0.
    file: Place,
}

impl AesGcmCodec {
    /// The number of this codec on disk.
    pub const ID: u8 = 1;

    /// A codec under a data key.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    fn file(&self, place: &Place) -> FileCodec {
        let key = file_key(&self.key, place);
        FileCodec { cipher: Aes256Gcm::new((&*key).into()), file: Place { position: 0, ..*place } }
    }
}

impl PageCodec for AesGcmCodec {
    fn id(&self) -> u8 {
        Self::ID
    }

    fn for_file(&self, place: &Place) -> Option<Arc<dyn PageCodec>> {
        Some(Arc::new(self.file(place)))
    }

    fn seal(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES]> {
        self.file(place).seal(place, associated, body)
    }

    fn open(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        self.file(place).open(place, associated, body, tag)
    }
}

impl PageCodec for FileCodec {
    fn id(&self) -> u8 {
        AesGcmCodec::ID
    }

    fn seal(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES]> {
        self.check_file(place);
        let sealed = self.cipher.encrypt_inout_detached(
            &nonce(place.position),
            associated,
            InOutBuf::from(body),
        );
        sealed.map(Into::into).map_err(|_| Error::too_large("more bytes than one seal takes"))
    }

    fn open(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        self.check_file(place);
        let opened = self.cipher.decrypt_inout_detached(
            &nonce(place.position),
            associated,
            InOutBuf::from(body),
            tag.into(),
        );
        opened.map_err(|_| {
            let (kind, position) = (place.kind, place.position);
            let what = "does not open under its key: it was changed, or is of another place";
            Error::corrupt(format!("{kind:?} position {position}: {what}"))
        })
    }
}

impl FileCodec {
    /// A key of one file must seal nothing of another: that would be our bug.
    fn check_file(&self, place: &Place) {
        assert!(Place { position: 0, ..*place } == self.file, "a codec for another file");
    }
}

impl fmt::Debug for AesGcmCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AesGcmCodec").finish_non_exhaustive()
    }
}

impl fmt::Debug for FileCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCodec").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The key of one file (E1).
fn file_key(key: &Key, place: &Place) -> Zeroizing<[u8; KEY_SIZE_BYTES]> {
    let kind = [place.kind as u8];
    let collection = place.collection.0.to_le_bytes();
    derive(key, &place.salt.0, &[FILE_LABEL, &place.store.0, &kind, &collection])
}

/// The nonce of a position (E2).
fn nonce(position: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = Nonce::default();
    nonce[4..].copy_from_slice(&position.to_le_bytes());
    nonce
}

/// HKDF-SHA256 of a key.
fn derive(key: &Key, salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; KEY_SIZE_BYTES]> {
    let mut derived = Zeroizing::new([0; KEY_SIZE_BYTES]);
    Hkdf::<Sha256>::new(Some(salt), key.bytes())
        .expand_multi_info(info, &mut *derived)
        .expect("HKDF gives up to 255 times what is asked for");
    derived
}

/// The key that is derived from another under a label, for another use.
pub(crate) fn subkey(key: &Key, salt: &[u8], label: &str) -> Key {
    Key::from_bytes(*derive(key, salt, &[label.as_bytes()]))
}

#[cfg(test)]
mod tests;
