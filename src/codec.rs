//! Seals and opens what goes to disk: pages and the sections of log frames.
//!
//! A codec changes bytes in place and gives a 16-byte tag; it never changes a length, so that
//! pages stay aligned to sectors under every codec. [`PlainCodec`] leaves bytes as they are: its
//! pages are protected by their checksum alone.

use std::fmt;

use crate::error::{Error, Result};
use crate::ids::{CollectionId, Salt, StoreId};
use crate::sync::Arc;

/// Bytes of the tag that sealing gives.
pub const TAG_SIZE_BYTES: usize = 16;

/// What a file is for. Stored on disk; numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FileKind {
    /// A manifest.
    Manifest = 1,
    /// A log file.
    Log = 2,
    /// A segment.
    Segment = 3,
    /// The dead rows of a segment.
    Tombstones = 4,
    /// An index snapshot.
    IndexSnapshot = 5,
    /// Which rows changed since an index snapshot.
    Changes = 6,
    /// Records of a collection that could not be sealed.
    Parked = 7,
    /// A key, sealed under another.
    Key = 8,
    /// Name and schema of a collection, as a manifest has them.
    Schema = 9,
}

/// Where sealed bytes stand: no two seals ever share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The store.
    pub store: StoreId,
    /// The file's own random salt.
    pub salt: Salt,
    /// What the file is for.
    pub kind: FileKind,
    /// Whose rows they are; 0 is the catalog.
    pub collection: CollectionId,
    /// Page index, or in a log the section's file offset in bytes.
    pub position: u64,
}

/// Seals and opens bytes.
///
/// *Reference*: the interface of authenticated encryption with associated data, RFC 5116
/// section 2.
pub trait PageCodec: Send + Sync + fmt::Debug {
    /// The number by which pages and sections name their codec. Stored on disk.
    fn id(&self) -> u8;

    /// A codec for all that stands in one file, so that what the file's place gives is worked out once;
    /// `None` where there is nothing to work out. Of `place` all but the position counts.
    fn for_file(&self, place: &Place) -> Option<Arc<dyn PageCodec>> {
        let _ = place;
        None
    }

    /// Seals `body` in place. `associated` is bound in but not changed.
    ///
    /// # Errors
    /// `KeyUnavailable` where there is no key.
    fn seal(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES]>;

    /// Opens `body` in place, if the place, the associated bytes and the tag are those of the
    /// sealing.
    ///
    /// # Errors
    /// `Corrupt` where anything differs; `KeyUnavailable` where there is no key.
    fn open(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()>;
}

/// The codec for one file; see [`PageCodec::for_file`].
pub(crate) fn for_file(codec: &Arc<dyn PageCodec>, place: &Place) -> Arc<dyn PageCodec> {
    codec.for_file(place).unwrap_or_else(|| Arc::clone(codec))
}

/// Leaves bytes as they are; its tag is zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainCodec;

impl PlainCodec {
    /// The number of this codec on disk.
    pub const ID: u8 = 0;
}

impl PageCodec for PlainCodec {
    fn id(&self) -> u8 {
        Self::ID
    }

    fn seal(&self, _: &Place, _: &[u8], _: &mut [u8]) -> Result<[u8; TAG_SIZE_BYTES]> {
        Ok([0; TAG_SIZE_BYTES])
    }

    fn open(
        &self,
        place: &Place,
        _: &[u8],
        _: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        if *tag == [0; TAG_SIZE_BYTES] {
            return Ok(());
        }
        let (kind, position) = (place.kind, place.position);
        Err(Error::corrupt(format!(
            "{kind:?} position {position}: tag of a plain codec is not zero"
        )))
    }
}
