//! A random number source that a seed decides.

use std::io;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

use quiver_store::vfs::Entropy;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::SimDisk;

/// Seeded ChaCha8. Branches of a run take seeds of their own, so that nothing repeats by chance.
#[derive(Debug)]
pub struct SimEntropy {
    stream: Mutex<ChaCha8Rng>,
    disk: Option<SimDisk>,
}

impl SimEntropy {
    /// A source that never fails.
    pub fn new(seed: u64) -> Self {
        Self { stream: Mutex::new(ChaCha8Rng::seed_from_u64(seed)), disk: None }
    }

    /// A source that fails where the disk's fault plan says so.
    pub fn with_faults_of(seed: u64, disk: &SimDisk) -> Self {
        Self { disk: Some(disk.clone()), ..Self::new(seed) }
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        if let Some(disk) = &self.disk {
            disk.draw_entropy(buf.len() as u64, Location::caller())?;
        }
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buf);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let draw = |seed| {
            let mut bytes = [0; 16];
            SimEntropy::new(seed).fill(&mut bytes).expect("never fails");
            bytes
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
