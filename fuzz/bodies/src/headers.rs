//! The two structures of fixed size: `CURRENT` and the header of a log file.
//!
//! The input is either of them, of which the end may be missing; the missing part is zero.

use quiver_store::manifest::current::{CURRENT_SIZE_BYTES, Current};
use quiver_store::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};

use crate::damage::damage;

/// In both the checksum stands here, behind all that it covers.
const CHECKSUM_OFFSET: usize = 60;

/// Takes the input for `CURRENT`.
pub(crate) fn current(input: &[u8]) {
    drop(Current::decode(input));
    let mut current = [0; CURRENT_SIZE_BYTES];
    fill(&mut current, input);
    current_has_one_byte_string(current, input);
    mend(&mut current);
    current_has_one_byte_string(current, input);
}

/// Takes the input for the header of a log file.
pub(crate) fn log_header(input: &[u8]) {
    drop(LogHeader::decode(input));
    let mut header = [0; LOG_HEADER_SIZE_BYTES];
    fill(&mut header, input);
    log_header_has_one_byte_string(header, input);
    mend(&mut header);
    log_header_has_one_byte_string(header, input);
}

fn fill(bytes: &mut [u8], input: &[u8]) {
    let len = bytes.len().min(input.len());
    bytes[..len].copy_from_slice(&input[..len]);
}

/// Makes the checksum that of the bytes before it.
fn mend(bytes: &mut [u8]) {
    let (covered, checksum) = bytes.split_at_mut(CHECKSUM_OFFSET);
    checksum[..4].copy_from_slice(&crc32c::crc32c(covered).to_le_bytes());
}

fn current_has_one_byte_string(mut bytes: [u8; CURRENT_SIZE_BYTES], input: &[u8]) {
    let Ok(current) = Current::decode(&bytes) else { return };
    assert_eq!(current.encode(), bytes);
    let cut = input.len() % CURRENT_SIZE_BYTES;
    assert!(Current::decode(&bytes[..cut]).is_err(), "decoded although cut at {cut}");
    let more = [&bytes[..], &[0]].concat();
    assert!(Current::decode(&more).is_err(), "decoded although longer");
    damage(&mut bytes, input);
    assert!(Current::decode(&bytes).is_err(), "decoded although damaged");
}

/// What follows in the file is no part of the header, so more bytes change nothing.
fn log_header_has_one_byte_string(mut bytes: [u8; LOG_HEADER_SIZE_BYTES], input: &[u8]) {
    let Ok(header) = LogHeader::decode(&bytes) else { return };
    assert_eq!(header.encode(), bytes);
    let cut = input.len() % LOG_HEADER_SIZE_BYTES;
    assert!(LogHeader::decode(&bytes[..cut]).is_err(), "decoded although cut at {cut}");
    let more = [&bytes[..], input].concat();
    assert_eq!(LogHeader::decode(&more).expect("whole"), header);
    damage(&mut bytes, input);
    assert!(LogHeader::decode(&bytes).is_err(), "decoded although damaged");
}
