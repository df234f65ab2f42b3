//! A sample of reads on a recovered store, beyond the whole scan that every image gets.
//!
//! **Place.** Made on a share of the images, on the store that recovery left. The state is the one
//! that the scan was found to show.
//!
//! - U1. Rows that are there and rows that are not are looked up one by one and several at a time,
//!   and a range is scanned: the ways to a row that a scan does not take.
//! - U2. Rows are found by a predicate, where the collection has fields to filter by.
//! - U3. The manifest is one that was durable before the crash, or a later one.

use std::ops::Bound;
use std::sync::Arc;

use quiver_store::{CollectionId, FieldType, FilterableField, SecValue};

use super::Explorer;
use super::examine::Left;
use crate::checker::{Finding, Invariant, Unreadable};
use crate::model::{Collection, State};
use crate::panic_trap;
use crate::predicate::{self, draw};
use crate::reads::{self, Read, Wrong};
use crate::row_range::RowRange;
use crate::stream::Stream;

/// Of collections with more rows than this, one in so many lookups asks by a predicate: the model
/// looks at every payload for it.
const FILTERED_ROWS_MAX: usize = 64;
const FILTERED_ONE_IN_OF_LARGE: u64 = 8;

/// An id that no history uses.
const NOBODY: &str = "nobody";

impl Explorer<'_> {
    pub(super) fn look_up(&mut self, left: &Left, stream: &mut Stream) -> Result<(), Finding> {
        let Left { session, state, manifest, .. } = left;
        let session = &**session;
        self.tally.evaluated(Invariant::I14);
        self.tally.evaluated(Invariant::Answers);
        let last = &mut self.met.looked_up;
        let sampled = panic_trap::catch(|| {
            let version = session.standing().map_err(unreadable)?.manifest_version;
            if version < *manifest {
                let expected = format!("a manifest version from {manifest} on");
                let found = format!("manifest version {version}");
                return Err(Finding::new(Invariant::I14, expected, found));
            }
            let Some((name, collection)) = any_of(state, stream) else { return Ok(()) };
            let id = session.id_of(name).map_err(unreadable)?.unwrap_or(CollectionId(0));
            crate::index::check(session, id, collection).map_err(|wrong| match wrong {
                Wrong::Failed(error) => unreadable(error),
                Wrong::Differs { expected, found } => Finding::new(Invariant::I12, expected, found),
            })?;
            for read in some_reads(collection, stream) {
                *last = Some((name.clone(), read.clone()));
                let invariant = if read.filters() { Invariant::I12 } else { Invariant::Answers };
                self.tally.evaluated(invariant);
                reads::check(session, id, Some(collection), &read).map_err(
                    |wrong| match wrong {
                        Wrong::Failed(error) => unreadable(error),
                        Wrong::Differs { expected, found } => {
                            Finding::new(invariant, expected, found)
                        }
                    },
                )?;
            }
            Ok(())
        });
        sampled.unwrap_or_else(|panic| Err(Finding::new(Invariant::I5, "no panic", panic)))
    }
}

fn unreadable(error: quiver_store::Error) -> Finding {
    Unreadable::from(error).finding()
}

fn any_of<'a>(state: &'a State, stream: &mut Stream) -> Option<(&'a Arc<str>, &'a Collection)> {
    let place = stream.index(state.collections.len());
    state.collections.iter().nth(place).map(|(name, collection)| (name, &**collection))
}

fn some_reads(collection: &Collection, stream: &mut Stream) -> Vec<Read> {
    let (one, other, third) =
        (a_row(collection, stream), a_row(collection, stream), a_row(collection, stream));
    let near: Arc<str> = format!("{one}\0").into();
    let range = a_range(collection, stream);
    let scan = match stream.below(8) {
        0..3 => Read::Rows(range),
        3 | 4 => Read::Payloads(range),
        5 | 6 => Read::BorrowedRows(range, stream.between(1, 8)),
        _ => Read::Vectors,
    };
    let looked_up = match stream.below(4) {
        0 => Read::Get(one),
        1 => Read::Borrowed(one),
        2 => Read::Vector(one),
        _ => Read::Payload(one),
    };
    let several = vec![other.clone(), NOBODY.into(), third, other];
    let mut reads = vec![looked_up, Read::Get(near), Read::Many(several), scan];
    reads.extend(by_a_predicate(collection, stream));
    reads
}

/// A read by a predicate of values that some row has.
fn by_a_predicate(collection: &Collection, stream: &mut Stream) -> Option<Read> {
    let fields = &collection.descriptor.filterable;
    let is_large = collection.rows.len() > FILTERED_ROWS_MAX;
    if fields.is_empty() || (is_large && !stream.chance(1, FILTERED_ONE_IN_OF_LARGE)) {
        return None;
    }
    let mut value = |place: usize, stream: &mut Stream| {
        let row = collection.rows.iter().nth(stream.index(collection.rows.len()));
        let payload = row.map_or(&[][..], |(_, row)| &row.payload);
        let mut values = predicate::values(&fields[place], payload);
        if values.is_empty() || stream.chance(1, 8) {
            return any_value(&fields[place], stream);
        }
        values.swap_remove(stream.index(values.len()))
    };
    let predicate = draw::predicate(fields, stream, &mut value);
    Some(match stream.chance(1, 2) {
        true => Read::Matching(predicate),
        false => Read::MatchingRows(predicate),
    })
}

/// A value of a field's type.
fn any_value(field: &FilterableField, stream: &mut Stream) -> SecValue {
    let rows: &[&[&str]] = match field.field_type {
        FieldType::Keyword => &draw::KEYWORDS,
        _ => &draw::NUMBERS,
    };
    let row = *stream.pick(rows);
    let text = *stream.pick(row);
    draw::near(field.field_type, text, stream)
}

/// The id of a row that is there, if there is any.
fn a_row(collection: &Collection, stream: &mut Stream) -> Arc<str> {
    let present = collection.rows.iter().nth(stream.index(collection.rows.len()));
    present.map_or(NOBODY.into(), |(id, _)| id.clone())
}

fn a_range(collection: &Collection, stream: &mut Stream) -> RowRange {
    let mut bound = || {
        let id = a_row(collection, stream);
        match stream.below(4) {
            0 => Bound::Included(id),
            1 => Bound::Excluded(id),
            _ => Bound::Unbounded,
        }
    };
    let (start, end) = (bound(), bound());
    let mut range = RowRange { start, end, ..RowRange::default() };
    if stream.chance(1, 4) {
        let id = a_row(collection, stream);
        let chars = stream.index(id.chars().count() + 1);
        range.prefix = id.chars().take(chars).collect::<String>().into();
    }
    range.limit = stream.chance(1, 2).then(|| stream.below(8));
    range
}
