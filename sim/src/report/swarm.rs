//! What swarms came to, as text and as JSON.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::{CUT, number, rate, table};
use crate::swarm::Report;
use crate::swarm::counts::VIRTUAL_MS;

/// The table of a campaign of swarms.
pub fn swarm_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_table(&mut out, report);
    out
}

fn write_table(out: &mut String, report: &Report) -> fmt::Result {
    let tally = &report.tally;
    writeln!(out, "swarms of tasks on one store, in virtual time")?;
    let crashes =
        ["kills", "losses of power", "kills inside a call", "losses of power inside a call"];
    let crashes = crashes.iter().map(|name| report.counts.of(name)).sum();
    let rows = [
        ("runs", report.runs),
        ("crashes on the way", crashes),
        ("crash points", tally.crash_points),
        ("images checked", tally.images_checked),
        ("  of them nested", tally.images_nested),
        ("  of them encrypted", tally.images_encrypted),
        ("duplicate images", tally.images_duplicate),
        ("runs repeated and equal", tally.runs_repeated),
        ("virtual seconds", report.counts.of(VIRTUAL_MS) / 1000),
    ];
    for (name, value) in rows {
        writeln!(out, "  {name:<26}{:>18}", number(value))?;
    }
    writeln!(out, "  {:<26}{:>18}", "trace hash", format!("{:016x}", tally.trace_hash))?;
    writeln!(out, "  how tasks met, and what was judged")?;
    for (name, times) in report.counts.0.iter().filter(|(name, _)| **name != VIRTUAL_MS) {
        writeln!(out, "    {name:<46}{:>10}", number(*times))?;
    }
    table(out, "invariants evaluated", &tally.invariants)?;
    table(out, "faults fired", &tally.faults)?;
    let idle = report.idle();
    if !idle.is_empty() {
        writeln!(out, "  counters at zero: {}", idle.join(", "))?;
    }
    let (runs, images) =
        (rate(report.runs, report.elapsed), rate(tally.images_checked, report.elapsed));
    let (runs, images, seconds) = (number(runs), number(images), report.elapsed.as_secs_f64());
    writeln!(out, "  {} violations", number(report.violations.len() as u64))?;
    writeln!(out, "  in {seconds:.1} s, {runs} runs and {images} images checked per second")?;
    if report.cut { writeln!(out, "  not whole: {CUT}") } else { Ok(()) }
}

/// Every violation of swarms, with the story of the run.
pub fn swarm_violations(report: &Report) -> String {
    let mut out = String::new();
    for (violation, story) in &report.violations {
        out.push_str(&format!("\n{}", super::violation(violation)));
        if !story.is_empty() {
            out.push_str("  what the tasks did:\n");
            story.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
        }
    }
    out
}

/// The whole report.
pub fn swarm_json(report: &Report) -> Value {
    let violations = report.violations.iter().map(|(violation, story)| {
        let mut json = super::violation_json(violation);
        json["story"] = json!(story);
        json
    });
    let tally = &report.tally;
    json!({
        "runs": report.runs,
        "crash_points": tally.crash_points,
        "images_checked": tally.images_checked,
        "images_nested": tally.images_nested,
        "images_encrypted": tally.images_encrypted,
        "images_duplicate": tally.images_duplicate,
        "runs_repeated": tally.runs_repeated,
        "counts": report.counts.0,
        "invariants": tally.invariants,
        "faults": tally.faults,
        "trace_hash": format!("{:016x}", tally.trace_hash),
        "tally": super::tally_json(tally),
        "cancelled": report.cancelled,
        "cut": report.cut,
        "counters_at_zero": report.idle(),
        "violations": violations.collect::<Vec<Value>>(),
        "elapsed_s": report.elapsed.as_secs_f64(),
        "runs_per_second": rate(report.runs, report.elapsed),
        "images_per_second": rate(tally.images_checked, report.elapsed),
    })
}
