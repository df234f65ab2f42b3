//! Numbers and checksums in stored bytes, worked out here and not by the engine.
//!
//! **Place.** [`super::layout`] and [`super::log`] read undamaged files with it, so that what they
//! expect of the engine does not come from its own decoder.

/// A page of every file but a log.
const PAGE: usize = 16 * 1024;

/// Bytes of a page before its body.
const PAGE_HEADER: usize = 64;

/// Bytes that are read one field after the other; zeros behind their end.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    fn number(&mut self, len: usize) -> u64 {
        let taken = self.take(len).iter().zip(0u32..);
        taken.fold(0, |sum, (byte, place)| sum | u64::from(*byte) << (8 * place))
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(super) fn u16(&mut self) -> u64 {
        self.number(2)
    }

    pub(super) fn u32(&mut self) -> u64 {
        self.number(4)
    }

    pub(super) fn u64(&mut self) -> u64 {
        self.number(8)
    }
}

/// A number of four bytes at a place.
pub(super) fn word(bytes: &[u8], at: usize) -> usize {
    let number = Fields::of(bytes.get(at..).unwrap_or_default()).u32();
    usize::try_from(number).expect("32 bits")
}

/// A number of eight bytes at a place.
pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    Fields::of(bytes.get(at..).unwrap_or_default()).u64()
}

/// The bodies of the pages of a file, one behind the other.
pub(super) fn bodies(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for page in file.chunks(PAGE) {
        let len = word(page, 12);
        out.extend_from_slice(page.get(PAGE_HEADER..PAGE_HEADER + len).unwrap_or_default());
    }
    out
}

/// CRC32C, bit by bit, of pieces one behind the other.
pub(super) fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut register = u32::MAX;
    for byte in pieces.iter().flat_map(|piece| piece.iter()) {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let odd = register & 1 == 1;
            register = (register >> 1) ^ if odd { 0x82f6_3b78 } else { 0 };
        }
    }
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix B.4 of RFC 3720.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
    }
}
