//! One logical operation as it stands in the log, borrowed from the bytes it was read from.
//!
//! | kind | operation | fields after the kind byte |
//! |---|---|---|
//! | 1 | create collection | name length u8, descriptor length u32, name, descriptor |
//! | 2 | drop collection | collection id u64 |
//! | 3 | upsert | id length u16, vector length u32, payload length u32, id, vector, payload |
//! | 4 | delete | id length u16, id |
//! | 5 | rename collection | name length u8, name |
//! | 6 | alter collection | descriptor length u32, descriptor |
//! | 7 | shred collection | collection id u64 |
//!
//! A drop and a shred stand in the catalog's section, since they hold whether or not there is a key; all
//! others in that of their collection, so that names and schemas are sealed under its key.
//!
//! Lengths stand before the bytes, so that a record is bounded before it is touched. A kind that
//! this version does not know is an error, never skipped.

use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::ids::CollectionId;
use crate::limits::EXTERNAL_ID_BYTES_MAX;

/// The kinds of record. Stored on disk; numbers never change their meaning.
pub(crate) mod kinds {
    pub(crate) const CREATE_COLLECTION: u8 = 1;
    pub(crate) const DROP_COLLECTION: u8 = 2;
    pub(crate) const UPSERT: u8 = 3;
    pub(crate) const DELETE: u8 = 4;
    pub(crate) const RENAME_COLLECTION: u8 = 5;
    pub(crate) const ALTER_COLLECTION: u8 = 6;
    pub(crate) const SHRED_COLLECTION: u8 = 7;
}

/// What stands before the id of an upsert: kind and three lengths.
const UPSERT_HEADER_BYTES: usize = 11;

/// The fewest bytes that a record takes: another name, of one byte.
pub(crate) const RECORD_BYTES_MIN: usize = 3;

/// One operation, on the collection of the section that holds the record; a drop says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    CreateCollection {
        name: &'a str,
        descriptor: &'a [u8],
    },
    /// The end of a collection; of its key as well, where it `shreds`.
    DropCollection {
        id: CollectionId,
        shreds: bool,
    },
    RenameCollection {
        name: &'a str,
    },
    AlterCollection {
        descriptor: &'a [u8],
    },
    Upsert {
        external_id: &'a str,
        vector: &'a [u8],
        payload: &'a [u8],
    },
    Delete {
        external_id: &'a str,
    },
}

impl<'a> Record<'a> {
    /// Whether a record of this kind speaks of a collection, and not of a row.
    pub(crate) fn is_schema(kind: u8) -> bool {
        !matches!(kind, kinds::UPSERT | kinds::DELETE)
    }

    /// Appends the stored form.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::CreateCollection { name, descriptor } => {
                out.push(kinds::CREATE_COLLECTION);
                out.push(u8::try_from(name.len()).expect("names are bounded by `limits`"));
                out.extend_from_slice(&len_u32(descriptor.len()).to_le_bytes());
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(descriptor);
            }
            Self::DropCollection { id, shreds } => {
                out.push(if shreds { kinds::SHRED_COLLECTION } else { kinds::DROP_COLLECTION });
                out.extend_from_slice(&id.0.to_le_bytes());
            }
            Self::RenameCollection { name } => {
                out.push(kinds::RENAME_COLLECTION);
                out.push(u8::try_from(name.len()).expect("names are bounded by `limits`"));
                out.extend_from_slice(name.as_bytes());
            }
            Self::AlterCollection { descriptor } => {
                out.push(kinds::ALTER_COLLECTION);
                out.extend_from_slice(&len_u32(descriptor.len()).to_le_bytes());
                out.extend_from_slice(descriptor);
            }
            Self::Upsert { external_id, vector, payload } => {
                let fill = |space: &mut [u8]| space.copy_from_slice(vector);
                encode_upsert(out, external_id, payload, vector.len(), fill);
            }
            Self::Delete { external_id } => {
                out.push(kinds::DELETE);
                put_id_len(out, external_id);
                out.extend_from_slice(external_id.as_bytes());
            }
        }
    }

    /// Reads one record from the front.
    ///
    /// # Errors
    /// `Unsupported` for an unknown kind, `Corrupt` for anything no version writes.
    pub(crate) fn decode(cursor: &mut Cursor<'a>) -> Result<Self> {
        match cursor.u8()? {
            kinds::CREATE_COLLECTION => {
                let name_len = usize::from(cursor.u8()?);
                let descriptor_len = cursor.u32()? as usize;
                let name = cursor.text(name_len)?;
                Ok(Self::CreateCollection { name, descriptor: cursor.bytes(descriptor_len)? })
            }
            kind @ (kinds::DROP_COLLECTION | kinds::SHRED_COLLECTION) => {
                let shreds = kind == kinds::SHRED_COLLECTION;
                Ok(Self::DropCollection { id: CollectionId(cursor.u64()?), shreds })
            }
            kinds::RENAME_COLLECTION => {
                let name_len = usize::from(cursor.u8()?);
                Ok(Self::RenameCollection { name: cursor.text(name_len)? })
            }
            kinds::ALTER_COLLECTION => {
                let descriptor_len = cursor.u32()? as usize;
                Ok(Self::AlterCollection { descriptor: cursor.bytes(descriptor_len)? })
            }
            kinds::UPSERT => {
                let id_len = id_len(cursor)?;
                let vector_len = cursor.u32()? as usize;
                let payload_len = cursor.u32()? as usize;
                let external_id = cursor.text(id_len)?;
                let vector = cursor.bytes(vector_len)?;
                Ok(Self::Upsert { external_id, vector, payload: cursor.bytes(payload_len)? })
            }
            kinds::DELETE => {
                let id_len = id_len(cursor)?;
                Ok(Self::Delete { external_id: cursor.text(id_len)? })
            }
            kind => Err(Error::unsupported(format!("record of kind {kind}"))),
        }
    }
}

/// Appends an upsert in its stored form; `fill` writes the vector into its place, so that it need
/// not stand in stored form anywhere else before.
pub(crate) fn encode_upsert(
    out: &mut Vec<u8>,
    external_id: &str,
    payload: &[u8],
    vector_len: usize,
    fill: impl FnOnce(&mut [u8]),
) {
    out.reserve(UPSERT_HEADER_BYTES + external_id.len() + vector_len + payload.len());
    out.push(kinds::UPSERT);
    put_id_len(out, external_id);
    out.extend_from_slice(&len_u32(vector_len).to_le_bytes());
    out.extend_from_slice(&len_u32(payload.len()).to_le_bytes());
    out.extend_from_slice(external_id.as_bytes());
    let vector_at = out.len();
    out.resize(vector_at + vector_len, 0);
    fill(&mut out[vector_at..]);
    out.extend_from_slice(payload);
}

fn put_id_len(out: &mut Vec<u8>, external_id: &str) {
    let len = u16::try_from(external_id.len()).expect("ids are bounded by `limits`");
    out.extend_from_slice(&len.to_le_bytes());
}

fn id_len(cursor: &mut Cursor<'_>) -> Result<usize> {
    let len = usize::from(cursor.u16()?);
    if (1..=EXTERNAL_ID_BYTES_MAX).contains(&len) {
        return Ok(len);
    }
    Err(Error::corrupt(format!("id of {len} bytes, expected 1 to {EXTERNAL_ID_BYTES_MAX}")))
}

const _: () = assert!(EXTERNAL_ID_BYTES_MAX <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_round_trip(
            external_id in "\\PC{1,40}",
            vector in proptest::collection::vec(any::<u8>(), 0..64),
            payload in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let records = [
                Record::CreateCollection { name: "a-b", descriptor: &payload },
                Record::DropCollection { id: CollectionId(u64::MAX), shreds: false },
                Record::DropCollection { id: CollectionId(1), shreds: true },
                Record::RenameCollection { name: "new" },
                Record::AlterCollection { descriptor: &payload },
                Record::Upsert { external_id: &external_id, vector: &vector, payload: &payload },
                Record::Delete { external_id: &external_id },
            ];
            let mut bytes = Vec::new();
            records.iter().for_each(|record| record.encode(&mut bytes));
            let mut cursor = Cursor::new(&bytes, "records");
            for record in records {
                prop_assert_eq!(Record::decode(&mut cursor).expect("own bytes"), record);
            }
            prop_assert!(cursor.finish().is_ok());
        }
    }

    #[test]
    fn unknown_kind_is_unsupported_not_skipped() {
        let error = Record::decode(&mut Cursor::new(&[77, 0, 0], "record")).expect_err("kind 77");
        assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
    }

    #[test]
    fn shortest_record_is_the_bound() {
        let mut bytes = Vec::new();
        Record::RenameCollection { name: "x" }.encode(&mut bytes);
        assert_eq!(bytes.len(), RECORD_BYTES_MIN);
    }
}
