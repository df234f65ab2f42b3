//! Wrong codecs: a ring between the engine and that of the simulator.

use std::fmt;
use std::sync::{Arc, OnceLock};

use quiver_store::codec::{FileKind, PageCodec, Place, TAG_SIZE_BYTES};
use quiver_store::keyring::Custody;
use quiver_store::{Key, KeyRing, Result};

use super::Bug;
use super::secrets::Secrets;

/// A ring whose codecs do something wrong.
#[derive(Debug)]
pub(super) struct PlantedRing {
    pub(super) inner: Arc<dyn KeyRing>,
    pub(super) secrets: Arc<Secrets>,
    /// The codec that the engine asks for first: that of the catalog.
    pub(super) catalog: OnceLock<Arc<dyn PageCodec>>,
}

/// A codec that leaves records in the log as they are.
struct PlainInLogs(Arc<dyn PageCodec>);

/// A codec that seals names and schemas under the catalog's key.
struct NamesUnder {
    own: Arc<dyn PageCodec>,
    catalog: Arc<dyn PageCodec>,
}

impl KeyRing for PlantedRing {
    fn custody(&self) -> Custody {
        self.inner.custody()
    }

    fn codec(&self, key: &Key) -> Arc<dyn PageCodec> {
        self.secrets.shown(key);
        let own = self.inner.codec(key);
        let catalog = self.catalog.get_or_init(|| own.clone()).clone();
        match self.secrets.bug {
            Bug::PlainLog => Arc::new(PlainInLogs(own)),
            Bug::NameUnderCatalogKey => Arc::new(NamesUnder { own, catalog }),
            _ => own,
        }
    }
}

impl PlainInLogs {
    fn is_plain(place: &Place) -> bool {
        place.kind == FileKind::Log && place.collection.value() > 0
    }
}

impl PageCodec for PlainInLogs {
    fn id(&self) -> u8 {
        self.0.id()
    }

    fn seal(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES]> {
        match Self::is_plain(place) {
            true => Ok([0; TAG_SIZE_BYTES]),
            false => self.0.seal(place, associated, body),
        }
    }

    fn open(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        match Self::is_plain(place) {
            true => Ok(()),
            false => self.0.open(place, associated, body, tag),
        }
    }
}

impl NamesUnder {
    fn of(&self, place: &Place) -> &dyn PageCodec {
        if place.kind == FileKind::Schema { &*self.catalog } else { &*self.own }
    }
}

impl PageCodec for NamesUnder {
    fn id(&self) -> u8 {
        self.own.id()
    }

    fn seal(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES]> {
        self.of(place).seal(place, associated, body)
    }

    fn open(
        &self,
        place: &Place,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> Result<()> {
        self.of(place).open(place, associated, body, tag)
    }
}

impl fmt::Debug for PlainInLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainInLogs")
    }
}

impl fmt::Debug for NamesUnder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamesUnder")
    }
}
