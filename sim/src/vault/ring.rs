//! A key ring whose codecs tell the vault all that they seal.

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
    /// What stands for the key of the one file that it is for.
    file: Option<u128>,
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
        let inner = self.inner.for_file(place).unwrap_or_else(|| self.inner.clone());
        let (vault, key) = (self.vault.clone(), self.key);
        let file = Some(file_key(&key, place));
        Some(Arc::new(Self { vault, inner, key, file }))
    }

    fn seal(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES]> {
        let file = self.file.unwrap_or_else(|| file_key(&self.key, place));
        self.vault.sealed((&self.key, file), place, associated, body);
        self.inner.seal(place, associated, body)
    }

    fn open(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        self.inner.open(place, associated, body, tag)
    }
}

impl fmt::Debug for RecordingCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingCodec").field("file", &self.file).finish_non_exhaustive()
    }
}
