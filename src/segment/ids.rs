//! The column of ids: sorted, compressed against the id before, one *id page* for each page body.
//!
//! An id page can be read on its own. Each 16th id is stored whole, a *restart*; the others share
//! a prefix with the one before. An id is found by bisection of the restarts and a walk of at most
//! 16 entries. The restarts are told apart by their *heads*: four bytes each behind the prefix that
//! all ids of the page share, one after the other, so that a bisection stays within a few lines of
//! memory.
//!
//! | field | type | meaning and check |
//! |---|---|---|
//! | first row | u32 | number of the first id's row |
//! | ids | u16 | 1 or more |
//! | entries end | u16 | offset behind the last entry |
//! | prefix | u16 | how many bytes all ids of the page share |
//! | entries | bytes | see below |
//! | heads | four bytes for each 16 ids | of the id behind the prefix; zeros where it is shorter |
//! | restarts | u16 for each 16 ids | offset of the entry |
//! | padding | zeros | to the end of the body; none on the last id page |
//!
//! | entry field | type | meaning and check |
//! |---|---|---|
//! | shared | varint | bytes that are those of the id before; 0 at a restart |
//! | length | varint | bytes that follow; 1 or more |
//! | suffix | bytes | UTF-8; above what the id before has in its place |
//!
//! A varint is one byte below 128, or two: the low seven bits with the high bit set, then the rest.
//! A shared prefix ends between two characters, so that each suffix is UTF-8 on its own.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::limits::EXTERNAL_ID_BYTES_MAX;
use crate::page::PAGE_BODY_SIZE_BYTES;

/// An id of that many entries is stored whole.
pub(super) const RESTART_IDS: u16 = 16;

const HEADER_SIZE_BYTES: usize = 10;
const HEAD_SIZE_BYTES: usize = 4;
const OFFSET_SIZE_BYTES: usize = 2;

// Offsets are u16, and a varint of two bytes holds every length.
const _: () = assert!(PAGE_BODY_SIZE_BYTES <= u16::MAX as usize);
const _: () = assert!(EXTERNAL_ID_BYTES_MAX < 1 << 14);

fn put_varint(out: &mut Vec<u8>, value: usize) {
    let low = u8::try_from(value & 0x7f).expect("seven bits");
    if value < 0x80 {
        out.push(low);
    } else {
        out.extend_from_slice(&[low | 0x80, u8::try_from(value >> 7).expect("at most 14 bits")]);
    }
}

fn put_u16(out: &mut Vec<u8>, value: usize) {
    let value = u16::try_from(value).expect("an id page is below 64 KiB");
    out.extend_from_slice(&value.to_le_bytes());
}

/// How long the prefix is that two byte strings share.
fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The first bytes as a number: in the order of the byte strings, as far as it tells them apart.
fn head(bytes: &[u8]) -> u32 {
    let mut head = [0; HEAD_SIZE_BYTES];
    let len = bytes.len().min(HEAD_SIZE_BYTES);
    head[..len].copy_from_slice(&bytes[..len]);
    u32::from_be_bytes(head)
}

/// How long the prefix is that two ids share, cut back to the end of a character.
fn shared_prefix(a: &str, b: &str) -> usize {
    let shared = shared_bytes(a.as_bytes(), b.as_bytes());
    // Two characters may differ in their later bytes only.
    (0..=shared).rev().find(|&at| a.is_char_boundary(at) && b.is_char_boundary(at)).unwrap_or(0)
}

/// One id page in the making.
#[derive(Debug, Default)]
pub(super) struct IdPageBuilder {
    bytes: Vec<u8>,
    /// Offsets of the restarts.
    restarts: Vec<usize>,
    ids: usize,
}

impl IdPageBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.ids == 0
    }

    /// Adds an id, if there is room for it; `previous` is the id before it.
    pub(super) fn push(&mut self, row: u32, previous: &str, id: &str) -> bool {
        if self.is_empty() {
            self.bytes.clear();
            self.restarts.clear();
            self.bytes.extend_from_slice(&row.to_le_bytes());
            // The other fields are filled in at the end.
            self.bytes.resize(HEADER_SIZE_BYTES, 0);
        }
        let is_restart = self.ids.is_multiple_of(RESTART_IDS.into());
        let shared = if is_restart { 0 } else { shared_prefix(previous, id) };
        let suffix = &id.as_bytes()[shared..];
        let varint = |value: usize| 1 + usize::from(value >= 0x80);
        let entry = varint(shared) + varint(suffix.len()) + suffix.len();
        let restarts = self.restarts.len() + usize::from(is_restart);
        let restarts = restarts * (HEAD_SIZE_BYTES + OFFSET_SIZE_BYTES);
        if self.bytes.len() + entry + restarts > PAGE_BODY_SIZE_BYTES {
            return false;
        }
        if is_restart {
            self.restarts.push(self.bytes.len());
        }
        put_varint(&mut self.bytes, shared);
        put_varint(&mut self.bytes, suffix.len());
        self.bytes.extend_from_slice(suffix);
        self.ids += 1;
        true
    }

    /// The page, without padding; `last` is its last id. The next id starts another.
    pub(super) fn finish(&mut self, last: &str) -> &mut Vec<u8> {
        let first = own_entry(&self.bytes, HEADER_SIZE_BYTES);
        let prefix = shared_bytes(first, last.as_bytes());
        let head = |at: &usize| head(&own_entry(&self.bytes, *at)[prefix..]).to_be_bytes();
        let heads: Vec<u8> = self.restarts.iter().flat_map(head).collect();
        let mut fields = Vec::with_capacity(HEADER_SIZE_BYTES);
        put_u16(&mut fields, self.ids);
        put_u16(&mut fields, self.bytes.len());
        put_u16(&mut fields, prefix);
        self.bytes[4..HEADER_SIZE_BYTES].copy_from_slice(&fields);
        self.bytes.extend_from_slice(&heads);
        self.restarts.iter().for_each(|at| put_u16(&mut self.bytes, *at));
        self.ids = 0;
        &mut self.bytes
    }
}

fn own_entry(entries: &[u8], at: usize) -> &[u8] {
    entry(entries, at).expect("the builder wrote it").suffix
}

/// One id page, as it lies in a page or in the tail.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdPage<'a> {
    bytes: &'a [u8],
    pub(super) first_row: u32,
    pub(super) ids: u16,
    pub(super) entries_end: usize,
    prefix: usize,
}

/// One entry, and where the next one starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) shared: usize,
    pub(super) suffix: &'a [u8],
    pub(super) next: usize,
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!("id page: {what}"))
}

/// The entry at an offset of the entries of a page, header included.
///
/// # Errors
/// `Corrupt` where it does not end before they do.
#[inline]
pub(super) fn entry(entries: &[u8], at: usize) -> Result<Entry<'_>> {
    // Nearly all entries: both lengths take one byte.
    if let Some(&[shared, len]) = entries.get(at..).and_then(<[u8]>::first_chunk)
        && (shared | len) < 0x80
    {
        let start = at + 2;
        let next = start + usize::from(len);
        let suffix = entries.get(start..next).ok_or_else(|| damaged("an entry is cut off"))?;
        return Ok(Entry { shared: shared.into(), suffix, next });
    }
    long_entry(entries, at)
}

#[cold]
fn long_entry(entries: &[u8], mut at: usize) -> Result<Entry<'_>> {
    let mut varint = || {
        let low = usize::from(*entries.get(at)?);
        at += 1;
        if low < 0x80 {
            return Some(low);
        }
        let high = usize::from(*entries.get(at)?);
        at += 1;
        Some((low & 0x7f) | (high << 7))
    };
    let (Some(shared), Some(len)) = (varint(), varint()) else {
        return Err(damaged("an entry is cut off"));
    };
    let next = at + len;
    let suffix = entries.get(at..next).ok_or_else(|| damaged("an entry is cut off"))?;
    Ok(Entry { shared, suffix, next })
}

impl<'a> IdPage<'a> {
    /// # Errors
    /// `Corrupt` where the page has no room for what it announces.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let header: &[u8; HEADER_SIZE_BYTES] =
            bytes.first_chunk().ok_or_else(|| damaged("shorter than its header"))?;
        let [a, b, c, d, e, f, g, h, i, j] = *header;
        let page = Self {
            bytes,
            first_row: u32::from_le_bytes([a, b, c, d]),
            ids: u16::from_le_bytes([e, f]),
            entries_end: usize::from(u16::from_le_bytes([g, h])),
            prefix: usize::from(u16::from_le_bytes([i, j])),
        };
        let restarts_end =
            page.entries_end + (HEAD_SIZE_BYTES + OFFSET_SIZE_BYTES) * page.restarts();
        if page.ids == 0 || page.entries_end < HEADER_SIZE_BYTES || restarts_end > bytes.len() {
            return Err(damaged("its entries and restarts do not fit"));
        }
        Ok(page)
    }

    fn restarts(&self) -> usize {
        usize::from(self.ids.div_ceil(RESTART_IDS))
    }

    pub(super) fn entries(&self) -> &'a [u8] {
        &self.bytes[..self.entries_end]
    }

    fn restart(&self, i: usize) -> Result<Entry<'a>> {
        let entry = entry(self.entries(), self.restart_at(i))?;
        if entry.shared == 0 { Ok(entry) } else { Err(damaged("a restart shares a prefix")) }
    }

    fn restart_at(&self, i: usize) -> usize {
        let at = self.entries_end + HEAD_SIZE_BYTES * self.restarts() + OFFSET_SIZE_BYTES * i;
        usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    /// Holds a restart against the id that it has to lead to, whose entry is at `at`.
    ///
    /// # Errors
    /// `Corrupt` where a search would miss it.
    pub(super) fn check_restart(&self, i: u16, at: usize, id: &[u8]) -> Result<()> {
        let i = usize::from(i);
        let heads = &self.bytes[self.entries_end..];
        let first = entry(self.entries(), HEADER_SIZE_BYTES)?.suffix;
        let rest = first.get(..self.prefix).and_then(|prefix| id.strip_prefix(prefix));
        let has_head = rest.is_some_and(|rest| head(rest) == head(&heads[HEAD_SIZE_BYTES * i..]));
        if has_head && self.restart_at(i) == at && self.restart(i)?.suffix == id {
            return Ok(());
        }
        Err(damaged(&format!("restart {i} does not lead to its id")))
    }

    /// Holds the prefix of all ids of the page against its last one.
    ///
    /// # Errors
    /// `Corrupt` where a search would miss it.
    pub(super) fn check_prefix(&self, last: &[u8]) -> Result<()> {
        let first = entry(self.entries(), HEADER_SIZE_BYTES)?.suffix;
        let has_prefix = first.get(..self.prefix).is_some_and(|prefix| last.starts_with(prefix));
        if has_prefix { Ok(()) } else { Err(damaged("its last id does not have its prefix")) }
    }

    /// Bisects the restarts from `low` to `high` by their heads: how many are not above, or, if
    /// not `or_equal`, below.
    fn bisect(&self, mut low: usize, mut high: usize, sought: u32, or_equal: bool) -> usize {
        let heads = &self.bytes[self.entries_end..];
        while low < high {
            let middle = low.midpoint(high);
            let found = head(&heads[HEAD_SIZE_BYTES * middle..]);
            if found < sought || (or_equal && found == sought) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The restarts that their heads do not tell from an id: those before are below it, those
    /// behind above.
    fn candidates(&self, id: &[u8]) -> Result<(usize, usize)> {
        let count = self.restarts();
        let first = entry(self.entries(), HEADER_SIZE_BYTES)?.suffix;
        let prefix = first.get(..self.prefix).ok_or_else(|| damaged("no id has its prefix"))?;
        let Some(rest) = id.strip_prefix(prefix) else {
            return Ok(if id < prefix { (0, 0) } else { (count, count) });
        };
        let sought = head(rest);
        let low = self.bisect(0, count, sought, false);
        // Mostly the next one is above already.
        let high = self.bisect(low, count.min(low + 1), sought, true);
        Ok((low, if high > low { self.bisect(high, count, sought, true) } else { high }))
    }

    /// The last restart that is not above an id: its number among the ids and its offset. The
    /// first where all are above.
    pub(super) fn seek(&self, id: &[u8]) -> Result<(u16, usize)> {
        let (mut low, mut high) = self.candidates(id)?;
        while low < high {
            let middle = low.midpoint(high);
            if self.restart(middle)?.suffix <= id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let i = low.saturating_sub(1);
        let number =
            u16::try_from(i * usize::from(RESTART_IDS)).expect("fewer ids than bytes in a page");
        Ok((number, self.restart_at(i)))
    }

    /// A walk of the page, whose first row has to be this one.
    ///
    /// # Errors
    /// `Corrupt` where it is another one.
    pub(super) fn walk(self, first_row: u32) -> Result<IdWalk<'a>> {
        if self.first_row != first_row {
            let found = self.first_row;
            return Err(damaged(&format!("first row {found}, expected {first_row}")));
        }
        Ok(IdWalk { page: self, next: 0, at: 0, id: Vec::new() })
    }

    /// The row of an id.
    pub(super) fn find(&self, id: &[u8]) -> Result<Option<u32>> {
        let (start, mut at) = self.seek(id)?;
        let end = self.ids.min(start.saturating_add(RESTART_IDS));
        // How many bytes the entry before has in common with `id`: it is below it.
        let mut matched = 0;
        for number in start..end {
            let entry = entry(self.entries(), at)?;
            at = entry.next;
            if entry.shared > matched {
                // As far beyond `matched` as the entry before, which was below.
                continue;
            }
            let rest = &id[entry.shared..];
            match entry.suffix.cmp(rest) {
                Ordering::Equal => {
                    let row = self.first_row.checked_add(number.into());
                    return row.map(Some).ok_or_else(|| damaged("rows beyond all numbers"));
                }
                Ordering::Greater => break,
                Ordering::Less => {
                    let both = entry.suffix.iter().zip(rest);
                    matched = entry.shared + both.take_while(|(a, b)| a == b).count();
                }
            }
        }
        Ok(None)
    }

    /// The offset of the first entry.
    pub(super) fn first(&self) -> usize {
        HEADER_SIZE_BYTES
    }
}

/// Shows ids of a page by their rows: from the restart before, or from where it stands.
#[derive(Debug)]
pub(super) struct IdWalk<'a> {
    page: IdPage<'a>,
    /// How many entries are behind it since the first of the page, and where the next one is.
    next: u32,
    at: usize,
    /// The id of the entry before the next one; whether it is text is seen when it is asked for.
    id: Vec<u8>,
}

impl IdWalk<'_> {
    /// The id of a row that is not below those asked for before.
    ///
    /// # Errors
    /// `Corrupt` where the page does not hold it.
    pub(super) fn id_of(&mut self, row: u32) -> Result<&str> {
        let number = row.checked_sub(self.page.first_row);
        let number = number.filter(|number| *number < u32::from(self.page.ids));
        let number = number.ok_or_else(|| damaged(&format!("row {row} is not here")))?;
        let restart = number / u32::from(RESTART_IDS);
        let first = restart * u32::from(RESTART_IDS);
        if self.next <= first {
            self.next = first;
            self.at = self.page.restart_at(restart as usize);
            self.id.clear();
        }
        while self.next <= number {
            let entry = entry(self.page.entries(), self.at)?;
            if entry.shared > self.id.len() {
                return Err(damaged("an entry shares more than there is"));
            }
            self.id.truncate(entry.shared);
            self.id.extend_from_slice(entry.suffix);
            self.at = entry.next;
            self.next += 1;
        }
        std::str::from_utf8(&self.id).map_err(|error| damaged(&format!("id is not UTF-8: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn pages(ids: &BTreeSet<String>) -> Vec<Vec<u8>> {
        let mut builder = IdPageBuilder::default();
        let (mut pages, mut previous) = (Vec::new(), "");
        for (id, row) in ids.iter().zip(0..) {
            if !builder.push(row, previous, id) {
                pages.push(std::mem::take(builder.finish(previous)));
                assert!(builder.push(row, previous, id));
            }
            previous = id;
        }
        pages.push(std::mem::take(builder.finish(previous)));
        pages
    }

    fn all(page: &IdPage<'_>) -> Vec<String> {
        let (mut at, mut id) = (page.first(), Vec::new());
        let step = |_| {
            let entry = entry(page.entries(), at).expect("own bytes");
            at = entry.next;
            id.truncate(entry.shared);
            id.extend_from_slice(entry.suffix);
            String::from_utf8(id.clone()).expect("own bytes")
        };
        (0..page.ids).map(step).collect()
    }

    proptest! {
        #[test]
        fn every_id_is_found_and_no_other(
            ids in proptest::collection::btree_set("[ab\u{e9}\u{e8}]{1,6}", 1..300),
            long in proptest::collection::btree_set("z{100,1024}", 0..40),
            others in proptest::collection::vec("[abc\u{e9}\u{ea}]{0,7}", 50),
            prefix in "[ab]{0,2}",
        ) {
            let prefixed = |id: &String| format!("{prefix}{id}");
            let ids: BTreeSet<String> = ids.iter().chain(&long).map(prefixed).collect();
            let others: Vec<String> = others.iter().map(prefixed).chain(others.clone()).collect();
            let pages = pages(&ids);
            let parsed: Vec<_> = pages.iter().map(|page| IdPage::parse(page).expect("own")).collect();
            let read: Vec<String> = parsed.iter().flat_map(all).collect();
            prop_assert!(read.iter().eq(&ids));
            let find = |id: &str| {
                let found = parsed.iter().map(|page| page.find(id.as_bytes()).expect("own bytes"));
                found.flatten().collect::<Vec<u32>>()
            };
            for (id, row) in ids.iter().zip(0..) {
                prop_assert_eq!(find(id), [row]);
            }
            for other in others.iter().filter(|other| !ids.contains(*other)) {
                prop_assert_eq!(find(other), [0; 0]);
            }
            for step in [1, 3, 40] {
                for page in &parsed {
                    let mut walk = page.walk(page.first_row).expect("its own first row");
                    for (id, row) in all(page).iter().zip(page.first_row..).step_by(step) {
                        prop_assert_eq!(walk.id_of(row).expect("own bytes"), id);
                    }
                }
            }
        }

        #[test]
        fn no_bytes_make_a_search_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            ids in 0..40u8,
        ) {
            if let Some(field) = bytes.get_mut(4..10) {
                field.copy_from_slice(&[ids, 0, 200, 0, ids / 8, 0]);
            }
            if let Ok(page) = IdPage::parse(&bytes) {
                for id in ["", "a", "\u{e9}", "zzzz"] {
                    drop(page.find(id.as_bytes()));
                }
                let mut walk = page.walk(page.first_row).expect("its own first row");
                (0..40).for_each(|row| drop(walk.id_of(page.first_row.saturating_add(row))));
            }
        }
    }

    #[test]
    fn walk_refuses_an_id_that_is_no_text_and_one_that_shares_too_much() {
        let ids = ["a\u{e9}", "a\u{ea}"].map(str::to_owned).into();
        let refused = |at: usize, byte: u8, row: u32, message: &str| {
            let mut page = pages(&ids).remove(0);
            page[at] = byte;
            let page = IdPage::parse(&page).expect("its header is whole");
            let error = page.walk(0).expect("its first row").id_of(row).map(str::to_owned);
            let error = error.expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        };
        let second = HEADER_SIZE_BYTES + 2 + "a\u{e9}".len();
        refused(HEADER_SIZE_BYTES + 2, 0xff, 0, "id is not UTF-8");
        refused(second + 2, b'x', 1, "id is not UTF-8");
        refused(second, 4, 1, "shares more than there is");
    }
}
