//! What an open store answers, whatever its files hold.
//!
//! - N1. A store in which a verification finds nothing answers everything, and all ways of asking agree to
//!   the bit: rows ascend, `len` counts them, each is found by its id, an index over vectors is given all of
//!   them, and filters say what their documentation says of every payload.
//! - N2. What a verification finds names a file, and so does every error.
//! - N3. A store in which one finds something is asked everything as well, for it is there that bytes are
//!   read which no version wrote: each answer is one, or an error; and what can be rescued is a whole
//!   store (`rescues`).

use std::ops::ControlFlow;

use quiver_sim::predicate::holds;
use quiver_store::{
    CollectionId, Descriptor, Record, Result, ScanRange, SecPredicate, Store, VerifyOptions,
};

use crate::payload_fields::questions;
use crate::{errors, rescues};

/// The rows of one collection: id and what it holds.
type Rows = Vec<(String, Record)>;

/// All that a store shows: names, schemas and rows, in words that compare.
pub(crate) type Shown = Vec<String>;

/// Asks a store everything. What it shows, if it is whole; then N1 held.
pub(crate) fn check(store: &Store, names: &[&str]) -> Option<Shown> {
    let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()));
    let report = report.expect("findings are no error of the verification");
    assert!(report.is_complete);
    for finding in &report.findings {
        assert!(!finding.file.is_empty());
        errors::check_names(&finding.error, names);
    }
    if !report.findings.is_empty() {
        rescues::check(store, names);
    }
    let shown = ask(store, report.findings.is_empty());
    match shown {
        Ok(shown) => report.findings.is_empty().then_some(shown),
        Err(error) => {
            assert!(!report.findings.is_empty(), "verified, and then: {error:?}");
            errors::check_names(&error, names);
            None
        }
    }
}

/// All that a store shows, if it shows all.
///
/// # Errors
/// Those of the store.
pub(crate) fn show(store: &Store) -> Result<Shown> {
    ask(store, false)
}

fn ask(store: &Store, is_whole: bool) -> Result<Shown> {
    let mut shown = Shown::new();
    for name in store.collection_names()? {
        let Some(id) = store.collection_id(&name)? else { continue };
        let descriptor = store.descriptor(id)?;
        let rows = store.scan(id)?.collect::<Result<Rows>>()?;
        shown.push(format!("{name} {id} {descriptor:?}"));
        shown.extend(rows.iter().map(|(row, record)| {
            format!("{row:?} {:?} {:?}", bits(&record.vector), record.payload)
        }));
        if is_whole {
            ways_agree(store, id, &descriptor, &rows)?;
        }
    }
    Ok(shown)
}

/// Bits, as a NaN is not itself.
pub(crate) fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|element| element.to_bits()).collect()
}

/// Whether it is this record, to the bit.
pub(crate) fn is_same(a: &Record, b: &Record) -> bool {
    bits(&a.vector) == bits(&b.vector) && a.payload == b.payload
}

/// N1, for one collection.
fn ways_agree(store: &Store, id: CollectionId, schema: &Descriptor, rows: &Rows) -> Result<()> {
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "rows do not ascend");
    assert_eq!(store.len(id)?, rows.len() as u64);
    for (row, record) in rows {
        let found = store.get(id, row)?;
        assert!(found.is_some_and(|found| is_same(&found, record)), "{row:?} by its id");
    }
    // What reads a part of a row reads the same bytes: of many rows, some.
    for (row, record) in rows.iter().step_by(rows.len().div_ceil(16).max(1)) {
        let payload = store.get_payload(id, row)?;
        assert_eq!(payload.as_ref(), Some(&record.payload), "{row:?} by its id");
        let vector = store.get_vector(id, row)?.map(|vector| bits(&vector));
        assert_eq!(vector, Some(bits(&record.vector)), "{row:?} by its id");
    }
    parts_agree(store, id, rows)?;
    // Values that are there, and what is next to them, of one row.
    let asked = rows.get(rows.len() * 2 / 3).map(|(_, record)| &record.payload[..]);
    let mut asked = questions(&schema.filterable, asked.unwrap_or_default());
    asked.extend(asked.first().cloned().map(|first| SecPredicate::Not(first.into())));
    for predicate in asked {
        let found = store.matching_ids(id, &predicate)?;
        let expected = rows
            .iter()
            .filter(|(_, record)| holds(&predicate, &schema.filterable, &record.payload))
            .map(|(row, _)| row);
        assert!(found.iter().eq(expected), "{predicate:?} gives {found:?}");
    }
    Ok(())
}

/// N1, for parts of the rows and of what they hold.
fn parts_agree(store: &Store, id: CollectionId, rows: &Rows) -> Result<()> {
    let (from, until) = (rows.len() / 4, rows.len() * 3 / 4);
    let mut range = ScanRange::all().limit((until - from) as u64);
    if let Some((row, _)) = rows.get(from) {
        range = range.from(row);
    }
    let part = store.scan_range(id, range.clone())?.collect::<Result<Rows>>()?;
    let same = part.iter().zip(&rows[from..until]).all(|(a, b)| a.0 == b.0 && is_same(&a.1, &b.1));
    assert!(same && part.len() == until - from, "another range: {part:?}");
    let payloads = store.scan_payloads(id, range)?.collect::<Result<Vec<_>>>()?;
    let expected = rows[from..until].iter().map(|(row, record)| (row, &record.payload));
    assert!(payloads.iter().map(|(row, payload)| (row, payload)).eq(expected), "{payloads:?}");
    let source = store.capture_vector_source(id)?;
    let mut expected = rows.iter();
    for (row, vector) in source.iter() {
        let of_scan = expected.next().is_some_and(|(expected, record)| {
            row == *expected && bits(&vector) == bits(&record.vector)
        });
        assert!(of_scan, "the vector of {row:?}");
    }
    source.take_error().map_or(Ok(()), Err)?;
    assert!(expected.next().is_none(), "an index is not given all vectors");
    Ok(())
}
