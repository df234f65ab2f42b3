//! What a leaf of a predicate accepts: a set of terms, as intervals.
//!
//! `Eq` is one point, `In` several, `Range` one interval, `Exists` everything. Whether a row holds
//! and which part of an index must be read is asked of the same set.

use std::ops::Bound;

use crate::sec::value::Term;

/// Terms between two bounds, or one term.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Interval {
    Point(Term),
    Between(Bound<Term>, Bound<Term>),
}

impl Interval {
    fn lo(&self) -> Bound<&[u8]> {
        match self {
            Self::Point(term) => Bound::Included(term),
            Self::Between(lo, _) => lo.as_ref().map(|term| &**term),
        }
    }

    fn hi(&self) -> Bound<&[u8]> {
        match self {
            Self::Point(term) => Bound::Included(term),
            Self::Between(_, hi) => hi.as_ref().map(|term| &**term),
        }
    }

    /// Whether it holds only terms below this one.
    pub(super) fn is_below(&self, term: &[u8]) -> bool {
        match self.hi() {
            Bound::Included(hi) => hi < term,
            Bound::Excluded(hi) => hi <= term,
            Bound::Unbounded => false,
        }
    }

    /// Whether it holds only terms above this one.
    pub(super) fn is_above(&self, term: &[u8]) -> bool {
        match self.lo() {
            Bound::Included(lo) => lo > term,
            Bound::Excluded(lo) => lo >= term,
            Bound::Unbounded => false,
        }
    }

    /// Whether it holds no term below a fence.
    pub(super) fn is_beyond(&self, fence: Fence<'_>) -> bool {
        match self.lo() {
            Bound::Included(lo) | Bound::Excluded(lo) => fence.all_are_below(lo),
            Bound::Unbounded => false,
        }
    }

    /// Whether it holds every term from one up to a fence.
    pub(super) fn covers(&self, first: &[u8], fence: Option<Fence<'_>>) -> bool {
        let from_first = match self.lo() {
            Bound::Included(lo) => lo <= first,
            Bound::Excluded(lo) => lo < first,
            Bound::Unbounded => true,
        };
        let to_fence = match self.hi() {
            Bound::Included(hi) | Bound::Excluded(hi) => {
                fence.is_some_and(|fence| fence.all_are_below(hi))
            }
            Bound::Unbounded => true,
        };
        from_first && to_fence
    }
}

/// What stands above a run of terms: a byte string above all of them or, where it was cut short, one
/// that is above all of them or the start of some.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_cut: bool,
}

impl Fence<'_> {
    /// Whether every term before the fence is surely below a bound.
    fn all_are_below(self, bound: &[u8]) -> bool {
        bound >= self.bytes && !(self.is_cut && bound.starts_with(self.bytes))
    }
}

/// A set of terms: intervals in ascending order, apart from each other, none of them empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TermSet(Vec<Interval>);

impl TermSet {
    /// Every term.
    pub(super) fn all() -> Self {
        Self(vec![Interval::Between(Bound::Unbounded, Bound::Unbounded)])
    }

    /// These terms.
    pub(super) fn points(mut terms: Vec<Term>) -> Self {
        terms.sort_unstable();
        terms.dedup();
        Self(terms.into_iter().map(Interval::Point).collect())
    }

    /// The terms between two bounds; none where the lower one is above the upper one.
    pub(super) fn between(lo: Bound<Term>, hi: Bound<Term>) -> Self {
        let is_empty = match (&lo, &hi) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(lo), Bound::Included(hi)) => lo > hi,
            (
                Bound::Included(lo) | Bound::Excluded(lo),
                Bound::Included(hi) | Bound::Excluded(hi),
            ) => lo >= hi,
        };
        Self(if is_empty { Vec::new() } else { vec![Interval::Between(lo, hi)] })
    }

    /// Whether a term is in it.
    pub(crate) fn contains(&self, term: &[u8]) -> bool {
        let at = self.0.partition_point(|interval| interval.is_below(term));
        self.0.get(at).is_some_and(|interval| !interval.is_above(term))
    }

    /// Whether every term is in it.
    pub(super) fn is_all(&self) -> bool {
        matches!(&*self.0, [Interval::Between(Bound::Unbounded, Bound::Unbounded)])
    }

    pub(super) fn intervals(&self) -> &[Interval] {
        &self.0
    }
}
