//! The random number source of the operating system.

use std::io;

use super::super::Entropy;

/// The system's own generator; early in the life of a machine it waits until that is seeded.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl OsEntropy {
    /// The system's generator; nothing is read yet.
    pub fn new() -> Self {
        Self
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        getrandom::fill(buf).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        OsEntropy::new().fill(&mut one).expect("the system has a generator");
        OsEntropy::new().fill(&mut two).expect("the system has a generator");
        assert_ne!(one, two);
    }
}
