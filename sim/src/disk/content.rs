//! The bytes of one file as a copy-on-write value that knows its own key.
//!
//! **Place.** An inode has two of these, durable and volatile, and one more per pending mutation.
//!
//! - C1. Bytes past the length are zero, in the chunks too, so growing never shows old bytes.
//! - C2. The key is kept up to date sector by sector; nothing is ever hashed twice.
//! - C3. A missing chunk is all zeros.

use std::sync::Arc;

use super::key::{SECTOR_BYTES, mixed, sector_part};

/// Bytes that are copied together when one of them changes.
pub(crate) const CHUNK_BYTES: usize = 4096;
/// Sectors of a chunk.
pub(crate) const CHUNK_SECTORS: usize = CHUNK_BYTES / SECTOR_BYTES;
const CHUNK_LEN: u64 = CHUNK_BYTES as u64;
/// Bytes of a sector, for arithmetic on offsets.
pub(crate) const SECTOR_LEN: u64 = SECTOR_BYTES as u64;

/// One sector's bytes.
pub(crate) type Sector = [u8; SECTOR_BYTES];

#[derive(Clone)]
struct Chunk {
    bytes: [u8; CHUNK_BYTES],
    parts: [u128; CHUNK_SECTORS],
}

const ZERO_CHUNK: Chunk = Chunk { bytes: [0; CHUNK_BYTES], parts: [0; CHUNK_SECTORS] };

/// A file's bytes, length and key.
#[derive(Clone)]
pub(crate) struct Content {
    chunks: Arc<Vec<Option<Arc<Chunk>>>>,
    len: u64,
    sum: u128,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes, {:032x})", self.len, self.key())
    }
}

impl Default for Content {
    fn default() -> Self {
        Self { chunks: Arc::new(Vec::new()), len: 0, sum: 0 }
    }
}

impl Content {
    /// The length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The key of bytes and length.
    pub(crate) fn key(&self) -> u128 {
        Self::key_of(self.sum, self.len)
    }

    /// The sum of the sectors' parts, for computing the key of a changed copy without making it.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// The key of a content whose sectors' parts sum up to `sum`.
    pub(crate) fn key_of(sum: u128, len: u64) -> u128 {
        mixed(sum, len)
    }

    /// Whether both are the same object: equal for certain, without a look at the bytes.
    #[cfg(test)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks) && self.len == other.len
    }

    /// Copies bytes from `offset` on into the buffer; how many there were.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let Some(rest) = self.len.checked_sub(offset) else { return 0 };
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(buf.len());
        let mut done = 0;
        while done < count {
            let (index, within) = place(offset + done as u64);
            let piece = (CHUNK_BYTES - within).min(count - done);
            let target = &mut buf[done..done + piece];
            match self.chunks.get(index) {
                Some(Some(chunk)) => target.copy_from_slice(&chunk.bytes[within..within + piece]),
                _ => target.fill(0),
            }
            done += piece;
        }
        count
    }

    /// Writes bytes, growing if need be.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut done = 0;
        while done < bytes.len() {
            let (index, within) = place(offset + done as u64);
            let piece = (CHUNK_BYTES - within).min(bytes.len() - done);
            let slot = slot(&mut self.chunks, index);
            let source = &bytes[done..done + piece];
            let chunk = match slot {
                Some(chunk) if piece < CHUNK_BYTES => Arc::make_mut(chunk),
                Some(chunk) => {
                    // Nothing of the old bytes stays: their parts are enough.
                    let parts = chunk.parts;
                    *chunk = Arc::new(Chunk { parts, ..ZERO_CHUNK });
                    Arc::get_mut(chunk).expect("just made")
                }
                None => Arc::get_mut(slot.insert(Arc::new(ZERO_CHUNK))).expect("just made"),
            };
            chunk.bytes[within..within + piece].copy_from_slice(source);
            let sectors = within / SECTOR_BYTES..(within + piece).div_ceil(SECTOR_BYTES);
            self.sum = self.sum.wrapping_add(chunk.rekey(index, sectors));
            done += piece;
        }
        if !bytes.is_empty() {
            self.len = self.len.max(offset + bytes.len() as u64);
        }
    }

    /// Makes it at least `len` bytes long; the new bytes are zeros.
    pub(crate) fn grow(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Makes it at most `len` bytes long; what lay beyond is gone for good (C1).
    pub(crate) fn shorten(&mut self, len: u64) {
        if len >= self.len {
            return;
        }
        let end = self.len.div_ceil(SECTOR_LEN);
        let first = len / SECTOR_LEN;
        if !len.is_multiple_of(SECTOR_LEN) {
            let within = usize::try_from(len % SECTOR_LEN).expect("below the size of a sector");
            let bytes = cut(self.sector(first), within);
            self.set_sector(first, &bytes, sector_part(&bytes, first));
        }
        for sector in len.div_ceil(SECTOR_LEN)..end {
            if self.part(sector) != 0 {
                self.set_sector(sector, &[0; SECTOR_BYTES], 0);
            }
        }
        self.len = len;
    }

    /// One sector's bytes.
    pub(crate) fn sector(&self, sector: u64) -> Sector {
        let (index, within) = place(sector * SECTOR_LEN);
        let mut bytes = [0; SECTOR_BYTES];
        if let Some(Some(chunk)) = self.chunks.get(index) {
            bytes.copy_from_slice(&chunk.bytes[within..within + SECTOR_BYTES]);
        }
        bytes
    }

    /// One sector's part of the sum.
    pub(crate) fn part(&self, sector: u64) -> u128 {
        let (index, within) = place(sector * SECTOR_LEN);
        match self.chunks.get(index) {
            Some(Some(chunk)) => chunk.parts[within / SECTOR_BYTES],
            _ => 0,
        }
    }

    /// Replaces one sector, of which `part` must be the part. Does not grow.
    pub(crate) fn set_sector(&mut self, sector: u64, bytes: &Sector, part: u128) {
        let old = self.part(sector);
        if old == part {
            // Equal parts are equal bytes, as far as keys go at all.
            return;
        }
        let (index, within) = place(sector * SECTOR_LEN);
        let slot = slot(&mut self.chunks, index);
        let chunk = Arc::make_mut(slot.get_or_insert_with(|| Arc::new(ZERO_CHUNK)));
        chunk.bytes[within..within + SECTOR_BYTES].copy_from_slice(bytes);
        chunk.parts[within / SECTOR_BYTES] = part;
        self.sum = self.sum.wrapping_sub(old).wrapping_add(part);
    }

    /// Takes one sector as it is in another content.
    pub(crate) fn copy_sector(&mut self, sector: u64, from: &Self) {
        let part = from.part(sector);
        if part != self.part(sector) {
            self.set_sector(sector, &from.sector(sector), part);
        }
    }

    /// Takes the whole chunk that holds `sector` as it is in another content, by reference.
    pub(crate) fn share_chunk(&mut self, sector: u64, from: &Self) {
        let (index, _) = place(sector * SECTOR_LEN);
        let new = from.chunks.get(index).cloned().flatten();
        let slot = slot(&mut self.chunks, index);
        let sum = |chunk: &Option<Arc<Chunk>>| {
            chunk.iter().flat_map(|chunk| chunk.parts).fold(0_u128, u128::wrapping_add)
        };
        self.sum = self.sum.wrapping_sub(sum(slot)).wrapping_add(sum(&new));
        *slot = new;
    }

    /// Sets the length alone. The caller has seen to C1.
    pub(crate) fn set_len(&mut self, len: u64) {
        self.len = len;
    }
}

impl Chunk {
    /// Brings the parts of some sectors up to date; what that adds to the sum.
    fn rekey(&mut self, index: usize, sectors: std::ops::Range<usize>) -> u128 {
        let mut change: u128 = 0;
        let (bytes, _) = self.bytes.as_chunks::<SECTOR_BYTES>();
        for sector in sectors {
            let part = sector_part(&bytes[sector], (index * CHUNK_SECTORS + sector) as u64);
            change = change.wrapping_add(part).wrapping_sub(self.parts[sector]);
            self.parts[sector] = part;
        }
        change
    }
}

/// A sector with everything from `end` on zeroed.
pub(crate) fn cut(mut bytes: Sector, end: usize) -> Sector {
    bytes[end..].fill(0);
    bytes
}

fn place(offset: u64) -> (usize, usize) {
    let index = usize::try_from(offset / CHUNK_LEN).expect("the disk bounds the length of a file");
    let within = usize::try_from(offset % CHUNK_LEN).expect("below the size of a chunk");
    (index, within)
}

fn slot(chunks: &mut Arc<Vec<Option<Arc<Chunk>>>>, index: usize) -> &mut Option<Arc<Chunk>> {
    let chunks = Arc::make_mut(chunks);
    if chunks.len() <= index {
        chunks.resize(index + 1, None);
    }
    &mut chunks[index]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;

    fn from_scratch(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.write(bytes, 0);
        content
    }

    #[test]
    fn bytes_and_key_equal_those_of_a_plain_vector_written_at_once() {
        for seed in 0..200 {
            let mut dice = Stream::new(seed);
            let (mut content, mut plain) = (Content::default(), Vec::new());
            for _ in 0..20 {
                let offset = dice.index(20_000);
                let count = dice.index(9_000);
                let fill = u8::try_from(dice.below(3)).expect("below 3");
                let bytes = vec![fill; count];
                let before = content.clone();
                content.write(&bytes, offset as u64);
                if count > 0 {
                    if plain.len() < offset + count {
                        plain.resize(offset + count, 0);
                    }
                    plain[offset..offset + count].copy_from_slice(&bytes);
                }
                drop(before);
                if dice.chance(1, 5) {
                    let len = dice.index(30_000);
                    content.grow(len as u64);
                    plain.resize(plain.len().max(len), 0);
                }
                if dice.chance(1, 5) {
                    let len = dice.index(plain.len() + 2);
                    content.shorten(len as u64);
                    plain.truncate(len);
                }
            }
            let mut read = vec![9; plain.len() + 7];
            assert_eq!(content.read(&mut read, 0), plain.len(), "seed {seed}");
            assert!(read[..plain.len()] == plain[..], "seed {seed}");
            assert_eq!(content.key(), from_scratch(&plain).key(), "seed {seed}");
        }
    }

    #[test]
    fn hole_written_zeros_and_allocated_space_have_one_key() {
        let mut hole = Content::default();
        hole.write(b"x", 8192);
        let mut zeros = from_scratch(&[0; 8192]);
        zeros.write(b"x", 8192);
        assert_eq!(hole.key(), zeros.key());
        let mut longer = hole.clone();
        longer.grow(8194);
        assert_ne!(longer.key(), hole.key());
    }

    #[test]
    fn copied_sectors_make_the_key_of_the_copied_bytes() {
        let from = from_scratch(&[5; 3000]);
        let mut to = from_scratch(&[1; 3000]);
        for sector in 0..6 {
            to.copy_sector(sector, &from);
        }
        assert_eq!(to.key(), from.key());
    }

    #[test]
    fn write_leaves_clones_alone() {
        let old = from_scratch(&[1; 5000]);
        let mut new = old.clone();
        new.write(&[2; 10], 4090);
        assert_eq!(old.key(), from_scratch(&[1; 5000]).key());
        assert!(old.is(&old.clone()) && !old.is(&new));
    }
}
