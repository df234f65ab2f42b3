//! Looks ids up in ascending order, each id page read once at most and past the page cache: how a
//! seal finds the older rows that it overwrites.

use crate::error::Result;
use crate::limits::PAGE_SIZE_BYTES;
use crate::segment::ahead::ReadAhead;
use crate::segment::layout::{Column, EXTENT_PAGES};
use crate::segment::reader::Segment;
use crate::sync::Arc;

/// The ids of a segment, looked up from front to back.
#[derive(Debug)]
pub(crate) struct SegmentProbe {
    segment: Arc<Segment>,
    ids: ReadAhead,
}

impl Segment {
    /// A probe before the first id; nothing is read yet.
    pub(crate) fn probe(self: &Arc<Self>) -> SegmentProbe {
        let run_bytes = (EXTENT_PAGES * PAGE_SIZE_BYTES) as u64;
        SegmentProbe { segment: Arc::clone(self), ids: ReadAhead::new(Column::Ids, run_bytes) }
    }
}

impl SegmentProbe {
    /// The row of an id that is not below those looked up before: for one that is, a page may be
    /// read again.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` naming file and page.
    pub(crate) fn find(&mut self, id: &str) -> Result<Option<u32>> {
        if !self.segment.may_contain(id)? {
            return Ok(None);
        }
        let page = self.segment.tail().id_page_of(id.as_bytes());
        self.ids.prepare(&self.segment, page)?;
        self.segment.find_in(page, self.ids.body(&self.segment, page), id)
    }
}
