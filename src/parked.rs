//! Parked records: those of a collection that could not be sealed when the log that held them went.
//!
//! **Place.** A checkpoint that finds a collection damaged writes what its memtables hold into a file
//! that the manifest names, so that the log can be dropped for the others. Every open replays it below
//! the log. Once the collection is well again the next checkpoint seals its rows as any others, and
//! the publish stops naming the file; with a drop it goes as well.
//!
//! - K1. At most one file a collection. It holds, in LSN order, every record of the collection that is
//!   in no segment and at or below the sealed LSN.
//! - K2. Records are kept as they are in the log, and checked in the same way on replay (A2).
//!
//! **A crash leaves** a file that no manifest names: the log is still there then.
//!
//! **Stored form**, a byte string over pages of type 8:
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | section count | u32 | at least 1 |
//! | sections | | first LSN u64, record count u32, length u32, the records; each above the one before |

use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::limits::NUMBER_MAX;
use crate::record::RECORD_BYTES_MIN;
use crate::wal::frame::Section;

/// Bytes of a section beside its records.
const SECTION_BYTES_MIN: usize = 16;

/// The stored form of sections, each with the LSN of its first record, in parts: no more than a
/// section is ever held twice.
pub(crate) fn encode(sections: &[(Lsn, Section)]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let count = len_u32(sections.len()).to_le_bytes().to_vec();
    std::iter::once(count).chain(sections.iter().map(|(first, section)| {
        let mut part = Vec::with_capacity(SECTION_BYTES_MIN + section.bytes.len());
        part.extend_from_slice(&first.0.to_le_bytes());
        part.extend_from_slice(&section.records.to_le_bytes());
        part.extend_from_slice(&len_u32(section.bytes.len()).to_le_bytes());
        part.extend_from_slice(&section.bytes);
        part
    }))
}

/// Reads the stored form. `through` is the last LSN that the manifest says is in it.
///
/// # Errors
/// `Corrupt` for anything that no version writes.
pub(crate) fn decode(
    collection: CollectionId,
    through: Lsn,
    bytes: &[u8],
) -> Result<Vec<(Lsn, Section)>> {
    let sections = decode_any(collection, bytes)?;
    let last = sections.last().map_or(Lsn(0), |(first, section)| last_of(*first, section));
    if last != through {
        return Err(Error::corrupt(format!("parked to LSN {last}, expected {through}")));
    }
    Ok(sections)
}

fn last_of(first: Lsn, section: &Section) -> Lsn {
    Lsn(first.0 + u64::from(section.records)).previous()
}

/// As [`decode`], where it is not known at which LSN they end.
///
/// # Errors
/// Those of [`decode`].
pub(crate) fn decode_any(collection: CollectionId, bytes: &[u8]) -> Result<Vec<(Lsn, Section)>> {
    let mut cursor = Cursor::new(bytes, "parked records");
    let count = cursor.count(SECTION_BYTES_MIN)?;
    let mut sections = Vec::with_capacity(count);
    let mut next = Lsn(1);
    for _ in 0..count {
        let first = Lsn(cursor.u64()?);
        let records = cursor.u32()?;
        let len = cursor.u32()? as usize;
        if first < next || first.0 >= NUMBER_MAX {
            return Err(Error::corrupt(format!("parked LSN {first}, expected {next} or above")));
        }
        if records == 0 || records as usize > len / RECORD_BYTES_MIN {
            return Err(Error::corrupt(format!("{records} parked records in {len} bytes")));
        }
        next = Lsn(first.0 + u64::from(records));
        let bytes = cursor.bytes(len)?.to_vec().into();
        sections.push((first, Section { collection, records, bytes }));
    }
    cursor.finish()?;
    if sections.is_empty() {
        return Err(Error::corrupt("no parked records"));
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn sections() -> Vec<(Lsn, Section)> {
        let mut rows = Section::new(CollectionId(4));
        rows.push(&Record::Upsert { external_id: "a", vector: &[0; 8], payload: b"{}" });
        rows.push(&Record::Delete { external_id: "b" });
        let mut later = Section::new(CollectionId(4));
        later.push(&Record::Delete { external_id: "a" });
        vec![(Lsn(7), rows), (Lsn(12), later)]
    }

    #[test]
    fn sections_round_trip_and_every_shorter_string_is_refused() {
        let bytes: Vec<u8> = encode(&sections()).flatten().collect();
        let read = |bytes: &[u8], through| decode(CollectionId(4), Lsn(through), bytes);
        assert_eq!(read(&bytes, 12).expect("own bytes"), sections());
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len], 12).is_err(), "{len}");
        }
        for through in [0, 7, 11, 13] {
            assert!(read(&bytes, through).is_err(), "through {through}");
        }
        let mut sections = sections();
        sections.swap(0, 1);
        let swapped: Vec<u8> = encode(&sections).flatten().collect();
        assert!(read(&swapped, 8).is_err(), "LSNs descend");
        assert!(read(&0u32.to_le_bytes(), 0).is_err(), "nothing is parked");
    }
}
