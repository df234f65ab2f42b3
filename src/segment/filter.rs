//! The filter of a segment: tells of most ids that are not there that they are not, from one line
//! of memory.
//!
//! A Bloom filter of blocks of 64 bytes. The hash of an id is XXH3 (64 bits, seed 0) of its bytes.
//! Its high half chooses the block, as a fraction of their number. Times [`MIX`], it gives six bits
//! of the block: nine bits of the product each, from the top down.
//!
//! With ten bits for each row about one in a hundred absent ids is taken for a present one. A
//! present id is always told to be possibly there.
//!
//! *Reference*: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007;
//! XXH3 as in xxHash 0.8.

use twox_hash::XxHash3_64;

/// Bytes of a block: a line of the CPU's cache.
pub(super) const BLOCK_SIZE_BYTES: usize = 64;

const BITS_PER_ROW: u64 = 10;
const BITS_PER_ID: u32 = 6;
const BLOCK_BITS_LOG2: u32 = 9;

/// Stored on disk by what it does: 2^64 divided by the golden ratio, made odd.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

const _: () = assert!(1 << BLOCK_BITS_LOG2 == 8 * BLOCK_SIZE_BYTES);
const _: () = assert!(BITS_PER_ID * BLOCK_BITS_LOG2 <= u64::BITS);

/// The hash of an id. Stored on disk by what it does.
pub(super) fn hash(id: &[u8]) -> u64 {
    XxHash3_64::oneshot(id)
}

/// Bytes of a filter for so many rows: a multiple of a block, at least one.
pub(super) fn size_bytes(rows: u64) -> u64 {
    let rows = rows.min(u32::MAX.into());
    (rows * BITS_PER_ROW).div_ceil(8 * BLOCK_SIZE_BYTES as u64).max(1) * BLOCK_SIZE_BYTES as u64
}

/// Where the block of a hash starts in a filter of whole blocks.
fn block(len: usize, hash: u64) -> usize {
    let blocks = (len / BLOCK_SIZE_BYTES) as u64;
    // Below the number of blocks, which is at most 2^32.
    usize::try_from(((hash >> 32) * blocks) >> 32).expect("64-bit machines") * BLOCK_SIZE_BYTES
}

fn bits(hash: u64) -> impl Iterator<Item = usize> {
    let mixed = hash.wrapping_mul(MIX);
    (1..=BITS_PER_ID).map(move |i| {
        let nine = (mixed >> (u64::BITS - i * BLOCK_BITS_LOG2)) & ((1 << BLOCK_BITS_LOG2) - 1);
        usize::try_from(nine).expect("nine bits")
    })
}

/// Remembers a hash.
pub(super) fn insert(filter: &mut [u8], hash: u64) {
    let start = block(filter.len(), hash);
    let block = &mut filter[start..][..BLOCK_SIZE_BYTES];
    bits(hash).for_each(|bit| block[bit / 8] |= 1 << (bit % 8));
}

/// Whether a hash may have been remembered. All bits are looked at: they are in one line of memory, and
/// where the first that is missing would be cannot be foreseen.
#[inline]
pub(super) fn may_contain(filter: &[u8], hash: u64) -> bool {
    let block = filter[block(filter.len(), hash)..].first_chunk::<BLOCK_SIZE_BYTES>();
    let block = block.expect("a filter is of whole blocks");
    bits(hash).fold(true, |all, bit| all & (block[bit / 8] & (1 << (bit % 8)) != 0))
}

/// The filter of an open segment, at hand for many ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownIds<'a>(pub(super) &'a [u8]);

impl KnownIds<'_> {
    /// Whether the segment may have the id of this hash.
    #[inline]
    pub(super) fn may_contain(self, hash: u64) -> bool {
        may_contain(self.0, hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_published_one() {
        // Values of the reference implementation, `xxhsum -H3`.
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash(b"a"), 0xe6c6_32b6_1e96_4e1f);
    }

    #[test]
    fn what_is_there_is_always_found_and_little_else() {
        let mut filter = vec![0; usize::try_from(size_bytes(20_000)).expect("small")];
        let ids = |from: u32| (from..from + 20_000).map(|i| hash(format!("row-{i:08}").as_bytes()));
        ids(0).for_each(|hash| insert(&mut filter, hash));
        assert!(ids(0).all(|hash| may_contain(&filter, hash)));
        let wrong = ids(20_000).filter(|hash| may_contain(&filter, *hash)).count();
        assert!(wrong < 20_000 / 50, "{wrong} of 20,000 absent ids are taken for present");
    }

    #[test]
    fn filter_of_few_rows_is_one_block() {
        assert_eq!([0, 1, 51, 52].map(size_bytes), [64, 64, 64, 128]);
        assert_eq!(size_bytes(1_000_000), 1_250_048);
    }
}
