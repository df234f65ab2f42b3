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
    pub(crate) fn all() -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All strings of up to three letters of two.
    fn universe() -> Vec<Vec<u8>> {
        let longer = |text: &Vec<u8>| [b'a', b'b'].map(|letter| [&**text, &[letter]].concat());
        let mut all = vec![Vec::new()];
        let mut last = all.clone();
        for _ in 0..3 {
            last = last.iter().flat_map(longer).collect();
            all.extend(last.clone());
        }
        all
    }

    fn bounds() -> Vec<Bound<Vec<u8>>> {
        let both = |text: Vec<u8>| [Bound::Included(text.clone()), Bound::Excluded(text)];
        universe().into_iter().flat_map(both).chain([Bound::Unbounded]).collect()
    }

    fn term(bound: &Bound<Vec<u8>>) -> Bound<Term> {
        bound.as_ref().map(|text| text.clone().into())
    }

    fn is_within(text: &[u8], lo: &Bound<Vec<u8>>, hi: &Bound<Vec<u8>>) -> bool {
        let above = match lo {
            Bound::Included(lo) => text >= &**lo,
            Bound::Excluded(lo) => text > &**lo,
            Bound::Unbounded => true,
        };
        let below = match hi {
            Bound::Included(hi) => text <= &**hi,
            Bound::Excluded(hi) => text < &**hi,
            Bound::Unbounded => true,
        };
        above && below
    }

    #[test]
    fn what_is_told_of_a_run_of_terms_holds_for_each_of_them() {
        let universe = universe();
        let all_fences: Vec<Option<Fence<'_>>> = universe
            .iter()
            .flat_map(|bytes| [false, true].map(|is_cut| Some(Fence { bytes, is_cut })))
            .chain([None])
            .collect();
        let is_before = |text: &[u8], fence: Option<Fence<'_>>| {
            fence.is_none_or(|Fence { bytes, is_cut }| {
                text < bytes || (is_cut && text.starts_with(bytes))
            })
        };
        let (mut covered, mut beyond) = (0, 0);
        for (lo, hi) in bounds().iter().flat_map(|lo| bounds().into_iter().map(move |hi| (lo, hi)))
        {
            let set = TermSet::between(term(lo), term(&hi));
            let within: Vec<bool> = universe.iter().map(|text| is_within(text, lo, &hi)).collect();
            for (text, is_within) in universe.iter().zip(&within) {
                assert_eq!(set.contains(text), *is_within, "{text:?} in {set:?}");
            }
            let [interval] = set.intervals() else { continue };
            for first in &universe {
                let mut from = universe.iter().zip(&within).filter(|(text, _)| *text >= first);
                assert!(!interval.is_below(first) || from.all(|(_, within)| !within));
                let mut to = universe.iter().zip(&within).filter(|(text, _)| *text <= first);
                assert!(!interval.is_above(first) || to.all(|(_, within)| !within));
                for fence in &all_fences {
                    let run = universe.iter().zip(&within);
                    let mut run = run.filter(|(text, _)| *text >= first && is_before(text, *fence));
                    if interval.covers(first, *fence) {
                        covered += 1;
                        assert!(run.all(|(_, within)| *within), "{set:?} {first:?} {fence:?}");
                    } else if fence.is_some_and(|fence| interval.is_beyond(fence)) {
                        beyond += 1;
                        assert!(run.all(|(_, within)| !within), "{set:?} {first:?} {fence:?}");
                    }
                }
            }
        }
        assert!(covered > 10_000 && beyond > 10_000, "{covered} covered, {beyond} beyond");
    }

    #[test]
    fn points_are_a_set() {
        let of =
            |texts: &[&str]| TermSet::points(texts.iter().map(|it| it.as_bytes().into()).collect());
        let set = of(&["b", "", "d", "b"]);
        assert_eq!(set, of(&["", "b", "d"]));
        let held = ["", "a", "b", "c", "d", "e"].map(|text| set.contains(text.as_bytes()));
        assert_eq!(held, [true, false, true, false, true, false]);
        assert!(!of(&[]).contains(b""));
    }
}
