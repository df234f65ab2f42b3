//! CRC32C of bytes in one piece or in several.
//!
//! **Place.** Every page, frame and header carries one ([`crate::page`], `docs/format.md`). It finds
//! what went wrong by accident; it is no seal.

/// CRC32C (Castagnoli, reflected, all ones before and after), as in RFC 3720.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_append(0, bytes)
}

/// CRC32C of bytes behind others whose checksum is known.
pub(crate) fn crc32c_append(before: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(before, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix B.4 of RFC 3720.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, expected) in [
            (&[0; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (b"123456789", 0xe306_9283),
            (b"", 0),
        ] {
            assert_eq!(crc32c(bytes), expected);
        }
    }

    #[test]
    fn pieces_come_to_the_whole() {
        let bytes: Vec<u8> = (0..1000_u32).map(|i| (i * 7).to_le_bytes()[0]).collect();
        for cut in [0, 1, 7, 8, 64, 255, 999, 1000] {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(crc32c_append(crc32c(front), back), crc32c(&bytes), "cut at {cut}");
        }
    }
}
