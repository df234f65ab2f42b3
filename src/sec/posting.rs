//! A posting: the rows of a term, or of all terms of a node, as an entry of a node holds them.
//!
//! It starts with a varint, of which the low two bits are the kind and the others n:
//!
//! | kind | n | what follows |
//! |---|---|---|
//! | 0 none | 0 | nothing: the rows are to be found below |
//! | 1 row | the row | nothing |
//! | 2 list | how many bytes follow | a varint for each row: the first row, then each less the one before |
//! | 3 set | its length in bytes | a varint: its offset in the index; it is a roaring bitmap |
//!
//! A varint has seven bits in each byte, the low ones first; the high bit is set in all but the last.
//! Bitmaps are in the portable form of roaring, and lie before the node that points to them.
//!
//! *Reference*: the Roaring format specification, version 1.0 of the portable form.

use roaring::RoaringBitmap;

use crate::cursor::Cursor;
use crate::error::{Error, Result};

const KIND_BITS: u32 = 2;
const KIND_NONE: u64 = 0;
const KIND_ROW: u64 = 1;
const KIND_LIST: u64 = 2;
const KIND_SET: u64 = 3;

/// How the portable form starts, without containers of runs and with some: in the lower half.
const COOKIE_WITHOUT_RUNS: u32 = 12346;
const COOKIE_WITH_RUNS: u32 = 12347;

/// Rows that one container covers.
const CONTAINER_ROWS: u32 = 1 << 16;

pub(super) fn damaged(what: &str) -> Error {
    Error::corrupt(format!("secondary index: {what}"))
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

/// Takes a varint off the front.
#[inline]
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64> {
    if let [first @ 0..0x80, rest @ ..] = bytes {
        *bytes = rest;
        return Ok((*first).into());
    }
    long_varint(bytes)
}

fn long_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&first, rest) = bytes.split_first().ok_or_else(|| damaged("a number is cut off"))?;
        *bytes = rest;
        let bits = u64::from(first & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        value |= bits << shift;
        if first < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged("a number of more than 64 bits"))
}

/// Takes so many bytes off the front.
#[inline]
pub(super) fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8]> {
    let cut = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
    let (head, rest) = cut.ok_or_else(|| damaged("an entry is cut off"))?;
    *bytes = rest;
    Ok(head)
}

/// Appends the posting of ascending rows to an entry; a list of more bytes than `inline_max` goes to
/// the stream as a set.
pub(super) fn put(entry: &mut Vec<u8>, rows: &[u32], inline_max: usize, stream: &mut Vec<u8>) {
    if let [row] = rows {
        put_varint(entry, u64::from(*row) << KIND_BITS | KIND_ROW);
        return;
    }
    let (mut list, mut previous) = (Vec::new(), 0);
    for row in rows {
        put_varint(&mut list, (row - previous).into());
        previous = *row;
        if list.len() > inline_max {
            let set = RoaringBitmap::from_sorted_iter(rows.iter().copied());
            return put_set(entry, set.expect("rows ascend"), stream);
        }
    }
    put_varint(entry, (list.len() as u64) << KIND_BITS | KIND_LIST);
    entry.extend_from_slice(&list);
}

/// Appends the posting of a set, and the set to the stream.
pub(super) fn put_set(entry: &mut Vec<u8>, mut set: RoaringBitmap, stream: &mut Vec<u8>) {
    set.optimize();
    let offset = stream.len();
    set.serialize_into(&mut *stream).expect("a vector takes every byte");
    put_varint(entry, ((stream.len() - offset) as u64) << KIND_BITS | KIND_SET);
    put_varint(entry, offset as u64);
}

/// Appends the posting of rows that are to be found below.
pub(super) fn put_none(entry: &mut Vec<u8>) {
    put_varint(entry, KIND_NONE);
}

/// A posting as it stands in an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Posting<'a> {
    None,
    Row(u64),
    List(&'a [u8]),
    Set { offset: u64, len: u64 },
}

impl<'a> Posting<'a> {
    /// Takes a posting off the front.
    ///
    /// # Errors
    /// `Corrupt` where it is cut off.
    #[inline]
    pub(super) fn take(bytes: &mut &'a [u8]) -> Result<Self> {
        let tag = varint(bytes)?;
        let n = tag >> KIND_BITS;
        match tag & ((1 << KIND_BITS) - 1) {
            KIND_ROW => Ok(Self::Row(n)),
            KIND_LIST => Ok(Self::List(take(bytes, n)?)),
            KIND_SET => Ok(Self::Set { offset: varint(bytes)?, len: n }),
            _ if n == 0 => Ok(Self::None),
            _ => Err(damaged("a posting of no rows says how many")),
        }
    }
}

/// A set of more rows than that for each container is kept as a bitmap, and so is the first one, which
/// may be the only one. Others are taken row by row.
const DENSE_ROWS: u64 = 4096;

/// Rows are sorted while they are fewer than a 256th of all: then that is quicker than to go over a
/// bit for each.
const SORTED_ROWS_LOG2: u32 = 8;

/// The rows of an answer, as they are found.
///
/// *Limits*: it keeps four bytes for each row of a small answer, and a bit for each row of the segment
/// for a large one; beside the bitmaps of dense sets.
#[derive(Debug)]
pub(super) struct Rows {
    count: u32,
    few: Vec<u32>,
    /// A bit for each row, the low one first in each byte; empty while the rows are few.
    bits: Vec<u8>,
    dense: RoaringBitmap,
}

impl Rows {
    /// None yet, of so many.
    pub(super) fn new(count: u32) -> Self {
        Self { count, few: Vec::new(), bits: Vec::new(), dense: RoaringBitmap::new() }
    }

    /// # Errors
    /// `Corrupt` for a row that there is not.
    #[inline]
    pub(super) fn add(&mut self, row: u64) -> Result<()> {
        match u32::try_from(row) {
            Ok(row) if row < self.count => {
                self.insert(row);
                Ok(())
            }
            _ => Err(damaged(&format!("row {row} of {}", self.count))),
        }
    }

    /// # Errors
    /// `Corrupt` for rows that do not ascend, or that there are not.
    pub(super) fn add_list(&mut self, mut list: &[u8]) -> Result<()> {
        let mut row = varint(&mut list)?;
        self.add(row)?;
        while !list.is_empty() {
            let step = varint(&mut list)?;
            if step == 0 {
                return Err(damaged("rows of a list do not ascend"));
            }
            row = row.saturating_add(step);
            self.add(row)?;
        }
        Ok(())
    }

    /// # Errors
    /// `Corrupt` for bytes that are no set, and for rows that there are not.
    pub(super) fn add_set(&mut self, bytes: &[u8]) -> Result<()> {
        let set = parse_set(bytes, self.count)?;
        let containers = self.count.div_ceil(CONTAINER_ROWS);
        let is_first = self.few.is_empty() && self.bits.is_empty() && self.dense.is_empty();
        if is_first || set.len() > DENSE_ROWS * u64::from(containers) {
            self.dense |= set;
        } else {
            set.iter().for_each(|row| self.insert(row));
        }
        Ok(())
    }

    #[inline]
    fn insert(&mut self, row: u32) {
        if let Some(byte) = self.bits.get_mut(row as usize / 8) {
            *byte |= 1 << (row % 8);
        } else {
            self.few.push(row);
            if self.few.len() > (self.count >> SORTED_ROWS_LOG2) as usize {
                self.spread();
            }
        }
    }

    /// Turns the rows so far into bits.
    #[cold]
    fn spread(&mut self) {
        self.bits = vec![0; self.count.div_ceil(8) as usize];
        for row in std::mem::take(&mut self.few) {
            self.bits[row as usize / 8] |= 1 << (row % 8);
        }
    }

    /// All of them.
    pub(super) fn finish(mut self) -> RoaringBitmap {
        let rows = if self.bits.is_empty() {
            self.few.sort_unstable();
            self.few.dedup();
            RoaringBitmap::from_sorted_iter(self.few).expect("they are sorted, each once")
        } else {
            RoaringBitmap::from_lsb0_bytes(0, &self.bits)
        };
        self.dense | rows
    }
}

/// Reads a bitmap of rows below a count.
///
/// # Errors
/// `Corrupt` for bytes that are none, and for a row that there is not.
pub(super) fn parse_set(bytes: &[u8], count: u32) -> Result<RoaringBitmap> {
    check_containers(bytes, count)?;
    let mut rest = bytes;
    let set = RoaringBitmap::deserialize_from(&mut rest)
        .map_err(|error| damaged(&format!("a set of rows: {error}")))?;
    if !rest.is_empty() {
        return Err(damaged("bytes after a set of rows"));
    }
    match set.max() {
        Some(row) if row >= count => Err(damaged(&format!("row {row} of {count}"))),
        _ => Ok(set),
    }
}

/// Bounds what a decoder allocates for the containers that a set announces: by the bytes that are
/// there, and by the rows that there can be.
fn check_containers(set: &[u8], rows: u32) -> Result<()> {
    let mut cursor = Cursor::new(set, "secondary index: a set of rows");
    let cookie = cursor.u32()?;
    let containers = match cookie {
        COOKIE_WITHOUT_RUNS => cursor.u32()?,
        _ if cookie & 0xffff == COOKIE_WITH_RUNS => (cookie >> 16) + 1,
        _ => return Err(damaged(&format!("a set of rows starts with {cookie:#010x}"))),
    };
    // Four bytes describe each, before any of them.
    let most = (cursor.left() / 4).min(rows.div_ceil(CONTAINER_ROWS) as usize);
    if containers as usize <= most {
        return Ok(());
    }
    Err(damaged(&format!("a set of {containers} containers, room for {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn read(entry: &[u8], stream: &[u8], count: u32) -> Result<RoaringBitmap> {
        let mut rest = entry;
        let mut rows = Rows::new(count);
        match Posting::take(&mut rest)? {
            Posting::None => {}
            Posting::Row(row) => rows.add(row)?,
            Posting::List(list) => rows.add_list(list)?,
            Posting::Set { offset, len } => {
                let mut bytes = stream
                    .get(usize::try_from(offset).expect("64 bits")..)
                    .ok_or_else(|| damaged("cut"))?;
                rows.add_set(take(&mut bytes, len)?)?;
            }
        }
        assert!(rest.is_empty(), "own bytes");
        Ok(rows.finish())
    }

    proptest! {
        #[test]
        fn postings_round_trip(
            rows in prop::collection::btree_set(0..200_000_u32, 1..100),
            run in prop::option::of(0..150_000_u32),
            inline_max in 0..200_usize,
        ) {
            let rows: BTreeSet<u32> = rows.into_iter().chain(run.map_or(0..0, |at| at..at + 500)).collect();
            let rows: Vec<u32> = rows.into_iter().collect();
            let (mut entry, mut stream) = (Vec::new(), vec![9]);
            put(&mut entry, &rows, inline_max, &mut stream);
            prop_assert!(entry.len() <= inline_max.max(10) + 2);
            let found = read(&entry, &stream, 200_000).expect("own bytes");
            prop_assert!(found.iter().eq(rows.iter().copied()));
            let last = rows[rows.len() - 1];
            prop_assert!(read(&entry, &stream, last).is_err(), "row {last} is one too many");
        }

        #[test]
        fn varints_round_trip(value in any::<u64>(), shift in 0..64_u32) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value >> shift);
            prop_assert_eq!(varint(&mut &*bytes).expect("own bytes"), value >> shift);
            prop_assert!(varint(&mut &bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn varint_beyond_64_bits_is_refused() {
        assert!(varint(&mut &[0xff; 10][..]).is_err());
        let mut most = [0xff; 10];
        most[9] = 1;
        assert_eq!(varint(&mut &most[..]).expect("the largest"), u64::MAX);
        most[9] = 2;
        assert!(varint(&mut &most[..]).is_err());
    }

    #[test]
    fn announced_containers_are_bounded_before_anything_is_allocated() {
        let set = [0x3a, 0x30, 0, 0, 0, 0, 1, 0];
        let error = parse_set(&set, 100).expect_err("65,536 containers");
        assert!(error.to_string().contains("65536 containers, room for 0"), "{error}");
    }
}
