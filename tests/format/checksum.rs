//! CRC32C by another implementation than the engine's, and by the document's definition alone.

/// The checksum of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_append(0, bytes)
}

/// The checksum of `bytes` behind others whose checksum is `before`.
pub(crate) fn crc32c_append(before: u32, bytes: &[u8]) -> u32 {
    let castagnoli = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    // The register is the checksum with all bits turned over; the crate takes it from its other end.
    let mut digest = castagnoli.digest_with_initial((!before).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

#[test]
fn it_is_the_checksum_of_the_standard_in_one_piece_and_in_two() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c_append(crc32c(b"1234"), b"56789"), 0xe306_9283);
}
