//! Name and schema of a collection as a manifest has them: sealed under the collection's own key.
//!
//! What is sealed is written once for each change of it, with a salt of its own, and carried as it is
//! from one manifest to the next: also where the key is missing.
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | name length | u8 | |
//! | descriptor length | u32 | |
//! | name, descriptor | | |

use crate::codec::{FileKind, PageCodec, Place, PlainCodec, TAG_SIZE_BYTES};
use crate::cursor::{Cursor, len_u32};
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Salt, StoreId};

/// Name and schema, sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedSchema {
    /// Of the seal; zero under the plain codec.
    pub salt: Salt,
    /// Of the seal.
    pub tag: [u8; TAG_SIZE_BYTES],
    /// What is sealed. Nothing where it never could be: the key was missing already when a checkpoint
    /// met the collection's creation in the log. Then the parked records begin with it.
    pub bytes: Vec<u8>,
}

impl SealedSchema {
    /// Seals a name and a schema; `salt` must be a new one, but under the plain codec.
    ///
    /// # Errors
    /// Those of the codec.
    pub fn seal(
        store: StoreId,
        id: CollectionId,
        salt: Salt,
        codec: &dyn PageCodec,
        (name, descriptor): (&str, &Descriptor),
    ) -> Result<Self> {
        let salt = if codec.id() == PlainCodec::ID { Salt::default() } else { salt };
        let descriptor = descriptor.encode();
        let mut bytes = vec![u8::try_from(name.len()).expect("names are bounded by `limits`")];
        bytes.extend_from_slice(&len_u32(descriptor.len()).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&descriptor);
        let tag = codec.seal(&place(store, id, salt), &[], &mut bytes)?;
        Ok(Self { salt, tag, bytes })
    }

    /// The name and the schema.
    ///
    /// # Errors
    /// `Corrupt` where they do not open, or are none that any version writes.
    pub fn open(
        &self,
        store: StoreId,
        id: CollectionId,
        codec: &dyn PageCodec,
    ) -> Result<(String, Descriptor)> {
        let opened;
        let bytes = if codec.id() == PlainCodec::ID && self.tag == [0; TAG_SIZE_BYTES] {
            &self.bytes
        } else {
            let mut bytes = self.bytes.clone();
            codec.open(&place(store, id, self.salt), &[], &mut bytes, &self.tag)?;
            opened = bytes;
            &opened
        };
        let mut cursor = Cursor::new(bytes, "schema");
        let name_len = usize::from(cursor.u8()?);
        let descriptor_len = cursor.u32()? as usize;
        let name = cursor.text(name_len)?.to_owned();
        let descriptor = Descriptor::decode(cursor.bytes(descriptor_len)?)?;
        cursor
            .finish()
            .map_err(|error| Error::corrupt(format!("schema of collection {id}: {error}")))?;
        Ok((name, descriptor))
    }

    /// Whether there is anything to open.
    pub fn is_known(&self) -> bool {
        !self.bytes.is_empty()
    }
}

fn place(store: StoreId, collection: CollectionId, salt: Salt) -> Place {
    Place { store, salt, kind: FileKind::Schema, collection, position: 0 }
}
