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
    /// It goes on by years from one look to the next.
    Ahead,
    /// It goes back by a while from one look to the next.
    Back,
}

impl Ticking {
    /// The ways that are faults.
    pub const FAULTS: [Self; 4] = [Self::Frozen, Self::Jumping, Self::Ahead, Self::Back];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "clock-steady",
            Self::Frozen => "clock-stands-still",
            Self::Jumping => "clock-jumps",
            Self::Ahead => "clock-jumps-ahead",
            Self::Back => "clock-goes-back",
        }
    }
}

/// About ten years.
const YEARS_US: u64 = 1 << 48;

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
        let ticking = match scrambled(seed) % 8 {
            0 => Ticking::Frozen,
            1 => Ticking::Jumping,
            2 => Ticking::Ahead,
            3 => Ticking::Back,
            _ => Ticking::Steady,
        };
        Self::ticking(ticking, seed)
    }

    /// How it behaves, if somebody looked at it often enough to notice.
    pub fn noticed(&self) -> Option<Ticking> {
        (self.looks.load(Ordering::Relaxed) > 1).then_some(self.ticking)
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
            Ticking::Ahead => (look % 1024) * YEARS_US,
            Ticking::Back => YEARS_US - (look % 1024) * 1_000_000,
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
        let (first, second) = look_twice(Ticking::Back);
        assert!(first > second);
        let (first, second) = look_twice(Ticking::Ahead);
        assert!(second - first > 1 << 40);
        let clock = SimClock::ticking(Ticking::Frozen, 3);
        clock.monotonic_us();
        assert_eq!(clock.noticed(), None);
        clock.monotonic_us();
        assert_eq!(clock.noticed(), Some(Ticking::Frozen));
    }
}
