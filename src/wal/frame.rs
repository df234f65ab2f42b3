//! A frame: length and checksum around one batch.
//!
//! **Frame header**, 40 bytes:
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
//!
//! The header's own checksum lets a reader look for frames at every sector without reading what
//! a header that is none announces.
//!
//! **Section**, one for each collection that the batch touches, in ascending order of id; the
//! catalog is collection 0. A header of 40 bytes and the sealed records:
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 8 | collection id | |
//! | 8 | 4 | length | bytes of the sealed records |
//! | 12 | 4 | record count | |
//! | 16 | 1 | codec | 0 plain |
//! | 17 | 7 | reserved | zero |
//! | 24 | 16 | tag | of the codec; zero under the plain one |
//!
//! The checksum is seeded with salt and offset, so that a frame is intact in its own place only:
//! bytes of a user that look like a frame are none.

use crate::checksum;
use crate::codec::{FileKind, PageCodec, Place, TAG_SIZE_BYTES};
use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn, Salt, StoreId};
use crate::limits::{FRAME_BYTES_MAX, NUMBER_MAX};
use crate::record::{RECORD_BYTES_MIN, Record};
use crate::row_bytes::RowBytes;

/// Bytes of a frame's header.
pub const FRAME_HEADER_SIZE_BYTES: usize = 40;

/// Bytes of a section's header.
pub const SECTION_HEADER_SIZE_BYTES: usize = 40;

const HEADER_CHECKSUM_OFFSET: usize = FRAME_HEADER_SIZE_BYTES - 4;

const ASSOCIATED_SIZE_BYTES: usize = SECTION_HEADER_SIZE_BYTES - TAG_SIZE_BYTES;

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

/// The file that frames stand in.
#[derive(Clone, Copy, Debug)]
pub struct LogFileIdentity {
    /// The store.
    pub store: StoreId,
    /// The file's salt.
    pub salt: Salt,
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

/// The records of one collection in a batch, as stored before sealing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Whose rows; 0 is the catalog.
    pub collection: CollectionId,
    /// How many records.
    pub records: u32,
    /// The records, one after the other. Shared with the memtable, which points into them.
    pub bytes: RowBytes,
}

impl Section {
    pub(crate) fn new(collection: CollectionId) -> Self {
        Self { collection, records: 0, bytes: Vec::new().into() }
    }

    /// Adds a record; for sections of a few, because all are copied.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        let mut bytes = self.bytes.to_vec();
        record.encode(&mut bytes);
        self.bytes = bytes.into();
        self.records += 1;
    }

    /// Calls `visit` with each record, in order.
    ///
    /// # Errors
    /// Those of `visit`, and of bytes that are no records.
    pub(crate) fn for_each<'a>(
        &'a self,
        mut visit: impl FnMut(Record<'a>) -> Result<()>,
    ) -> Result<()> {
        let mut cursor = Cursor::new(&self.bytes, "log section");
        for _ in 0..self.records {
            visit(Record::decode(&mut cursor)?)?;
        }
        cursor.finish()
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
        let bytes = sections.map(|section| SECTION_HEADER_SIZE_BYTES + section.bytes.len());
        FRAME_HEADER_SIZE_BYTES + bytes.sum::<usize>()
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
/// Those of the codec.
pub fn encode(
    out: &mut Vec<u8>,
    log: &LogFileIdentity,
    offset: u64,
    plan: &FramePlan,
    batch: &Batch,
    codec: &dyn PageCodec,
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
    out.extend_from_slice(&[0; 4]);
    for section in &batch.sections {
        let at = out.len();
        out.extend_from_slice(&section.collection.0.to_le_bytes());
        out.extend_from_slice(&len_u32(section.bytes.len()).to_le_bytes());
        out.extend_from_slice(&section.records.to_le_bytes());
        out.extend_from_slice(&[codec.id(), 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&[0; TAG_SIZE_BYTES]);
        out.extend_from_slice(&section.bytes);
        let (header, body) = out[at..].split_at_mut(SECTION_HEADER_SIZE_BYTES);
        let place = section_place(log, section.collection, offset + (at - start) as u64);
        let tag = codec.seal(&place, &header[..ASSOCIATED_SIZE_BYTES], body)?;
        header[ASSOCIATED_SIZE_BYTES..].copy_from_slice(&tag);
    }
    debug_assert_eq!(out.len() - start, len, "frame_bytes and encode agree");
    let own = header_checksum(&out[start..], log.salt, offset);
    out[start + HEADER_CHECKSUM_OFFSET..][..4].copy_from_slice(&own.to_le_bytes());
    let checksum = checksum(&out[start..], log.salt, offset);
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Reads the sections of an intact frame.
///
/// # Errors
/// `Corrupt` or `Unsupported`: the checksum holds, so these bytes were written so.
pub fn decode(
    frame: &[u8],
    log: &LogFileIdentity,
    offset: u64,
    codec: &dyn PageCodec,
) -> Result<Batch> {
    let header = FrameHeader::plausible(frame)
        .ok_or_else(|| Error::corrupt("frame header is of no known kind"))?;
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
        let section = decode_section(&mut cursor, log, at, codec)?;
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

fn decode_section(
    cursor: &mut Cursor<'_>,
    log: &LogFileIdentity,
    offset: u64,
    codec: &dyn PageCodec,
) -> Result<Section> {
    let header = cursor.array::<SECTION_HEADER_SIZE_BYTES>()?;
    let mut fields = Cursor::new(&header, "log section header");
    let collection = CollectionId(fields.u64()?);
    let len = fields.u32()? as usize;
    let records = fields.u32()?;
    let codec_id = fields.u8()?;
    fields.zeros(7)?;
    let tag = fields.array::<TAG_SIZE_BYTES>()?;
    if codec_id != codec.id() {
        return Err(Error::unsupported(format!("log section sealed by codec {codec_id}")));
    }
    if records == 0 || records as usize > len / RECORD_BYTES_MIN {
        return Err(Error::corrupt(format!("{records} records in {len} bytes")));
    }
    let mut bytes = cursor.bytes(len)?.to_vec();
    let place = section_place(log, collection, offset);
    codec.open(&place, &header[..ASSOCIATED_SIZE_BYTES], &mut bytes, &tag)?;
    Ok(Section { collection, records, bytes: bytes.into() })
}

fn section_place(log: &LogFileIdentity, collection: CollectionId, position: u64) -> Place {
    Place { store: log.store, salt: log.salt, kind: FileKind::Log, collection, position }
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
    use crate::codec::PlainCodec;

    const LOG: LogFileIdentity = LogFileIdentity { store: StoreId([1; 16]), salt: Salt([2; 16]) };

    fn batch() -> Batch {
        let mut rows = Section::new(CollectionId(4));
        rows.push(&Record::Upsert { external_id: "a", vector: &[0; 8], payload: b"{}" });
        rows.push(&Record::Delete { external_id: "b" });
        let mut catalog = Section::new(CollectionId(0));
        catalog.push(&Record::DropCollection { id: CollectionId(2) });
        Batch { sections: vec![catalog, rows] }
    }

    fn frame(offset: u64) -> Vec<u8> {
        let plan =
            FramePlan { first: Lsn(10), durable: Lsn(9), kind: FrameKind::Batch, ends_group: true };
        let mut bytes = Vec::new();
        encode(&mut bytes, &LOG, offset, &plan, &batch(), &PlainCodec).expect("plain");
        bytes
    }

    #[test]
    fn frame_round_trips() {
        let bytes = frame(512);
        let header = FrameHeader::plausible(&bytes).expect("own bytes");
        assert!(header.is_intact(&bytes, LOG.salt, 512));
        assert_eq!((header.first, header.last(), header.records), (Lsn(10), Lsn(12), 3));
        assert_eq!(decode(&bytes, &LOG, 512, &PlainCodec).expect("own bytes"), batch());
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
