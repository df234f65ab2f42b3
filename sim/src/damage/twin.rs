//! A store that differs from another by its id alone: the same history, the same salts and names.
//!
//! What is taken from it into the other can be told apart by the store's id only.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quiver_store::Env;
use quiver_store::vfs::Entropy;
use quiver_store::{Options, Result};

use crate::system::{Session, System};

/// A system whose stores get another id: the first thing that is drawn.
#[derive(Debug)]
pub(super) struct Twin<'a> {
    system: &'a dyn System,
    has_drawn: Arc<AtomicBool>,
}

impl<'a> Twin<'a> {
    pub(super) fn of(system: &'a dyn System) -> Self {
        Self { system, has_drawn: Arc::default() }
    }
}

#[derive(Debug)]
struct OtherId {
    inner: Arc<dyn Entropy>,
    has_drawn: Arc<AtomicBool>,
}

impl Entropy for OtherId {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        self.inner.fill(buf)?;
        if !self.has_drawn.swap(true, Ordering::Relaxed) {
            buf.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Ok(())
    }
}

impl System for Twin<'_> {
    fn name(&self) -> &'static str {
        self.system.name()
    }

    fn version(&self) -> &'static str {
        self.system.version()
    }

    fn keeps_reserve(&self) -> bool {
        self.system.keeps_reserve()
    }

    fn backs_up(&self) -> bool {
        self.system.backs_up()
    }

    fn keeps_indexes(&self) -> bool {
        self.system.keeps_indexes()
    }

    fn open(&self, mut env: Env, options: &Options) -> Result<Box<dyn Session>> {
        env.entropy = Arc::new(OtherId { inner: env.entropy, has_drawn: self.has_drawn.clone() });
        self.system.open(env, options)
    }
}
