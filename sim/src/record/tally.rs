//! A tally and its violations, written and read back.
//!
//! - Y1. Every counter is written: the tally is taken apart field by field, so that a new one cannot be
//!   forgotten.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::fields::{Fields, Read};
use crate::checker::Invariant;
use crate::replica;
use crate::tally::{Spread, Tally, Violation};

/// All counters but the violations, by name (Y1).
pub(crate) fn counters(tally: &Tally) -> Map<String, Value> {
    let Tally {
        seeds,
        seeds_encrypted,
        seeds_left_out,
        operations,
        crash_points,
        exhaustive_points,
        images_checked,
        images_encrypted,
        images_nested,
        images_duplicate,
        runs_repeated,
        tears,
        policies,
        invariants,
        faults,
        spreads,
        copies,
        keys,
        replica,
        recovery_calls_max,
        trace_hash,
        violations: _,
    } = tally;
    let numbers = [
        ("seeds", seeds),
        ("seeds_encrypted", seeds_encrypted),
        ("seeds_left_out", seeds_left_out),
        ("operations", operations),
        ("crash_points", crash_points),
        ("exhaustive_points", exhaustive_points),
        ("images_checked", images_checked),
        ("images_encrypted", images_encrypted),
        ("images_nested", images_nested),
        ("images_duplicate", images_duplicate),
        ("runs_repeated", runs_repeated),
        ("recovery_calls_max", recovery_calls_max),
    ];
    let tables = [
        ("tears", tears),
        ("policies", policies),
        ("invariants", invariants),
        ("faults", faults),
        ("copies", copies),
        ("keys", keys),
        ("replica", replica),
    ];
    let spreads = spreads.iter().map(|(name, spread)| ((*name).to_owned(), json!(spread.0)));
    let numbers = numbers.map(|(name, number)| (name, json!(number)));
    let tables = tables.map(|(name, table)| (name, json!(table)));
    let rest = [
        ("spreads", Value::Object(spreads.collect())),
        ("trace_hash", json!(format!("{trace_hash:016x}"))),
    ];
    let all = numbers.into_iter().chain(tables).chain(rest);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The counters of an object that has them, and its violations.
pub(super) fn tally(fields: &Fields<'_>) -> Read<Tally> {
    let mut known = Tally::zero();
    known.replica.insert(replica::TOO_LATE, 0);
    let table = |name: &str, known: &BTreeMap<&'static str, u64>| {
        fields.table(name, &names(known), Fields::count)
    };
    let tally = Tally {
        seeds: fields.count("seeds")?,
        seeds_encrypted: fields.count("seeds_encrypted")?,
        seeds_left_out: fields.count("seeds_left_out")?,
        operations: fields.count("operations")?,
        crash_points: fields.count("crash_points")?,
        exhaustive_points: fields.count("exhaustive_points")?,
        images_checked: fields.count("images_checked")?,
        images_encrypted: fields.count("images_encrypted")?,
        images_nested: fields.count("images_nested")?,
        images_duplicate: fields.count("images_duplicate")?,
        runs_repeated: fields.count("runs_repeated")?,
        tears: table("tears", &known.tears)?,
        policies: table("policies", &known.policies)?,
        invariants: table("invariants", &known.invariants)?,
        faults: table("faults", &known.faults)?,
        spreads: fields.table("spreads", &names(&known.spreads), spread)?,
        copies: table("copies", &known.copies)?,
        keys: table("keys", &known.keys)?,
        replica: table("replica", &known.replica)?,
        recovery_calls_max: fields.count("recovery_calls_max")?,
        trace_hash: fields.hash("trace_hash")?,
        violations: fields.objects("violations", violation)?,
    };
    if tally.images_encrypted > tally.images_checked {
        return Err("images_encrypted is more than images_checked".to_owned());
    }
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
