//! What a store stands on: directory, filesystem, clock, randomness, keys, threads.

use std::path::PathBuf;

use crate::keyring::{KeyRing, SingleCodecKeyRing};
use crate::sync::Arc;
use crate::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use crate::vfs::os::{OsClock, OsEntropy, OsThreads, OsVfs};
use crate::vfs::{Clock, Entropy, Threads, Vfs};

/// Where a store lives and what it stands on.
#[derive(Clone, Debug)]
pub struct Env {
    /// The store's directory. Missing parents are created.
    pub dir: PathBuf,
    /// The filesystem.
    pub vfs: Arc<dyn Vfs>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The random number source.
    pub entropy: Arc<dyn Entropy>,
    /// Whether and how the store is encrypted.
    pub keyring: Arc<dyn KeyRing>,
    /// Where the store begins threads of its own, if it may.
    pub threads: Option<Arc<dyn Threads>>,
}

impl Env {
    /// A store on these, not encrypted and without threads of its own.
    pub fn new(
        dir: impl Into<PathBuf>,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let keyring = Arc::new(SingleCodecKeyRing::plaintext());
        Self { dir: dir.into(), vfs, clock, entropy, keyring, threads: None }
    }

    /// A store in a directory of the operating system's filesystem, with its clock, its random number
    /// source and its threads. Nothing is touched yet.
    ///
    /// A relative path is taken from the working directory of this moment, for good: a process
    /// that changes its directory later does not move the store.
    pub fn os(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        // An empty path stays as it is; opening it says what is wrong.
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        let (clock, entropy) = (Arc::new(OsClock::new()), Arc::new(OsEntropy::new()));
        Self::new(dir, Arc::new(OsVfs::new()), clock, entropy).with_threads(Arc::new(OsThreads))
    }

    /// A store in memory, at `/store` of a new disk, with a clock that stands still, a random stream
    /// that is the same in every run, and no threads of its own.
    ///
    /// Clones are the same disk: a store that was closed can be opened again from a clone.
    ///
    /// *Durability*: none; the store is gone with the last clone.
    pub fn memory() -> Self {
        let (clock, entropy) = (Arc::new(StoppedClock), Arc::new(CountingEntropy::new()));
        Self::new("/store", Arc::new(MemoryVfs::new()), clock, entropy)
    }

    /// The same with the keys of a ring.
    #[must_use]
    pub fn with_keyring(self, keyring: Arc<dyn KeyRing>) -> Self {
        Self { keyring, ..self }
    }

    /// The same with threads of the store's own.
    #[must_use]
    pub fn with_threads(self, threads: Arc<dyn Threads>) -> Self {
        Self { threads: Some(threads), ..self }
    }
}
