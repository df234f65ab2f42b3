//! An index that a client keeps beside a store: what index snapshots are for.
//!
//! It holds the digest of every row. What is kept in the store is its stored form; brought up to date
//! with what the store says has changed since, it has to be what it would be if it were built anew.

use std::collections::BTreeMap;

use quiver_store::CollectionId;

use crate::digest;
use crate::model::Collection;
use crate::reads::Wrong;
use crate::system::{Restored, Session};

/// The digest of each row.
type Index = BTreeMap<String, u128>;

/// The stored form of an index over a collection.
pub fn stored(collection: &Collection) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, row) in collection.rows.iter() {
        let digest = digest::of_row(0, id, &row.vector, &row.payload);
        bytes.extend_from_slice(&(id.len() as u64).to_le_bytes());
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&digest.to_le_bytes());
    }
    bytes
}

fn read(mut bytes: &[u8]) -> Option<Index> {
    let mut index = Index::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<8>()?;
        let (id, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
        let (digest, rest) = rest.split_first_chunk::<16>()?;
        let id = String::from_utf8(id.to_vec()).ok()?;
        index.insert(id, u128::from_le_bytes(*digest));
        bytes = rest;
    }
    Some(index)
}

/// What became of an index that was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is none.
    Missing,
    /// It has to be built again.
    Rebuilt,
    /// It was brought up to date, and covered this LSN.
    Restored(u64),
}

/// Restores the index of a collection, and holds it against the rows.
///
/// # Errors
/// What is wrong.
pub fn check(
    session: &dyn Session,
    id: CollectionId,
    collection: &Collection,
) -> Result<Outcome, Wrong> {
    let differs = |expected: String, found: String| Err(Wrong::Differs { expected, found });
    let Some(Restored { bytes, covered, tail }) = session.restored_index(id)? else {
        return Ok(Outcome::Missing);
    };
    let Some(mut index) = read(&bytes) else {
        return differs("an index as it was kept".to_owned(), format!("{} bytes", bytes.len()));
    };
    let Some(tail) = tail else { return Ok(Outcome::Rebuilt) };
    let changes = tail.len();
    for (row, now) in tail {
        match now {
            Some((vector, payload)) => {
                index.insert(row.clone(), digest::of_row(0, &row, &vector, &payload));
            }
            None => drop(index.remove(&row)),
        }
    }
    let built = read(&stored(collection)).expect("just written");
    if index == built {
        return Ok(Outcome::Restored(covered));
    }
    let odd = |(id, digest): (&String, &u128)| index.get(id) != Some(digest);
    let missed = built.iter().find(|row| odd(*row)).map(|(id, _)| id);
    let extra = index.keys().find(|id| !built.contains_key(*id));
    differs(
        format!("the {} rows that are there", built.len()),
        format!(
            "{} rows behind LSN {covered} and {changes} changes; missed {missed:?}, extra {extra:?}",
            index.len()
        ),
    )
}
