//! The first sector of a log file: which file of which store it is.
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 4 | magic | `QVWL` |
//! | 4 | 2 | format version | 1 |
//! | 6 | 2 | reserved | zero |
//! | 8 | 16 | store id | the store's |
//! | 24 | 8 | file id | as in the name |
//! | 32 | 16 | salt | as in the manifest |
//! | 48 | 8 | base LSN | LSN of the first record |
//! | 56 | 4 | reserved | zero |
//! | 60 | 4 | checksum | CRC32C of bytes 0 to 60 |
//! | 64 | 448 | reserved | zero |

use crate::checksum;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::ids::{FileId, Lsn, Salt, StoreId};
use crate::limits::SECTOR_SIZE_BYTES;

/// Bytes of the header: frames start behind it, on a sector of their own.
pub const LOG_HEADER_SIZE_BYTES: usize = SECTOR_SIZE_BYTES;

/// The first four bytes of a log file.
pub const LOG_MAGIC: [u8; 4] = *b"QVWL";

/// The one version of the layout.
pub const LOG_FORMAT_VERSION: u16 = 1;

const CHECKSUM_OFFSET: usize = 60;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// The store.
    pub store: StoreId,
    /// The number in the file's name.
    pub file: FileId,
    /// The file's own salt.
    pub salt: Salt,
    /// LSN of the first record.
    pub base: Lsn,
}

impl LogHeader {
    /// The stored form.
    pub fn encode(&self) -> [u8; LOG_HEADER_SIZE_BYTES] {
        let mut bytes = [0; LOG_HEADER_SIZE_BYTES];
        bytes[0..4].copy_from_slice(&LOG_MAGIC);
        bytes[4..6].copy_from_slice(&LOG_FORMAT_VERSION.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.store.0);
        bytes[24..32].copy_from_slice(&self.file.0.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.salt.0);
        bytes[48..56].copy_from_slice(&self.base.0.to_le_bytes());
        let checksum = checksum::crc32c(&bytes[..CHECKSUM_OFFSET]);
        bytes[CHECKSUM_OFFSET..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Corrupt` for a header that no version writes, `Unsupported` for one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, "log header");
        if cursor.array::<4>()? != LOG_MAGIC {
            return Err(Error::corrupt("does not start as a log file"));
        }
        let version = cursor.u16()?;
        let reserved = cursor.u16()?;
        let store = StoreId(cursor.array()?);
        let file = FileId(cursor.u64()?);
        let salt = Salt(cursor.array()?);
        let base = Lsn(cursor.u64()?);
        let reserved_too = cursor.u32()?;
        let (found, expected) = (cursor.u32()?, checksum::crc32c(&bytes[..CHECKSUM_OFFSET]));
        if found != expected {
            return Err(Error::corrupt(format!(
                "log header: checksum {found:#010x}, expected {expected:#010x}"
            )));
        }
        if version != LOG_FORMAT_VERSION || reserved != 0 || reserved_too != 0 {
            return Err(Error::unsupported(format!("log format version {version}")));
        }
        if cursor.bytes(LOG_HEADER_SIZE_BYTES - 64)?.iter().any(|&byte| byte != 0) {
            return Err(Error::corrupt("log header: bytes behind its checksum are not zero"));
        }
        Ok(Self { store, file, salt, base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_refuses_every_single_byte_change() {
        let header = LogHeader {
            store: StoreId([1; 16]),
            file: FileId(7),
            salt: Salt([2; 16]),
            base: Lsn(99),
        };
        let bytes = header.encode();
        assert_eq!(LogHeader::decode(&bytes).expect("own bytes"), header);
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert!(LogHeader::decode(&changed).is_err(), "byte {at}");
        }
    }
}
