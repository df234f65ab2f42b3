//! How fast writers may go while a thread of the store does the background work.
//!
//! Writers are free as long as the thread keeps up. Where rows pile up in memory or in the log, or
//! segments that wait for their merge, each writer pauses before its write, for a time that grows with
//! its bytes and with the square of the *pressure*: from nothing where work is due to four times what
//! the work takes where writers would have to do it themselves. So the two meet somewhere in between,
//! and no writer stalls for a whole checkpoint.
//!
//! - P1. Pauses come before a request is enqueued: who pauses holds no lock and leads nobody.
//! - P2. They are as long as the work of one's own bytes takes, by how long the last steps took.
//! - P3. Nothing durable depends on them: a clock that stands still means no pauses.

use crate::sync::{Arc, AtomicU64, Ordering};
use crate::vfs::Threads;

/// Full pressure.
pub(super) const FULL: u64 = 1000;

/// Pauses shorter than this are put off, for a sleep is longer than that.
const PAUSE_US_MIN: u64 = 200;

/// The longest pause before one write.
const PAUSE_US_MAX: u64 = 1_000_000;

/// What the state of the disk says of background work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Whether there is any, or may be.
    pub(super) is_due: bool,
    /// Whether writers are to do some themselves.
    pub(super) is_behind: bool,
}

/// How fast writers may go.
#[derive(Debug)]
pub(super) struct Pace {
    threads: Option<Arc<dyn Threads>>,
    /// By rows in memory and in the log, in thousandths.
    by_rows: AtomicU64,
    /// By segments that wait for their merge, in thousandths.
    by_merges: AtomicU64,
    /// What a step takes, in nanoseconds for each KiB of work.
    cost: AtomicU64,
    /// Pauses that were put off, in microseconds.
    owed_us: AtomicU64,
}

impl Pace {
    pub(super) fn new(threads: Option<Arc<dyn Threads>>) -> Self {
        Self {
            threads,
            by_rows: AtomicU64::new(0),
            by_merges: AtomicU64::new(0),
            cost: AtomicU64::new(0),
            owed_us: AtomicU64::new(0),
        }
    }

    pub(super) fn set_by_rows(&self, pressure: u64) {
        self.by_rows.store(pressure, Ordering::Relaxed);
    }

    pub(super) fn set_by_merges(&self, pressure: u64) {
        self.by_merges.store(pressure, Ordering::Relaxed);
    }

    /// Notes what a step took.
    pub(super) fn note_step(&self, bytes: u64, took_us: u64) {
        let Some(cost) = took_us.saturating_mul(1000 * 1024).checked_div(bytes) else { return };
        let before = self.cost.load(Ordering::Relaxed);
        // A publish among the steps should not stop everyone, nor be forgotten at once.
        let mean = if before == 0 { cost } else { before - before / 8 + cost / 8 };
        self.cost.store(mean, Ordering::Relaxed);
    }

    /// How long to pause before a write of so many bytes, in microseconds.
    fn pause_us(&self, bytes: u64) -> u64 {
        let by = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let pressure = by(&self.by_rows).max(by(&self.by_merges)).min(FULL);
        if pressure == 0 {
            return 0;
        }
        let work_ns = u128::from(bytes) * u128::from(by(&self.cost)) / 1024;
        let square = u128::from(pressure * pressure);
        let ns = work_ns * 4 * square / u128::from(FULL * FULL);
        u64::try_from(ns / 1000).unwrap_or(u64::MAX).min(PAUSE_US_MAX)
    }

    /// Pauses before a write of so many bytes, where work has piled up.
    pub(super) fn slow_down(&self, bytes: u64) {
        let own = self.pause_us(bytes);
        if own == 0 {
            return;
        }
        let owed = self.owed_us.fetch_add(own, Ordering::Relaxed).saturating_add(own);
        if owed < PAUSE_US_MIN {
            return;
        }
        let pause = self.owed_us.swap(0, Ordering::Relaxed).min(PAUSE_US_MAX);
        if let Some(threads) = self.threads.as_ref().filter(|_| pause > 0) {
            // Nobody rings it.
            threads.bell().wait(Some(pause));
        }
    }
}

/// How far a value is on its way from where work is due to where writers do it, in thousandths.
pub(super) fn pressure(value: u64, due: u64, behind: u64) -> u64 {
    let way = behind.saturating_sub(due).max(1);
    let gone = u128::from(value.saturating_sub(due)) * u128::from(FULL) / u128::from(way);
    u64::try_from(gone).unwrap_or(FULL).min(FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_nothing_to_four_times_the_work() {
        let pace = Pace::new(None);
        pace.note_step(1 << 20, 1024);
        let paused = |pressure| {
            pace.set_by_rows(pressure);
            pace.pause_us(1 << 20)
        };
        assert_eq!([0, 100, 500, 1000, 2000].map(paused), [0, 40, 1024, 4096, 4096]);
        assert_eq!(pace.pause_us(u64::MAX), PAUSE_US_MAX);
    }

    #[test]
    fn a_clock_that_stands_still_means_no_pauses() {
        let pace = Pace::new(None);
        pace.note_step(1 << 20, 0);
        pace.note_step(0, 7);
        pace.set_by_merges(FULL);
        assert_eq!(pace.pause_us(1 << 20), 0);
    }

    #[test]
    fn pressure_is_the_way_from_due_to_behind() {
        let by = |value| pressure(value, 100, 300);
        assert_eq!([0, 100, 200, 300, u64::MAX].map(by), [0, 0, 500, 1000, 1000]);
        assert_eq!(pressure(5, 3, 3), 1000);
    }
}
