//! What a worker is doing, seen from outside.
//!
//! **Place.** The explorer writes the address of each image before it opens it; the campaign's main
//! thread looks now and then. A store that spins without any I/O is found this way, since no budget
//! of calls ends it. Nothing in here decides anything about a result.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

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
        self.turns.fetch_add(1, Ordering::Release);
    }

    /// How many images were begun.
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
