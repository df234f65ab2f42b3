//! A tally and its violations, written and read back.
//!
//! - Y1. Every counter is written, for all are written that `Counters` has, and every one is read back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::fields::{Fields, Read};
use crate::checker::Invariant;
use crate::replica;
use crate::tally::{Counters, Spread, Tally, Violation};

/// All counters but the violations, by name (Y1).
pub(crate) fn counters(tally: &Tally) -> Map<String, Value> {
    let Counters { sums, tables } = tally.counters();
    let sums = sums.map(|(name, _, number)| (name, json!(number)));
    let tables = tables.map(|(name, .., table)| (name, json!(table)));
    let spreads = tally.spreads.iter();
    let spreads = spreads.map(|(name, spread)| ((*name).to_owned(), json!(spread.0)));
    let rest = [
        ("spreads", Value::Object(spreads.collect())),
        ("recovery_calls_max", json!(tally.recovery_calls_max)),
        ("trace_hash", json!(format!("{:016x}", tally.trace_hash))),
    ];
    let all = sums.into_iter().chain(tables).chain(rest);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The counters of an object that has them, and its violations. Of a table it may have some names alone:
/// what a part of a run counts begins with none.
pub(super) fn tally(fields: &Fields<'_>) -> Read<Tally> {
    let mut known = Tally::zero();
    known.replica.insert(replica::TOO_LATE, 0);
    let mut tally = Tally {
        spreads: fields.table("spreads", &names(&known.spreads), spread)?,
        recovery_calls_max: fields.count("recovery_calls_max")?,
        trace_hash: fields.hash("trace_hash")?,
        violations: fields.objects("violations", violation)?,
        ..Tally::default()
    };
    let Counters { sums, tables } = tally.counters_mut();
    for (name, _, own) in sums {
        *own = fields.count(name)?;
    }
    for ((name, .., own), (.., known)) in tables.into_iter().zip(known.counters().tables) {
        *own = fields.table(name, &names(known), Fields::count)?;
    }
    if tally.images_encrypted > tally.images_checked {
        return Err("images_encrypted is more than images_checked".to_owned());
    }
    Ok(tally)
}

/// The same of a campaign, which begins with all counters that may move at zero: where one of these is
/// missing, nobody would see that it never moved.
pub(super) fn tally_of_all(fields: &Fields<'_>, zero: &Tally) -> Read<Tally> {
    let tally = tally(fields)?;
    for (name, .., table) in zero.counters().tables {
        fields.has_each(name, &names(table))?;
    }
    fields.has_each("spreads", &names(&zero.spreads))?;
    Ok(tally)
}

fn names<T>(table: &BTreeMap<&'static str, T>) -> Vec<&'static str> {
    table.keys().copied().collect()
}

fn spread(fields: &Fields<'_>, name: &str) -> Read<Spread> {
    fields.times(name).map(Spread)
}

/// An invariant by its name.
pub(super) fn invariant(fields: &Fields<'_>) -> Read<Invariant> {
    // What only the damage campaign evaluates is not among all.
    let all = Invariant::ALL.into_iter().chain([Invariant::I9]);
    fields.one_of("invariant", all, |invariant| invariant.name())
}

/// A violation.
pub(super) fn violation(fields: &Fields<'_>) -> Read<Violation> {
    fields.follow(&["replay", "shrink"]);
    Ok(Violation {
        address: fields.parsed("address", "address")?,
        invariant: invariant(fields)?,
        expected: fields.text("expected")?.to_owned(),
        found: fields.text("found")?.to_owned(),
        trace: fields.texts("trace")?,
    })
}

/// Adds what another shard counted. Violations stand by address, and what both found stands once.
pub(super) fn join(tally: &mut Tally, other: &Tally) {
    tally.add(other);
    tally.violations = once(std::mem::take(&mut tally.violations), |one| {
        (one.address, one.invariant, one.found.clone())
    });
}

/// Each thing of a key once, by the key.
pub(super) fn once<T, K: Ord>(all: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let mut all: Vec<T> = all.into_iter().filter(|one| seen.insert(key(one))).collect();
    all.sort_by_key(key);
    all
}
