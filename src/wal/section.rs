//! A section: the records of one collection in a frame, sealed under the collection's key.
//!
//! **Section**: a header of 56 bytes, an origin if it is carried, and the sealed records. The catalog
//! is collection 0.
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 8 | collection id | |
//! | 8 | 4 | length | bytes of the sealed records |
//! | 12 | 4 | record count | |
//! | 16 | 1 | codec | 0 plain, 1 AES-256-GCM |
//! | 17 | 1 | flags | bit 0: carried, an origin stands in front of the records |
//! | 18 | 6 | reserved | zero |
//! | 24 | 16 | key id | of the collection's key; zero where there are no key files |
//! | 40 | 16 | tag | of the codec over bytes 0 to 40, the flags taken as zero; zero under the plain one |
//!
//! | offset | size | field of an origin | meaning and check |
//! |---|---|---|---|
//! | 0 | 16 | salt | of the log file in which the section was sealed |
//! | 16 | 8 | offset | of the section there |
//!
//! A section whose key is missing cannot be sealed again where a log is written anew: it is carried
//! as it is, with the place that its seal is bound to.

use crate::codec::TAG_SIZE_BYTES;
use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, KeyId, Salt};
use crate::record::{RECORD_BYTES_MIN, Record};
use crate::row_bytes::RowBytes;
use crate::wal::codecs::LogCodecs;

/// Bytes of a section's header.
pub const SECTION_HEADER_SIZE_BYTES: usize = 56;

/// Bytes of the origin of a section that is carried.
pub const ORIGIN_SIZE_BYTES: usize = 24;

const ASSOCIATED_SIZE_BYTES: usize = SECTION_HEADER_SIZE_BYTES - TAG_SIZE_BYTES;

const LENGTH_OFFSET: usize = 8;

const FLAGS_OFFSET: usize = 17;

/// Flag of a section that is carried.
const FLAG_CARRIED: u8 = 1;

/// The records of one collection in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Whose rows; 0 is the catalog.
    pub collection: CollectionId,
    /// How many records.
    pub records: u32,
    /// The key that they are sealed under.
    pub key: KeyId,
    /// The records, one after the other. Shared with the memtable, which points into them.
    pub bytes: RowBytes,
    /// Where the key is missing: how the records are sealed, which they still are.
    pub carried: Option<Carried>,
}

/// The seal of a section that could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Salt of the log file in which it was sealed.
    pub salt: Salt,
    /// Offset of the section there.
    pub offset: u64,
    /// Number of the codec.
    pub codec: u8,
    /// Of the codec.
    pub tag: [u8; TAG_SIZE_BYTES],
}

impl Section {
    pub(crate) fn new(collection: CollectionId) -> Self {
        let (records, key, bytes, carried) = (0, KeyId::NONE, Vec::new().into(), None);
        Self { collection, records, key, bytes, carried }
    }

    /// Adds a record; for sections of a few, because all are copied.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        let mut bytes = self.bytes.to_vec();
        record.encode(&mut bytes);
        self.bytes = bytes.into();
        self.records += 1;
    }

    /// Whether it speaks of collections, not of rows. One that is carried cannot tell.
    pub(crate) fn is_of_catalog(&self) -> bool {
        self.carried.is_none() && self.bytes.first().is_some_and(|kind| Record::is_schema(*kind))
    }

    /// Calls `visit` with each record, in order.
    ///
    /// # Errors
    /// Those of `visit`, and of bytes that are no records; `KeyUnavailable` where it is still sealed.
    pub(crate) fn for_each<'a>(
        &'a self,
        mut visit: impl FnMut(Record<'a>) -> Result<()>,
    ) -> Result<()> {
        if self.carried.is_some() {
            let (collection, key) = (self.collection, self.key);
            let what = format!("records of collection {collection}: its key {key} is missing");
            return Err(Error::new(ErrorKind::KeyUnavailable, what));
        }
        let mut cursor = Cursor::new(&self.bytes, "log section");
        for _ in 0..self.records {
            visit(Record::decode(&mut cursor)?)?;
        }
        cursor.finish()
    }

    /// Bytes that it takes in a frame.
    pub(super) fn stored_bytes(&self) -> usize {
        let origin = if self.carried.is_some() { ORIGIN_SIZE_BYTES } else { 0 };
        SECTION_HEADER_SIZE_BYTES + origin + self.bytes.len()
    }

    /// Appends the stored form, sealed for this offset of a log file; see the table at the top.
    pub(crate) fn encode(
        &self,
        out: &mut Vec<u8>,
        offset: u64,
        codecs: &mut LogCodecs,
    ) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(&self.collection.0.to_le_bytes());
        out.extend_from_slice(&len_u32(self.bytes.len()).to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        if let Some(Carried { salt, offset, codec, tag }) = &self.carried {
            out.extend_from_slice(&[*codec, FLAG_CARRIED, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&self.key.0);
            out.extend_from_slice(tag);
            out.extend_from_slice(&salt.0);
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&self.bytes);
            return Ok(());
        }
        let salt = codecs.log().salt;
        let codec = codecs.of(self.collection, self.key, salt)?;
        out.extend_from_slice(&[codec.id(), 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&[0; TAG_SIZE_BYTES]);
        out.extend_from_slice(&self.bytes);
        let (header, body) = out[start..].split_at_mut(SECTION_HEADER_SIZE_BYTES);
        let place = codecs.place(self.collection, salt, offset);
        let tag = codec.seal(&place, &header[..ASSOCIATED_SIZE_BYTES], body)?;
        header[ASSOCIATED_SIZE_BYTES..].copy_from_slice(&tag);
        Ok(())
    }

    /// Reads the stored form at this offset of a log file. Where its key is missing or damaged it is
    /// left sealed.
    ///
    /// # Errors
    /// `Corrupt` for what no version writes; `Io`.
    pub(crate) fn decode(
        cursor: &mut Cursor<'_>,
        offset: u64,
        codecs: &mut LogCodecs,
    ) -> Result<Self> {
        let mut header = cursor.array::<SECTION_HEADER_SIZE_BYTES>()?;
        let mut fields = Cursor::new(&header, "log section header");
        let collection = CollectionId(fields.u64()?);
        let len = fields.u32()? as usize;
        let records = fields.u32()?;
        let (codec_id, flags) = (fields.u8()?, fields.u8()?);
        fields.zeros(6)?;
        let key = KeyId(fields.array()?);
        let tag = fields.array::<TAG_SIZE_BYTES>()?;
        if flags & !FLAG_CARRIED != 0 || codec_id != codecs.id() {
            let expected = codecs.id();
            let what = format!("log section sealed by codec {codec_id}, expected codec {expected}");
            return Err(Error::corrupt(what));
        }
        if !codecs.name_keys() && (flags != 0 || key != KeyId::NONE) {
            return Err(Error::corrupt("log section under a key of its own, where there is none"));
        }
        if records == 0 || records as usize > len / RECORD_BYTES_MIN {
            return Err(Error::corrupt(format!("{records} records in {len} bytes")));
        }
        let mut seal = Carried { salt: codecs.log().salt, offset, codec: codec_id, tag };
        if flags & FLAG_CARRIED != 0 {
            (seal.salt, seal.offset) = (Salt(cursor.array()?), cursor.u64()?);
            header[FLAGS_OFFSET] = 0;
        }
        let bytes = cursor.bytes(len)?;
        let mut section =
            Self { collection, records, key, bytes: Vec::new().into(), carried: None };
        let codec = match codecs.of(collection, key, seal.salt) {
            Ok(codec) => codec,
            Err(error)
                if matches!(error.kind(), ErrorKind::KeyUnavailable | ErrorKind::Corrupt) =>
            {
                section.bytes = bytes.to_vec().into();
                section.carried = Some(seal);
                return Ok(section);
            }
            Err(error) => return Err(error),
        };
        let mut bytes = bytes.to_vec();
        let place = codecs.place(collection, seal.salt, seal.offset);
        codec.open(&place, &header[..ASSOCIATED_SIZE_BYTES], &mut bytes, &tag)?;
        section.bytes = bytes.into();
        Ok(section)
    }
}

/// Appends what the tag of a frame covers of its sections: their headers and origins.
pub(super) fn bound(mut sections: &[u8], bound: &mut Vec<u8>) {
    while let Some((header, behind)) = sections.split_at_checked(SECTION_HEADER_SIZE_BYTES) {
        bound.extend_from_slice(header);
        let origin = if header[FLAGS_OFFSET] == 0 { 0 } else { ORIGIN_SIZE_BYTES };
        let len = u32::from_le_bytes([0, 1, 2, 3].map(|i| header[LENGTH_OFFSET + i])) as usize;
        bound.extend_from_slice(&behind[..origin.min(behind.len())]);
        sections = behind.get(origin.saturating_add(len)..).unwrap_or_default();
    }
}
