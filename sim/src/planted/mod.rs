//! Wrong engines, planted between the engine and its disk, or its caller: each must be found.
//!
//! **Place.** `quiver-sim mutants` runs a campaign against each of them and counts the images until
//! the first violation. They are wrappers of the seam: the engine that ships has no switch for
//! them.
//!
//! - B1. A wrapper changes one thing and passes the rest on, call sites included.
//! - B2. The wrapper that changes nothing finds nothing: the control of the experiment.
//! - B3. What a wrong engine does is what one could do: a manifest with a wrong edit is sealed and
//!   named as any other, and stays wrong until the engine has reason to say something else.

mod books;
mod bugs;
mod careless;
mod copied_keys;
mod copying;
mod edits;
mod entropy;
mod file;
mod filters;
mod following;
mod hasty;
mod keyring;
mod log_frames;
mod log_view;
mod overlay;
mod secrets;
mod vfs;

use std::sync::{Arc, Mutex};

use quiver_store::Env;
use quiver_store::vfs::Disk;
use quiver_store::{Error, ErrorKind, Options, Result};

use crate::engine::Engine;
use crate::system::{Look, Looked, Session, System};

pub use bugs::Bug;
use careless::Careless;
use entropy::NoEntropy;
use filters::Misled;
use hasty::Hasty;
use vfs::PlantedVfs;
pub use vfs::SyncSites;

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

    /// What the engine stands on, with the bug in between.
    pub fn beneath(&self, env: Env) -> Env {
        let (bug, sites) = (self.bug.clone(), self.sites.clone());
        let env = if self.bug.is_of_encryption() { secrets::beneath(&self.bug, env) } else { env };
        let vfs = PlantedVfs::new(env.vfs.clone(), env.dir.clone(), bug, sites);
        let mut env = Env { vfs: Arc::new(vfs), ..env };
        if self.bug == Bug::ReusedFileNames {
            env.entropy = Arc::new(NoEntropy(env.entropy));
        }
        env
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

    fn latches_early(&self) -> bool {
        self.engine.latches_early()
    }

    fn keeps_reserve(&self) -> bool {
        self.engine.keeps_reserve()
    }

    fn keeps_indexes(&self) -> bool {
        self.engine.keeps_indexes()
    }

    fn replicates(&self) -> bool {
        self.engine.replicates()
    }

    /// Not where the manifest on the disk is not the one that the engine means, which its verification
    /// would tell: an engine that errs has one manifest in mind and on the disk.
    fn backs_up(&self) -> bool {
        let has_one = self.bug == Bug::Resealed || !self.bug.keeps_books();
        self.engine.backs_up() && has_one
    }

    fn encrypts(&self) -> bool {
        // The others read files, or replace the session by one without keys.
        matches!(self.bug, Bug::None | Bug::ElidedSync(_)) || self.bug.is_of_encryption()
    }

    fn open(&self, env: Env, options: &Options) -> Result<Box<dyn Session>> {
        let disk = Disk::new(env.vfs.clone(), &env.dir);
        let session = self.engine.open(self.beneath(env), options)?;
        if self.bug == Bug::DamageRefusesStore && !session.damaged()?.is_empty() {
            return Err(Error::new(ErrorKind::Corrupt, "a collection is damaged"));
        }
        let misled = self.bug.misleads() || self.bug.misreplicates() || self.bug.misverifies();
        if self.bug.is_of_tasks() {
            return Ok(Box::new(Hasty::over(self.bug.clone(), session)));
        }
        match misled {
            true => Ok(Box::new(Misled::of(self.bug.clone(), session)?)),
            false => Ok(Careless::over(&self.bug, session, &disk)),
        }
    }

    fn look(&self, env: Env, options: &Options, look: Look) -> Result<Looked> {
        let disk = Disk::new(env.vfs.clone(), &env.dir);
        let (session, lost) = self.engine.look(self.beneath(env), options, look)?;
        Ok((Careless::over(&self.bug, session, &disk), lost))
    }
}
