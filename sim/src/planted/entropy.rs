//! A source of randomness without any.

use std::io;
use std::sync::Arc;

use quiver_store::vfs::Entropy;

/// Fills everything with one byte. It fails where the one beneath it fails.
#[derive(Debug)]
pub(super) struct NoEntropy(pub(super) Arc<dyn Entropy>);

impl Entropy for NoEntropy {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        self.0.fill(buf)?;
        buf.fill(0x5a);
        Ok(())
    }
}
