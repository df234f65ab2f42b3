//! Ids of rows that are known by their numbers.

use crate::error::Result;
use crate::page::PAGE_HEADER_SIZE_BYTES;
use crate::page_cache::PageCache;
use crate::segment::ids::IdPage;
use crate::segment::layout::Column;
use crate::segment::reader::Segment;

impl Segment {
    /// Calls `see` with the id of each of these rows, which are in ascending order. Each id page is
    /// looked at once.
    ///
    /// # Errors
    /// Those of `see`; `Io`, and `Corrupt` naming file and page.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn ids_of(
        &self,
        cache: &PageCache,
        rows: impl IntoIterator<Item = u32>,
        mut see: impl FnMut(u32, &str) -> Result<()>,
    ) -> Result<()> {
        let mut rows = rows.into_iter().peekable();
        while let Some(&row) = rows.peek() {
            assert!(row < self.rows(), "rows come from this segment");
            let page = self.tail().id_page_of_row(row);
            let end = self.first_row_behind(page);
            let on_page = std::iter::from_fn(|| rows.next_if(|row| *row < end));
            if page == self.whole_pages(Column::Ids) {
                self.ids_in(page, self.tail().rest(Column::Ids), on_page, &mut see)?;
            } else {
                let image = self.cached(cache, Column::Ids, page)?;
                self.ids_in(page, &image[PAGE_HEADER_SIZE_BYTES..], on_page, &mut see)?;
            }
        }
        Ok(())
    }

    /// The first row that does not stand in an id page any more.
    pub(super) fn first_row_behind(&self, page: u64) -> u32 {
        let is_last = page + 1 == self.footer().id_pages();
        if is_last { self.rows() } else { self.tail().first_row(page + 1) }
    }

    fn ids_in(
        &self,
        page: u64,
        body: &[u8],
        rows: impl Iterator<Item = u32>,
        see: &mut impl FnMut(u32, &str) -> Result<()>,
    ) -> Result<()> {
        let first = self.tail().first_row(page);
        let at = |error| self.at(Column::Ids, page, error);
        let mut walk = IdPage::parse(body).and_then(|page| page.walk(first)).map_err(at)?;
        for row in rows {
            see(row, walk.id_of(row).map_err(at)?)?;
        }
        Ok(())
    }
}
