//! A key file: one key, sealed under another.
//!
//! **Invariants**
//!
//! - B1. A key file is written once, under a random id that no file had before, and synced with its
//!   directory before anything durable refers to it.
//! - B2. It is changed once more, when the key is destroyed: random bytes go over it, are synced, and
//!   the name is removed. It is the one file that is written in place.
//! - B3. The header binds the key to its store, its id and its collection: in another place it does
//!   not open.
//!
//! **A crash leaves** a file that nothing durable names, which is never adopted: the next creation
//! draws a new id, and the orphan is destroyed as any key is.
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 4 | magic | `QVKY` |
//! | 4 | 2 | format version | 1 |
//! | 6 | 1 | codec | of the seal |
//! | 7 | 1 | reserved | zero |
//! | 8 | 16 | store id | the store's |
//! | 24 | 16 | key id | as in the name; also the salt of the seal |
//! | 40 | 8 | collection id | whose key; 0 is the store's own |
//! | 48 | 16 | tag | of the codec; bytes 0 to 48 are associated data |
//! | 64 | 32 | key | sealed |
//! | 96 | 4 | checksum | CRC32C of bytes 0 to 96 |
//!
//! The store key is sealed under the master key, a data key under the store key.

use crate::checksum;
use crate::codec::TAG_SIZE_BYTES;
#[cfg(feature = "encryption")]
use crate::codec::{FileKind, PageCodec, Place};
#[cfg(feature = "encryption")]
use crate::crypto::key::Key;
use crate::cursor::Cursor;
#[cfg(feature = "encryption")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
#[cfg(feature = "encryption")]
use crate::ids::Salt;
use crate::ids::{CollectionId, KeyId, StoreId};

/// Bytes of the file.
pub const KEY_FILE_SIZE_BYTES: usize = 100;

/// The first four bytes.
pub const KEY_FILE_MAGIC: [u8; 4] = *b"QVKY";

/// The one version of the layout.
pub const KEY_FILE_FORMAT_VERSION: u16 = 1;

/// Bytes of the key inside.
pub const SEALED_KEY_SIZE_BYTES: usize = 32;

const TAG_OFFSET: usize = 48;
const KEY_OFFSET: usize = TAG_OFFSET + TAG_SIZE_BYTES;
const CHECKSUM_OFFSET: usize = KEY_OFFSET + SEALED_KEY_SIZE_BYTES;

const _: () = assert!(CHECKSUM_OFFSET + 4 == KEY_FILE_SIZE_BYTES);

/// Whose key a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIdentity {
    /// The store.
    pub store: StoreId,
    /// The key, and the salt of its seal.
    pub key: KeyId,
    /// Whose; 0 is the store's own.
    pub collection: CollectionId,
}

#[cfg(feature = "encryption")]
impl KeyIdentity {
    fn place(&self) -> Place {
        let Self { store, key, collection } = *self;
        Place { store, salt: Salt(key.0), kind: FileKind::Key, collection, position: 0 }
    }
}

/// The stored form of a key, sealed.
///
/// # Errors
/// Those of the codec.
#[cfg(feature = "encryption")]
pub fn encode(
    identity: &KeyIdentity,
    codec: &dyn PageCodec,
    key: &Key,
) -> Result<[u8; KEY_FILE_SIZE_BYTES]> {
    let mut bytes = [0; KEY_FILE_SIZE_BYTES];
    bytes[0..4].copy_from_slice(&KEY_FILE_MAGIC);
    bytes[4..6].copy_from_slice(&KEY_FILE_FORMAT_VERSION.to_le_bytes());
    bytes[6] = codec.id();
    bytes[8..24].copy_from_slice(&identity.store.0);
    bytes[24..40].copy_from_slice(&identity.key.0);
    bytes[40..48].copy_from_slice(&identity.collection.0.to_le_bytes());
    let (header, rest) = bytes.split_at_mut(TAG_OFFSET);
    let (tag, body) = rest.split_at_mut(TAG_SIZE_BYTES);
    let body = &mut body[..SEALED_KEY_SIZE_BYTES];
    body.copy_from_slice(key.bytes());
    tag.copy_from_slice(&codec.seal(&identity.place(), header, body)?);
    let checksum = checksum::crc32c(&bytes[..CHECKSUM_OFFSET]);
    bytes[CHECKSUM_OFFSET..].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Checks a key file in its place, without a key.
///
/// # Errors
/// `Corrupt` for bytes that no version writes, or that are another key's; `Unsupported`.
pub fn verify(identity: &KeyIdentity, bytes: &[u8]) -> Result<()> {
    if bytes.len() != KEY_FILE_SIZE_BYTES {
        let len = bytes.len();
        return Err(Error::corrupt(format!("{len} bytes long, expected {KEY_FILE_SIZE_BYTES}")));
    }
    let mut cursor = Cursor::new(bytes, "key file");
    if cursor.array::<4>()? != KEY_FILE_MAGIC {
        return Err(Error::corrupt("does not start as a key file: destroyed, or damaged"));
    }
    let version = cursor.u16()?;
    let (_codec, reserved) = (cursor.u8()?, cursor.u8()?);
    let found = KeyIdentity {
        store: StoreId(cursor.array()?),
        key: KeyId(cursor.array()?),
        collection: CollectionId(cursor.u64()?),
    };
    let expected = checksum::crc32c(&bytes[..CHECKSUM_OFFSET]);
    if bytes[CHECKSUM_OFFSET..] != expected.to_le_bytes() {
        return Err(Error::corrupt("the checksum of the key file does not hold"));
    }
    if version != KEY_FILE_FORMAT_VERSION || reserved != 0 {
        return Err(Error::unsupported(format!("key file of format version {version}")));
    }
    if found != *identity {
        return Err(Error::corrupt("holds another key than its name says"));
    }
    Ok(())
}

/// Whose key an intact file holds, in whatever store; `None` for one that is not intact.
pub(crate) fn collection_of(bytes: &[u8]) -> Option<CollectionId> {
    let mut cursor = Cursor::new(bytes.get(8..)?, "key file");
    let store = StoreId(cursor.array().ok()?);
    let key = KeyId(cursor.array().ok()?);
    let collection = CollectionId(cursor.u64().ok()?);
    verify(&KeyIdentity { store, key, collection }, bytes).is_ok().then_some(collection)
}

/// Opens the key in a file that checks out; `None` where it does not open under this codec: it is the
/// wrong one.
///
/// # Errors
/// Those of [`verify`], and of a codec that cannot tell.
#[cfg(feature = "encryption")]
pub fn decode(identity: &KeyIdentity, codec: &dyn PageCodec, bytes: &[u8]) -> Result<Option<Key>> {
    verify(identity, bytes)?;
    if bytes[6] != codec.id() {
        return Ok(None);
    }
    let tag = bytes[TAG_OFFSET..KEY_OFFSET].try_into().expect("of that size");
    let mut key = zeroize::Zeroizing::new([0; SEALED_KEY_SIZE_BYTES]);
    key.copy_from_slice(&bytes[KEY_OFFSET..CHECKSUM_OFFSET]);
    match codec.open(&identity.place(), &bytes[..TAG_OFFSET], &mut *key, tag) {
        Ok(()) => Ok(Some(Key::from_bytes(*key))),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(all(test, feature = "encryption"))]
mod tests {
    use super::*;
    use crate::crypto::aead::AesGcmCodec;
    use crate::crypto::key::Key;

    const IDENTITY: KeyIdentity =
        KeyIdentity { store: StoreId([1; 16]), key: KeyId([2; 16]), collection: CollectionId(3) };

    #[test]
    fn key_opens_in_its_own_place_under_its_own_key_only() {
        let codec = |byte| AesGcmCodec::new(Key::from_bytes([byte; 32]));
        let key = Key::from_bytes([5; 32]);
        let bytes = encode(&IDENTITY, &codec(9), &key).expect("sealed");
        assert!(!bytes.windows(32).any(|part| part == [5; 32]), "not as it is");
        let opened = decode(&IDENTITY, &codec(9), &bytes).expect("whole").expect("its key");
        assert_eq!(opened.bytes(), key.bytes());
        assert!(decode(&IDENTITY, &codec(8), &bytes).expect("whole").is_none());
        for other in [
            KeyIdentity { store: StoreId([7; 16]), ..IDENTITY },
            KeyIdentity { key: KeyId([7; 16]), ..IDENTITY },
            KeyIdentity { collection: CollectionId(7), ..IDENTITY },
        ] {
            assert!(decode(&other, &codec(9), &bytes).is_err());
        }
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert!(decode(&IDENTITY, &codec(9), &changed).is_err(), "byte {at}");
        }
    }
}
