//! A key ring whose codecs tell the vault all that they seal, and open once what they opened before.

use std::fmt;
use std::sync::Arc;

use quiver_store::codec::{PageCodec, Place, TAG_SIZE_BYTES};
use quiver_store::keyring::Custody;
use quiver_store::{AesGcmCodec, Key, KeyRing, Result};

use super::Vault;
use super::seals::{RawKey, file_key};

/// A ring with one master key of a vault.
#[derive(Debug)]
pub(super) struct RecordingRing {
    pub(super) vault: Arc<Vault>,
    pub(super) master: u32,
}

struct RecordingCodec {
    vault: Arc<Vault>,
    inner: Arc<dyn PageCodec>,
    key: RawKey,
    /// The one file that it is for, and what stands for its key.
    file: Option<(Place, u128)>,
}

impl RecordingCodec {
    /// What stands for the key of the file of a place.
    fn file_key(&self, place: &Place) -> u128 {
        match self.file {
            Some((file, key)) if file == of_file(place) => key,
            _ => file_key(&self.key, place),
        }
    }

    /// The cipher of a place, whose key is derived once.
    fn cipher(&self, place: &Place, file: u128) -> Arc<dyn PageCodec> {
        if self.file.is_some() {
            return self.inner.clone();
        }
        let derive = || self.inner.for_file(&of_file(place)).unwrap_or_else(|| self.inner.clone());
        self.vault.recall().codec(file, derive)
    }
}

/// A place without its position.
fn of_file(place: &Place) -> Place {
    Place { position: 0, ..*place }
}

impl KeyRing for RecordingRing {
    fn custody(&self) -> Custody {
        Custody::Envelope(self.codec(&self.vault.master(self.master)))
    }

    fn codec(&self, key: &Key) -> Arc<dyn PageCodec> {
        let (vault, inner) = (self.vault.clone(), Arc::new(AesGcmCodec::new(key.clone())));
        let key = *key.bytes();
        vault.learn(&key);
        Arc::new(RecordingCodec { vault, inner, key, file: None })
    }
}

impl PageCodec for RecordingCodec {
    fn id(&self) -> u8 {
        self.inner.id()
    }

    fn for_file(&self, place: &Place) -> Option<Arc<dyn PageCodec>> {
        let file = file_key(&self.key, place);
        let (vault, inner, key) = (self.vault.clone(), self.cipher(place, file), self.key);
        Some(Arc::new(Self { vault, inner, key, file: Some((of_file(place), file)) }))
    }

    fn seal(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES]> {
        let file = self.file_key(place);
        self.vault.sealed((&self.key, file), place, associated, body);
        self.cipher(place, file).seal(place, associated, body)
    }

    fn open(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        let file = self.file_key(place);
        let seat = (file, place.position);
        if self.vault.recall().open(seat, associated, body, tag) {
            return Ok(());
        }
        let sealed = body.to_vec();
        self.cipher(place, file).open(place, associated, body, tag)?;
        self.vault.recall().keep(seat, associated, (sealed, body), tag);
        Ok(())
    }
}

impl fmt::Debug for RecordingCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingCodec").field("file", &self.file).finish_non_exhaustive()
    }
}
