//! `CURRENT`: the 64 bytes that name the newest manifest.
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 4 | magic | `QVCU` |
//! | 4 | 2 | format version | 1 |
//! | 6 | 2 | reserved | zero |
//! | 8 | 16 | store id | the store's |
//! | 24 | 8 | manifest version | as in the manifest's name |
//! | 32 | 8 | manifest length | bytes, a multiple of the page |
//! | 40 | 16 | manifest salt | as in its pages |
//! | 56 | 4 | manifest digest | CRC32C of the checksums of its pages |
//! | 60 | 4 | checksum | CRC32C of bytes 0 to 60 |

use crate::checksum;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::ids::{ManifestVersion, Salt, StoreId};

/// Bytes of the file.
pub const CURRENT_SIZE_BYTES: usize = 64;

/// The first four bytes.
pub const CURRENT_MAGIC: [u8; 4] = *b"QVCU";

/// The one version of the layout.
pub const CURRENT_FORMAT_VERSION: u16 = 1;

const CHECKSUM_OFFSET: usize = CURRENT_SIZE_BYTES - 4;

/// Which manifest is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The store.
    pub store: StoreId,
    /// The manifest's version.
    pub version: ManifestVersion,
    /// Bytes of the manifest file.
    pub len: u64,
    /// The manifest file's salt.
    pub salt: Salt,
    /// CRC32C of the checksums of the manifest's pages.
    pub digest: u32,
}

impl Current {
    /// The stored form.
    pub fn encode(&self) -> [u8; CURRENT_SIZE_BYTES] {
        let mut bytes = [0; CURRENT_SIZE_BYTES];
        bytes[0..4].copy_from_slice(&CURRENT_MAGIC);
        bytes[4..6].copy_from_slice(&CURRENT_FORMAT_VERSION.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.store.0);
        bytes[24..32].copy_from_slice(&self.version.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.len.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.salt.0);
        bytes[56..60].copy_from_slice(&self.digest.to_le_bytes());
        let checksum = checksum::crc32c(&bytes[..CHECKSUM_OFFSET]);
        bytes[CHECKSUM_OFFSET..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Corrupt` for bytes that no version writes, `Unsupported` for another version's.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != CURRENT_SIZE_BYTES {
            let len = bytes.len();
            return Err(Error::corrupt(format!("{len} bytes long, expected {CURRENT_SIZE_BYTES}")));
        }
        let mut cursor = Cursor::new(bytes, "CURRENT");
        if cursor.array::<4>()? != CURRENT_MAGIC {
            return Err(Error::corrupt("does not start as CURRENT"));
        }
        let version = cursor.u16()?;
        let reserved = cursor.u16()?;
        let current = Self {
            store: StoreId(cursor.array()?),
            version: ManifestVersion(cursor.u64()?),
            len: cursor.u64()?,
            salt: Salt(cursor.array()?),
            digest: cursor.u32()?,
        };
        let (found, expected) = (cursor.u32()?, checksum::crc32c(&bytes[..CHECKSUM_OFFSET]));
        if found != expected {
            return Err(Error::corrupt(format!(
                "checksum {found:#010x}, expected {expected:#010x}"
            )));
        }
        if version != CURRENT_FORMAT_VERSION || reserved != 0 {
            return Err(Error::unsupported(format!("format version {version}")));
        }
        Ok(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_round_trips_and_refuses_every_single_byte_change() {
        let current = Current {
            store: StoreId([1; 16]),
            version: ManifestVersion(7),
            len: 16_384,
            salt: Salt([2; 16]),
            digest: 77,
        };
        let bytes = current.encode();
        assert_eq!(Current::decode(&bytes).expect("own bytes"), current);
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 4;
            assert!(Current::decode(&changed).is_err(), "byte {at}");
            assert!(Current::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
