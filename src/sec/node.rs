//! A node of an index: keys in ascending order, each with what it leads to.
//!
//! | offset | size | field | meaning and check |
//! |---|---|---|---|
//! | 0 | 1 | level | 0 for terms; else one above the level of the nodes it points to |
//! | 1 | 4 | entries | how many; at least 1 |
//! | 5 | | entries | see below; the last one ends with the node |
//!
//! | entry field | type | meaning and check |
//! |---|---|---|
//! | shared | varint | bytes that are those of the key before; 0 in the first entry |
//! | length | varint | bytes that follow |
//! | suffix | bytes | above what the key before has in its place |
//! | child offset | varint | above level 0 only: where the node begins; it ends before this one |
//! | child length | varint | above level 0 only |
//! | posting | | the rows of the term, or of all terms below the child |
//!
//! At level 0 the keys are terms. Above, a key is a *fence*: not above any term of its child, and above
//! all terms of the child before. The fence of the very first child is empty. A fence of
//! [`FENCE_BYTES_MAX`] bytes may be cut: terms of the child before may start with it, and two fences in
//! a row may then be equal. So a hostile set of long keywords costs reads, and never a wrong answer.

use roaring::RoaringBitmap;

use crate::cursor::Cursor;
use crate::error::Result;
use crate::sec::posting::{Posting, damaged, put_varint, take, varint};
use crate::sec::terms::Fence;

/// The longest fence.
pub(super) const FENCE_BYTES_MAX: usize = 128;

const HEADER_SIZE_BYTES: usize = 5;

fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// What tells two neighbours apart: the shortest start of the upper one that is above the lower one, or
/// as much of it as a fence may have.
pub(super) fn fence_between(lower: &[u8], upper: &[u8]) -> Vec<u8> {
    let len = (shared_bytes(lower, upper) + 1).min(FENCE_BYTES_MAX).min(upper.len());
    upper[..len].to_vec()
}

impl<'a> Fence<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, is_cut: bytes.len() >= FENCE_BYTES_MAX }
    }
}

/// A node in the making.
#[derive(Debug)]
pub(super) struct NodeBuilder {
    bytes: Vec<u8>,
    entries: u32,
    previous: Vec<u8>,
    /// Stands before this node in the one above.
    pub(super) fence: Vec<u8>,
    single: Vec<u32>,
    set: RoaringBitmap,
}

impl NodeBuilder {
    pub(super) fn new(level: u8, fence: Vec<u8>) -> Self {
        let mut bytes = vec![0; HEADER_SIZE_BYTES];
        bytes[0] = level;
        let (single, set) = (Vec::new(), RoaringBitmap::new());
        Self { bytes, entries: 0, previous: Vec::new(), fence, single, set }
    }

    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    /// How long it would be with one more entry, at most.
    pub(super) fn len_with(&self, key: &[u8], value: &[u8]) -> usize {
        const LENGTHS: usize = 4;
        let suffix = key.len() - shared_bytes(&self.previous, key);
        self.bytes.len() + LENGTHS + suffix + value.len()
    }

    /// Adds an entry; `value` is what follows the key.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        let shared = shared_bytes(&self.previous, key);
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, (key.len() - shared) as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        self.bytes.extend_from_slice(value);
        self.previous.truncate(shared);
        self.previous.extend_from_slice(&key[shared..]);
        self.entries += 1;
    }

    /// Counts rows of an entry among those of the node.
    pub(super) fn add_rows(&mut self, rows: &[u32]) {
        self.single.extend_from_slice(rows);
    }

    /// The same for the rows of a node below.
    pub(super) fn add_set(&mut self, rows: &RoaringBitmap) {
        self.set |= rows;
    }

    /// The stored node, and the rows of all its entries.
    pub(super) fn finish(mut self) -> (Vec<u8>, RoaringBitmap) {
        assert!(self.entries > 0, "a node is made for an entry");
        self.bytes[1..HEADER_SIZE_BYTES].copy_from_slice(&self.entries.to_le_bytes());
        self.single.sort_unstable();
        self.single.dedup();
        let single = RoaringBitmap::from_sorted_iter(self.single);
        self.set |= single.expect("they are sorted, each once");
        (self.bytes, self.set)
    }
}

/// The entries of a stored node, one after the other.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    left: u32,
    is_first: bool,
    key: Vec<u8>,
}

impl<'a> Entries<'a> {
    /// # Errors
    /// `Corrupt` for a node of another level and for one without entries.
    pub(super) fn new(node: &'a [u8], level: u8) -> Result<Self> {
        let mut cursor = Cursor::new(node, "secondary index: a node");
        let (found, left) = (cursor.u8()?, cursor.u32()?);
        if found != level {
            return Err(damaged(&format!("a node of level {found}, expected {level}")));
        }
        if left == 0 {
            return Err(damaged("a node without entries"));
        }
        Ok(Self { rest: &node[HEADER_SIZE_BYTES..], left, is_first: true, key: Vec::new() })
    }

    /// Goes on to the next entry; false behind the last one. Its parts are then taken in their order.
    ///
    /// # Errors
    /// `Corrupt` for a key that does not ascend, and for bytes behind the last entry.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<bool> {
        if self.left == 0 {
            return if self.rest.is_empty() {
                Ok(false)
            } else {
                Err(damaged("bytes after a node"))
            };
        }
        self.left -= 1;
        let shared = varint(&mut self.rest)?;
        let len = varint(&mut self.rest)?;
        let suffix = take(&mut self.rest, len)?;
        let shared = usize::try_from(shared).unwrap_or(usize::MAX);
        let ascends = match (self.key.get(shared..), suffix.first()) {
            (None, _) => false,
            _ if self.is_first => shared == 0,
            (Some([]), None) => self.key.len() == FENCE_BYTES_MAX,
            (Some(_), None) => false,
            (Some(old), Some(new)) => old.first().is_none_or(|old| new > old),
        };
        if !ascends {
            return Err(damaged("keys of a node do not ascend"));
        }
        self.is_first = false;
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        Ok(true)
    }

    /// The key of the entry.
    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Offset and length of the child, above level 0.
    pub(super) fn child(&mut self) -> Result<(u64, u64)> {
        Ok((varint(&mut self.rest)?, varint(&mut self.rest)?))
    }

    /// The posting, the last part of an entry.
    #[inline]
    pub(super) fn posting(&mut self) -> Result<Posting<'a>> {
        Posting::take(&mut self.rest)
    }
}
