//! What a damage campaign came to, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::{CUT, number};
use crate::damage::{Found, Report};

/// The table of a damage campaign.
pub fn damage_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_table(&mut out, report);
    out
}

fn write_table(out: &mut String, report: &Report) -> fmt::Result {
    let counts = &report.counts;
    writeln!(out, "damage to stores, at rest and open")?;
    for (name, value) in
        [("cases", counts.cases), ("stores examined", counts.images), ("left out", counts.left_out)]
    {
        writeln!(out, "  {name:<26}{:>18}", number(value))?;
    }
    let tables: [(&str, BTreeMap<&str, u64>); 3] = [
        ("damage", counts.by_form()),
        ("files hit", counts.by_kind()),
        ("came to", counts.outcomes.clone()),
    ];
    for (title, rows) in tables {
        writeln!(out, "  {title}")?;
        for (name, times) in rows {
            writeln!(out, "    {name:<28}{:>14}", number(times))?;
        }
    }
    let seconds = report.elapsed.as_secs_f64();
    let (cases, found) = (number(counts.cases), report.violations.len());
    writeln!(out, "  {cases} cases in {seconds:.1} s, {found} violations")?;
    if report.cut { writeln!(out, "  not whole: {CUT}") } else { Ok(()) }
}

/// Every violation of a damage campaign, and how to see it again.
pub fn damage_violations(report: &Report) -> String {
    let mut out = String::new();
    for Found { case, finding, wounds } in &report.violations {
        out.push_str(&format!("\nviolation of {} at {case}\n", finding.invariant.name()));
        for (word, text) in [("expected", &finding.expected), ("found", &finding.found)] {
            let text = text.trim_end().replace('\n', "\n            ");
            out.push_str(&format!("  {word:<9} {text}\n"));
        }
        if !wounds.is_empty() {
            out.push_str("  what was done to the store:\n");
        }
        wounds.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
        out.push_str(&format!("  replay: cargo run --release -p quiver-sim -- replay {case}\n"));
    }
    out
}

/// The whole report.
pub fn damage_json(report: &Report) -> Value {
    let counts = &report.counts;
    let mut wounds: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for ((form, kind), times) in &counts.wounds {
        wounds.entry(form).or_default().insert(kind, *times);
    }
    let violations = report.violations.iter().map(|Found { case, finding, wounds }| {
        json!({
            "case": case.to_string(),
            "invariant": finding.invariant.name(),
            "expected": finding.expected,
            "found": finding.found,
            "damage": wounds,
        })
    });
    json!({
        "cases": counts.cases,
        "images_checked": counts.images,
        "left_out": counts.left_out,
        "damage": wounds,
        "outcomes": counts.outcomes,
        "cancelled": report.cancelled,
        "cut": report.cut,
        "counters_at_zero": counts.idle(),
        "violations": violations.collect::<Vec<Value>>(),
        "elapsed_s": report.elapsed.as_secs_f64(),
    })
}
