//! What a worker is doing, seen from outside.
//!
//! **Place.** The explorer writes the address of each image before it opens it; the campaign's main
//! thread looks now and then. A store that spins without any I/O is found this way, since no budget
//! of calls ends it. Nothing in here decides anything about a result.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::address::{Address, DEPTH_MAX, Of};

/// One worker's place.
#[derive(Debug, Default)]
pub struct Watch {
    seed: AtomicU64,
    crashes: [AtomicU64; 2 * DEPTH_MAX],
    depth: AtomicU64,
    of: AtomicUsize,
    turns: AtomicU64,
    stopped: AtomicBool,
}

impl Watch {
    /// Says which image is next.
    pub fn at(&self, address: &Address) {
        self.seed.store(address.seed, Ordering::Relaxed);
        self.of.store(address.kind() as usize, Ordering::Relaxed);
        for (place, (point, image)) in address.crashes().iter().enumerate() {
            self.crashes[2 * place].store(*point, Ordering::Relaxed);
            self.crashes[2 * place + 1].store(*image, Ordering::Relaxed);
        }
        self.depth.store(address.crashes().len() as u64, Ordering::Relaxed);
        self.goes_on();
    }

    /// Says that the worker has gone on.
    pub fn goes_on(&self) {
        self.turns.fetch_add(1, Ordering::Release);
    }

    /// How many images were begun, and how often the worker went on otherwise.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    /// The image begun last.
    pub fn address(&self) -> Address {
        let number = |place: usize| self.crashes[place].load(Ordering::Relaxed);
        let depth = usize::try_from(self.depth.load(Ordering::Relaxed)).expect("a small depth");
        let seed = self.seed.load(Ordering::Relaxed);
        let address = Address::of(Of::ALL[self.of.load(Ordering::Relaxed)], seed);
        (0..depth)
            .fold(address, |address, place| address.below(number(2 * place), number(2 * place + 1)))
    }

    /// Asks the worker to give up its seed.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the worker was asked to give up.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// How long a worker has been at one image.
#[derive(Debug)]
pub(crate) struct Silence {
    turns: u64,
    since: Instant,
    /// What the process had used of its processors by then.
    used: Duration,
}

/// On a machine that has no time for this process an image takes as long as it likes: a store that spins
/// is told by what the process uses meanwhile. One that waits uses nothing, and is told after so many times
/// the patience.
const PATIENCE_WITH_WAITING: u32 = 6;

impl Silence {
    /// From now on.
    pub(crate) fn begun() -> Self {
        Self { turns: 0, since: Instant::now(), used: used() }
    }

    /// Whether the worker has been at one image for longer than `patience`.
    pub(crate) fn is_longer_than(&mut self, patience: Duration, watch: &Watch) -> bool {
        let turns = watch.turns();
        if turns != self.turns {
            *self = Self { turns, ..Self::begun() };
            return false;
        }
        let elapsed = self.since.elapsed();
        let is_at_work = || used().saturating_sub(self.used) >= patience / 2;
        elapsed >= patience * PATIENCE_WITH_WAITING || elapsed >= patience && is_at_work()
    }
}

/// What the process has used of its processors.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_spins_is_told_and_one_that_gets_no_processor_is_waited_for() {
        let (watch, patience) = (Watch::default(), Duration::from_millis(40));
        let mut silence = Silence::begun();
        // What other tests of this process use is taken for this worker's: it must not have used any.
        silence.used = Duration::MAX;
        while silence.since.elapsed() < patience {
            std::thread::yield_now();
        }
        assert!(!silence.is_longer_than(patience, &watch), "it has not used anything");
        silence.used = Duration::ZERO;
        while used() < patience {}
        assert!(silence.is_longer_than(patience, &watch), "it spins");
        silence.used = Duration::MAX;
        silence.since -= patience * PATIENCE_WITH_WAITING;
        assert!(silence.is_longer_than(patience, &watch), "it waits for good");
        watch.at(&Address::run(7));
        assert!(!silence.is_longer_than(patience, &watch), "it has gone on");
    }
}
