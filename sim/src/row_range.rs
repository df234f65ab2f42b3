//! Which rows a scan shows, as the simulator says it.
//!
//! **Place.** The generator draws it, the engine's adapter turns it into calls of the engine's own
//! type, and the model asks it row by row: no order, no seeking, no shared code.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// Conditions on the ids of rows, and how many rows at most. All hold together.
#[derive(Clone, PartialEq, Eq)]
pub struct RowRange {
    /// Where the rows start.
    pub start: Bound<Arc<str>>,
    /// Where they end.
    pub end: Bound<Arc<str>>,
    /// What each id starts with.
    pub prefix: Arc<str>,
    /// At most so many rows, the lowest ids first.
    pub limit: Option<u64>,
}

impl Default for RowRange {
    fn default() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded, prefix: "".into(), limit: None }
    }
}

impl fmt::Debug for RowRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end, prefix, limit } = self;
        write!(f, "({start:?}, {end:?}, prefix {prefix:?}, limit {limit:?})")
    }
}

impl RowRange {
    /// Whether the conditions on ids, which is all but the limit, hold for one.
    pub fn admits(&self, id: &str) -> bool {
        let starts = match &self.start {
            Bound::Unbounded => true,
            Bound::Included(start) => id.as_bytes() >= start.as_bytes(),
            Bound::Excluded(start) => id.as_bytes() > start.as_bytes(),
        };
        let ends = match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => id.as_bytes() <= end.as_bytes(),
            Bound::Excluded(end) => id.as_bytes() < end.as_bytes(),
        };
        starts && ends && id.as_bytes().starts_with(self.prefix.as_bytes())
    }

    /// How many of so many admitted rows are shown.
    pub fn rows_max(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_counts() {
        let all = RowRange::default;
        let ids = ["a", "aa", "ab", "b", "c"];
        let shown = |range: RowRange| {
            let admitted = ids.into_iter().filter(|id| range.admits(id));
            admitted.take(range.rows_max()).collect::<Vec<_>>()
        };
        assert_eq!(shown(all()), ids);
        assert_eq!(
            shown(RowRange { start: Bound::Included("ab".into()), ..all() }),
            ["ab", "b", "c"]
        );
        assert_eq!(shown(RowRange { start: Bound::Excluded("ab".into()), ..all() }), ["b", "c"]);
        assert_eq!(
            shown(RowRange { end: Bound::Included("ab".into()), ..all() }),
            ["a", "aa", "ab"]
        );
        assert_eq!(shown(RowRange { end: Bound::Excluded("ab".into()), ..all() }), ["a", "aa"]);
        assert_eq!(shown(RowRange { prefix: "a".into(), limit: Some(2), ..all() }), ["a", "aa"]);
        assert_eq!(shown(RowRange { limit: Some(0), ..all() }), [""; 0]);
    }
}
