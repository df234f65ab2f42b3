//! The codecs of one log file, or of a file of parked records, in which sections stand as in a log: one for each collection with records in it, bound to the file.
//!
//! A codec is worked out once, at the first section of its collection, and kept for as long as the file
//! is written or read: so is what was wrong with its key.

use std::collections::BTreeMap;
use std::fmt;

use crate::codec::{self, FileKind, PageCodec, Place, PlainCodec, TAG_SIZE_BYTES};
use crate::error::Result;
use crate::ids::{CollectionId, KeyId, Salt, StoreId};
use crate::keys::Keys;
use crate::sync::Arc;

/// The file that frames stand in.
#[derive(Clone, Copy, Debug)]
pub struct LogFileIdentity {
    /// The store.
    pub store: StoreId,
    /// The file's salt.
    pub salt: Salt,
}

type Bound = Result<Arc<dyn PageCodec>>;

/// The codecs of one log file.
pub struct LogCodecs {
    keys: Arc<Keys>,
    log: LogFileIdentity,
    bound: BTreeMap<(CollectionId, KeyId, Salt), Bound>,
}

impl LogCodecs {
    /// Those of a log file, under the keys of its store.
    pub fn new(keys: Arc<Keys>, log: LogFileIdentity) -> Self {
        Self { keys, log, bound: BTreeMap::new() }
    }

    /// Those of a log that is not encrypted.
    pub fn plain(log: LogFileIdentity) -> Self {
        Self::new(Arc::new(Keys::plain()), log)
    }

    /// The number of the codec of everything here.
    pub(super) fn id(&self) -> u8 {
        self.keys.catalog().id()
    }

    /// Whether sections may say which key they are under.
    pub(super) fn name_keys(&self) -> bool {
        self.keys.has_key_files() || !self.keys.can_open()
    }

    /// The file.
    pub(crate) fn log(&self) -> LogFileIdentity {
        self.log
    }

    /// Where a section of this file stands that was sealed in a file of this salt.
    pub(super) fn place(&self, collection: CollectionId, salt: Salt, position: u64) -> Place {
        // Also in a file of parked records: so what is carried on from there says all of where it was
        // sealed, and no place of it is one of the file's pages.
        Place { store: self.log.store, salt, kind: FileKind::Log, collection, position }
    }

    /// The codec of a collection, bound to the file in which its section was sealed.
    ///
    /// # Errors
    /// Those of [`Keys::of`].
    pub(super) fn of(
        &mut self,
        collection: CollectionId,
        key: KeyId,
        salt: Salt,
    ) -> Result<Arc<dyn PageCodec>> {
        let place = self.place(collection, salt, 0);
        let keys = &self.keys;
        let bound = self.bound.entry((collection, key, salt)).or_insert_with(|| {
            keys.of(collection, key).map(|codec| codec::for_file(&codec, &place))
        });
        match bound {
            Ok(codec) => Ok(Arc::clone(codec)),
            Err(error) => Err(error.duplicate()),
        }
    }

    /// The tag of the frame at an offset.
    pub(super) fn seal_frame(
        &mut self,
        offset: u64,
        bound: impl FnOnce() -> Vec<u8>,
    ) -> Result<[u8; TAG_SIZE_BYTES]> {
        if self.id() == PlainCodec::ID {
            return Ok([0; TAG_SIZE_BYTES]);
        }
        let (catalog, salt) = (CollectionId(0), self.log.salt);
        let place = self.place(catalog, salt, offset);
        self.of(catalog, KeyId::NONE, salt)?.seal(&place, &bound(), &mut [])
    }

    /// Holds the tag of the frame at an offset against what it covers; nothing without keys.
    pub(super) fn open_frame(
        &mut self,
        offset: u64,
        bound: impl FnOnce() -> Vec<u8>,
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        if !self.keys.can_open() {
            return Ok(());
        }
        let (catalog, salt) = (CollectionId(0), self.log.salt);
        let place = self.place(catalog, salt, offset);
        let codec = self.of(catalog, KeyId::NONE, salt)?;
        match codec.id() {
            PlainCodec::ID => codec.open(&place, &[], &mut [], tag),
            _ => codec.open(&place, &bound(), &mut [], tag),
        }
    }
}

impl fmt::Debug for LogCodecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogCodecs").field("log", &self.log).finish_non_exhaustive()
    }
}
