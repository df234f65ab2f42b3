//! Which rows a scan shows: plain data, narrowed call by call.

use std::ops::Bound;

/// The ids that a scan covers, and how many rows it shows at most. All conditions hold together.
///
/// # Examples
/// ```
/// use quiver_store::ScanRange;
/// let page = ScanRange::all().prefix("user-").after("user-0041").limit(20);
/// assert_eq!(page, ScanRange::all().limit(20).after("user-0041").prefix("user-"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRange {
    start: Bound<Box<str>>,
    end: Bound<Box<str>>,
    prefix: Box<str>,
    limit: u64,
}

impl Default for ScanRange {
    fn default() -> Self {
        Self::all()
    }
}

impl ScanRange {
    /// Every row.
    pub fn all() -> Self {
        let (start, end) = (Bound::Unbounded, Bound::Unbounded);
        Self { start, end, prefix: Box::default(), limit: u64::MAX }
    }

    /// Rows whose id is `id` or above it, by bytes.
    #[must_use]
    pub fn from(self, id: &str) -> Self {
        Self { start: Bound::Included(id.into()), ..self }
    }

    /// Rows whose id is above `id`: the next page behind the last row seen.
    #[must_use]
    pub fn after(self, id: &str) -> Self {
        Self { start: Bound::Excluded(id.into()), ..self }
    }

    /// Rows whose id is below `id`.
    #[must_use]
    pub fn until(self, id: &str) -> Self {
        Self { end: Bound::Excluded(id.into()), ..self }
    }

    /// Rows whose id is `id` or below it.
    #[must_use]
    pub fn through(self, id: &str) -> Self {
        Self { end: Bound::Included(id.into()), ..self }
    }

    /// Rows whose id starts with `prefix`.
    #[must_use]
    pub fn prefix(self, prefix: &str) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// At most so many rows, the lowest ids first.
    #[must_use]
    pub fn limit(self, rows: u64) -> Self {
        Self { limit: rows, ..self }
    }

    /// The most rows to show.
    pub(crate) fn rows_max(&self) -> u64 {
        self.limit
    }

    /// Where the first row may stand.
    pub(crate) fn lower(&self) -> Bound<&str> {
        let start = self.start.as_ref().map(|id| &**id);
        match start {
            Bound::Included(id) | Bound::Excluded(id) if *id >= *self.prefix => start,
            _ if self.prefix.is_empty() => start,
            _ => Bound::Included(&self.prefix),
        }
    }

    /// Whether this id, at or above [`Self::lower`], and all above it are outside.
    pub(crate) fn ends_before(&self, id: &str) -> bool {
        let beyond = match &self.end {
            Bound::Unbounded => false,
            Bound::Included(end) => id > &**end,
            Bound::Excluded(end) => id >= &**end,
        };
        beyond || !(self.prefix.is_empty() || id.starts_with(&*self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const IDS: [&str; 7] = ["a", "aa", "ab", "b", "ba", "bb", "c"];

    fn shown(range: &ScanRange) -> Vec<&'static str> {
        let ids = BTreeSet::from(IDS);
        let all = ids.range::<str, _>((range.lower(), Bound::Unbounded));
        all.copied().take_while(|id| !range.ends_before(id)).collect()
    }

    #[test]
    fn conditions_hold_together() {
        let all = ScanRange::all;
        assert_eq!(shown(&all()), IDS);
        assert_eq!(shown(&all().from("ab").until("bb")), ["ab", "b", "ba"]);
        assert_eq!(shown(&all().after("ab").through("bb")), ["b", "ba", "bb"]);
        assert_eq!(shown(&all().prefix("b")), ["b", "ba", "bb"]);
        assert_eq!(shown(&all().prefix("b").after("b")), ["ba", "bb"]);
        assert_eq!(shown(&all().prefix("b").from("a")), ["b", "ba", "bb"]);
        assert_eq!(shown(&all().prefix("b").from("bz")), [] as [&str; 0]);
        assert_eq!(shown(&all().prefix("a").through("aa")), ["a", "aa"]);
        assert_eq!(shown(&all().from("b").until("a")), [] as [&str; 0]);
    }
}
