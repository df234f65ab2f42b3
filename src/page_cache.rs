//! Pages that were read, kept for the next reader: bounded in bytes.
//!
//! **Place.** Floor 2. Segments read through it; scans and merges pass it by. What is in it was
//! checked when it was read, and files never change, so a page is as good as on the first day.
//!
//! Nothing is allocated before the first page, and the hash and the number of shards do not
//! depend on the machine: one seed of a simulation makes one sequence of reads.

use std::hash::{BuildHasher, Hasher};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::error::Result;
use crate::ids::FileId;
use crate::limits::PAGE_SIZE_BYTES;
use crate::sync::{Arc, OnceLock};

/// The most parts with a lock of their own.
const SHARDS_MAX: usize = 16;

/// The least pages of a part: fewer, and it evicts what others would have room for.
const SHARD_PAGES_MIN: usize = 128;

/// What an entry takes beside its page, about.
const ENTRY_OVERHEAD_BYTES: usize = 100;

/// The most entries that room is made for in advance.
const ENTRIES_EXPECTED_MAX: u64 = 1 << 16;

type Key = (FileId, u32);

/// The pages that reads keep.
pub(crate) struct PageCache {
    bytes: u64,
    pages: OnceLock<Cache<Key, Arc<[u8]>, ByBytes, FixedHash>>,
}

impl std::fmt::Debug for PageCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageCache").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl PageCache {
    /// A cache of at most so many bytes, about; of 0, one that keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, pages: OnceLock::new() }
    }

    /// Page `index` of a file: kept, or read and kept. Two threads that miss one page both read it.
    ///
    /// # Errors
    /// Those of `read`; nothing is kept then.
    pub(crate) fn page(
        &self,
        file: FileId,
        index: u32,
        read: impl FnOnce() -> Result<Arc<[u8]>>,
    ) -> Result<Arc<[u8]>> {
        if self.bytes == 0 {
            return read();
        }
        let pages = self.pages.get_or_init(|| self.build());
        if let Some(page) = pages.get(&(file, index)) {
            return Ok(page);
        }
        let page = read()?;
        pages.insert((file, index), Arc::clone(&page));
        Ok(page)
    }

    /// Drops the pages of a file that is gone. Its number is never given again, so this only makes
    /// room.
    pub(crate) fn forget(&self, file: FileId, pages: u32) {
        let Some(kept) = self.pages.get() else { return };
        if kept.len() < pages as usize {
            kept.retain(|key, _| key.0 != file);
        } else {
            (0..pages).for_each(|index| drop(kept.remove(&(file, index))));
        }
    }

    fn build(&self) -> Cache<Key, Arc<[u8]>, ByBytes, FixedHash> {
        let expected = (self.bytes / PAGE_SIZE_BYTES as u64).clamp(1, ENTRIES_EXPECTED_MAX);
        let expected = usize::try_from(expected).expect("at most 2^16");
        let options = OptionsBuilder::new()
            .shards((expected / SHARD_PAGES_MIN).clamp(1, SHARDS_MAX))
            .estimated_items_capacity(expected)
            .weight_capacity(self.bytes)
            .build()
            .expect("both capacities are set");
        Cache::with_options(options, ByBytes, FixedHash(0), DefaultLifecycle::default())
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, Arc<[u8]>> for ByBytes {
    fn weight(&self, _: &Key, page: &Arc<[u8]>) -> u64 {
        (page.len() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

/// A hash of the two numbers of a key. Nobody chooses those to collide.
#[derive(Clone, Debug)]
struct FixedHash(u64);

impl BuildHasher for FixedHash {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        self.clone()
    }
}

impl Hasher for FixedHash {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // Both halves of the product have a part in every bit of the sum.
        let product = u128::from(self.0 ^ number ^ 0x2545_f491_4f6c_dd1d)
            * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        let halves = product.to_le_bytes();
        let (low, high) = halves.split_at(8);
        let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        self.0 = half(low) ^ half(high);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::cell::Cell;

    fn page(byte: u8) -> Arc<[u8]> {
        vec![byte; PAGE_SIZE_BYTES].into()
    }

    /// Reads a page through the cache; whether it had to be read.
    fn misses(cache: &PageCache, file: u64, index: u32) -> bool {
        let missed = Cell::new(false);
        let read = || {
            missed.set(true);
            Ok(page(u8::try_from(index % 251).expect("small")))
        };
        let found = cache.page(FileId(file), index, read).expect("no error");
        assert_eq!(u32::from(found[0]), index % 251);
        missed.get()
    }

    #[test]
    fn page_is_read_once_and_again_once_forgotten() {
        let cache = PageCache::new(1 << 20);
        let missed = || [(1, 0), (1, 1), (2, 0)].map(|(file, index)| misses(&cache, file, index));
        assert_eq!(missed(), [true; 3]);
        assert_eq!(missed(), [false; 3]);
        // A file of fewer pages than are kept, and one of more.
        for pages in [2, 1000] {
            cache.forget(FileId(1), pages);
            assert_eq!(missed(), [true, true, false]);
        }
    }

    #[test]
    fn cache_without_room_keeps_nothing() {
        let cache = PageCache::new(0);
        assert!(misses(&cache, 1, 7) && misses(&cache, 1, 7));
        assert!(cache.pages.get().is_none());
    }

    #[test]
    fn failed_read_is_reported_and_not_kept() {
        let cache = PageCache::new(1 << 20);
        let error = cache.page(FileId(1), 7, || Err(Error::corrupt("torn"))).expect_err("torn");
        assert_eq!(error.to_string(), "torn");
        assert!(misses(&cache, 1, 7));
    }

    #[test]
    fn bytes_stay_within_the_bound() {
        let cache = PageCache::new(4 << 20);
        (0..2000).for_each(|index| assert!(misses(&cache, 1, index)));
        let kept = cache.pages.get().expect("it was used");
        assert!(kept.weight() <= 4 << 20, "{} bytes", kept.weight());
        assert!(kept.len() > 150, "{} pages kept of 250 that fit", kept.len());
    }
}
