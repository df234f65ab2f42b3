//! The sweep, the damage and the swarms of a run: read back, and joined with those of other shards.

use std::collections::BTreeMap;

use super::fields::{Fields, Read};
use super::tally::{invariant, join, once, tally, violation};
use crate::checker::Finding;
use crate::damage;
use crate::disk::Fault;
use crate::swarm;
use crate::swarm::counts::{Counts, NAMES};
use crate::sweep;

pub(super) fn sweep(fields: &Fields<'_>) -> Read<sweep::Report> {
    let faults: Vec<&'static str> = Fault::ALL.into_iter().map(Fault::name).collect();
    let planned = fields.table("faults", &faults, |faults, name| {
        faults.within(name, |fault| {
            let (struck, unfired) = (fault.count("struck")?, fault.count("unfired")?);
            Ok((struck.saturating_add(unfired), unfired))
        })
    });
    fields.follow(&[
        "images_checked",
        "images_duplicate",
        "invariants",
        "trace_hash",
        "counters_at_zero",
    ]);
    Ok(sweep::Report {
        histories: fields.count("histories")?,
        runs: fields.count("runs")?,
        pairs: fields.count("pairs")?,
        full: fields.count("full_disks")?,
        unmendable: fields.count("unmendable")?,
        planned: planned?,
        tally: fields.within("tally", tally)?,
        violations: fields.objects("violations", |fields| {
            Ok((fields.parsed("case", "case of the sweep")?, violation(fields)?))
        })?,
        elapsed: fields.seconds("elapsed_s")?,
        cancelled: fields.flag("cancelled")?,
        cut: fields.flag("cut")?,
    })
}

/// Every shard makes the histories, and has its part of the runs.
pub(super) fn join_sweeps(mut one: sweep::Report, other: sweep::Report) -> sweep::Report {
    // Whoever adds a field is asked here what becomes of it.
    let sweep::Report {
        histories: _,
        runs,
        pairs,
        full,
        unmendable,
        planned,
        tally,
        violations,
        elapsed,
        cancelled,
        cut,
    } = other;
    one.runs += runs;
    one.pairs += pairs;
    one.full += full;
    one.unmendable += unmendable;
    for (name, (planned, unfired)) in planned {
        let own = one.planned.entry(name).or_default();
        own.0 += planned;
        own.1 += unfired;
    }
    join(&mut one.tally, &tally);
    one.violations.extend(violations);
    one.violations = once(one.violations, |(case, found)| {
        (case.to_string(), found.invariant, found.found.clone())
    });
    one.elapsed += elapsed;
    one.cancelled |= cancelled;
    one.cut |= cut;
    one
}

pub(super) fn damage(fields: &Fields<'_>) -> Read<damage::Report> {
    fields.follow(&["counters_at_zero"]);
    let known = damage::Counts::default();
    let names = |table: BTreeMap<&'static str, u64>| table.into_keys().collect::<Vec<_>>();
    let (forms, kinds) = (names(known.by_form()), names(known.by_kind()));
    let by_form =
        fields.table("damage", &forms, |fields, form| fields.table(form, &kinds, Fields::count))?;
    let wounds = by_form.into_iter().flat_map(|(form, kinds)| {
        kinds.into_iter().map(move |(kind, times)| ((form, kind), times))
    });
    let counts = damage::Counts {
        cases: fields.count("cases")?,
        images: fields.count("images_checked")?,
        left_out: fields.count("left_out")?,
        wounds: wounds.collect(),
        outcomes: fields.table("outcomes", &names(known.outcomes), Fields::count)?,
    };
    let violations = fields.objects("violations", |fields| {
        let finding =
            Finding::new(invariant(fields)?, fields.text("expected")?, fields.text("found")?);
        let case = fields.parsed("case", "case of damage")?;
        Ok(damage::Found { case, finding, wounds: fields.texts("damage")? })
    })?;
    let (cancelled, cut) = (fields.flag("cancelled")?, fields.flag("cut")?);
    let elapsed = fields.seconds("elapsed_s")?;
    Ok(damage::Report { counts, violations, elapsed, cancelled, cut })
}

pub(super) fn join_damage(mut one: damage::Report, other: damage::Report) -> damage::Report {
    one.counts.add(&other.counts);
    one.violations.extend(other.violations);
    one.violations =
        once(one.violations, |found| (found.case.clone(), found.finding.found.clone()));
    one.elapsed += other.elapsed;
    one.cancelled |= other.cancelled;
    one.cut |= other.cut;
    one
}

pub(super) fn swarm(fields: &Fields<'_>) -> Read<swarm::Report> {
    fields.follow(&[
        "crash_points",
        "images_checked",
        "images_nested",
        "images_encrypted",
        "images_duplicate",
        "runs_repeated",
        "invariants",
        "faults",
        "trace_hash",
        "counters_at_zero",
        "runs_per_second",
        "images_per_second",
    ]);
    Ok(swarm::Report {
        runs: fields.count("runs")?,
        tally: fields.within("tally", tally)?,
        counts: Counts(fields.table("counts", &NAMES, Fields::count)?),
        violations: fields
            .objects("violations", |fields| Ok((violation(fields)?, fields.texts("story")?)))?,
        elapsed: fields.seconds("elapsed_s")?,
        cancelled: fields.flag("cancelled")?,
        cut: fields.flag("cut")?,
        ..swarm::Report::default()
    })
}

pub(super) fn join_swarms(mut one: swarm::Report, other: swarm::Report) -> swarm::Report {
    one.runs += other.runs;
    one.counts.add(&other.counts);
    join(&mut one.tally, &other.tally);
    one.violations.extend(other.violations);
    one.violations =
        once(one.violations, |(found, _)| (found.address, found.invariant, found.found.clone()));
    one.elapsed += other.elapsed;
    one.cancelled |= other.cancelled;
    one.cut |= other.cut;
    one
}
