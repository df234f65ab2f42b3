//! The index of one field of one segment: which rows have which term.
//!
//! **Place.** A byte string of its own within the segment, written once, in one go. Rows are numbered
//! as the segment numbers them.
//!
//! A tree of *nodes* of about [`NODE_SIZE_BYTES`]: at the bottom all terms in order, each with its
//! rows; above, fences with the offsets of the nodes below, and the rows of all terms below. So a
//! range takes whole subtrees by one bitmap each, and goes through the terms of two nodes at its
//! edges.
//!
//! - K1. *Terms ascend,* each once, and each has a row.
//! - K2. *Rows are below the row count,* also in a damaged index: a reader checks each.
//! - K3. *What a node points to lies before it,* and within each level further on from entry to entry
//!   and from node to node. So no damage sends a reader in circles or twice to one place.
//! - K4. *Nothing grows with the number of terms but the index:* a reader keeps the root node, at most
//!   [`NODE_SIZE_BYTES`] and the four entries that any node may have.
//!
//! **A crash leaves** what a crash leaves of the segment.
//!
//! **Stored form.** Nodes and bitmaps in any order that K3 allows; then the root, the bitmap of all rows
//! that have a term, and:
//!
//! | offset from the end | size | field | meaning and check |
//! |---|---|---|---|
//! | 48 | 4 | magic | `QVSX` |
//! | 44 | 1 | field type | as in [`FieldType`] |
//! | 43 | 1 | levels | of nodes; 0 in an index without terms |
//! | 42 | 2 | reserved | zeros |
//! | 40 | 4 | rows | how many rows there are, with terms or without |
//! | 36 | 4 | present length | bytes of the bitmap of rows that have a term |
//! | 32 | 8 | root offset | 0 without levels |
//! | 24 | 8 | root length | 0 without levels |
//! | 16 | 8 | present offset | the end of the root |
//! | 8 | 8 | terms | how many |
//!
//! It stands at the end because it is known last. Entries and nodes: `node`; postings: `posting`.
//!
//! A term whose list of rows takes more than 128 bytes has a bitmap, outside of the node. A node
//! of fewer than [`UNION_ENTRIES_MIN`] entries has no posting in the one above: its own are as few.

use std::cmp::Ordering;

use crate::cursor::{Cursor, len_u32};
use crate::error::{Error, Result};
use crate::sec::field::FieldType;
use crate::sec::node::{NodeBuilder, fence_between};
use crate::sec::payload::RowValues;
use crate::sec::posting;

/// A node ends before the entry that would make it longer, but never before its fourth.
const NODE_SIZE_BYTES: usize = 4096;

const NODE_ENTRIES_MIN: u32 = 4;

/// The longest list of rows within a node, in bytes.
const LIST_BYTES_MAX: usize = 128;

/// From that many entries on the rows of a node are also stored together.
const UNION_ENTRIES_MIN: u32 = 8;

const MAGIC: [u8; 4] = *b"QVSX";

/// Bytes of the fixed part at the end.
pub(super) const FOOTER_SIZE_BYTES: usize = 48;

/// What stands at the end of an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Footer {
    pub(super) levels: u8,
    pub(super) rows: u32,
    pub(super) present_len: u32,
    pub(super) root_offset: u64,
    pub(super) root_len: u64,
    pub(super) present_offset: u64,
    pub(super) terms: u64,
}

impl Footer {
    fn encode(&self, field_type: FieldType) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[field_type as u8, self.levels, 0, 0]);
        bytes.extend_from_slice(&self.rows.to_le_bytes());
        bytes.extend_from_slice(&self.present_len.to_le_bytes());
        for field in [self.root_offset, self.root_len, self.present_offset, self.terms] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        assert_eq!(bytes.len(), FOOTER_SIZE_BYTES, "as the table says");
        bytes
    }

    /// Reads the footer of an index of so many bytes.
    pub(super) fn decode(bytes: &[u8], field_type: FieldType, len: u64) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, "secondary index: footer");
        let magic = cursor.array()?;
        if magic != MAGIC {
            return Err(posting::damaged(&format!("magic {magic:?}, expected {MAGIC:?}")));
        }
        let found = cursor.u8()?;
        if found != field_type as u8 {
            let expected = field_type as u8;
            return Err(posting::damaged(&format!("field type {found}, expected {expected}")));
        }
        let levels = cursor.u8()?;
        cursor.zeros(2)?;
        let footer = Self {
            levels,
            rows: cursor.u32()?,
            present_len: cursor.u32()?,
            root_offset: cursor.u64()?,
            root_len: cursor.u64()?,
            present_offset: cursor.u64()?,
            terms: cursor.u64()?,
        };
        cursor.finish()?;
        let body = len - FOOTER_SIZE_BYTES as u64;
        let root_end = footer.root_offset.checked_add(footer.root_len);
        let present_end = footer.present_offset.checked_add(footer.present_len.into());
        let is_empty = footer.levels == 0;
        if root_end != Some(footer.present_offset)
            || present_end != Some(body)
            || is_empty != (footer.root_len == 0)
            || is_empty != (footer.terms == 0)
            || is_empty != (footer.present_len == 0)
        {
            return Err(posting::damaged(&format!("{footer:?} in {len} bytes")));
        }
        Ok(footer)
    }
}

/// Writes an index from ascending terms.
///
/// *Limits*: it holds the index, and of each level one node and its rows.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    field_type: FieldType,
    node_size_bytes: usize,
    stream: Vec<u8>,
    /// The open node of each level, from the bottom up.
    levels: Vec<NodeBuilder>,
    /// The term before.
    last: Vec<u8>,
    /// Memory for the next entry.
    value: Vec<u8>,
    terms: u64,
    /// Above each row.
    rows_end: u32,
}

impl IndexWriter {
    pub(crate) fn new(field_type: FieldType) -> Self {
        Self::with_node_size(field_type, NODE_SIZE_BYTES)
    }

    /// A reader takes nodes of any size.
    pub(super) fn with_node_size(field_type: FieldType, node_size_bytes: usize) -> Self {
        let (stream, levels, last, value) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { field_type, node_size_bytes, stream, levels, last, value, terms: 0, rows_end: 0 }
    }

    /// Adds a term, above the one before, with its rows, at least one, in ascending order.
    ///
    /// # Panics
    /// If the terms or the rows do not ascend.
    pub(crate) fn push(&mut self, term: &[u8], rows: &[u32]) {
        assert!(self.terms == 0 || *self.last < *term, "terms ascend (K1)");
        let last_row = *rows.last().expect("a term has a row (K1)");
        self.rows_end =
            self.rows_end.max(last_row.checked_add(1).expect("rows are fewer than 2^32"));
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        posting::put(&mut value, rows, LIST_BYTES_MAX, &mut self.stream);
        self.add(0, term, &value).add_rows(rows);
        self.value = value;
        self.last.clear();
        self.last.extend_from_slice(term);
        self.terms += 1;
    }

    /// Adds an entry to the open node of a level, or to the next one if that is full.
    fn add(&mut self, level: usize, key: &[u8], value: &[u8]) -> &mut NodeBuilder {
        let number = u8::try_from(level).expect("a level has at most a quarter of the one below");
        match self.levels.get(level) {
            None => {
                let fence = if level == 0 { Vec::new() } else { key.to_vec() };
                self.levels.push(NodeBuilder::new(number, fence));
            }
            Some(node)
                if node.entries() >= NODE_ENTRIES_MIN
                    && node.len_with(key, value) > self.node_size_bytes =>
            {
                let fence = if level == 0 { fence_between(&self.last, key) } else { key.to_vec() };
                self.close(level, NodeBuilder::new(number, fence));
            }
            Some(_) => {}
        }
        let node = &mut self.levels[level];
        node.push(key, value);
        node
    }

    /// Writes the open node of a level and enters it in the one above.
    fn close(&mut self, level: usize, next: NodeBuilder) {
        let node = std::mem::replace(&mut self.levels[level], next);
        let (fence, entries) = (node.fence.clone(), node.entries());
        let (bytes, rows) = node.finish();
        let mut value = Vec::new();
        posting::put_varint(&mut value, self.stream.len() as u64);
        posting::put_varint(&mut value, bytes.len() as u64);
        self.stream.extend_from_slice(&bytes);
        if entries >= UNION_ENTRIES_MIN {
            posting::put_set(&mut value, rows.clone(), &mut self.stream);
        } else {
            posting::put_none(&mut value);
        }
        self.add(level + 1, &fence, &value).add_set(&rows);
    }

    /// The index of a segment of so many rows.
    ///
    /// # Panics
    /// If a term has a row that there is not.
    pub(crate) fn finish(mut self, rows: u32) -> Vec<u8> {
        assert!(self.rows_end <= rows, "row {} of {rows} (K2)", self.rows_end - 1);
        let mut level = 0;
        // The last level grows while those below it are closed.
        while level + 1 < self.levels.len() {
            // Nothing follows it.
            let none = NodeBuilder::new(0, Vec::new());
            self.close(level, none);
            level += 1;
        }
        let levels = u8::try_from(self.levels.len()).expect("checked as they were added");
        let root_offset = self.stream.len() as u64;
        let mut present = Vec::new();
        if let Some(root) = self.levels.pop() {
            let (bytes, mut rows) = root.finish();
            self.stream.extend_from_slice(&bytes);
            rows.optimize();
            rows.serialize_into(&mut present).expect("a vector takes every byte");
        }
        let present_offset = self.stream.len() as u64;
        let footer = Footer {
            levels,
            rows,
            present_len: len_u32(present.len()),
            root_offset,
            root_len: present_offset - root_offset,
            present_offset,
            terms: self.terms,
        };
        self.stream.extend_from_slice(&present);
        self.stream.extend_from_slice(&footer.encode(self.field_type));
        self.stream
    }
}

/// Gathers the terms of rows in any order, and writes their index.
///
/// *Limits*: 24 bytes for each value, and its term: about 32 MB for a million rows of one number each.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    field_type: FieldType,
    terms: Vec<u8>,
    pairs: Vec<Pair>,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    /// The first bytes of the term: in the order of terms, as far as they tell them apart.
    head: u64,
    start: usize,
    len: u32,
    row: u32,
}

impl Pair {
    fn term<'a>(&self, terms: &'a [u8]) -> &'a [u8] {
        &terms[self.start..][..self.len as usize]
    }

    #[inline]
    fn cmp_term(&self, other: &Self, terms: &[u8]) -> Ordering {
        self.head.cmp(&other.head).then_with(|| {
            if self.len.max(other.len) as usize <= size_of_val(&self.head) {
                // Alike but for zeros at the end.
                self.len.cmp(&other.len)
            } else {
                self.term(terms).cmp(other.term(terms))
            }
        })
    }
}

fn head(term: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = term.len().min(head.len());
    head[..len].copy_from_slice(&term[..len]);
    u64::from_be_bytes(head)
}

impl IndexBuilder {
    pub(crate) fn new(field_type: FieldType) -> Self {
        Self { field_type, terms: Vec::new(), pairs: Vec::new() }
    }

    /// Memory that the values added so far take, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.terms.len() + self.pairs.len() * size_of::<Pair>()
    }

    /// Adds the values that a row has of a field. The same value twice is one.
    pub(crate) fn push(&mut self, row: u32, values: &RowValues, field: usize) {
        for term in values.terms(field) {
            let start = self.terms.len();
            self.terms.extend_from_slice(term);
            self.pairs.push(Pair { head: head(term), start, len: len_u32(term.len()), row });
        }
    }

    /// The index of a segment of so many rows.
    ///
    /// # Errors
    /// `TooLarge` if a row is not among them.
    pub(crate) fn finish(self, rows: u32) -> Result<Vec<u8>> {
        let writer = IndexWriter::new(self.field_type);
        self.finish_with(writer, rows)
    }

    pub(super) fn finish_with(self, mut writer: IndexWriter, rows: u32) -> Result<Vec<u8>> {
        let Self { terms, mut pairs, .. } = self;
        if let Some(beyond) = pairs.iter().map(|pair| pair.row).find(|row| *row >= rows) {
            return Err(Error::too_large(format!("secondary index: row {beyond} of {rows}")));
        }
        pairs.sort_unstable_by(|a, b| a.cmp_term(b, &terms).then(a.row.cmp(&b.row)));
        let mut of_term = Vec::new();
        for pairs in pairs.chunk_by(|a, b| a.cmp_term(b, &terms).is_eq()) {
            of_term.clear();
            of_term.extend(pairs.iter().map(|pair| pair.row));
            of_term.dedup();
            writer.push(pairs[0].term(&terms), &of_term);
        }
        Ok(writer.finish(rows))
    }
}
