//! Reads, and what each must answer by the model.
//!
//! **Place.** The forward run makes them on the running store and on its snapshots, the explorer on
//! a share of the recovered images.
//!
//! - Q1. What is asked and what is expected come together only as rows of ids and digests; the model
//!   looks at every row and knows nothing of seeking.
//! - Q2. A collection that the view does not have is `NotFound` to every call.
//! - Q3. A predicate is held against the payload of every row of the model (I12); one that cannot be
//!   asked is refused, whatever rows there are.

use std::ops::ControlFlow;
use std::sync::Arc;

use quiver_store::{CollectionId, Error, ErrorKind, Result, SecPredicate};

use crate::digest::Digest;
use crate::model::{Collection, Row};
use crate::predicate;
use crate::row_range::RowRange;
use crate::system::{Scan, Shown, View};

/// A call that changes nothing, on one collection.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// `get`.
    Get(Arc<str>),
    /// `get_vector`.
    Vector(Arc<str>),
    /// `get_payload`.
    Payload(Arc<str>),
    /// `get_with`.
    Borrowed(Arc<str>),
    /// `get_many`.
    Many(Vec<Arc<str>>),
    /// `len`.
    Len,
    /// `scan_range`.
    Rows(RowRange),
    /// `scan_payloads`.
    Payloads(RowRange),
    /// `scan_with`, ended by its caller at the row of this number, counted from one.
    BorrowedRows(RowRange, u64),
    /// `capture_vector_source`, and two passes.
    Vectors,
    /// `matching_ids`.
    Matching(SecPredicate),
    /// `matching_rows`, of a snapshot taken for it where it is asked of the store.
    MatchingRows(SecPredicate),
}

/// What a read answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// A number.
    Count(u64),
    /// Rows, or that there is none.
    Rows(Vec<Option<Seen>>),
    /// Ids of rows.
    Ids(Vec<String>),
    /// Numbers of rows.
    Places(Vec<u32>),
    /// That it cannot be asked (Q3).
    Refused,
}

/// A row that was seen, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    id: Arc<str>,
    digest: u128,
}

/// Which parts of a row a call shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Vector and payload.
    Whole,
    /// The payload.
    Payload,
    /// The vector.
    Vector,
}

/// Why an answer is not the right one.
#[derive(Debug)]
pub enum Wrong {
    /// The call failed though it must not.
    Failed(Error),
    /// It answered something else.
    Differs {
        /// What is right.
        expected: String,
        /// What it answered.
        found: String,
    },
}

impl Seen {
    /// A row as an iterator gave it.
    pub fn of(shown: &Shown) -> Self {
        Self::parts(&shown.id, shown.vector.as_deref(), shown.payload.as_deref())
    }

    /// A row of the model, as a call shows it.
    pub fn expected(id: &Arc<str>, row: &Row, parts: Parts) -> Self {
        let vector = (parts != Parts::Payload).then_some(&*row.vector);
        let payload = (parts != Parts::Vector).then_some(&*row.payload);
        Self::parts(id, vector, payload)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn parts(id: &str, vector: Option<&[f32]>, payload: Option<&[u8]>) -> Self {
        let mut digest = Digest::new(8);
        if let Some(vector) = vector {
            digest = digest.pair(1, 0).vector(vector);
        }
        if let Some(payload) = payload {
            digest = digest.pair(2, 0).bytes(payload);
        }
        Self { id: id.into(), digest: digest.finish() }
    }
}

impl Read {
    /// Whether it asks by a predicate.
    pub fn filters(&self) -> bool {
        matches!(self, Self::Matching(_) | Self::MatchingRows(_))
    }

    /// The rows that an iterator of this read shows, in order; none where it is no iterator.
    pub fn iterates(&self) -> Option<(RowRange, Parts)> {
        match self {
            Self::Rows(range) => Some((range.clone(), Parts::Whole)),
            Self::Payloads(range) => Some((range.clone(), Parts::Payload)),
            Self::Vectors => Some((RowRange::default(), Parts::Vector)),
            _ => None,
        }
    }

    /// Starts an iterator of this read.
    ///
    /// # Errors
    /// What the view answers.
    pub fn start(&self, view: &dyn View, id: CollectionId) -> Result<Option<Scan>> {
        Ok(Some(match self {
            Self::Rows(range) => view.scan_range(id, range)?,
            Self::Payloads(range) => view.scan_payloads(id, range)?,
            Self::Vectors => view.vectors(id)?.pass(),
            _ => return Ok(None),
        }))
    }
}

/// The rows of a collection that a range shows.
pub fn rows_in<'a>(
    collection: &'a Collection,
    range: &'a RowRange,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Row>)> {
    collection.rows.iter().filter(|(id, _)| range.admits(id)).take(range.rows_max())
}

/// Makes a read and holds it against the collection of the model.
///
/// # Errors
/// What is wrong.
pub fn check(
    view: &dyn View,
    id: CollectionId,
    collection: Option<&Collection>,
    read: &Read,
) -> std::result::Result<(), Wrong> {
    let expected = collection.map(|collection| expect(collection, read));
    let found = match (ask(view, id, read), &expected) {
        (Ok(found), Some(expected)) if found == *expected => return Ok(()),
        (Ok(found), _) => format!("{found:?}"),
        (Err(Wrong::Failed(error)), None) if error.kind() == ErrorKind::NotFound => return Ok(()),
        (Err(Wrong::Failed(error)), Some(Answer::Refused))
            if error.kind() == ErrorKind::InvalidArgument =>
        {
            return Ok(());
        }
        (Err(Wrong::Failed(error)), None) => format!("{error:?}"),
        (Err(wrong), _) => return Err(wrong),
    };
    let expected = expected.map_or("NotFound".to_string(), |expected| format!("{expected:?}"));
    let (expected, found) = from_first_difference(&expected, &found);
    Err(Wrong::Differs { expected: format!("{read:?} is {expected}"), found })
}

fn ask(view: &dyn View, id: CollectionId, read: &Read) -> std::result::Result<Answer, Wrong> {
    let one = |seen: Option<Seen>| Answer::Rows(vec![seen]);
    Ok(match read {
        Read::Get(row) => {
            let mut seen = None;
            let there = view.get(id, row, &mut |vector, payload| {
                seen = Some(Seen::parts(row, Some(vector), Some(payload)));
            });
            one(there?.then_some(seen).flatten())
        }
        Read::Borrowed(row) => {
            let mut seen = None;
            let there = view.get_with(id, row, &mut |vector, payload| {
                seen = Some(Seen::parts(row, Some(vector), Some(payload)));
            });
            one(there?.then_some(seen).flatten())
        }
        Read::Vector(row) => {
            let vector = view.get_vector(id, row)?;
            one(vector.map(|vector| Seen::parts(row, Some(&vector), None)))
        }
        Read::Payload(row) => {
            let payload = view.get_payload(id, row)?;
            one(payload.map(|payload| Seen::parts(row, None, Some(&payload))))
        }
        Read::Many(rows) => {
            let ids: Vec<&str> = rows.iter().map(|row| &**row).collect();
            let found = view.get_many(id, &ids)?.into_iter().enumerate();
            // A row too many is one without an id.
            let id_at = |place: usize| ids.get(place).copied().unwrap_or_default();
            let seen = found.map(|(place, row)| {
                row.map(|(vector, payload)| {
                    Seen::parts(id_at(place), Some(&vector), Some(&payload))
                })
            });
            Answer::Rows(seen.collect())
        }
        Read::Len => Answer::Count(view.len(id)?),
        Read::Rows(range) => Answer::Rows(all_of(view.scan_range(id, range)?)?),
        Read::Payloads(range) => Answer::Rows(all_of(view.scan_payloads(id, range)?)?),
        Read::BorrowedRows(range, rows_max) => {
            let mut seen = Vec::new();
            view.scan_with(id, range, &mut |row, vector, payload| {
                seen.push(Some(Seen::parts(row, Some(vector), Some(payload))));
                match seen.len() as u64 >= *rows_max {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
            Answer::Rows(seen)
        }
        Read::Vectors => two_passes(view, id)?,
        Read::Matching(predicate) => Answer::Ids(view.matching_ids(id, predicate)?),
        Read::MatchingRows(predicate) => Answer::Places(view.matching_rows(id, predicate)?),
    })
}

/// Reads a vector source twice; the rows of the second pass.
fn two_passes(view: &dyn View, id: CollectionId) -> std::result::Result<Answer, Wrong> {
    let source = view.vectors(id)?;
    let first = all_of(source.pass())?;
    let second = all_of(source.pass())?;
    let differs = |expected: String, found: String| Err(Wrong::Differs { expected, found });
    if let Some(error) = source.take_error() {
        return differs("no error of a pass that ended well".to_string(), format!("{error:?}"));
    }
    if first != second {
        let (expected, found) =
            from_first_difference(&format!("{first:?}"), &format!("{second:?}"));
        return differs(format!("the second pass is the first one: {expected}"), found);
    }
    let dim = view.descriptor(id)?.dim;
    let (count, rows) = (source.count(), first.len() as u64);
    if (count, source.dim()) != (rows, dim) {
        let found = format!("{count} of dimension {}", source.dim());
        return differs(format!("{rows} vectors of dimension {dim}"), found);
    }
    Ok(Answer::Rows(second))
}

fn all_of(rows: Scan) -> Result<Vec<Option<Seen>>> {
    rows.map(|row| row.map(|shown| Some(Seen::of(&shown)))).collect()
}

fn expect(collection: &Collection, read: &Read) -> Answer {
    let row =
        |id: &Arc<str>, parts| collection.rows.get(id).map(|row| Seen::expected(id, row, parts));
    let all = |range: &RowRange, parts, rows_max: usize| {
        let rows = rows_in(collection, range).take(rows_max);
        Answer::Rows(rows.map(|(id, row)| Some(Seen::expected(id, row, parts))).collect())
    };
    match read {
        Read::Get(id) | Read::Borrowed(id) => Answer::Rows(vec![row(id, Parts::Whole)]),
        Read::Vector(id) => Answer::Rows(vec![row(id, Parts::Vector)]),
        Read::Payload(id) => Answer::Rows(vec![row(id, Parts::Payload)]),
        Read::Many(ids) => Answer::Rows(ids.iter().map(|id| row(id, Parts::Whole)).collect()),
        Read::Len => Answer::Count(collection.rows.len() as u64),
        Read::Rows(range) => all(range, Parts::Whole, usize::MAX),
        Read::Payloads(range) => all(range, Parts::Payload, usize::MAX),
        Read::BorrowedRows(range, rows_max) => {
            // Who ends a scan does so at a row, and has seen that one.
            all(range, Parts::Whole, usize::try_from(*rows_max).unwrap_or(usize::MAX).max(1))
        }
        Read::Vectors => all(&RowRange::default(), Parts::Vector, usize::MAX),
        Read::Matching(predicate) | Read::MatchingRows(predicate)
            if !predicate::is_good(predicate, &collection.descriptor.filterable) =>
        {
            Answer::Refused
        }
        Read::Matching(predicate) => {
            Answer::Ids(matching(collection, predicate).map(|(_, id)| id.to_string()).collect())
        }
        Read::MatchingRows(predicate) => {
            Answer::Places(matching(collection, predicate).map(|(place, _)| place).collect())
        }
    }
}

/// The rows that hold a predicate: their places among all, and their ids.
fn matching<'a>(
    collection: &'a Collection,
    predicate: &'a SecPredicate,
) -> impl Iterator<Item = (u32, &'a Arc<str>)> {
    let fields = &collection.descriptor.filterable;
    let rows = (0..).zip(collection.rows.iter());
    rows.filter(|(_, (_, row))| predicate::holds(predicate, fields, &row.payload))
        .map(|(place, (id, _))| (place, id))
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Two texts from a little before where they part, and not endless.
fn from_first_difference(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let shown = |text: &str| text.chars().skip(same.saturating_sub(80)).take(300).collect();
    (shown(a), shown(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_is_shown_counts() {
        let seen =
            |id, vector: &[f32], payload: &[u8]| Seen::parts(id, Some(vector), Some(payload));
        let whole = seen("a", &[1.0], b"x");
        assert_eq!(whole, seen("a", &[1.0], b"x"));
        assert_ne!(whole, seen("b", &[1.0], b"x"));
        assert_ne!(whole, seen("a", &[1.5], b"x"));
        assert_ne!(whole, seen("a", &[1.0], b"y"));
        assert_ne!(Seen::parts("a", None, Some(b"")), Seen::parts("a", None, None));
    }

    #[test]
    fn difference_is_shown_where_it_begins() {
        let long = "x".repeat(1000);
        let (a, b) = from_first_difference(&format!("{long}1"), &format!("{long}2"));
        assert!(a.ends_with("x1") && b.ends_with("x2") && a.len() == 81);
    }
}
