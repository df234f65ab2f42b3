//! Reads of a history: which call, which ids, which range.

use std::ops::Bound;
use std::sync::Arc;

use super::workload::Generator;
use super::{Action, Source};
use crate::reads::Read;
use crate::row_range::RowRange;

impl Generator {
    /// A read of some collection.
    pub(super) fn read_of(&mut self, source: Source) -> Action {
        let slot = self.slot();
        Action::Read(source, slot, self.read(slot))
    }

    /// A held snapshot, most often.
    pub(super) fn held(&mut self) -> Source {
        Source::Snapshot(self.stream.below(8))
    }

    /// An iterator that is left after some rows.
    pub(super) fn pause(&mut self) -> Action {
        let slot = self.slot();
        let source = if self.stream.chance(1, 3) { self.held() } else { Source::Store };
        Action::Pause(source, slot, self.iterator(slot), self.some_rows())
    }

    /// A held iterator goes on.
    pub(super) fn resume(&mut self) -> Action {
        let number = self.stream.below(4);
        Action::Resume(number, if self.stream.chance(1, 3) { u64::MAX } else { self.some_rows() })
    }

    /// A compaction, most often to its end.
    pub(super) fn compact(&mut self) -> Action {
        Action::Compact(self.stream.chance(1, 3).then(|| self.stream.below(6)))
    }

    fn some_rows(&mut self) -> u64 {
        let most = *self.stream.pick(&[2, 6, 40, 400]);
        self.stream.below(most)
    }

    fn read(&mut self, slot: usize) -> Read {
        match self.stream.below(10) {
            0 => Read::Get(self.any_id(slot)),
            1 => Read::Vector(self.any_id(slot)),
            2 => Read::Payload(self.any_id(slot)),
            3 => Read::Borrowed(self.any_id(slot)),
            4 => {
                let count = self.stream.size(0, 6);
                Read::Many((0..count).map(|_| self.any_id(slot)).collect())
            }
            5 => Read::Len,
            6 => Read::BorrowedRows(self.range(slot), 1 + self.some_rows()),
            _ => self.iterator(slot),
        }
    }

    pub(super) fn iterator(&mut self, slot: usize) -> Read {
        match self.stream.below(5) {
            0 | 1 => Read::Rows(self.range(slot)),
            2 | 3 => Read::Payloads(self.range(slot)),
            _ => Read::Vectors,
        }
    }

    fn range(&mut self, slot: usize) -> RowRange {
        let (start, end) = (self.bound(slot), self.bound(slot));
        let mut range = RowRange { start, end, ..RowRange::default() };
        if self.stream.chance(1, 3) {
            let id = self.any_id(slot);
            range.prefix = beginning(&id, self.stream.index(id.chars().count() + 1));
        }
        if self.stream.chance(1, 3) {
            range.limit = Some(self.some_rows());
        }
        range
    }

    fn bound(&mut self, slot: usize) -> Bound<Arc<str>> {
        match self.stream.below(4) {
            0 => Bound::Included(self.any_id(slot)),
            1 => Bound::Excluded(self.any_id(slot)),
            _ => Bound::Unbounded,
        }
    }

    /// An id of the slot, or one that is near to it and that no row has.
    fn any_id(&mut self, slot: usize) -> Arc<str> {
        let id = self.id(slot);
        match self.stream.below(8) {
            0 => format!("{id}!").into(),
            1 => beginning(&id, self.stream.index(id.chars().count())),
            2 => "\u{10ffff}".into(),
            _ => id,
        }
    }
}

/// The first so many characters.
fn beginning(id: &str, chars: usize) -> Arc<str> {
    id.chars().take(chars).collect::<String>().into()
}
