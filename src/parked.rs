//! Parked records: those of a collection that could not be sealed when the log that held them went.
//!
//! **Place.** A checkpoint that finds a collection damaged writes what its memtables hold into a file
//! that the manifest names, so that the log can be dropped for the others. Every open replays it below
//! the log. Once the collection is well again the next checkpoint seals its rows as any others, and
//! the publish stops naming its files; with a drop they go as well.
//!
//! - K1. The files of a collection hold, in LSN order and each record once, every record of it that is
//!   in no segment and at or below the sealed LSN. There is more than one only where an earlier one
//!   could not be read when a later one was written: each such damage adds one file at most.
//! - K2. Records are kept as they are in the log, and checked in the same way on replay (A2).
//!
//! **A crash leaves** a file that no manifest names: the log is still there then.
//!
//! **Stored form**, a byte string over pages of type 8:
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | section count | u32 | at least 1 |
//! | sections | | first LSN u64 and a section as in a log ([`crate::wal::section`]), whose file is this one and whose offset is that in this string; each above the one before |
//!
//! The pages are the catalog's, so that also records whose key is missing can be parked: those are
//! carried, and the others sealed under their own key within.

use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::limits::NUMBER_MAX;
use crate::wal::codecs::LogCodecs;
use crate::wal::section::{SECTION_HEADER_SIZE_BYTES, Section};

/// Bytes of a section beside its records.
const SECTION_BYTES_MIN: usize = 8 + SECTION_HEADER_SIZE_BYTES;

/// The stored form of sections, each with the LSN of its first record, in parts: no more than a
/// section is ever held twice.
pub(crate) fn encode<'a>(
    sections: &'a [(Lsn, Section)],
    codecs: &'a mut LogCodecs,
) -> impl Iterator<Item = Result<Vec<u8>>> + 'a {
    let count = len_u32(sections.len()).to_le_bytes().to_vec();
    let mut at = count.len() as u64;
    std::iter::once(Ok(count)).chain(sections.iter().map(move |(first, section)| {
        let mut part = first.0.to_le_bytes().to_vec();
        let behind_lsn = at + part.len() as u64;
        section.encode(&mut part, behind_lsn, codecs)?;
        at += part.len() as u64;
        Ok(part)
    }))
}

/// Reads the stored form. `listed` are the first and the last LSN that the manifest says are in it.
///
/// # Errors
/// `Corrupt` for anything that no version writes.
pub(crate) fn decode(
    collection: CollectionId,
    listed: (Lsn, Lsn),
    bytes: &[u8],
    codecs: &mut LogCodecs,
) -> Result<Vec<(Lsn, Section)>> {
    let sections = decode_any(bytes, codecs)?;
    if let Some((first, found)) = sections.iter().find(|(_, found)| found.collection != collection)
    {
        let what = format!("parked LSN {first} is of collection {}", found.collection);
        return Err(Error::corrupt(what));
    }
    let found = range(&sections);
    if found != listed {
        let ((first, last), (from, through)) = (found, listed);
        let what = format!("parked from LSN {first} to {last}, expected {from} to {through}");
        return Err(Error::corrupt(what));
    }
    Ok(sections)
}

/// The first and the last LSN of sections that follow one another.
pub(crate) fn range(sections: &[(Lsn, Section)]) -> (Lsn, Lsn) {
    let first = sections.first().map_or(Lsn(0), |(first, _)| *first);
    let last = sections
        .last()
        .map_or(Lsn(0), |(first, section)| Lsn(first.0 + u64::from(section.records)).previous());
    (first, last)
}

/// As [`decode`], where it is not known at which LSN they end.
///
/// # Errors
/// Those of [`decode`].
pub(crate) fn decode_any(bytes: &[u8], codecs: &mut LogCodecs) -> Result<Vec<(Lsn, Section)>> {
    let mut cursor = Cursor::new(bytes, "parked records");
    let count = cursor.count(SECTION_BYTES_MIN)?;
    let mut sections = Vec::with_capacity(count);
    let mut next = Lsn(1);
    for _ in 0..count {
        let first = Lsn(cursor.u64()?);
        if first < next || first.0 >= NUMBER_MAX {
            return Err(Error::corrupt(format!("parked LSN {first}, expected {next} or above")));
        }
        let at = (bytes.len() - cursor.left()) as u64;
        let section = Section::decode(&mut cursor, at, codecs)?;
        next = Lsn(first.0 + u64::from(section.records));
        sections.push((first, section));
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
    use crate::ids::{Salt, StoreId};
    use crate::record::Record;
    use crate::wal::codecs::LogFileIdentity;

    fn codecs() -> LogCodecs {
        LogCodecs::plain(LogFileIdentity { store: StoreId([1; 16]), salt: Salt([2; 16]) })
    }

    fn stored(sections: &[(Lsn, Section)]) -> Vec<u8> {
        encode(sections, &mut codecs()).flat_map(|part| part.expect("plain")).collect()
    }

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
        let bytes = stored(&sections());
        let of = |bytes: &[u8], from, through| {
            decode(CollectionId(4), (Lsn(from), Lsn(through)), bytes, &mut codecs())
        };
        let read = |bytes: &[u8], through| of(bytes, 7, through);
        assert_eq!(read(&bytes, 12).expect("own bytes"), sections());
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len], 12).is_err(), "{len}");
        }
        for through in [0, 7, 11, 13] {
            assert!(read(&bytes, through).is_err(), "through {through}");
        }
        for from in [0, 6, 8, 12] {
            assert!(of(&bytes, from, 12).is_err(), "from {from}");
        }
        let mut sections = sections();
        sections.swap(0, 1);
        let swapped = stored(&sections);
        assert!(of(&swapped, 12, 8).is_err(), "LSNs descend");
        assert!(of(&0u32.to_le_bytes(), 0, 0).is_err(), "nothing is parked");
    }
}
