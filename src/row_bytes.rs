//! The bytes of a batch's records, shared by whoever points into them, in memory that is used again.
//!
//! **Place.** Floor 2. A batch is serialised in a buffer of its caller; what a memtable keeps of it
//! until the seal stands in a buffer of ours. In fresh memory each of these would cost more than its
//! write to the log, for the system hands out every page at its first touch.
//!
//! - B1. Bytes never change once they are shared.
//! - B2. A buffer is spare when nobody points into it any more, whichever thread was the last.
//! - B3. Spare buffers are bounded in bytes, together, and none takes more than twice what is kept
//!   in it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use crate::sync::{Arc, Mutex, locked};

/// Below this the allocator keeps memory for the next call by itself.
const LARGE_BYTES: usize = 64 * 1024;

/// The bytes of a section's records. Cheap to clone.
#[derive(Clone)]
pub struct RowBytes(Arc<Shared>);

struct Shared {
    bytes: Vec<u8>,
    /// Where the buffer goes back to.
    home: Option<Arc<Spares>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

impl From<Vec<u8>> for RowBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Shared { bytes, home: None }))
    }
}

impl Deref for RowBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl PartialEq for RowBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RowBytes {}

impl fmt::Debug for RowBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Buffers that nobody points into.
#[derive(Debug)]
pub(crate) struct Spares {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By capacity; no list is empty.
    buffers: BTreeMap<usize, Vec<Vec<u8>>>,
    /// All capacities.
    bytes: usize,
}

impl Spares {
    /// None yet, and at most so many bytes of them ever.
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, state: Mutex::default() })
    }

    /// Takes over bytes that are to be kept for a while: copied into a buffer that was used before,
    /// if one fits, so that the memory they were built in is free for the next ones.
    pub(crate) fn keep(self: &Arc<Self>, mut bytes: Vec<u8>) -> RowBytes {
        let len = bytes.len();
        if len < LARGE_BYTES {
            bytes.shrink_to_fit();
            return bytes.into();
        }
        let fresh = || Vec::with_capacity(len.next_multiple_of(LARGE_BYTES));
        let mut buffer = self.take(len).unwrap_or_else(fresh);
        buffer.extend_from_slice(&bytes);
        RowBytes(Arc::new(Shared { bytes: buffer, home: Some(Arc::clone(self)) }))
    }

    /// Gives all spare buffers back to the system.
    pub(crate) fn release(&self) {
        if let Ok(mut state) = locked(&self.state) {
            *state = State::default();
        }
    }

    /// The smallest buffer that fits, empty.
    fn take(&self, len: usize) -> Option<Vec<u8>> {
        let mut state = locked(&self.state).ok()?;
        let (&capacity, list) = state.buffers.range_mut(len..=2 * len).next()?;
        let buffer = list.pop();
        if list.is_empty() {
            state.buffers.remove(&capacity);
        }
        state.bytes -= capacity;
        buffer
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let Ok(mut state) = locked(&self.state) else { return };
        let capacity = buffer.capacity();
        if state.bytes + capacity > self.bytes_max {
            return;
        }
        buffer.clear();
        state.bytes += capacity;
        state.buffers.entry(capacity).or_default().push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large(len: usize) -> Vec<u8> {
        (0..=u8::MAX).cycle().take(LARGE_BYTES + len).collect()
    }

    fn spare_bytes(spares: &Spares) -> usize {
        locked(&spares.state).expect("no panic").bytes
    }

    #[test]
    fn a_buffer_is_used_again_behind_its_last_reader() {
        let spares = Spares::new(1 << 20);
        let kept = spares.keep(large(9));
        let (reader, place) = (kept.clone(), kept.as_ptr());
        drop(kept);
        assert_eq!(spare_bytes(&spares), 0, "someone points into it");
        assert_eq!(*reader, large(9));
        drop(reader);
        assert_eq!(spare_bytes(&spares), 2 * LARGE_BYTES);
        let next = spares.keep(large(7));
        assert_eq!((&*next, next.as_ptr()), (&*large(7), place));
        assert_eq!(spare_bytes(&spares), 0, "it is no spare any more");
    }

    #[test]
    fn spares_are_bounded_and_none_is_far_too_large() {
        let spares = Spares::new(9 * LARGE_BYTES);
        let kept = [0, 1, 5 * LARGE_BYTES].map(|len| spares.keep(large(len)));
        drop(kept);
        assert_eq!(spare_bytes(&spares), 9 * LARGE_BYTES, "of 1, 2 and 6");
        drop([0, 0].map(|len| spares.keep(large(len))));
        assert_eq!(spare_bytes(&spares), 9 * LARGE_BYTES, "one more of 1 has no room");
        let kept = [0, 0].map(|len| spares.keep(large(len)));
        assert_eq!(spare_bytes(&spares), 6 * LARGE_BYTES, "1 and 2 are taken, 6 is too large");
        drop(kept);
        spares.release();
        assert_eq!(spare_bytes(&spares), 0);
    }

    #[test]
    fn small_batches_keep_their_own_memory() {
        let spares = Spares::new(1 << 20);
        let mut bytes = Vec::with_capacity(1000);
        bytes.extend_from_slice(b"abc");
        let kept = spares.keep(bytes);
        assert_eq!((&*kept, kept.0.bytes.capacity()), (&b"abc"[..], 3));
        drop(kept);
        assert_eq!(spare_bytes(&spares), 0);
    }
}
