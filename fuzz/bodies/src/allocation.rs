//! An allocator that counts, so that memory is an oracle: no input may make a decoder take more than
//! its length accounts for.
//!
//! - A1. It counts by thread. A body starts none, so what runs beside it does not show.
//! - A2. It refuses what a whole process could not have, before the operating system pretends to give it:
//!   a length that was believed ends there, with the place on the stack.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// More than this no body has at a time.
pub const THREAD_BYTES_MAX: usize = 1 << 30;

/// What a piece of work took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The most bytes that it had at a time.
    pub peak_bytes: usize,
    /// The most bytes that it asked for at once.
    pub largest_bytes: usize,
}

thread_local! {
    /// Bytes of this thread; what it frees for another may bring it below zero, which wraps.
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Runs some work; what it took beyond what was there.
pub fn measured(work: impl FnOnce()) -> Taken {
    let before = LIVE.get();
    LIVE.set(0);
    PEAK.set(0);
    LARGEST.set(0);
    work();
    LIVE.set(before.wrapping_add(LIVE.get()));
    Taken { peak_bytes: PEAK.get(), largest_bytes: LARGEST.get() }
}

/// Counts, and asks the system.
#[derive(Debug)]
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

impl Counting {
    /// Counts bytes that are about to be taken; whether they may be (A2).
    fn take(bytes: usize) -> bool {
        // Without its counters a thread is about to end: it runs no body.
        let counted = LIVE.try_with(|live| {
            let sum = live.get().wrapping_add(bytes);
            // A thread that freed another's is "below zero", which is no peak.
            let is_above_zero = sum <= isize::MAX.unsigned_abs();
            if is_above_zero && sum > THREAD_BYTES_MAX {
                return false;
            }
            live.set(sum);
            PEAK.set(PEAK.get().max(if is_above_zero { sum } else { 0 }));
            LARGEST.set(LARGEST.get().max(bytes));
            true
        });
        counted.unwrap_or(true)
    }

    fn give(bytes: usize) {
        let counted = LIVE.try_with(|live| live.set(live.get().wrapping_sub(bytes)));
        counted.unwrap_or(());
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator has no other interface; every call is passed on as it is"
)]
// SAFETY: every pointer comes from and goes to `System`, with the layout that the caller gave; counting
// touches thread-local cells without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !Self::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Old and new may be there together while the system copies.
        if !Self::take(new_size) {
            return std::ptr::null_mut();
        }
        Self::give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_is_what_was_there_at_a_time() {
        let taken = measured(|| {
            drop(vec![1_u8; 1000]);
            drop((vec![1_u8; 2000], vec![1_u8; 500]));
        });
        assert_eq!(taken, Taken { peak_bytes: 2500, largest_bytes: 2000 });
        assert_eq!(measured(|| ()), Taken::default());
    }

    #[test]
    fn more_than_a_process_has_is_refused() {
        let taken = measured(|| {
            assert!(Vec::<u8>::new().try_reserve_exact(THREAD_BYTES_MAX + 1).is_err());
        });
        assert_eq!(taken, Taken::default());
    }
}
