//! Reads and appends little-endian fields, bounded by the bytes that are there.
//!
//! Every length that comes from a disk passes through [`Cursor`]: it is held against what is left
//! before anything is allocated.

use crate::error::{Error, Result};

/// Reads fields from the front of a byte string.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// Starts at the front; `what` names the structure in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.short(N))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.short(len))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn text(&mut self, len: usize) -> Result<&'a str> {
        let what = self.what;
        std::str::from_utf8(self.bytes(len)?)
            .map_err(|error| Error::corrupt(format!("{what}: text is not UTF-8: {error}")))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of entries of at least `entry_bytes_min` each: never more than there is room for.
    pub(crate) fn count(&mut self, entry_bytes_min: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        let most = self.left() / entry_bytes_min;
        if count > most {
            let what = self.what;
            return Err(Error::corrupt(format!(
                "{what}: {count} entries announced, room for {most}"
            )));
        }
        Ok(count)
    }

    /// Refuses reserved bytes that are not zero.
    pub(crate) fn zeros(&mut self, len: usize) -> Result<()> {
        let what = self.what;
        if self.bytes(len)?.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        Err(Error::unsupported(format!("{what}: reserved bytes are not zero")))
    }

    /// Refuses bytes after the last field.
    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let (what, left) = (self.what, self.left());
        Err(Error::corrupt(format!("{what}: {left} bytes after its end")))
    }

    fn short(&self, wanted: usize) -> Error {
        let (what, left) = (self.what, self.left());
        Error::corrupt(format!("{what}: {left} bytes left, expected {wanted}"))
    }
}

/// The length of something that `limits` bounds far below 4 GiB.
pub(crate) fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("lengths are bounded by `limits`, all below 4 GiB")
}

/// A file offset or length as an index into memory.
pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).expect("the engine is for 64-bit machines")
}

const _: () = assert!(size_of::<usize>() >= size_of::<u64>(), "64-bit machines only");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_by_the_bytes_left() {
        let bytes = [255, 255, 255, 255, 0, 0];
        assert!(Cursor::new(&bytes, "test").count(1).is_err());
        let bytes = [2, 0, 0, 0, 9, 9];
        assert_eq!(Cursor::new(&bytes, "test").count(1).expect("two fit"), 2);
    }

    #[test]
    fn short_input_is_corrupt_and_says_what() {
        let error = Cursor::new(&[1, 2], "thing").u32().expect_err("two bytes are no u32");
        assert_eq!(error.to_string(), "thing: 2 bytes left, expected 4");
    }
}
