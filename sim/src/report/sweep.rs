//! What a sweep came to, as text and as JSON.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::{CUT, number};
use crate::forward::FULL_DISK;
use crate::sweep::Report;

/// The table of a sweep.
pub fn sweep_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_table(&mut out, report);
    out
}

fn write_table(out: &mut String, report: &Report) -> fmt::Result {
    let tally = &report.tally;
    writeln!(out, "sweep of faults over small histories")?;
    let rows = [
        ("histories", report.histories),
        ("runs with one fault", report.runs),
        ("runs with two", report.pairs),
        ("  of both not to be mended", report.unmendable),
        ("runs on a full disk", report.full),
        ("  calls without space", report.tally.faults.get(FULL_DISK).copied().unwrap_or(0)),
        ("images checked", tally.images_checked),
        ("duplicate images", tally.images_duplicate),
    ];
    for (name, value) in rows {
        writeln!(out, "  {name:<26}{:>18}", number(value))?;
    }
    writeln!(out, "  {:<26}{:>18}", "trace hash", format!("{:016x}", tally.trace_hash))?;
    writeln!(out, "  faults: struck, had nothing to strike")?;
    for (name, (planned, unfired)) in &report.planned {
        let (struck, unfired) = (number(planned - unfired), number(*unfired));
        writeln!(out, "    {name:<24}{struck:>12}{unfired:>8}")?;
    }
    let seconds = report.elapsed.as_secs_f64();
    let (runs, found) = (number(report.runs + report.pairs), report.violations.len());
    writeln!(out, "  {runs} runs in {seconds:.1} s, {found} violations")?;
    if report.cut { writeln!(out, "  not whole: {CUT}") } else { Ok(()) }
}

/// Every violation of a sweep, and how to see it again.
pub fn sweep_violations(report: &Report) -> String {
    let mut out = String::new();
    for (case, violation) in &report.violations {
        out.push_str(&format!("\n{}", super::found(violation, case)));
        let is_shrunk = violation.shrink().is_some();
        for (word, verb) in [("again", "sweep"), ("smaller", "shrink")] {
            if verb == "shrink" && !is_shrunk {
                continue;
            }
            let command = super::cargo(&format!("quiver-sim {verb} --case '{case}'"));
            out.push_str(&format!("  {word}: {command}"));
        }
    }
    out
}

/// The whole report.
pub fn sweep_json(report: &Report) -> Value {
    let struck = report.planned.iter().map(|(name, (planned, unfired))| {
        ((*name).to_owned(), json!({ "struck": planned - unfired, "unfired": unfired }))
    });
    let violations = report.violations.iter().map(|(case, violation)| {
        json!({
            "case": case.to_string(),
            "address": violation.address.to_string(),
            "invariant": violation.invariant.name(),
            "expected": violation.expected,
            "found": violation.found,
            "trace": violation.trace,
        })
    });
    json!({
        "histories": report.histories,
        "runs": report.runs,
        "pairs": report.pairs,
        "unmendable": report.unmendable,
        "full_disks": report.full,
        "images_checked": report.tally.images_checked,
        "images_duplicate": report.tally.images_duplicate,
        "invariants": report.tally.invariants,
        "faults": serde_json::Map::from_iter(struck),
        "trace_hash": format!("{:016x}", report.tally.trace_hash),
        "tally": super::tally_json(&report.tally),
        "cancelled": report.cancelled,
        "cut": report.cut,
        "counters_at_zero": report.idle(),
        "violations": violations.collect::<Vec<Value>>(),
        "elapsed_s": report.elapsed.as_secs_f64(),
    })
}
