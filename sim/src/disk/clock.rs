//! A clock that does what the simulator says, not what time does.

use std::sync::atomic::{AtomicU64, Ordering};

use quiver_store::vfs::Clock;

use crate::stream::scrambled;

/// How a simulated clock behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticking {
    /// A microsecond per look.
    Steady,
    /// It stands still.
    Frozen,
    /// Each look is at a time of its own, earlier or later.
    Jumping,
}

/// A deterministic clock.
#[derive(Debug)]
pub struct SimClock {
    ticking: Ticking,
    seed: u64,
    looks: AtomicU64,
}

impl SimClock {
    /// A clock that behaves as the seed draws.
    pub fn new(seed: u64) -> Self {
        let ticking = match scrambled(seed) % 4 {
            0 => Ticking::Frozen,
            1 => Ticking::Jumping,
            _ => Ticking::Steady,
        };
        Self::ticking(ticking, seed)
    }

    /// A clock that behaves as told.
    pub fn ticking(ticking: Ticking, seed: u64) -> Self {
        Self { ticking, seed, looks: AtomicU64::new(0) }
    }
}

impl Clock for SimClock {
    fn monotonic_us(&self) -> u64 {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        match self.ticking {
            Ticking::Steady => self.seed % 1_000_000 + look,
            Ticking::Frozen => self.seed % 1_000_000,
            Ticking::Jumping => scrambled(self.seed ^ scrambled(look)) >> 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_tick_as_told() {
        let look_twice = |ticking| {
            let clock = SimClock::ticking(ticking, 3);
            (clock.monotonic_us(), clock.monotonic_us())
        };
        assert_eq!(look_twice(Ticking::Steady), (3, 4));
        assert_eq!(look_twice(Ticking::Frozen), (3, 3));
        let (first, second) = look_twice(Ticking::Jumping);
        assert_ne!(first, second);
        assert_eq!(look_twice(Ticking::Jumping), (first, second));
    }
}
