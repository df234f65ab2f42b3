//! Secret keys: 32 bytes that are shown to nobody and wiped when they are let go of.
//!
//! - S1. A key is in no `Debug` output, error or trace.
//! - S2. Its bytes are overwritten when it is dropped. Copies that the caller made are the caller's.

use std::fmt;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use crate::vfs::os::OsVfs;
use crate::vfs::{Access, Disk, Entropy};

/// Bytes of a key.
pub const KEY_SIZE_BYTES: usize = 32;

/// A secret key of 256 bits.
///
/// As a master key it is the one secret that the caller keeps: who has it and the store's directory
/// reads everything, and who has lost it reads nothing.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_SIZE_BYTES]>);

impl Key {
    /// A key of these bytes, which must come from a source of randomness or a key derivation; a
    /// password is none.
    pub fn from_bytes(bytes: [u8; KEY_SIZE_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads a key of 64 hexadecimal digits, with white space around them or none.
    ///
    /// # Errors
    /// `InvalidArgument` for anything else; what was given is not repeated.
    pub fn from_hex(text: &str) -> Result<Self> {
        let (digits, rest) = text.trim().as_bytes().as_chunks::<2>();
        if digits.len() != KEY_SIZE_BYTES || !rest.is_empty() {
            let found = text.trim().len();
            let what = format!("a key is 64 hexadecimal digits, not {found} characters");
            return Err(Error::invalid(what));
        }
        let mut key = Self::from_bytes([0; KEY_SIZE_BYTES]);
        for (byte, digits) in key.0.iter_mut().zip(digits) {
            let value = |digit: u8| char::from(digit).to_digit(16);
            let (Some(high), Some(low)) = (value(digits[0]), value(digits[1])) else {
                return Err(Error::invalid("a key is 64 hexadecimal digits, and one is none"));
            };
            *byte = u8::try_from(high * 16 + low).expect("two digits");
        }
        Ok(key)
    }

    /// Reads a key from a file of the operating system: 32 bytes, or 64 hexadecimal digits.
    ///
    /// # Errors
    /// `InvalidArgument` for a file that holds anything else; `NotFound`; `Io`.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let disk = Disk::new(Arc::new(OsVfs::new()), path);
        // More than a key can be written with, so that a longer file is told from a key.
        let mut bytes = Zeroizing::new([0; 4 * KEY_SIZE_BYTES]);
        let read = disk.open("", Access::Read).and_then(|file| file.read_up_to(&mut *bytes, 0));
        let len = read.map_err(|error| match error.io_kind() {
            Some(io::ErrorKind::NotFound) => {
                Error::not_found(format!("no key file is at {}", path.display()))
            }
            _ => error,
        })?;
        let bytes = &bytes[..len];
        // Half of the digits of a key are no key: chance does not make such bytes.
        let is_half = bytes.iter().all(u8::is_ascii_hexdigit);
        if let (Ok(bytes), false) = (<[u8; KEY_SIZE_BYTES]>::try_from(bytes), is_half) {
            return Ok(Self::from_bytes(bytes));
        }
        let text = str::from_utf8(bytes).ok().map(Self::from_hex);
        text.and_then(Result::ok).ok_or_else(|| {
            let path = path.display();
            let what = "a key file is 32 bytes, or 64 hexadecimal digits";
            Error::invalid(format!("{path} holds no key: {what}"))
        })
    }

    /// A key drawn at random.
    ///
    /// # Errors
    /// `Io` where the source of randomness fails: there is no weaker one to fall back to.
    pub fn random(entropy: &dyn Entropy) -> Result<Self> {
        let mut key = Self::from_bytes([0; KEY_SIZE_BYTES]);
        entropy.fill(&mut *key.0).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot draw a random key: {error}"))
        })?;
        Ok(key)
    }

    /// The bytes, for a codec of one's own.
    pub fn bytes(&self) -> &[u8; KEY_SIZE_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_keys_are_read_and_others_refused_without_being_repeated() {
        let text = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";
        let key = Key::from_hex(&format!(" {text}\n")).expect("64 digits");
        assert_eq!(key.bytes()[..3], [0, 0x11, 0x22]);
        assert_eq!(key.bytes()[31], 0);
        for bad in [&text[1..], &text.replace("ee", "eg"), "", "hunter2"] {
            let error = Key::from_hex(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn key_files_hold_bytes_or_digits() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        assert_eq!(Key::from_file(&path).expect_err("none").kind(), ErrorKind::NotFound);
        for (content, is_key) in [
            (vec![7; 32], true),
            (b"07".repeat(32), true),
            ([&b"07".repeat(32)[..], b"\n"].concat(), true),
            (vec![7; 31], false),
            (vec![7; 33], false),
            (b"07".repeat(33), false),
            (b"07".repeat(16), false),
            (Vec::new(), false),
        ] {
            #[expect(clippy::disallowed_methods, reason = "the test makes files of its own")]
            std::fs::write(&path, &content).expect("written");
            match Key::from_file(&path) {
                Ok(key) => assert!(is_key && *key.bytes() == [7; 32], "{content:?}"),
                Err(error) => {
                    assert!(!is_key, "{content:?}");
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                }
            }
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", Key::from_bytes([0xAB; 32])), "Key(secret)");
    }
}
