//! Wrong engines, planted between the engine and its disk: each must be found.
//!
//! **Place.** `quiver-sim mutants` runs a campaign against each of them and counts the images until
//! the first violation. They are wrappers of the seam: the engine that ships has no switch for
//! them.
//!
//! - B1. A wrapper changes one thing and passes the rest on, call sites included.
//! - B2. The wrapper that changes nothing finds nothing: the control of the experiment.

mod log_view;
mod vfs;

use std::sync::{Arc, Mutex};

use quiver_store::vfs::Env;
use quiver_store::{Options, Result};

use crate::engine::Engine;
use crate::system::{Session, System};

use vfs::PlantedVfs;
pub use vfs::SyncSites;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Nothing: the control.
    None,
    /// Syncs of this call site do nothing.
    ElidedSync(String),
    /// `sync_data` answers Ok and does nothing.
    LyingSync,
    /// `sync_dir` answers Ok and does nothing.
    UnsyncedDirectory,
    /// A rename happens before the sync of its directory that ought to precede it.
    ReorderedRename,
    /// A frame whose header survived counts as intact, whatever became of the rest.
    TornFrameAccepted,
    /// Recovery syncs the log it found and goes on, instead of writing the tail again.
    RecoveryThatOnlySyncs,
    /// A log is synced at the write after the one that was acknowledged.
    AcknowledgedBeforeSync,
    /// A failed sync counts as done.
    SyncErrorIgnored,
    /// A failed write counts as done.
    WriteErrorIgnored,
}

impl Bug {
    /// Every bug but the control and the elided syncs, whose sites are found by running.
    pub const PLANTED: [Self; 8] = [
        Self::LyingSync,
        Self::UnsyncedDirectory,
        Self::ReorderedRename,
        Self::TornFrameAccepted,
        Self::RecoveryThatOnlySyncs,
        Self::AcknowledgedBeforeSync,
        Self::SyncErrorIgnored,
        Self::WriteErrorIgnored,
    ];

    /// The name in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::None => "control",
            Self::ElidedSync(site) => site,
            Self::LyingSync => "lying-sync",
            Self::UnsyncedDirectory => "unsynced-directory",
            Self::ReorderedRename => "reordered-rename",
            Self::TornFrameAccepted => "torn-frame-accepted",
            Self::RecoveryThatOnlySyncs => "recovery-that-only-syncs",
            Self::AcknowledgedBeforeSync => "acknowledged-before-sync",
            Self::SyncErrorIgnored => "sync-error-ignored",
            Self::WriteErrorIgnored => "write-error-ignored",
        }
    }
}

/// The engine with a bug between it and its disk.
#[derive(Debug)]
pub struct Planted {
    engine: Engine,
    bug: Bug,
    sites: Arc<Mutex<SyncSites>>,
}

impl Planted {
    /// The engine with this bug.
    pub fn new(bug: Bug) -> Self {
        Self { engine: Engine, bug, sites: Arc::default() }
    }

    /// The call sites of syncs that were reached so far, and how often.
    pub fn sync_sites(&self) -> SyncSites {
        self.sites.lock().expect("nothing panics while it is held").clone()
    }
}

impl System for Planted {
    fn name(&self) -> &'static str {
        "quiver-store with a planted bug"
    }

    fn version(&self) -> &'static str {
        self.engine.version()
    }

    fn open(&self, env: Env, options: &Options) -> Result<Box<dyn Session>> {
        let vfs = PlantedVfs::new(env.vfs.clone(), self.bug.clone(), self.sites.clone());
        self.engine.open(Env { vfs: Arc::new(vfs), ..env }, options)
    }
}
