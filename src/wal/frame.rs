//! A frame: length and checksum around one batch.
//!
//! **Frame header**, 56 bytes:
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 4 | length | bytes of the frame, this header included |
//! | 4 | 4 | checksum | CRC32C of salt, file offset, length and bytes 8 to the end |
//! | 8 | 8 | first LSN | of the first record; of the next record where there is none |
//! | 16 | 8 | durable LSN | highest LSN known durable when the frame was built |
//! | 24 | 4 | record count | LSNs that the frame takes |
//! | 28 | 1 | kind | 1 batch, 2 proof, 3 closing |
//! | 29 | 1 | flags | bit 0: ends its group, the next frame starts on the next sector |
//! | 30 | 2 | reserved | zero |
//! | 32 | 4 | section count | |
//! | 36 | 4 | header checksum | CRC32C of salt, file offset, bytes 0 to 4 and 8 to 36 |
//! | 40 | 16 | tag | of the catalog's codec over bytes 0 to 4 and 8 to 36, and over the headers and origins of all sections; zero under the plain one |
//!
//! The header's own checksum lets a reader look for frames at every sector without reading what
//! a header that is none announces. The tag is what an attacker cannot make: it binds the sections
//! of a batch, and their LSNs, together.
//!
//! Behind it a section ([`crate::wal::section`]) for each collection that the batch touches, in
//! ascending order of id.
//!
//! The checksum is seeded with salt and offset, so that a frame is intact in its own place only:
//! bytes of a user that look like a frame are none.

use crate::checksum;
use crate::codec::TAG_SIZE_BYTES;
use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::ids::{Lsn, Salt};
use crate::limits::{FRAME_BYTES_MAX, NUMBER_MAX};
use crate::wal::codecs::LogCodecs;
use crate::wal::section;
pub use crate::wal::section::{Carried, SECTION_HEADER_SIZE_BYTES, Section};

/// Bytes of a frame's header.
pub const FRAME_HEADER_SIZE_BYTES: usize = 56;

const FRAME_TAG_OFFSET: usize = FRAME_HEADER_SIZE_BYTES - TAG_SIZE_BYTES;

const HEADER_CHECKSUM_OFFSET: usize = FRAME_TAG_OFFSET - 4;

/// Flag of the last frame of a group.
pub const FLAG_ENDS_GROUP: u8 = 1;

/// What a frame is for. Stored on disk; numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Carries records.
    Batch = 1,
    /// Carries a durable LSN only.
    Proof = 2,
    /// The last frame of a log that was closed cleanly.
    Closing = 3,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the frame.
    pub len: usize,
    /// LSN of the first record.
    pub first: Lsn,
    /// Highest LSN known durable when the frame was built.
    pub durable: Lsn,
    /// Number of records.
    pub records: u32,
    /// What the frame is for.
    pub kind: FrameKind,
    /// Whether the next frame starts on the next sector.
    pub ends_group: bool,
    sections: u32,
    checksum: u32,
    header_checksum: u32,
}

impl FrameHeader {
    /// LSN of the last record; of the one before `first` where there is none.
    pub fn last(&self) -> Lsn {
        Lsn((self.first.0 + u64::from(self.records)).saturating_sub(1))
    }

    /// Reads the header if these bytes can be one: `None` for zeros and for garbage. It is a
    /// frame only if [`FrameHeader::is_intact`] says so too.
    pub fn plausible(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<FRAME_HEADER_SIZE_BYTES>()?;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let len = word(0) as usize;
        if !(FRAME_HEADER_SIZE_BYTES..=FRAME_BYTES_MAX).contains(&len) {
            return None;
        }
        let kind = match bytes[28] {
            1 => FrameKind::Batch,
            2 => FrameKind::Proof,
            3 => FrameKind::Closing,
            _ => return None,
        };
        let header = Self {
            len,
            checksum: word(4),
            first: Lsn(long(8)),
            durable: Lsn(long(16)),
            records: word(24),
            kind,
            ends_group: bytes[29] & FLAG_ENDS_GROUP != 0,
            sections: word(32),
            header_checksum: word(36),
        };
        let reserved = bytes[29] & !FLAG_ENDS_GROUP | bytes[30] | bytes[31];
        let empty = header.records == 0 && header.sections == 0;
        let shaped = match kind {
            FrameKind::Batch => header.records > 0 && header.sections > 0,
            FrameKind::Proof | FrameKind::Closing => empty && len == FRAME_HEADER_SIZE_BYTES,
        };
        let ordered =
            header.first.0 > 0 && header.first.0 < NUMBER_MAX && header.durable < header.first;
        (reserved == 0 && shaped && ordered).then_some(header)
    }

    /// Whether the header's own checksum holds in this place: only then is the frame worth reading.
    pub fn stands_at(&self, header: &[u8], salt: Salt, offset: u64) -> bool {
        header_checksum(header, salt, offset) == self.header_checksum
    }

    /// Whether the checksum of the whole frame holds in this place.
    pub fn is_intact(&self, frame: &[u8], salt: Salt, offset: u64) -> bool {
        frame.len() == self.len
            && self.stands_at(frame, salt, offset)
            && checksum(frame, salt, offset) == self.checksum
    }
}

/// A batch: what one frame carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// One for each collection touched, in ascending order of id.
    pub sections: Vec<Section>,
}

impl Batch {
    /// How many records, and so LSNs.
    pub fn records(&self) -> u32 {
        self.sections.iter().map(|section| section.records).sum()
    }

    /// Bytes of the frame that carries it.
    pub fn frame_bytes(&self) -> usize {
        let sections = self.sections.iter();
        FRAME_HEADER_SIZE_BYTES + sections.map(Section::stored_bytes).sum::<usize>()
    }
}

/// What a frame's header says beyond its content.
#[derive(Clone, Copy, Debug)]
pub struct FramePlan {
    /// LSN of the first record.
    pub first: Lsn,
    /// Highest LSN known durable.
    pub durable: Lsn,
    /// What the frame is for.
    pub kind: FrameKind,
    /// Whether it ends its group.
    pub ends_group: bool,
}

/// Appends a frame that will stand at `offset` of the file.
///
/// # Errors
/// Those of the codecs.
pub fn encode(
    out: &mut Vec<u8>,
    offset: u64,
    plan: &FramePlan,
    batch: &Batch,
    codecs: &mut LogCodecs,
) -> Result<()> {
    let start = out.len();
    let len = batch.frame_bytes();
    out.extend_from_slice(&len_u32(len).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&plan.first.0.to_le_bytes());
    out.extend_from_slice(&plan.durable.0.to_le_bytes());
    out.extend_from_slice(&batch.records().to_le_bytes());
    let flags = if plan.ends_group { FLAG_ENDS_GROUP } else { 0 };
    out.extend_from_slice(&[plan.kind as u8, flags, 0, 0]);
    out.extend_from_slice(&len_u32(batch.sections.len()).to_le_bytes());
    out.extend_from_slice(&[0; 4 + TAG_SIZE_BYTES]);
    for section in &batch.sections {
        let at = offset + (out.len() - start) as u64;
        section.encode(out, at, codecs)?;
    }
    debug_assert_eq!(out.len() - start, len, "frame_bytes and encode agree");
    let salt = codecs.log().salt;
    let frame = &mut out[start..];
    let tag = codecs.seal_frame(offset, || bound(frame))?;
    frame[FRAME_TAG_OFFSET..][..TAG_SIZE_BYTES].copy_from_slice(&tag);
    let own = header_checksum(frame, salt, offset);
    frame[HEADER_CHECKSUM_OFFSET..][..4].copy_from_slice(&own.to_le_bytes());
    let checksum = checksum(frame, salt, offset);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// What the tag of a frame covers: its header, and the headers and origins of its sections.
fn bound(frame: &[u8]) -> Vec<u8> {
    let mut bound = [&frame[..4], &frame[8..HEADER_CHECKSUM_OFFSET]].concat();
    section::bound(&frame[FRAME_HEADER_SIZE_BYTES..], &mut bound);
    bound
}

/// Reads the sections of an intact frame.
///
/// # Errors
/// `Corrupt` or `Unsupported`: the checksum holds, so these bytes were written so.
pub fn decode(frame: &[u8], offset: u64, codecs: &mut LogCodecs) -> Result<Batch> {
    let header = FrameHeader::plausible(frame)
        .ok_or_else(|| Error::corrupt("frame header is of no known kind"))?;
    check_seal(frame, offset, codecs)?;
    let mut cursor = Cursor::new(&frame[FRAME_HEADER_SIZE_BYTES..], "log frame");
    let most = cursor.left() / SECTION_HEADER_SIZE_BYTES;
    if header.sections as usize > most {
        return Err(Error::corrupt(format!("{} sections, room for {most}", header.sections)));
    }
    let mut batch = Batch { sections: Vec::with_capacity(header.sections as usize) };
    let mut records = 0u64;
    let mut previous = None;
    for _ in 0..header.sections {
        let at = offset + (frame.len() - cursor.left()) as u64;
        let section = Section::decode(&mut cursor, at, codecs)?;
        if previous >= Some(section.collection) {
            return Err(Error::corrupt("sections of a frame are not in ascending order"));
        }
        previous = Some(section.collection);
        records += u64::from(section.records);
        batch.sections.push(section);
    }
    cursor.finish()?;
    if records != u64::from(header.records) {
        return Err(Error::corrupt(format!(
            "frame of {} records has sections of {records}",
            header.records
        )));
    }
    Ok(batch)
}

/// Holds the tag of an intact frame against what it covers.
///
/// # Errors
/// `Corrupt`: the frame was made by someone without the key.
pub(crate) fn check_seal(frame: &[u8], offset: u64, codecs: &mut LogCodecs) -> Result<()> {
    let tag = frame[FRAME_TAG_OFFSET..][..TAG_SIZE_BYTES].try_into().expect("of that size");
    codecs.open_frame(offset, || bound(frame), tag)
}

/// CRC32C of salt, offset and the header without its two checksums.
fn header_checksum(frame: &[u8], salt: Salt, offset: u64) -> u32 {
    checksum::crc32c_append(seed(frame, salt, offset), &frame[8..HEADER_CHECKSUM_OFFSET])
}

/// CRC32C of salt, offset, length, and all behind the checksum field: what the frame's checksum
/// field must hold in this place.
///
/// # Panics
/// If the frame is shorter than its header.
pub fn checksum(frame: &[u8], salt: Salt, offset: u64) -> u32 {
    checksum::crc32c_append(seed(frame, salt, offset), &frame[8..])
}

/// What binds a frame to its place: salt, offset and length.
fn seed(frame: &[u8], salt: Salt, offset: u64) -> u32 {
    let mut place = [0; 28];
    place[..16].copy_from_slice(&salt.0);
    place[16..24].copy_from_slice(&offset.to_le_bytes());
    place[24..].copy_from_slice(&frame[..4]);
    checksum::crc32c(&place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CollectionId, StoreId};
    use crate::record::Record;
    use crate::wal::codecs::LogFileIdentity;

    const LOG: LogFileIdentity = LogFileIdentity { store: StoreId([1; 16]), salt: Salt([2; 16]) };

    fn batch() -> Batch {
        let mut rows = Section::new(CollectionId(4));
        rows.push(&Record::Upsert { external_id: "a", vector: &[0; 8], payload: b"{}" });
        rows.push(&Record::Delete { external_id: "b" });
        let mut catalog = Section::new(CollectionId(0));
        catalog.push(&Record::DropCollection { id: CollectionId(2), shreds: false });
        Batch { sections: vec![catalog, rows] }
    }

    fn codecs() -> LogCodecs {
        LogCodecs::plain(LOG)
    }

    fn frame(offset: u64) -> Vec<u8> {
        let plan =
            FramePlan { first: Lsn(10), durable: Lsn(9), kind: FrameKind::Batch, ends_group: true };
        let mut bytes = Vec::new();
        encode(&mut bytes, offset, &plan, &batch(), &mut codecs()).expect("plain");
        bytes
    }

    #[test]
    fn frame_round_trips() {
        let bytes = frame(512);
        let header = FrameHeader::plausible(&bytes).expect("own bytes");
        assert!(header.is_intact(&bytes, LOG.salt, 512));
        assert_eq!((header.first, header.last(), header.records), (Lsn(10), Lsn(12), 3));
        assert_eq!(decode(&bytes, 512, &mut codecs()).expect("own bytes"), batch());
    }

    #[test]
    fn frame_is_intact_in_its_own_place_only() {
        let bytes = frame(512);
        let header = FrameHeader::plausible(&bytes).expect("own bytes");
        assert!(!header.is_intact(&bytes, LOG.salt, 1024), "another offset");
        assert!(!header.is_intact(&bytes, Salt([3; 16]), 512), "another file");
    }

    #[test]
    fn every_single_byte_change_is_refused() {
        let bytes = frame(512);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let intact = FrameHeader::plausible(&changed)
                .is_some_and(|header| header.is_intact(&changed, LOG.salt, 512));
            assert!(!intact, "byte {at}");
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(FrameHeader::plausible(&[0; 512]), None);
    }
}
