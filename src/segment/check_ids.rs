//! Holds the ids of a segment against each other and against what finds them, page by page.
//!
//! - The ids ascend, are UTF-8 and not too long. There is one for each row, and each page starts with the
//!   row that the tail says.
//! - Every search finds them: the filter knows each, each fence is between its page and the one before,
//!   each restart leads to its id, and
//!   heads and prefix of a page are those of its ids.
//!
//! One pass over the bytes as they lie in the page: an id is put together in one place, and hashed there.

use crate::cursor::index;
use crate::error::{Error, Result};
use crate::limits::EXTERNAL_ID_BYTES_MAX;
use crate::segment::cursor::is_above;
use crate::segment::filter::{self, KnownIds};
use crate::segment::ids::{self, IdPage, RESTART_IDS};
use crate::segment::layout::Column;
use crate::segment::reader::Segment;

/// Nearly all suffixes are shorter: so many bytes are copied at once, whatever lies behind.
const SUFFIX_BYTES: usize = 16;

/// The ids of a page that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenIds<'a> {
    page: IdPage<'a>,
    hashes: &'a [u64],
}

impl SeenIds<'_> {
    pub(crate) fn rows(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// Calls `see` with the row and the id of each that another segment may have too.
    ///
    /// # Errors
    /// Those of `see`.
    pub(crate) fn maybe_in(
        &self,
        known: KnownIds<'_>,
        mut see: impl FnMut(u32, &str) -> Result<()>,
    ) -> Result<()> {
        let mut walk = self.page.walk(self.page.first_row)?;
        for (hash, row) in self.hashes.iter().zip(self.page.first_row..) {
            if known.may_contain(*hash) {
                see(row, walk.id_of(row)?)?;
            }
        }
        Ok(())
    }
}

/// The ids of a segment, as far as they were read.
#[derive(Debug)]
pub(super) struct IdsCheck<'a> {
    segment: &'a Segment,
    known: KnownIds<'a>,
    /// The next ones.
    page: u64,
    row: u32,
    /// The last id, and behind it what was copied with it.
    buffer: [u8; EXTERNAL_ID_BYTES_MAX + SUFFIX_BYTES],
    len: usize,
    /// Of the ids of the last page. They are looked for once all of them are known: then one does not
    /// wait for the memory of the other.
    hashes: Vec<u64>,
}

impl<'a> IdsCheck<'a> {
    /// Before the first id. Reads the filter, if need be.
    pub(super) fn new(segment: &'a Segment) -> Result<Self> {
        let (known, buffer) = (segment.known_ids()?, [0; EXTERNAL_ID_BYTES_MAX + SUFFIX_BYTES]);
        Ok(Self { segment, known, page: 0, row: 0, buffer, len: 0, hashes: Vec::new() })
    }

    fn id(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// The next page; `see` is shown it.
    ///
    /// # Errors
    /// Those of `see`; `Corrupt` naming file and page.
    pub(super) fn page(
        &mut self,
        body: &[u8],
        see: impl FnOnce(&SeenIds<'_>) -> Result<()>,
    ) -> Result<()> {
        let at = |error| self.segment.at(Column::Ids, self.page, error);
        let page = IdPage::parse(body).map_err(at)?;
        let (found, expected) = (page.first_row, self.row);
        if found != expected || found != self.segment.tail().first_row(self.page) {
            let what = format!("id page: first row {found}, expected {expected}");
            return Err(at(Error::corrupt(what)));
        }
        let mut next = page.first();
        self.hashes.clear();
        for number in 0..page.ids {
            let stepped = self.step(&page, number, next);
            next = stepped.map_err(|error| self.segment.at(Column::Ids, self.page, error))?;
            self.hashes.push(filter::hash(self.id()));
            self.row += 1;
        }
        page.check_prefix(self.id())
            .map_err(|error| self.segment.at(Column::Ids, self.page, error))?;
        if let Some(number) = self.hashes.iter().position(|hash| !self.known.may_contain(*hash)) {
            let what = format!("filter does not know row {}", index(found.into()) + number);
            return Err(self.segment.named(Error::corrupt(what)));
        }
        see(&SeenIds { page, hashes: &self.hashes })?;
        self.page += 1;
        Ok(())
    }

    /// Goes to the id of this number in the page, whose entry is at `at`; where the next one is.
    #[inline]
    fn step(&mut self, page: &IdPage<'_>, number: u16, at: usize) -> Result<usize> {
        let entries = page.entries();
        let ids::Entry { shared, suffix, next } = ids::entry(entries, at)?;
        let len = shared + suffix.len();
        let before = self.id().get(shared..).filter(|before| starts_a_character(before));
        let is_above = before.is_some_and(|before| is_above(suffix, before));
        if !is_above || len > EXTERNAL_ID_BYTES_MAX || self.row >= self.segment.rows() {
            let row = self.row;
            return Err(Error::corrupt(format!("id page: row {row} is out of order")));
        }
        if !suffix.is_ascii() {
            std::str::from_utf8(suffix)
                .map_err(|error| Error::corrupt(format!("id page: id is not UTF-8: {error}")))?;
        }
        if number == 0 {
            self.check_fence(suffix)?;
        }
        match entries[next - suffix.len()..].first_chunk::<SUFFIX_BYTES>() {
            Some(chunk) if suffix.len() <= SUFFIX_BYTES => {
                self.buffer[shared..][..SUFFIX_BYTES].copy_from_slice(chunk);
            }
            _ => self.buffer[shared..len].copy_from_slice(suffix),
        }
        self.len = len;
        if number.is_multiple_of(RESTART_IDS) {
            page.check_restart(number / RESTART_IDS, at, self.id())?;
        }
        Ok(next)
    }

    /// Holds the fence of a page against its first id and the last one of the page before.
    fn check_fence(&self, first: &[u8]) -> Result<()> {
        let fence = self.segment.tail().fence(index(self.page));
        if fence <= first && (self.page == 0 || fence > self.id()) {
            return Ok(());
        }
        Err(Error::corrupt("id page: its fence is not between its ids and those before"))
    }

    /// Holds what was read against the number of rows.
    ///
    /// # Errors
    /// `Corrupt` naming file and page.
    pub(super) fn finish(&self) -> Result<()> {
        let (found, expected) = (self.row, self.segment.rows());
        if found == expected {
            return Ok(());
        }
        let what = format!("ids end at row {found}, expected {expected}");
        Err(self.segment.at(Column::Ids, self.page.saturating_sub(1), Error::corrupt(what)))
    }
}

/// Whether UTF-8 can be cut in front of these bytes.
fn starts_a_character(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000)
}
